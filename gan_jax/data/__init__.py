"""Datasets as arrays, on the device or mapped from disk, the order in which their examples are used, and augmentations.

A dataset is a loader, `(**options) -> Dataset`, registered in `DATASETS`; an augmentation is a function registered in
`AUGMENTATIONS`.
"""

from typing import Any

from gan_jax.core.registry import import_modules

# isort: off
# The records first: a loader may import them from this package while it is being imported itself.
from gan_jax.data.dataset import DATASETS, Dataset, check, digest, encode_for_view, register

# isort: on
from gan_jax.data.arrays import from_arrays, from_numbers
from gan_jax.data.augmentations import AUGMENTATIONS
from gan_jax.data.order import example_indices
from gan_jax.data.telling import telling

__all__ = [
  "AUGMENTATIONS",
  "DATASETS",
  "Dataset",
  "check",
  "digest",
  "encode_for_view",
  "example_indices",
  "from_arrays",
  "from_numbers",
  "load",
  "register",
  "telling",
]

import_modules(__name__, __path__)  # every file registers its datasets


def load(name: str, **options: Any) -> Dataset:
  """The dataset of that name, loaded with these options.

  Raises:
    BadInput: an unknown name or option; files that are missing, damaged or of another kind, with their names; or a
      loader whose result is not a valid `Dataset` (see `check`).
  """
  loader = DATASETS.get(name)
  return check(name, loader(**loader.complete(options)))
