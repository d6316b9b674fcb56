"""Data files that must be refused: damaged, other than they say, larger than they say, or made to harm who reads them."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BOMB = 2**28 + 2**20  # bytes that a bomb unpacks to


class Bad(NamedTuple):
  """What a config says of the data, and the file that the refusal must name."""

  dataset: str
  options: Mapping[str, str]
  file: Path


class Code:
  """Unpickled, it makes a directory."""

  def __init__(self, path: Path):
    self._path = path

  def __reduce__(self) -> tuple[Any, ...]:
    import os

    return os.mkdir, (str(self._path),)


# IDX


def idx(shape: tuple[int, ...], content: bytes, kind: int = 0x0800) -> bytes:
  """A file of unsigned bytes whose header claims this shape, whatever its contents."""
  return struct.pack(f">{1 + len(shape)}I", kind + len(shape), *shape) + content


IMAGES = idx((80, 8, 8), bytes(80 * 64))
LABELS = idx((80,), bytes(range(10)) * 8)
PACKED = gzip.compress(IMAGES, mtime=0)


def _mnist(images: bytes = IMAGES, labels: bytes = LABELS, wrong: str = "images-idx3") -> Callable[[Path], Bad]:
  def write(folder: Path) -> Bad:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(images)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    return Bad("mnist", {"data_dir": str(folder)}, folder / f"train-{wrong}-ubyte.gz")

  return write


def _flipped() -> bytes:
  """One bit of a compressed picture's checksum is another."""
  return PACKED[:-5] + bytes([PACKED[-5] ^ 1]) + PACKED[-4:]


def _objects() -> bytes:
  file, harmful = io.BytesIO(), np.empty(1, object)
  harmful[0] = Code(Path("ran"))
  np.savez(file, images=harmful, allow_pickle=True)
  return file.getvalue()


def gzip_bomb(head: bytes = b"") -> bytes:
  """`head` and `BOMB` zeros, in a hundredth of their size."""
  packer, zeros = zlib.compressobj(1, wbits=31), bytes(2**20)
  parts = [packer.compress(head), *(packer.compress(zeros) for _ in range(BOMB >> 20)), packer.flush()]
  return b"".join(parts)


# Pictures and archives


def padded(content: bytes, size: int) -> bytes:
  """A gzip file of exactly this many bytes, with a comment that is passed over."""
  packed = gzip.compress(content, mtime=0)
  comment = b"x" * (size - len(packed) - 1) + b"\0"
  return packed[:3] + b"\x10" + packed[4:10] + comment + packed[10:]


def _fetched(folder: Path) -> Bad:
  """In the place of downloaded files, others of the same sizes. `GAN_JAX_DATA` must name `folder`/fetched."""
  from gan_jax.core.homes import HOMES

  place = folder / "fetched" / "mnist"
  place.mkdir(parents=True)
  for file in HOMES["mnist"].files:
    (place / file.name).write_bytes(padded(IMAGES if "images" in file.name else LABELS, file.size))
  return Bad("mnist", {}, place / HOMES["mnist"].files[0].name)


def _loop(folder: Path) -> Bad:
  (folder / "set").mkdir()
  (folder / "set" / "1.png").symlink_to("1.png")
  return Bad("images", {"path": str(folder / "set")}, folder / "set" / "1.png")


def _tar(folder: Path) -> Bad:
  """The files of CIFAR-10 under names that lead out of the archive."""
  with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
      member = tarfile.TarInfo(f"../{name}")
      member.size = len(content := pickle.dumps({"data": Code(folder / "ran"), "labels": [0]}))
      archive.addfile(member, io.BytesIO(content))
  return Bad("cifar10", {"path": str(folder / "cifar.tar.gz")}, folder / "cifar.tar.gz")


# What is wrong with it: a function that writes it into a folder.
FILES: Mapping[str, Callable[[Path], Bad]] = {
  "a truncated gzip file": _mnist(PACKED[:-20]),
  "a flipped gzip file": _mnist(_flipped()),
  "an empty gzip file": _mnist(gzip.compress(b"")),
  "a page in the place of data": _mnist(b"<!DOCTYPE html><html>404 not found</html>"),
  "a wrong magic number": _mnist(idx((80, 8, 8), bytes(80 * 64), 0x0D00)),
  "a header longer than its body": _mnist(idx((81, 8, 8), bytes(80 * 64))),
  "a body longer than its header": _mnist(gzip.compress(idx((79, 8, 8), bytes(80 * 64)))),
  "dimensions of 2^31": _mnist(idx((2**31, 2**31, 2**31), bytes(64))),
  "a gzip bomb": lambda folder: _mnist(gzip_bomb(IMAGES))(folder),
  "another sha256": _fetched,
  "a label of ten": _mnist(labels=idx((80,), bytes(79) + b"\x0a"), wrong="labels-idx1"),
  "junk behind the data": _mnist(PACKED + b"junk"),
  "an array of objects": lambda folder: _mnist(_objects())(folder),
  "a link to itself": _loop,
  "a tar that leads elsewhere": _tar,
}


def chunk(kind: bytes, content: bytes) -> bytes:
  """A chunk of a PNG file."""
  return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, before: bytes = b"", after: bytes = b"") -> bytes:
  """A gray PNG file that claims this size, of one row; other chunks come before or after its pixels."""
  head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
  pixels = chunk(b"IDAT", zlib.compress(bytes(1 + min(width, 4)) * min(height, 4)))
  return b"\x89PNG\r\n\x1a\n" + head + before + pixels + after + chunk(b"IEND", b"")


def _picture(content: Callable[[], bytes]) -> Callable[[Path], Bad]:
  def write(folder: Path) -> Bad:
    (folder / "set").mkdir()
    (folder / "set" / "1.png").write_bytes(content())
    return Bad("images", {"path": str(folder / "set")}, folder / "set" / "1.png")

  return write


def _text() -> bytes:
  return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(BOMB), 1))


def _zip(folder: Path) -> Bad:
  """A member of `BOMB` bytes."""
  with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    archive.writestr("1.png", png(4, 4) + bytes(BOMB))
  return Bad("images", {"path": str(folder / "set.zip")}, folder / "set.zip")


def _lying_zip(folder: Path) -> Bad:
  """As `_zip`; its headers say that the member has 100 bytes."""
  bad = _zip(folder)
  content = bad.file.read_bytes()
  size = struct.pack("<I", len(png(4, 4)) + BOMB)
  assert content.count(size) == 2
  bad.file.write_bytes(content.replace(size, struct.pack("<I", 100)))
  return bad


def _tar_bomb(folder: Path) -> Bad:
  """A member that no reader asks for, before those that it does."""
  member = tarfile.TarInfo("more")
  member.size = BOMB
  (folder / "cifar.tar.gz").write_bytes(gzip_bomb(member.tobuf()))
  return Bad("cifar10", {"path": str(folder / "cifar.tar.gz")}, folder / "cifar.tar.gz")


# What unpacks to far more than its size.
BOMBS: Mapping[str, Callable[[Path], Bad]] = {
  "a gzip bomb": FILES["a gzip bomb"],
  "a zip whose picture is a bomb": _zip,
  "a zip that says less than it holds": _lying_zip,
  "a tar.gz bomb": _tar_bomb,
  "a picture of 50,000 x 50,000": _picture(lambda: png(50_000, 50_000)),
  "a text in a picture": _picture(lambda: png(4, 4, before=_text())),
  "a text behind a picture": _picture(lambda: png(4, 4, after=_text())),
}
