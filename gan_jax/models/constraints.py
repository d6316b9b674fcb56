"""Constraints on the discriminator's weights: a bound after each update, or a spectral norm of one in each forward pass.

A constraint is a record of functions of the parameters, so it works with every model, and the step calls all of them in
the same way. A kernel is any leaf of two or more axes, seen as a matrix [inputs, outputs].

Spectral normalisation is as accurate as its power method, which makes `iterations` iterations per update. Measured by
SVD at every 20th of 600 steps of `dcgan` on the digits, the largest singular value of a normalised kernel was with one
iteration up to 1.13 (width 32, rate 5e-4; median 1.03) and 1.15 (width 16, rate 2e-3; median 1.01), with five up to
1.10 (median 1.01) and 1.05 (median 1.00). Rows record it as `disc/largest_singular_value`.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from gan_jax.core.registry import Option, Registry
from gan_jax.core.spectra import kernels, matrix, power_iteration, unit
from gan_jax.core.types import Key, Params

INITIAL_ITERATIONS = 30  # of the power method, once

Vectors = tuple[Array, ...]  # one per kernel: its leading right singular vector, [outputs]


def clip(params: Params, bound: ArrayLike) -> Params:
  """Every weight into [-bound, bound] (Arjovsky et al. 2017, "Wasserstein GAN", arXiv:1701.07875, algorithm 1)."""
  return jax.tree.map(lambda x: jnp.clip(x, -jnp.asarray(bound, x.dtype), jnp.asarray(bound, x.dtype)), params)


def advance(params: Params, vectors: Vectors, iterations: int) -> Vectors:
  """The vectors after further iterations, at these weights. A vector that the kernel maps to zero is left unchanged.

  A power method cannot leave the zero vector: a kernel that starts at zero would never be normalised.
  """

  def moved(kernel: Array, vector: Array) -> Array:
    _, new = power_iteration(kernel, vector)
    return jnp.where(jnp.any(new != 0), new, vector)

  def turn(_: Array, vectors: Vectors) -> Vectors:
    return tuple(moved(w, v) for w, v in zip(kernels(params), vectors, strict=True))

  return lax.fori_loop(0, iterations, turn, vectors)


def initial_vectors(params: Params, key: Key) -> Vectors:
  """Random vectors, iterated until they are close to the leading ones."""
  start = [unit(jax.random.normal(jax.random.fold_in(key, i), w.shape[-1:])) for i, w in enumerate(kernels(params))]
  return advance(params, tuple(start), INITIAL_ITERATIONS)


def normalise(params: Params, vectors: Vectors) -> Params:
  """Every kernel W divided by s = u^T W v, its largest singular value once the vectors have converged.

  The gradient takes u and v as constants, as that of the singular value does (Miyato et al. 2018, "Spectral
  normalization for GANs", arXiv:1802.05957, algorithm 1 and eq. 12). Biases are unchanged.
  """
  leaves, structure = jax.tree.flatten(params)
  remaining = iter(vectors)

  def divided(kernel: Array) -> Array:
    u, v = power_iteration(kernel, next(remaining))
    scale = u @ matrix(kernel) @ v
    return kernel / jnp.where(scale > 0, scale, 1)

  return jax.tree.unflatten(structure, [divided(x) if x.ndim >= 2 else x for x in leaves])


class Constraint(NamedTuple):
  """A constraint as functions of the discriminator's weights; its memory is any pytree, () for none."""

  start: Callable[[Params, Key], tuple[Params, Any]]  # fresh parameters -> (parameters, memory)
  project: Callable[[Params], Params]  # the parameters after an optimizer's update
  advance: Callable[[Params, Any], Any]  # (updated parameters, memory) -> the updated memory
  bind: Callable[[Params, Any], Params]  # (parameters, memory) -> the weights of the forward pass
  binds: bool = False  # whether `bind` changes anything
  smooth: bool = True  # whether second derivatives through `bind` are those of the game


CONSTRAINTS = Registry("weight_constraint", (), traced="may")


@CONSTRAINTS.register("none")
def unconstrained() -> Constraint:
  """No constraint."""
  return Constraint(lambda params, key: (params, ()), lambda params: params, lambda _, memory: memory, lambda p, _: p)


@CONSTRAINTS.register("clip")
def bounded(
  *, bound: Annotated[ArrayLike, Option("largest absolute value of a weight", 0, traced=True)] = 0.01
) -> Constraint:
  """Every weight is clipped to [-bound, bound] after each update: see `clip`."""
  free = unconstrained()
  return free._replace(start=lambda p, key: (clip(p, bound), ()), project=lambda params: clip(params, bound))


@CONSTRAINTS.register("spectral")
def normalised(*, iterations: Annotated[int, Option("of the power method per update", 1, 1000)] = 5) -> Constraint:
  """Every kernel is divided by its largest singular value in each forward pass; `iterations` per update.

  The gradient treats the singular vectors as constants, so second derivatives through them are not the game's.
  """
  return unconstrained()._replace(
    start=lambda params, key: (params, initial_vectors(params, key)),
    advance=lambda params, vectors: advance(params, vectors, iterations),
    bind=normalise,
    binds=True,
    smooth=False,
  )
