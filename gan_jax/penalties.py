"""Penalties: pure functions of the critic (images -> logits, parameters and labels bound), one value per example.

The step takes the mean over the batch and multiplies it by `Hypers.penalty_weight`. Norms are per sample over all
non-batch axes, in float32. A penalty that differentiates logits with respect to images is only defined for a
discriminator that does not couple the examples of a batch; `game.build` refuses the combination.
"""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.checks import at_least_float32
from gan_jax.errors import unknown
from gan_jax.types import Critic, Key, Penalty


def squared_norm_per_example(x: Array) -> Array:
  """[B, ...] -> [B]: the sum of squares over all axes but the first, in float32 or better."""
  return jnp.sum(jnp.square(at_least_float32(x)), axis=tuple(range(1, x.ndim)))


def input_gradient(critic: Critic, images: Array) -> Array:
  """[B, ...]: the gradient of each logit with respect to its own image, for a critic that does not couple examples."""
  return jax.grad(lambda x: critic(x).sum())(images)


def none(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """Zero."""
  del critic, fake, key
  return jnp.zeros(real.shape[0])


def r1(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """0.5 ||grad_x D(x)||^2 at real x, with the half: the weight is gamma (Mescheder et al. 2018, arXiv:1801.04406, eq. 9)."""
  del fake, key
  return 0.5 * squared_norm_per_example(input_gradient(critic, real))


PENALTIES: dict[str, Penalty] = {"none": none, "r1": r1}


def get(name: str) -> Penalty:
  """Raises `BadInput` for an unknown name."""
  if name not in PENALTIES:
    raise unknown("penalty", name, PENALTIES)
  return PENALTIES[name]
