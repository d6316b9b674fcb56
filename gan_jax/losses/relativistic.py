"""Relativistic losses: functions of differences r - f, so adding a constant to all logits changes nothing.

Three comparisons: real i with fake i (paired), every real with every fake (all pairs), each logit with the batch
average of the other kind (average). Three functions phi of the difference t: softplus(-t), 0.5 (t - 1)^2, relu(1 - t).
The generator minimises the same phi with the roles exchanged; under a name `..._zero_sum`, minus the discriminator's
loss.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import relu, sigmoid, softplus

from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, plus, register


class Comparison(NamedTuple):
  """A function phi(t) of the difference t = logit to be raised - logit to be lowered; it decreases at t = 0."""

  name: str
  text: str  # with {t} for the difference
  value: Callable[[Array], Array]
  slope_text: str
  slope: Callable[[Array], Array]


LOGISTIC = Comparison(
  "logistic", "softplus(-({t}))", lambda t: softplus(-t), "-sigmoid(-({t}))", lambda t: -sigmoid(-t)
)
SQUARE = Comparison("least squares", "0.5 ({t} - 1)^2", lambda t: 0.5 * (t - 1) ** 2, "({t} - 1)", lambda t: t - 1)
HINGE = Comparison("hinge", "relu(1 - ({t}))", lambda t: relu(1 - t), "-[{t} < 1]", lambda t: -(t < 1).astype(t.dtype))

PAPER = "Jolicoeur-Martineau 2019, arXiv:1807.00734"
WINNING = {
  "logistic": "where f - r >> 0: the fakes' logits are far above the reals'",
  "least squares": "nowhere; changes sign where f - r > 1",
  "hinge": "where f - r > 1",
}
LOSING = {
  "logistic": "r - f >> 0: the slope falls as e^-(r - f) when D separates the fakes from the reals",
  "least squares": "at r - f = 1, and it has the wrong sign above",
  "hinge": "r - f > 1: zero from there on",
}


def _paired_card(phi: Comparison, zero_sum: bool, reference: str = PAPER) -> Card:
  slope: Callable[..., Array]
  if zero_sum:
    generator, slope_text = f"-{phi.text.format(t='r - f')}", phi.slope_text.format(t="r - f")
    slope = lambda real, fake: phi.slope(real - fake)  # noqa: E731, -d phi(r - f) / df has two minus signs
  else:
    generator, slope_text = phi.text.format(t="f - r"), phi.slope_text.format(t="f - r")
    slope = lambda real, fake: phi.slope(fake - real)  # noqa: E731
  return Card(
    title=f"Relativistic paired, {phi.name}{', zero-sum' if zero_sum else ''}",
    discriminator=phi.text.format(t="r - f"),
    generator=generator,
    zero_sum=zero_sum,
    pairing="paired",
    optimal_logit="log p/q; up to a constant" if phi is LOGISTIC else "no closed form in p/q",
    slope=slope_text,
    slope_at=slope,
    saturates=(LOSING if zero_sum else WINNING)[phi.name],
    reference=reference,
    optimal_logit_at=(lambda log_ratio: log_ratio) if phi is LOGISTIC else None,
  )


def _mean(text: str) -> str:
  return f"-mean_i {text[1:]}" if text.startswith("-") else f"mean_i {text}"


def _average_card(phi: Comparison, reference: str = PAPER) -> Card:
  return Card(
    title=f"Relativistic average, {phi.name}",
    discriminator=f"{phi.text.format(t='r - F')} + {phi.text.format(t='R - f')}",
    generator=f"{phi.text.format(t='F - r')} + {phi.text.format(t='f - R')}",
    zero_sum=False,
    pairing="average",
    optimal_logit="no closed form in p/q",
    slope=plus(_mean(phi.slope_text.format(t="F - r_i")), phi.slope_text.format(t="f - R")),
    slope_at=lambda real, fake: jnp.mean(phi.slope(jnp.mean(fake) - real)) + phi.slope(fake - jnp.mean(real)),
    saturates=WINNING[phi.name],
    reference=f"{reference}; the sum of the two terms, not their mean",
  )


def _paired(phi: Comparison) -> Loss:
  return halves(lambda real, fake: phi.value(real - fake), lambda real, fake: phi.value(fake - real))


def _zero_sum(phi: Comparison) -> Loss:
  return halves(lambda real, fake: phi.value(real - fake), lambda real, fake: -phi.value(real - fake))


def _average(phi: Comparison) -> Loss:
  """Both players differentiate through the averages."""
  return halves(
    lambda real, fake: phi.value(real - jnp.mean(fake)) + phi.value(jnp.mean(real) - fake),
    lambda real, fake: phi.value(jnp.mean(fake) - real) + phi.value(fake - jnp.mean(real)),
  )


@register(_paired_card(LOGISTIC, False, f"{PAPER}; the form that R3GAN trains, Huang et al. 2024, arXiv:2501.05441"))
def relativistic() -> Loss:
  """RpGAN with the non-saturating generator: D softplus(-(r - f)), G softplus(-(f - r)), real i with fake i.

  R3GAN states the zero-sum game, `relativistic_zero_sum`, and trains this one. Their Jacobians at the equilibrium are
  equal.
  Sources: Jolicoeur-Martineau 2019, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441.
  """
  return _paired(LOGISTIC)


@register(
  _paired_card(LOGISTIC, True, "Huang et al. 2024, arXiv:2501.05441, section 2; Sun et al. 2020, arXiv:2011.04926")
)
def relativistic_zero_sum() -> Loss:
  """RpGAN as analysed: D softplus(-(r - f)), G minus the same.

  Sources: Huang et al. 2024, arXiv:2501.05441, section 2; Sun et al. 2020, arXiv:2011.04926.
  """
  return _zero_sum(LOGISTIC)


@register(_paired_card(SQUARE, False))
def relativistic_least_squares() -> Loss:
  """D 0.5 (r - f - 1)^2, G 0.5 (f - r - 1)^2, with the factor 1/2 of `least_squares`.

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734.
  """
  return _paired(SQUARE)


@register(_paired_card(SQUARE, True))
def relativistic_least_squares_zero_sum() -> Loss:
  """D 0.5 (r - f - 1)^2, G minus the same. The slope has the wrong sign where r - f > 1.

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734 (the first generator, with the general f, is zero-sum).
  """
  return _zero_sum(SQUARE)


@register(_paired_card(HINGE, False))
def relativistic_hinge() -> Loss:
  """D relu(1 - (r - f)), G relu(1 - (f - r)).

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734.
  """
  return _paired(HINGE)


@register(_paired_card(HINGE, True))
def relativistic_hinge_zero_sum() -> Loss:
  """D relu(1 - (r - f)), G minus the same: no gradient for a fake whose r - f is above 1.

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734.
  """
  return _zero_sum(HINGE)


@register(
  Card(
    title="Relativistic all pairs, logistic",
    discriminator="mean_j softplus(-(r_i - f_j))",
    generator="mean_i softplus(-(f_j - r_i))",
    zero_sum=False,
    pairing="all_pairs",
    optimal_logit="log p/q; up to a constant",
    slope="-mean_i sigmoid(r_i - f_j)",
    slope_at=lambda real, fake: jnp.mean(LOGISTIC.slope(fake[None, :] - real[:, None]), axis=0),
    saturates=WINNING["logistic"],
    reference="Jolicoeur-Martineau 2020, arXiv:1901.02474 (the minimum-variance estimator of the paired loss)",
    optimal_logit_at=lambda log_ratio: log_ratio,
  )
)
def relativistic_all_pairs() -> Loss:
  """The loss of `relativistic` averaged over all B^2 pairs: same expectation, smallest variance. Uses [B, B] memory.

  Entry i of the discriminator's term belongs to real i, entry j of the generator's to fake j.
  Source: Jolicoeur-Martineau 2020, arXiv:1901.02474.
  """
  return halves(
    lambda real, fake: jnp.mean(LOGISTIC.value(real[:, None] - fake[None, :]), axis=1),
    lambda real, fake: jnp.mean(LOGISTIC.value(fake[None, :] - real[:, None]), axis=0),
  )


@register(_average_card(LOGISTIC, f"{PAPER} (RaSGAN)"))
def relativistic_average() -> Loss:
  """RaSGAN: D softplus(-(r - F)) + softplus(f - R), G softplus(r - F) + softplus(-(f - R)). No factor 1/2.

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734.
  """
  return _average(LOGISTIC)


@register(_average_card(SQUARE, f"{PAPER} (RaLSGAN)"))
def relativistic_average_least_squares() -> Loss:
  """RaLSGAN: D 0.5 (r - F - 1)^2 + 0.5 (f - R + 1)^2, G with the roles exchanged; each term has a factor 1/2.

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734.
  """
  return _average(SQUARE)


@register(_average_card(HINGE, f"{PAPER} (RaHingeGAN)"))
def relativistic_average_hinge() -> Loss:
  """RaHingeGAN: D relu(1 - (r - F)) + relu(1 + (f - R)), G with the roles exchanged.

  Source: Jolicoeur-Martineau 2019, arXiv:1807.00734.
  """
  return _average(HINGE)
