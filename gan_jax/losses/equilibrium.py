"""BEGAN: losses of reconstruction errors, kept in balance by a controller whose state is a memory of the run."""

from typing import Annotated

import jax.numpy as jnp
from jax import Array

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, Controller, halves, register

Number = Array | float


def _errors(real: Array, fake: Array) -> tuple[Array, Array]:
  """The batch means of L = -logit."""
  return -real.mean(), -fake.mean()


def follow(balance: Array, real: Array, fake: Array, diversity: Number, gain: Number) -> Array:
  """k + gain (diversity L(real) - L(fake)), within [0, 1]."""
  of_real, of_fake = _errors(real, fake)
  return jnp.clip(balance + gain * (diversity * of_real - of_fake), 0.0, 1.0)


def convergence(real: Array, fake: Array, diversity: Number) -> Array:
  """M = L(real) + |diversity L(real) - L(fake)|: it falls while reals are reconstructed better and the balance is kept."""
  of_real, of_fake = _errors(real, fake)
  return of_real + jnp.abs(diversity * of_real - of_fake)


@register(
  Card(
    title="Reconstruction errors in balance (BEGAN)",
    discriminator="-r + balance f",
    generator="-f",
    zero_sum=False,
    pairing="none",
    optimal_logit="0 where data are, if D can reconstruct them; no closed form in p/q",
    slope="-1",
    slope_at=lambda real, fake, **options: -jnp.ones_like(fake),
    saturates="nowhere for the generator; the discriminator ignores fakes while balance is 0",
    reference="Berthelot et al. 2017, arXiv:1703.10717, section 3.3",
    controller=Controller(
      "balance",
      lambda value, real, fake, balance, diversity, gain: follow(value, real, fake, diversity, gain),
      lambda real, fake, balance, diversity, gain: convergence(real, fake, diversity),
    ),
  )
)
def began(
  balance: Annotated[Number, Option("k of the first step: how much D minds fakes", 0, 1)] = 0.0,
  diversity: Annotated[Number, Option("gamma: L(fake) / L(real) where the game is in balance", 0, 1)] = 0.5,
  gain: Annotated[Number, Option("lambda: how fast k moves", 0)] = 1e-3,
) -> Loss:
  """Logits are *negative* reconstruction errors, L = -logit, of model=autoencoder: D L(real) - k L(fake), G L(fake).

  After every update of D, k becomes k + gain (diversity L(real) - L(fake)), within [0, 1]: if fakes are reconstructed too
  well, D minds them less. In training k is a memory of the run that begins at `balance` (columns `disc/balance`, and
  `disc/convergence` for M = L(real) + |diversity L(real) - L(fake)|). Of this pair of functions it is a constant.

  In balance L(fake) = diversity L(real): fakes are reconstructed better than reals. So a low logit does not mean that D tells
  a fake from a real, and AUC, accuracy and win rate are not measured.

  L(fake) is that of the fakes of D's update; the paper takes those of G's, drawn from the same generator.
  Source: Berthelot et al. 2017, "BEGAN: boundary equilibrium generative adversarial networks" (arXiv:1703.10717).
  """
  return halves(lambda real, fake: -real + balance * fake, lambda real, fake: -fake)
