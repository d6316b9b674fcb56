"""Files that are written whole and renamed into place, read with every byte checked, and never deleted. No jax import.

Three kinds of failure are told apart. A file is *damaged* if its bytes can be read but are not those that were written
(`Damaged`). It is *unusable* if it is missing or may not be read (`BadInput`). If the *machine failed* (a disk error, a
lost server, too many open files), reading is tried again, and raises `OSError` if it keeps failing.
"""

import contextlib
import datetime
import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gan_jax.core.errors import BadInput, one_line

# Failures of the machine, not of the file: the same call may succeed a moment later.
TRANSIENT = frozenset(
  getattr(errno, name)
  for name in ("EIO", "ESTALE", "EINTR", "EAGAIN", "EBUSY", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT", "ENODEV")
  + ("EREMOTEIO", "ECONNRESET", "EHOSTDOWN", "ENOTCONN", "ESHUTDOWN", "ENOLCK")
  if hasattr(errno, name)
)
WAITS = (0.05, 0.2, 0.8)  # seconds before each further attempt
JSON_BYTES = 2**28  # largest size of a JSON file
ARRAY_BYTES = 2**30  # largest size of a file's arrays, unpacked: a few kilobytes of zip can hold petabytes
SET_ASIDE = "set_aside"
Result = TypeVar("Result")


class Damaged(BadInput):
  """A file whose contents are not what was written. `reason` is the message without the file's name."""

  def __init__(self, path: Path, reason: str):
    self.path, self.reason = path, one_line(reason)[:300]
    super().__init__(f"{path} is damaged: {self.reason}")


def patiently(action: Callable[[], Result]) -> Result:
  """`action()`, tried again where the machine failed. Raises the last `OSError` after `len(WAITS) + 1` attempts."""
  for wait in WAITS:
    try:
      return action()
    except OSError as error:
      if error.errno not in TRANSIENT:
        raise
      time.sleep(wait)
  return action()


def write_atomic(path: Path, content: bytes) -> None:
  """Replace `path` by `content` atomically; it is on disk when this returns."""
  path.parent.mkdir(parents=True, exist_ok=True)
  scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a concurrent report or export has another name
  try:
    with open(scratch, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(scratch, path)
  except OSError:
    with contextlib.suppress(OSError):  # the first error is the one to report
      scratch.unlink(missing_ok=True)
    raise
  settle(path.parent)


def settle(folder: Path) -> None:
  """Write a folder's list of names to disk."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def set_aside(root: Path, path: Path, why: str) -> Path:
  """Move a file or folder of `root` to `set_aside/<UTC time>-<why>/<its path in root>`; returns the new path."""
  moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
  name = f"{moment}-{re.sub('[^a-z0-9]+', '-', why.lower()).strip('-')[:40]}"
  place = path.relative_to(root)
  target = next(
    t for n in range(1, 10**6) if not os.path.lexists(t := root / SET_ASIDE / (name + f"-{n}" * (n > 1)) / place)
  )
  target.parent.mkdir(parents=True, exist_ok=True)
  try:
    os.rename(path, target)
  except OSError as error:
    if error.errno != errno.EXDEV:
      raise
    shutil.move(path, target)  # a folder of the study is a link to another disk: copy, then delete
  settle(target.parent)
  settle(path.parent)
  return target


def read_bytes(path: Path, most: int) -> bytes:
  """The contents of a regular file of at most `most` bytes.

  Raises:
    Damaged: it is larger, or no regular file (reading a pipe would never end).
    BadInput: it is missing, or may not be read.
    OSError: the machine failed, several times in a row.
  """

  def read() -> bytes:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
      raise Damaged(path, "expected a regular file")
    if found.st_size > most:
      raise Damaged(path, f"expected at most {most:,} bytes, got {found.st_size:,}")
    with open(path, "rb") as file:
      return file.read(most + 1)

  try:
    return patiently(read)
  except OSError as error:
    if error.errno is not None and error.errno in TRANSIENT:
      raise OSError(error.errno, f"{os.strerror(error.errno)}, after {len(WAITS) + 1} attempts", str(path)) from error
    raise BadInput(f"cannot read {path}: {error.strerror or error}") from error


# JSON


def write_json(path: Path, value: Any) -> None:
  write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
  """Read strict JSON, without NaN or infinity. Raises as `read_bytes` does, and `Damaged` for other text."""

  def refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")

  content = read_bytes(path, JSON_BYTES)
  try:
    return json.loads(content.decode(), parse_constant=refuse)
  except RecursionError as error:
    raise Damaged(path, "brackets are nested too deeply") from error
  except ValueError as error:
    raise Damaged(path, str(error)) from error


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
  """`value` with an entry `sha256`: the digest of all other entries as canonical JSON."""
  rest = {name: entry for name, entry in value.items() if name != "sha256"}
  text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
  return {**rest, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def sealed(value: Any) -> bool:
  """Whether `value` is a mapping with its own correct digest."""
  try:
    return isinstance(value, dict) and seal(value)["sha256"] == value.get("sha256")
  except (ValueError, RecursionError):  # an infinite number; deeply nested brackets
    return False


# Arrays


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
  buffer = io.BytesIO()
  np.savez_compressed(buffer, allow_pickle=False, **arrays)
  write_atomic(path, buffer.getvalue())


def read_arrays(
  path: Path, check: Callable[[str, np.dtype, tuple[int, ...]], str | None] | None = None
) -> dict[str, np.ndarray]:
  """The arrays of an `.npz` file, each one's CRC verified.

  Args:
    path: the file.
    check: (name, dtype, shape) -> what is wrong with it, or None; called for every array before any is unpacked.

  Raises:
    Damaged: it is no such file, has objects in it, is larger than `ARRAY_BYTES`, or fails the check.
    BadInput, OSError: as `read_bytes`.
  """
  content = read_bytes(path, ARRAY_BYTES)
  try:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
      if len(members) < len(archive.infolist()):
        raise ValueError("two arrays of one name")
      total = 0
      for name, info in members.items():
        total += info.file_size
        if total > ARRAY_BYTES:
          raise ValueError(f"its arrays have more than {ARRAY_BYTES:,} bytes")
        with archive.open(info) as file:
          wrong = _wrong_header(file, info.file_size, name, check)
        if wrong:
          raise ValueError(wrong)
      return {name: _array(archive, info) for name, info in members.items()}
  except MemoryError:
    raise
  except Exception as error:  # zlib.error, BadZipFile, SyntaxError: a flipped bit in a header can raise anything
    raise Damaged(path, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}") from error


def _wrong_header(file: Any, size: int, name: str, check: Callable[..., str | None] | None) -> str | None:
  """What is wrong with an array, judged by its header; None where nothing is."""
  version = np.lib.format.read_magic(file)
  if version != (1, 0):  # which names of fields of 64 kB do not fit; a header of 2.0 may be 4 GB, and is read whole
    return f"array {name!r} is of an unknown version {version}"
  try:
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
  except MemoryError as error:  # of the parser's stack, for a header of many brackets
    raise ValueError("the header cannot be parsed") from error
  if dtype.hasobject or dtype.names or dtype.subdtype:
    return f"array {name!r} holds {dtype}, expected numbers or text"
  count = 1
  for length in shape:
    count *= length
  if min(shape, default=0) < 0 or file.tell() + count * dtype.itemsize != size:
    return f"array {name!r} says {list(shape)} of {dtype}, and has {size:,} bytes"
  return check(name, dtype, shape) if check else None


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
  with archive.open(info) as file:
    array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):  # reading to the end verifies the CRC
      raise ValueError("bytes after the end")
    return array


def regular(path: Path) -> None:
  """Raises `BadInput` where there is something else than a regular file: a link's target would be written over, and opening
  a pipe would wait for ever."""
  if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
    raise BadInput(f"{path} expected a regular file, got something else; remove it")
