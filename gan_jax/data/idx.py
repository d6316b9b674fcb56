"""A strict reader of the IDX format of MNIST: a file that does not match its header to the byte is refused.

A file is big-endian: the magic number 0x000008DD (unsigned bytes in D dimensions), D sizes of four bytes each, then the
bytes, last dimension fastest (LeCun, Cortes and Burges, "The MNIST database"). It may be compressed with gzip, which is
recognised by its contents, not by its name.
"""

import gzip
import math
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_jax.core.errors import BadInput

LIMIT = 2**30  # bytes; a header that claims more is damaged or malicious
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
  """The uint8 array in `path`. `shape` is the expected shape, with None where any size of at least 1 is accepted.

  Raises:
    BadInput: the file cannot be read, is empty, is no IDX file, has another shape, or is longer or shorter than its
      header says; compressed, it is truncated or fails its checksum. No more is decompressed than the header claims.
  """
  try:
    # Reading a pipe would block, and a device has no end.
    if not stat.S_ISREG(kind := path.stat().st_mode):
      got = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
      raise BadInput(f"{path}: expected a readable IDX file, got {got}")
    with path.open("rb") as file:
      compressed = file.read(2) == GZIP_MAGIC
      file.seek(0)
      if not compressed:
        return _read(path, file, shape)
      with gzip.GzipFile(fileobj=file) as stream:
        return _read(path, stream, shape)
  except EOFError as error:
    raise BadInput(f"{path}: expected a complete gzip file, got a truncated one ({error})") from error
  except (gzip.BadGzipFile, zlib.error) as error:
    raise BadInput(f"{path}: expected a sound gzip file, got a damaged one ({error})") from error
  except OSError as error:
    raise BadInput(f"{path}: expected a readable IDX file, got {error.strerror or error}") from error


def _read(path: Path, stream: BinaryIO | gzip.GzipFile, shape: tuple[int | None, ...]) -> np.ndarray:
  magic = 0x0800 + len(shape)
  header = stream.read(4 + 4 * len(shape))
  if header[:4] != struct.pack(">I", magic):
    raise BadInput(f"{path}: expected an IDX file with magic number 0x{magic:08x}, got {_describe(header)}")
  if len(header) < 4 + 4 * len(shape):
    raise BadInput(f"{path}: expected a header of {4 + 4 * len(shape)} bytes, got {len(header)}")
  sizes = struct.unpack(f">{len(shape)}I", header[4:])
  if any(size < 1 if want is None else size != want for size, want in zip(sizes, shape, strict=True)):
    wanted = " x ".join(letter if want is None else str(want) for letter, want in zip("NHW", shape, strict=False))
    raise BadInput(f"{path}: expected an array of {wanted}, got {' x '.join(map(str, sizes))}")
  claimed = math.prod(sizes)
  if claimed > LIMIT:
    raise BadInput(f"{path}: expected at most {LIMIT} bytes, got a header that claims {claimed}")
  # One byte more than claimed, to detect trailing bytes; and gzip verifies its checksum only when the end is read.
  body = stream.read(claimed + 1)
  if len(body) != claimed:
    got = "more" if len(body) > claimed else str(len(body))
    raise BadInput(f"{path}: expected {claimed} bytes after the header ({' x '.join(map(str, sizes))}), got {got}")
  return np.frombuffer(body, np.uint8).reshape(sizes)


def _describe(header: bytes) -> str:
  if not header:
    return "an empty file"
  if header.lstrip()[:1] == b"<":
    return "what looks like an HTML page (a download that failed?)"
  return f"a file that begins with {header[:4].hex(' ')}"
