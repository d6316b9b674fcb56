"""The generator with which each run measured best, kept beside its checkpoints, which hold the last states.

Best is the evaluation with the lowest (or highest) value of the first measure by which the report ranks runs. What is
kept are the averaged weights that were measured, and their memory. The best of many noisy measurements is flattered:
report it beside the last one, as the report does.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_arrays, write_arrays
from gan_jax.report.comparison import QUALITIES


class Best(NamedTuple):
  """Of each member of a group."""

  step: np.ndarray  # int64 [members], of the evaluation; -1: none yet
  value: np.ndarray  # float64 [members]
  generator: Any  # (parameters, memory) as they were measured, leaves [members, ...]


def blank(generator: Any, members: int) -> Best:
  """No measurement yet; `generator` gives the shapes, leaves [members, ...]."""
  zeros = jax.tree.map(lambda x: np.zeros((members, *x.shape[1:]), x.dtype), generator)
  return Best(np.full(members, -1), np.full(members, np.nan), zeros)


def ranked(columns: Mapping[str, Any]) -> tuple[str, int] | None:
  """(measure by which to rank, 1 if low is good and -1 if high is) among these columns; None: there is none."""
  return next(((q.metric, q.sign) for q in QUALITIES if q.metric in columns), None)


def better(old: Best, step: int, columns: Mapping[str, np.ndarray], generator: Callable[[], Any]) -> Best:
  """The best after a further evaluation. `generator` fetches the weights, and is called only where some are better."""
  measure = ranked(columns)
  if measure is None:
    return old
  name, sign = measure
  value = np.asarray(columns[name], np.float64)
  with np.errstate(invalid="ignore"):
    won = np.isfinite(value) & ((old.step < 0) | (sign * value < sign * old.value))
  if not won.any():
    return old

  def chosen(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.where(won.reshape(-1, *[1] * (before.ndim - 1)), now, before)

  kept = jax.tree.map(chosen, generator(), old.generator)
  return Best(np.where(won, step, old.step), np.where(won, value, old.value), kept)


def place(study: Path, group: str) -> Path:
  return study / "best" / f"{group}.npz"


def write(study: Path, group: str, best: Best) -> None:
  leaves = {f"leaf_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(best.generator))}
  write_arrays(place(study, group), step=best.step, value=best.value, **leaves)


def steps(study: Path, group: str) -> list[int]:
  """The evaluations at which a group's members were best; none where the file is damaged."""
  try:
    return [int(step) for step in read_arrays(place(study, group))["step"]]
  except (BadInput, KeyError):
    return []


def read(study: Path, group: str, like: Best) -> Best:
  """What `write` wrote; `like`, which gives the structure, where there is nothing, or nothing of these shapes."""
  try:
    found = read_arrays(place(study, group))
    leaves, structure = jax.tree.flatten(like.generator)
    own = [found[f"leaf_{i}"] for i in range(len(leaves))]
    read_back = Best(found["step"], found["value"], jax.tree.unflatten(structure, own))
  except (BadInput, KeyError):  # none yet, or damaged: evaluations to come are kept
    return like
  same = [x.shape == y.shape for x, y in zip(jax.tree.leaves(read_back), jax.tree.leaves(like), strict=True)]
  return read_back if all(same) else like
