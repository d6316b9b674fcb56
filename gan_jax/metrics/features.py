"""The networks that a metric's option `features` can name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import classifier, inception, lite0
from gan_jax.metrics.networks import Network

SIZES = {"classifier": classifier.FEATURES, "inception": inception.FEATURES, "lite0": lite0.HEAD}  # features of each
Features = Annotated[str, Option("the network in whose features samples are compared", choices=tuple(SIZES))]
Weights = Annotated[str, Option("for features=inception, the path of its weights")]


def ready(dataset: Dataset, options: Mapping[str, Any]) -> None:
  """Raises `BadInput` where `network` does, except for a classifier, which is trained to find out; `options`: of a metric."""
  name, weights = options.get("features", "inception"), options["weights"]  # a score has one network only
  _check(name, dataset, weights)
  if name == "inception":
    inception.read(weights)
  elif name == "lite0":
    lite0.read()


def _check(name: str, dataset: Dataset, weights: str) -> None:
  if weights and name != "inception":
    raise BadInput(f"option 'weights' is for features=inception, got it with features={name}")
  if name != "classifier" and dataset.image_shape[-1] not in (1, 3):
    raise BadInput(f"features={name} expected gray images or images in colour, got {dataset.image_shape[-1]} channels")


def network(name: str, dataset: Dataset, cache: Path, weights: str = "") -> Network:
  """The network of that name, bound to the images of a dataset; `weights` is the path of Inception's.

  Raises:
    BadInput: a classifier that is no judge of these images; weights that are missing, or those of another network.
  """
  _check(name, dataset, weights)
  if name == "inception":
    return inception.network(weights)
  if name == "lite0":
    return lite0.network(dataset.image_shape)
  trained = classifier.load_or_train(dataset, cache)
  classifier.check(trained)
  return classifier.network(trained, dataset)


def not_images(metric: str, dataset: Dataset, least: int = 2) -> str:
  """What is wrong with a dataset for a metric of features; '': nothing."""
  if dataset.kind != "images":
    return f"expected images, for metric {metric!r}, got {dataset.kind}"
  size = dataset.judged.images.shape[0]
  return "" if size >= least else f"expected at least {least} images, for metric {metric!r}, got {size}"
