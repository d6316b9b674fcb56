"""Who writes a study, whether that process still does, and how fast: from the locks and the files' times. No jax import."""

import os
from pathlib import Path

from gan_jax.runs.directory import STATUS
from gan_jax.runs.holders import LOCK, Holder, holder, workers
from gan_jax.runs.tables import parts

__all__ = ["Holder", "holder", "last_write", "pace", "workers"]
RECENT = 20  # parts of the rows, at most, from which the speed is measured
# What a writer touches: files that it replaces, and folders (`*` is a group) that get new entries.
TOUCHED = (LOCK, STATUS, "report.html", "rows/*", "quality/*", "samples/*", "checkpoints/*", "locks/*")


def last_write(study: Path, group: str | None = None) -> float | None:
  """When the newest of a study's files was written, seconds since 1970; None where nothing was.

  Args:
    study: its directory.
    group: the group in training; without one, the tables of no group are looked at.
  """
  places = [name.replace("*", group or "") for name in TOUCHED if group or "*" not in name]
  return max((time for name in places if (time := _written(study / name)) is not None), default=None)


def _written(path: Path) -> float | None:
  try:
    return os.stat(path).st_mtime
  except OSError:
    return None


def pace(study: Path, group: str, since: float) -> tuple[float | None, float]:
  """(steps per second over the last parts of a group's rows, when the last was written); None: fewer than two parts.

  Only parts that were written after `since`, when the present attempt took the lock: the pause before it does not count,
  nor does the first part, whose time includes compiling.
  """
  times: list[tuple[int, float]] = []
  for _, last, path in parts(study, "rows", group)[-RECENT - 1 :]:
    try:
      times.append((last, path.stat().st_mtime))
    except OSError:  # set aside at this moment
      continue
  own = [(last, at) for last, at in times if at >= since]
  if len(own) < 2 or own[-1][1] <= own[0][1]:
    return None, own[-1][1] if own else 0.0
  return (own[-1][0] - own[0][0]) / (own[-1][1] - own[0][1]), own[-1][1]
