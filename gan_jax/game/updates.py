"""Applies a gradient to one player: its new parameters, optimizer state and memory."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.core.types import GanState, Memories, Params
from gan_jax.game import controllers, discriminator, optimizers
from gan_jax.game.objective import add
from gan_jax.game.rules import Game, constraint
from gan_jax.penalties.logits import moved_means
from gan_jax.settings.records import Hypers

# If the square of a gradient overflows float32, Adam never moves again, although all parameters are finite.
LARGEST_GRADIENT = 1e18


def all_small(*trees: Params) -> Array:
  """Whether every entry is finite and its absolute value below `LARGEST_GRADIENT`."""
  leaves = [leaf for tree in trees for leaf in jax.tree.leaves(tree)]
  return jnp.stack([jnp.all(jnp.abs(leaf) < LARGEST_GRADIENT) for leaf in leaves]).all()


def choose(condition: Array, new: Params, old: Params) -> Params:
  return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)


def lazy(game: Game) -> bool:
  """Whether costly penalties have separate updates, one every `penalty_every` discriminator updates."""
  return game.spec.penalty_every > 1 and discriminator.costly(game)


def generator_optimizer(game: Game, hypers: Hypers) -> optax.GradientTransformation:
  return game.optimizer(hypers.generator_rate, **hypers.optimizer_options)


def discriminator_optimizer(game: Game, hypers: Hypers) -> optax.GradientTransformation:
  """A lazy penalty adds one update every k, so Adam's rate and betas are rescaled by k/(k + 1).

  Source: Karras et al. 2020 (arXiv:1912.04958), appendix B. A plain gradient step scales with its gradient and needs no
  rescaling.
  """
  rate, options = hypers.discriminator_rate, hypers.optimizer_options
  decays = optimizers.decays(game.spec.optimizer)
  if lazy(game) and decays:
    share = game.spec.penalty_every / (game.spec.penalty_every + 1)
    rate, options = rate * share, options | {name: options[name] ** share for name in decays}
  return game.optimizer(rate, **options)


def update_discriminator(
  game: Game, hypers: Hypers, base: Params, opt: Any, grads: Params
) -> tuple[Params, Any, Params]:
  """(params, optimizer state, updates) from `base`, after the projection of the weights."""
  updates, opt = discriminator_optimizer(game, hypers).update(grads, opt, base)
  moved = add(base, updates)
  params = constraint(game, hypers).project(moved)
  if params is not moved:
    updates = jax.tree.map(jnp.subtract, params, base)
  return params, opt, updates


def update_generator(
  game: Game, hypers: Hypers, state: GanState, base: Params, grads: Params
) -> tuple[Params, Any, Params]:
  """As `update_discriminator`; during the head start the generator does not change."""
  updates, opt = generator_optimizer(game, hypers).update(grads, state.gen_opt, base)
  learns = state.step >= hypers.head_start
  updates = choose(learns, updates, jax.tree.map(jnp.zeros_like, updates))
  return choose(learns, add(base, updates), base), choose(learns, opt, state.gen_opt), updates


def follow_constraint(game: Game, hypers: Hypers, state: GanState) -> GanState:
  """The state with the constraint's memory advanced to the discriminator's current weights."""
  moved = constraint(game, hypers).advance(state.disc_params, state.memory.constraint)
  return state._replace(memory=state.memory._replace(constraint=moved))


def adapted(game: Game, hypers: Hypers, strength: Array, real_logits: Array) -> Array:
  """The augmentation's probability after an update: nearer to where the mean sign of D(real) is its target, if it has one.

  p <- p + sign(mean sign D(real) - target) * batch / images, within [0, 1]. A discriminator that has overfitted knows
  all real examples (mean sign 1), and more augmentation makes it forget them. Source: Karras et al. 2020 (ADA,
  arXiv:2006.06676), section 3.1, `r_t`; they move it every fourth update by four times as much.
  """
  excess = jnp.sign(real_logits).mean() - hypers.augmentation_target
  moved = strength + jnp.sign(excess) * game.spec.batch_size / hypers.augmentation_images
  return jnp.where(jnp.asarray(hypers.augmentation_target) > 0, jnp.clip(moved, 0.0, 1.0), hypers.augmentation_strength)


def follow_discriminator(
  game: Game, hypers: Hypers, state: GanState, params: Params, opt: Any, seen: discriminator.Seen
) -> GanState:
  """The state after a discriminator's update: its weights, and the memories that follow them."""
  means = moved_means(state.memory.logit_means, seen.view.real_logits, seen.view.fake_logits)
  logits = seen.view.real_logits, seen.view.fake_logits
  balance = controllers.follow(game, hypers, state.memory.balance, *logits)
  memory = state.memory._replace(logit_means=means, discriminator=seen.memory, balance=balance)
  if game.disguise is not None:
    memory = memory._replace(strength=adapted(game, hypers, memory.strength, seen.view.real_logits))
  return follow_constraint(game, hypers, state._replace(disc_params=params, disc_opt=opt, memory=memory))


def follow_generator(hypers: Hypers, state: GanState, params: Params, opt: Any, seen: discriminator.Seen) -> GanState:
  """The state after a generator's update; during the head start its memory does not change either."""
  after = choose(state.step >= hypers.head_start, seen.memory, state.memory.generator)
  return state._replace(gen_params=params, gen_opt=opt, memory=state.memory._replace(generator=after))


def normalised(game: Game, hypers: Hypers, params: Params, memory: Memories) -> Params:
  """The discriminator's weights as the next forward pass uses them; () where the constraint changes none."""
  held = constraint(game, hypers)
  return held.bind(params, memory.constraint) if held.binds else ()
