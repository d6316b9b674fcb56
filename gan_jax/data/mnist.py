"""MNIST and its relatives in IDX files: Fashion-MNIST, KMNIST, EMNIST, or your own gray images of any size.

The files are read from the folder that `data_dir` names (`idx_files` lists their names), by default from the one that
`launch.sh fetch` fills. Images of `mnist`, `fashion_mnist` and `kmnist` are used as they are stored.

Sources: LeCun, Cortes and Burges, "The MNIST database of handwritten digits"; Xiao, Rasul and Vollgraf 2017
(arXiv:1708.07747); Clanuwat et al. 2018 (arXiv:1812.01718); Cohen et al. 2017 (arXiv:1702.05373).
"""

from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np

from gan_jax.core import homes
from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, decode_bytes, register
from gan_jax.data.idx import read_idx
from gan_jax.data.idx_files import choose, is_there

__all__ = ["is_there", "load"]

CLASSES = 10
# Of EMNIST's splits: the first label, and how many classes there are.
EMNIST = {"balanced": (0, 47), "byclass": (0, 62), "bymerge": (0, 47), "letters": (1, 26)}
SPLITS = ("any", "balanced", "byclass", "bymerge", "digits", "letters", "mnist")

Folder = Annotated[str, Option("folder of the IDX files; by default the one that `fetch` filled")]


@register("mnist")
def load(*, data_dir: Folder = "") -> Dataset:
  """uint8 [N, H, W, 1] and their classes: the training set in `data_dir`, or the test set where there is none.

  Without a file of labels there is one class. Labels are 0 to 9. More classes are accepted if all of them occur,
  counted from 0 or 1, or if the name is that of a split of EMNIST.

  Raises:
    BadInput: no folder given, and none fetched; files that are missing (the message names them), of several sets, or
      damaged; labels out of range, or not as many as images.
  """
  return _read("mnist", data_dir)


@register("fashion_mnist")
def load_fashion(*, data_dir: Folder = "") -> Dataset:
  """Fashion-MNIST: ten kinds of clothes, 28x28, in files that are named as MNIST's. Read and refused as `mnist`."""
  return _read("fashion_mnist", data_dir)


@register("kmnist")
def load_kmnist(*, data_dir: Folder = "") -> Dataset:
  """Kuzushiji-MNIST: ten classes of cursive Japanese characters, 28x28. Read and refused as `mnist`."""
  return _read("kmnist", data_dir)


@register("emnist")
def load_emnist(
  *,
  data_dir: Folder = "",
  split: Annotated[str, Option("which of the splits in the folder; any: the only one", choices=SPLITS)] = "any",
  upright: Annotated[bool, Option("turn the images, which are stored transposed, the right way")] = True,
) -> Dataset:
  """Handwritten letters and digits, 28x28, in six splits: `letters` has 26 classes, a and A to z and Z, stored as 1 to 26.

  Read and refused as `mnist`, which reads the same files without turning the images.
  """
  found = _read("emnist", data_dir, "" if split == "any" else f"emnist-{split}")
  if not upright:
    return found
  images = jnp.swapaxes(found.data.images, 1, 2)
  return found._replace(data=found.data._replace(images=images), image_shape=images.shape[1:])


def _read(name: str, data_dir: str, prefix: str = "") -> Dataset:
  data_dir = data_dir or homes.verified(name)
  if not data_dir:
    raise BadInput(
      f"dataset {name!r} expected dataset_options.data_dir, the folder of its IDX files, got none{homes.hint(name)}"
    )
  try:
    prefix, pair = choose(data_dir, prefix)
  except BadInput as error:
    raise BadInput(f"{error}{'' if is_there(data_dir) else homes.hint(name)}") from error
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
