"""Variety within classes: a generator may draw every class, but the same image of it each time.

Three statistics of a few hundred samples, each relative to the same statistic of the data: where the data are similar
to one another, the samples may be too.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.metrics.chunks import in_chunks

SAMPLES = 500  # largest number of samples whose neighbours are searched: the cost grows with its square
ROWS = 25  # samples whose distances to up to 10,000 examples are held at once: a megabyte for each member
RESOLUTION = 1e-4  # relative to the features' length; rounding makes equal points differ by some millionths of it
ALIKE = 0.2  # two points nearer than this share of the data's median nearest distance are near-duplicates


@functools.partial(jax.jit, inline=True)  # one program, not ten, where it is called by itself
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
  """A mean squared distance among points [N, D]; 0 where it is so small that it may be rounding of equal points."""
  return value if value > RESOLUTION**2 * float(jnp.mean(jnp.sum(jnp.square(points), axis=1))) else 0.0


def nearest(points: Array, others: Array, same: bool) -> Array:
  """[N]: distance of each of points [N, D] to the nearest of others [M, D]; `same`: point i is other i, and is skipped.

  The nearest is found by |x|^2 + |y|^2 - 2 x y. Its distance is then computed from the difference, so copies are at 0.
  It is the first at which that sum is lowest: two plain reductions, which XLA runs twice as fast as its `argmin` on a CPU.
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

  With a share d among the data and s among the samples: max(0, s - d) / (1 - d); 0 where all data are duplicates.
  """
  near = ALIKE * np.median(own)
  mine, theirs = np.mean(distances < near, axis=-1), float(np.mean(own < near))
  return np.maximum(mine - theirs, 0) / (1 - theirs) if theirs < 1 else np.zeros(np.shape(mine))


class Neighbours(NamedTuple):
  """Counts near-duplicates among points, compared with those in a sample of the data."""

  measure: Callable[[Array], Array]  # points [N, D] -> [n]: of the first n <= `SAMPLES`, distance to the nearest other
  share: Callable[
    [np.ndarray], np.ndarray
  ]  # those distances [..., n] -> share of near-duplicates beyond the data's own


def neighbours(own: Array) -> Neighbours:
  """`Neighbours` of a sample `own` [M, D] of the data. Equally many of both are compared: more points lie closer together."""

  @functools.lru_cache
  def of_own(count: int) -> np.ndarray:
    some = own[:count]
    return np.asarray(jax.jit(nearest, static_argnums=2)(some, some, True))

  def measure(points: Array) -> Array:
    some = points[: min(SAMPLES, len(own))]
    return nearest(some, some, True)

  return Neighbours(measure, lambda distances: copies(distances, of_own(distances.shape[-1])))


def ratio(value: np.ndarray, own: float) -> np.ndarray:
  """value / own; NaN where the data's own value is 0."""
  return np.asarray(value) / own if own > 0 else np.full(np.shape(value), np.nan)
