"""Losses with an option that a controller moves while a run trains; its value is `Memories.balance`.

A program may train several losses side by side, of which some have a controller: the value is that of the loss in use.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from gan_jax import losses
from gan_jax.core.types import Memories
from gan_jax.game.rules import Game
from gan_jax.settings.records import Hypers


def controlled(game: Game) -> list[tuple[int, Any]]:
  """(index, controller) of each of the game's losses that has one."""
  found = [(i, losses.controller(name)) for i, name in enumerate(game.spec.losses)]
  return [(i, controller) for i, controller in found if controller is not None]


def own_options(game: Game, hypers: Hypers, index: int) -> dict[str, Any]:
  """The options of the controlled loss, without those of its transformations."""
  names = losses.LOSSES[losses.judge(game.spec.losses[index])].options
  return {name: value for name, value in hypers.loss_options[index].items() if name in names}


def start(game: Game, hypers: Hypers) -> Any:
  """The value before the first update; () where no loss has a controller."""
  value: Any = ()
  for i, controller in controlled(game):
    own = jnp.asarray(hypers.loss_options[i][controller.option], jnp.float32)
    value = own if value == () else jnp.where(jnp.asarray(hypers.loss_index) == i, own, value)
  return value


def bound(game: Game, hypers: Hypers, memory: Memories) -> Hypers:
  """The hypers with the memory's value in place of the option."""
  options = list(hypers.loss_options)
  for i, controller in controlled(game):
    options[i] = options[i] | {controller.option: memory.balance}
  return hypers._replace(loss_options=tuple(options))


def follow(game: Game, hypers: Hypers, value: Any, real_logits: Array, fake_logits: Array) -> Any:
  """The value after an update with these logits; unchanged where the loss in use has no controller."""
  now = value
  for i, controller in controlled(game):
    moved = controller.follow(value, real_logits, fake_logits, **own_options(game, hypers, i))
    now = jnp.where(jnp.asarray(hypers.loss_index) == i, moved.astype(value.dtype), now)
  return now


def seen(game: Game, hypers: Hypers, memory: Memories, real_logits: Array, fake_logits: Array) -> dict[str, Array]:
  """`balance` and `convergence` of the view of an update; empty where no loss has a controller."""
  found: dict[str, Array] = {}
  for i, controller in controlled(game):
    measured = controller.convergence(real_logits, fake_logits, **own_options(game, hypers, i))
    for name, value in {"balance": memory.balance, "convergence": measured}.items():
      found[name] = jnp.where(jnp.asarray(hypers.loss_index) == i, value, found.get(name, jnp.nan))
  return found
