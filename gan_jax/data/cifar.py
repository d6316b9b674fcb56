"""CIFAR-10 and CIFAR-100, 32x32 RGB (Krizhevsky 2009, "Learning multiple layers of features from tiny images").

`path` names one of the forms in which they are published, by default the file that `launch.sh fetch` downloaded:

    cifar-10-python.tar.gz, or the folder of data_batch_1 ... data_batch_5 and test_batch     (CIFAR-100: train, test)
    cifar-10-binary.tar.gz, or the folder of data_batch_1.bin ... and test_batch.bin          (train.bin, test.bin)
    a zip that StyleGAN's dataset_tool made of one split: PNG files and dataset.json

Pictures that were stored as JPEG are no longer CIFAR: the dataset `images` trains on them, under its own name.
"""

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gan_jax.core import homes, paths
from gan_jax.core.errors import BadInput, plural, shown
from gan_jax.core.registry import Option
from gan_jax.core.types import Data
from gan_jax.data import images, sources
from gan_jax.data.dataset import Dataset, decode_bytes, register
from gan_jax.data.idx import GZIP_MAGIC
from gan_jax.data.unpickling import loads

SHAPE = (3, 32, 32)  # as stored: channels first
PIXELS = 3 * 32 * 32
LIMIT = 2**28  # bytes of a tar, unpacked, and of one file in a folder; CIFAR's are 1.9e8 at most
SPLITS = ("train", "test", "all")


class Form(NamedTuple):
  """How one of the two datasets is stored."""

  name: str
  files: dict[str, tuple[str, ...]]  # of the python version, by split; the binary version adds `.bin`
  sizes: dict[str, int]  # pictures in each of a split's files
  entries: tuple[str, ...]  # of labels, in the order of the binary version's bytes
  classes: dict[str, int]  # by entry


TEN = Form(
  "cifar10",
  {"train": tuple(f"data_batch_{k}" for k in range(1, 6)), "test": ("test_batch",)},
  {"train": 10_000, "test": 10_000},
  ("labels",),
  {"labels": 10},
)
HUNDRED = Form(
  "cifar100",
  {"train": ("train",), "test": ("test",)},
  {"train": 50_000, "test": 10_000},
  ("coarse_labels", "fine_labels"),
  {"coarse_labels": 20, "fine_labels": 100},
)

Place = Annotated[str, Option("the tar.gz as published, the folder of its files, or a zip made by StyleGAN")]
Split = Annotated[str, Option("which pictures", choices=SPLITS)]


@register("cifar10")
def load_ten(*, path: Place = "", split: Split = "train") -> Dataset:
  """uint8 [50000, 32, 32, 3] (test: 10,000; all: both, training pictures first) of ten classes.

  Raises:
    BadInput: no path, and nothing fetched; files that are missing, of other sizes, damaged, or with more in them than
      numbers: the message names them.
  """
  return _load(TEN, path, split, "labels")


@register("cifar100")
def load_hundred(
  *,
  path: Place = "",
  split: Split = "train",
  labels: Annotated[str, Option("100 classes, or their 20 groups", choices=("fine", "coarse"))] = "fine",
) -> Dataset:
  """As `cifar10`, of 100 classes, or of their 20 groups. A zip has the classes that its maker chose."""
  return _load(HUNDRED, path, split, f"{labels}_labels")


def _load(form: Form, path: str, split: str, entry: str) -> Dataset:
  path = path or homes.verified(form.name)
  if not path:
    raise BadInput(
      f"dataset {form.name!r} expected dataset_options.path, its tar.gz, the folder of its files or a zip, got none"
      f"{homes.hint(form.name)}"
    )
  place = paths.usable(path, "dataset_options.path")
  if not os.path.lexists(place):
    raise BadInput(
      f"{place}: expected a readable folder or tar.gz, got No such file or directory{homes.hint(form.name)}"
    )
  splits = ("train", "test") if split == "all" else (split,)
  if place.is_file() and (place.suffix == ".zip" or zipfile.is_zipfile(place)):
    return _zipped(form, path, sum(len(form.files[s]) * form.sizes[s] for s in splits), form.classes[entry])
  contents = _files(place, form)
  suffix = "" if any(name in contents for names in form.files.values() for name in names) else ".bin"
  parts = []
  for one in splits:
    for name in (name + suffix for name in form.files[one]):
      if name not in contents:
        there = ", ".join(sorted(contents)) or "none of its files"
        raise BadInput(f"{place}: dataset {form.name!r} expected the file {name}, got {there}")
      parts.append(_part(form, contents[name], f"{place}/{name}", form.sizes[one], entry))
  pixels, labels = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
  pixels = np.ascontiguousarray(pixels.reshape(-1, *SHAPE).transpose(0, 2, 3, 1))
  data = Data(jnp.asarray(pixels), jnp.asarray(labels, jnp.int32))
  return Dataset(data, decode_bytes, pixels.shape[1:], form.classes[entry], "images")


def _files(place: Path, form: Form) -> dict[str, bytes]:
  """The contents of all of its files in a tar or a folder, by name, whatever the folder inside."""
  wanted = {name + suffix for names in form.files.values() for name in names for suffix in ("", ".bin")}
  found: dict[str, bytes] = {}
  try:
    if place.is_dir():
      for path in sorted([*place.glob("*"), *place.glob("cifar-*/*")]):
        if path.name in wanted and path.is_file():
          _check_size(path.stat().st_size, f"{place}/{path.name}")
          found[path.name] = path.read_bytes()
      return found
    with tarfile.open(fileobj=io.BytesIO(_unpacked(place)), mode="r:") as archive:
      for member in archive:
        if member.name.startswith("/") or ".." in member.name.split("/"):
          raise BadInput(f"{place}: expected names inside the tar, got {shown(member.name)}; download it again")
        name = member.name.rpartition("/")[2]
        if name in wanted and member.isfile():
          stream = archive.extractfile(member)
          assert stream is not None  # it is a file
          found[name] = stream.read()
    return found
  except (tarfile.TarError, EOFError, zlib.error) as error:
    raise BadInput(f"{place}: expected a whole tar.gz, got a truncated or damaged one ({error})") from error
  except OSError as error:
    raise BadInput(f"{place}: expected a readable folder or tar.gz, got {error.strerror or error}") from error


def _unpacked(place: Path) -> bytes:
  """The bytes of a tar, compressed with gzip or not. At most `LIMIT` are unpacked, whatever its headers say."""
  if not place.is_file():
    raise BadInput(f"{place}: expected a readable folder or tar.gz, got a pipe or a device")
  with place.open("rb") as file:
    packed = file.read(2) == GZIP_MAGIC
    file.seek(0)
    content = (gzip.GzipFile(fileobj=file) if packed else file).read(LIMIT + 1)
  _check_size(len(content), f"{place}, unpacked")
  return content


def _check_size(size: int, called: str) -> None:
  if size > LIMIT:
    raise BadInput(f"{called}: expected at most {LIMIT:,} bytes, got more")


def _part(form: Form, content: bytes, called: str, count: int, entry: str) -> tuple[np.ndarray, np.ndarray]:
  """(pixels [count, 3072] uint8, labels [count]) of one file."""
  if called.endswith(".bin"):
    width = len(form.entries) + PIXELS
    if len(content) != count * width:
      raise BadInput(f"{called}: expected {count:,} records of {width:,} bytes, got {len(content):,} bytes")
    records = np.frombuffer(content, np.uint8).reshape(count, width)
    pixels, labels = records[:, len(form.entries) :], records[:, form.entries.index(entry)].astype(np.int64)
  else:
    found = loads(content, called, ("data", entry))
    pixels, labels = found["data"], found[entry]
    if pixels.shape != (count, PIXELS) or pixels.dtype != np.uint8:
      raise BadInput(
        f"{called}: expected data of shape {[count, PIXELS]} in uint8, got {list(pixels.shape)} in {pixels.dtype}"
      )
    if labels.shape != (count,):
      raise BadInput(f"{called}: expected {plural(count, 'label')}, got {list(labels.shape)}")
  if labels.min() < 0 or labels.max() >= form.classes[entry]:
    got = f"{labels.min()} to {labels.max()}"
    raise BadInput(f"{called}: expected labels from 0 to {form.classes[entry] - 1}, got {got}")
  return pixels, labels


def _zipped(form: Form, path: str, count: int, classes: int) -> Dataset:
  """A zip of StyleGAN's dataset_tool: PNG files of one set and their classes."""
  with sources.opened(path, "dataset_options.path") as source:
    other = next((name for name in source.names if not name.lower().endswith(".png")), None)
    if other is not None or source.labels is None:
      got = f"{other}, which is not lossless" if other else "a zip without dataset.json"
      raise BadInput(
        f"{path}: dataset {form.name!r} expected PNG files and dataset.json, as StyleGAN's dataset_tool writes them, "
        f"got {got}; such pictures are not CIFAR, and dataset=images trains on them"
      )
  found: Any = images.load(path=path, classes="json")
  if found.data.images.shape != (count, 32, 32, 3) or found.num_classes > classes:
    got = f"{list(found.data.images.shape)} of {plural(found.num_classes, 'class', 'classes')}"
    raise BadInput(f"{path}: dataset {form.name!r} expected {[count, 32, 32, 3]} of {classes} classes, got {got}")
  return found._replace(num_classes=classes)
