"""Stand-in until the locks of `survive` are there: same names."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from gan_jax.core.errors import BadInput


class Taken(BadInput):
  """Another process holds the lock. The message names it."""


class GroupTaken(Taken):
  """Another worker holds the group."""


@contextlib.contextmanager
def writer_lock(study: Path) -> Iterator[int]:
  study.mkdir(parents=True, exist_ok=True)
  with _flock(study / "lock", fcntl.LOCK_EX, Taken):
    yield 1


@contextlib.contextmanager
def group_lock(study: Path, group: str) -> Iterator[int]:
  (study / "locks").mkdir(parents=True, exist_ok=True)
  with _flock(study / "lock", fcntl.LOCK_SH, Taken), _flock(study / "locks" / group, fcntl.LOCK_EX, GroupTaken):
    yield 1


@contextlib.contextmanager
def _flock(path: Path, kind: int, error: type) -> Iterator[None]:
  with open(path, "a+") as file:
    try:
      fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise error(f"{path} is being written by another process ({file.read().strip() or 'unknown'})") from None
    if kind == fcntl.LOCK_EX:
      file.truncate(0)
      file.write(f"host {os.uname().nodename}, pid {os.getpid()}")
      file.flush()
    yield
