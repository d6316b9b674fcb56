"""One step of the game: `n_critic` discriminator updates, then one generator update (alternating gradient descent).

The derivative is taken in stages, parameters -> images -> logits, and the loss enters at one point: as a cotangent on
the logits. So any loss plugs in there, the loss may be a traced index, and the three factors of the generator's
gradient (the loss's, the critic's, the generator's) lie open in the trace.

A step is `(hypers, state, data) -> (state, trace)` for one member and is not jitted here: see `population.py`.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.data.order import example_indices
from gan_jax.game import Game
from gan_jax.randomness import Purpose, derive_key
from gan_jax.state import moving_average
from gan_jax.types import Data, GanState, Hypers, Params, Spec, StepFn, Trace

# A gradient whose square leaves float32 would freeze Adam for good while everything still looks finite.
LARGEST_GRADIENT = 1e18


def logit_cotangents(
  game: Game, half: Literal["discriminator", "generator"], hypers: Hypers, real_logits: Array, fake_logits: Array
) -> tuple[Array, Array, Array]:
  """(mean loss, its derivative by real_logits [B], by fake_logits [B]) of the loss that `hypers.loss_index` chooses.

  Under `vmap` the switch computes all branches and selects among finished vectors: an inf or NaN in a loss that was not
  chosen cannot reach this member, as it would through the gradient of a `where` over losses.
  """

  def branch(builder, options):
    loss = getattr(builder(**options), half)

    def value_and_cotangents(real, fake):
      value, pull = jax.vjp(lambda r, f: loss(r, f).mean(), real, fake)
      return value, *pull(jnp.ones_like(value))

    return value_and_cotangents

  branches = [branch(b, o) for b, o in zip(game.losses, hypers.loss_options, strict=True)]
  if len(branches) == 1:
    return branches[0](real_logits, fake_logits)
  return lax.switch(hypers.loss_index, branches, real_logits, fake_logits)


def all_small(*trees: Params) -> Array:
  """Whether every entry is finite and below `LARGEST_GRADIENT` in size (NaN is not)."""
  leaves = [leaf for tree in trees for leaf in jax.tree.leaves(tree)]
  return jnp.stack([jnp.all(jnp.abs(leaf) < LARGEST_GRADIENT) for leaf in leaves]).all()


def choose(condition: Array, new: Params, old: Params) -> Params:
  return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)


def build_step(spec: Spec, game: Game) -> StepFn:
  """The step of one member; `spec` and `game` are static, everything in `Hypers` may be traced."""
  generate, judge = game.generator.apply, game.discriminator.apply

  def real_batch(hypers: Hypers, step: Array, substep: int, data: Data) -> tuple[Array, Array]:
    first = (step.astype(jnp.uint32) * spec.n_critic + substep) * spec.batch_size
    indices = example_indices(jnp.asarray(hypers.seed), first, spec.batch_size, data.images.shape[0])
    return game.decode(data.images[indices]), data.labels[indices]

  def noise(hypers: Hypers, step: Array, purpose: Purpose, substep: int) -> Array:
    return jax.random.normal(derive_key(hypers.seed, step, purpose, substep), (spec.batch_size, spec.latent_size))

  def judge_both(params: Params, real: Array, fake: Array, labels: Array) -> tuple[Array, Array]:
    if game.couples_batch:  # each side's statistics are its own
      return judge(params, real, labels), judge(params, fake, labels)
    logits = judge(params, jnp.concatenate([real, fake]), jnp.concatenate([labels, labels]))
    return logits[: spec.batch_size], logits[spec.batch_size :]

  def discriminator_update(hypers: Hypers, state: GanState, substep: int, real: Array, labels: Array):
    # A fake has the class of the real image that it stands beside, so one critic serves both in a penalty.
    z = noise(hypers, state.step, Purpose.DISCRIMINATOR_NOISE, substep)
    fake = generate(state.gen_params, z, labels)
    logits, pull = jax.vjp(lambda params: judge_both(params, real, fake, labels), state.disc_params)
    loss, *cotangents = logit_cotangents(game, "discriminator", hypers, *logits)
    (grads,) = pull(tuple(cotangents))
    penalty = jnp.zeros_like(loss)
    per_example = game.penalty
    if per_example is not None:
      key = derive_key(hypers.seed, state.step, Purpose.PENALTY, substep)

      def mean_penalty(params):
        return per_example(lambda images: judge(params, images, labels), real, fake, key).mean()

      penalty, penalty_grads = jax.value_and_grad(mean_penalty)(state.disc_params)
      grads = jax.tree.map(lambda g, p: g + hypers.penalty_weight * p, grads, penalty_grads)
    optimizer = game.optimizer(hypers.discriminator_rate, hypers.beta1, hypers.beta2)
    updates, disc_opt = optimizer.update(grads, state.disc_opt, state.disc_params)
    disc_params = jax.tree.map(jnp.add, state.disc_params, updates)
    return state._replace(disc_params=disc_params, disc_opt=disc_opt), (loss, penalty, grads, updates)

  def step(hypers: Hypers, state: GanState, data: Data) -> tuple[GanState, Trace]:
    new = state
    finite = state.diverged_at < 0
    for substep in range(spec.n_critic):
      disc_params = new.disc_params
      real, labels = real_batch(hypers, state.step, substep, data)
      new, (disc_loss, penalty, disc_grads, disc_updates) = discriminator_update(hypers, new, substep, real, labels)
      finite &= all_small(disc_grads)

    z = noise(hypers, state.step, Purpose.GENERATOR_NOISE, 0)
    images, pull_to_params = jax.vjp(lambda params: generate(params, z, labels), state.gen_params)
    fake_logits, pull_to_images = jax.vjp(lambda x: judge(new.disc_params, x, labels), images)
    real_logits = judge(new.disc_params, real, labels)
    gen_loss, _, cotangent = logit_cotangents(game, "generator", hypers, real_logits, fake_logits)
    (image_cotangent,) = pull_to_images(cotangent)
    (gen_grads,) = pull_to_params(image_cotangent)
    optimizer = game.optimizer(hypers.generator_rate, hypers.beta1, hypers.beta2)
    updates, gen_opt = optimizer.update(gen_grads, state.gen_opt, state.gen_params)
    gen_params = jax.tree.map(jnp.add, state.gen_params, updates)
    gen_ema = moving_average(state.gen_ema, gen_params, hypers.ema_decay)
    finite &= all_small(gen_grads)

    # A member that diverged keeps its last good state, whatever the arithmetic of its steps becomes.
    gen_learns = finite & (state.step >= hypers.head_start)
    new_generator = choose(gen_learns, (gen_params, gen_ema, gen_opt), (state.gen_params, state.gen_ema, state.gen_opt))
    new_discriminator = choose(finite, (new.disc_params, new.disc_opt), (state.disc_params, state.disc_opt))
    next_state = GanState(
      step=state.step + 1,
      diverged_at=jnp.where(finite | (state.diverged_at >= 0), state.diverged_at, state.step),
      gen_params=new_generator[0],
      gen_ema=new_generator[1],
      gen_opt=new_generator[2],
      disc_params=new_discriminator[0],
      disc_opt=new_discriminator[1],
    )
    trace = Trace(
      step=state.step,
      alive=finite,
      real_logits=real_logits,
      fake_logits=fake_logits,
      disc_loss=disc_loss,
      gen_loss=gen_loss,
      penalty=penalty,
      logit_cotangent=cotangent,
      logit_slope=pull_to_images(jnp.ones_like(fake_logits))[0],
      image_cotangent=image_cotangent,
      gen_grads=gen_grads,
      gen_params=state.gen_params,
      gen_updates=choose(gen_learns, updates, jax.tree.map(jnp.zeros_like, updates)),
      disc_grads=disc_grads,
      disc_params=disc_params,
      disc_updates=disc_updates,
    )
    return next_state, trace

  return step
