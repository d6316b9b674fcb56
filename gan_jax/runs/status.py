"""The status of a study, changed by several processes: each reads, changes and writes it while the others wait. No jax.

The status is one file for all groups, and each group may be trained by a process of its own.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_jax.core.errors import Failure
from gan_jax.core.files import regular
from gan_jax.runs.directory import read_status, write_status
from gan_jax.runs.lock import UNSUPPORTED

LOCK = "status.lock"
LIMIT = 60.0  # seconds; a change takes some milliseconds
LOOK = 0.005  # seconds between two attempts: flock itself has no time limit


@contextlib.contextmanager
def changed_status(study: Path) -> Iterator[dict[str, Any]]:
  """The status, which is written when the body has changed it. Not written where the body raises.

  Raises:
    BadInput: the status and its copy are damaged.
    Failure: another process has held the lock for `LIMIT` seconds.
  """
  with _alone(study / LOCK):
    status = read_status(study)
    yield status
    write_status(study, status)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
  regular(path)
  with open(path, "a") as file:
    end = time.monotonic() + LIMIT
    while not _locked(file.fileno()):
      if time.monotonic() > end:
        raise Failure(f"{path} was locked by another process for {LIMIT:g} seconds: a stopped process holds it")
      time.sleep(LOOK)
    yield


def _locked(descriptor: int) -> bool:
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError as error:
    if error.errno not in UNSUPPORTED:
      raise
  return True
