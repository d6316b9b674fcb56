"""Whether a discriminator judges an example by the others of its batch: found from a derivative, whoever wrote it.

A penalty on the slope of one logit by its image means nothing where the logit depends on other images too (batch
normalisation, minibatch standard deviation). The slope of a logit by another example is exactly zero in a network that
takes examples one by one, so one derivative at a random point tells.
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
DRAWS = 8  # points at which the derivative is taken: at one, all rectifiers of a narrow layer may be off


def couples_batch(discriminator: Player, input_shape: tuple[int, ...], packing: int = 1) -> bool:
  """Whether a logit depends on an example of another pack: `d logit_j / d x_i` is not zero for some i in pack 0, j > 0.

  The tangent moves the examples of the first pack alone, at random parameters: the initial ones may hide the
  dependence, as a normalisation whose scale starts at zero does. Nothing is initialised; one small program is compiled.

  Args:
    discriminator: it judges packs of `packing` examples, one logit each.
    input_shape: of one example.
  """
  shapes = jax.eval_shape(discriminator.init, jax.random.key(0))
  size = UNITS * packing
  labels = jnp.zeros(size, jnp.int32)

  def moved(params: Params, memory: Any, images: Array, direction: Array) -> Array:
    """The derivative of the logits [UNITS] along a direction of the images."""
    judged = lambda x: discriminator.apply(params, memory, x, labels, True)[0].logits  # noqa: E731
    return jax.jvp(judged, (images,), (direction,))[1]

  example = jax.ShapeDtypeStruct((size, *input_shape), jnp.float32)
  options = quick_compilation() if jax.default_backend() == "cpu" else {}
  program = jax.jit(moved).lower(*shapes, example, example).compile(compiler_options=options)
  for seed in range(DRAWS):
    rng = np.random.default_rng(seed)
    params = jax.tree.map(functools.partial(weight, rng), shapes[0])
    memory = jax.tree.map(functools.partial(statistic, rng), shapes[1])
    images, direction = (rng.uniform(-1, 1, example.shape).astype(np.float32) for _ in range(2))
    direction[packing:] = 0
    if np.any(np.asarray(program(params, memory, images, direction))[1:] != 0):
      return True
  return False


def weight(rng: np.random.Generator, leaf: Any) -> np.ndarray:
  """A parameter of that shape at random, at a scale that neither blows a signal up nor lets it die."""
  fan_in = max(1, int(np.prod(leaf.shape)) // max(1, leaf.shape[-1])) if leaf.ndim > 1 else 1
  return (rng.uniform(-1, 1, leaf.shape) * np.sqrt(3 / fan_in)).astype(leaf.dtype)


def statistic(rng: np.random.Generator, leaf: Any) -> np.ndarray:
  """An entry of a memory: near one, as a variance may be; whole numbers, counts and keys, one; flags, off."""
  if jnp.issubdtype(leaf.dtype, jnp.floating):
    return rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
  return np.full(leaf.shape, leaf.dtype != bool, leaf.dtype)
