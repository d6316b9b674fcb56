"""Entropic optimal transport between two batches of equal weights, by Newton's method on its dual. No jax import."""

import numpy as np
from scipy.special import logsumexp, softmax


def plan(costs: np.ndarray, epsilon: float) -> np.ndarray:
  """[B, B]: the P of least sum P C + epsilon sum P log(B^2 P) whose rows and columns sum to 1/B.

  With column sums 1/B, P_ij = softmax_i((u_i - C_ij) / epsilon) / B. Newton's steps in u, halved while the concave dual
  falls, until the rows sum to 1/B too.
  """
  size = len(costs)
  u = np.zeros(size)

  def dual(u):
    return u.mean() - epsilon * (logsumexp((u[:, None] - costs) / epsilon, axis=0) - np.log(size)).mean()

  for _ in range(200):
    p = softmax((u[:, None] - costs) / epsilon, axis=0) / size
    missing = 1 / size - p.sum(1)
    if np.abs(missing).max() < 1e-15:
      break
    curvature = (np.diag(p.sum(1)) - size * p @ p.T) / epsilon + np.full((size, size), 1 / size**2)
    step, share = np.linalg.solve(curvature, missing), 1.0
    while dual(u + share * step) < dual(u) - 1e-13 and share > 1e-9:
      share /= 2
    u = u + share * step
  return p


def cost(costs: np.ndarray, epsilon: float) -> float:
  """The cost of the plan, its entropy included."""
  p = plan(costs, epsilon)
  return float(np.sum(p * costs) + epsilon * np.sum(p * np.log(np.maximum(len(p) ** 2 * p, 1e-300))))


def divergence(x: np.ndarray, y: np.ndarray, epsilon: float) -> float:
  """OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2 of vectors [B, F], with half the squared distances as costs."""

  def between(a, b):
    return cost(np.array([[np.sum((p - q) ** 2) / 2 for q in b] for p in a]), epsilon)

  return between(x, y) - between(x, x) / 2 - between(y, y) / 2
