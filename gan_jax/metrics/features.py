"""The networks that a metric's option `features` can name."""

from pathlib import Path
from typing import Annotated

from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import classifier
from gan_jax.metrics.networks import Network

FEATURES = ("classifier",)
Features = Annotated[str, Option("the network in whose features samples are compared", choices=FEATURES)]


def network(name: str, dataset: Dataset, cache: Path) -> Network:
  """The network of that name, bound to the images of a dataset. Raises `BadInput` for one that is no judge of them."""
  trained = classifier.load_or_train(dataset, cache)
  classifier.check(trained)
  return classifier.network(trained, dataset)


def not_images(metric: str, dataset: Dataset, least: int = 2) -> str:
  """What is wrong with a dataset for a metric of features; '': nothing."""
  if dataset.kind != "images":
    return f"expected images, for metric {metric!r}, got {dataset.kind}"
  size = dataset.judged.images.shape[0]
  return "" if size >= least else f"expected at least {least} images, for metric {metric!r}, got {size}"
