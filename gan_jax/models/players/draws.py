"""Random numbers of a module in training (dropout, noise). Their key is an entry of the module's memory."""

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from gan_jax.core.types import Key, Memory

KEY = "random_key"


def needs_key(run: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
  """Whether `run(key, *arguments)` draws at random: without a key it fails, with one it does not.

  Arguments are shapes; nothing is computed. A call that fails in both cases is reported later, by the trial of the
  player.
  """

  def works(key: Key | None) -> bool:
    try:
      jax.eval_shape(lambda *given: run(key, *given)[0], *arguments)
    except Exception:
      return False
    return True

  return not works(None) and works(jax.random.key(0))


def drawn_from(key: Key, draws: bool) -> dict[str, Array]:
  """The key's entry in the initial memory of a module that draws; {} for others."""
  return {KEY: jax.random.key_data(jax.random.fold_in(key, 1))} if draws else {}


def turned(memory: Memory) -> tuple[Key | None, dict[str, Array]]:
  """(the key for this call, the memory's entry for the next call); (None, {}) for a module that does not draw."""
  if KEY not in memory:
    return None, {}
  now, then = jax.random.split(jax.random.wrap_key_data(memory[KEY]))
  return now, {KEY: jax.random.key_data(then)}
