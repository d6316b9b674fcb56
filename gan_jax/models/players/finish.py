"""The last step of all adapters: checking outputs, and replacing convolutions by matrix products."""

from collections.abc import Callable
from typing import Any

from jax import Array

from gan_jax.core.types import Key, Memory, Params, Player
from gan_jax.models.convolutions import as_products
from gan_jax.models.players.calls import as_images, as_output

Shape = tuple[int, ...]


def finished(
  init: Callable[[Key], tuple[Params, Memory]],
  call: Callable[[Params, Memory, Array, Array, bool], tuple[Any, Memory]],
  what: str,
  discriminator: bool,
  convolution: str,
) -> Player:
  """The player of a call that returns a module's own values; see `calls` for what they may be."""
  as_returned = as_output if discriminator else as_images

  def apply(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    def one(params: Params, memory: Memory, x: Array, labels: Array) -> tuple[Any, Memory]:
      value, after = call(params, memory, x, labels, train)
      return as_returned(value, x.shape[0], what), after

    return as_products(one, convolution)(params, memory, x, labels)

  return Player(init, apply)
