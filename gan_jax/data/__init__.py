"""Whole datasets as device arrays, and the order in which they are seen.

A dataset is one loader `(data_dir) -> Dataset` and its name in `DATASETS`; configs, commands and tests iterate that.
"""

from collections.abc import Callable

# isort: off
# The record first: a loader may import it from this package while it is being imported itself.
from gan_jax.data.dataset import Dataset, check, digest, encode_for_view

# isort: on
from gan_jax.core.errors import unknown
from gan_jax.data import built, digits, line, mixtures, mnist
from gan_jax.data.order import example_indices

__all__ = ["DATASETS", "Dataset", "check", "digest", "encode_for_view", "example_indices", "load"]

DATASETS: dict[str, Callable[[str], Dataset]] = {
  "digits": digits.load,
  "digits_ten": built.load_ten_digits,
  "digits_two": built.load_two_digits,
  "grid": mixtures.load_grid,
  "line": line.load,
  "mnist": mnist.load,
  "ring": mixtures.load_ring,
  "ring_far": built.load_far_ring,
}


def load(name: str, data_dir: str = "") -> Dataset:
  """The dataset of that name. `data_dir` is the folder of its files, for a dataset that is read from files.

  Raises:
    BadInput: an unknown name; files that are missing, damaged or not what they should be, and which; or a loader that
      does not keep to what a `Dataset` is (see `check`).
  """
  if name not in DATASETS:
    raise unknown("dataset", name, DATASETS)
  return check(name, DATASETS[name](data_dir))
