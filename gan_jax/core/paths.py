"""Checks of a path that a user gives, and the places of the cache and of downloaded data. No jax import."""

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput, shown

LONGEST = 255  # bytes in the name of one file or folder, on every common file system


def usable(path: Any, what: str) -> Path:
  """The path with `~` resolved; it need not exist. `what` names it in the error message.

  Raises:
    BadInput: it is neither text nor a path, is empty, has unprintable characters, is too long, or may not be accessed.
  """
  text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
  if not isinstance(text, str):
    raise BadInput(f"{what} expected a path, got {type(path).__name__} {shown(path)}")
  if not text or not text.isprintable():
    raise BadInput(f"{what} expected a path of printable characters, got {shown(text)}")
  try:
    found = Path(text).expanduser()
    if any(len(os.fsencode(part)) > LONGEST for part in found.parts):
      raise BadInput(f"{what} expected names of at most {LONGEST} bytes, got {shown(text)}")
    os.stat(found)
  except (FileNotFoundError, NotADirectoryError):
    pass  # whether a missing path is an error is decided by the caller
  except (OSError, RuntimeError) as error:
    raise BadInput(f"{what} {shown(text)} cannot be used: {getattr(error, 'strerror', None) or error}") from error
  return found


def unescaped(text: str) -> str:
  r"""A path as `/proc/self/mountinfo` writes it (proc(5)), with its spaces, tabs, newlines and backslashes as they are.

  >>> unescaped(r"/my\040disk")
  '/my disk'
  """
  return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def cache_directory() -> Path:
  """The user's cache: compiled programs, trained classifiers, decoded pictures. It may be deleted at any time."""
  return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan_jax"


def private(folder: Path) -> Path:
  """The folder, made if it is missing, which this user alone can open (0700): what lies in it is trusted.

  A compiled program of the cache is run, and a classifier decides what is measured. Wider rights, which the umask or an
  earlier version gave, are taken away. Where that cannot be done only the owner is looked at.

  Raises:
    OSError: it cannot be made, or it is another user's, who could put anything into it.
  """
  folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  found = folder.stat()
  if found.st_uid != os.getuid():
    raise PermissionError(errno.EPERM, f"it belongs to user {found.st_uid}, not to {os.getuid()}", str(folder))
  if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
    with contextlib.suppress(OSError):  # a file system that is read only, or keeps no rights
      folder.chmod(0o700)
  return folder


def data_directory() -> Path:
  """Where `fetch` puts data sets, a folder for each, and where they are looked for: `GAN_JAX_DATA` names another place."""
  own = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share")
  return Path(os.environ.get("GAN_JAX_DATA") or Path(own) / "gan_jax").expanduser()
