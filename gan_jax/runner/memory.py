"""A lower bound of a group's memory, so that a group that cannot fit is refused before it starts."""

import os

import jax
import numpy as np

from gan_jax.core import cgroups
from gan_jax.core.errors import BadInput, plural
from gan_jax.core.types import Player
from gan_jax.data import Dataset
from gan_jax.runner import processes
from gan_jax.settings.records import Spec, thawed

WORKERS = "GAN_JAX_WORKERS"  # how many processes that train this study share the machine's memory (gan_jax/launch)


def available() -> int:
  """Bytes of memory: of all devices together where they have their own, else of the machines or containers.

  Where several processes run, the others are taken to have as much as the first.
  """
  devices = jax.default_backend() != "cpu"
  return processes.told(_own) * (processes.count() if devices else processes.machines())


def _own() -> int:
  """`available`, of this process's devices or machine."""
  stats = [device.memory_stats() or {} for device in jax.local_devices()]
  if jax.default_backend() != "cpu" and all("bytes_limit" in s for s in stats):
    return sum(s["bytes_limit"] for s in stats)
  whole = min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), cgroups.memory())
  return int(whole) // int(os.environ.get(WORKERS, 1))


def size(player: Player) -> int:
  """Bytes of one set of parameters."""
  leaves = jax.tree.leaves(jax.eval_shape(lambda: player.init(jax.random.key(0))))
  return sum(int(np.prod(leaf.shape, dtype=object)) * leaf.dtype.itemsize for leaf in leaves)


def fits(dataset: Dataset, share: float) -> bool:
  """Whether the data are to lie on each device: they need at most this share of its memory."""
  images = dataset.data.images
  stats = jax.local_devices()[0].memory_stats() or {}
  limit = processes.told(lambda: stats.get("bytes_limit", _own() // jax.local_device_count()))
  return images.dtype.itemsize * int(np.prod(images.shape, dtype=object)) <= share * limit


def check(
  spec: Spec, players: tuple[Player, Player], image_shape: tuple[int, ...], members: int, limit: int | None = None
) -> None:
  """Raises `BadInput` where the parameters of all members, or their samples at an evaluation, cannot fit into memory.

  Optimizer states, activations and gradients are not counted: a group that passes may still be too large.

  Args:
    spec: of the group.
    players: (generator, discriminator).
    image_shape: of one example.
    members: runs side by side.
    limit: bytes; by default `available()`.
  """
  limit = available() if limit is None else limit
  # The moving average of the generator is a second copy.
  parameters = members * (2 * size(players[0]) + size(players[1]))
  samples = members * spec.evaluation_samples * 4 * min(64, int(np.prod(image_shape)))
  sizes = {n: v for n, v in thawed(spec.model_options).items() if type(v) is int} | {"latent_size": spec.latent_size}
  needs = {
    f"the weights ({', '.join(f'{name}={size}' for name, size in sizes.items())})": parameters,
    f"the samples of one evaluation (evaluation_samples={spec.evaluation_samples})": samples,
  }
  for what, least in needs.items():
    if least > limit:
      raise BadInput(
        f"{what} of {plural(members, 'run')} side by side expected at most the {limit / 2**30:.3g} GiB of memory there "
        f"are, got at least {least / 2**30:.3g} GiB"
      )
