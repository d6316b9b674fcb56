"""The production step held to the local theory of GANs: ground truth, sections 1 (Dirac-GAN) and 7 (bilinear games).

With the Wasserstein loss the Dirac-GAN is the bilinear game theta * psi, so `a` of section 7 is the learning rate. Our logit
means "real" where those papers' means "fake": psi has the other sign, eigenvalues are the same.
"""

import numpy as np
import pytest

from tests.support.theory import hypers_of, play, roots, same

pytestmark = pytest.mark.usefixtures("x64")

SLOPES = {  # |f'(0)| of the game at its equilibrium
  "minimax": 0.5,
  "non_saturating": 0.5,
  "wasserstein": 1.0,
  "hinge": 1.0,
  "relativistic": 0.5,
  "relativistic_average": 1.0,
}
NAMES = tuple(SLOPES)
FIELD = {"order": "simultaneous", "losses": NAMES}  # plain descent at one point: the step is I + rate * J, exactly
RATES = [0.1, 0.3, 0.5]


def at_rate(rate, names=NAMES, **fields):
  return hypers_of(names, generator_rate=rate, discriminator_rate=rate, **fields)


# Section 1a: eigenvalues of the vector field at the equilibrium.


@pytest.mark.parametrize("name", SLOPES)
def test_unregularised_losses_rotate(name):
  same(np.linalg.eigvals(play(**FIELD).players(at_rate(0.2, loss=name))), [1j * SLOPES[name], -1j * SLOPES[name]])


# Penalties whose curvature in psi is a constant, over the weight; all in one program, each with a weight of its own.
CURVED = {
  "r1": 1,
  "r2": 1,
  "r1_full": 2,
  "r2_full": 2,
  "r1_r2": 2,
  "r1_r2_full": 4,
  "gradient_penalty_zero_centred": 2,
  "max_gradient": 2,
  "weight_decay": 1,
}


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("gamma", [0.3, 0.9, 2.5])
@pytest.mark.parametrize("chosen", [*[(penalty,) for penalty in CURVED], ("r1", "r2"), ("r2_full", "weight_decay")])
def test_gradient_penalties_pull_it_to_a_point(name, gamma, chosen):
  """-g/2 +- sqrt(g^2 / 4 - f'^2), g the sum of weight times curvature."""
  weights = {penalty: gamma / (i + 1) for i, penalty in enumerate(chosen)}
  h = at_rate(0.2, loss=name, penalty_weight=tuple(weights.get(penalty, 0.0) for penalty in CURVED))
  field = play(**FIELD, penalty="+".join(CURVED)).players(h)
  g = sum(weight * CURVED[penalty] for penalty, weight in weights.items())
  same(np.linalg.eigvals(field), roots(-g / 2, g**2 / 4 - SLOPES[name] ** 2))


@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ({"fake": -1.0, "real": 1.0, "target": 1.0}, [1j, -1j]),
    ({"fake": -1.0, "real": 1.0, "target": 0.0}, [0, 0]),
    ({"fake": 0.0, "real": 1.0, "target": 1.0}, [0, 0]),  # nilpotent: ground truth 0.16
  ],
)
def test_least_squares_depends_on_its_coding(options, expected):
  names = ("least_squares",)
  field = play(losses=names, order="simultaneous").players(at_rate(0.2, names, options=options))
  same(np.linalg.eigvals(field), expected, 1e-7)
  assert np.abs(field).max() > 0.5


@pytest.mark.parametrize(
  ("name", "level", "expected"),
  [("least_squares", 0.5, [0.5j, -0.5j, -2]), ("non_saturating", 0.0, [0.5j, -0.5j, -0.5])],
)
def test_a_bias_adds_an_eigenvalue(name, level, expected):
  field = play(bias=True, losses=(name,), order="simultaneous").players(at_rate(0.2, (name,)), psi=(0.0, level))
  same(np.linalg.eigvals(field), expected)


@pytest.mark.parametrize("sigma", [0.7, 1.2, 1.8])
@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_instance_noise_damps(name, sigma):
  """f''(0) s^2 +- sqrt(f''(0)^2 s^4 - f'(0)^2), in expectation over the noise: 200,000 draws, 1 % of it."""
  game = play(losses=("minimax", "non_saturating"), order="simultaneous", instance_noise=True, batch_size=200_000)
  h = at_rate(0.2, ("minimax", "non_saturating"), loss=name, instance_noise_scale=sigma)
  same(np.linalg.eigvals(game.players(h)), roots(-(sigma**2) / 4, sigma**4 / 16 - 0.25), 0.02 * sigma**2)


@pytest.mark.parametrize("method", ["consensus", "symplectic"])
@pytest.mark.parametrize("name", ["minimax", "non_saturating", "wasserstein"])
@pytest.mark.parametrize("gamma", [0.3, 1.5])
def test_consensus_and_symplectic_adjustment(method, name, gamma):
  """-gamma f'^2 +- i f'; where the Jacobian is antisymmetric, as here, both corrections are one."""
  game = play(order="simultaneous", method=method, losses=(name,))
  f = SLOPES[name]
  same(
    np.linalg.eigvals(game.players(at_rate(0.2, (name,), method_options={"weight": gamma}))),
    [-gamma * f**2 + s * 1j * f for s in (1, -1)],
  )


def test_consensus_and_symplectic_adjustment_are_two_methods():
  """With R1 the Jacobian J has a symmetric part S: consensus adds -w J^T J, the adjustment -w A^T J."""
  fields = {"order": "simultaneous", "losses": ("wasserstein",), "penalty": "r1"}
  h = at_rate(0.2, ("wasserstein",), penalty_weight=0.8, method_options={"weight": 0.3})
  j = -play(**fields).players(h)  # of the gradients
  antisymmetric = (j - j.T) / 2
  np.testing.assert_allclose(play(**fields, method="consensus").players(h), -(j + 0.3 * j.T @ j), atol=1e-12)
  np.testing.assert_allclose(
    play(**fields, method="symplectic").players(h), -(j + 0.3 * antisymmetric.T @ j), atol=1e-12
  )


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("name", ["minimax", "wasserstein"])
@pytest.mark.parametrize("eta", [0.05, 0.3])
@pytest.mark.parametrize(("gradient", "factor"), [("through", 2), ("stopped", 1)])
def test_unrolling(steps, name, eta, gradient, factor):
  """J = [[-2 k eta f'^2, f'], [-f', 0]]; with the gradient stopped, exactly half of the first entry."""
  # Through the unroll a loss must not be a choice; with the gradient stopped one program has both.
  losses = (name,) if gradient == "through" else ("minimax", "wasserstein")
  game = play(order="simultaneous", losses=losses, unroll_steps=steps, unroll_gradient=gradient)
  f = SLOPES[name]
  expected = [[-factor * steps * eta * f**2, f], [-f, 0]]
  h = at_rate(0.2, losses, loss=name, unroll_rate=eta)
  np.testing.assert_allclose(game.players(h), expected, atol=1e-12)


# Section 1b: discrete time.


@pytest.mark.parametrize("rates", [(0.1, 0.4), (0.7, 0.05), (1.5, 1.1)])
@pytest.mark.parametrize("name", SLOPES)
def test_two_time_scales_enter_where_they_should(name, rates):
  """Radius sqrt(1 + h_G h_D f'^2) of simultaneous descent."""
  h = hypers_of(NAMES, loss=name, generator_rate=rates[0], discriminator_rate=rates[1])
  radius = np.sqrt(1 + rates[0] * rates[1] * SLOPES[name] ** 2)
  assert np.sort(np.abs(play(**FIELD).eigenvalues(h)))[-2:] == pytest.approx([radius, radius], abs=1e-12)


@pytest.mark.parametrize(
  ("order", "n_gen", "n_critic"),
  [("discriminator_first", 1, 1), ("generator_first", 1, 1), ("discriminator_first", 2, 3), ("generator_first", 1, 5)],
)
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7, 1.9])
@pytest.mark.parametrize("name", ["non_saturating", "hinge"])
def test_alternating_descent_stays_on_the_unit_circle(order, n_gen, n_critic, name, rate):
  """lambda = 1 - a^2/2 +- sqrt((1 - a^2/2)^2 - 1), a = sqrt(n_g n_d) h f'(0), whoever moves first: up to a = 2."""
  names = ("non_saturating", "hinge")
  game = play(order=order, losses=names, n_gen=n_gen, n_critic=n_critic)
  found = np.linalg.eigvals(game.players(at_rate(rate, names, loss=name)) * rate + np.eye(2))
  a = np.sqrt(n_gen * n_critic) * rate * SLOPES[name]
  same(found, roots(1 - a**2 / 2, (1 - a**2 / 2) ** 2 - 1))
  assert (np.abs(found).max() > 1 + 1e-9) == (a > 2)


@pytest.mark.parametrize("gamma", [0.3, 0.8, 1.0, 2.5])
@pytest.mark.parametrize("rate", [0.2, 1.2])
def test_r1_in_discrete_time(gamma, rate):
  """Simultaneous: 1 + h lambda. Alternating: determinant 1 - h gamma, whoever moves first."""
  h = at_rate(rate, loss="minimax", penalty_weight=gamma)
  found = play(**FIELD, penalty="r1").players(h) * rate + np.eye(2)
  # At gamma = 1 they are one, and move with the square root of rounding.
  same(np.linalg.eigvals(found), [1 + rate * x for x in roots(-gamma / 2, gamma**2 / 4 - 0.25)], 1e-7)
  if gamma == 0.3 and rate == 1.2:
    assert np.abs(np.linalg.eigvals(found)) == pytest.approx([1, 1])
  for order in ("discriminator_first", "generator_first"):
    alternating = play(order=order, losses=NAMES, penalty="r1").players(h) * rate + np.eye(2)
    assert np.linalg.det(alternating) == pytest.approx(1 - rate * gamma, abs=1e-12)
    if gamma < 1 - rate / 4:
      assert np.abs(np.linalg.eigvals(alternating)) == pytest.approx([np.sqrt(1 - rate * gamma)] * 2)


@pytest.mark.parametrize("rate", [0.2, 1.2])
def test_r1_with_alternating_updates_is_fastest_at_a_double_root(rate):
  """At gamma = 1 - h/4 both eigenvalues are 1 - h/2; rounding moves them by its square root."""
  h = at_rate(rate, loss="minimax", penalty_weight=1 - rate / 4)
  found = play(order="generator_first", losses=NAMES, penalty="r1").players(h) * rate + np.eye(2)
  same(np.linalg.eigvals(found), [1 - rate / 2] * 2, 1e-6)


def logistic(t):
  return 1 / (1 + np.exp(-t))


ZERO_SUM = {  # the slope of the game at the fake logit t, the real one at 0
  "minimax": logistic,
  "wasserstein": np.ones_like,
  "relativistic_zero_sum": logistic,
  "f_gan_kl": lambda t: np.exp(t - 1),
  "f_gan_squared_hellinger": np.exp,
  "f_gan_total_variation": lambda t: 0.5 / np.cosh(t) ** 2,
}


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.7])
@pytest.mark.parametrize("name", ZERO_SUM)
def test_simultaneous_descent_grows_by_a_known_factor_at_every_step(name, rate):
  """|x|^2 grows by 1 + h^2 f'(theta psi)^2 in every zero-sum game, for 500 steps or until it is far away."""
  names = tuple(ZERO_SUM)
  path = play(order="simultaneous", losses=names).path(at_rate(rate, names, loss=name))
  squares = (path**2).sum(1)
  near = np.nonzero((squares[:-1] < 40) & (np.abs(path[:-1].prod(1)) < 12))[0]
  assert len(near) >= 5
  slope = ZERO_SUM[name](path[near].prod(1))
  np.testing.assert_allclose(squares[near + 1], squares[near] * (1 + (rate * slope) ** 2), rtol=1e-12)


def test_consensus_away_from_the_equilibrium():
  """d/dtheta and d/dpsi of |v|^2 / 2, where a well-known code has half of a term (ground truth 0.4); psi of other sign."""
  h, gamma = 0.2, 1.0
  game = play(order="simultaneous", method="consensus", losses=("minimax",))
  hypers = at_rate(h, ("minimax",), method_options={"weight": gamma})
  theta, psi = game.path(hypers, (1.3, -0.7), steps=2)[1]
  slope = logistic(-0.91)
  assert theta == pytest.approx(1.3 + h * (-0.7 * slope - gamma * 0.0174590578), abs=1e-10)
  pull = slope**2 * 0.7 - slope * slope * (1 - slope) * 1.3 * (1.3**2 + 0.7**2)
  assert -psi == pytest.approx(0.7 + h * (1.3 * slope - gamma * pull), abs=1e-12)
  assert np.hypot(*game.path(hypers, (1.0, -1.0), steps=11)[10]) == pytest.approx(1.50512, abs=5e-6)


@pytest.mark.parametrize("rate", [0.2, 0.9, 1.7])
@pytest.mark.parametrize(("order", "sign"), [("generator_first", -1), ("discriminator_first", 1)])
def test_alternating_descent_keeps_its_invariant(order, sign, rate):
  """theta^2 + psi^2 + h theta psi if the generator moves first, - if the discriminator does; drift: rounding."""
  theta, psi = play(order=order, losses=NAMES).path(at_rate(rate, loss="wasserstein"), steps=5000).T
  assert np.ptp(theta**2 + psi**2 - sign * rate * theta * psi) < 1e-11
  assert (np.hypot(theta, psi) > 0.99 * np.sqrt((2 - sign * rate) / (1 + rate / 2))).all()


@pytest.mark.parametrize(
  ("order", "clip", "low", "high"),
  [
    ("simultaneous", 1.0, 1.0, 1.2721),
    ("generator_first", 1.0, 0.9487, 1.0488),
    ("simultaneous", 0.3, 0.3, 0.3817),
    ("generator_first", 0.3, 0.2846, 0.3146),
  ],
)
def test_weight_clipping_never_converges(order, clip, low, high):
  game = play(order=order, losses=NAMES, weight_constraint="clip")
  path = game.path(
    at_rate(0.2, loss="wasserstein", weight_constraint_options={"bound": clip}), (1.0, -clip), steps=5000
  )
  radius = np.hypot(*path[-1000:].T)
  assert (radius.min(), radius.max()) == pytest.approx((low, high), abs=2e-4)


@pytest.mark.parametrize(
  ("order", "n_critic", "low", "high"),
  [("simultaneous", 1, 1.620, 1.965), ("generator_first", 1, 1.138, 1.438), ("generator_first", 5, 0.675, 1.504)],
)
def test_a_gradient_penalty_around_one_never_converges(order, n_critic, low, high):
  """The notebook's reg = 0.7 is on the slope of (|psi| - 1)^2 / 2, ours on the square itself."""
  game = play(order=order, losses=NAMES, n_critic=n_critic, penalty="gradient_penalty")
  path = game.path(at_rate(0.2, loss="wasserstein", penalty_weight=0.35), (1.0, -1.0), steps=5000)
  radius = np.hypot(*path[-1000:].T)
  assert (radius.min(), radius.max()) == pytest.approx((low, high), abs=2e-3)


# Section 7: spectral radii on the bilinear game.


def radius(h, **static):
  """Of everything that the step carries, less what forgets at once."""
  return np.abs(play(losses=("wasserstein",), **static).eigenvalues(h)).max()


@pytest.mark.parametrize("a", [*RATES, 1.0, 1.3])
def test_radii_of_descent_and_extragradient(a):
  h = at_rate(a, ("wasserstein",))
  assert radius(h, order="simultaneous") == pytest.approx(np.sqrt(1 + a**2), abs=1e-10)
  assert radius(h, order="simultaneous", method="extragradient") == pytest.approx(np.sqrt(1 - a**2 + a**4), abs=1e-10)


@pytest.mark.parametrize("order", ["generator_first", "discriminator_first"])
@pytest.mark.parametrize("a", [*RATES, 1.0, 1.9, 2.1, 2.7])
def test_radius_of_alternating_descent(a, order):
  """1 up to a = 2; beyond, the larger of 1 - a^2/2 +- sqrt((1 - a^2/2)^2 - 1)."""
  middle = a**2 / 2 - 1
  found = radius(at_rate(a, ("wasserstein",)), order=order)
  assert found == pytest.approx(1 if a <= 2 else middle + np.sqrt(middle**2 - 1), abs=1e-10)
  if a == 2.1:
    assert found == pytest.approx(1.87732804, abs=1e-8)


@pytest.mark.parametrize("a", [0.1, 0.4, 0.8])
@pytest.mark.parametrize(("order", "power"), [("simultaneous", 0), ("generator_first", 1), ("discriminator_first", 1)])
def test_radius_of_optimistic_descent_in_every_order(a, order, power):
  """Roots of l^2 (l - 1)^2 + a^2 l^p (2 l - 1)^2, p = 0 for simultaneous and 1 for alternating updates."""
  turns = a**2 * np.polymul(np.polymul([2, -1], [2, -1]), [1, 0] if power else [1])
  expected = np.abs(np.roots(np.polyadd(np.poly([0, 0, 1, 1]), turns))).max()
  found = radius(at_rate(a, ("wasserstein",)), order=order, optimizer="optimistic_sgd")
  assert found == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
  ("a", "expected"), [(0.1, 0.9949361530), (0.3, 0.9486832981), (0.5, 0.7071067812), (0.57, None), (0.6, None)]
)
def test_radius_of_optimistic_descent(a, expected):
  found = radius(at_rate(a, ("wasserstein",)), order="simultaneous", optimizer="optimistic_sgd")
  # The double root at a = 1/2 moves with the square root of rounding.
  if a <= 0.5:
    assert found == pytest.approx(np.sqrt((1 + np.sqrt(1 - 4 * a**2)) / 2), abs=1e-7)
    assert found == pytest.approx(expected, abs=1e-7)
  else:
    assert found == pytest.approx(np.sqrt(0.25 + (2 * a + np.sqrt(4 * a**2 - 1)) ** 2 / 4), abs=1e-9)
    assert (found < 1) == (a < 1 / np.sqrt(3))


@pytest.mark.parametrize("a", RATES)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("method", ["consensus", "symplectic"])
def test_radius_of_consensus(a, gamma, method):
  h = at_rate(a, ("wasserstein",), method_options={"weight": gamma})
  assert radius(h, order="simultaneous", method=method) == pytest.approx(np.hypot(1 - a * gamma, a), abs=1e-10)


@pytest.mark.parametrize("a", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("beta", [-0.75, -0.5, 0.5])
@pytest.mark.parametrize(("order", "power"), [("simultaneous", 2), ("generator_first", 3), ("discriminator_first", 3)])
def test_radius_of_the_heavy_ball(a, beta, order, power):
  """Roots of (l - 1)^2 (l - beta)^2 + a^2 l^p, p = 2 for simultaneous and 3 for alternating updates."""
  polynomial = np.polymul(np.poly([1, 1]), np.poly([beta, beta]))
  polynomial[len(polynomial) - 1 - power] += a**2
  found = radius(at_rate(a, ("wasserstein",), optimizer_options={"beta1": beta}), order=order, optimizer="momentum")
  assert found == pytest.approx(np.abs(np.roots(polynomial)).max(), abs=1e-7)
  published = {0.1: 0.99851779, 0.5: 0.96254370, 1.0: 1.0}
  if beta == -0.5 and power == 3:
    assert found == pytest.approx(published[a], abs=1e-7)


@pytest.mark.parametrize(("m", "s", "eta"), [(0.5, 2.0, 0.1), (0.3, 1.0, 0.2), (0.4, 1.5, 0.45)])
def test_radii_of_a_quadratic_game(m, s, eta):
  """m/2 x^2 + s x y - m/2 y^2: weight decay on both players; rates eta s stand for s, so weights m / s."""
  h = at_rate(eta * s, ("wasserstein",), penalty_weight=m / s, generator_penalty_weight=m / s)
  both = {"penalty": "weight_decay", "generator_penalty": "weight_decay"}
  assert radius(h, order="simultaneous", **both) == pytest.approx(np.hypot(1 - eta * m, eta * s), abs=1e-10)
  assert radius(h, order="generator_first", **both) == pytest.approx(1 - eta * m, abs=1e-10)
  assert (np.hypot(1 - eta * m, eta * s) < 1) == (eta < 2 * m / (m**2 + s**2))
  if (m, s, eta) == (0.5, 2.0, 0.1):
    assert radius(h, order="simultaneous", **both) == pytest.approx(0.9708243919, abs=1e-10)


@pytest.mark.parametrize("every", [2, 5])
@pytest.mark.parametrize("pace", [0.3, 1.0])
def test_lookahead_mixes_the_k_th_power_with_the_identity(every, pace):
  """Over `every` steps the players' eigenvalues lambda become 1 - pace + pace lambda^every."""
  game = play(losses=("wasserstein",), order="simultaneous", lookahead_every=every)
  found = game.eigenvalues(at_rate(0.4, ("wasserstein",), lookahead_pace=pace), steps=every)
  for value in [1 - pace + pace * (1 + s * 0.4j) ** every for s in (1, -1)]:
    assert np.abs(found - value).min() < 1e-9
