"""Metrics of generated points, for data with a known density."""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data import Dataset
from gan_jax.data.order import scattered
from gan_jax.metrics import frechet, line, modes, variety
from gan_jax.metrics.chunks import in_chunks
from gan_jax.metrics.registry import Quality, register

DUPLICATES = (
  f"share of up to {variety.SAMPLES} samples with another one within {variety.ALIKE:g} of the data's median distance "
  "between nearest points, beyond the data's own such share"
)


def some_points(dataset: Dataset) -> Array:
  """[n, 2], n <= `variety.SAMPLES`: some of the points with which samples are compared."""
  points = dataset.judged.images
  chosen = scattered(np.arange(min(len(points), variety.SAMPLES)), len(points))
  return jnp.take(points, chosen, axis=0)  # one program; indexing is six


def _no_mixture(dataset: Dataset) -> str:
  known = dataset.kind == "points" and dataset.modes is not None and dataset.std is not None
  return "" if known else "expected points of which `modes` and `std` are known, for metric 'mixture', got neither"


def _no_line(dataset: Dataset) -> str:
  return "" if dataset.line is not None else "expected points on a known `line`, for metric 'line', got none"


@register(
  "mixture",
  lambda dataset: dataset.line is None and not _no_mixture(dataset),
  _no_mixture,
  ranks=lambda dataset, options: ("modes/covered", "modes/reverse_kl"),
)
def mixture_quality(dataset: Dataset, cache: Path | None = None) -> Quality:
  """Modes of a mixture: their number, quality and evenness among the samples; Frechet distance of the points."""
  del cache
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


@register(
  "line",
  lambda dataset: not _no_line(dataset),
  _no_line,
  ranks=lambda dataset, options: ("line/wasserstein",),
)
def line_quality(dataset: Dataset, cache: Path | None = None) -> Quality:
  """Wasserstein distance of points from N(0, 1) along a line."""
  del cache
  assert dataset.line is not None
  where, neighbours = dataset.line, variety.neighbours(some_points(dataset))

  def measure(draw: Callable[[Array], Array], count: int, near: bool) -> tuple[dict[str, Array], Array | None]:
    points = in_chunks(draw, count)
    return line.line_metrics(points, where), neighbours.measure(points) if near else None

  def finish(found: tuple[dict[str, np.ndarray], np.ndarray | None]) -> dict[str, np.ndarray]:
    columns, distances = found
    return columns if distances is None else columns | {"samples/duplicates": neighbours.share(distances)}

  return Quality(measure, finish, line.EXPLANATIONS | {"samples/duplicates": DUPLICATES}, {})
