"""Metrics of sample quality, by name; `auto` chooses one by the kind of data."""

from gan_jax.core.registry import import_modules
from gan_jax.data import Dataset
from gan_jax.metrics.registry import METRICS, OF_NEIGHBOURS, Quality, build, chosen, enough, names, of_samples, register

__all__ = [
  "METRICS",
  "OF_NEIGHBOURS",
  "Quality",
  "build",
  "check",
  "chosen",
  "enough",
  "names",
  "of_samples",
  "register",
]

import_modules(__name__, __path__)  # every file registers its metrics


def check(name: str, dataset: Dataset, text: str = "auto") -> None:
  """Checks that these metrics can be computed for a dataset; called before anything is written.

  Raises:
    BadInput: too few images for the Frechet distance, points without known modes or line, or a metric that does not
      suit the data.
  """
  chosen(name, dataset, text)
