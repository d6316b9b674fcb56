"""Reads the pickle files of CIFAR, which hold arrays, and nothing that is code.

A pickle names functions and the arguments to call them with; Python's own reader imports and calls whatever a file names
(`os.system`). Here a file may name only what NumPy arrays are stored by, and even that is not called: stand-ins note the
shape, the type and the bytes, and the array is made of them when all of it has been checked.
"""

import io
import math
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gan_jax.core.errors import BadInput, shown

CODES = {f"{kind}{size}" for kind in "ui" for size in (1, 2, 4, 8)}  # of the whole numbers that an array may hold
MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class _Type:
  """Stands for a `numpy.dtype`."""

  def __init__(self, code: Any, *flags: Any):
    del flags
    self.code, self.order = _text(code), "<"

  def __setstate__(self, state: Any) -> None:
    self.order = _text(state[1])

  def checked(self) -> np.dtype:
    if self.code not in CODES or self.order not in ("<", ">", "|", "="):
      raise ValueError(f"an array of type {shown(self.code)}")
    return np.dtype(self.code).newbyteorder("<" if self.order == "|" else self.order)  # type: ignore[arg-type]


class _Array:
  """Stands for a `numpy.ndarray`."""

  def __init__(self, *empty: Any):
    del empty  # shape and type of an empty array, whose contents follow

  def __setstate__(self, state: Any) -> None:
    _, self.shape, self.type, self.fortran, self.content = state

  def checked(self) -> np.ndarray:
    if not isinstance(self.type, _Type) or not isinstance(self.content, (bytes, bytearray)):
      raise ValueError("an array of objects")
    found, shape = self.type.checked(), tuple(self.shape)
    if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * found.itemsize != len(self.content):
      raise ValueError(f"an array of shape {shown(shape)} with {len(self.content):,} bytes")
    return np.frombuffer(self.content, found).reshape(shape, order="F" if self.fortran else "C")


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> _Array:
  """Stands for the function that protocol 5 stores arrays by."""
  made = _Array()
  made.__setstate__((1, shape, kind, order == "F", content))
  return made


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
  """Stands for the function that other protocols store arrays by."""
  del kind, shape, code
  return _Array()


def _encode(text: Any, codec: Any) -> bytes:
  """Stands for `_codecs.encode`, by which protocols before 3 store bytes."""
  if not isinstance(text, str) or codec not in ("latin1", b"latin1"):
    raise ValueError(f"text in the code {shown(codec)}")
  return text.encode("latin1")


STANDINS: dict[str, Callable[..., Any]] = {
  "ndarray": _Array,
  "dtype": _Type,
  "_reconstruct": _reconstruct,
  "_frombuffer": _from_buffer,
}


class _Reader(pickle._Unpickler):
  """Python's reader written in Python: the one in C reserves gigabytes when a damaged file says that they follow."""

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) == ("_codecs", "encode"):
      return _encode
    if module in MODULES and name in STANDINS:
      return STANDINS[name]
    raise ValueError(f"the name {module}.{name}, which a file of pictures has no use for")


def loads(content: bytes, called: str, wanted: Iterable[str]) -> dict[str, Any]:
  """The `wanted` entries of a pickled dict: arrays of whole numbers, and lists of them as arrays.

  Raises:
    BadInput: no pickle, or not of a dict with these entries; or one that holds anything but arrays of whole numbers, dicts,
      lists, tuples, text and numbers. Nothing that it names is imported or called. `called` names it in messages.
  """
  try:
    found = _Reader(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(found, dict):
      raise ValueError(f"a {type(found).__name__}")
    entries = {_text(key): value for key, value in found.items()}
    missing = [name for name in wanted if name not in entries]
    if missing:
      raise ValueError(f"no entry {missing[0]!r}")
    return {name: _numbers(entries[name]) for name in wanted}
  except MemoryError:
    raise
  except Exception as error:  # what a damaged pickle raises depends on the byte
    what = "expected a pickled dict of arrays of whole numbers, as CIFAR's python version has"
    raise BadInput(f"{called}: {what}, got {error or type(error).__name__}; nothing in it was run") from error


def _numbers(value: Any) -> np.ndarray:
  if isinstance(value, _Array):
    return value.checked()
  if isinstance(value, list) and all(type(number) is int for number in value):
    return np.array(value, np.int64)
  raise ValueError(f"{shown(value)} where numbers belong")


def _text(value: Any) -> str:
  """Text, which a file that Python 2 wrote has as bytes."""
  if isinstance(value, bytes):
    return value.decode("latin1")
  if isinstance(value, str):
    return value
  raise ValueError(f"{shown(value)} where text belongs")
