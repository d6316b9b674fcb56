"""Norms, unit vectors, cosines, ratios and maxima of trees and examples; none underflows, all have derivatives."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.core.checks import at_least_float32
from gan_jax.core.types import Params


def flat(tree: Params) -> Array:
  """All leaves as one vector, in float32 or better."""
  return jnp.concatenate([at_least_float32(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def largest_entry(tree: Params) -> Array:
  """The largest absolute value of all leaves."""
  return jnp.stack([jnp.max(jnp.abs(at_least_float32(leaf))) for leaf in jax.tree.leaves(tree)]).max()


def inner(tree: Params, other: Params) -> Array:
  """The inner product of two trees of the same structure. Leaves are not concatenated."""
  pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
  return jnp.stack([jnp.sum(at_least_float32(a) * at_least_float32(b)) for a, b in pairs]).sum()


def global_norm(tree: Params) -> Array:
  """Euclidean norm over all leaves. Entries are divided by the largest before squaring: 1e-25 does not underflow."""
  largest = largest_entry(tree)
  scale = jnp.where(largest > 0, largest, 1)
  scaled = jax.tree.map(lambda x: at_least_float32(x) / scale, tree)
  return largest * jnp.sqrt(inner(scaled, scaled))


def norm_per_example(x: Array) -> Array:
  """[B, ...] -> [B]: Euclidean norm over all axes but the first, scaled as `global_norm`."""
  rows = at_least_float32(x).reshape(x.shape[0], -1)
  largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=1))  # a norm is homogeneous: any constant will do
  scale = jnp.where(largest > 0, largest, 1)
  squares = jnp.sum(jnp.square(rows / scale[:, None]), axis=1)
  # The inner `where` keeps the square root's infinite slope at zero out of the branch that is not taken.
  return largest * jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def directions(x: Array, axis: int) -> Array:
  """Vectors along an axis, divided by their lengths; one that is zero stays zero, with a derivative of zero."""
  x = at_least_float32(x)
  squares = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
  return jnp.where(squares > 0, x / jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def ratio(numerator: Array, denominator: Array) -> Array:
  """numerator / denominator; NaN where the denominator is zero."""
  return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1), jnp.nan)


def unit(tree: Params) -> Params:
  """The direction of a tree: divided by its norm; NaN where that is zero. Each leaf keeps its dtype."""
  largest = largest_entry(tree)
  scaled = jax.tree.map(lambda x: x / jnp.where(largest > 0, largest, jnp.nan), tree)
  length = jnp.sqrt(inner(scaled, scaled))
  return jax.tree.map(lambda x, leaf: (x / length).astype(leaf.dtype), scaled, tree)


def cosine(tree: Params, other: Params) -> Array:
  """Cosine of the angle between two trees; NaN where either is zero."""
  return inner(unit(tree), unit(other))


def largest(x: Array, axis: int) -> Array:
  """The maximum along an axis; its derivative, of any order, is that of the first entry that is the largest.

  The derivative of `jnp.max` finds that entry by comparing x with the maximum. Where XLA computes x a second time with
  other rounding, no entry equals the maximum and the derivative is 0/0.
  """
  axis %= x.ndim
  first = jnp.expand_dims(jnp.argmax(lax.stop_gradient(x), axis=axis), axis)
  places = jnp.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
  return jnp.sum(jnp.where(places == first, x, 0), axis=axis)
