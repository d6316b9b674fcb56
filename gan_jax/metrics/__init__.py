"""Sample quality: what is measured on generated examples, chosen by the kind of data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.data import Dataset
from gan_jax.data.order import scattered
from gan_jax.metrics import classifier, frechet, images, line, modes, variety
from gan_jax.metrics.chunks import in_chunks


class Quality(NamedTuple):
  """A measurement bound to one dataset."""

  # On the device, for one generator: (draw: indices [B] -> samples [B, ...], how many samples, whether to search for
  # nearest neighbours too) -> small statistics
  measure: Callable[[Callable[[Array], Array], int, bool], Any]
  finish: Callable[[Any], dict[str, np.ndarray]]  # on the host: statistics with a leading axis [P] -> metrics [P]
  explanations: dict[str, str]
  notes: dict[str, Any]  # facts for the report


# Metrics that need a search for nearest neighbours, about half the cost of an evaluation.
OF_NEIGHBOURS = ("samples/duplicates", "samples/nearest_real")

DUPLICATES = (
  f"share of up to {variety.SAMPLES} samples with another one within {variety.ALIKE:g} of the data's median distance "
  "between nearest points, beyond the data's own such share"
)


def some_points(dataset: Dataset) -> Array:
  """[n, 2], n <= `variety.SAMPLES`: a sample of what a dataset of points is judged against."""
  points = dataset.judged.images
  return points[scattered(jnp.arange(min(len(points), variety.SAMPLES)), len(points))]


def mixture_quality(dataset: Dataset) -> Quality:
  assert dataset.modes is not None
  assert dataset.std is not None
  centres, std = jnp.asarray(dataset.modes), dataset.std
  own = np.bincount(np.asarray(dataset.judged.labels), minlength=len(centres))  # the label is the mode
  gaussian, neighbours = frechet.fit(dataset.judged.images), variety.neighbours(some_points(dataset))

  def measure(draw: Callable[[Array], Array], count: int, near: bool):
    points = in_chunks(draw, count)
    found = modes.mode_metrics(points, centres, std, own), frechet.fit(points)
    return *found, neighbours.measure(points) if near else None

  def finish(found: tuple[dict[str, np.ndarray], frechet.Gaussian, np.ndarray | None]) -> dict[str, np.ndarray]:
    columns, fitted, distances = found
    columns = columns | {"points/frechet": frechet.frechet_distance(fitted, gaussian)}
    return columns if distances is None else columns | {"samples/duplicates": neighbours.share(distances)}

  explained = modes.EXPLANATIONS | {"samples/duplicates": DUPLICATES}
  return Quality(measure, finish, explained, {"modes": len(centres), "mode_std": float(std)})


def line_quality(dataset: Dataset) -> Quality:
  assert dataset.line is not None
  where, neighbours = dataset.line, variety.neighbours(some_points(dataset))

  def measure(draw: Callable[[Array], Array], count: int, near: bool) -> tuple[dict[str, Array], Array | None]:
    points = in_chunks(draw, count)
    return line.line_metrics(points, where), neighbours.measure(points) if near else None

  def finish(found: tuple[dict[str, np.ndarray], np.ndarray | None]) -> dict[str, np.ndarray]:
    columns, distances = found
    return columns if distances is None else columns | {"samples/duplicates": neighbours.share(distances)}

  return Quality(measure, finish, line.EXPLANATIONS | {"samples/duplicates": DUPLICATES}, {})


def image_quality(dataset: Dataset, cache: Path) -> Quality:
  return Quality(*images.build(dataset, cache))


def check(name: str, dataset: Dataset) -> None:
  """Whether a dataset can be measured: to be asked before anything is written.

  Raises:
    BadInput: fewer images than the Frechet distance takes, or points of which neither modes nor line are known.
  """
  size = dataset.judged.images.shape[0]
  if dataset.kind == "images" and size <= classifier.FEATURES:
    raise BadInput(
      f"dataset {name!r} expected more than {classifier.FEATURES} images, for the covariance of {classifier.FEATURES} "
      f"features by which samples are judged, got {size}"
    )
  if dataset.kind == "points" and dataset.line is None and (dataset.modes is None or dataset.std is None):
    raise BadInput(
      f"dataset {name!r} of points expected `modes` and `std`, or `line`, to judge samples by; got neither"
    )


def build(dataset: Dataset, cache: Path) -> Quality:
  """The measurement for a dataset; `cache` is where trained classifiers are kept. Raises `BadInput` as `check` does."""
  check("given", dataset)
  if dataset.line is not None:
    return line_quality(dataset)
  return mixture_quality(dataset) if dataset.kind == "points" else image_quality(dataset, cache)
