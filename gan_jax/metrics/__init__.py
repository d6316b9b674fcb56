"""Sample quality: what is measured on generated examples, by name; `auto` chooses by the kind of data."""

from gan_jax.core.registry import import_modules
from gan_jax.data import Dataset
from gan_jax.metrics.registry import METRICS, OF_NEIGHBOURS, Quality, build, chosen, names, of_samples, register

__all__ = ["METRICS", "OF_NEIGHBOURS", "Quality", "build", "check", "chosen", "names", "of_samples", "register"]

import_modules(__name__, __path__)  # every file registers its metrics


def check(name: str, dataset: Dataset, text: str = "auto") -> None:
  """Whether a dataset can be measured: to be asked before anything is written.

  Raises:
    BadInput: fewer images than the Frechet distance takes, points of which neither modes nor line are known, or a metric
      that does not suit the data.
  """
  chosen(name, dataset, text)
