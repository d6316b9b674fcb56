"""MNIST, and other data in IDX files: Fashion-MNIST, KMNIST, EMNIST, or your own grey images of any size.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits". Nothing is downloaded: the files are read
from the folder that `data_dir` names. Their names may be those of any of these sets as published,

    train-images-idx3-ubyte   train-images.idx3-ubyte   emnist-letters-train-images-idx3-ubyte   t10k-..., test-...

with or without `.gz`, or inside a folder of that name. Images are used as they are stored (EMNIST stores them
transposed).
"""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, decode_bytes, register
from gan_jax.data.idx import read_idx

CLASSES = 10
# Of EMNIST's splits (Cohen et al. 2017, arXiv:1702.05373): the first label, and how many classes there are.
EMNIST = {"balanced": (0, 47), "byclass": (0, 62), "bymerge": (0, 47), "letters": (1, 26)}
NAME = re.compile(
  r"(?:(?P<prefix>.+)-)?(?P<set>train|t10k|test)-(?P<what>images|labels)[-.]idx(?P<axes>[13])[-.]ubyte(?:\.gz)?"
)
SETS = ("train", "t10k", "test")  # in order of preference
AXES = {"images": "3", "labels": "1"}


class Pair(NamedTuple):
  """The files of one set in a folder; None where there is none."""

  images: Path | None
  labels: Path | None


@register("mnist")
def load(*, data_dir: Annotated[str, Option("folder of the IDX files")] = "") -> Dataset:
  """uint8 [N, H, W, 1] and their classes: the training set in `data_dir`, or the test set where there is none.

  Without a file of labels there is one class. Labels are 0 to 9. More classes are accepted if all of them occur,
  counted from 0 or 1, or if the name is that of a split of EMNIST.

  Raises:
    BadInput: no folder given; files that are missing (the message names them), of several sets, or damaged; labels out of
      range, or not as many as images.
  """
  if not data_dir:
    raise BadInput("dataset 'mnist' expected dataset_options.data_dir, the folder of its IDX files, got none")
  prefix, pair = _choose(data_dir)
  assert pair.images is not None
  images = read_idx(pair.images, (None, None, None))
  labels, classes = np.zeros(len(images), np.int32), 1
  if pair.labels is not None:
    stored = read_idx(pair.labels, (None,))
    if len(images) != len(stored):
      raise BadInput(f"{pair.labels}: expected {len(images)} labels, one per image of {pair.images}, got {len(stored)}")
    first, classes = _classes(pair.labels, prefix, stored)
    labels = stored.astype(np.int32) - first
  data = Data(jnp.asarray(images[..., None]), jnp.asarray(labels))
  return Dataset(data, decode_bytes, (*images.shape[1:], 1), classes, "images")


def is_there(data_dir: str) -> bool:
  """Whether a folder has any file that `load` would read."""
  try:
    return any(NAME.fullmatch(path.name) for path in Path(data_dir).expanduser().iterdir())
  except (OSError, RuntimeError, ValueError):
    return False


def _choose(data_dir: str) -> tuple[str, Pair]:
  """(prefix of the names, the files): names without a prefix are preferred, and the training set to the test set."""
  try:
    folder = Path(data_dir).expanduser()
    named = [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.is_dir() else []
    entries = sorted(named, key=_preference)
  except (OSError, RuntimeError, ValueError) as error:
    raise BadInput(
      f"{data_dir}: expected a readable folder, got {getattr(error, 'strerror', None) or error}"
    ) from error
  found: dict[str, dict[tuple[str, str], Path]] = {}
  for path in entries:
    match = NAME.fullmatch(path.name)
    if match and AXES[match["what"]] == match["axes"]:
      files = found.setdefault(match["prefix"] or "", {})
      files.setdefault((match["set"], match["what"]), _inside(path))
  if not found:
    kind = "a folder without them" if folder.is_dir() else "no such folder"
    expected = (
      "train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    )
    raise BadInput(f"{folder}: expected {expected} (or .gz), got {kind}")
  if "" not in found and len(found) > 1:
    raise BadInput(f"{folder}: expected the files of one data set, got those of {' and '.join(found)}")
  prefix = "" if "" in found else next(iter(found))
  pairs = {name: Pair(found[prefix].get((name, "images")), found[prefix].get((name, "labels"))) for name in SETS}
  chosen = next(name for name, pair in pairs.items() if any(pair))
  if pairs[chosen].images is None:
    stem = f"{prefix}-" * bool(prefix) + f"{chosen}-images-idx3-ubyte"
    raise BadInput(f"{folder}: expected {stem} or {stem}.gz beside the rest of its set, found neither")
  return prefix, pairs[chosen]


def _preference(path: Path) -> tuple[bool, bool, bool, str]:
  """A sort key for several spellings of one file: files before folders, uncompressed before gzip, dashes before dots."""
  return path.is_dir(), path.suffix == ".gz", ".idx" in path.name, path.name


def _inside(path: Path) -> Path:
  """The file itself; or, if it is a folder (as some archives unpack), the only file of such a name inside."""
  within = [p for p in sorted(path.iterdir()) if NAME.fullmatch(p.name) and p.is_file()] if path.is_dir() else []
  return within[0] if len(within) == 1 else path


def _classes(path: Path, prefix: str, labels: np.ndarray) -> tuple[int, int]:
  """(the first label, how many classes)."""
  split = EMNIST.get(prefix.removeprefix("emnist-"))
  low, high = int(labels.min()), int(labels.max())
  if split and split[0] <= low and high < sum(split):
    return split
  if high < CLASSES and not split:
    return 0, CLASSES
  if not split and low <= 1 and len(np.unique(labels)) == high - low + 1:
    return low, high - low + 1
  first, count = split or (0, CLASSES)
  more = "" if split else " (more classes are believed where every one of them occurs)"
  raise BadInput(
    f"{path}: expected labels from {first} to {first + count - 1}, got {low if low < first else high}{more}"
  )
