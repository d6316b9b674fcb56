"""Finds out, from a derivative, whether a discriminator's logit depends on other examples of its batch.

A penalty on the gradient of a logit with respect to its image is not meaningful if the logit also depends on other
images (batch normalisation, minibatch standard deviation). If a network processes each example separately, the
derivative of a logit with respect to another example is exactly zero; so one derivative at a random point decides.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.compilation import quick_compilation
from gan_jax.core.types import Params, Player

UNITS = 4  # examples, or packs of them, in the trial batch
DRAWS = 8  # points at which the derivative is taken: at a single one, all rectifiers of a narrow layer may be off
MANY = 1_000_000  # parameters; in a network of more no layer is that narrow, and two draws are enough


def couples_batch(discriminator: Player, input_shape: tuple[int, ...], packing: int = 1) -> bool:
  """Whether a logit depends on an example of another pack: `d logit_j / d x_i` is not zero for some i outside pack j.

  The tangent is nonzero in the examples of the first pack only, and then of the last one only, because a dependence may
  go one way (attention to later examples). Parameters are random, because the initial ones may hide the dependence (a
  normalisation whose scale starts at zero). One small program is compiled; nothing is initialised.

  Args:
    discriminator: has one logit for each pack of `packing` examples.
    input_shape: of one example.
  """
  shapes = jax.eval_shape(lambda: discriminator.init(jax.random.key(0)))
  size = UNITS * packing

  def moved(params: Params, memory: Any, images: Array, direction: Array) -> Array:
    """The derivative of the logits [UNITS] along a direction of the images."""
    labels = jnp.zeros(size, jnp.int32)
    judged = lambda x: discriminator.apply(params, memory, x, labels, True)[0].logits  # noqa: E731
    return jax.jvp(judged, (images,), (direction,))[1]

  example = jax.ShapeDtypeStruct((size, *input_shape), jnp.float32)
  options = quick_compilation() if jax.default_backend() == "cpu" else {}
  program = jax.jit(moved).lower(*shapes, example, example).compile(compiler_options=options)
  many = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes[0])) > MANY
  for seed in range(2 if many else DRAWS):
    rng = np.random.default_rng(seed)
    params = jax.tree.map(functools.partial(weight, rng, positive=seed % 2 == 1), shapes[0])
    memory = jax.tree.map(functools.partial(statistic, rng), shapes[1])
    images, along = (rng.uniform(-1, 1, example.shape).astype(np.float32) for _ in range(2))
    for moved_pack in (0, UNITS - 1):
      direction = np.where(np.arange(size).reshape(-1, *[1] * len(input_shape)) // packing == moved_pack, along, 0)
      others = np.delete(np.asarray(program(params, memory, images, direction)), moved_pack)
      if np.any(np.isfinite(others) & (others != 0)):  # NaN says nothing: a parameter may be outside its range
        return True
  return False


def weight(rng: np.random.Generator, leaf: Any, positive: bool = False) -> np.ndarray:
  """A random parameter of that shape, at a scale that keeps the size of a signal from layer to layer.

  `positive`: vectors and scalars are positive, because a network may take the root or the logarithm of a scale.
  """
  fan_in = max(1, int(np.prod(leaf.shape)) // max(1, leaf.shape[-1])) if leaf.ndim > 1 else 1
  drawn = (rng.uniform(-1, 1, leaf.shape) * np.sqrt(3 / fan_in)).astype(leaf.dtype)
  return np.abs(drawn) if positive and leaf.ndim < 2 else drawn


def statistic(rng: np.random.Generator, leaf: Any) -> np.ndarray:
  """A value for an entry of a memory: floats near 1, as for a variance; whole numbers (counts, keys) 1; flags False."""
  if jnp.issubdtype(leaf.dtype, jnp.floating):
    return rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
  return np.full(leaf.shape, leaf.dtype != bool, leaf.dtype)
