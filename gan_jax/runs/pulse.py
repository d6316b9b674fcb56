"""Who writes a study, whether that process still does, and how fast: from the lock and from the files' times. No jax import.

Nothing is locked to find it out. Even a shared lock held for a moment would refuse a sweep that starts in that moment.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_bytes
from gan_jax.runs.directory import STATUS
from gan_jax.runs.tables import parts

LOCK = "lock"
RECENT = 20  # parts of the rows, at most, from which the speed is measured
SAID = re.compile(r"host (?P<host>[^,]{1,255}), pid (?P<pid>\d{1,10})\b")
# What a writer touches: files that it replaces, and folders (`*` is a group) that get new entries.
TOUCHED = (LOCK, STATUS, "report.html", "rows/*", "quality/*", "samples/*", "checkpoints/*")


class Holder(NamedTuple):
  """The last process that held the lock."""

  host: str
  pid: int
  since: float  # seconds since 1970, when it took the lock
  alive: bool | None  # whether it holds the lock now; None: it is on another machine, and only its writes can tell


def holder(study: Path) -> Holder | None:
  """The process that the lock names; None where there is no lock, or where its text is not known yet.

  On this machine a process holds the lock if it exists and has the lock's file open. Where another user's open files may
  not be seen, it is enough that the process exists.
  """
  lock = study / LOCK
  try:
    text, found = read_bytes(lock, 4096).decode("utf-8", "replace"), os.stat(lock)
  except (BadInput, OSError):
    return None
  said = SAID.search(text)
  if said is None:
    return None
  host, pid = said["host"], int(said["pid"])
  alive = _holds(pid, found) if host == os.uname().nodename else None
  return Holder(host, pid, found.st_mtime, alive)


def _holds(pid: int, lock: os.stat_result) -> bool:
  """Whether a process of this machine has the file open."""
  try:
    os.kill(pid, 0)
  except PermissionError:
    return True
  except (OSError, OverflowError):
    return False
  try:
    opened = list(Path(f"/proc/{pid}/fd").iterdir())
  except PermissionError:
    return True
  except OSError:  # it has just ended, or this system has no /proc
    return not Path("/proc/self/fd").is_dir()
  return any(_is(path, lock) for path in opened)


def _is(path: Path, lock: os.stat_result) -> bool:
  try:
    found = os.stat(path)
  except OSError:
    return False
  return (found.st_dev, found.st_ino) == (lock.st_dev, lock.st_ino)


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
