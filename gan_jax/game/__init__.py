"""One step of the game: its rules, batches, gradients, updates and state."""

from gan_jax.game.rules import Game, assemble, build, check, objectives, real_batches, registered, second_order

__all__ = ["Game", "assemble", "build", "check", "objectives", "real_batches", "registered", "second_order"]
