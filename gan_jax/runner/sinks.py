"""Which sinks are written during a training, by the names that `--log` takes. No jax import."""

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_jax.core.errors import BadInput, unknown
from gan_jax.runner.followers import Follower, Followers
from gan_jax.runner.progress import Progress

SINKS = ("tensorboard", "wandb")


def check(log: Sequence[str]) -> None:
  """Raises `BadInput` for a sink that there is not, or whose package is not installed."""
  for name in log:
    if name not in SINKS:
      raise unknown("sink of --log", name, SINKS)
  if "wandb" in log and importlib.util.find_spec("wandb") is None:
    raise BadInput(
      "--log=wandb expected the package wandb, found none: pip install wandb, or GAN_JAX_EXTRA=wandb ./launch.sh ..."
    )


@contextlib.contextmanager
def following(log: Sequence[str], study: Path, progress: Progress) -> Iterator[Followers]:
  """Those who follow the training of a study: the sinks of `log` and, on a terminal, the live line."""
  each: list[Follower] = []
  if progress.live:
    from gan_jax.runner.extremes import Extremes

    each.append(Extremes(study, progress.note))
  if "tensorboard" in log:
    from gan_jax.runner.tensorboard import TensorBoard

    each.append(TensorBoard(study, progress.say))
  if "wandb" in log:
    from gan_jax.runner.tracking import Tracking

    each.append(Tracking(study, progress.say))
  told = Followers(each, progress.say)
  try:
    yield told
  finally:
    told.end()
