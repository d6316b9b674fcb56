"""The tables of a group, in parts, and its samples. A part that is computed again is compared. No jax import.

A part is a file that is complete or absent, and its name says which steps it holds. Missing steps are described by a
`Gap`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core import files
from gan_jax.core.errors import BadInput
from gan_jax.core.table import Table
from gan_jax.runs import plan

PART = re.compile(r"(\d{9})-(\d{9})\.npz")
SAMPLES = re.compile(r"(\d{9})\.npz")
MOST_SAMPLES, MOST_PIXELS = 4096, 2**25  # of one run, in one file, at most


class Gap(NamedTuple):
  """What is missing of a group: `rows` of steps [first, last), or `quality` or `samples` at steps first to last.

  The table `real`, samples of the data, has one entry, whose steps are 0.
  """

  group: str
  table: str
  first: int
  last: int
  why: str  # 'missing', or what is wrong with the file

  def __str__(self) -> str:
    if self.table == "real":
      return f"{self.group}: samples of the data are {self.why}"
    if self.table == "rows":
      where = f"of steps {self.first:,} to {self.last - 1:,}"
    else:
      where = f"at step {self.first:,}" if self.first == self.last else f"from step {self.first:,} to {self.last:,}"
    return f"{self.group}: {self.table} {where} {'are' if self.table != 'quality' else 'is'} {self.why}"


class Found(NamedTuple):
  """The intact and the damaged parts of one table."""

  table: Table
  held: list[tuple[int, int]]  # [first, last) of each intact part, in order
  damaged: list[tuple[int, int, Path, str]]  # first, last, file, reason


def name(first: int, last: int) -> str:
  return f"{first:09d}-{last:09d}.npz"


def append(study: Path, table: str, group: str, first: int, last: int, rows: Table) -> bool | None:
  """Write the rows of steps [first, last) as one part, unless it exists; returns whether that has the same bits.

  An existing part that differs in any bit, or cannot be read, is set aside. None: there was none, or it was damaged.
  """
  return _write(study, study / table / group / name(first, last), {"step": rows.steps, **rows.columns})


def write_samples(study: Path, group: str, step: int | None, samples: np.ndarray) -> bool | None:
  """As `append`, for samples after `step` steps; None: samples of the data."""
  file = "real.npz" if step is None else f"{step:09d}.npz"
  return _write(study, study / "samples" / group / file, {"samples": samples})


def _write(study: Path, path: Path, arrays: Mapping[str, np.ndarray]) -> bool | None:
  if not path.exists():
    files.write_arrays(path, **arrays)
    return None
  try:
    there = files.read_arrays(path)
  except files.Damaged:
    there = None
  if there and there.keys() >= arrays.keys() and all(_same(there[n], np.asarray(a)) for n, a in arrays.items()):
    return True
  files.set_aside(study, path, "damaged" if there is None else "recomputed otherwise")
  files.write_arrays(path, **arrays)
  return None if there is None else False


def _same(a: np.ndarray, b: np.ndarray) -> bool:
  return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def parts(study: Path, table: str, group: str) -> list[tuple[int, int, Path]]:
  """The parts (first, last, path) of a table, in order of their steps."""
  folder = study / table / group
  found = [(PART.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
  return sorted((int(m[1]), int(m[2]), path) for m, path in found if m)


def read_part(path: Path, first: int, last: int, members: int | None = None) -> Table:
  """The rows of one part. Raises `files.Damaged` where they are not rows of [first, last) for `members` members."""

  def check(column: str, dtype: np.dtype, shape: tuple[int, ...]) -> str | None:
    kinds, columns = ("iu", 1) if column == "step" else ("fiu", 2)
    if dtype.kind not in kinds or len(shape) != columns or shape[0] > last - first:
      return f"{column} is {dtype} {list(shape)}, expected numbers for at most {last - first} rows"
    if column != "step" and members not in (None, shape[1]):
      return f"{column} has shape {list(shape)}, expected {members} members"
    return None if column.isprintable() and len(column) < 200 else "a column without a proper name"

  arrays = files.read_arrays(path, check)
  steps = arrays.pop("step", None)
  if steps is None:
    raise files.Damaged(path, "expected a column 'step', found none")
  if len({len(steps), *(len(column) for column in arrays.values())}) > 1:
    raise files.Damaged(path, "its columns have different numbers of rows")
  if len(steps) and not (first <= steps[0] and steps[-1] < last and (np.diff(steps.astype(np.int64)) > 0).all()):
    raise files.Damaged(path, f"its steps do not rise within [{first}, {last})")
  return Table(steps.astype(np.int64), arrays)


def survey(
  study: Path, table: str, group: str, members: int | None = None, read: Callable[..., Table] = read_part
) -> Found:
  """The intact rows of a table, in order of steps. A part that overlaps the one before it counts as damaged.

  `read` reads a part: `read_part`, or what remembers its results.
  """
  good: list[Table] = []
  held: list[tuple[int, int]] = []
  damaged = []
  for first, last, path in parts(study, table, group):
    try:
      if (held and first < held[-1][1]) or last <= first:
        raise files.Damaged(path, "it reaches into the part before it")
      good.append(read(path, first, last, members))
      held.append((first, last))
    except files.Damaged as error:
      damaged.append((first, last, path, error.reason))
  return Found(_join(good), held, damaged)


def read_table(study: Path, table: str, group: str) -> Table:
  """All rows of one table of one group. Raises `files.Damaged` naming a damaged part."""
  found = survey(study, table, group)
  for _, _, path, reason in found.damaged:
    raise files.Damaged(path, reason)
  return found.table


def _join(tables: list[Table]) -> Table:
  if not tables:
    return Table(np.zeros(0, np.int64), {})
  names = dict.fromkeys(column for table in tables for column in table.columns)
  widths = {table.columns[n].shape[1] for table in tables for n in table.columns}
  if len(widths) > 1:
    raise BadInput(f"parts of one table have {sorted(widths)} members, expected one number of them")

  def column(table: Table, n: str) -> np.ndarray:
    blank = np.full((len(table.steps), *widths), np.nan, np.float32)
    return table.columns.get(n, blank)

  return Table(
    np.concatenate([table.steps for table in tables]),
    {n: np.concatenate([column(table, n) for table in tables]) for n in names},
  )


def sample_steps(study: Path, group: str) -> list[tuple[int, Path]]:
  """The sample files (step, path) of a group, in order."""
  folder = study / "samples" / group
  found = [(SAMPLES.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
  return sorted((int(m[1]), path) for m, path in found if m)


def read_samples(path: Path, members: int | None = None, real: bool = False) -> np.ndarray:
  """uint8 images [members, n, H, W(, C)] or points [members, n, 2]; without the first axis if `real`.

  Raises:
    files.Damaged: it holds something else, more than a picture needs, or another number of members than `members`.
  """

  def check(array: str, dtype: np.dtype, shape: tuple[int, ...]) -> str | None:
    if array != "samples":
      return None if array == "kind" and not shape else f"an unknown array {array!r}"
    own = shape if real else shape[1:]
    points = len(own) == 2 and own[1] == 2 and dtype.kind == "f"
    images = dtype == np.uint8 and (len(own) == 3 or (len(own) == 4 and own[3] in (1, 3)))
    size = math.prod(own)
    if not (points or images) or not 0 < own[0] <= MOST_SAMPLES or not 0 < size <= MOST_PIXELS:
      return f"samples are {dtype} {list(shape)}, expected uint8 images or points"
    return None if real or members in (None, shape[0]) else f"expected samples of {members} members, got {shape[0]}"

  arrays = files.read_arrays(path, check)
  if "samples" not in arrays:
    raise files.Damaged(path, f"expected an array 'samples', got {sorted(arrays)}")
  return arrays["samples"]


def damaged_samples(study: Path, group: str, members: int) -> dict[Path, str]:
  """The damaged sample files of a group, that of the data included, and why."""
  found = {}
  real = study / "samples" / group / "real.npz"
  for path in [path for _, path in sample_steps(study, group)] + [real] * real.exists():
    try:
      read_samples(path, members, path == real)
    except files.Damaged as error:
      found[path] = error.reason
  return found


def row_gaps(group: str, found: Found, done: int, complete: bool, start: int = 0) -> list[Gap]:
  """Steps from `start` to below `done` without rows. Unless the group is complete, the newest rows may not be written yet."""
  known = [*found.held, *((first, last) for first, last, _, _ in found.damaged)]
  end = done if complete else min(done, max((last for _, last in known), default=0))
  gaps, at = [], start
  for first, last in [*found.held, (end, end)]:
    until = min(first, end)
    if at < until:
      reasons = [f"damaged ({path.name}: {why})" for begin, _, path, why in found.damaged if at <= begin < until]
      gaps.append(Gap(group, "rows", at, until, "; ".join(reasons) or "missing"))
    at = max(at, last)
  return gaps


def step_gaps(
  group: str,
  table: str,
  config: Mapping[str, Any],
  there: Iterable[int],
  damaged: Mapping[int, str],
  done: int,
  start: int = 0,
) -> list[Gap]:
  """Evaluations from step `start` (or the next regular one) up to step `done` that are not `there`.

  Successive missing ones are one gap.
  """
  end, every = config["steps"], plan.evaluation_period(config)

  def numbered(steps: Iterable[int]) -> list[int]:
    return [-(-step // every) for step in steps if step == end or (step % every == 0 and step < end)]

  upto = -(-end // every) if done >= end else done // every
  marks: dict[int, str] = dict.fromkeys(numbered(there), "")
  marks |= {index: why for step, why in damaged.items() for index in numbered([step])}
  gaps, at = [], -(-start // every)
  for index in [*(i for i in sorted(marks) if i <= upto), upto + 1]:
    step, before = (min(i * every, end) for i in (index, index - 1))
    if at < index:
      gaps.append(Gap(group, table, min(at * every, end), before, "missing"))
    if marks.get(index):
      gaps.append(Gap(group, table, step, step, marks[index]))
    at = index + 1
  return gaps
