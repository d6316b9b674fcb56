"""A player as two functions of parameters alone, for tests of what a network computes rather than of how it is trained."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gan_jax.core.types import Output


class Pure(NamedTuple):
  init: Callable  # key -> params
  apply: Callable  # (params, inputs, labels) -> images, or logits


def pure(player, train=True) -> Pure:
  """The functions of a player at its fresh memory, each compiled as one program."""

  @jax.jit
  def apply(params: Any, inputs: Any, labels: Any):
    memory = player.init(jax.random.key(0))[1]
    outputs, _ = player.apply(params, memory, inputs, labels, train)
    return outputs.logits if isinstance(outputs, Output) else outputs

  return Pure(jax.jit(lambda key: player.init(key)[0]), apply)
