"""Optimal discriminators between Gaussians for the losses whose optimum is not a function of p/q alone.

Notation: R, F are the mean logits of reals and fakes, u = log p/q, k = E_p tanh(u/2) = 1 - 2 int pq/(p+q). Exchanging p
and q mirrors the line about mu/2, so there is an optimum that is odd in u: F = -R. The formulas are derived here; tests
compare each with a numerical search over discriminators that does not use the derivation.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from gan_jax.losses import default_options
from gan_jax.theory.gaussians import everywhere, integral, log_ratio

Formula = Callable[[Array], Array]  # u [M, ...] -> v


def _squashed(gain: Callable[[Array], Array]) -> Callable[[np.ndarray], Formula]:
  """The discriminator gain(k) tanh(u/2) = gain(k) (p - q)/(p + q)."""

  def at(mu: np.ndarray) -> Formula:
    points = everywhere(mu)
    k = jnp.asarray(integral(points, 0, np.tanh(log_ratio(points[0], mu) / 2)))[:, None]
    return lambda u: gain(k) * jnp.tanh(u / 2)

  return at


# The stationary point in D of 0.5 E(r - f - 1)^2 = 0.5 (Var r + Var f + (R - F - 1)^2), and of the average loss,
# 0.5 (Var r + Var f) + (R - F - 1)^2.
PAIRED_SQUARES = "(p - q)/(p + q) / (1 + k); k = 1 - 2 int pq/(p + q)", _squashed(lambda k: 1 / (1 + k))
CRITICS: dict[str, tuple[str, Callable[[np.ndarray], Formula]]] = {
  "wasserstein": (
    "-x; the 1-Lipschitz potential, unbounded without such a bound",
    lambda mu: lambda u: u / mu - mu / 2,
  ),
  "relativistic_least_squares": PAIRED_SQUARES,
  "relativistic_least_squares_zero_sum": PAIRED_SQUARES,
  "relativistic_average_least_squares": (
    "2 (p - q)/(p + q) / (1 + 3k); k = 1 - 2 int pq/(p + q)",
    _squashed(lambda k: 2 / (1 + 3 * k)),
  ),
}

# Give the set {p/q > K} the logit c / P(set). It raises R by c, however rare the set is, while the fakes in it raise F
# by less than c/K. With c and K large, all other fakes are below R at no cost. The mirrored set does the same for the
# reals.
NO_OPTIMUM = dict.fromkeys(
  ("relativistic_average", "relativistic_average_hinge"),
  "none: the loss gets arbitrarily close to 0, with huge logits on ever rarer examples, which move the averages",
)
TINY = 1e-300  # replaces the probability 0 of empty levels before a logarithm
STAIRCASES = ("relativistic_hinge", "relativistic_hinge_zero_sum")


def staircase(mu: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
  """The optimal discriminator of E relu(1 - (r - f)) at mu [M, 1]: a staircase in u with steps of 1.

  With the other logits fixed, the cost of a logit is piecewise linear with kinks at integer distances from them, so
  there is an optimum with integer levels (a linear program whose constraints are differences). Level d ends where p/q =
  P(level <= d+1) / Q(level >= d), which is solved by iteration. Levels that are not needed end up empty.

  Returns:
    The probabilities of the levels under p and under q, [M, levels] each.
  """
  t = mu * np.linspace(-1, 1, levels - 1)
  edge = np.zeros_like(mu)
  for _ in range(1000):
    above_p, above_q = special.ndtr(mu / 2 - t / mu), special.ndtr(-mu / 2 - t / mu)
    at_most = 1 - np.hstack([above_p[:, 1:], edge])
    at_least = np.hstack([edge + 1, above_q[:, :-1]])
    t = 0.7 * t + 0.3 * (np.log(np.maximum(at_most, TINY)) - np.log(np.maximum(at_least, TINY)))
  p, q = (-np.diff(np.hstack([edge + 1, special.ndtr(s * mu / 2 - t / mu), edge]), axis=1) for s in (1, -1))
  return p, q


Mean = Callable[[Array], Array]  # [M, N] -> [M, 1]
Population = Callable[[Array, Array, Mean, Mean], tuple[Array, Array, Formula]]


def average_least_squares(r: Array, f: Array, over_p: Mean, over_q: Mean) -> tuple[Array, Array, Formula]:
  """The losses of whole distributions: (discriminator's [M, 1], generator's [M, 1], the generator's slope at a logit)."""
  real, fake = over_p(r), over_q(f)
  discriminator = 0.5 * over_p((r - fake - 1) ** 2) + 0.5 * over_q((real - f - 1) ** 2)
  generator = 0.5 * over_p((fake - r - 1) ** 2) + 0.5 * over_q((f - real - 1) ** 2)
  return discriminator, generator, lambda v: fake - real - 1 + v - real - 1


def cumulant(r: Array, f: Array, over_p: Mean, over_q: Mean) -> tuple[Array, Array, Formula]:
  """As `average_least_squares`, for the cumulant loss."""
  beta, gamma = default_options("cumulant").values()
  fakes = over_q(jnp.exp(gamma * f))
  generator = -jnp.log(fakes) / gamma
  return jnp.log(over_p(jnp.exp(-beta * r))) / beta - generator, generator, lambda v: -jnp.exp(gamma * v) / fakes


POPULATIONS: dict[str, Population] = {"relativistic_average_least_squares": average_least_squares, "cumulant": cumulant}
