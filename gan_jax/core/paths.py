"""Paths that a person gives: usable as they are, or refused in one sentence. No jax import."""

import os
from pathlib import Path

from gan_jax.core.errors import BadInput, shown

LONGEST = 255  # bytes in the name of one file or folder, on every common file system


def usable(path: Path | str, what: str) -> Path:
  """The path with `~` resolved, whether there is something or not; `what` it is of says the message.

  Raises:
    BadInput: it is empty, holds what does not print, is too long, or may not be looked at.
  """
  text = str(path)
  if not text or not text.isprintable():
    raise BadInput(f"{what} expected a path of printable characters, got {shown(text)}")
  try:
    found = Path(text).expanduser()
    if any(len(os.fsencode(part)) > LONGEST for part in found.parts):
      raise BadInput(f"{what} expected names of at most {LONGEST} bytes, got {shown(text)}")
    os.stat(found)
  except (FileNotFoundError, NotADirectoryError):
    pass  # what becomes of it is for the caller to say
  except (OSError, RuntimeError) as error:
    raise BadInput(f"{what} {shown(text)} cannot be used: {getattr(error, 'strerror', None) or error}") from error
  return found
