"""The state before the first step, and the moving average of the generator."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax import constraints
from gan_jax.game import Game
from gan_jax.penalties import LogitMeans
from gan_jax.randomness import Purpose, derive_key
from gan_jax.types import Counts, GanState, Hypers, Params, Spec


def initial_state(hypers: Hypers, spec: Spec, game: Game) -> GanState:
  """Fresh networks and optimizers from `hypers.seed`; the average starts at the generator itself."""
  gen_params = game.generator.init(derive_key(hypers.seed, 0, Purpose.GENERATOR_INIT))
  disc_params = game.discriminator.init(derive_key(hypers.seed, 0, Purpose.DISCRIMINATOR_INIT))
  gen_optimizer = game.optimizer(hypers.generator_rate, hypers.beta1, hypers.beta2)
  disc_optimizer = game.optimizer(hypers.discriminator_rate, hypers.beta1, hypers.beta2)
  spectral: constraints.Vectors = ()
  if spec.weight_constraint == "clip":
    disc_params = constraints.clip(disc_params, hypers.clip_value)
  elif spec.weight_constraint == "spectral":
    spectral = constraints.initial_vectors(disc_params, derive_key(hypers.seed, 0, Purpose.SPECTRAL))
  return GanState(
    step=jnp.zeros((), jnp.int32),
    diverged_at=jnp.full((), -1, jnp.int32),
    counts=Counts(*(jnp.zeros((), jnp.uint32) for _ in Counts._fields)),
    gen_params=gen_params,
    gen_ema=gen_params,
    gen_opt=gen_optimizer.init(gen_params),
    disc_params=disc_params,
    disc_opt=disc_optimizer.init(disc_params),
    logit_means=LogitMeans(jnp.zeros(()), jnp.zeros(())),
    spectral=spectral,
    slow=(gen_params, disc_params) if spec.lookahead_every else (),
  )


def early_decay(decay: ArrayLike, updates: ArrayLike) -> Array:
  """TODO"""
  updates = jnp.asarray(updates, jnp.float32)
  return jnp.minimum(decay, (1 + updates) / (10 + updates))


def moving_average(average: Params, params: Params, decay: ArrayLike) -> Params:
  """decay * average + (1 - decay) * params, leaf by leaf; at decay 0 exactly params, and exact where both are equal."""
  return jax.tree.map(lambda a, p: p + decay * (a - p), average, params)
