"""Each loss at its optimal discriminator equals the closed form of its divergence, to 1e-6 in double precision.

Two settings with known answers: p = N(0, 1) against q = N(mu, 1), by quadrature over the line; and two atoms, where a
batch of all pairs *is* the population and the discriminator is two numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special

from gan_jax import losses
from gan_jax.losses import CARDS, LOSSES
from tests.support.known_losses import FAKE_ATOM, KNOWN, P1, Q1, REAL_ATOM

MUS = (0.5, 1.0, 1.7)


def line(mu):
  x = np.linspace(-14, 14 + mu, 60001)
  p, q = (np.exp(-0.5 * (x - m) ** 2) / np.sqrt(2 * np.pi) for m in (0.0, mu))
  return x, p, q


def expectation(density, values, x):
  """The integral of density * values; where a density has underflowed, an infinite value has no weight."""
  return integrate.trapezoid(np.where(density > 1e-300, density * np.asarray(values), 0), x)


def values_at_optimum(name, mu, options):
  """(D loss, G loss) of a loss of pairing 'none', D at the card's optimal logit, by its two terms."""
  x, p, q = line(mu)
  loss = losses.get(name, **options)
  v = CARDS[name].optimal_logit_at(jnp.asarray(mu**2 / 2 - mu * x), **{**losses.default_options(name), **options})
  zero = jnp.zeros_like(v)
  both_zero = float(loss.discriminator(zero[:1], zero[:1])[0])
  real, fake = loss.discriminator(v, zero), loss.discriminator(zero, v)
  return expectation(p, real, x) + expectation(q, fake, x) - both_zero, expectation(q, loss.generator(zero, v), x)


def overlap(mu):
  x, p, q = line(mu)
  return integrate.trapezoid(p * q / (p + q), x)


def tv(mu):
  return special.erf(mu / np.sqrt(8))


def jsd(mu):
  x, p, q = line(mu)
  m = (p + q) / 2
  return integrate.trapezoid(p * np.log(p / m) + q * np.log(q / m), x) / 2


def smoothed(mu, t):
  x, p, q = line(mu)
  mixed = (1 - t) * p + q
  return -integrate.trapezoid(t * p * np.log(t * p / (p + q)) + mixed * np.log(mixed / (p + q)), x)


def arimoto(mu, alpha):
  x, p, q = line(mu)
  return alpha / (alpha - 1) * (2 - integrate.trapezoid((p**alpha + q**alpha) ** (1 / alpha), x))


def coding(mu, fake=0.0, real=1.0, target=1.0):
  return 0.5 * (real - fake) ** 2 * overlap(mu)


def f_divergence(name, mu, options):
  m, alpha = mu**2, options.get("alpha", 0)
  if name == "weighted_jensen_shannon":
    (x, p, q), pi = line(mu), options["pi"]
    mixed = pi * p + (1 - pi) * q
    return integrate.trapezoid(pi * p * np.log(p / mixed) + (1 - pi) * q * np.log(q / mixed), x)
  if name in ("alpha_above_one", "alpha_below_one"):
    return np.expm1(alpha * (alpha - 1) * m / 2) / (alpha * (alpha - 1))
  return {
    "kl": m / 2,
    "reverse_kl": m / 2,
    "pearson": np.expm1(m),
    "neyman": np.expm1(m),
    "squared_hellinger": -2 * np.expm1(-m / 8),
    "jeffreys": m,
    "jensen_shannon": 2 * jsd(mu),
    "gan": 2 * jsd(mu) - np.log(4),
    "total_variation": tv(mu),
  }[name]


# The least value of the discriminator's loss, where it is known; that the card's optimum is one, every loss is asked in
# `known_losses.check_optimum`.
CLOSED = {
  "minimax": lambda mu: np.log(4) - 2 * jsd(mu),
  "non_saturating": lambda mu: np.log(4) - 2 * jsd(mu),
  "non_saturating_smoothed": lambda mu, real_target: smoothed(mu, real_target),
  "least_squares": coding,
  "least_squares_probabilities": lambda mu: overlap(mu) / 2,
  "hinge": lambda mu: 2 * (1 - tv(mu)),
  "energy_margin": lambda mu, margin: margin * (1 - tv(mu)),
  "alpha_loss": lambda mu, alpha: arimoto(mu, alpha),
  "alpha_loss_dual": lambda mu, discriminator_alpha, generator_alpha: arimoto(mu, discriminator_alpha),
  "alpha_loss_dual_non_saturating": lambda mu, discriminator_alpha, generator_alpha: arimoto(mu, discriminator_alpha),
}
SEPARABLE = sorted({*CLOSED, *(name for name in LOSSES if name.startswith("f_gan_"))})


def closed_form(name, mu, options):
  if name.startswith("f_gan_"):
    return -f_divergence(name.removeprefix("f_gan_").removesuffix("_practical"), mu, options)
  return CLOSED[name](mu, **options)


@pytest.mark.parametrize("name", SEPARABLE)
def test_gaussians(name, x64):
  for given in ({}, dict(KNOWN[name].other)):
    options = {**losses.default_options(name), **given}
    for mu in MUS:
      reached, generator = values_at_optimum(name, mu, given)
      assert reached == pytest.approx(closed_form(name, mu, options), abs=1e-7), (mu, options)
      if CARDS[name].zero_sum:  # then G is minus D's term in the fakes: what is left is D's term in the reals
        x, p, _ = line(mu)
        v = CARDS[name].optimal_logit_at(jnp.asarray(mu**2 / 2 - mu * x), **options)
        loss, zero = losses.get(name, **given), jnp.zeros(x.size)
        reals = expectation(p, loss.discriminator(v, zero), x) + float(loss.generator(zero[:1], zero[:1])[0])
        assert reached + generator == pytest.approx(reals, abs=1e-7)


# Ground truth 3.1 at mu = 1: (D loss, G loss).
AT_ONE = {
  "minimax": (1.163451396750, -0.581725698375),
  "non_saturating": (1.163451396750, 1.081725698375),
  "least_squares": (0.198986433592, 0.201520349613),
  "least_squares_probabilities": (0.198986433592, 0.201520349613),
  "hinge": (1.234150154904, 0.382924922548),
  "f_gan_gan": (1.163451396750, -0.581725698375),
  "f_gan_gan_practical": (1.163451396750, 1.081725698375),
}


@pytest.mark.parametrize("name", AT_ONE)
def test_published_values_at_mu_one(name, x64):
  assert values_at_optimum(name, 1.0, {}) == pytest.approx(AT_ONE[name], abs=3e-8)


def test_least_squares_in_the_other_coding(x64):
  reached = values_at_optimum("least_squares", 1.0, {"fake": -1.0, "real": 1.0, "target": 0.0})
  assert reached == pytest.approx((0.795945734367, 0.102027132817), abs=1e-9)


@pytest.mark.parametrize("mu", MUS)
def test_wasserstein_with_the_lipschitz_potential(mu, x64):
  """p and q differ by a shift: the potential is -x, and the D loss minus the distance."""
  x, p, q = line(mu)
  v, zero, loss = jnp.asarray(-x), jnp.zeros(x.size), losses.get("wasserstein")
  reached = expectation(p, loss.discriminator(v, zero), x) + expectation(q, loss.discriminator(zero, v), x)
  assert reached == pytest.approx(-mu, abs=1e-9)


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("name", ["relativistic", "relativistic_zero_sum"])
def test_relativistic_on_gaussians(name, mu, x64):
  """At log p/q the difference r - f is mu t with t ~ N(mu, 2): log 2 - JS(p x q, q x p)."""
  t = np.linspace(mu - 20, mu + 20, 20001)
  density = np.exp(-0.25 * (t - mu) ** 2) / np.sqrt(4 * np.pi)
  loss, zero, u = losses.get(name), jnp.zeros(t.size), jnp.asarray(mu * t)
  reached = integrate.trapezoid(density * np.asarray(loss.discriminator(u, zero)), t)
  # The value from its definition, over the plane of pairs.
  x = np.linspace(-10, 10 + mu, 1201)
  p, q = (np.exp(-0.5 * (x - m) ** 2) / np.sqrt(2 * np.pi) for m in (0.0, mu))
  pq, qp = np.outer(p, q), np.outer(q, p)
  js = 0.5 * np.sum(pq * np.log(2 * pq / (pq + qp)) + qp * np.log(2 * qp / (pq + qp))) * (x[1] - x[0]) ** 2
  assert reached == pytest.approx(np.log(2) - js, abs=1e-8)
  generator = integrate.trapezoid(density * np.asarray(loss.generator(u, zero)), t)
  assert generator == pytest.approx(reached + mu**2 if name == "relativistic" else -reached, abs=1e-8)
  if mu == 1.0:
    assert reached == pytest.approx(0.491801708975, abs=1e-9)


def population(name, logits):
  """The mean D loss over the population, for the logits of the two atoms."""
  return jnp.mean(losses.get(name).discriminator(logits[REAL_ATOM], logits[FAKE_ATOM]))


def ra_logistic():
  def cost(a):  # reals (a, 0), fakes (a, 0) by weight, their means a P1 and a Q1
    real = P1 * np.log1p(np.exp(-(a - a * Q1))) + (1 - P1) * np.log1p(np.exp(a * Q1))
    return real + Q1 * np.log1p(np.exp(a - a * P1)) + (1 - Q1) * np.log1p(np.exp(-a * P1))

  return optimize.minimize_scalar(cost, bounds=(0, 20), method="bounded", options={"xatol": 1e-12}).fun


def ra_hinge():
  def cost(a):
    real = P1 * max(0, 1 - (a - a * Q1)) + (1 - P1) * max(0, 1 + a * Q1)
    return real + Q1 * max(0, 1 + a - a * P1) + (1 - Q1) * max(0, 1 - a * P1)

  return min(cost(a) for a in (0, 1 / (1 - Q1), 1 / P1, 1.0))  # piecewise linear: least at a kink


DELTA = P1 - Q1
VARIANCE = P1 * (1 - P1) + Q1 * (1 - Q1)
FLIPPED = P1 * (1 - Q1), (1 - P1) * Q1  # P(real on the first atom, fake on the second), and the reverse
PAIR_JS = sum(a * np.log(a / (a + b)) for a, b in (FLIPPED, FLIPPED[::-1])) / -1 + (1 - sum(FLIPPED)) * np.log(2)
TWO_ATOMS = {
  "relativistic": PAIR_JS,
  "relativistic_zero_sum": PAIR_JS,
  "relativistic_all_pairs": PAIR_JS,
  # min over a of 0.5 (V a^2 + (a delta - 1)^2), and of 0.5 V a^2 + (a delta - 1)^2
  "relativistic_least_squares": 0.5 * VARIANCE / (VARIANCE + DELTA**2),
  "relativistic_least_squares_zero_sum": 0.5 * VARIANCE / (VARIANCE + DELTA**2),
  "relativistic_average_least_squares": VARIANCE / (VARIANCE + 2 * DELTA**2),
  "relativistic_hinge": 1 - DELTA,
  "relativistic_hinge_zero_sum": 1 - DELTA,
  "relativistic_average": ra_logistic(),
  "relativistic_average_hinge": ra_hinge(),
  # Bhattacharyya's integral, beta = gamma = 1/2
  "cumulant": 4 * np.log(np.sqrt(P1 * Q1) + np.sqrt((1 - P1) * (1 - Q1))),
  "minimax": -sum(w * np.log(w / (w + o)) for w, o in ((P1, Q1), (Q1, P1), (1 - P1, 1 - Q1), (1 - Q1, 1 - P1))),
  "least_squares": 0.5 * (P1 * Q1 / (P1 + Q1) + (1 - P1) * (1 - Q1) / (2 - P1 - Q1)),
  "hinge": 2 * (1 - DELTA),
  "f_gan_kl": -(P1 * np.log(P1 / Q1) + (1 - P1) * np.log((1 - P1) / (1 - Q1))),
  "f_gan_reverse_kl": -(Q1 * np.log(Q1 / P1) + (1 - Q1) * np.log((1 - Q1) / (1 - P1))),
  "f_gan_pearson": -(DELTA**2 / Q1 + DELTA**2 / (1 - Q1)),
}


@pytest.mark.parametrize("name", TWO_ATOMS)
def test_two_atoms(name, x64):
  """Newton on the two logits where the loss is smooth; where it has kinks, a linear program's corner by search."""
  objective = jax.jit(lambda logits: population(name, logits))
  if "hinge" in name:
    corners = np.arange(-3, 3.01, 1 / 6)  # every kink of these three lies on this grid
    others = (-1.0, 0.0, 1.0) if name == "hinge" else (0.0,)
    best = min(float(objective(jnp.asarray([a, b]))) for a in corners for b in others)
  else:
    gradient, curvature = jax.jit(jax.grad(objective)), jax.jit(jax.hessian(objective))
    logits = jnp.zeros(2)
    for _ in range(60):
      # The pseudo-inverse: a shift of both logits changes nothing in a relativistic loss.
      logits = logits - 0.7 * jnp.linalg.pinv(curvature(logits), rtol=1e-10, hermitian=True) @ gradient(logits)
    assert float(jnp.max(jnp.abs(gradient(logits)))) < 1e-12
    best = float(objective(logits))
  assert best == pytest.approx(TWO_ATOMS[name], abs=1e-9)


# Arjovsky and Bottou: the generator's gradient at the optimal discriminator, through x = mu + z.


def generator_gradient(name, mu):
  """d/dmu of E_z G(v(mu + z)) with the discriminator v frozen at its optimum for this mu."""
  x, _, q = line(mu)
  logit = jnp.asarray(mu**2 / 2 - mu * x)
  slope = jax.grad(lambda f: jnp.sum(losses.get(name).generator(jnp.zeros_like(f), f)))(logit)
  return integrate.trapezoid(q * np.asarray(slope) * -mu, x)  # dv/dx = -mu


@pytest.mark.parametrize("mu", [*MUS, 4.0])
def test_arjovsky_and_bottou(mu, x64):
  saturating, non_saturating = generator_gradient("minimax", mu), generator_gradient("non_saturating", mu)
  assert saturating + non_saturating == pytest.approx(mu, abs=1e-9)  # d KL / d mu
  assert saturating == pytest.approx(mu * overlap(mu), abs=1e-9)
  h = 1e-4
  descent = [(m**2 / 2) - 2 * jsd(m) for m in (mu + h, mu - h)]
  assert non_saturating == pytest.approx((descent[0] - descent[1]) / (2 * h), abs=1e-6)  # theorem 2.5
  assert saturating == pytest.approx(2 * (jsd(mu + h) - jsd(mu - h)) / (2 * h), abs=1e-6)
  if mu == 1.0:
    assert (saturating, non_saturating) == pytest.approx((0.39797286718, 0.60202713282), abs=1e-10)


@pytest.mark.parametrize("level", [-2.5, -5.0, -9.0])
def test_a_sure_discriminator_bounds_the_saturating_gradient(level, x64):
  """Theorem 2.4: |d/dtheta E log(1 - D(g))| <= M e / (1 - e), where D and its slope are below e on the fakes.

  M^2 = E |dg/dtheta|^2.
  """
  rng = np.random.default_rng(0)
  z, w, theta = (jnp.asarray(rng.normal(size=shape)) for shape in ((64, 2), (3, 4), (2, 3)))
  generate = lambda t: jnp.tanh(z @ t)  # noqa: E731
  judge = lambda x: level + 0.4 * jnp.tanh(x @ w).sum(1)  # noqa: E731
  loss = lambda t: losses.get("minimax").generator(jnp.zeros(64), judge(generate(t))).mean()  # noqa: E731
  gradient = float(jnp.linalg.norm(jax.grad(loss)(theta)))
  fakes = generate(theta)
  probability = jax.nn.sigmoid(judge(fakes))
  slopes = jnp.linalg.norm(jax.grad(lambda x: jax.nn.sigmoid(judge(x)).sum())(fakes), axis=1)
  e = float(jnp.maximum(probability.max(), slopes.max()))
  assert e < 0.5
  m = float(jnp.sqrt(jnp.square(jax.jacobian(generate)(theta)).sum() / 64))
  assert 0 < gradient <= m * e / (1 - e)


def test_disjoint_supports_starve_the_saturating_generator_only(x64):
  """Logits +-20, as a discriminator on disjoint supports reaches: its loss is 0, and one generator still moves."""
  real, fake = jnp.full(3, 20.0), jnp.full(3, -20.0)
  slopes = {name: float(CARDS[name].slope_at(real, fake)[0]) for name in ("minimax", "non_saturating", "relativistic")}
  assert float(losses.get("minimax").discriminator(real, fake)[0]) < 1e-8
  assert -1e-8 < slopes["minimax"] < 0
  assert slopes["non_saturating"] == pytest.approx(-1, abs=1e-8)
  assert slopes["relativistic"] == pytest.approx(-1, abs=1e-8)
