"""Metrics of sample quality, by name; `auto` chooses one by the kind of data."""

from gan_jax.data import Dataset

# isort: off
# The registry first: a metric may import it from this package while it is being imported itself.
from gan_jax.metrics.registry import METRICS, OF_NEIGHBOURS, Quality, build, chosen, names, of_samples, register

# isort: on
from gan_jax.metrics import images, points
from gan_jax.metrics.points import mixture_quality

__all__ = [
  "METRICS",
  "OF_NEIGHBOURS",
  "Quality",
  "build",
  "check",
  "chosen",
  "images",
  "mixture_quality",
  "names",
  "of_samples",
  "points",
  "register",
]


def check(name: str, dataset: Dataset, text: str = "auto") -> None:
  """Checks that these metrics can be computed for a dataset; called before anything is written.

  Raises:
    BadInput: too few images for the Frechet distance, points without known modes or line, or a metric that does not
      suit the data.
  """
  chosen(name, dataset, text)
