"""The initial state, and the moving average of the generator's weights."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Counts, GanState, LogitMeans, Memories, Params
from gan_jax.game import controllers
from gan_jax.game.rules import Game, constraint
from gan_jax.game.updates import discriminator_optimizer, generator_optimizer
from gan_jax.settings.records import Hypers

RAMP = 0.05  # largest half-life of the average, as a share of the updates so far


def initial_state(hypers: Hypers, game: Game) -> GanState:
  """New networks and optimizers from `hypers.seed`; the average starts at the generator's weights."""
  gen_params, gen_memory = game.generator.init(derive_key(hypers.seed, 0, Purpose.GENERATOR_INIT))
  disc_params, disc_memory = game.discriminator.init(derive_key(hypers.seed, 0, Purpose.DISCRIMINATOR_INIT))
  disc_params, held = constraint(game, hypers).start(disc_params, derive_key(hypers.seed, 0, Purpose.SPECTRAL))
  return GanState(
    step=jnp.zeros((), jnp.int32),
    diverged_at=jnp.full((), -1, jnp.int32),
    counts=Counts(*(jnp.zeros((), jnp.uint32) for _ in Counts._fields)),
    gen_params=gen_params,
    gen_ema=gen_params,
    gen_opt=generator_optimizer(game, hypers).init(gen_params),
    disc_params=disc_params,
    disc_opt=discriminator_optimizer(game, hypers).init(disc_params),
    memory=Memories(
      generator=gen_memory,
      average=gen_memory,
      discriminator=disc_memory,
      constraint=held,
      logit_means=LogitMeans(jnp.zeros(()), jnp.zeros(())),
      slow=(gen_params, disc_params) if game.spec.lookahead_every else (),
      strength=() if game.disguise is None else jnp.asarray(hypers.augmentation_strength, jnp.float32),
      balance=controllers.start(game, hypers),
    ),
  )


def early_decay(decay: ArrayLike, updates: ArrayLike) -> Array:
  """min(decay, 2^(-1 / (RAMP updates))): the average's half-life is at most a twentieth of the updates so far.

  Without this ramp, the average at step t contains decay^t of the *untrained* generator, a fifth at 1,500 steps of
  0.999, and its samples are noise while the generator's are digits. With the ramp, the first update replaces the
  initial generator completely, and the decay reaches its full value after 13.9 / (1 - decay) updates. Source: Karras et
  al. 2020 (StyleGAN2-ADA, arXiv:2006.06676), whose code calls it `ema_rampup`, 0.05.

  Different averages of the same trainings. Frechet distance on the main job (configs/compare_losses.py, 1,500
  steps, geometric mean of 7 losses and 5 seeds), and the share of high-quality samples on the ring of
  configs/ring.py (no penalty, mean of 7 losses and 3 seeds), where the generator still changes fast:

  | average | digits, 500 | 1,000 | 1,500 steps | ring, 2,500 steps |
  | --- | --- | --- | --- | --- |
  | none: the generator itself | 32.6 | 16.3 | 9.74 | 8.3 % |
  | 0.995, constant | 27.0 | 8.13 | 4.17 | 7.8 % |
  | 0.999, constant | 219 | 59.5 | 21.2 | 0.4 % |
  | 0.999, divided by 1 - 0.999^t as in Adam | 35.8 | 13.5 | 7.91 | 1.1 % |
  | 0.999, min(decay, (1 + t) / (10 + t)) | 19.8 | 7.69 | 4.05 | 6.2 % |
  | **0.999, half-life at most t / 20** | 20.1 | 7.83 | 4.03 | 9.0 % |
  | 0.999, half-life at most t / 10 | 19.8 | 7.69 | 4.13 | 4.3 % |
  | 0.999, half-life at most t / 50 | 22.0 | 8.43 | 4.24 | |

  A DCGAN on MNIST with the class given (configs/mnist_dcgan.py) is at 3.4 (both losses) after 4,000 steps, its
  generators themselves at 12.6 (`minimax`) and 9.7 (`non_saturating`).

  Args:
    decay: `ema_decay`, in [0, 1).
    updates: the number of earlier updates of the average, t.

  Returns:
    float32, 0 at the first update.
  """
  updates = jnp.asarray(updates, jnp.float32)
  return jnp.minimum(decay, jnp.exp2(-1.0 / (RAMP * updates)))


def moving_average(average: Params, params: Params, decay: ArrayLike) -> Params:
  """decay * average + (1 - decay) * params, leaf by leaf; exactly params at decay 0, and exact where both are equal.

  Integers and keys, which a player's memory may contain, are taken from `params`.
  """

  def mixed(old: Array, new: Array) -> Array:
    return new + decay * (old - new) if jnp.issubdtype(new.dtype, jnp.floating) else new

  return jax.tree.map(mixed, average, params)
