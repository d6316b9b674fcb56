"""Distance of samples from data N(0, 1) on a line in the plane: exact, across the line and along it."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri

from gan_jax.data.dataset import Line


def slices(count: int) -> tuple[np.ndarray, float]:
  """N(0, 1) cut into `count` slices of equal mass: their means [N] float64, and the mean variance within a slice.

  With a_i the i/N quantile and phi the density, the means are N (phi(a_i) - phi(a_{i+1})); the variance within is
  1 - mean(means^2).
  """
  densities = np.exp(-np.square(ndtri(np.arange(count + 1) / count)) / 2) / np.sqrt(2 * np.pi)
  means = count * (densities[:-1] - densities[1:])
  return means, float(1 - np.mean(np.square(means)))


def squared_transport(values: Array) -> Array:
  """Squared 2-Wasserstein distance of the sample `values` [N] from N(0, 1).

  In one dimension optimal transport keeps the order: the i-th smallest value goes to the i-th slice,
  mean((v_(i) - m_i)^2) + the variance within slices (Peyre and Cuturi 2019, arXiv:1803.00567, remark 2.30).
  """
  means, within = slices(values.shape[0])
  return jnp.mean(jnp.square(jnp.sort(values) - jnp.asarray(means, values.dtype))) + within


def line_metrics(points: Array, line: Line) -> dict[str, Array]:
  """Metrics of points [N, 2]. Their squared 2-Wasserstein distance from the data is exactly the sum of two terms:

  |x - (c + t d)|^2 = off(x)^2 + (s(x) - t)^2, and only the second depends on which t is matched to which x.
  """
  centre, direction = jnp.asarray(line.centre), jnp.asarray(line.direction)
  normal = jnp.stack([-direction[1], direction[0]])
  centred = points - centre[None, :]
  off, along = jnp.mean(jnp.square(centred @ normal)), centred @ direction
  return {
    "line/wasserstein": jnp.sqrt(off + squared_transport(along)),
    "line/squared_distance": off,
    "line/mean": along.mean(),
    "line/variance": along.var(),
  }


def floor(count: int, draws: int = 100) -> float:
  """Mean `line/wasserstein` of `count` points of the data themselves, over `draws` samples."""
  means, within = slices(count)
  samples = np.sort(np.random.default_rng(0).standard_normal((draws, count)), axis=1)
  return float(np.sqrt(np.mean(np.square(samples - means), axis=1) + within).mean())


EXPLANATIONS = {
  "line/wasserstein": "2-Wasserstein distance of the samples from the data, N(0, 1) along a line; exact, in the data's units",
  "line/squared_distance": "mean squared distance of the samples from the line",
  "line/mean": "mean of the samples along the line; the data's is 0",
  "line/variance": "variance of the samples along the line; the data's is 1",
}
