"""Pictures in a folder or a zip, at any depth: their names in one order, their bytes, and a digest of all of them.

Names are sorted, so that neither the order of a file system nor that of a zip's members matters. Nothing is unpacked.
"""

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from gan_jax.core import paths
from gan_jax.core.errors import BadInput, plural, shown
from gan_jax.core.files import patiently
from gan_jax.data.telling import say

READ = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
# Pictures all the same: who has some among the others does not expect that they are passed over.
NOT_READ = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".ppm", ".pgm", ".dng")
LABELS = "dataset.json"  # the labels, as StyleGAN's dataset_tool writes them
LIMIT = 2**28  # bytes of one picture's file, unpacked
SMALL, RATIO = 2**24, 100  # a zip's member of more bytes that unpacks to so many times its size is no picture
AHEAD = 64  # files that the threads work on before the first of them is asked for
Item = TypeVar("Item")
Result = TypeVar("Result")


class Source(NamedTuple):
  """The pictures of a folder or a zip."""

  place: Path
  names: tuple[str, ...]  # relative to the place, with slashes, sorted; at least one
  read: Callable[[str], bytes]  # the contents of a file; may be called from several threads
  digest: Callable[[], str]  # sha256 of all contents, in the order of the names
  labels: bytes | None  # the contents of `LABELS` at the top; None where there is none

  def called(self, name: str) -> str:
    """How messages call one of its files."""
    return f"{self.place}/{name}"


@contextlib.contextmanager
def opened(path: str, what: str) -> Iterator[Source]:
  """The source at `path`; `what` names the option in messages.

  Raises:
    BadInput: neither a folder nor a sound zip; no pictures; a zip with encrypted members, two members of one name, or
      names that lead out of it; a picture of a format that is not read, or that is no regular file.
  """
  place = paths.usable(path, what)
  if place.is_dir():
    yield _folder(place)
    return
  if not place.is_file():
    got = "something else" if os.path.lexists(place) else "no such file or folder"
    raise BadInput(f"{place}: expected a folder or a zip of PNG, JPEG or WebP files, got {got}")
  with contextlib.ExitStack() as stack:
    try:
      archive = stack.enter_context(zipfile.ZipFile(place))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
      raise BadInput(
        f"{place}: expected a folder or a sound zip, got a file of another kind, or a zip that is truncated or damaged "
        f"({error}); copy or download it again"
      ) from error
    yield _zip(place, archive)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
  """`function` of each item, in order, by a pool of threads, a few items ahead. Raises what the first item raises."""
  pool = ThreadPoolExecutor()
  ahead: deque[Future[Result]] = deque()
  try:
    for item in items:
      ahead.append(pool.submit(function, item))
      if len(ahead) > AHEAD:
        yield ahead.popleft().result()
    while ahead:
      yield ahead.popleft().result()
  finally:
    pool.shutdown(cancel_futures=True)


def _folder(place: Path) -> Source:
  names = tuple(sorted(_walk(place, "", frozenset())))
  _check_names(place, names)
  kept = tuple(name for name in names if name.lower().endswith(READ))

  def read(name: str) -> bytes:
    path = place / name
    try:
      if not path.is_file():
        raise BadInput(f"{path}: expected a regular file, got a pipe, a device or a link to nothing; remove it")
      if (size := path.stat().st_size) > LIMIT:
        raise BadInput(f"{path}: expected a picture of at most {LIMIT:,} bytes, got {size:,}")
      return patiently(path.read_bytes)
    except OSError as error:
      raise BadInput(f"{path}: expected a readable file, got {error.strerror or error}") from error

  def digest() -> str:
    hasher = hashlib.sha256()
    for one in in_threads(lambda name: hashlib.sha256(read(name)).digest(), kept):
      hasher.update(one)
    return hasher.hexdigest()

  return Source(place, kept, read, digest, read(LABELS) if LABELS in names else None)


def _walk(place: Path, below: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
  """Names of all files but hidden ones. Links to folders are followed, except where one leads back to a folder above."""
  try:
    here = os.stat(place / below)
    if (here.st_dev, here.st_ino) in above:
      return
    with os.scandir(place / below) as listed:
      entries = [entry for entry in listed if not _hidden(entry.name)]
  except OSError as error:
    raise BadInput(f"{place / below}: expected a readable folder, got {error.strerror or error}") from error
  for entry in entries:
    name = f"{below}/{entry.name}" if below else entry.name
    if _is_folder(entry):
      yield from _walk(place, name, above | {(here.st_dev, here.st_ino)})
    else:
      yield name


def _is_folder(entry: os.DirEntry) -> bool:
  """Whether it is a folder, or a link to one; a link to itself is none."""
  try:
    return entry.is_dir()
  except OSError:
    return False


def _zip(place: Path, archive: zipfile.ZipFile) -> Source:
  members: dict[str, zipfile.ZipInfo] = {}
  for info in archive.infolist():
    name = info.filename.replace("\\", "/")  # as some programs under Windows write them
    if name.startswith("/") or ".." in name.split("/"):
      raise BadInput(f"{place}: expected names inside the zip, got {shown(info.filename)}; pack it again")
    if info.is_dir() or any(_hidden(part) for part in name.split("/")):
      continue
    if info.flag_bits & 1:
      raise BadInput(
        f"{place}: expected a zip without a password, got {shown(name)} encrypted; unpack it into a folder"
      )
    if name in members:
      raise BadInput(f"{place}: expected names that differ, got {shown(name)} twice; pack it again")
    members[name] = info
  _check_names(place, members)

  def read(name: str) -> bytes:
    called, info = f"{place}/{name}", members[name]
    if info.file_size > LIMIT:
      raise BadInput(f"{called}: expected a picture of at most {LIMIT:,} bytes, got {info.file_size:,}")
    if info.file_size > SMALL and info.file_size > RATIO * info.compress_size:
      got = f"{info.file_size:,} bytes out of {info.compress_size:,}"
      raise BadInput(f"{called}: expected a picture, which is hardly smaller in a zip, got {got}; remove it")
    try:
      return unzipped(archive, info)
    except NotImplementedError as error:
      raise BadInput(
        f"{called}: its compression cannot be read here ({error}); unpack the zip into a folder"
      ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
      raise BadInput(f"{called}: damaged inside the zip ({error}); copy or download the zip again") from error

  def digest() -> str:
    try:
      with open(place, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
      raise BadInput(f"{place}: expected a readable file, got {error.strerror or error}") from error

  kept = tuple(sorted(name for name in members if name.lower().endswith(READ)))
  return Source(place, kept, read, digest, read(LABELS) if LABELS in members else None)


def unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
  """The contents of a member, its checksum verified. Not more is unpacked than the size that the zip says.

  `ZipFile.read` unpacks all there is, up to 2 GB at a time, before it cuts it to that size.
  """
  with archive.open(info) as file:
    return file.read(info.file_size + 1)


def _hidden(name: str) -> bool:
  """Whether a file or folder is an operating system's own note beside the user's files."""
  return name.startswith(".") or name == "__MACOSX"


def _check_names(place: Path, names: Iterable[str]) -> None:
  """Raises `BadInput` where there is no picture, or one of a format that is not read; says which labels are not read."""
  there = list(names)
  other = next((name for name in there if name.lower().endswith(NOT_READ)), None)
  if other is not None:
    raise BadInput(f"{place}/{other}: expected PNG, JPEG or WebP; convert it to one of them, or remove it")
  if not any(name.lower().endswith(READ) for name in there):
    what = f"{plural(len(there), 'other file')}, such as {shown(there[0])}" if there else "an empty one"
    kind = "folder" if place.is_dir() else "zip"
    raise BadInput(f"{place}: expected a {kind} with PNG, JPEG or WebP files at any depth, got {what}")
  below = next((name for name in there if name.endswith(f"/{LABELS}")), None)
  if below is not None and LABELS not in there:
    say(
      f"warning: {place}/{below}: not read, because labels belong at the top; pack or name its own folder for its classes"
    )
