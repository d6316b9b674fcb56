"""Largest singular values, by the power method. A kernel is any leaf of two or more axes, as a matrix [inputs, outputs]."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.core.types import Key, Params

MEASURING_ITERATIONS = 100  # of `largest_singular_value` in rows


def matrix(kernel: Array) -> Array:
  return kernel.reshape(-1, kernel.shape[-1])


def unit(vector: Array) -> Array:
  """vector / |vector|, zero where that is nothing."""
  norm = jnp.sqrt(jnp.sum(jnp.square(vector)))
  return vector / jnp.where(norm > 0, norm, 1)


def power_iteration(kernel: Array, vector: Array) -> tuple[Array, Array]:
  """(u, v) with u = W v / |W v| and v = W^T u / |W^T u|: one step of the power method; no gradient flows through it."""
  w = lax.stop_gradient(matrix(kernel))
  u = unit(w @ vector)
  return u, unit(w.T @ u)


def kernels(params: Params) -> list[Array]:
  return [x for x in jax.tree.leaves(params) if x.ndim >= 2]


def largest_singular_value(kernel: Array, key: Key, iterations: int = MEASURING_ITERATIONS) -> Array:
  """Of a kernel as a matrix [inputs, outputs], from below, by the power method from a random vector.

  Not by a decomposition: inside a program over several CPU devices LAPACK's calls wait for one another for ever (jax
  0.10.2). Of Gaussian matrices, which have no gap to speak of, it misses less than one percent.
  """
  w = matrix(lax.stop_gradient(kernel))
  largest = jnp.max(jnp.abs(w))
  scaled = w / jnp.where(largest > 0, largest, 1)
  vector = unit(jax.random.normal(key, w.shape[-1:], w.dtype))
  vector = lax.fori_loop(0, iterations, lambda _, v: power_iteration(scaled, v)[1], vector)
  return largest * jnp.sqrt(jnp.sum(jnp.square(scaled @ vector)))
