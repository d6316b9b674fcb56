"""The pictures of a source, decoded once: a file of uint8 pixels in the cache, mapped into memory and read-only.

The name of the file holds a digest of the *contents* of all pictures, of the rules and of the decoder's version. Sizes and
times of change would be quicker to compare, but a file can be replaced by another of the same size and time (`cp -p`,
`rsync -t`), and old pixels under new data are an error that nobody would see. Reading and hashing the pictures is many
times as fast as decoding them.

A file is `.npy`, followed by the sha256 of all before it. It is written as `.part` under a lock, synchronised to disk and
renamed: a name ending in `.npy` is never half a file. The kernel releases the lock of a process that dies, however it
dies, and the next one removes what it left. A process that finds the lock held waits, and uses what the other made.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL

from gan_jax.core.errors import BadInput, Failure, plural
from gan_jax.core.files import settle
from gan_jax.core.paths import cache_directory, private
from gan_jax.data import pictures
from gan_jax.data.pictures import Rules
from gan_jax.data.sources import Source, in_threads
from gan_jax.data.telling import EVERY, counter, say

VERSION = 1  # raise it when `pictures` makes other pixels of the same file
SEAL = hashlib.sha256().digest_size
WAIT = 0.1  # seconds between two looks at a lock


def cached(source: Source, rules: Rules) -> np.ndarray:
  """uint8 [N, H, W, C], one for each name of the source, in their order; mapped from the cache, read-only.

  Raises:
    BadInput: a file that cannot be used (the message names it), or pictures of several sizes, or gray and coloured ones,
      which the rules do not make alike; or the source was changed meanwhile.
    Failure: the cache cannot be written.
  """
  say(f"{source.place}: looking for changes in {plural(len(source.names), 'picture')}")
  contents = source.digest()
  key = hashlib.sha256(f"{VERSION} {PIL.__version__} {rules} {len(source.names)} {contents}".encode()).hexdigest()
  path = cache_directory() / "pictures" / f"{key[:32]}.npy"
  try:
    private(private(path.parent.parent) / path.parent.name)
    found = _mapped(path)
    if found is None:
      _sweep(path.parent)
      _make(path, source, rules, contents)
      found = _mapped(path)
  except OSError as error:
    raise Failure(
      f"decoded pictures cannot be kept in {path.parent}: {error.strerror or error}; XDG_CACHE_HOME names another place"
    ) from error
  if found is None:
    raise Failure(f"{path} was damaged or removed as soon as it was written; XDG_CACHE_HOME names another place")
  return found


def _mapped(path: Path) -> np.ndarray | None:
  """The pixels in a file of the cache; None where it is missing or not, to the byte, what was written."""
  try:
    whole: Any = np.memmap(path, np.uint8, "r")
    if hashlib.sha256(whole[:-SEAL]).digest() != whole[-SEAL:].tobytes():
      return None
    return np.load(path, mmap_mode="r", allow_pickle=False)
  except (OSError, ValueError):  # missing, or empty
    return None


def _make(path: Path, source: Source, rules: Rules, contents: str) -> None:
  part = path.with_suffix(".part")
  with _claimed(part) as file:
    try:
      if _mapped(path) is not None:  # by another process, while this one waited for the lock
        part.unlink()
        return
      file.truncate(0)
      with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about metadata and large pictures
        _write(file, source, rules)
      if source.digest() != contents:
        raise BadInput(f"{source.place}: changed while it was being read; run the same command again")
      file.flush()
      os.fsync(file.fileno())
      os.replace(part, path)
    except BaseException:
      with contextlib.suppress(OSError):  # the first error is the one to report
        part.unlink()
      raise
    settle(path.parent)


def _write(file: BinaryIO, source: Source, rules: Rules) -> None:
  """The pictures of the source, one after the other, as `.npy` and its digest."""
  names, hasher = source.names, hashlib.sha256()

  def put(content: bytes) -> None:
    hasher.update(content)
    file.write(content)

  def read(name: str) -> np.ndarray:
    return pictures.read(source.read(name), source.called(name), rules)

  first = read(names[0])
  if (free := shutil.disk_usage(os.path.dirname(file.name)).free) < (needed := len(names) * first.size):
    raise OSError(errno.ENOSPC, f"they need {needed:,} bytes, and {free:,} are free")
  put(_header((len(names), *first.shape)))
  count = counter(f"decoding {source.place}", len(names))
  with contextlib.closing(in_threads(read, names)) as decoded:
    for number, picture in enumerate(decoded):
      if picture.shape != first.shape:
        raise BadInput(f"{source.called(names[number])}: {_unlike(picture, first, source.called(names[0]))}")
      put(picture.tobytes())
      count(number + 1)
  file.write(hasher.digest())


def _header(shape: tuple[int, ...]) -> bytes:
  """The beginning of a `.npy` file of uint8."""
  beginning = io.BytesIO()
  np.lib.format.write_array_header_1_0(beginning, {"descr": "|u1", "fortran_order": False, "shape": shape})
  return beginning.getvalue()


def _unlike(picture: np.ndarray, first: np.ndarray, called: str) -> str:
  form = {1: "gray", 3: "RGB"}
  here, there = (f"{p.shape[0]} x {p.shape[1]} {form[p.shape[2]]}" for p in (picture, first))
  advice = []
  if picture.shape[:2] != first.shape[:2]:
    advice.append("dataset_options.resolution=N crops and resizes all to N x N")
  if picture.shape[2] != first.shape[2]:
    advice.append("dataset_options.colour=gray or rgb makes all alike")
  return f"expected {there} (height x width) as {called}, got {here}; {', and '.join(advice)}"


@contextlib.contextmanager
def _claimed(part: Path) -> Iterator[BinaryIO]:
  """The file, open for writing, which no other process or thread has while the body runs."""
  told = time.monotonic()
  while True:
    file = open(part, "ab")  # noqa: SIM115  (closed below)
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      if _is(part, file):  # not renamed or removed since it was opened
        break
    except BlockingIOError:
      if time.monotonic() - told >= EVERY:
        told = time.monotonic()
        say("another process decodes the same pictures: waiting for it")
      time.sleep(WAIT)
    except BaseException:
      file.close()
      raise
    file.close()
  with file:
    yield file


def _is(path: Path, file: BinaryIO) -> bool:
  """Whether the open file is the one of that name."""
  try:
    return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
  except FileNotFoundError:
    return False


def _sweep(folder: Path) -> None:
  """Remove what processes left that were killed while they decoded: files whose lock nobody holds."""
  for part in folder.glob("*.part"):
    with contextlib.suppress(OSError), open(part, "ab") as file:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      if _is(part, file):
        part.unlink()
