"""Variety within classes: a generator may know every class and have one image of each.

Three statistics of a few hundred samples, each relative to what the same statistic of the data is, so that data that are
themselves alike are no fault of the generator's.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.metrics.chunks import in_chunks

SAMPLES = 500  # at most, of which neighbours are sought: the cost grows with the square
ROWS = 25  # of the distances to up to 10,000 examples at once: a megabyte for each member of a population
RESOLUTION = 1e-4  # of the length of the features: rounded, points of one place differ by some millionths of it
ALIKE = 0.2  # of the data's median distance to the nearest other example: two that are nearer are near-duplicates


def within(points: Array, members: Array) -> Array:
  """Mean squared distance of points [N, D] from the mean of their class; `members` [N, K] is one-hot, a row of zeros: none.

  sum_i |x_i - m_c(i)|^2 / (N - K), over the points that have a class and the classes that have a point: unbiased.
  """
  counts = members.sum(axis=0)
  means = (members.T @ points) / jnp.maximum(counts, 1)[:, None]
  squared = jnp.sum(jnp.square(points - members @ means), axis=1) * members.sum(axis=1)
  freedom = counts.sum() - jnp.sum(counts > 0)
  return jnp.where(freedom > 0, squared.sum() / jnp.maximum(freedom, 1), jnp.nan)


def resolved(value: float, points: Array) -> float:
  """A mean squared distance among points [N, D]; 0 where it is no more than what their rounding makes of one place."""
  return value if value > RESOLUTION**2 * float(jnp.mean(jnp.sum(jnp.square(points), axis=1))) else 0.0


def nearest(points: Array, others: Array, same: bool) -> Array:
  """[N]: distance of each of points [N, D] to the nearest of others [M, D]; `same`: point i is other i, and not meant.

  Which is nearest is found by |x|^2 + |y|^2 - 2 x y; the distance itself is taken of the difference, so copies are at 0.
  The nearest is the first at the lowest of those: two plain reductions, which XLA makes fast on a CPU where its `argmin`
  takes over twice as long.
  """
  centre = others.mean(axis=0)[None, :]
  points, others = points - centre, others - centre
  lengths, count = jnp.sum(jnp.square(others), axis=1), jnp.arange(others.shape[0])

  def chunk(indices: Array) -> Array:
    rows = points[jnp.minimum(indices, points.shape[0] - 1)]
    squared = lengths[None, :] - 2 * rows @ others.T
    if same:
      squared = jnp.where(indices[:, None] == count[None, :], jnp.inf, squared)
    lowest = squared.min(
      axis=1, keepdims=True
    )  # NaN of a row that is not finite, whose distance is NaN whatever it is from
    first = jnp.where(squared <= lowest, count[None, :], others.shape[0] - 1).min(axis=1)
    return jnp.linalg.norm(rows - others[first], axis=1)

  return in_chunks(chunk, points.shape[0], ROWS)


def copies(distances: np.ndarray, own: np.ndarray) -> np.ndarray:
  """Share of near-duplicates beyond the data's own, from distances [..., n] to the nearest other sample and the data's [n].

  Of data with a share d, samples with a share s: max(0, s - d) / (1 - d). Zero where the data are nothing but duplicates.
  """
  near = ALIKE * np.median(own)
  mine, theirs = np.mean(distances < near, axis=-1), float(np.mean(own < near))
  return np.maximum(mine - theirs, 0) / (1 - theirs) if theirs < 1 else np.zeros(np.shape(mine))


class Neighbours(NamedTuple):
  """Near-duplicates among points, bound to a sample of the data's own."""

  measure: Callable[[Array], Array]  # points [N, D] -> [n]: of the first n <= `SAMPLES`, distance to the nearest other
  share: Callable[
    [np.ndarray], np.ndarray
  ]  # those distances [..., n] -> share of near-duplicates beyond the data's own


def neighbours(own: Array) -> Neighbours:
  """Of a sample `own` [M, D] of the data; as many of each side are compared, for more points lie closer."""

  @functools.lru_cache
  def of_own(count: int) -> np.ndarray:
    some = own[:count]
    return np.asarray(jax.jit(nearest, static_argnums=2)(some, some, True))

  def measure(points: Array) -> Array:
    some = points[: min(SAMPLES, len(own))]
    return nearest(some, some, True)

  return Neighbours(measure, lambda distances: copies(distances, of_own(distances.shape[-1])))


def ratio(value: np.ndarray, own: float) -> np.ndarray:
  """value / own; NaN where the data's own is 0: nothing can be less various than they are."""
  return np.asarray(value) / own if own > 0 else np.full(np.shape(value), np.nan)
