"""Losses linear in the logit: Wasserstein, an integral probability metric, and those that stop at a margin."""

from typing import Annotated

import jax.numpy as jnp
from jax import Array
from jax.nn import relu, softmax

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, register


def _constant(real: Array, fake: Array, **options: Array | float) -> Array:
  return -jnp.ones_like(fake)


@register(
  Card(
    title="Wasserstein",
    discriminator="f - r",
    generator="-f",
    zero_sum=True,
    pairing="none",
    optimal_logit="the 1-Lipschitz potential of optimal transport; unbounded without such a constraint",
    slope="-1",
    slope_at=_constant,
    saturates="nowhere; needs a Lipschitz discriminator (a penalty, clipping, spectral normalisation)",
    reference="Arjovsky et al. 2017, arXiv:1701.07875, eq. 2",
  )
)
def wasserstein() -> Loss:
  """The discriminator ("critic") maximises mean(r) - mean(f): if 1-Lipschitz, the dual of the earth mover's distance.

  Source: Arjovsky et al. 2017, arXiv:1701.07875, eq. 2.
  """
  return halves(lambda real, fake: fake - real, lambda real, fake: -fake)


@register(
  Card(
    title="Hinge",
    discriminator="relu(1 - r) + relu(1 + f)",
    generator="-f",
    zero_sum=False,
    pairing="none",
    optimal_logit="sign(p - q); anything in [-1, 1] where p = q",
    slope="-1",
    slope_at=_constant,
    saturates="nowhere for the generator; the discriminator stops learning beyond its margins",
    reference="Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16 and 17",
    optimal_logit_at=jnp.sign,
  )
)
def hinge() -> Loss:
  """D minimises the hinge loss of a support vector machine, zero beyond margin 1; the generator is `wasserstein`'s.

  Sources: Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16 and 17.
  """
  return halves(lambda real, fake: relu(1 - real) + relu(1 + fake), lambda real, fake: -fake)


@register(
  Card(
    title="Energy with margin (EBGAN)",
    discriminator="-r + relu(margin + f)",
    generator="-f",
    zero_sum=False,
    pairing="none",
    optimal_logit="margin (sign(p - q) - 1) / 2; of logits up to 0, and anything in [-margin, 0] where p = q",
    slope="-1",
    slope_at=_constant,
    saturates="nowhere for the generator; the discriminator ignores fakes of energy above the margin",
    reference="Zhao et al. 2017, arXiv:1609.03126, eqs. 1 and 2",
    optimal_logit_at=lambda log_ratio, margin: 0.5 * (jnp.sign(log_ratio) - 1) * jnp.asarray(margin, log_ratio.dtype),
  )
)
def energy_margin(
  margin: Annotated[Array | float, Option("D raises the energy of fakes up to this value", above=0)] = 1.0,
) -> Loss:
  """Logits are *negative* energies, E = -logit: D lowers E(real) and raises E(fake) up to `margin`, G lowers E(fake).

  The paper's energy is a reconstruction error and so never negative. A discriminator for this loss must keep its logits
  at or below 0 as well: above 0 the real term is not bounded from below.
  Source: Zhao et al. 2017, arXiv:1609.03126, eqs. 1 and 2.
  """
  return halves(lambda real, fake: -real + relu(margin + fake), lambda real, fake: -fake)


def _ratios(fake: Array) -> Array:
  """w = e^f / mean e^f, [B]: the density ratio p/q that the logits claim, with a mean of 1 over the fakes."""
  return fake.size * softmax(fake)


def _reweighted_slope(real: Array, fake: Array) -> Array:
  w = _ratios(fake)
  return -w * (1 + fake - jnp.mean(w * fake))


@register(
  Card(
    title="Hinge of reweighted fakes (KL-WGAN)",
    discriminator="relu(1 - r) + relu(1 + w f), w = e^f / mean_j e^f_j",
    generator="-w f",
    zero_sum=False,
    pairing="average",
    optimal_logit="no closed form in p/q; e^f / mean e^f estimates p/q",
    slope="-w (1 + f - mean_j w f)",
    slope_at=_reweighted_slope,
    saturates="where f is below the other fakes, as e^f; it has the wrong sign for f < mean w f - 1",
    reference="Song and Ermon 2020, arXiv:1910.09779; github.com/ermongroup/f-wgan, image_generation/losses.py",
  )
)
def kl_hinge() -> Loss:
  """`hinge` of fakes weighted by w = e^f / mean e^f: D relu(1 - r) + relu(1 + w f), G -w f.

  The weights are the solution of an inner minimisation over density ratios, penalised by their KL divergence. Both
  players differentiate through them, as in the code of the paper. By the envelope theorem the unclipped game
  (E r - E w f + E w log w) would have G's slope at constant weights, -w. That is the slope of `cumulant` with gamma 1:
  `mix(kl_hinge, cumulant)` trains it. Through the weights, a fake that lies 1 below the weighted mean of the logits is
  pushed down, as that makes the others weigh more.
  Source: Song and Ermon 2020, "Bridging the gap between f-GANs and Wasserstein GANs", arXiv:1910.09779.
  """
  return halves(
    lambda real, fake: relu(1 - real) + relu(1 + _ratios(fake) * fake), lambda real, fake: -_ratios(fake) * fake
  )
