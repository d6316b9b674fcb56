"""The table of f-divergences D_f(p||q) = int q f(p/q) that `f_gan` turns into losses: to add one, add a row.

An increasing activation t = g(v) maps a logit v to the domain of the conjugate f*. Each f*(g(v)) is written as one
function of v: evaluated as a composition, it would overflow or cancel to zero at logits where its value is still
finite.

Source: Nowozin, Cseke and Tomioka 2016, arXiv:1606.00709, tables 1 and 2 and their extension in the supplement.
"""

import math

import jax.numpy as jnp
from jax import Array
from jax.nn import relu, softplus

from gan_jax.core.registry import Option
from gan_jax.losses.divergence import Divergence
from gan_jax.losses.special import expm1, log_expm1, log_not_power, log_softplus, log_wright_omega, sigmoid


def _one(v: Array, **options: Array | float) -> Array:
  return jnp.ones_like(v)


def _same(v: Array, **options: Array | float) -> Array:
  return v


def _jeffreys_conjugate(t: Array) -> Array:
  # With w = omega(1 - t), w + log w = 1 - t turns the published w + 1/w + t - 2 into 1/w - 1 - log w, which stays exact
  # where w and -t are large and nearly cancel.
  y = log_wright_omega(1 - t)
  return jnp.exp(-y) - 1 - y


def _half_tanh(v: Array) -> Array:
  # tanh v = 2 sigmoid(2v) - 1; the slope of `special.sigmoid` is exact in its tails.
  return sigmoid(2 * v) - 0.5


def _alpha_function(u: Array, alpha: Array | float) -> Array:
  return (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1))


def _alpha_derivative(u: Array, alpha: Array | float) -> Array:
  return (u ** (alpha - 1) - 1) / (alpha - 1)


def _alpha_conjugate(t: Array, alpha: Array | float) -> Array:
  return (relu(1 + (alpha - 1) * t) ** (alpha / (alpha - 1)) - 1) / alpha


DIVERGENCES: dict[str, Divergence] = {
  "kl": Divergence(
    title="Kullback-Leibler, KL(p||q)",
    generator_function=lambda u: u * jnp.log(u),
    derivative=lambda u: 1 + jnp.log(u),
    conjugate=lambda t: jnp.exp(t - 1),
    activation=_same,
    composed=lambda v: jnp.exp(v - 1),
    activation_slope=_one,
    composed_slope=lambda v: jnp.exp(v - 1),
    threshold=1.0,
    optimal_logit=lambda log_ratio: 1 + log_ratio,
    activation_text="{v}",
    composed_text="e^({v} - 1)",
    slope_text="e^(f - 1)",
    activation_slope_text="1",
    optimal_logit_text="1 + log p/q",
    saturates="f << 0 as e^f; explodes for f >> 0",
    saturates_practical="nowhere",
    overflows_at=89.7,
  ),
  "reverse_kl": Divergence(
    title="reverse Kullback-Leibler, KL(q||p)",
    generator_function=lambda u: -jnp.log(u),
    derivative=lambda u: -1 / u,
    conjugate=lambda t: -1 - jnp.log(-t),
    activation=lambda v: -jnp.exp(-v),
    composed=lambda v: v - 1,
    activation_slope=lambda v: jnp.exp(-v),
    composed_slope=_one,
    threshold=-1.0,
    optimal_logit=_same,
    activation_text="-e^(-{v})",
    composed_text="{v} - 1",
    slope_text="1",
    activation_slope_text="e^-f",
    optimal_logit_text="log p/q",
    saturates="nowhere: the slope is -1 everywhere",
    saturates_practical="f >> 0 as e^-f; explodes for f << 0",
    overflows_at=88.7,
  ),
  "pearson": Divergence(
    title="Pearson chi-squared",
    generator_function=lambda u: (u - 1) ** 2,
    derivative=lambda u: 2 * (u - 1),
    conjugate=lambda t: t**2 / 4 + t,
    activation=_same,
    composed=lambda v: v**2 / 4 + v,
    activation_slope=_one,
    composed_slope=lambda v: v / 2 + 1,
    threshold=0.0,
    optimal_logit=lambda log_ratio: 2 * expm1(log_ratio),
    activation_text="{v}",
    composed_text="{v}^2/4 + {v}",
    slope_text="f/2 + 1",
    activation_slope_text="1",
    optimal_logit_text="2 (p/q - 1); above -2",
    saturates="at f = -2, and has the WRONG SIGN below: such a fake is pushed further away from the data",
    saturates_practical="nowhere",
  ),
  "neyman": Divergence(
    title="Neyman chi-squared",
    generator_function=lambda u: (1 - u) ** 2 / u,
    derivative=lambda u: 1 - 1 / u**2,
    conjugate=lambda t: 2 - 2 * jnp.sqrt(1 - t),
    activation=lambda v: -expm1(-v),
    composed=lambda v: -2 * expm1(-v / 2),
    activation_slope=lambda v: jnp.exp(-v),
    composed_slope=lambda v: jnp.exp(-v / 2),
    threshold=0.0,
    optimal_logit=lambda log_ratio: 2 * log_ratio,
    activation_text="1 - e^(-{v})",
    composed_text="2 (1 - e^(-{v}/2))",
    slope_text="e^(-f/2)",
    activation_slope_text="e^-f",
    optimal_logit_text="2 log p/q",
    saturates="f >> 0 as e^(-f/2); explodes for f << 0",
    saturates_practical="f >> 0 as e^-f; explodes for f << 0",
    overflows_at=88.7,
  ),
  "squared_hellinger": Divergence(
    title="squared Hellinger",
    generator_function=lambda u: (jnp.sqrt(u) - 1) ** 2,
    derivative=lambda u: 1 - 1 / jnp.sqrt(u),
    conjugate=lambda t: t / (1 - t),
    activation=lambda v: -expm1(-v),
    composed=expm1,
    activation_slope=lambda v: jnp.exp(-v),
    composed_slope=jnp.exp,
    threshold=0.0,
    optimal_logit=lambda log_ratio: log_ratio / 2,
    activation_text="1 - e^(-{v})",
    composed_text="e^{v} - 1",
    slope_text="e^f",
    activation_slope_text="e^-f",
    optimal_logit_text="0.5 log p/q",
    saturates="f << 0 as e^f; explodes for f >> 0",
    saturates_practical="f >> 0 as e^-f; explodes for f << 0",
    overflows_at=88.7,
  ),
  "jeffreys": Divergence(
    title="Jeffreys, KL(p||q) + KL(q||p)",
    generator_function=lambda u: (u - 1) * jnp.log(u),
    derivative=lambda u: 1 + jnp.log(u) - 1 / u,
    conjugate=_jeffreys_conjugate,
    activation=_same,
    composed=_jeffreys_conjugate,
    activation_slope=_one,
    composed_slope=lambda v: jnp.exp(-log_wright_omega(1 - v)),
    threshold=0.0,
    optimal_logit=lambda log_ratio: 1 + log_ratio - jnp.exp(-log_ratio),
    activation_text="{v}",
    composed_text="1/w - 1 - log w, w = omega(1 - {v}); omega is Wright's",
    slope_text="1/omega(1 - f); omega is Wright's",
    activation_slope_text="1",
    optimal_logit_text="1 + log p/q - q/p",
    saturates="f << 0, but only as 1/|f|; explodes for f >> 0",
    saturates_practical="nowhere",
    overflows_at=89.7,
  ),
  "jensen_shannon": Divergence(
    title="Jensen-Shannon, twice the JSD",
    generator_function=lambda u: u * jnp.log(u) - (u + 1) * jnp.log((1 + u) / 2),
    derivative=lambda u: jnp.log(2 * u / (1 + u)),
    conjugate=lambda t: -jnp.log(2 - jnp.exp(t)),
    activation=lambda v: math.log(2) - softplus(-v),
    composed=lambda v: softplus(v) - math.log(2),
    activation_slope=lambda v: sigmoid(-v),
    composed_slope=sigmoid,
    threshold=0.0,
    optimal_logit=_same,
    activation_text="log 2 - softplus(-{v})",
    composed_text="softplus({v}) - log 2",
    slope_text="sigmoid(f)",
    activation_slope_text="sigmoid(-f)",
    optimal_logit_text="log p/q",
    saturates="f << 0 as e^f",
    saturates_practical="f >> 0 only",
  ),
  "weighted_jensen_shannon": Divergence(
    title="weighted Jensen-Shannon, data weight pi",
    generator_function=lambda u, pi: pi * u * jnp.log(u) - (1 - pi + pi * u) * jnp.log(1 - pi + pi * u),
    derivative=lambda u, pi: pi * jnp.log(u / (1 - pi + pi * u)),
    conjugate=lambda t, pi: (1 - pi) * jnp.log((1 - pi) / (1 - pi * jnp.exp(t / pi))),
    activation=lambda v, pi: -pi * jnp.log(pi) - softplus(-v),
    composed=lambda v, pi: (1 - pi) * (jnp.log1p(-pi) - log_not_power(v, pi)),
    activation_slope=lambda v, pi: sigmoid(-v),
    # (1 - pi)/pi sigmoid(-v) / (e^x - 1), x = softplus(-v)/pi; by logarithms, because it is 0/0 at large v.
    composed_slope=lambda v, pi: (1 - pi) / pi * jnp.exp(-softplus(v) - softplus(-v) / pi - log_not_power(v, pi)),
    threshold=0.0,
    # softplus(-v) = pi log(1 + (1 - pi) q / (pi p))
    optimal_logit=lambda log_ratio, pi: -log_expm1(pi * softplus(jnp.log((1 - pi) / pi) - log_ratio)),
    activation_text="-pi log pi - softplus(-{v})",
    composed_text="(1-pi) log((1-pi) / (1 - sigmoid({v})^(1/pi)))",
    slope_text="(1-pi)/pi sigmoid(-f) / (sigmoid(f)^(-1/pi) - 1)",
    activation_slope_text="sigmoid(-f)",
    optimal_logit_text="-log((1 + (1-pi) q / (pi p))^pi - 1)",
    saturates="f << 0 as e^(f/pi)",
    saturates_practical="f >> 0 only",
    options={"pi": 0.3},
    about={"pi": Option("weight of the data in the mixture", above=0, below=1)},
  ),
  "gan": Divergence(
    title="original GAN, 2 JSD - log 4",
    generator_function=lambda u: u * jnp.log(u) - (u + 1) * jnp.log(u + 1),
    derivative=lambda u: jnp.log(u / (1 + u)),
    conjugate=lambda t: -jnp.log(-expm1(t)),
    activation=lambda v: -softplus(-v),
    composed=softplus,
    activation_slope=lambda v: sigmoid(-v),
    composed_slope=sigmoid,
    threshold=-math.log(2),
    optimal_logit=_same,
    activation_text="-softplus(-{v})",
    composed_text="softplus({v})",
    slope_text="sigmoid(f)",
    activation_slope_text="sigmoid(-f)",
    optimal_logit_text="log p/q",
    saturates="f << 0 as e^f: this is `minimax`",
    saturates_practical="f >> 0 only: this is `non_saturating`",
  ),
  "alpha_above_one": Divergence(
    title="alpha, alpha > 1",
    generator_function=_alpha_function,
    derivative=_alpha_derivative,
    conjugate=_alpha_conjugate,
    activation=_same,
    composed=_alpha_conjugate,
    activation_slope=_one,
    composed_slope=lambda v, alpha: relu(1 + (alpha - 1) * v) ** (1 / (alpha - 1)),
    threshold=0.0,
    optimal_logit=lambda log_ratio, alpha: expm1((alpha - 1) * log_ratio) / (alpha - 1),
    activation_text="{v}",
    composed_text="(relu(1 + (alpha-1) {v})^(alpha/(alpha-1)) - 1) / alpha",
    slope_text="relu(1 + (alpha-1) f)^(1/(alpha-1))",
    activation_slope_text="1",
    optimal_logit_text="((p/q)^(alpha-1) - 1) / (alpha-1); above -1/(alpha-1)",
    saturates="f < -1/(alpha-1): exactly zero there",
    saturates_practical="nowhere",
    options={"alpha": 2.0},
    about={"alpha": Option("order; the formula is singular at 1", above=1)},
  ),
  "alpha_below_one": Divergence(
    title="alpha, 0 < alpha < 1",
    generator_function=_alpha_function,
    derivative=_alpha_derivative,
    conjugate=_alpha_conjugate,
    activation=lambda v, alpha: 1 / (1 - alpha) - softplus(-v),
    # 1 + (alpha - 1) g = (1 - alpha) softplus(-v), to the power -alpha/(1 - alpha).
    composed=lambda v, alpha: expm1(-alpha / (1 - alpha) * (jnp.log1p(-alpha) + log_softplus(-v))) / alpha,
    activation_slope=lambda v, alpha: sigmoid(-v),
    composed_slope=lambda v, alpha: jnp.exp(-(jnp.log1p(-alpha) + log_softplus(-v)) / (1 - alpha) - softplus(v)),
    threshold=0.0,
    # softplus(-v) = (p/q)^(alpha-1) / (1 - alpha)
    optimal_logit=lambda log_ratio, alpha: -log_expm1(jnp.exp((alpha - 1) * log_ratio) / (1 - alpha)),
    activation_text="1/(1-alpha) - softplus(-{v})",
    composed_text="(((1-alpha) softplus(-{v}))^(-alpha/(1-alpha)) - 1) / alpha",
    slope_text="sigmoid(-f) ((1-alpha) softplus(-f))^(-1/(1-alpha))",
    activation_slope_text="sigmoid(-f)",
    optimal_logit_text="-log(exp((p/q)^(alpha-1) / (1-alpha)) - 1)",
    saturates="f << 0, as |f|^(-1/(1-alpha)); explodes for f >> 0 as e^(alpha f/(1-alpha))",
    saturates_practical="f >> 0 only",
    overflows_at=87.3,
    options={"alpha": 0.5},
    about={"alpha": Option("order", above=0, below=1)},
  ),
  "total_variation": Divergence(
    title="total variation",
    generator_function=lambda u: 0.5 * jnp.abs(u - 1),
    derivative=lambda u: 0.5 * jnp.sign(u - 1),
    conjugate=_same,
    activation=_half_tanh,
    composed=_half_tanh,
    activation_slope=lambda v: 2 * sigmoid(2 * v) * sigmoid(-2 * v),
    composed_slope=lambda v: 2 * sigmoid(2 * v) * sigmoid(-2 * v),
    threshold=0.0,
    optimal_logit=lambda log_ratio: jnp.where(log_ratio == 0, 0.0, jnp.copysign(jnp.inf, log_ratio)),
    activation_text="0.5 tanh({v})",
    composed_text="0.5 tanh({v})",
    slope_text="0.5 / cosh(f)^2",
    activation_slope_text="0.5 / cosh(f)^2",
    optimal_logit_text="inf sign(p - q); anything where p = q",
    saturates="on both sides, as e^(-2|f|)",
    saturates_practical="on both sides, as e^(-2|f|): here both generators are the same",
  ),
}
