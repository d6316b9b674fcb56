"""Weights of published networks from files: PyTorch's two containers, read without PyTorch, and safetensors.

A `.pth` file is a pickle, which could run any program that its author wrote into it. Here it is read by an unpickler that
knows nothing but tensors, storages and ordered mappings, and refuses the file at the first other name.

The zip container (PyTorch 1.6, 2020, and later) has a member `NAME/data.pkl` with the mapping and one member
`NAME/data/KEY` for each storage. The older one is a sequence of pickles (a magic number, a version, the machine's byte
order, the mapping, the list of keys) followed by the storages in the order of their keys, each after its length.
"""

import hashlib
import io
import math
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core.errors import BadInput, shown
from gan_jax.core.files import read_bytes

MOST = 2**30  # bytes of a file, and of all its tensors
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older container
KINDS: dict[str, np.dtype] = {
  "FloatStorage": np.dtype("<f4"),
  "DoubleStorage": np.dtype("<f8"),
  "HalfStorage": np.dtype("<f2"),
  "LongStorage": np.dtype("<i8"),
  "IntStorage": np.dtype("<i4"),
  "ShortStorage": np.dtype("<i2"),
  "CharStorage": np.dtype("i1"),
  "ByteStorage": np.dtype("u1"),
  "BoolStorage": np.dtype("?"),
}


class Weights(NamedTuple):
  """Tensors by name, and the sha256 of the file that they are from."""

  tensors: dict[str, np.ndarray]
  sha256: str


def read(path: Path, known: Mapping[str, str] | None = None) -> Weights:
  """The tensors of a `.pth`, `.pt` or `.safetensors` file.

  Args:
    path: the file.
    known: what files are whose sha256 begins so, and that are refused.

  Raises:
    BadInput: it is missing, larger than `MOST`, one of `known`, of another kind, damaged, or has anything but tensors in it.
  """
  content = read_bytes(path, MOST)
  digest = hashlib.sha256(content).hexdigest()
  for beginning, what in (known or {}).items():
    if digest.startswith(beginning):
      raise BadInput(f"{path} is {what}")
  try:
    if path.suffix == ".safetensors":
      found = _safetensors(path, content)
    elif zipfile.is_zipfile(io.BytesIO(content)):
      found = _zipped(content)
    else:
      found = _sequence(content)
    return Weights(_named(found), digest)
  except BadInput as error:
    raise BadInput(f"{path}: {error}") from error
  except Exception as error:  # a damaged pickle or zip can raise anything
    raise BadInput(
      f"{path} expected weights as PyTorch or safetensors write them, got {type(error).__name__}: {error}"
    ) from error


class Tensor(NamedTuple):
  """A tensor before its storage is read."""

  kind: np.dtype
  key: str
  offset: int  # all in elements
  size: tuple[int, ...]
  stride: tuple[int, ...]


class Storage(NamedTuple):
  """What stands for a storage within the pickle."""

  kind: np.dtype
  key: str


def _unpickler(file: Any) -> pickle._Unpickler:
  """An unpickler of tensors. Its classes and functions are made anew for each file, which may set their attributes."""

  class Mapped(dict):  # an ordered mapping; the pickle of a module's weights sets an attribute of it
    pass

  def tensor(storage: Storage, offset: int, size: tuple, stride: tuple, *rest: Any) -> Tensor:
    sound = isinstance(storage, Storage) and all(
      isinstance(x, int) and 0 <= x < 2**40 for x in (offset, *size, *stride)
    )
    if not sound or len(size) != len(stride):
      raise BadInput(
        f"expected a tensor's storage, offset, size and stride, got {shown((storage, offset, size, stride))}"
      )
    return Tensor(storage.kind, storage.key, offset, tuple(size), tuple(stride))

  allowed: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Mapped,
    ("torch._utils", "_rebuild_tensor_v2"): tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *rest: data,
    **{("torch", name): kind.str for name, kind in KINDS.items()},
  }

  # Written in Python: the one in C reserves gigabytes when a damaged file says that they follow.
  class Restricted(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
      if (module, name) not in allowed:
        raise BadInput(f"expected a file of tensors, got one that would call {module}.{name}")
      return allowed[module, name]

    def persistent_load(self, saved: Any) -> Storage:
      if not (isinstance(saved, tuple) and len(saved) >= 3 and saved[0] == "storage" and isinstance(saved[1], str)):
        raise BadInput(f"expected a reference to a storage, got {shown(saved)}")
      return Storage(np.dtype(saved[1]), str(saved[2]))

  return Restricted(file, encoding="utf-8")


def _zipped(content: bytes) -> dict[str, Any]:
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    members = {info.filename: info for info in archive.infolist()}

    def member(name: str) -> bytes:
      with archive.open(
        members[name]
      ) as file:  # `read` unpacks all there is before it cuts it to the size it is to have
        return file.read(members[name].file_size + 1)

    if sum(info.file_size for info in members.values()) > MOST:
      raise BadInput(f"expected at most {MOST:,} bytes unpacked")
    if any(name.rpartition("/")[2] == "constants.pkl" for name in members):
      raise BadInput("expected a file of tensors, got a TorchScript program")
    root = next((name.removesuffix("data.pkl") for name in members if name.endswith("data.pkl")), None)
    if root is None:
      raise BadInput("expected a zip file with data.pkl in it, as PyTorch writes it, got another")
    if f"{root}byteorder" in members and member(f"{root}byteorder") != b"little":
      raise BadInput("expected little-endian numbers, got others")
    mapping = _unpickler(io.BytesIO(member(f"{root}data.pkl"))).load()
    return _filled(mapping, lambda key: member(f"{root}data/{key}"))


def _sequence(content: bytes) -> dict[str, Any]:
  file = io.BytesIO(content)
  if content[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04") or _unpickler(file).load() != MAGIC:
    raise BadInput("expected weights as PyTorch or safetensors write them, got a file of another kind")
  _, machine, mapping = (_unpickler(file).load() for _ in range(3))
  if not machine.get("little_endian", True):
    raise BadInput("expected little-endian numbers, got others")
  sizes = {tensor.key: tensor.kind.itemsize for tensor in mapping.values() if isinstance(tensor, Tensor)}
  storages = {}
  for key in _unpickler(file).load():
    (length,) = struct.unpack("<q", file.read(8))
    storages[str(key)] = file.read(length * sizes.get(str(key), 1))
  return _filled(mapping, storages.__getitem__)


def _filled(mapping: Any, storage: Callable[[str], bytes]) -> dict[str, Any]:
  """The mapping with an array for each tensor."""
  if not isinstance(mapping, dict):
    raise BadInput(f"expected tensors by name, got {type(mapping).__name__}")
  total, found = 0, {}
  for name, tensor in mapping.items():
    if isinstance(tensor, Tensor):
      total += math.prod(tensor.size) * tensor.kind.itemsize
      if total > MOST:
        raise BadInput(f"expected at most {MOST:,} bytes of tensors")
      found[name] = _array(tensor, storage(tensor.key))
    else:
      found[name] = tensor
  return found


def _array(tensor: Tensor, content: bytes) -> np.ndarray:
  """A copy of the tensor's elements; its strides may not reach beyond its storage."""
  flat = np.frombuffer(content, tensor.kind)
  last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
  if math.prod(tensor.size) and last >= len(flat):
    raise BadInput(f"a tensor of shape {list(tensor.size)} reaches beyond its storage of {len(flat):,} numbers")
  if not math.prod(tensor.size):
    return np.zeros(tensor.size, tensor.kind)
  steps = [step * tensor.kind.itemsize for step in tensor.stride]
  return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, steps).copy()


def _safetensors(path: Path, content: bytes) -> dict[str, Any]:
  try:
    from safetensors.numpy import load
  except ImportError as error:
    raise BadInput(f"expected the package safetensors, to read this file, got none: {extra()}") from error
  return dict(load(content))


def extra() -> str:
  """How to install what the networks of features need."""
  return f"{Path(sys.executable).name} -m pip install 'gan_jax[features]'"


def _named(found: Mapping[Any, Any]) -> dict[str, np.ndarray]:
  """The tensors by name, once they are known to be nothing else."""
  wrong = next((n for n, x in found.items() if not (isinstance(n, str) and isinstance(x, np.ndarray))), None)
  if wrong is not None:
    raise BadInput(f"expected a tensor for each name, got {type(found[wrong]).__name__} for {shown(wrong)}")
  return dict(found)


def expect(found: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
  """Raises `BadInput` unless these are the tensors of a network, by name and shape.

  Counters of batches (`num_batches_tracked`) may be missing or there.
  """
  there = {name: x.shape for name, x in found.items() if not name.endswith("num_batches_tracked")}
  missing, more = shapes.keys() - there.keys(), there.keys() - shapes.keys()
  other = [name for name in shapes if name in there and there[name] != shapes[name]]
  wrong = [
    *(f"{name} of shape {list(there[name])} instead of {list(shapes[name])}" for name in other[:1]),
    *(f"no {name}" for name in sorted(missing)[:1]),
    *(f"{name}, which this network does not have" for name in sorted(more)[:1]),
  ]
  if wrong:
    raise BadInput(f"got weights of another network: {', '.join(wrong)}")
  if any(not np.isfinite(x).all() for x in found.values() if x.dtype.kind == "f"):
    raise BadInput("got weights that are not finite")
