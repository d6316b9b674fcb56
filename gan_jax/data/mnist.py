"""MNIST, and whatever else comes as its four IDX files (Fashion-MNIST, KMNIST): 28x28 grey images of ten classes.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits". Nothing is downloaded: the files are read
from the folder that `data_dir` names.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from gan_jax.data.dataset import Dataset, decode_bytes
from gan_jax.data.idx import read_idx
from gan_jax.errors import BadInput
from gan_jax.types import Data

CLASSES = 10
SETS = {  # in order of preference: the training set, and where there is none the test set
  "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
  "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load(data_dir: str) -> Dataset:
  """uint8 [N, 28, 28, 1] and their classes: the training set in `data_dir`, or the test set where there is none.

  Raises:
    BadInput: no folder given, files missing (and which were looked for), or damaged; labels out of range, or not as
      many as images.
  """
  if not data_dir:
    raise BadInput("dataset 'mnist' expected config field 'data_dir', the folder of its IDX files, got none")
  folder = Path(data_dir).expanduser()
  found = {name: [_find(folder, stem) for stem in stems] for name, stems in SETS.items()}
  chosen = next((name for name, paths in found.items() if any(paths)), None)
  if chosen is None:
    stems = [stem for pair in SETS.values() for stem in pair]
    kind = "a folder without them" if folder.is_dir() else "no such folder"
    raise BadInput(f"{folder}: expected {stems[0]} and {stems[1]}, or {stems[2]} and {stems[3]} (or .gz), got {kind}")
  for path, stem in zip(found[chosen], SETS[chosen], strict=True):
    if path is None:
      raise BadInput(f"{folder}: expected {stem} or {stem}.gz beside the rest of its set, found neither")
  images_path, labels_path = (path for path in found[chosen] if path)
  images, labels = read_idx(images_path, (None, 28, 28)), read_idx(labels_path, (None,))
  if len(images) != len(labels):
    raise BadInput(f"{labels_path}: expected {len(images)} labels, one per image of {images_path}, got {len(labels)}")
  if labels.max() >= CLASSES:
    raise BadInput(f"{labels_path}: expected labels from 0 to {CLASSES - 1}, got {labels.max()}")
  data = Data(jnp.asarray(images[..., None]), jnp.asarray(labels.astype(np.int32)))
  return Dataset(data, decode_bytes, (28, 28, 1), CLASSES, "images")


def _find(folder: Path, stem: str) -> Path | None:
  return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.exists()), None)
