"""Constraints on the discriminator's weights: a bound after each update, or a spectral norm of one in each forward pass.

A kernel is any leaf of two or more axes, seen as a matrix [inputs, outputs]. Both are transformations of parameters, so
every model has them.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from gan_jax.types import Key, Params

INITIAL_ITERATIONS = 30  # of the power method, once; afterwards one per update keeps up with the weights

Vectors = tuple[Array, ...]  # one per kernel: its leading right singular vector, [outputs]


def clip(params: Params, bound: ArrayLike) -> Params:
  """Every weight into [-bound, bound] (Arjovsky et al. 2017, "Wasserstein GAN", arXiv:1701.07875, algorithm 1)."""
  return jax.tree.map(lambda x: jnp.clip(x, -jnp.asarray(bound, x.dtype), jnp.asarray(bound, x.dtype)), params)


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


def advance(params: Params, vectors: Vectors) -> Vectors:
  """The vectors after one more iteration, at these weights. One that the kernel sends to zero stays as it is.

  Zero is where no power method comes back from: a kernel that starts at zero would never be normalised.
  """

  def moved(kernel: Array, vector: Array) -> Array:
    _, new = power_iteration(kernel, vector)
    return jnp.where(jnp.any(new != 0), new, vector)

  kernels = [x for x in jax.tree.leaves(params) if x.ndim >= 2]
  return tuple(moved(w, v) for w, v in zip(kernels, vectors, strict=True))


def initial_vectors(params: Params, key: Key) -> Vectors:
  """Random vectors, iterated until they are close to the leading ones."""
  kernels = [x for x in jax.tree.leaves(params) if x.ndim >= 2]
  start = tuple(unit(jax.random.normal(jax.random.fold_in(key, i), w.shape[-1:])) for i, w in enumerate(kernels))
  return lax.fori_loop(0, INITIAL_ITERATIONS, lambda _, vectors: advance(params, vectors), start)


def normalise(params: Params, vectors: Vectors) -> Params:
  """Every kernel W divided by s = u^T W v, its largest singular value once the vectors have converged.

  The gradient takes u and v as constants, as that of the singular value does (Miyato et al. 2018, "Spectral normalization
  for GANs", arXiv:1802.05957, algorithm 1 and eq. 12). Biases stay.
  """
  leaves, structure = jax.tree.flatten(params)
  remaining = iter(vectors)

  def divided(kernel: Array) -> Array:
    u, v = power_iteration(kernel, next(remaining))
    scale = u @ matrix(kernel) @ v
    return kernel / jnp.where(scale > 0, scale, 1)

  return jax.tree.unflatten(structure, [divided(x) if x.ndim >= 2 else x for x in leaves])
