"""The duality gap: how much either player could still gain if the other stood still.

M(u, v) = 1/2 E log D_v(x) + 1/2 E log(1 - D_v(G_u(z))), which v maximises and u minimises. The halves matter: with them
max_v M = JSD(p, q) - log 2, and a gap of zero is an equilibrium. M is the same yardstick for every loss: logits are read
as log-odds of being real, whatever a run trains on.

Source: Grnarova et al. 2019, "A domain agnostic measure for monitoring and evaluating GANs" (arXiv:1811.05512).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax import losses
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Data, GanState, Hypers, Params, Spec
from gan_jax.game.batches import build_draw
from gan_jax.game.gradients import Critical, add, build_gradients
from gan_jax.game.rules import Game
from gan_jax.models import constraints

KEPT_APART = 4  # without held-out examples, every fourth is kept from the responses

EXPLANATIONS = {
  "gap/duality": "duality gap in nats, from below: what the players gain by a bounded answer to each other; 0 is level",
  "gap/worst_discriminator": "value M of the game once the discriminator has answered; -log 2 of a perfect generator",
  "gap/worst_generator": "value M of the game once the generator has answered",
}


class Gap(NamedTuple):
  duality: Array  # worst_discriminator - worst_generator
  worst_discriminator: Array  # M(u, v')
  worst_generator: Array  # M(u', v)


def game_value(real_logits: Array, fake_logits: Array) -> Array:
  """M = 1/2 mean log D(x) + 1/2 mean log(1 - D(G(z))) from logits [B] of D: a scalar, -log 2 where all logits are 0."""
  return -0.5 * (jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean())


def gap(
  value: Callable[[Any, Any], Array],
  answer_of_u: Callable[[Any, Any], Any],
  answer_of_v: Callable[[Any, Any], Any],
  u: Any,
  v: Any,
) -> Gap:
  """DG(u, v) = M(u, v') - M(u', v), with v' = answer_of_v(u, v) for max M(u, .) and u' = answer_of_u(u, v) for min M(., v).

  With best answers this is the duality gap and at least 0. With any others it is a lower estimate of it, which may be
  negative where an answer is worse than no answer.

  Source: Grnarova et al. 2019, definition 1.
  """
  against_v, against_u = value(u, answer_of_v(u, v)), value(answer_of_u(u, v), v)
  return Gap(against_v - against_u, against_v, against_u)


def build(spec: Spec, game: Game) -> Callable[[Hypers, GanState, Data], Gap]:
  """The gap of one member, on the device, from copies of its players.

  Each answers with `Spec.response_steps` steps on M alone, without penalties or noise on the images, by its own optimizer,
  memory and rate, and under the constraint of its weights. Randomness derives from (seed, step) and is not that of the
  training. M is taken on at least `Spec.evaluation_samples` examples that no answer has seen: those that the run holds
  out, or else every fourth, which the players at hand have been trained on.
  """
  spec = spec._replace(
    losses=("minimax",),
    penalty="none",
    penalty_every=1,
    generator_penalty="none",
    instance_noise=False,
    hold_out=spec.hold_out or KEPT_APART,
    order="discriminator_first",
    n_critic=1,
    n_gen=1,
    fakes="fresh",
    method="gradient",
    unroll_steps=0,
    lens="none",
    probes="none",
  )
  game = game._replace(
    losses=(losses.builder("minimax"),),
    optimal_logits=(losses.optimal_logit("minimax"),),
    penalties=(),
    generator_penalties=(),
  )
  draw, gradients = build_draw(spec, game), build_gradients(spec, game)
  batches = -(-spec.evaluation_samples // spec.batch_size)

  def measure(hypers: Hypers, state: GanState, data: Data) -> Gap:
    key = derive_key(hypers.seed, state.step, Purpose.RESPONSE)
    # A seed of its own: neither the noise nor the order of the data is the training's.
    hypers = hypers._replace(
      seed=jax.random.bits(key, (), jnp.uint32), loss_index=0, loss_options=({},), penalty_weights=()
    )
    critic = state.disc_params, state.spectral

    def judged_by(critic: tuple[Params, Any]) -> Critical:
      return Critical(state.logit_means, critic[1])

    def answer_of_discriminator(gen_params: Params, critic: tuple[Params, Any]) -> tuple[Params, Any]:
      def move(t: Array, carry: Any) -> Any:
        (params, vectors), opt = carry
        batch = draw(hypers, t, data, "discriminator", 0)
        grads, _ = gradients.discriminator(hypers, (gen_params, params), judged_by((params, vectors)), batch)
        optimizer = game.optimizer(hypers.discriminator_rate, hypers.beta1, hypers.beta2)
        updates, opt = optimizer.update(grads, opt, params)
        params = add(params, updates)
        if spec.weight_constraint == "clip":
          params = constraints.clip(params, hypers.clip_value)
        if spec.weight_constraint == "spectral":
          vectors = constraints.advance(params, vectors, spec.spectral_iterations)
        return (params, vectors), opt

      return lax.fori_loop(0, spec.response_steps, move, (critic, state.disc_opt))[0]

    def answer_of_generator(gen_params: Params, critic: tuple[Params, Any]) -> Params:
      def move(t: Array, carry: Any) -> Any:
        params, opt = carry
        batch = draw(hypers, t, data, "generator", 0)
        grads, _ = gradients.generator(hypers, (params, critic[0]), judged_by(critic), batch)
        optimizer = game.optimizer(hypers.generator_rate, hypers.beta1, hypers.beta2)
        updates, opt = optimizer.update(grads, opt, params)
        return add(params, updates), opt

      return lax.fori_loop(0, spec.response_steps, move, (gen_params, state.gen_opt))[0]

    def value(gen_params: Params, critic: tuple[Params, Any]) -> Array:
      def one(t: Array) -> Array:
        batch = draw(hypers, t, data, "discriminator", 0)
        assert batch.unseen is not None
        batch = batch._replace(real=batch.unseen[0], labels=batch.unseen[1])
        _, view = gradients.discriminator(hypers, (gen_params, critic[0]), judged_by(critic), batch)
        return game_value(view.real_logits, view.fake_logits)

      return lax.map(one, spec.response_steps + jnp.arange(batches)).mean()

    found = gap(value, answer_of_generator, answer_of_discriminator, state.gen_params, critic)
    return jax.tree.map(lambda x: jnp.where(state.diverged_at < 0, x, jnp.nan), found)

  return measure


def finish(found: Gap) -> dict[str, np.ndarray]:
  """On the host: gaps with a leading axis [P] -> columns [P]."""
  return {f"gap/{name}": np.asarray(value, np.float32) for name, value in found._asdict().items()}


def explanations(game: Game) -> dict[str, str]:
  """What the names of `finish` mean."""
  del game
  return EXPLANATIONS
