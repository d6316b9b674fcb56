"""What every loss must be, written a second time: the papers' formulas in plain NumPy, composed as they are printed.

`KNOWN` has one row per loss; `CHECKS` are the properties that `test_losses.py` asserts for each of them and that
`mutants.py` uses to catch a loss that was broken on purpose.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from gan_jax.core.types import Loss
from gan_jax.losses import Card
from gan_jax.losses.divergence import Divergence
from tests.support import formulas, transport

Formula = Callable[..., np.ndarray]

# TF-GAN's minibatch, and a second one without its large gaps, on both sides of every kink. One shape: compiled once.
GOLDEN = (np.array([-5, 1.4, 12.5, 2.7]), np.array([10, 4.4, -5.5, 3.6]))
BATCHES = (GOLDEN, (np.array([0.3, -1.2, 2.5, 0.9]), np.array([-0.45, 1.6, -2.8, 0.7])))

LOW = (BATCHES[1][0] / 2 - 4, BATCHES[1][1] / 2 - 4)  # no fake above -3, and pairs 0.3 and 0.45 apart


class Known(NamedTuple):
  discriminator: Formula  # (r, f, **options) -> [B], as the paper prints it
  generator: Formula
  golden: tuple[float, float]  # means over `GOLDEN`, default hyperparameters
  other: Mapping[str, float] = {}  # hyperparameters other than the defaults, at which the formulas must hold too
  kinked: bool = False  # the best discriminator's logits lie on kinks of its loss, where no slope is zero
  highest: float = np.inf  # the logit above which the discriminator's formula is not meant
  unlevelled: bool = False  # a loss of pairing 'none' that a common shift of all logits leaves as it is
  levelled: bool = False  # a loss of another pairing that such a shift changes
  drawn: bool = False  # its optimum is that of the mean over batches drawn from a population, not of a whole population
  cancels: bool = False  # the terms of its slope cancel: right to their rounding, not to the slope's
  controller: Formula | None = None  # (r, f, **options) -> (the next value of its option, the measure of convergence)
  coarse: float = 2e-6  # that rounding in float32 at |logit| 85, relative to the largest slope

  @property
  def rounding(self) -> float:
    return self.coarse if self.cancels else 0.0


def sg(x):
  return 1 / (1 + np.exp(-x))


def sp(x):
  return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def pos(x):
  return np.maximum(x, 0)


def bce(r, f):
  return -np.log(sg(r)) - np.log(1 - sg(f))


def wright(z):
  return special.wrightomega(z)


# Activation g and conjugate f* of the table in f-GAN (ground truth 3.3), before any simplification.
ACTIVATION: dict[str, Formula] = {
  "kl": lambda v: v,
  "reverse_kl": lambda v: -np.exp(-v),
  "pearson": lambda v: v,
  "neyman": lambda v: 1 - np.exp(-v),
  "squared_hellinger": lambda v: 1 - np.exp(-v),
  "jeffreys": lambda v: v,
  "jensen_shannon": lambda v: np.log(2) - np.log(1 + np.exp(-v)),
  "weighted_jensen_shannon": lambda v, pi=0.3: -pi * np.log(pi) - np.log(1 + np.exp(-v)),
  "gan": lambda v: -np.log(1 + np.exp(-v)),
  "alpha_above_one": lambda v, alpha=2.0: v,
  "alpha_below_one": lambda v, alpha=0.5: 1 / (1 - alpha) - np.log(1 + np.exp(-v)),
  "total_variation": lambda v: 0.5 * np.tanh(v),
}
CONJUGATE: dict[str, Formula] = {
  "kl": lambda t: np.exp(t - 1),
  "reverse_kl": lambda t: -1 - np.log(-t),
  "pearson": lambda t: t**2 / 4 + t,
  "neyman": lambda t: 2 - 2 * np.sqrt(1 - t),
  "squared_hellinger": lambda t: t / (1 - t),
  "jeffreys": lambda t: wright(1 - t) + 1 / wright(1 - t) + t - 2,
  "jensen_shannon": lambda t: -np.log(2 - np.exp(t)),
  "weighted_jensen_shannon": lambda t, pi=0.3: (1 - pi) * np.log((1 - pi) / (1 - pi * np.exp(t / pi))),
  "gan": lambda t: -np.log(1 - np.exp(t)),
  "alpha_above_one": lambda t, alpha=2.0: (pos(t * (alpha - 1) + 1) ** (alpha / (alpha - 1)) - 1) / alpha,
  "alpha_below_one": lambda t, alpha=0.5: ((t * (alpha - 1) + 1) ** (alpha / (alpha - 1)) - 1) / alpha,
  "total_variation": lambda t: t,
}
# The generator functions f(u) of the same table.
GENERATOR_FUNCTION: dict[str, Formula] = {
  "kl": lambda u: u * np.log(u),
  "reverse_kl": lambda u: -np.log(u),
  "pearson": lambda u: (u - 1) ** 2,
  "neyman": lambda u: (1 - u) ** 2 / u,
  "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
  "jeffreys": lambda u: (u - 1) * np.log(u),
  "jensen_shannon": lambda u: -(u + 1) * np.log((1 + u) / 2) + u * np.log(u),
  "weighted_jensen_shannon": lambda u, pi: pi * u * np.log(u) - (1 - pi + pi * u) * np.log(1 - pi + pi * u),
  "gan": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
  "alpha_above_one": lambda u, alpha: (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1)),
  "alpha_below_one": lambda u, alpha: (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1)),
  "total_variation": lambda u: 0.5 * np.abs(u - 1),
}
F_GAN_OTHER = {
  "weighted_jensen_shannon": {"pi": 0.7},
  "alpha_above_one": {"alpha": 3.0},
  "alpha_below_one": {"alpha": 0.3},
}


def f_gan(name: str, practical: bool, golden: tuple[float, float]) -> Known:
  g, conjugate = ACTIVATION[name], CONJUGATE[name]

  def discriminator(r, f, **o):
    return -g(r, **o) + conjugate(g(f, **o), **o)

  def generator(r, f, **o):
    return -g(f, **o) if practical else -conjugate(g(f, **o), **o)

  return Known(discriminator, generator, golden, F_GAN_OTHER.get(name, {}))


def alpha_term(probability, alpha):
  return alpha / (alpha - 1) * (1 - probability ** ((alpha - 1) / alpha)) if alpha != 1 else -np.log(probability)


def alpha_discriminator(r, f, alpha):
  return alpha_term(sg(r), alpha) + alpha_term(1 - sg(f), alpha)


def all_pairs(phi, own, other):
  return np.array([np.mean([phi(x - y) for y in other]) for x in own])


def square(t):
  return 0.5 * (t - 1) ** 2


def average(phi, own, other):
  """One term of a relativistic-average loss: `own` should exceed the mean of `other`."""
  return phi(own - other.mean())


def logistic(t):
  return -np.log(sg(t))


def margin(t):
  return pos(1 - t)


def average_known(phi, golden):
  return Known(
    lambda r, f: average(phi, r, f) + average(phi, -f, -r),
    lambda r, f: average(phi, -r, -f) + average(phi, f, r),
    golden,
  )


def tilted_mean(x, tilt):
  return np.full_like(x, np.log(np.mean(np.exp(tilt * x))) / tilt)


def dual_contrastive(high, low):
  """-log of the share of x in x and all low ones, and of -y in -y and all -high ones."""
  picked = [np.exp(x) / (np.exp(x) + sum(np.exp(y) for y in low)) for x in high]
  left = [np.exp(-y) / (np.exp(-y) + sum(np.exp(-x) for x in high)) for y in low]
  return np.full_like(high, -np.mean(np.log(picked)) - np.mean(np.log(left)))


def reweighted(f):
  return np.exp(f) / np.mean(np.exp(f)) * f


def within(function, logits):
  """The mean over ordered pairs of different examples, one by one."""
  pairs = [function(a - b) for i, a in enumerate(logits) for j, b in enumerate(logits) if i != j]
  return np.mean(pairs) if pairs else 0.0


def between(function, real, fake):
  return np.mean([function(a - b) for a in real for b in fake])


def energy_distance(r, f):
  return np.full_like(f, 2 * between(abs, r, f) - within(abs, r) - within(abs, f))


def gaussian(sigma, lower=0.0, upper=np.inf):
  return lambda d: np.exp(-min(max(d**2, lower), upper) / (2 * sigma**2))


def squared_mmd(r, f, sigma=1.0, lower=0.25, upper=4.0):
  k = gaussian(sigma)
  return np.full_like(f, within(k, r) + within(k, f) - 2 * between(k, r, f))


def bounded_mmd(r, f, sigma=1.0, lower=0.25, upper=4.0):
  near, far = gaussian(sigma, lower=lower), gaussian(sigma, upper=upper)
  return np.full_like(f, 2 * between(far, r, f) - within(near, r) - within(near, f))


def repulsive_mmd(r, f, sigma=1.0, lower=0.25, upper=4.0):
  return np.full_like(f, within(gaussian(sigma, upper=upper), r) - within(gaussian(sigma, lower=lower), f))


def mixed_mmd(kernel):
  def distance(r, f, scale=1.0):
    k = lambda d: sum(kernel((d / scale) ** 2))  # noqa: E731
    return np.full_like(f, within(k, r) + within(k, f) - 2 * between(k, r, f))

  return Known(lambda r, f, **o: -distance(r, f, **o), distance, (0, 0), {"scale": 1.7}, cancels=True)


def sinkhorn_divergence(r, f, regularisation=10.0):
  return np.full_like(f, transport.divergence(r[:, None], f[:, None], regularisation))


def equilibrium(r, f, balance=0.0, diversity=0.5, gain=1e-3):
  """k_(t+1) and M of BEGAN, from the mean errors of reals and fakes."""
  of_real, of_fake = np.mean(np.abs(r)), np.mean(np.abs(f))
  moved = balance + gain * (diversity * of_real - of_fake)
  return min(max(moved, 0.0), 1.0), of_real + abs(diversity * of_real - of_fake)


def chi2_conjugate(x):
  """sup_u of x u - (u - 1)^2 over u >= 0: at u = 1 + x / 2, or at 0 where that is negative."""
  u = np.maximum(1 + x / 2, 0)
  return x * u - (u - 1) ** 2


def uotm(conjugate, golden):
  return Known(lambda r, f: conjugate(-r) + conjugate(f), lambda r, f: -f, golden)


BOUNDS = {"sigma": 1.7, "lower": 1.1, "upper": 7.0}

KNOWN: dict[str, Known] = {
  # Golden means of these seven, from ground truth 3.6 (V-num), and of the paired and average losses from sums by hand.
  "minimax": Known(bce, lambda r, f: np.log(1 - sg(f)), (5.833865891654, -4.510820879946)),
  "non_saturating": Known(bce, lambda r, f: -np.log(sg(f)), (5.833865891654, 1.385820879946)),
  "least_squares": Known(
    lambda r, f, fake=0.0, real=1.0, target=1.0: 0.5 * (r - real) ** 2 + 0.5 * (f - fake) ** 2,
    lambda r, f, fake=0.0, real=1.0, target=1.0: 0.5 * (f - target) ** 2,
    (41.73375, 17.69625),
    {"fake": -1.0, "real": 0.8, "target": 0.3},
  ),
  "wasserstein": Known(lambda r, f: -(r - f), lambda r, f: -f, (0.225, -3.125), unlevelled=True),
  "hinge": Known(lambda r, f: pos(1 - r) + pos(1 + f), lambda r, f: -f, (6.75, -3.125), kinked=True),
  "relativistic": Known(lambda r, f: logistic(r - f), lambda r, f: logistic(f - r), (4.82243538686, 4.59743538686)),
  "relativistic_average": average_known(logistic, (5.212013031707, 4.762013031707)),
  "non_saturating_smoothed": Known(
    lambda r, f, real_target=0.9: -real_target * np.log(sg(r)) - (1 - real_target) * np.log(1 - sg(r)) + sp(f),
    lambda r, f, real_target=0.9: -np.log(sg(f)),
    (6.123865891654, 1.385820879946),
    {"real_target": 0.7},
  ),
  "least_squares_probabilities": Known(
    lambda r, f: 0.5 * (sg(r) - 1) ** 2 + 0.5 * sg(f) ** 2,
    lambda r, f: 0.5 * (sg(f) - 1) ** 2,
    (0.49413567052, 0.12409134896),
  ),
  "energy_margin": Known(  # energies are -r and -f
    lambda r, f, margin=1.0: (-r) + pos(margin - (-f)),
    lambda r, f, margin=1.0: -f,
    (2.35, -3.125),
    {"margin": 0.4},
    kinked=True,
    highest=0.0,
  ),
  "relativistic_zero_sum": Known(
    lambda r, f: logistic(r - f), lambda r, f: np.log(sg(r - f)), (4.82243538686, -4.82243538686)
  ),
  "relativistic_least_squares": Known(
    lambda r, f: square(r - f), lambda r, f: 0.5 * (f - r - 1) ** 2, (70.57625, 70.12625)
  ),
  "relativistic_least_squares_zero_sum": Known(
    lambda r, f: square(r - f), lambda r, f: -0.5 * (r - f - 1) ** 2, (70.57625, -70.57625)
  ),
  "relativistic_hinge": Known(lambda r, f: margin(r - f), lambda r, f: pos(1 - (f - r)), (5.475, 4.775)),
  "relativistic_hinge_zero_sum": Known(lambda r, f: margin(r - f), lambda r, f: -pos(1 - (r - f)), (5.475, -5.475)),
  "relativistic_all_pairs": Known(
    lambda r, f: all_pairs(logistic, r, f), lambda r, f: all_pairs(logistic, f, r), (3.619901599414, 3.394901599414)
  ),
  "relativistic_average_least_squares": average_known(square, (36.5465625, 35.6465625)),
  "relativistic_average_hinge": average_known(margin, (6.39375, 5.1625)),
  "alpha_loss": Known(
    lambda r, f, alpha=2.0: alpha_discriminator(r, f, alpha),
    lambda r, f, alpha=2.0: -alpha_term(1 - sg(f), alpha),
    (1.888313895088, -1.361042164219),
    {"alpha": 0.6},
  ),
  "alpha_loss_dual": Known(
    lambda r, f, discriminator_alpha=0.5, generator_alpha=1.0: alpha_discriminator(r, f, discriminator_alpha),
    lambda r, f, discriminator_alpha=0.5, generator_alpha=1.0: -alpha_term(1 - sg(f), generator_alpha),
    (5573.311487498183, -4.510820879946),
    {"discriminator_alpha": 0.8, "generator_alpha": 3.0},
  ),
  "alpha_loss_dual_non_saturating": Known(
    lambda r, f, discriminator_alpha=0.5, generator_alpha=1.0: alpha_discriminator(r, f, discriminator_alpha),
    lambda r, f, discriminator_alpha=0.5, generator_alpha=1.0: alpha_term(sg(f), generator_alpha),
    (5573.311487498183, 1.385820879946),
    {"discriminator_alpha": 0.8, "generator_alpha": 3.0},
  ),
  "cumulant": Known(
    lambda r, f, beta=0.5, gamma=0.5: tilted_mean(r, -beta) * -1 + tilted_mean(f, gamma),
    lambda r, f, beta=0.5, gamma=0.5: -tilted_mean(f, gamma),
    (9.769766652662, -7.421670160456),
    {"beta": 0.2, "gamma": 1.3},
  ),
  # Golden means of these, the transport losses included, by 50-digit decimals and plain loops.
  "dual_contrastive": Known(
    dual_contrastive, lambda r, f: dual_contrastive(f, r), (16.119416313839780, 17.913888039211345), drawn=True
  ),
  "kl_hinge": Known(
    lambda r, f: pos(1 - r) + pos(1 + reweighted(f)),
    lambda r, f: -reweighted(f),
    (12.468822221408463, -9.968822221408463),
    levelled=True,
    cancels=True,
  ),
  "energy": Known(lambda r, f: -energy_distance(r, f), energy_distance, (3.125, -3.125), cancels=True),
  "mmd": Known(bounded_mmd, squared_mmd, (0.250454550207580, -0.048530658406785), BOUNDS, cancels=True),
  "mmd_repulsive": Known(repulsive_mmd, squared_mmd, (0.063347430178232, -0.048530658406785), BOUNDS, cancels=True),
  "mmd_gaussian_mixture": mixed_mmd(lambda d2: [np.exp(-d2 / (2 * s**2)) for s in (1, 2, 4, 8, 16)])._replace(
    golden=(0.765052240209941, -0.765052240209941)
  ),
  "mmd_rational_quadratic": mixed_mmd(lambda d2: [(1 + d2 / (2 * a)) ** -a for a in (0.2, 0.5, 1, 2, 5)])._replace(
    golden=(0.484039519975836, -0.484039519975836)
  ),
  "sinkhorn": Known(
    lambda r, f, **o: -sinkhorn_divergence(r, f, **o),
    sinkhorn_divergence,
    (-2.090151937341943, 2.090151937341943),
    {"regularisation": 25.0},
    cancels=True,
    coarse=3e-5,  # costs of 14,000 are known to 1e-3, and the plan weighs them by the regularisation, 10
  ),
  "began": Known(
    lambda r, f, balance=0.0, diversity=0.5, gain=1e-3: -r - balance * -f,  # L(x) - k L(G(z)), L = -logit
    lambda r, f, balance=0.0, diversity=0.5, gain=1e-3: -f,
    (-2.9, -3.125),
    {"balance": 0.7, "diversity": 0.3, "gain": 0.01},
    controller=equilibrium,
  ),
  "uotm_softplus": uotm(lambda x: np.log(1 + np.exp(x)), (5.833865891654, -3.125)),
  "uotm_kl": uotm(lambda x: np.exp(x) - 1, (5571.311487498178, -3.125)),
  "uotm_chi2": uotm(chi2_conjugate, (14.605, -3.125)),
  "f_gan_kl": f_gan("kl", False, (2033.728317272244, -2036.628317272244)),
  "f_gan_kl_practical": f_gan("kl", True, (2033.728317272244, -3.125)),
  "f_gan_reverse_kl": f_gan("reverse_kl", False, (39.306741326478, -2.125)),
  "f_gan_reverse_kl_practical": f_gan("reverse_kl", True, (39.306741326478, 61.182894681625)),
  "f_gan_pearson": f_gan("pearson", False, (10.385625, -13.285625)),
  "f_gan_pearson_practical": f_gan("pearson", True, (10.385625, -3.125)),
  "f_gan_neyman": f_gan("neyman", False, (30.219005387592, 5.962735938886)),
  "f_gan_neyman_practical": f_gan("neyman", True, (30.219005387592, 60.182894681625)),
  "f_gan_squared_hellinger": f_gan("squared_hellinger", False, (5571.311487498178, -5535.129746171700)),
  "f_gan_squared_hellinger_practical": f_gan("squared_hellinger", True, (5571.311487498178, 60.182894681625)),
  "f_gan_jeffreys": f_gan("jeffreys", False, (2036.894061166760, -2039.794061166760)),
  "f_gan_jeffreys_practical": f_gan("jeffreys", True, (2036.894061166760, -3.125)),
  "f_gan_jensen_shannon": f_gan("jensen_shannon", False, (4.447571530534, -3.817673699386)),
  "f_gan_jensen_shannon_practical": f_gan("jensen_shannon", True, (4.447571530534, 0.692673699386)),
  "f_gan_weighted_jensen_shannon": f_gan("weighted_jensen_shannon", False, (3.244895697044, -2.283042526634)),
  "f_gan_weighted_jensen_shannon_practical": f_gan("weighted_jensen_shannon", True, (3.244895697044, 1.024629038649)),
  "f_gan_gan": f_gan("gan", False, (5.833865891654, -4.510820879946)),
  "f_gan_gan_practical": f_gan("gan", True, (5.833865891654, 1.385820879946)),
  "f_gan_alpha_above_one": f_gan("alpha_above_one", False, (18.015, -20.915)),
  "f_gan_alpha_above_one_practical": f_gan("alpha_above_one", True, (18.015, -3.125)),
  "f_gan_alpha_below_one": f_gan("alpha_below_one", False, (22143.516359324, -22144.193314313)),
  "f_gan_alpha_below_one_practical": f_gan("alpha_below_one", True, (22143.516359324, -0.614179120054)),
  "f_gan_total_variation": f_gan("total_variation", False, (0.015223752843, -0.249779990042)),
  "f_gan_total_variation_practical": f_gan("total_variation", True, (0.015223752843, -0.249779990042)),
}

Builder = Callable[..., Loss]


def slope_of(half: Callable[..., Any], argument: int, real: Any, fake: Any) -> np.ndarray:
  """d (sum of the half's values) / d logits, by autodiff."""
  return np.asarray(jax.grad(lambda *logits: jnp.sum(half(*logits)), argument)(jnp.asarray(real), jnp.asarray(fake)))


def close(got: Any, expected: Any, rtol: float, what: str, atol: float = 0.0) -> None:
  np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=rtol, atol=atol, err_msg=what)


# What the checks look at. Each part is a function of arrays, so that `measured` computes it for four losses in one program:
# alone, every operation of a loss is a program of its own, and half a minute goes into compiling them.

# Two atoms: p = (3/5, 2/5), q = (1/5, 4/5); 25 rows hold every pair of five reals and five fakes, as atoms 0 and 1.
P1, Q1 = 0.6, 0.2
REAL_ATOM = np.repeat([0, 0, 0, 1, 1], 5)
FAKE_ATOM = np.tile([0, 1, 1, 1, 1], 5)
ATOMS = np.log([P1 / Q1, (1 - P1) / (1 - Q1)])
LOG_RATIO = np.array([-2.0, -0.7, 0.4, 1.5])
STEPS = (0.0, 1e-3, -1e-3, 0.3, -0.3, 3.0, -3.0)  # from the optimal logit
SHIFT = 3.25
ENDS = (np.array([[-1, 1, 0, 0], [-1, 1, -1, 1]]), np.array([[0, 0, -1, 1], [-1, 1, 1, -1]]))  # of reals, of fakes


def spread(limit: float) -> tuple[np.ndarray, np.ndarray]:
  """Logits over [-limit, limit] for both sides, half of them within 3, off the kinks and in unlike orders."""
  fake = np.concatenate([np.linspace(-limit, limit * 0.997, 31), np.linspace(-3, 3, 30)]) + 0.00137
  return np.roll(fake[::-1], 7) * 0.93, fake


def shapes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """(reals, fakes) [N, B] of each size of batch that is looked at."""
  shifted, negative = ([tuple(f(x) for x in pair) for pair in BATCHES] for f in (lambda x: x + SHIFT, np.negative))
  few = BATCHES[1]
  pairs = {
    "four": [*BATCHES, LOW, *shifted, *negative],
    "many": [spread(3.0), spread(100.0)],
    "one": [tuple(x[:1] for x in LOW), tuple(x[:1] for x in few)],
    "two": [tuple(x[:2] for x in few)],
  }
  return {size: tuple(np.stack(side) for side in zip(*found, strict=True)) for size, found in pairs.items()}


SHAPES = shapes()


class Seen(NamedTuple):
  """Of one loss at one batch, or at several."""

  discriminator: Any  # [B]
  generator: Any  # [B]
  discriminator_slope: Any  # [B]: of the sum, by the fake logits
  generator_slope: Any
  card_slope: Any

  def at(self, index: int) -> "Seen":
    return Seen(*(x[index] for x in self))


def given(name: str) -> list[dict[str, float]]:
  """The default hyperparameters, and others where the loss has any."""
  return [{}, dict(KNOWN[name].other)] if KNOWN[name].other else [{}]


def _defaults(build: Builder) -> dict[str, float]:
  return {key: parameter.default for key, parameter in inspect.signature(build).parameters.items()}


def at_batches(name: str, build: Builder, card: Card, inputs: Any) -> list[dict[str, Seen]]:
  """{size: what the loss is at its batches} for each of `given`; of one and of two examples where terms cancel."""

  def at(loss: Loss, options: dict[str, float], real: jax.Array, fake: jax.Array) -> Seen:
    values, pulls = zip(*(jax.vjp(lambda f, half=half: half(real, f), fake) for half in loss), strict=True)
    slopes = (pull(jnp.ones_like(value))[0] for pull, value in zip(pulls, values, strict=True))
    return Seen(*values, *slopes, card.slope_at(real, fake, **options))

  sizes = ("four", "many", "one", "two") if KNOWN[name].cancels else ("four", "many")
  found = []
  for options in given(name):
    looked = jax.vmap(functools.partial(at, build(**options), {**_defaults(build), **options}))
    if card.pairing == "none":  # the many logits are more batches of four: one trace for both
      found.append(in_fours(looked, inputs["batches"]))
    else:
      found.append({size: looked(*inputs["batches"][size]) for size in sizes})
  return found


def in_fours(looked: Callable[..., Seen], batches: Any) -> dict[str, Seen]:
  """As `at_batches`, of a loss of which no example meets another: all logits as batches of four."""
  (n, _), (rows, size) = batches["four"][0].shape, batches["many"][0].shape
  fours = [jnp.pad(x, ((0, 0), (0, -size % 4)), mode="wrap").reshape(-1, 4) for x in batches["many"]]
  both = looked(*(jnp.concatenate(pair) for pair in zip(batches["four"], fours, strict=True)))
  many = Seen(*(x[n:].reshape(rows, -1)[:, :size] for x in both))
  return {"four": Seen(*(x[:n] for x in both)), "many": many}


def batches_of_two(loss: Loss) -> Callable[[jax.Array], jax.Array]:
  """(logits of the two atoms) -> D's loss, its mean over every batch of two reals and two fakes of the population."""
  five = np.stack(np.meshgrid(*[np.arange(5)] * 4), -1).reshape(-1, 4)
  real, fake = np.array([0, 0, 0, 1, 1])[five[:, :2]], np.array([0, 1, 1, 1, 1])[five[:, 2:]]
  return jax.jit(lambda v: jnp.mean(jax.vmap(loss.discriminator)(v[real], v[fake])))


def at_optimum(name: str, build: Builder, card: Card, inputs: Any) -> Any:
  """(optimal logits, the cost of logits `STEPS` from them, its slope) for each of `given`; None without such a logit.

  Where examples meet, the cost is that of the population of all pairs of two atoms, at the optimum alone.
  """
  if card.optimal_logit_at is None:
    return None
  known, found = KNOWN[name], []
  for options in given(name):
    loss = build(**options)
    log_ratio = inputs["atoms" if card.pairing != "none" else "log_ratio"]
    best = card.optimal_logit_at(log_ratio, **{**_defaults(build), **options})
    zero = jnp.zeros_like(best)

    def cost(v, loss=loss, log_ratio=log_ratio, zero=zero):
      return jnp.exp(log_ratio) * loss.discriminator(v, zero) + loss.discriminator(zero, v)

    steps = inputs["steps"]
    if card.pairing != "none":  # over atoms, and the optimum itself alone
      whole = lambda v, loss=loss: jnp.mean(loss.discriminator(v[REAL_ATOM], v[FAKE_ATOM]))  # noqa: E731
      cost, steps = batches_of_two(loss) if known.drawn else whole, steps[:1]
    others = jnp.minimum(best[None] + steps[:, None], known.highest)
    found.append((best, jax.vmap(cost)(others), jax.grad(lambda v, cost=cost: jnp.sum(cost(v)))(best)))
  return found


def at_ends(name: str, build: Builder, card: Card, inputs: Any) -> list[jax.Array]:
  """[number of ends]: for each of `limits`, whether values and slopes of both halves are finite in float32."""

  def finite(real: jax.Array, fake: jax.Array) -> jax.Array:
    numbers = []
    for half in build():
      values, pull = jax.vjp(half, real, fake)
      numbers += [values, *pull(jnp.ones_like(values))]
    return jnp.stack([jnp.isfinite(x).all() for x in numbers]).all()

  return [jax.vmap(finite)(*(x * jnp.float32(limit) for x in inputs["ends"])) for limit in limits(card)]


def limits(card: Card) -> tuple[float, ...]:
  return (1e4,) if card.overflows_at is None else (0.99 * card.overflows_at, 1.01 * card.overflows_at)


PARTS = (at_batches, at_optimum, at_ends)


def measured(chosen: Mapping[str, tuple[Builder, Card]], part: Callable[..., Any]) -> dict[str, Any]:
  """{loss: what the part finds}, by one program for every four of them. In double precision, but for `at_ends`."""
  inputs = {
    "batches": SHAPES,
    "atoms": ATOMS,
    "log_ratio": LOG_RATIO,
    "steps": np.array(STEPS),
    "ends": tuple(x.astype(np.float32) for x in ENDS),
  }
  found, names = {}, sorted(chosen)
  for few in (names[i : i + 4] for i in range(0, len(names), 4)):  # one for all is larger than its parts together
    program = jax.jit(lambda inputs, few=few: {name: part(name, *chosen[name], inputs) for name in few})
    found |= jax.device_get(program(inputs))
  return found


# The checks.


def check_values(name: str, build: Builder, card: Card, found: Any) -> None:
  """Both halves agree with the paper's formula, example by example, at the default and at other hyperparameters."""
  known = KNOWN[name]
  for options, sizes in zip(given(name), found, strict=True):
    seen = [(pair, sizes["four"].at(i)) for i, pair in enumerate((*BATCHES, LOW)[: 3 if known.cancels else 2])]
    seen += [(tuple(x[:1] for x in LOW), sizes["one"].at(0))] if known.cancels else []
    for (real, fake), at in seen:
      for got, formula in ((at.discriminator, known.discriminator), (at.generator, known.generator)):
        assert got.shape == real.shape
        close(got, formula(real, fake, **options), 1e-9, f"{name} {options}", atol=1e-11)
  golden = found[0]["four"].at(0)
  means = [np.mean(golden.discriminator), np.mean(golden.generator)]
  close(means, known.golden, 2e-11, f"{name}: golden means", atol=6e-12)


def check_slopes(name: str, build: Builder, card: Card, found: Any) -> None:
  """The card's slope is the derivative, relatively, from -100 to 100, at the default and at other hyperparameters.

  Where terms cancel also of batches of one and of two, which have no pairs of different examples, and one.
  """
  for options, sizes in zip(given(name), found, strict=True):
    at = sizes["many"].at(1)
    atol = 1e-13 * np.abs(at.generator_slope).max() if KNOWN[name].cancels else 1e-300
    close(at.generator_slope, at.card_slope, 1e-8, f"{name} {options}: slope", atol=atol)
    if KNOWN[name].cancels and not options:
      for few in (sizes["one"].at(1), sizes["two"].at(0)):
        close(few.generator_slope, few.card_slope, 1e-8, name, atol=1e-14)


def check_zero_sum(name: str, build: Builder, card: Card, found: Any) -> None:
  """`zero_sum` says, both ways, whether the generator's slope is minus the discriminator's."""
  ours, theirs = (x[:3] for x in (found[0]["four"].generator_slope, found[0]["four"].discriminator_slope))
  differs = not np.allclose(ours, -theirs, rtol=1e-9)
  assert card.zero_sum != differs, f"{name}: the card says zero_sum={card.zero_sum}"


def check_optimum(name: str, build: Builder, card: Card, found: Any) -> None:
  """At the card's optimal logit v(p/q), p A(v) + q C(v) is stationary and least; A, C: the terms of real and fake.

  Where examples meet it is stationary on the population of all pairs of two atoms.
  """
  if card.optimal_logit_at is None:
    return
  known = KNOWN[name]
  for options, (best, costs, slope) in zip(given(name), found, strict=True):
    if card.pairing != "none":
      close(slope, [0, 0], 0, f"{name} {options}: stationary", atol=1e-12)
      continue
    assert np.all(best <= known.highest), f"{name}: an optimal logit above {known.highest}"
    at = costs[0]
    assert np.all(np.isfinite(at))
    for step, other in zip(STEPS[1:], costs[1:], strict=True):
      assert np.all(other >= at - 1e-12), f"{name} {options}: v = {best + step} costs less than {best}"
    if np.all(np.isfinite(best)) and not known.kinked:
      close(slope, 0 * at, 0, f"{name} {options}: stationary", atol=1e-9)
    elif known.kinked:
      for step, other in list(zip(STEPS, costs, strict=True))[1:3]:  # no flat piece around a kink
        strict = best + step <= known.highest
        assert np.all(other[strict] > at[strict] + 1e-5), f"{name}: {best} is no strict minimum"


def check_overflow(name: str, build: Builder, card: Card, found: Any) -> None:
  """In float32 all is finite up to `overflows_at` (up to 1e4 without one), and something is not just beyond it."""
  ends, finite = limits(card), [x.all() for x in found]
  assert finite[0], f"{name}: not finite at |logit| = {ends[0]:g}"
  assert len(finite) == 1 or not finite[1], f"{name}: still finite at |logit| = {ends[1]:g}, beyond overflows_at"


def check_shift(name: str, build: Builder, card: Card, found: Any) -> None:
  """What compares logits does not change when all of them move together; what reads each alone does."""
  four = found[0]["four"]
  moves = []
  for i in range(len(BATCHES)):
    before, after = four.at(i), four.at(3 + i)
    pairs = [(before.discriminator, after.discriminator), (before.generator_slope, after.generator_slope)]
    moves += [not np.allclose(a, b, rtol=1e-9) for a, b in pairs]
  invariant = (card.pairing != "none" and not KNOWN[name].levelled) or KNOWN[name].unlevelled
  assert any(moves) != invariant, f"{name}: pairing is {card.pairing!r}"


def check_symmetry(name: str, build: Builder, card: Card, found: Any) -> None:
  """`symmetric` says, both ways, whether logits of opposite sign cost D the same."""
  means = found[0]["four"].discriminator.mean(axis=1)
  same = [np.allclose(means[i], means[5 + i], rtol=1e-9) for i in range(len(BATCHES))]
  assert all(same) == card.symmetric, f"{name}: the card says symmetric={card.symmetric}"


def check_texts(name: str, build: Builder, card: Card, found: Any) -> None:
  """What the card prints is what is computed: both halves, the slope and the optimal logit, read as formulas."""
  for chosen, sizes in zip(given(name), found, strict=True):
    options = {**_defaults(build), **chosen}
    looked = [*((pair, sizes["four"].at(i)) for i, pair in enumerate(BATCHES)), (spread(3.0), sizes["many"].at(0))]
    for (real, fake), at in looked:
      names = formulas.of_batch(real, fake, options)
      columns = {"discriminator": at.discriminator, "generator": at.generator, "slope": at.card_slope}
      for column, computed in columns.items():
        text = getattr(card, column)
        before = "" if column == "discriminator" else card.discriminator
        printed, rtol = formulas.evaluate(text, names, before), 1e-9
        if np.isnan(printed).any():  # 0/0, as (1 - e^(-k x)) / k at k = 0: the limit is meant
          near = [{**names, **{key: value * x for key, value in options.items()}} for x in (1 - 1e-5, 1 + 1e-5)]
          printed, rtol = sum(formulas.evaluate(text, there, before) for there in near) / 2, 1e-7
        printed = np.broadcast_to(np.ravel(printed), real.shape)
        close(computed, printed, rtol, f"{name} {chosen}: {column} is printed as {text!r}", atol=1e-11)
    if card.optimal_logit_at is not None:
      log_ratio = np.array([-3.0, -1.1, -0.2, 0.3, 0.9, 2.5])
      computed = card.optimal_logit_at(jnp.asarray(log_ratio), **options)
      text = card.optimal_logit
      printed = formulas.evaluate(text, formulas.of_densities(log_ratio, options))
      close(computed, printed, 1e-9, f"{name} {chosen}: optimal_logit is printed as {text!r}", atol=1e-11)


def check_controller(name: str, build: Builder, card: Card, found: Any) -> None:
  """What moves an option of the loss, from errors both larger and smaller than balance asks for, within its bounds."""
  known, controller = KNOWN[name].controller, card.controller
  assert (known is None) == (controller is None), f"{name}: only the card, or only the row, has a controller"
  if controller is None:
    return
  for chosen in (*given(name), {controller.option: 0.9, "gain": 1.0}):
    options = {**_defaults(build), **chosen}
    for real, fake in ((-np.abs(r), -np.abs(f)) for r, f in (*BATCHES, BATCHES[1][::-1], (BATCHES[0][0], LOW[0] / 9))):
      value = jnp.asarray(options[controller.option])
      followed = controller.follow(value, jnp.asarray(real), jnp.asarray(fake), **options)
      convergence = controller.convergence(jnp.asarray(real), jnp.asarray(fake), **options)
      close((followed, convergence), known(real, fake, **chosen), 1e-12, f"{name} {chosen}: its controller")


# Each check, and the part of what is measured that it looks at.
CHECKS: dict[Callable[[str, Builder, Card, Any], None], Callable[..., Any]] = {
  check_values: at_batches,
  check_slopes: at_batches,
  check_zero_sum: at_batches,
  check_optimum: at_optimum,
  check_shift: at_batches,
  check_symmetry: at_batches,
  check_overflow: at_ends,
  check_texts: at_batches,
  check_controller: at_batches,
}


def check_row(name: str, row: Divergence) -> None:
  """Every column of the table of f-divergences: f, f', f*, the activation, the threshold and the optimal logit."""
  u = jnp.asarray([0.05, 0.3, 0.8, 1.7, 6.0])
  v = jnp.asarray([-1.9, -0.6, 0.0, 0.4, 1.3, 4.0])
  for options in (dict(row.options), F_GAN_OTHER.get(name)):
    if options is None:
      continue
    what = f"{name} {options}"
    close(row.generator_function(u, **options), GENERATOR_FUNCTION[name](np.asarray(u), **options), 1e-10, what, 1e-13)
    slope = jax.grad(lambda u, options=options: jnp.sum(row.generator_function(u, **options)))(u)
    close(row.derivative(u, **options), slope, 1e-10, what, 1e-13)
    t = ACTIVATION[name](np.asarray(v), **options)
    close(row.activation(v, **options), t, 1e-10, what, 1e-13)
    close(row.conjugate(jnp.asarray(t), **options), CONJUGATE[name](t, **options), 1e-10, what, 1e-12)
    close(row.composed(v, **options), CONJUGATE[name](t, **options), 1e-10, what, 1e-12)
    reached = row.activation(row.optimal_logit(jnp.log(u), **options), **options)
    close(reached, slope, 1e-9, what, 1e-11)
    at_one = float(row.activation(row.optimal_logit(jnp.asarray(0.0), **options), **options))
    close(row.threshold, at_one, 1e-10, what, 1e-11)
  if name == "weighted_jensen_shannon":  # by its own formula 1 - sigmoid(v)^(1/pi) is 0 out here
    for pi, v in ((0.3, 21.5), (0.3, 80.0), (1e-6, 15.0), (1e-6, 21.0), (1e-6, 45.0)):
      exact = (1 - pi) * (np.log1p(-pi) - np.log(-np.expm1(-np.log1p(np.exp(-v)) / pi)))
      close(row.composed(jnp.asarray(v), pi=pi), exact, 1e-14, f"{name}: pi = {pi}, v = {v}", 1e-12)
