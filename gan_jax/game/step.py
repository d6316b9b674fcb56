"""One step of the game: `n_critic` discriminator updates and `n_gen` generator updates, in the order of the `Spec`.

A step is `(hypers, state, data) -> (state, trace)` for one member and is not jitted here: see `population.py`. What a
player sees is drawn in `batches.py`, its gradient is taken in `gradients.py`; here the players take turns.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.core.types import Counts, Data, GanState, Hypers, Params, Spec, StepFn, Trace
from gan_jax.game import methods, optimizers
from gan_jax.game.batches import Batch, build_draw
from gan_jax.game.gradients import Critical, add, build_gradients, undecided_logit
from gan_jax.game.rules import Game, real_batches
from gan_jax.game.state import early_decay, moving_average
from gan_jax.models import constraints
from gan_jax.penalties.logits import moved_means

# A gradient whose square leaves float32 would freeze Adam for good while everything still looks finite.
LARGEST_GRADIENT = 1e18


class Turn(NamedTuple):
  """One update of one player, for the trace."""

  view: Any  # gradients.DiscriminatorView or GeneratorView
  before: Params
  updates: Params
  sound: Array  # bool: the gradient was finite


def all_small(*trees: Params) -> Array:
  """Whether every entry is finite and below `LARGEST_GRADIENT` in size (NaN is not)."""
  leaves = [leaf for tree in trees for leaf in jax.tree.leaves(tree)]
  return jnp.stack([jnp.all(jnp.abs(leaf) < LARGEST_GRADIENT) for leaf in leaves]).all()


def choose(condition: Array, new: Params, old: Params) -> Params:
  return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)


def build_step(spec: Spec, game: Game) -> StepFn:
  """The step of one member; `spec` and `game` are static, everything in `Hypers` may be traced."""
  draw, gradients = build_draw(spec, game), build_gradients(spec, game)
  # Lazy penalties have updates of their own: k + 1 where there were k, so each is shorter and remembers longer
  # (Karras et al. 2020, arXiv:1912.04958, appendix B). A plain gradient step already is as long as its gradient.
  lazy = spec.penalty_every > 1 and any(p.kind != "logits" for p in game.penalties)
  share = spec.penalty_every / (spec.penalty_every + 1) if lazy and spec.optimizer in optimizers.ADAPTIVE else 1.0

  def discriminator_step(hypers: Hypers, base: Params, opt: Any, grads: Params) -> tuple[Params, Any, Params]:
    """(params, memory, updates) of the discriminator's optimizer from `base`, the weights' bound included."""
    scaled = (hypers.discriminator_rate, hypers.beta1, hypers.beta2)
    if share != 1:
      scaled = (scaled[0] * share, scaled[1] ** share, scaled[2] ** share)
    updates, opt = game.optimizer(*scaled).update(grads, opt, base)
    params = add(base, updates)
    if spec.weight_constraint == "clip":
      params = constraints.clip(params, hypers.clip_value)
      updates = jax.tree.map(jnp.subtract, params, base)
    return params, opt, updates

  def generator_step(hypers: Hypers, state: GanState, base: Params, grads: Params) -> tuple[Params, Any, Params]:
    """As `discriminator_step`; during the head start it stands still."""
    updates, opt = game.optimizer(hypers.generator_rate, hypers.beta1, hypers.beta2).update(grads, state.gen_opt, base)
    learns = state.step >= hypers.head_start
    updates = choose(learns, updates, jax.tree.map(jnp.zeros_like, updates))
    return choose(learns, add(base, updates), base), choose(learns, opt, state.gen_opt), updates

  def critical(state: GanState) -> Critical:
    return Critical(state.logit_means, state.spectral)

  def judged(state: GanState, params: Params, opt: Any, view: Any) -> GanState:
    """The state after a discriminator update: its weights, and what follows them without a gradient."""
    means = moved_means(state.logit_means, view.real_logits, view.fake_logits)
    return followed(state._replace(disc_params=params, disc_opt=opt, logit_means=means))

  def followed(state: GanState) -> GanState:
    """The state with singular vectors of its discriminator's weights as they are now."""
    if spec.weight_constraint != "spectral":
      return state
    return state._replace(spectral=constraints.advance(state.disc_params, state.spectral, spec.spectral_iterations))

  def normalised(state: GanState) -> Params:
    """The discriminator's weights as the next forward pass has them; () without spectral normalisation."""
    return constraints.normalise(state.disc_params, state.spectral) if spec.weight_constraint == "spectral" else ()

  def lazy_update(hypers: Hypers, state: GanState, point: Any, batch: Batch, index: int):
    """The penalties' own update where it is due, `penalty_every` times as heavy: (params, memory, value, sound)."""

    def due(params: Params, opt: Any):
      grads, value = gradients.lazy(hypers, (point, params), critical(state), batch)
      grads = jax.tree.map(lambda g: spec.penalty_every * g, grads)
      params, opt, _ = discriminator_step(hypers, params, opt, grads)
      return params, opt, value, all_small(grads)

    def not_due(params: Params, opt: Any):
      return params, opt, jnp.full((), jnp.nan), jnp.ones((), bool)

    number = state.step * spec.n_critic + index
    # A real branch, not a select: a population's step is one number for all members.
    return lax.cond(number % spec.penalty_every == 0, due, not_due, state.disc_params, state.disc_opt)

  def discriminator_turn(hypers: Hypers, start: GanState, state: GanState, data: Data, index: int):
    batch = draw(hypers, state.step, data, "discriminator", index)
    gen_params = start.gen_params if spec.fakes == "same_images" else state.gen_params
    gradient = gradients.discriminator_loss if lazy else gradients.discriminator
    grads, view = gradient(hypers, (gen_params, state.disc_params), critical(state), batch)
    params, opt, updates = discriminator_step(hypers, state.disc_params, state.disc_opt, grads)
    sound = all_small(grads)
    turn = Turn(view, state.disc_params, updates, sound)
    state = judged(state, params, opt, view)
    if lazy:
      params, opt, value, also_sound = lazy_update(hypers, state, gen_params, batch, index)
      state = followed(state._replace(disc_params=params, disc_opt=opt))
      turn = turn._replace(view=view._replace(penalty=view.penalty + value), sound=sound & also_sound)
    return state, turn

  def generator_turn(hypers: Hypers, state: GanState, data: Data, index: int):
    batch = draw(hypers, state.step, data, "generator", index)
    grads, view = gradients.generator(hypers, (state.gen_params, state.disc_params), critical(state), batch)
    params, opt, updates = generator_step(hypers, state, state.gen_params, grads)
    turn = Turn(view, state.gen_params, updates, all_small(grads))
    return state._replace(gen_params=params, gen_opt=opt), turn

  def directions(hypers: Hypers, state: GanState, data: Data, index: int):
    """Both players' directions at one point, and their views: ((generator, discriminator), (view, view))."""
    gen_batch = draw(hypers, state.step, data, "generator", index)
    disc_batch = draw(hypers, state.step, data, "discriminator", index)

    def field(point):
      gen_grads, gen_view = gradients.generator(hypers, point, critical(state), gen_batch)
      disc_grads, disc_view = gradients.discriminator(hypers, point, critical(state), disc_batch)
      return (gen_grads, disc_grads), (gen_view, disc_view)

    point = (state.gen_params, state.disc_params)
    if spec.method in methods.ADJUSTMENTS:
      return methods.ADJUSTMENTS[spec.method](field, point, hypers.method_weight)
    return field(point)

  def simultaneous_turn(hypers: Hypers, state: GanState, data: Data):
    """Both players at once; `extragradient` moves from where they stand, by the gradient at where they would go.

    Source of the latter: Gidel et al. 2019 (arXiv:1802.10551), algorithm 2 and, with an optimizer's memory, 4.
    """
    base, sound = state, jnp.ones((), bool)
    for index in range(2 if spec.method == "extragradient" else 1):
      (gen_grads, disc_grads), (gen_view, disc_view) = directions(hypers, state, data, index)
      sound &= all_small(gen_grads, disc_grads)
      gen_params, gen_opt, gen_updates = generator_step(hypers, state, base.gen_params, gen_grads)
      disc_params, disc_opt, disc_updates = discriminator_step(hypers, base.disc_params, state.disc_opt, disc_grads)
      state = judged(state, disc_params, disc_opt, disc_view)._replace(gen_params=gen_params, gen_opt=gen_opt)
    gen_turn = Turn(gen_view, base.gen_params, gen_updates, sound)
    return state, Turn(disc_view, base.disc_params, disc_updates, sound), gen_turn

  def lookahead(hypers: Hypers, state: GanState) -> GanState:
    """Every `lookahead_every` steps both players go back to their slow weights, which follow them at their own pace.

    Source: Chavdarova et al. 2021, "Taming GANs with lookahead-minmax" (arXiv:2006.14567), algorithm 1.
    """
    due = (state.step + 1) % spec.lookahead_every == 0
    fast = (state.gen_params, state.disc_params)
    pulled = jax.tree.map(lambda s, f: s + hypers.lookahead_pace * (f - s), state.slow, fast)
    gen_params, disc_params = choose(due, pulled, fast)
    return state._replace(gen_params=gen_params, disc_params=disc_params, slow=choose(due, pulled, state.slow))

  def step(hypers: Hypers, state: GanState, data: Data) -> tuple[GanState, Trace]:
    start, new = state, state
    sound = state.diverged_at < 0
    if spec.order == "simultaneous":
      new, disc, gen = simultaneous_turn(hypers, state, data)
      sound &= gen.sound
    else:
      players = ["discriminator"] * spec.n_critic, ["generator"] * spec.n_gen
      first, second = players if spec.order == "discriminator_first" else players[::-1]
      for index, player in [*enumerate(first), *enumerate(second)]:
        if player == "discriminator":
          new, disc = discriminator_turn(hypers, start, new, data, index)
          sound &= disc.sound
        else:
          new, gen = generator_turn(hypers, new, data, index)
          sound &= gen.sound
    if spec.lookahead_every:
      new = followed(lookahead(hypers, new))

    learns = state.step >= hypers.head_start
    moved_before = start.counts.generator_updates // spec.n_gen  # steps in which the generator has learnt
    decay = early_decay(hypers.ema_decay, moved_before)
    gen_ema = choose(learns, moving_average(start.gen_ema, new.gen_params, decay), start.gen_ema)
    used = (spec.n_critic, jnp.where(learns, spec.n_gen, 0), real_batches(spec) * spec.batch_size)
    counts = Counts(*(old + jnp.asarray(more, jnp.uint32) for old, more in zip(start.counts, used, strict=True)))
    # A member that diverged keeps its last good state, whatever the arithmetic of its steps becomes.
    kept = choose(sound, new._replace(gen_ema=gen_ema, counts=counts), start)
    diverged_at = jnp.where(sound | (start.diverged_at >= 0), start.diverged_at, start.step)
    next_state = kept._replace(step=start.step + 1, diverged_at=diverged_at)
    threshold, calibrated = undecided_logit(game, hypers)
    trace = Trace(
      step=start.step,
      counts=kept.counts,
      alive=sound,
      real_logits=gen.view.real_logits,
      fake_logits=gen.view.fake_logits,
      held_out_logits=gen.view.held_out_logits,
      threshold=threshold,
      calibrated=calibrated,
      disc_loss=disc.view.loss,
      gen_loss=gen.view.loss,
      penalty=disc.view.penalty,
      generator_penalty=gen.view.penalty,
      logit_cotangent=gen.view.logit_cotangent,
      logit_slope=gen.view.logit_slope,
      real_slope=gen.view.real_slope,
      between_slope=gen.view.between_slope,
      image_cotangent=gen.view.image_cotangent,
      image_motion=gen.view.image_motion,
      lens=gen.view.lens,
      gen_grads=gen.view.grads,
      gen_parts=gen.view.parts,
      disc_parts=disc.view.parts,
      next_gen_grads=None,
      gen_params=gen.before,
      gen_updates=choose(sound, gen.updates, jax.tree.map(jnp.zeros_like, gen.updates)),
      disc_grads=disc.view.grads,
      disc_params=disc.before,
      disc_normalised=normalised(new),
      disc_updates=disc.updates,
    )
    return next_state, trace

  return step
