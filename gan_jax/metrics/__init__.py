"""Sample quality: what is measured on generated examples, by name; `auto` chooses by the kind of data."""

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
  """Whether a dataset can be measured: to be asked before anything is written.

  Raises:
    BadInput: fewer images than the Frechet distance takes, points of which neither modes nor line are known, or a metric
      that does not suit the data.
  """
  chosen(name, dataset, text)
