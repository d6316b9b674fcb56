"""Who holds a study's locks, from the text in their files. Nothing is locked to find it out. No jax import.

Even a shared lock that is held for a moment would refuse a sweep that starts in that moment.
"""

import functools
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_bytes

LOCK, LOCKS = "lock", "locks"  # of the whole study, and the folder of those of its groups
SAID = re.compile(r"host (?P<host>[^,]{1,255}), pid (?P<pid>\d{1,10})\b(?:, started (?P<started>[0-9TZ:-]{1,30}))?")
ATTEMPT = re.compile(r"\battempt (\d{1,15})\b")
SHARED = re.compile(r"shared by the workers of locks/, attempt \d{1,15}")


class Holder(NamedTuple):
  """The last process that held a lock."""

  host: str
  pid: int
  since: float  # seconds since 1970, when it took the lock
  alive: bool | None  # whether it holds the lock now; None: it is on another machine, and only its writes can tell
  started: str = ""  # when the process started, UTC; '' where an earlier version did not say
  attempt: int = 0  # how often the lock was taken until then; 0: not known


def told(attempt: int) -> str:
  """What this process writes into a lock."""
  return f"host {os.uname().nodename}, pid {os.getpid()}, started {started()}, attempt {attempt}"


@functools.cache
def started() -> str:
  """When this process started, UTC; of a system without /proc, when this was first called."""
  try:
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    boot = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.M)
    at = int(boot[1]) + ticks / os.sysconf("SC_CLK_TCK") if boot else time.time()
  except (OSError, ValueError, IndexError):
    at = time.time()
  return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def text(lock: Path) -> str:
  """The first line of a lock's file; '' where there is none."""
  try:
    return read_bytes(lock, 4096).decode("utf-8", "replace").partition("\n")[0].strip()
  except (BadInput, OSError):
    return ""


def attempt(said: str) -> int:
  """The attempt in a lock's text; 0 where it says none."""
  found = ATTEMPT.search(said)
  return int(found[1]) if found else 0


def of(lock: Path) -> Holder | None:
  """The process that a lock's text names; None where there is no lock, or where its text is not known yet.

  On this machine a process holds the lock if it exists and has the lock's file open. Where another user's open files may
  not be seen, it is enough that the process exists.
  """
  line = text(lock)
  said = SAID.search(line)
  try:
    found = os.stat(lock)
  except OSError:
    return None
  if said is None:
    return None
  host, pid = said["host"], int(said["pid"])
  alive = _holds(pid, found) if host == os.uname().nodename else None
  return Holder(host, pid, found.st_mtime, alive, said["started"] or "", attempt(line))


def workers(study: Path) -> dict[str, Holder]:
  """By group, the process that last locked that group alone."""
  folder = study / LOCKS
  names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
  found = {name: of(folder / name) for name in names if not name.startswith(".")}
  return {name: holder for name, holder in found.items() if holder is not None}


def holder(study: Path) -> Holder | None:
  """The process that holds a study or, where workers share it, that of them which locked its group last.

  Where nobody is known to live, it is the last that did.
  """
  whole = of(study / LOCK)
  if whole is not None:
    return whole
  found = list(workers(study).values())
  living = [one for one in found if one.alive is not False]
  return max(living or found, key=lambda one: one.since, default=None)


def named(study: Path) -> str:
  """Who holds a study, for a message."""
  said = text(study / LOCK)
  if not SHARED.fullmatch(said):
    return said or "unknown"
  lines = [f"{group}: {text(study / LOCKS / group)}" for group, one in workers(study).items() if one.alive is not False]
  return "; ".join(lines[:1]) + (f"; and {len(lines) - 1} more" if len(lines) > 1 else "") or "workers of its groups"


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
  return any(same(path, lock) for path in opened)


def same(path: Path, file: os.stat_result) -> bool:
  """Whether this path leads to that file."""
  try:
    found = os.stat(path)
  except OSError:
    return False
  return (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino)
