"""One step of the game: `n_critic` discriminator updates and `n_gen` generator updates, in the order of the `Spec`.

A step is `(hypers, state, batches) -> (state, trace)` for one member and is not jitted here. Real examples come from
outside (`batches.draw`). `batches.py` makes the batch of each update, `discriminator.py` and `generator.py` compute the
gradients, `updates.py` applies them, and this file calls them in the right order.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax import losses
from gan_jax.core.types import Batches, Counts, Data, GanState, Params, StepFn, Trace
from gan_jax.game import discriminator, generator, methods, schedules
from gan_jax.game.batches import Batch, deal, draw
from gan_jax.game.objective import undecided_logit
from gan_jax.game.rules import Game, real_batches
from gan_jax.game.state import early_decay, moving_average
from gan_jax.game.updates import (
  all_small,
  choose,
  follow_constraint,
  follow_discriminator,
  follow_generator,
  lazy,
  normalised,
  update_discriminator,
  update_generator,
)
from gan_jax.settings.records import Hypers, thawed

Turn = tuple[GanState, Any, Array]  # (state after it, view, bool: every gradient was finite)


def build_step(game: Game) -> StepFn:
  """`step` with its game bound."""
  return functools.partial(step, game)


def build_resident_step(game: Game) -> Callable[[Hypers, GanState, Data], tuple[GanState, Trace]]:
  """`step` with its real examples drawn from data on the device."""
  return lambda hypers, state, data: step(game, hypers, state, draw(game.spec, hypers.seed, state.step, data))


def step(game: Game, hypers: Hypers, state: GanState, batches: Batches) -> tuple[GanState, Trace]:
  """One step. A member that has diverged, or diverges in this step, keeps its last finite state."""
  hypers = schedules.current(game.spec, hypers, state.step)
  take_turns = simultaneous_turns if game.spec.order == "simultaneous" else alternating_turns
  new, views, sound = take_turns(game, hypers, state, batches)
  sound &= state.diverged_at < 0
  if game.spec.lookahead_every:
    new = follow_constraint(game, hypers, lookahead(game, hypers, new))
  new = count(game, hypers, state, average(game, hypers, state, new))
  kept = choose(sound, new, state)
  diverged_at = jnp.where(sound | (state.diverged_at >= 0), state.diverged_at, state.step)
  threshold, calibrated = undecided_logit(game, hypers)
  disc, gen = views
  trace = Trace(
    step=state.step,
    counts=kept.counts,
    alive=sound,
    threshold=threshold,
    calibrated=calibrated,
    signed=jnp.array([losses.signed(name) for name in game.spec.losses])[jnp.asarray(hypers.loss_index)],
    generator=gen._replace(updates=choose(sound, gen.updates, jax.tree.map(jnp.zeros_like, gen.updates))),
    discriminator=disc._replace(normalised=normalised(game, hypers, new.disc_params, new.memory)),
  )
  return kept._replace(step=state.step + 1, diverged_at=diverged_at), trace


def alternating_turns(game: Game, hypers: Hypers, state: GanState, batches: Batches) -> tuple[GanState, Any, Array]:
  """(state, (last view of the discriminator, of the generator), whether every gradient was finite)."""
  turns = [("discriminator", i) for i in range(game.spec.n_critic)]
  moves = [("generator", i) for i in range(game.spec.n_gen)]
  first, second = (turns, moves) if game.spec.order == "discriminator_first" else (moves, turns)
  start, views, sound = state, {}, jnp.ones((), bool)
  for player, index in [*first, *second]:
    if player == "discriminator":
      state, views[player], also = discriminator_turn(game, hypers, start, state, batches, index)
    else:
      state, views[player], also = generator_turn(game, hypers, state, batches, index)
    sound &= also
  return state, (views["discriminator"], views["generator"]), sound


def discriminator_turn(
  game: Game, hypers: Hypers, start: GanState, state: GanState, batches: Batches, index: int
) -> Turn:
  """One update of the discriminator, then that of the lazy penalties if it is due; `start` is the state before the step."""
  batch = deal(game, hypers, state.step, batches, "discriminator", index)
  gen_params = start.gen_params if game.spec.fakes == "same_images" else state.gen_params
  take = discriminator.loss_gradient if lazy(game) else discriminator.gradient
  grads, seen = take(game, hypers, (gen_params, state.disc_params), state.memory, batch)
  params, opt, updates = update_discriminator(game, hypers, state.disc_params, state.disc_opt, grads)
  sound, view = all_small(grads), seen.view._replace(updates=updates)
  state = follow_discriminator(game, hypers, state, params, opt, seen)
  if lazy(game):
    state, value, also = lazy_update(game, hypers, state, gen_params, batch, index)
    sound, view = sound & also, view._replace(penalty=view.penalty + value)
  return state, view, sound


def lazy_update(
  game: Game, hypers: Hypers, state: GanState, gen_params: Params, batch: Batch, index: int
) -> tuple[GanState, Array, Array]:
  """The separate update of lazy penalties, if it is due, with weight times `penalty_every`: (state, value, finite?)."""
  every = game.spec.penalty_every

  def due(params: Params, opt: Any):
    grads, value = discriminator.penalty_gradient(game, hypers, (gen_params, params), state.memory, batch)
    grads = jax.tree.map(lambda g: every * g, grads)
    params, opt, _ = update_discriminator(game, hypers, params, opt, grads)
    return params, opt, value, all_small(grads)

  def not_due(params: Params, opt: Any):
    return params, opt, jnp.full((), jnp.nan), jnp.ones((), bool)

  number = state.step * game.spec.n_critic + index
  # This stays a branch under `vmap`, because the step number is the same for all members.
  params, opt, value, sound = lax.cond(number % every == 0, due, not_due, state.disc_params, state.disc_opt)
  return follow_constraint(game, hypers, state._replace(disc_params=params, disc_opt=opt)), value, sound


def generator_turn(game: Game, hypers: Hypers, state: GanState, batches: Batches, index: int) -> Turn:
  """One update of the generator."""
  batch = deal(game, hypers, state.step, batches, "generator", index)
  grads, seen = generator.gradient(game, hypers, (state.gen_params, state.disc_params), state.memory, batch)
  params, opt, updates = update_generator(game, hypers, state, state.gen_params, grads)
  return follow_generator(hypers, state, params, opt, seen), seen.view._replace(updates=updates), all_small(grads)


def directions(game: Game, hypers: Hypers, state: GanState, batches: Batches, index: int) -> tuple[Any, Any]:
  """Both players' directions at one point: ((generator's, discriminator's), (their `Seen`s))."""
  gen_batch = deal(game, hypers, state.step, batches, "generator", index)
  disc_batch = deal(game, hypers, state.step, batches, "discriminator", index)

  def field(point: Any) -> tuple[Any, Any]:
    gen_grads, gen_seen = generator.gradient(game, hypers, point, state.memory, gen_batch)
    disc_grads, disc_seen = discriminator.gradient(game, hypers, point, state.memory, disc_batch)
    return (gen_grads, disc_grads), (gen_seen, disc_seen)

  point = (state.gen_params, state.disc_params)
  options = thawed(game.spec.method_options) | hypers.method_options
  return methods.METHODS[game.spec.method](field, point, **options)


def simultaneous_turns(game: Game, hypers: Hypers, state: GanState, batches: Batches) -> tuple[GanState, Any, Array]:
  """Both players update at once. `extragradient` takes the gradient at the point that a plain step would reach, and applies
  it at the original point.

  Source of `extragradient`: Gidel et al. 2019 (arXiv:1802.10551), algorithm 2 and, with an optimizer's memory, 4.
  """
  base, sound = state, jnp.ones((), bool)
  for index in range(methods.facts(game.spec.method).evaluations):
    (gen_grads, disc_grads), (gen, disc) = directions(game, hypers, state, batches, index)
    sound &= all_small(gen_grads, disc_grads)
    gen_params, gen_opt, gen_updates = update_generator(game, hypers, state, base.gen_params, gen_grads)
    disc_moved = update_discriminator(game, hypers, base.disc_params, state.disc_opt, disc_grads)
    state = follow_discriminator(game, hypers, state, *disc_moved[:2], disc)
    state = follow_generator(hypers, state, gen_params, gen_opt, gen)
  gen_view = gen.view._replace(params=base.gen_params, updates=gen_updates)
  return state, (disc.view._replace(params=base.disc_params, updates=disc_moved[2]), gen_view), sound


def lookahead(game: Game, hypers: Hypers, state: GanState) -> GanState:
  """Every `lookahead_every` steps the slow weights move towards both players, who then continue from the slow weights.

  Source: Chavdarova et al. 2021, "Taming GANs with lookahead-minmax" (arXiv:2006.14567), algorithm 1.
  """
  due = (state.step + 1) % game.spec.lookahead_every == 0
  fast, slow = (state.gen_params, state.disc_params), state.memory.slow
  pulled = jax.tree.map(lambda s, f: s + hypers.lookahead_pace * (f - s), slow, fast)
  gen_params, disc_params = choose(due, pulled, fast)
  memory = state.memory._replace(slow=choose(due, pulled, slow))
  return state._replace(gen_params=gen_params, disc_params=disc_params, memory=memory)


def average(game: Game, hypers: Hypers, start: GanState, new: GanState) -> GanState:
  """The state with updated moving averages of the generator and its memory; unchanged during the head start."""
  learns = start.step >= hypers.head_start
  moved_before = start.counts.generator_updates // game.spec.n_gen  # steps in which the generator was updated
  decay = early_decay(hypers.ema_decay, moved_before)
  ema = choose(learns, moving_average(start.gen_ema, new.gen_params, decay), start.gen_ema)
  followed = choose(learns, moving_average(start.memory.average, new.memory.generator, decay), start.memory.average)
  return new._replace(gen_ema=ema, memory=new.memory._replace(average=followed))


def count(game: Game, hypers: Hypers, start: GanState, new: GanState) -> GanState:
  """The state with its counts increased by this step's updates and images."""
  learns = start.step >= hypers.head_start
  used = (game.spec.n_critic, jnp.where(learns, game.spec.n_gen, 0), real_batches(game.spec) * game.spec.batch_size)
  counts = Counts(*(old + jnp.asarray(more, jnp.uint32) for old, more in zip(start.counts, used, strict=True)))
  return new._replace(counts=counts)
