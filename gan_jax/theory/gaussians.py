"""Integrals over the data p = N(0, 1) and a model q = N(mu, 1) by Gauss-Legendre quadrature, one row per distance mu.

In NumPy and double precision: at mu = 8 the integrands span a hundred decades.
"""

import numpy as np

FARTHEST = 10.0  # largest mu: beyond it the integrands of E_q (q/p)^2 = e^(3 mu^2) leave float64
SEEN = 3.0  # standard deviations around mu that a batch of a few hundred fakes covers

Points = tuple[np.ndarray, np.ndarray]  # nodes and weights, [M, N] each


def line(low: np.ndarray, high: np.ndarray, panel: float = 0.5, order: int = 20) -> Points:
  """Nodes on panels of at most width `panel` from `low` to `high`, [M, 1] each, with an edge in the middle.

  In the middle the optimal discriminators of margin losses jump, and the logistic ones bend within pi / mu.
  """
  count = 2 * int(np.ceil(np.max(high - low) / panel / 2))
  nodes, weights = np.polynomial.legendre.leggauss(order)
  unit = ((np.arange(count)[:, None] + (nodes + 1) / 2) / count).ravel()
  return low + (high - low) * unit, (high - low) * np.tile(weights / 2, count) / count


def everywhere(mu: np.ndarray) -> Points:
  """From 2 mu below the data, where (p/q)^2 q has its mass, to 2 mu above the model, where (q/p)^2 q has."""
  return line(-2 * mu - 10, 3 * mu + 10)


def around(mean: np.ndarray, reach: float, order: int = 20) -> Points:
  """Nodes within `reach` standard deviations of a Gaussian's mean."""
  return line(mean - reach, mean + reach, order=order)


def gaussian(x: np.ndarray, mean: np.ndarray | float) -> np.ndarray:
  return np.exp(-0.5 * (x - mean) ** 2) / np.sqrt(2 * np.pi)


def log_ratio(x: np.ndarray, mu: np.ndarray) -> np.ndarray:
  """log p/q."""
  return mu**2 / 2 - mu * x


def integral(points: Points, mean: np.ndarray | float, values: np.ndarray) -> np.ndarray:
  """[M]: the integral of N(mean, 1) times the values. Where the density underflows, infinite values have no weight."""
  x, weights = points
  density = gaussian(x, mean)
  with np.errstate(invalid="ignore", over="ignore"):
    return np.sum(np.where(density > 1e-300, weights * density * values, 0), axis=1)
