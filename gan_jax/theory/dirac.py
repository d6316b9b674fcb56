"""The Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406): the smallest game that can fail to converge, solved exactly.

The data are the number 0 (`data.from_numbers`), the generator is the number theta, the discriminator is the line psi x,
optionally with a bias. It is not a model for configs: it has no size and ignores its noise. Tests and
`experiments/studies/dirac` train it with the production step, whose Jacobian at (0, 0) is then known in closed form for
every loss, penalty and method.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import GanState, Memory, Output, Params, Player


def dirac(bias: bool = False) -> tuple[Player, Player]:
  """(generator, discriminator), both starting at 1: parameters theta [], and psi [] or, with a bias, (psi [], b [])."""

  def generate(theta: Params, memory: Memory, noise: Array, labels: Array, train: bool) -> tuple[Array, Memory]:
    del labels, train
    return jnp.broadcast_to(theta, (len(noise), 1)), memory

  def judge(params: Params, memory: Memory, images: Array, labels: Array, train: bool) -> tuple[Output, Memory]:
    del labels, train
    psi, b = params if bias else (params, jnp.zeros(()))
    return Output(psi * images[:, 0] + b), memory

  start = (jnp.ones(()), jnp.zeros(())) if bias else jnp.ones(())
  return Player(lambda key: (jnp.ones(()), ()), generate), Player(lambda key: (start, ()), judge)


def placed(fresh: GanState, theta: Params, psi: Params) -> GanState:
  """A fresh state with the players moved to a point, prepared so that the next step is not a first step."""
  theta, psi = (jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), tree) for tree in (theta, psi))
  memory = fresh.memory._replace(slow=(theta, psi) if fresh.memory.slow else ())
  state = fresh._replace(gen_params=theta, gen_ema=theta, disc_params=psi, memory=memory)
  # Optimistic methods begin with a plain step; the later ones are studied.
  return jax.tree.map(lambda x: jnp.zeros_like(x) if x.dtype == bool else x, state)


def without_means(state: GanState) -> GanState:
  """The state without the averages of logits: they follow, and only LeCam looks at them, to second order."""
  return state._replace(memory=state.memory._replace(logit_means=()))  # type: ignore[arg-type]


def read(state: GanState) -> Array:
  """[..., n]: the n floating-point numbers that a Dirac-GAN's state carries, in the order of its leaves, `without_means`."""
  leaves = jax.tree.leaves(without_means(state))
  return jnp.stack([leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)], axis=-1)


class Numbers(NamedTuple):
  """A state as a vector of numbers, as `read` gives it, and the function back to a state."""

  vector: Array  # [n]
  restore: Callable[[Array], GanState]


def numbers(state: GanState) -> Numbers:
  leaves, structure = jax.tree.flatten(without_means(state))
  moving = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

  def restore(vector: Array) -> GanState:
    whole = list(leaves)
    for j, i in enumerate(moving):
      whole[i] = vector[j]
    restored = jax.tree.unflatten(structure, whole)
    return restored._replace(memory=restored.memory._replace(logit_means=state.memory.logit_means))

  return Numbers(read(state), restore)


def jacobian(advance: Callable[[GanState], GanState], state: GanState) -> Array:
  """[n, n]: the Jacobian of `advance` at `state`, over the state's numbers."""
  vector, restore = numbers(state)
  return jax.jacfwd(lambda v: read(advance(restore(v))))(vector)
