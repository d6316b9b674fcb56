"""One launcher for a study: a second one is refused, whose workers would only wait for those of the first. No jax import."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from gan_jax.core.errors import BadInput
from gan_jax.core.files import regular
from gan_jax.runs.tries import FOLDER

LOCK = "lock"


@contextlib.contextmanager
def alone(study: Path) -> Iterator[None]:
  """Lock the study for launchers. Workers do not inherit the lock, and the kernel releases it even after SIGKILL.

  Raises:
    BadInput: another launcher holds it; the message names that.
  """
  path = study / FOLDER / LOCK
  path.parent.mkdir(parents=True, exist_ok=True)
  regular(path)
  with open(path, "a+") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      other = file.read().strip() or "unknown"
      raise BadInput(f"{study} is being trained by another launcher ({other}); ./launch.sh status follows it") from None
    file.truncate(0)
    file.write(f"host {os.uname().nodename}, pid {os.getpid()}\n")
    file.flush()
    yield
