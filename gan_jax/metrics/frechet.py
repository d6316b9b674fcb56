"""Frechet distance between two sets of features, as Gaussians; it is called FID in Inception's features only."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput
from gan_jax.data import Dataset
from gan_jax.metrics import features as named
from gan_jax.metrics.networks import REFERENCE, Reference, Seen, compared, real_features
from gan_jax.metrics.registry import Quality, of_features, register


class Gaussian(NamedTuple):
  mean: Array | np.ndarray  # [..., D]
  covariance: Array | np.ndarray  # [..., D, D], divisor N - 1


def fit(features: Array) -> Gaussian:
  """The Gaussian of features [N, D], on the device. Two passes: the mean is subtracted before anything is squared.

  Raises:
    ValueError: not [N, D] with N > D (the covariance would be singular).
  """
  if features.ndim != 2 or features.shape[0] <= features.shape[1]:
    raise ValueError(f"features: expected shape [N, D] with N > D, got {list(features.shape)}")
  return _fit(at_least_float32(features))


@functools.partial(jax.jit, inline=True)  # one program, not six, where it is called by itself
def _fit(features: Array) -> Gaussian:
  mean = features.mean(axis=0)
  centred = features - mean[None, :]
  return Gaussian(mean, jnp.matmul(centred.T, centred, precision="highest") / (features.shape[0] - 1))


def roots(covariances: Array | np.ndarray) -> np.ndarray:
  """The symmetric square roots [..., D, D] of covariances, on the host in float64; NaN where a decomposition fails."""
  given = np.asarray(covariances, np.float64)
  return np.array([_root(given[index]) for index in np.ndindex(given.shape[:-2])]).reshape(given.shape)


def frechet_distance(a: Gaussian, b: Gaussian, root_b: np.ndarray | None = None) -> np.ndarray:
  """|m_a - m_b|^2 + tr(C_a) + tr(C_b) - 2 tr((C_a C_b)^(1/2)), a squared distance (Dowson and Landau 1982, eq. 4).

  Leading axes broadcast. A member of a population whose moments are not finite gets NaN, without effect on the others.
  Heusel et al. 2017 (arXiv:1706.08500) take it in the features of an Inception network and call it FID; in any other
  features it is not FID. Give the reference as `b`: its square root is taken once, not once for each member of `a`, and
  not at all where it is given as `root_b`, from `roots`.

  On the host, in float64: square roots of a float32 spectrum lose half of its digits, and XLA's batched LAPACK calls
  deadlock when two CPU devices run them at once (jax 0.10.2).
  """
  mean_a, mean_b, cov_a, cov_b = (np.asarray(x, np.float64) for x in (a.mean, b.mean, a.covariance, b.covariance))
  root_b = roots(cov_b) if root_b is None else root_b
  shape = np.broadcast_shapes(mean_a.shape[:-1], mean_b.shape[:-1], cov_a.shape[:-2], cov_b.shape[:-2])
  means = [np.broadcast_to(x, (*shape, *x.shape[-1:])) for x in (mean_a, mean_b)]
  matrices = [np.broadcast_to(x, (*shape, *x.shape[-2:])) for x in (cov_a, cov_b, root_b)]
  found = [_distance(*(x[index] for x in (*means, *matrices))) for index in np.ndindex(shape)]
  return np.array(found).reshape(shape)


def _root(covariance: np.ndarray) -> np.ndarray:
  """The symmetric square root of a covariance [D, D]; NaN where the decomposition fails."""
  try:
    values, vectors = np.linalg.eigh(covariance)
  except np.linalg.LinAlgError:
    return np.full_like(covariance, np.nan)
  return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _distance(
  mean_a: np.ndarray, mean_b: np.ndarray, cov_a: np.ndarray, cov_b: np.ndarray, root_b: np.ndarray
) -> float:
  """The distance of two Gaussians. Not of a stack: its decomposition would fail as a whole where it fails for one."""
  if not all(np.isfinite(x).all() for x in (mean_a, mean_b, cov_a, root_b)):
    return np.nan
  try:
    # C_a C_b has the spectrum of the symmetric C_b^(1/2) C_a C_b^(1/2).
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root_b @ cov_a @ root_b), 0)).sum()
  except np.linalg.LinAlgError:
    return np.nan
  spread = np.trace(cov_a) + np.trace(cov_b) - 2 * overlap
  return float(np.square(mean_a - mean_b).sum() + np.maximum(spread, 0))


def _enough(dataset: Dataset, reference: int, size: int) -> None:
  """Raises `BadInput` where there are too few real examples for the covariance of `size` features."""
  there = min(len(dataset.judged.images), reference)
  if there <= size:
    raise BadInput(
      f"metric 'frechet' expected more than {size:,} real examples, for the covariance of as many features, "
      f"got {there:,}; metric kid can be computed of any number"
    )


def _ready(dataset: Dataset, options: Mapping[str, Any]) -> None:
  named.ready(dataset, options)
  _enough(dataset, options["reference"], named.SIZES[options["features"]])


def _column(features: str) -> str:
  return f"{features}/{'fid' if features == 'inception' else 'frechet'}"


@register(
  "frechet",
  lambda dataset: False,
  lambda dataset: named.not_images("frechet", dataset),
  lambda options: named.SIZES[options["features"]] + 1,
  _ready,
  lambda dataset, options: (_column(options["features"]),),
)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  features: named.Features = "classifier",
  weights: named.Weights = "",
  reference: Reference = REFERENCE,
) -> Quality:
  """Frechet distance to the data in the features of a network; in Inception's it is FID."""
  network = named.network(features, dataset, cache, weights)
  _enough(dataset, reference, network.size)
  real = real_features(network, dataset, cache, reference)
  own = jax.device_get(fit(real))
  root, name = roots(own.covariance), _column(features)

  def judge(seen: Seen, near: bool) -> Gaussian:
    return fit(seen.features)

  def finish(found: Gaussian) -> dict[str, np.ndarray]:
    return {name: frechet_distance(found, own, root)}

  title = "FID, the Frechet distance" if features == "inception" else "Frechet distance, not FID,"
  text = f"{title} to the data, covariances with divisor N - 1, {compared(network, len(real))}"
  return of_features(network, judge, finish, {name: text}, {"frechet_features": network.protocol})
