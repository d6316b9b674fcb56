"""Families of losses with a number that interpolates between known losses, and moves where the slope vanishes."""

from typing import Annotated

import jax.numpy as jnp
from jax import Array
from jax.nn import log_sigmoid, logsumexp, softmax, softplus

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, register
from gan_jax.losses.special import expm1

Number = Array | float


def alpha_of_log_loss(log_loss: Array, alpha: Number) -> Array:
  """The alpha-loss (1 - P^k) / k, k = 1 - 1/alpha, of a label given probability P, by its log loss x = -log P.

  That is (1 - e^-kx) / k, whose limit at alpha = 1 is the log loss x itself.
  """
  k = jnp.asarray(1 - 1 / jnp.asarray(alpha, log_loss.dtype))
  safe = jnp.where(k == 0, 1.0, k)  # or the branch that is not taken would make the slope NaN
  return jnp.where(k == 0, log_loss, -expm1(-safe * log_loss) / safe)


def _discriminator(alpha: Number):
  return lambda real, fake: alpha_of_log_loss(softplus(-real), alpha) + alpha_of_log_loss(softplus(fake), alpha)


def _saturating_slope(fake: Array, alpha: Number) -> Array:
  # -sigmoid(f) sigmoid(-f)^k: its logarithm has no overflow of its own.
  return -jnp.exp(log_sigmoid(fake) + (1 - 1 / alpha) * log_sigmoid(-fake))


def _non_saturating_slope(fake: Array, alpha: Number) -> Array:
  return -jnp.exp(log_sigmoid(-fake) + (1 - 1 / alpha) * log_sigmoid(fake))


DISCRIMINATOR = "l(softplus(-r)) + l(softplus(f)), l(x) = (1 - e^(-k x)) / k, k = 1 - 1/{}; l(x) = x where k = 0"


@register(
  Card(
    title="Alpha-loss",
    discriminator=DISCRIMINATOR.format("alpha"),
    generator="-l(softplus(f))",
    zero_sum=True,
    pairing="none",
    optimal_logit="alpha log p/q",
    slope="-sigmoid(f) sigmoid(-f)^(1 - 1/alpha)",
    slope_at=lambda real, fake, alpha: _saturating_slope(fake, alpha),
    saturates="f << 0 as e^f; for alpha > 1 also f >> 0, as e^-kf; for alpha < 1 it explodes there, as e^-kf",
    reference="Kurri, Sypherd and Sankar 2021, arXiv:2106.05232",
    optimal_logit_at=lambda log_ratio, alpha: alpha * log_ratio,
  )
)
def alpha_loss(alpha: Annotated[Number, Option("order; 1: the log loss, `minimax`", above=0)] = 2.0) -> Loss:
  """The zero-sum game of the alpha-loss: alpha = 1 is `minimax`, 1/2 the exponential loss, large alpha total variation.

  At the optimal discriminator it measures the Arimoto divergence of order alpha:
  D loss = alpha/(alpha - 1) (2 - int (p^alpha + q^alpha)^(1/alpha)).
  For alpha < 1 a value overflows float32 where |logit| (1/alpha - 1) > 88.
  Source: Kurri, Sypherd and Sankar 2021, arXiv:2106.05232.
  """
  return halves(_discriminator(alpha), lambda real, fake: -alpha_of_log_loss(softplus(fake), alpha))


DUAL = "Welfert, Otstot, Kurri and Sankar 2023, arXiv:2302.14320"
DiscriminatorAlpha = Annotated[Number, Option("alpha of the discriminator's loss", above=0)]
GeneratorAlpha = Annotated[Number, Option("alpha of the generator's loss; 1: the log loss", above=0)]


@register(
  Card(
    title="Dual alpha-loss, saturating",
    discriminator=DISCRIMINATOR.format("discriminator_alpha"),
    generator="-l(softplus(f)), k = 1 - 1/generator_alpha",
    zero_sum=False,
    pairing="none",
    optimal_logit="discriminator_alpha log p/q",
    slope="-sigmoid(f) sigmoid(-f)^(1 - 1/generator_alpha)",
    slope_at=lambda real, fake, discriminator_alpha, generator_alpha: _saturating_slope(fake, generator_alpha),
    saturates="f << 0 as e^f, but there discriminator_alpha < 1 shrinks the optimal logit by that factor",
    reference=DUAL,
    overflows_at=88.7,
    optimal_logit_at=lambda log_ratio, discriminator_alpha, generator_alpha: discriminator_alpha * log_ratio,
  )
)
def alpha_loss_dual(discriminator_alpha: DiscriminatorAlpha = 0.5, generator_alpha: GeneratorAlpha = 1.0) -> Loss:
  """`alpha_loss` with an alpha for each player. Below 1, D's optimal logits are smaller, so G's slope vanishes later.

  Source: Welfert, Otstot, Kurri and Sankar 2023, arXiv:2302.14320.
  """
  return halves(
    _discriminator(discriminator_alpha), lambda real, fake: -alpha_of_log_loss(softplus(fake), generator_alpha)
  )


@register(
  Card(
    title="Dual alpha-loss, non-saturating",
    discriminator=DISCRIMINATOR.format("discriminator_alpha"),
    generator="l(softplus(-f)), k = 1 - 1/generator_alpha",
    zero_sum=False,
    pairing="none",
    optimal_logit="discriminator_alpha log p/q",
    slope="-sigmoid(-f) sigmoid(f)^(1 - 1/generator_alpha)",
    slope_at=lambda real, fake, discriminator_alpha, generator_alpha: _non_saturating_slope(fake, generator_alpha),
    saturates="f >> 0; for generator_alpha > 1 also f << 0, as e^kf",
    reference=DUAL,
    overflows_at=88.7,
    optimal_logit_at=lambda log_ratio, discriminator_alpha, generator_alpha: discriminator_alpha * log_ratio,
  )
)
def alpha_loss_dual_non_saturating(
  discriminator_alpha: DiscriminatorAlpha = 0.5, generator_alpha: GeneratorAlpha = 1.0
) -> Loss:
  """The discriminator of `alpha_loss_dual`; the generator minimises the alpha-loss of fakes with the label "real".

  Sources: Welfert, Otstot, Kurri and Sankar 2023, arXiv:2302.14320, with the exchanged labels of Goodfellow et al.
  2014, arXiv:1406.2661, section 3.
  """
  return halves(
    _discriminator(discriminator_alpha), lambda real, fake: alpha_of_log_loss(softplus(-fake), generator_alpha)
  )


def _log_mean_exp(x: Array) -> Array:
  return logsumexp(x) - jnp.log(jnp.asarray(x.size, x.dtype))


@register(
  Card(
    title="Cumulant (exponentially tilted Wasserstein)",
    discriminator="1/beta log mean_i e^(-beta r_i) + 1/gamma log mean_j e^(gamma f_j)",
    generator="-1/gamma log mean_j e^(gamma f_j)",
    zero_sum=True,
    pairing="average",
    optimal_logit="log(p/q) / (beta + gamma); up to a constant",
    slope="-B e^(gamma f) / sum_j e^(gamma f_j); its batch mean is -1",
    slope_at=lambda real, fake, beta, gamma: -fake.size * softmax(gamma * fake),
    saturates="never as a batch; as gamma times the spread of f grows, the fakes of highest logit take all of the slope",
    reference="Pantazis et al. 2020, arXiv:2006.06625",
    optimal_logit_at=lambda log_ratio, beta, gamma: log_ratio / (beta + gamma),
  )
)
def cumulant(
  beta: Annotated[Number, Option("tilt of the mean over reals; as it tends to 0: the plain mean", above=0)] = 0.5,
  gamma: Annotated[Number, Option("tilt of the mean over fakes; as it tends to 0: the plain mean", above=0)] = 0.5,
) -> Loss:
  """Wasserstein with cumulants instead of means. A function of the whole batch: every entry of [B] is the same.

  beta, gamma -> 0 is `wasserstein`; at the optimum the D loss is (1/beta + 1/gamma) log int p^s q^(1-s),
  s = gamma / (beta + gamma), a Renyi divergence (1/2, 1/2: of Hellinger's integral).
  Source: Pantazis et al. 2020, arXiv:2006.06625.
  """

  def fake_cumulant(fake: Array) -> Array:
    return jnp.full_like(fake, _log_mean_exp(gamma * fake) / gamma)

  return halves(
    lambda real, fake: _log_mean_exp(-beta * real) / beta + fake_cumulant(fake),
    lambda real, fake: -fake_cumulant(fake),
  )
