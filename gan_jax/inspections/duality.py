"""The duality gap: how much the two players could gain by changing while the other is fixed.

M(u, v) = 1/2 E log D_v(x) + 1/2 E log(1 - D_v(G_u(z))), which v maximises and u minimises. With the factors 1/2,
max_v M = JSD(p, q) - log 2, and a gap of zero is an equilibrium. M is the same for every loss: logits are taken as
log-odds of being real, whatever loss a run trains with.

Source: Grnarova et al. 2019, "A domain agnostic measure for monitoring and evaluating GANs" (arXiv:1811.05512).
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.registry import Option
from gan_jax.core.types import Batches, Data, GanState
from gan_jax.game import discriminator
from gan_jax.game.batches import draw, resident_batch
from gan_jax.game.rules import Game, objectives, optimal_logits
from gan_jax.game.step import discriminator_turn, generator_turn
from gan_jax.probes import inspection
from gan_jax.settings.records import Hypers

KEPT_APART = 4  # without held-out examples, every fourth is held out from the responses

EXPLANATIONS = {
  "gap/duality": "lower estimate of the duality gap in nats: what the players gain by some response steps; 0: equilibrium",
  "gap/worst_discriminator": "value M of the game after the discriminator's response; -log 2 for a perfect generator",
  "gap/worst_generator": "value M of the game after the generator's response",
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

  With best responses this is the duality gap and at least 0. With other responses it is a lower estimate, which is
  negative if a response makes a player worse.

  Source: Grnarova et al. 2019, definition 1.
  """
  against_v, against_u = value(u, answer_of_v(u, v)), value(answer_of_u(u, v), v)
  return Gap(against_v - against_u, against_v, against_u)


def yardstick(game: Game) -> Game:
  """The game in which the gap is measured: M alone, one update per step, some examples held out."""
  spec = game.spec._replace(
    losses=("minimax",),
    penalty="none",
    penalty_every=1,
    generator_penalty="none",
    instance_noise=False,
    hold_out=game.spec.hold_out or KEPT_APART,
    order="discriminator_first",
    n_critic=1,
    n_gen=1,
    fakes="fresh",
    method="gradient",
    unroll_steps=0,
    lens="none",
    probes="none",
  )
  return game._replace(
    spec=spec,
    losses=objectives(spec),
    optimal_logits=optimal_logits(spec),
    penalties=(),
    generator_penalties=(),
  )


def facing(one: GanState, other: GanState) -> GanState:
  """A state with the generator of one state and the discriminator of another."""
  memory = other.memory._replace(generator=one.memory.generator)
  return other._replace(gen_params=one.gen_params, gen_opt=one.gen_opt, memory=memory)


def answer(
  turn: Callable[[GanState, Batches], GanState], game: Game, hypers: Hypers, state: GanState, data: Data, steps: int
) -> GanState:
  """The state after `steps` updates of one player, counted from step 0."""

  def move(t: Array, state: GanState) -> GanState:
    state = state._replace(step=jnp.asarray(t, state.step.dtype))
    return turn(state, draw(game.spec, hypers.seed, state.step, data))

  return lax.fori_loop(0, steps, move, state)


def value(game: Game, hypers: Hypers, state: GanState, data: Data, after: int) -> Array:
  """M of a state's players, on at least `Spec.evaluation_samples` held-out examples, from batch `after` on."""
  point = state.gen_params, state.disc_params

  def one(t: Array) -> Array:
    batch = resident_batch(game, hypers, t, data, "discriminator", 0)
    assert batch.held_out is not None
    batch = batch._replace(real=batch.held_out[0], labels=batch.held_out[1])
    view = discriminator.loss_gradient(game, hypers, point, state.memory, batch)[1].view
    return game_value(view.real_logits, view.fake_logits)

  batches = -(-game.spec.evaluation_samples // game.spec.batch_size)
  return lax.map(one, after + jnp.arange(batches)).mean()


@inspection("gap", EXPLANATIONS)
def build(
  game: Game, *, steps: Annotated[int, Option("steps of each player's response", 1, 1_000_000)] = 100
) -> Callable[[Hypers, GanState, Data], Gap]:
  """The gap of one member, on the device, from copies of its players.

  Each player responds with `steps` steps on M alone, without penalties or instance noise, with its own optimizer,
  optimizer state and rate, and under its weight constraint. Randomness derives from (seed, step) and differs from the
  training's. M is measured on at least `Spec.evaluation_samples` examples that were not used in the responses: the run's
  held-out examples, or else every fourth example, which the players may have been trained on.
  """
  game = yardstick(game)

  def measure(hypers: Hypers, state: GanState, data: Data) -> Gap:
    key = derive_key(hypers.seed, state.step, Purpose.RESPONSE)
    # A separate seed, so that noise and data order differ from the training's.
    seed = jax.random.bits(key, (), jnp.uint32)
    hypers = hypers._replace(seed=seed, loss_index=0, loss_options=({},), penalty_weights=(), head_start=0)

    def of_discriminator(u: GanState, v: GanState) -> GanState:
      turn = lambda state, batches: discriminator_turn(game, hypers, state, state, batches, 0)[0]  # noqa: E731
      return answer(turn, game, hypers, facing(u, v), data, steps)

    def of_generator(u: GanState, v: GanState) -> GanState:
      turn = lambda state, batches: generator_turn(game, hypers, state, batches, 0)[0]  # noqa: E731
      return answer(turn, game, hypers, facing(u, v), data, steps)

    of_both = lambda u, v: value(game, hypers, facing(u, v), data, steps)  # noqa: E731
    found = gap(of_both, of_generator, of_discriminator, state, state)
    return jax.tree.map(lambda x: jnp.where(state.diverged_at < 0, x, jnp.nan), found)

  return measure


def finish(found: Gap) -> dict[str, np.ndarray]:
  """On the host: gaps with a leading axis [P] -> columns [P]."""
  return {f"gap/{name}": np.asarray(value, np.float32) for name, value in found._asdict().items()}


def explanations(game: Game) -> dict[str, str]:
  """The meaning of each column of `finish`."""
  del game
  return EXPLANATIONS
