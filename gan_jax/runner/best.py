"""The generator with which each run measured best, kept beside its checkpoints, which hold the last states.

Best is the evaluation with the lowest (or highest) value of the first measure by which the report ranks runs. What is
kept are the averaged weights that were measured, and their memory. The best of many noisy measurements is flattered:
report it beside the last one, as the report does.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.core.errors import BadInput
from gan_jax.core.files import Damaged, read_arrays, write_arrays
from gan_jax.core.table import Table
from gan_jax.report.comparison import QUALITIES

WRITERS = 8  # files written side by side, since each waits for the disk twice


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


def place(study: Path, group: str, run: str) -> Path:
  """The file of one run, so that a run's generator can be read alone, and is written only where it has changed."""
  return study / "best" / group / f"{run}.npz"


def write(study: Path, group: str, ids: Sequence[str], best: Best, on_disk: np.ndarray) -> None:
  """Write the runs whose best step is not the one in `on_disk` [members]."""

  def own(member: int) -> None:
    leaves = {f"leaf_{i}": leaf[member] for i, leaf in enumerate(jax.tree.leaves(best.generator))}
    value = {"run": np.asarray(ids[member]), "step": best.step[member], "value": best.value[member]}
    write_arrays(place(study, group, ids[member]), **value, **leaves)

  with ThreadPoolExecutor(WRITERS) as threads:
    list(threads.map(own, np.flatnonzero(best.step != on_disk).tolist()))  # raises what the first one raised


def load(study: Path, group: str, run: str, like: Any) -> tuple[int, float, Any]:
  """(step, value, generator) of one run; `like` is a generator of its shapes and dtypes.

  Raises:
    Damaged: the checksum of an array is wrong, or it is of another run, or of other shapes.
    BadInput: there is none.
    OSError: the machine could not read it.
  """
  path = place(study, group, run)
  found = read_arrays(path)
  leaves, structure = jax.tree.flatten(like)
  own = [found.get(f"leaf_{i}") for i in range(len(leaves))]
  if str(found.get("run")) != run or not {"step", "value"} <= found.keys():
    raise Damaged(path, f"expected the best generator of run {run}")
  for leaf, expected in zip(own, leaves, strict=True):
    if leaf is None or (leaf.shape, leaf.dtype) != (expected.shape, expected.dtype):
      raise Damaged(path, f"expected an array {expected.dtype} {list(expected.shape)}")
  return int(found["step"]), float(found["value"]), jax.tree.unflatten(structure, own)


class Found(NamedTuple):
  """What `write` wrote."""

  best: Best  # of steps up to the one that is resumed from
  later: Mapping[str, tuple[int, str]]  # by run, the step of a later one, and its digest: a kill left it
  damaged: Mapping[Path, str]  # what is wrong with a file


def digest(generator: Any) -> str:
  """sha256 of a run's generator."""
  found = hashlib.sha256()
  for leaf in jax.tree.leaves(generator):
    found.update(np.ascontiguousarray(leaf).tobytes())
  return found.hexdigest()


def again(ids: Sequence[str], best: Best, on_disk: np.ndarray, later: Mapping[str, tuple[int, str]]) -> dict[int, bool]:
  """Whether the generators that are to be written now are the bits of those that a kill had left, by their step."""
  found: dict[int, bool] = {}
  for member, run in enumerate(ids):
    step = int(best.step[member])
    if step != on_disk[member] and later.get(run, (-1, ""))[0] == step:
      own = digest(jax.tree.map(lambda x, at=member: x[at], best.generator))
      found[step] = found.get(step, True) and own == later[run][1]
  return found


def read(study: Path, group: str, ids: Sequence[str], until: int, blank: Best) -> Found:
  """What `write` wrote. A generator of a later step than `until` is measured again when the training gets there."""
  step, value = blank.step.copy(), blank.value.copy()
  damaged: dict[Path, str] = {}
  later: dict[str, tuple[int, str]] = {}
  generator = jax.tree.map(np.copy, blank.generator)
  for member, run in enumerate(ids):
    try:
      found = load(study, group, run, jax.tree.map(lambda x: x[0], blank.generator))
    except Damaged as error:
      damaged[error.path] = error.reason
      continue
    except BadInput:  # none yet
      continue
    if found[0] > until:
      later[run] = found[0], digest(found[2])
    else:
      step[member], value[member] = found[:2]
      jax.tree.map(lambda all_of, own, at=member: np.copyto(all_of[at, ...], own), generator, found[2])
  return Found(Best(step, value, generator), later, damaged)


def lost(best: Best, table: Table, until: int) -> set[int]:
  """The steps at which the runs without a best generator measured best, by a table of quality [rows, members]."""
  measure = ranked(table.columns)
  missing = np.flatnonzero(best.step < 0)
  if measure is None or not missing.size:
    return set()
  name, sign = measure
  there = table.steps <= until
  score = sign * np.asarray(table.columns[name], np.float64)[there][:, missing]
  score[~np.isfinite(score)] = np.inf
  return {int(table.steps[there][column.argmin()]) for column in score.T if np.isfinite(column).any()}
