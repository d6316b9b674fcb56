"""Losses of a discriminator that classifies by logistic regression: the original game and its variants.

Every formula is written in softplus(x) = log(1 + e^x), by -log sigmoid(x) = softplus(-x) and
-log(1 - sigmoid(x)) = softplus(x): exact in both tails, where a log(sigmoid(x) + 1e-8) would stop falling at x = -18.
"""

from typing import Annotated

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softplus

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, register


def _discriminator(real: Array, fake: Array) -> Array:
  """The two cross-entropies: reals against label 1, fakes against label 0."""
  return softplus(-real) + softplus(fake)


def _log_ratio(log_ratio: Array, **options: Array | float) -> Array:
  return log_ratio


@register(
  Card(
    title="Minimax (saturating)",
    discriminator="softplus(-r) + softplus(f)",
    generator="-softplus(f)",
    zero_sum=True,
    pairing="none",
    optimal_logit="log p/q",
    slope="-sigmoid(f)",
    slope_at=lambda real, fake: -sigmoid(fake),
    saturates="f << 0: the slope falls as e^f while the discriminator wins",
    reference="Goodfellow et al. 2014, arXiv:1406.2661, eq. 1",
    optimal_logit_at=_log_ratio,
  )
)
def minimax() -> Loss:
  """The zero-sum game: D minimises -log s(r) - log(1 - s(f)), G minimises log(1 - s(f)) = -softplus(f).

  This name means the *saturating* generator loss; several libraries use it for `non_saturating`.
  Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
  """
  return halves(_discriminator, lambda real, fake: -softplus(fake))


@register(
  Card(
    title="Non-saturating",
    discriminator="softplus(-r) + softplus(f)",
    generator="softplus(-f)",
    zero_sum=False,
    pairing="none",
    optimal_logit="log p/q",
    slope="-sigmoid(-f)",
    slope_at=lambda real, fake: -sigmoid(-fake),
    saturates="f >> 0 only: where the fakes already fool the discriminator",
    reference="Goodfellow et al. 2014, arXiv:1406.2661, section 3",
    optimal_logit_at=_log_ratio,
  )
)
def non_saturating() -> Loss:
  """The discriminator of `minimax`; G minimises -log s(f), the cross-entropy of fakes labelled real.

  Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
  """
  return halves(_discriminator, lambda real, fake: softplus(-fake))


def _smoothed_optimum(log_ratio: Array, real_target: Array | float) -> Array:
  # t p / ((1 - t) p + q), as a logit.
  smoothing = jnp.log1p(-jnp.asarray(real_target, log_ratio.dtype))
  return jnp.log(real_target) - jnp.logaddexp(smoothing, -log_ratio)


@register(
  Card(
    title="Non-saturating, smoothed real labels",
    discriminator="t softplus(-r) + (1-t) softplus(r) + softplus(f), t = real_target",
    generator="softplus(-f)",
    zero_sum=False,
    pairing="none",
    optimal_logit="log(t p / ((1-t) p + q)), t = real_target; at most log t/(1-t)",
    slope="-sigmoid(-f)",
    slope_at=lambda real, fake, real_target: -sigmoid(-fake),
    saturates="f >> 0 only",
    reference="Salimans et al. 2016, arXiv:1606.03498, section 3.4",
    optimal_logit_at=_smoothed_optimum,
  )
)
def non_saturating_smoothed(
  real_target: Annotated[Array | float, Option("label of the reals; fakes have the label 0", 0, 1)] = 0.9,
) -> Loss:
  """One-sided label smoothing: reals are labelled `real_target` instead of 1; fakes keep the label 0.

  The target is the label itself. TF-GAN's `label_smoothing=0.25` is a target of 0.875 (1 - 0.25 + 0.25 / 2).
  `transforms.label_smoothing` smooths the labels of other losses too, on one side or both.
  Source: Salimans et al. 2016, arXiv:1606.03498, section 3.4.
  """
  return halves(
    lambda real, fake: real_target * softplus(-real) + (1 - real_target) * softplus(real) + softplus(fake),
    lambda real, fake: softplus(-fake),
  )
