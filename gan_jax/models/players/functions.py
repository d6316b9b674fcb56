"""A pair of pure functions as a `Player`."""

from collections.abc import Callable
from typing import Any

from jax import Array

from gan_jax.core.types import Key, Memory, Params, Player
from gan_jax.models.players.calls import name_of
from gan_jax.models.players.finish import finished


def plain(
  init: Callable[[Key], Params],
  apply: Callable[[Params, Array, Array], Any],
  discriminator: bool = False,
  convolution: str = "auto",
) -> Player:
  """A pair of pure functions without memory: init(key) -> params, apply(params, inputs, labels) -> images or logits.

  def init(key):
    return {"w": 0.1 * jax.random.normal(key, (28 * 28, 1)), "b": jnp.zeros(1)}

  def apply(params, images, labels):
    return images.reshape(len(images), -1) @ params["w"] + params["b"]

  discriminator = players.plain(init, apply, discriminator=True)
  """

  def call(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    return apply(params, x, labels), memory

  return finished(lambda key: (init(key), ()), call, name_of(apply), discriminator, convolution)
