"""Random keys. Each is a pure function of (seed, step, purpose); no key is kept in a state."""

import enum

import jax
from jax.typing import ArrayLike

from gan_jax.core.types import Key


class Purpose(enum.IntEnum):
  """What a key is used for. Add at the end and never renumber: that would change the random numbers of every seed."""

  GENERATOR_INIT = 0
  DISCRIMINATOR_INIT = 1
  DISCRIMINATOR_NOISE = 2
  GENERATOR_NOISE = 3
  PENALTY = 4
  EVALUATION = 5
  GRID = 6
  CLASSIFIER = 7
  INSTANCE_NOISE = 8
  GENERATOR_PENALTY = 9
  SPECTRAL = 10
  GEOMETRY = 11
  RESPONSE = 12
  AUGMENTATION = 13
  FLIP = 14


def derive_key(seed: ArrayLike, step: ArrayLike, purpose: Purpose, index: ArrayLike = 0) -> Key:
  """The key of one purpose at one step; `index` distinguishes the updates within a step."""
  key = jax.random.fold_in(jax.random.key(seed), step)
  return jax.random.fold_in(jax.random.fold_in(key, int(purpose)), index)
