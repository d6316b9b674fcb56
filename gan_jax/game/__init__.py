"""One step of the game: its rules, batches, gradients, updates and state."""

from gan_jax.game.registries import REGISTRIES, complete, registered
from gan_jax.game.rules import Game, assemble, build, check, objectives, players, real_batches, second_order

__all__ = [
  "REGISTRIES",
  "Game",
  "assemble",
  "build",
  "check",
  "complete",
  "objectives",
  "players",
  "real_batches",
  "registered",
  "second_order",
]
