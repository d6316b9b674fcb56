"""The networks that a metric's option `features` can name."""

from pathlib import Path
from typing import Annotated

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import classifier, inception, lite0
from gan_jax.metrics.networks import Network

SIZES = {"classifier": classifier.FEATURES, "inception": inception.FEATURES, "lite0": lite0.HEAD}  # features of each
Features = Annotated[str, Option("the network in whose features samples are compared", choices=tuple(SIZES))]
Weights = Annotated[str, Option("for features=inception, the path of its weights")]


def network(name: str, dataset: Dataset, cache: Path, weights: str = "") -> Network:
  """The network of that name, bound to the images of a dataset; `weights` is the path of Inception's.

  Raises:
    BadInput: a classifier that is no judge of these images; weights that are missing, or those of another network.
  """
  if weights and name != "inception":
    raise BadInput(f"option 'weights' is for features=inception, got it with features={name}")
  if name != "classifier" and dataset.image_shape[-1] not in (1, 3):
    raise BadInput(f"features={name} expected gray images or images in colour, got {dataset.image_shape[-1]} channels")
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
