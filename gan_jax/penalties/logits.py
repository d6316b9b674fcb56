"""Penalties on the values of the logits. Signature: `(real_logits [B], fake_logits [B], means) -> [B]`.

Their slopes are added to the loss's logit cotangent, so they need no second pass through the discriminator.
"""

import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.types import LogitMeans
from gan_jax.penalties.registry import of_logits

DECAY = 0.99  # of the moving averages, per discriminator update, as in the code of Tseng et al. 2021


def moved_means(means: LogitMeans, real_logits: Array, fake_logits: Array) -> LogitMeans:
  """The averages after one more batch. They start at 0, the logit of an undecided discriminator."""
  now = LogitMeans(at_least_float32(real_logits).mean(), at_least_float32(fake_logits).mean())
  return LogitMeans(*(DECAY * old + (1 - DECAY) * new for old, new in zip(means, now, strict=True)))


@of_logits(0.3)  # their code, BigGAN on CIFAR-10
def lecam(real_logits: Array, fake_logits: Array, means: LogitMeans) -> Array:
  """(D(x) - a_F)^2 + (D(G(z)) - a_R)^2, a_R and a_F moving averages of the logits of reals and of fakes.

  Real logits are drawn to the fakes' average and fake logits to the reals', which for WGAN's objective bounds the LeCam
  divergence of data and model. The averages are those before this batch. Source: Tseng et al. 2021, arXiv:2104.03310,
  eq. 4. Their code differs: it clips each difference at 0 (max(0, D(x) - a_F), max(0, a_R - D(G(z)))), takes this batch
  into the averages, and corrects them for having started at 0.
  """
  real, fake = at_least_float32(real_logits), at_least_float32(fake_logits)
  return jnp.square(real - means.fake) + jnp.square(fake - means.real)


@of_logits(1e-3)  # Karras et al. 2018, appendix A.1
def logit_drift(real_logits: Array, fake_logits: Array, means: LogitMeans) -> Array:
  """D(x)^2 at real x, which keeps the logits from drifting (Karras et al. 2018, arXiv:1710.10196, appendix A.1)."""
  del fake_logits, means
  return jnp.square(at_least_float32(real_logits))


@of_logits(None)  # the paper's rho = 1e-6 is that of a term beside a multiplier, which does the work there
def fisher(real_logits: Array, fake_logits: Array, means: LogitMeans) -> Array:
  """(Omega - 1)^2, Omega = 1/2 (mean D(x)^2 + mean D(G(z))^2) of this batch: every entry of [B] is the same.

  With loss=wasserstein it is Fisher GAN: the difference of means of a D whose second moment is 1, with no bound on D's
  slope. The paper has an augmented Lagrangian, lambda (1 - Omega) - rho/2 (Omega - 1)^2, whose multiplier lambda learns
  from every batch. This is its second term alone, with the weight rho/2. With no multiplier the constraint is met the
  better, the larger the weight: at D's optimum 4 weight Omega (Omega - 1) = mean D(x) - mean D(G(z)).
  Source: Mroueh and Sercu 2017, "Fisher GAN", arXiv:1705.09675.
  """
  del means
  real, fake = at_least_float32(real_logits), at_least_float32(fake_logits)
  omega = 0.5 * (jnp.mean(jnp.square(real)) + jnp.mean(jnp.square(fake)))
  return jnp.full_like(real, jnp.square(omega - 1))
