"""The engines that `--launcher` names, made from a command's arguments. See gan_jax/launch/README.md."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_jax.core import cores
from gan_jax.core.errors import BadInput
from gan_jax.launch import local, ray, shares, slurm
from gan_jax.launch.tasks import Engine

LAUNCHERS = ("local", "ray", "slurm")
PREFIXES = {"slurm": slurm.PREFIX, "ray": ray.PREFIX}
Made = Callable[[Path, Callable[[str], object]], Engine]  # (study, say) -> the engine, once the study is locked


def split(rest: Sequence[str]) -> tuple[list[str], list[str]]:
  """(fields of the study, options of an engine) among a command's other arguments."""
  own = [argument for argument in rest if argument.startswith(tuple(PREFIXES.values()))]
  return [argument for argument in rest if argument not in own], own


def refuse_others(launcher: str, flags: Sequence[str]) -> None:
  """Raises `BadInput` for options of another engine than the one that `--launcher` names."""
  strange = [flag for flag in flags if not flag.startswith(PREFIXES.get(launcher, " "))]
  if strange:
    wanted = next(name for name, prefix in PREFIXES.items() if strange[0].startswith(prefix))
    raise BadInput(f"{strange[0]} expected --launcher={wanted}, got --launcher={launcher}")


def chosen(launcher: str, flags: Sequence[str], workers: int, say: Callable[[str], object]) -> Made:
  """How to make the engine that was asked for; nothing is written.

  Raises:
    BadInput: options that it does not have, or that this cluster refuses.
  """
  if launcher == "slurm":
    if workers != 1:
      raise BadInput(
        f"--workers is for this machine; of Slurm's jobs --slurm.array-parallelism={workers} run at a time"
      )
    asked = slurm.read(flags)
    remark = slurm.check(asked)
    if remark:
      say(remark)
    return lambda study, say: slurm.Slurm(study, asked, say)
  own = share(workers)
  if launcher == "ray":
    how = ray.read(flags, workers)
    ray.check(how)
    return lambda study, say: ray.Ray(how, own, say)
  return lambda study, say: local.Local(own)


def share(workers: int) -> list[dict[str, str]]:
  """The part of this machine that each worker on it has."""
  return shares.shares(
    workers, cores.numbers(), shares.gpus(os.environ), shares.FRACTION not in os.environ, cores.quota()
  )
