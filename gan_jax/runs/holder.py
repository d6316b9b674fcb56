"""Who writes a study, and whether that process still does: read from the lock and from the files' times. No jax import.

Nothing is locked to find it out. Even a shared lock held for a moment would refuse a sweep that starts in that moment.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_bytes
from gan_jax.runs.directory import STATUS

LOCK = "lock"
SAID = re.compile(r"host (?P<host>[^,]{1,255}), pid (?P<pid>\d{1,10})\b")
# What a writer touches, newest last: files that it replaces, and folders that get new entries.
TOUCHED = (STATUS, "report.html", "rows/*", "quality/*", "samples/*", "checkpoints/*")


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
