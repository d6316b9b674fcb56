"""The Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406): the smallest game that can fail to converge, solved exactly.

The data are the number 0, the generator is the number theta, the discriminator is the line psi x, optionally with a
bias. It is not a model for configs: it has no size and ignores its noise. Tests and `experiments/studies/dirac` train
it with the production step, whose Jacobian at (0, 0) is then known in closed form for every loss, penalty and method.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Data, GanState, Params, Player
from gan_jax.data import Dataset
from gan_jax.data.dataset import decode_points


def dirac(bias: bool = False) -> tuple[Player, Player]:
  """(generator, discriminator), both starting at 1: parameters theta [], and psi [] or, with a bias, (psi [], b [])."""

  def generate(theta: Params, noise: Array, labels: Array) -> Array:
    del labels
    return jnp.broadcast_to(theta, (len(noise), 1))

  def judge(params: Params, images: Array, labels: Array) -> Array:
    del labels
    psi, b = params if bias else (params, jnp.zeros(()))
    return psi * images[:, 0] + b

  start = (jnp.ones(()), jnp.zeros(())) if bias else jnp.ones(())
  return Player(lambda key: jnp.ones(()), generate), Player(lambda key: start, judge)


def dataset(size: int = 4) -> Dataset:
  """`size` examples, all of them 0."""
  data = Data(jnp.zeros((size, 1)), jnp.zeros(size, jnp.int32))
  return Dataset(data, decode_points, (1,), 1, "points")


def placed(fresh: GanState, theta: Params, psi: Params) -> GanState:
  """A fresh state with the players moved to a point, prepared so that the next step is not a first step."""
  theta, psi = (jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), tree) for tree in (theta, psi))
  state = fresh._replace(gen_params=theta, gen_ema=theta, disc_params=psi, slow=(theta, psi) if fresh.slow else ())
  # Optimistic methods begin with a plain step; the later ones are studied.
  return jax.tree.map(lambda x: jnp.zeros_like(x) if x.dtype == bool else x, state)


def read(state: GanState) -> Array:
  """[..., n]: the n floating-point numbers that a Dirac-GAN's state carries, in the order of its leaves.

  The averages of logits are left out: only LeCam depends on them, and to second order only.
  """
  leaves = jax.tree.leaves(state._replace(logit_means=()))
  return jnp.stack([leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)], axis=-1)


class Numbers(NamedTuple):
  """A state as a vector of numbers, as `read` gives it, and the function back to a state."""

  vector: Array  # [n]
  restore: Callable[[Array], GanState]


def numbers(state: GanState) -> Numbers:
  leaves, structure = jax.tree.flatten(state._replace(logit_means=()))
  moving = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

  def restore(vector: Array) -> GanState:
    whole = list(leaves)
    for j, i in enumerate(moving):
      whole[i] = vector[j]
    return jax.tree.unflatten(structure, whole)._replace(logit_means=state.logit_means)

  return Numbers(read(state), restore)


def jacobian(advance: Callable[[GanState], GanState], state: GanState) -> Array:
  """[n, n]: the Jacobian of `advance` at `state`, over the state's numbers."""
  vector, restore = numbers(state)
  return jax.jacfwd(lambda v: read(advance(restore(v))))(vector)
