"""What a study will write, in bytes, and whether its disk has room for it, before anything is compiled or written.

The estimate is a low one, so that a study that fits is not refused: everything is compressed, the weights and averages in
a checkpoint by a few per cent, tables and samples to half or less. The disk may still fill up later: then the study ends
with an error, and goes on when there is room.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput, Failure
from gan_jax.core.types import GanState
from gan_jax.runner import checkpoint, evaluation
from gan_jax.runner.grouping import Group
from gan_jax.runner.outline import written
from gan_jax.runs import plan

OF_CHECKPOINT = 50_000  # bytes of a checkpoint beside its state
OF_COLUMN = 150  # bytes of a column in a file, beside its numbers
OF_RUN = 2_000  # bytes of a run in the manifest, its copy, the statuses and the report
OF_PAGE = 100_000  # bytes of a report
MEASURES = 8  # columns of an evaluation, at least
DENSE, PACKED = 0.9, 0.5  # the share of their size to which a state, and numbers and pictures, are compressed


class Sizes(NamedTuple):
  """Bytes that a group will hold on disk."""

  checkpoints: int  # one more than are kept: the oldest is removed when the newest is written
  tables: int  # rows and measurements
  samples: int
  best: int  # the runs' best generators

  @property
  def all(self) -> int:
    return sum(self)


def sizes(group: Group, blank: GanState, columns: int, image_shape: Sequence[int]) -> Sizes:
  """A low estimate of what a group has on disk at its end.

  Args:
    group: the runs.
    blank: its state, of the right shapes and dtypes, each leaf [members, ...].
    columns: of its rows.
    image_shape: of one example.
  """
  chunks, members = plan.of(group.configs[0], group.start), len(group.configs)
  saves = checkpoint.held(sum(chunk.save for chunk in chunks)) + bool(group.start)
  windows = sum(chunk.windows for chunk in chunks)
  evaluations = 1 + sum(chunk.evaluate for chunk in chunks)
  numbers = 4 * members * (windows * columns + evaluations * MEASURES)
  headers = OF_COLUMN * (len(chunks) * columns + evaluations * MEASURES)
  grid = evaluation.GRID[len(image_shape)] * int(np.prod(image_shape)) * (1 if len(image_shape) == 3 else 4)
  return Sizes(
    checkpoints=saves * (int(DENSE * size(blank)) + OF_CHECKPOINT),
    tables=int(PACKED * numbers) + headers,
    samples=int(PACKED * grid * (1 + evaluations * members)),
    best=int(DENSE * size((blank.gen_ema, blank.memory.average))),
  )


def size(tree: object) -> int:
  """Bytes of all leaves."""
  return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def total(groups: Sequence[Group], found: Mapping[str, Sizes]) -> int:
  """Bytes of a whole study on disk, its report included."""
  members = sum(len(group.configs) for group in groups)
  return sum(found[group.name].all for group in groups) + OF_RUN * members + OF_PAGE


def missing(study: Path, groups: Sequence[Group], found: Mapping[str, Sizes]) -> int:
  """Of `total`, the bytes that are not on disk yet."""
  there = 0
  for group in groups:
    own, done = found[group.name], _share_done(study, group)
    kept = len(checkpoint.steps(study / "checkpoints" / group.name))
    saves = sum(chunk.save for chunk in plan.of(group.configs[0]))
    there += own.checkpoints if done == 1 else own.checkpoints * kept // max(checkpoint.held(saves), kept, 1)
    there += int(done * (own.tables + own.samples)) + (own.best if done else 0)
  return total(groups, found) - there


def _share_done(study: Path, group: Group) -> float:
  """The share of a group's steps that are trained; 0 where the status cannot be read."""
  try:
    status = runs.read_status(study)["groups"].get(group.name, {})
  except BadInput:
    return 0.0
  return min(1.0, int(status.get("step", 0)) / group.spec.steps)


def check(study: Path, groups: Sequence[Group], found: Mapping[str, Sizes]) -> None:
  """Raises `Failure` where the file system of `study`, which need not exist, has too little room for what is missing."""
  needed, place = missing(study, groups, found), existing(study)
  disk = shutil.disk_usage(place)
  if disk.total and disk.free < needed:  # some network file systems say 0 of 0
    raise Failure(
      f"{study} expected at least {written(needed)} of free space for its checkpoints, tables, samples and report, got "
      f"{written(disk.free)} on the file system of {place}: free some, choose another --out, or ask for fewer runs or a "
      "smaller model"
    )


def existing(path: Path) -> Path:
  """The path itself, or the nearest folder above it that exists."""
  return next(folder for folder in (path, *path.absolute().parents) if os.path.isdir(folder))
