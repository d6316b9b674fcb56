"""A Flax Linen module as a `Player`."""

from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import meta
from jax import Array

from gan_jax.core.errors import blamed
from gan_jax.core.types import Key, Memory, Params, Player
from gan_jax.models.players.calls import callable_of, read
from gan_jax.models.players.draws import drawn_from, needs_key, turned
from gan_jax.models.players.finish import Shape, finished
from gan_jax.models.players.naming import naming


def from_linen(module: nn.Module, input_shape: Shape, discriminator: bool = False, convolution: str = "auto") -> Player:
  """A Flax Linen module. Every collection except `params` is memory; it changes only in training.

      class Discriminator(nn.Module):
        @nn.compact
        def __call__(self, images, train: bool):
          x = nn.leaky_relu(nn.Conv(64, (4, 4), strides=2)(images), 0.2)
          x = nn.BatchNorm(use_running_average=not train)(nn.Conv(128, (4, 4), strides=2)(x))
          return nn.Dense(1)(nn.leaky_relu(x, 0.2).reshape(len(x), -1))

      discriminator = players.from_linen(Discriminator(), (28, 28, 1), discriminator=True)
      generator = players.from_linen(Generator(), (latent_size,))

  Raises:
    BadInput: the module cannot be called in this way.
  """
  what = type(module).__name__
  call = read(callable_of(module, what), what)
  empty = (jnp.zeros((2, *input_shape)), jnp.zeros(2, jnp.int32))

  def variables(key: Key) -> tuple[Params, dict[str, Any]]:
    x, labels = empty
    found = dict(meta.unbox(module.init(key, x, **call.arguments(labels, False))))
    found.pop("intermediates", None)
    return found.pop("params", {}), found

  def run(params: Params, memory: Memory, x: Array, labels: Array, train: bool, key: Key | None) -> tuple[Any, Any]:
    """(what the module returned, its collections afterwards)"""
    given: dict[str, Any] = {"rngs": key, **call.arguments(labels, train)}
    try:
      if not train:
        return module.apply({"params": params, **memory}, x, **given), memory
    except flax.errors.ModifyScopeVariableError:
      pass  # the module always uses the batch's statistics, and always writes them to its memory
    return module.apply({"params": params, **memory}, x, mutable=list(memory), **given)

  with blamed(f"{what} cannot be initialised with inputs {list(empty[0].shape)}"):
    params, collections = jax.eval_shape(variables, jax.random.key(0))
  draws = needs_key(lambda key, p, m: run(p, m, *empty, True, key), (params, collections))
  kept = naming(collections)

  def init(key: Key) -> tuple[Params, Memory]:
    params, found = variables(key)
    return params, kept.named(found) | drawn_from(key, draws)

  def apply(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    key, following = turned(memory)
    value, after = run(params, kept.restored(memory), x, labels, train, key)
    return value, kept.named(after) | following if train else memory

  return finished(init, apply, what, discriminator, convolution)
