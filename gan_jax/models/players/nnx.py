"""A Flax NNX module as a `Player`."""

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from gan_jax.core.errors import blamed
from gan_jax.core.types import Key, Memory, Params, Player
from gan_jax.models.players.calls import callable_of, name_of, read
from gan_jax.models.players.finish import Shape, finished
from gan_jax.models.players.naming import naming


def from_nnx(
  create: Callable[[Any], Any], input_shape: Shape, discriminator: bool = False, convolution: str = "auto"
) -> Player:
  """A Flax NNX module, made by `create(rngs)`. Every variable that is not an `nnx.Param` is memory.

      class Discriminator(nnx.Module):
        def __init__(self, rngs):
          self.conv = nnx.Conv(1, 64, (4, 4), strides=2, rngs=rngs)
          self.norm = nnx.BatchNorm(64, rngs=rngs)
          self.head = nnx.Linear(14 * 14 * 64, 1, rngs=rngs)

        def __call__(self, images):
          return self.head(nnx.leaky_relu(self.norm(self.conv(images)), 0.2).reshape(len(images), -1))

      discriminator = players.from_nnx(lambda rngs: Discriminator(rngs), (28, 28, 1), discriminator=True)

  Dropout and batch norms are switched between training and evaluation by `module.train()` and `module.eval()`.

  Raises:
    BadInput: the module cannot be called in this way.
  """
  from flax import nnx  # imported here: it takes half a second, and most runs do not need it

  found: dict[str, Any] = {}

  def variables(key: Key) -> tuple[Any, Any]:
    module = create(nnx.Rngs(key))
    found["what"] = what = type(module).__name__
    found["call"] = read(callable_of(module, what), what)
    parts: Any = nnx.split(module, nnx.Param, ...)
    found["graph"] = parts[0]
    return parts[1], parts[2]

  with blamed(f"the NNX module of {name_of(create)} cannot be made"):
    weights, kept = (naming(shapes) for shapes in jax.eval_shape(variables, jax.random.key(0)))
  call, graph = found["call"], found["graph"]

  def init(key: Key) -> tuple[Params, Memory]:
    params, others = variables(key)
    return weights.named(params), kept.named(others)

  def apply(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    module = nnx.merge(graph, weights.restored(params), kept.restored(memory))
    if train:
      module.train()
    else:
      module.eval()
    value = module(x, **call.arguments(labels, train))
    parts: Any = nnx.split(module, nnx.Param, ...)
    return value, kept.named(parts[2]) if train else memory

  return finished(init, apply, found["what"], discriminator, convolution)
