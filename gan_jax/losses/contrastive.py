"""A loss that picks one logit out of a batch: a real among all fakes, and a fake among all reals."""

import jax.numpy as jnp
from jax import Array
from jax.nn import logsumexp

from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, register


def _log_one_plus(differences: Array, axis: int) -> Array:
  """log(1 + sum of e^difference) along an axis: the log loss of a choice whose right answer has difference 0."""
  return jnp.logaddexp(0, logsumexp(differences, axis=axis))


def _both_choices(high: Array, low: Array) -> Array:
  """[B], all equal: each of `high` should be picked out of `low` as the highest, each of `low` as the lowest."""
  differences = low[None, :] - high[:, None]
  choices = jnp.mean(_log_one_plus(differences, 1)) + jnp.mean(_log_one_plus(differences, 0))
  return jnp.full_like(high, choices)


def _slope(real: Array, fake: Array) -> Array:
  differences = real[:, None] - fake[None, :]
  own = _log_one_plus(differences, 0)[None, :]
  of_reals = _log_one_plus(differences, 1)[:, None]
  return -jnp.sum(jnp.exp(differences - own) + jnp.exp(differences - of_reals), axis=0)


@register(
  Card(
    title="Dual contrastive",
    discriminator="mean_i log(1 + sum_j e^(f_j - r_i)) + mean_j log(1 + sum_i e^(f_j - r_i))",
    generator="mean_i log(1 + sum_j e^(r_i - f_j)) + mean_j log(1 + sum_i e^(r_i - f_j))",
    zero_sum=False,
    pairing="average",
    optimal_logit="log p/q; up to a constant, over batches of any size",
    slope="-sum_i e^(r_i - f) / (1 + sum_i e^(r_i - f)) - sum_i e^(r_i - f) / (1 + sum_j e^(r_i - f_j))",
    slope_at=_slope,
    saturates="where f - r >> log B: a fake's logit is far above those of all reals",
    reference="Yu et al. 2021, arXiv:2103.16748; generator of github.com/lucidrains/stylegan2-pytorch",
    optimal_logit_at=lambda log_ratio: log_ratio,
  )
)
def dual_contrastive() -> Loss:
  """D classifies each real against all B fakes and each fake against all B reals; G does so with the roles exchanged.

  A function of the whole batch: every entry of [B] is the same. Uses [B, B] memory. Where D cannot tell, D's loss is
  2 log(B + 1), so values at different batch sizes do not compare.
  The paper's game is zero-sum (G maximises D's loss): `transforms.zero_sum` of this loss. Public code trains the
  generator that is written here.
  Source: Yu et al. 2021, "Dual contrastive loss and attention for GANs", arXiv:2103.16748.
  """
  return halves(lambda real, fake: _both_choices(real, fake), lambda real, fake: _both_choices(fake, real))
