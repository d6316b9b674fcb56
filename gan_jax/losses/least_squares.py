"""Least-squares losses: of the logit, as published, and of its sigmoid, as often implemented."""

from typing import Annotated

from jax import Array

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, register
from gan_jax.losses.special import sigmoid


def _optimum(log_ratio: Array, fake: Array | float, real: Array | float, target: Array | float) -> Array:
  return real * sigmoid(log_ratio) + fake * sigmoid(-log_ratio)


@register(
  Card(
    title="Least squares",
    discriminator="0.5 (r - real)^2 + 0.5 (f - fake)^2",
    generator="0.5 (f - target)^2",
    zero_sum=False,
    pairing="none",
    optimal_logit="(real p + fake q) / (p + q); between the two codes",
    slope="f - target",
    slope_at=lambda r, f, fake, real, target: f - target,
    saturates="nowhere; grows linearly with the distance from the target, on both sides of it",
    reference="Mao et al. 2017, arXiv:1611.04076, eq. 2; codings 0/1/1 in eq. 9 (default), -1/1/0 in eq. 8",
    optimal_logit_at=_optimum,
  )
)
def least_squares(
  fake: Annotated[Array | float, Option("code on which D regresses fakes")] = 0.0,
  real: Annotated[Array | float, Option("code on which D regresses reals")] = 1.0,
  target: Annotated[Array | float, Option("code to which G moves the fakes")] = 1.0,
) -> Loss:
  """D regresses real logits to `real` and fakes to `fake`, G fake logits to `target`; with factors 1/2.

  Codings of the paper (fake/real/target): 0/1/1, the default, and -1/1/0. The logit itself is regressed, not its
  sigmoid.
  Source: Mao et al. 2017, arXiv:1611.04076, eq. 2.
  """
  return halves(
    lambda r, f: 0.5 * (r - real) ** 2 + 0.5 * (f - fake) ** 2,
    lambda r, f: 0.5 * (f - target) ** 2,
  )


@register(
  Card(
    title="Least squares on probabilities",
    discriminator="0.5 sigmoid(-r)^2 + 0.5 sigmoid(f)^2",
    generator="0.5 sigmoid(-f)^2",
    zero_sum=False,
    pairing="none",
    optimal_logit="log p/q",
    slope="-sigmoid(f) sigmoid(-f)^2",
    slope_at=lambda real, fake: -sigmoid(fake) * sigmoid(-fake) ** 2,
    saturates="f << 0 as e^f, and f >> 0 as e^-2f",
    reference="compare_gan (github.com/google/compare_gan), the LSGAN of Lucic et al. 2018, arXiv:1711.10337",
    optimal_logit_at=lambda log_ratio: log_ratio,
  )
)
def least_squares_probabilities() -> Loss:
  """0/1 least squares on s = sigmoid(logit): 0.5 (1 - s(r))^2 + 0.5 s(f)^2 and 0.5 (1 - s(f))^2.

  Unlike `least_squares` it saturates. 1 - s(x) is computed as s(-x), which is exact in both tails.
  Source: compare_gan's least-squares loss, with which the LSGAN rows of Lucic et al. 2018 were computed.
  """
  return halves(
    lambda real, fake: 0.5 * sigmoid(-real) ** 2 + 0.5 * sigmoid(fake) ** 2,
    lambda real, fake: 0.5 * sigmoid(-fake) ** 2,
  )
