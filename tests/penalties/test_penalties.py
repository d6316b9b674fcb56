"""Penalties in closed form, and by finite differences. Every registered one of every kind needs a row in `KNOWN`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax import penalties
from gan_jax.core.errors import BadInput
from gan_jax.models.layers import NHWC, PADDING, STRIDE, matmul_conv_general_dilated
from gan_jax.penalties import consistency, critic, logits, parameters

KEY = jax.random.key(0)
# Reals, fakes and weights of a small smooth critic.
BATCH = (
  np.array([[0.3, -0.2], [-0.5, 0.1], [1.2, 0.7]]),
  np.array([[-0.4, 0.6], [2.0, -1.5], [0.9, 1.4]]),
  np.array([1.1, -0.5, 0.8, 1.5]),
)
MATRIX = np.array([[1.0, 2.0], [0.0, 2.0], [2.0, 1.0]])  # columns of lengths sqrt 5 and 3, their product 4

# For the critic D(x) = w.x, from |w|: the value per example, its mean over noise where there is any.
LINEAR = {
  "r1": lambda w: 0.5 * w**2,
  "r1_full": lambda w: w**2,
  "r2": lambda w: 0.5 * w**2,
  "r2_full": lambda w: w**2,
  "r1_r2": lambda w: w**2,
  "r1_r2_full": lambda w: 2 * w**2,
  "gradient_penalty": lambda w: (w - 1) ** 2,
  "gradient_penalty_one_sided": lambda w: max(w - 1, 0) ** 2,
  "gradient_penalty_zero_centred": lambda w: w**2,
  "dragan": lambda w: (w - 1) ** 2,
  "max_gradient": lambda w: w**2,
  "sobolev": lambda w: (w**2 - 1) ** 2,
  "r1_finite_difference": lambda w: 0.5 * w**2,
  "r2_finite_difference": lambda w: 0.5 * w**2,
}
# From real and fake logits r, f and averages a (of reals), b (of fakes): the value, its slope in r, its slope in f.
LEVELS = {
  "lecam": lambda r, f, a, b: ((r - b) ** 2 + (f - a) ** 2, 2 * (r - b), 2 * (f - a)),
  "logit_drift": lambda r, f, a, b: (r**2, 2 * r, 0 * f),
  "fisher": lambda r, f, a, b: second_moment_penalty(r, f),
}


def second_moment_penalty(r, f):
  """Of three reals and three fakes, with the slopes of the sum of its three equal entries."""
  excess = (r @ r + f @ f) / 6 - 1
  return np.full(3, excess**2), 2 * excess * r, 2 * excess * f


# For D(x) = w.x, from what copies differ by: p = w.(T(x) - x), q = w.(T(G(z)) - G(z)), s = w.(G(z + e) - G(z)).
COPIES = {
  "bcr": lambda p, q, s: p**2 + q**2,
  "zcr": lambda p, q, s: s**2,
}
# For the one kernel `MATRIX` and the bias (3, 4).
WEIGHTS = {
  "orthogonal": 2 * 4.0**2,  # both off-diagonal entries
  "orthonormal": 2 * 4.0**2 + (5 - 1) ** 2 + (9 - 1) ** 2,
  "weight_decay": 0.5 * (5 + 9 + 25),
}
# For the generator G(z) = z W: the mean over its noise, from |W|^2.
MAPS = {"zcr_generator": lambda w: -(0.07**2) * w, "transport_cost": lambda w: None}  # without noise: it has a test

KNOWN = {
  "critic": (LINEAR, "add to LINEAR what it is for D(x) = w.x"),
  "logits": (LEVELS, "add to LEVELS its value and slopes from logits and their averages"),
  "consistency": (COPIES, "add to COPIES what it is for D(x) = w.x"),
  "parameters": (WEIGHTS, "add to WEIGHTS what it is for MATRIX and the bias (3, 4)"),
  "generator": (MAPS, "add to MAPS its mean for G(z) = z W"),
}


def of_kind(kind):
  return [name for name, penalty in penalties.PENALTIES.items() if penalty.facts.kind == kind]


def function(name):
  return penalties.get(name).function


def batch_mean(name, real, fake):
  """`weights [4] -> scalar`: the batch mean of any penalty, of a small smooth player with those weights."""
  penalty = penalties.get(name)
  player = lambda w: lambda x: jnp.tanh(x @ w.reshape(2, 2))  # noqa: E731
  judge = lambda w: lambda x: player(w)(x).sum(-1)  # noqa: E731
  means = penalties.LogitMeans(jnp.asarray(0.7), jnp.asarray(-0.4))
  moved = penalties.Moved(real, fake, real + 0.3, 1.1 * fake, lambda shift: fake - 0.2)
  return {
    "critic": lambda w: penalty.function(judge(w), real, fake, KEY).mean(),
    "logits": lambda w: penalty.function(judge(w)(real), judge(w)(fake), means).mean(),
    "consistency": lambda w: penalty.function(judge(w), moved).mean(),
    "parameters": lambda w: penalty.function({"kernel": w.reshape(2, 2), "bias": w[:2]}),
    "generator": lambda w: penalty.function(player(w), real, KEY).mean(),
  }[penalty.kind]


def test_every_penalty_has_known_values():
  for name, penalty in penalties.PENALTIES.items():
    table, todo = KNOWN[penalty.facts.kind]
    assert name in table, f"penalty {name!r} of kind {penalty.facts.kind!r} has no known value: {todo}"


# The kind `critic`.


@pytest.mark.parametrize("name", of_kind("critic"))
@pytest.mark.parametrize("norm", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("batch", [1, 3])
def test_closed_form_of_a_linear_critic(name, norm, batch):
  """Slopes below and above 1, for any batch size: catches a lost half, a side, a centre, and 1/B errors."""
  direction = jnp.array([2.0, -1.0, 2.0]) / 3
  real, fake = jnp.tile(direction, (batch, 1)), jnp.tile(5 * direction, (batch, 1))
  judge = lambda x: x @ (norm * direction)  # noqa: E731
  if "finite_difference" in name:
    keys = jax.random.split(KEY, 4000)
    values = jax.vmap(lambda key: function(name)(judge, real, fake, key))(keys)
    # A chi-squared of one degree: standard error sqrt(2 / N) of the mean.
    np.testing.assert_allclose(values.mean(0), np.full(batch, LINEAR[name](norm)), rtol=5 * (2 / 4000) ** 0.5)
  else:
    found = function(name)(judge, real, fake, KEY)
    np.testing.assert_allclose(found, np.full(batch, LINEAR[name](norm)), rtol=1e-5, atol=1e-6)


def test_r1_is_per_example_over_all_axes():
  """D(x) = |x|^2 / 2 has slope x: unequal norms, images of any rank."""
  real = jax.random.normal(KEY, (5, 4, 3, 2)) * jnp.arange(5.0).reshape(5, 1, 1, 1)
  values = critic.r1(lambda x: 0.5 * jnp.sum(x**2, axis=(1, 2, 3)), real, real, KEY)
  np.testing.assert_allclose(values, 0.5 * np.sum(np.asarray(real) ** 2, axis=(1, 2, 3)), rtol=1e-5)
  assert values[0] == 0


def test_which_side_is_looked_at():
  """D(x) = |x|^2 / 2: |x|^2 is 1 on reals and 400 on fakes."""
  real, fake = jnp.ones((2, 1)), 20 * jnp.ones((2, 1))
  sides = {"r1": 0.5, "r1_full": 1, "r2": 200, "r2_full": 400, "r1_r2": 200.5, "r1_r2_full": 401}
  for name, value in sides.items():
    found = function(name)(lambda x: 0.5 * (x**2).sum(1), real, fake, KEY)
    np.testing.assert_allclose(found, np.full(2, value), rtol=1e-6)


@pytest.mark.parametrize(("name", "side"), [("r1_finite_difference", 0), ("r2_finite_difference", 1)])
def test_finite_differences_tend_to_the_exact_penalty(name, side):
  """Their mean over directions, for a curved critic, a side each; and at x = 0 of D(x) = |x|^2 / 2 the bias, 3 s^2 / 8."""
  sides = jnp.array([[[0.4, -1.0]], [[1.5, 0.2]]])
  keys = jax.random.split(KEY, 40_000)

  def mean(judge, real, fake):
    return jax.jit(jax.vmap(lambda key: function(name)(judge, real, fake, key)))(keys).mean()

  curved = lambda x: jnp.sin(x).sum(1) + x[:, 0] * x[:, 1]  # noqa: E731
  exact = critic.r1(curved, sides[side], sides[side], KEY)[0]
  other = critic.r1(curved, sides[1 - side], sides[side], KEY)[0]
  assert abs(other / exact - 1) > 0.2
  assert float(mean(curved, *sides)) == pytest.approx(float(exact), rel=5 * (2 / 40_000) ** 0.5)
  bias = mean(lambda x: 0.5 * x[:, 0] ** 2, jnp.zeros((1, 2)), jnp.zeros((1, 2)))
  assert float(bias) == pytest.approx(3 / 8 * 0.01**2, rel=0.1)  # E e^8 = 105: a standard error of 1.6 %


def test_tf_gan_unit_test():
  """D(x) = sum of 2x over 4 entries: (sqrt(16) - 1)^2 = 9 (ground truth 3.4)."""
  x = jax.random.normal(KEY, (5, 4))
  found = critic.gradient_penalty(lambda y: (2 * y).sum(1), x, -x, KEY)
  np.testing.assert_allclose(found, np.full(5, 9.0), rtol=1e-6)


def test_interpolates_have_one_coefficient_per_example():
  real = jnp.full((50, 2, 3, 1), 2.0)
  fake = real + jnp.broadcast_to(jnp.arange(1.0, 7).reshape(1, 2, 3, 1), (50, 2, 3, 1))
  between = critic.interpolate(real, fake, KEY)
  coefficients = np.asarray((between - real) / (fake - real)).reshape(50, 6)
  np.testing.assert_allclose(coefficients, np.tile(coefficients[:, :1], (1, 6)), rtol=1e-5, atol=1e-6)
  assert len(np.unique(coefficients[:, 0])) == 50
  assert 0 <= coefficients.min() < 0.1 < 0.9 < coefficients.max() <= 1


def test_gradient_penalties_look_between_reals_and_fakes():
  """D(x) = x^2 / 2 has slope x, on interpolates from 2 to 10."""
  real, fake = jnp.full((20, 1), 2.0), jnp.full((20, 1), 10.0)
  x = np.asarray(critic.interpolate(real, fake, KEY))[:, 0]
  assert 2 <= x.min() < 4 < 8 < x.max() <= 10
  known = {
    "gradient_penalty": (x - 1) ** 2,
    "gradient_penalty_one_sided": (x - 1) ** 2,
    "gradient_penalty_zero_centred": x**2,
    "max_gradient": np.full(20, x.max() ** 2),
  }
  for name, expected in known.items():
    found = function(name)(lambda x: 0.5 * (x**2).sum(1), real, fake, KEY)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_dragan_stays_near_the_data():
  """D(x) = |x|^2 / 2 has slope x: its norm tells where the penalty looked, at most half a deviation from the data."""
  real = 40 + 3 * jax.random.normal(KEY, (200, 1))
  looked = 1 + jnp.sqrt(critic.dragan(lambda x: 0.5 * (x**2).sum(1), real, -2 * real, KEY))
  moved = np.asarray(looked - real[:, 0]) / float(jnp.std(real))
  assert -1e-4 < moved.min() < 0.02
  assert 0.3 < moved.max() < 0.5


def test_max_gradient_is_the_batch_maximum():
  real = jnp.array([[1.0], [3.0], [-7.0]])
  values = critic.max_gradient(lambda x: 0.5 * (x**2).sum(1), real, real, KEY)
  np.testing.assert_allclose(values, [49.0, 49.0, 49.0])


def test_a_norm_has_a_gradient_at_zero():
  x = jnp.array([[0.0, 0.0], [3.0, 4.0]])
  np.testing.assert_allclose(critic.norm_per_example(x), [0.0, 5.0])
  gradient = jax.grad(lambda x: critic.norm_per_example(x).sum())(x)
  np.testing.assert_allclose(gradient, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)


# All kinds.


@pytest.mark.parametrize("name", sorted(penalties.PENALTIES))
@pytest.mark.usefixtures("x64")
def test_parameter_gradient_by_finite_differences(name):
  """Through the double backward where there is one. Where all weights are zero the derivative of a norm is not 0 / 0."""
  real, fake, w = BATCH
  mean, h = batch_mean(name, jnp.asarray(real), jnp.asarray(fake)), 1e-6

  @jax.jit
  def both(w):
    steps = h * jnp.eye(4)
    values = jax.vmap(lambda step: mean(w + step))(jnp.concatenate([steps, -steps]))
    return jax.grad(mean)(w), (values[:4] - values[4:]) / (2 * h)

  exact, numeric = both(w)
  np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-8)
  assert np.abs(exact).max() > 1e-3
  flat, nearby = both(np.zeros(4))
  assert np.isfinite(flat).all()
  assert np.isfinite(nearby).all()


def test_slopes_of_that_batch_are_on_both_sides_of_one():
  real, fake, w = (jnp.asarray(x, jnp.float32) for x in BATCH)
  between = critic.interpolate(real, fake, KEY)
  slopes = critic.norm_per_example(critic.input_gradient(lambda x: jnp.tanh(x @ w.reshape(2, 2)).sum(-1), between))
  assert slopes.min() < 0.9
  assert slopes.max() > 1.1


@pytest.mark.parametrize("name", sorted(penalties.PENALTIES))
def test_bfloat16_networks_have_float32_penalties(name):
  """A network in bfloat16: values and gradients of its float32 weights are float32, finite at logits of 10^4, and near.

  Near the values of the same network in float32: within 10 %, or 5 % of the largest.
  """
  penalty, rng = penalties.get(name), np.random.default_rng(0)
  usual = rng.normal(size=(12, 12)).astype(np.float32) / 12
  real, fake = (jnp.asarray(rng.uniform(-1, 1, (4, 2, 2, 3)), jnp.float32) for _ in range(2))
  moved = penalties.Moved(real, fake, real[:, ::-1], fake[:, :, ::-1], lambda shift: 0.5 * fake)
  means = penalties.LogitMeans(jnp.float32(0.3), jnp.float32(-0.2))

  def values(w, dtype):
    make = lambda x: x.reshape(len(x), -1).astype(dtype) @ w.astype(dtype)  # noqa: E731
    judge = lambda x: jax.nn.leaky_relu(make(x), 0.2).sum(1)  # noqa: E731
    return {
      "critic": lambda: penalty.function(judge, real, fake, KEY),
      "logits": lambda: penalty.function(judge(real), judge(fake), means),
      "consistency": lambda: penalty.function(judge, moved),
      "parameters": lambda: penalty.function({"w": w.astype(dtype)}),
      "generator": lambda: penalty.function(make, real.reshape(4, 12), KEY),
    }[penalty.kind]()

  @jax.jit
  def run(w):
    slope = jax.grad(lambda w: values(w, jnp.bfloat16).mean())(w)
    return values(w, jnp.bfloat16), values(w, jnp.float32), slope

  for w in (usual, 1e4 * usual):
    low, exact, slope = run(w)
    assert low.dtype == slope.dtype == jnp.float32
    assert np.isfinite(low).all()
    assert np.isfinite(slope).all()
    if "finite_difference" not in name:  # a hundredth of a pixel's range is near bfloat16's own rounding
      np.testing.assert_allclose(low, exact, rtol=0.1, atol=0.05 * np.abs(exact).max())


def test_norms_are_counted_in_float32():
  real = jnp.ones((2, 301), jnp.bfloat16)  # bfloat16 has no odd number past 256
  values = critic.r1(lambda x: x.sum(1), real, real, KEY)
  assert values.dtype == jnp.float32
  np.testing.assert_array_equal(values, [150.5, 150.5])
  wide = {"kernel": jnp.ones((300, 2), jnp.bfloat16)}
  assert float(parameters.orthogonal(wide)) == 2 * 300.0**2
  assert float(parameters.weight_decay({"w": jnp.ones((257,), jnp.bfloat16)})) == 128.5


# R1 through convolutions as matrix products.


def conv_critic(conv):
  """`(weights, images) -> logits`: two convolutions of kernel 4 and stride 2, smooth between."""

  def judge(w, x):
    x = jnp.tanh(conv(x, w[: 4 * 4 * 2 * 3].reshape(4, 4, 2, 3), STRIDE, PADDING, dimension_numbers=NHWC))
    x = jnp.tanh(conv(x, w[4 * 4 * 2 * 3 :].reshape(4, 4, 3, 2), STRIDE, PADDING, dimension_numbers=NHWC))
    return x.sum((1, 2, 3))

  return judge


@pytest.mark.usefixtures("x64")
def test_r1_through_matrix_product_convolutions():
  """Its gradient by the weights, a second derivative: equal to lax's, and to finite differences along directions."""
  real = jax.random.normal(KEY, (2, 8, 8, 2)) * jnp.array([1.0, 0.3]).reshape(2, 1, 1, 1)
  w = 0.3 * jax.random.normal(jax.random.key(1), (4 * 4 * 2 * 3 + 4 * 4 * 3 * 2,))
  directions, h = jax.random.normal(jax.random.key(2), (4, len(w))), 1e-5

  def mean(conv):
    return lambda w: critic.r1(lambda x: conv_critic(conv)(w, x), real, real, KEY).mean()

  ours = jax.jit(jax.grad(mean(matmul_conv_general_dilated)))(w)
  theirs = jax.jit(jax.grad(mean(lax.conv_general_dilated)))(w)
  np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
  values = jax.jit(lambda steps: lax.map(lambda step: mean(matmul_conv_general_dilated)(w + step), steps))(
    h * jnp.concatenate([directions, -directions])
  )
  np.testing.assert_allclose(directions @ ours, (values[:4] - values[4:]) / (2 * h), rtol=1e-6)


# The other kinds.


@pytest.mark.parametrize("name", of_kind("logits"))
def test_levels_and_their_slopes(name):
  real, fake = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.25, 3.0, -1.0])
  means = penalties.LogitMeans(jnp.asarray(0.75), jnp.asarray(-1.5))
  found, slopes = jax.vjp(lambda r, f: function(name)(r, f, means), real, fake)
  expected = LEVELS[name](np.asarray(real), np.asarray(fake), 0.75, -1.5)
  np.testing.assert_allclose(found, expected[0], rtol=1e-6)
  for got, slope in zip(slopes(jnp.ones(3)), expected[1:], strict=True):
    np.testing.assert_allclose(got, slope, rtol=1e-6)


@pytest.mark.parametrize(("name", "weight"), [("lecam", 0.3), ("logit_drift", 1e-3)])
def test_weights_that_papers_state(name, weight):
  assert penalties.get(name).default_weight == weight


def test_fisher_at_the_optimum_of_its_game():
  """D = c h with h = +1 on reals and -1 on fakes, loss F - R = -2c: the least cost has 4 w Omega (Omega - 1) = R - F."""
  sign, weight = jnp.ones(4), 0.3
  cost = jax.jit(lambda c: -2 * c + weight * logits.fisher(c * sign, -c * sign, None).mean())
  c = np.linspace(0.5, 3, 20001)
  best = c[np.argmin(jax.vmap(cost)(jnp.asarray(c)))]
  assert 4 * weight * best**2 * (best**2 - 1) == pytest.approx(2 * best, rel=1e-3)


def test_moving_averages_are_a_geometric_series():
  """Of the same batch n times from zero: (1 - 0.99^n) of its mean; the mean of bfloat16 logits is float32."""
  means = penalties.LogitMeans(jnp.zeros(()), jnp.zeros(()))
  real, fake = jnp.array([1.0, 2.0], jnp.bfloat16), jnp.array([-128.0, -129.0, -3.0, -4.0], jnp.bfloat16)
  for n in range(1, 4):
    means = logits.moved_means(means, real, fake)
    assert means.real.dtype == means.fake.dtype == jnp.float32
    np.testing.assert_allclose(means, ((1 - 0.99**n) * 1.5, (1 - 0.99**n) * -66.0), rtol=1e-5)
  odd = logits.moved_means(means, jnp.array([256.0, 258.0], jnp.bfloat16), jnp.array([-256.0, -258.0], jnp.bfloat16))
  np.testing.assert_allclose((odd.real - 0.99 * means.real, odd.fake - 0.99 * means.fake), (2.57, -2.57), rtol=1e-5)


@pytest.mark.parametrize("name", of_kind("consistency"))
def test_consistency_of_a_linear_critic(name):
  """Each copy is moved by a known step of its own, different per example."""
  w, real, fake = jnp.array([1.0, -2.0]), jax.random.normal(KEY, (3, 2)), jax.random.normal(jax.random.key(1), (3, 2))
  steps = jax.random.normal(jax.random.key(2), (3, 3, 2))
  found = function(name)(
    lambda x: x @ w, penalties.Moved(real, fake, real + steps[0], fake + steps[1], lambda shift: fake + steps[2])
  )
  np.testing.assert_allclose(found, COPIES[name](*np.asarray(steps @ w)), rtol=1e-4, atol=1e-5)


def test_transport_cost():
  """Of noise (1, 2, 3, 4) and an image of zeros but one 2: 1 + 0 + 9 + 16; other sizes are refused."""
  noise = jnp.asarray([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
  make = lambda z: jnp.zeros((len(z), 2, 2, 1)).at[:, 0, 1, 0].set(2.0)  # noqa: E731
  np.testing.assert_allclose(consistency.transport_cost(make, noise, KEY), [26, 4])
  with pytest.raises(BadInput, match="expected latent_size=4, as many numbers as an image has, got 3"):
    consistency.transport_cost(make, noise[:, :3], KEY)


def test_sobolev_is_the_mean_of_both_sides():
  """D(x) = |x|^2 / 2 has squared slopes 1 and 9 on reals, 16 and 0 on fakes: Omega = 6.5."""
  real, fake = jnp.asarray([[1.0], [3.0]]), jnp.asarray([[4.0], [0.0]])
  found = critic.sobolev(lambda x: 0.5 * (x**2).sum(1), real, fake, KEY)
  np.testing.assert_allclose(found, [5.5**2, 5.5**2], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in of_kind("generator") if name != "transport_cost"])
def test_generator_penalty_of_a_linear_generator(name):
  """In expectation over its noise, whatever z is, and for images of any rank."""
  matrix = jax.random.normal(KEY, (3, 4)) * jnp.array([[1.0], [2.0], [0.5]])
  found = function(name)(lambda z: (z @ matrix).reshape(-1, 2, 2, 1), 5 * jnp.ones((20_000, 3)), jax.random.key(1))
  assert found.shape == (20_000,)
  expected = MAPS[name](float((matrix**2).sum()))
  assert float(found.mean()) == pytest.approx(expected, abs=5 * float(found.std()) / 20_000**0.5)
  assert len(np.unique(found)) > 19_000


def test_latents_move_by_a_little():
  moved = consistency.shift_latent(jnp.full((10_000, 2), 3.0), KEY) - 3
  assert float(moved.std()) == pytest.approx(0.07, rel=0.03)
  assert float(moved.mean()) == pytest.approx(0, abs=0.003)


def test_bfloat16_images_are_compared_in_float32():
  """256 and -1 differ by 257, which bfloat16 has not."""
  make = lambda z: jnp.where(z == 1, 256, -1).astype(jnp.bfloat16)  # noqa: E731
  np.testing.assert_array_equal(consistency.zcr_generator(make, jnp.ones((2, 1)), KEY), np.full(2, -(257.0**2)))


@pytest.mark.parametrize("name", of_kind("parameters"))
def test_known_weights(name):
  """One dense kernel and a bias; then its columns as a convolution's filters, and two kernels add up."""
  dense = {"kernel": jnp.asarray(MATRIX), "bias": jnp.array([3.0, 4.0])}
  found = function(name)(dense)
  assert found.shape == ()
  assert float(found) == pytest.approx(WEIGHTS[name])
  conv = {"kernel": jnp.asarray(MATRIX).reshape(3, 1, 1, 2), "bias": jnp.array([3.0, 4.0])}
  assert float(function(name)(conv)) == pytest.approx(WEIGHTS[name])
  assert float(function(name)({"a": dense, "b": conv})) == pytest.approx(2 * WEIGHTS[name])


def test_orthogonality_looks_at_kernels_only():
  """Biases are free; orthogonal columns cost nothing, and nothing is left of them but rounding where they are long."""
  rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 4)))[0]
  kernel = jnp.asarray(rotation, jnp.float32)
  assert float(parameters.orthonormal({"kernel": kernel, "bias": jnp.full(4, 9.0)})) < 1e-12
  assert float(parameters.orthonormal({"kernel": 2 * kernel})) == pytest.approx(4 * 3.0**2, rel=1e-5)
  assert 0 <= float(parameters.orthogonal({"kernel": kernel * jnp.array([[1.0, 5.0, 2.0, 0.1]])})) < 1e-10
  # Columns of length 1000 with a product of 3: the lengths must not drown it.
  long = {"kernel": jnp.array([[1000.0, 0.003], [0.0, 1000.0]])}
  assert float(parameters.orthogonal(long)) == pytest.approx(2 * 3.0**2, rel=1e-5)
  assert (
    float(parameters.orthogonal({"bias": jnp.ones(3)})) == float(parameters.orthonormal({"bias": jnp.ones(3)})) == 0
  )


# Names.


def test_unknown_penalty_names_the_choices():
  with pytest.raises(BadInput, match=r"unknown penalty 'r11'; did you mean 'r1'.*lecam.*none"):
    penalties.get("r11")
  with pytest.raises(BadInput, match="unknown penalty 'lecan'; did you mean 'lecam'"):
    penalties.of_discriminator("r1 + lecan")


def test_names_are_joined_by_plus():
  assert penalties.names("none") == ()
  assert penalties.names(" r1 + lecam") == ("r1", "lecam")
  assert [p.name for p in penalties.of_discriminator("lecam+r1+orthogonal+bcr")] == ["lecam", "r1", "orthogonal", "bcr"]
  assert [p.name for p in penalties.of_the_generator("orthogonal+zcr_generator")] == ["orthogonal", "zcr_generator"]
  assert penalties.of_the_generator("none") == penalties.of_discriminator("none") == ()


@pytest.mark.parametrize("text", ["", "r1+r1", "none+r1", "r1+", "none+none"])
def test_names_that_are_none(text):
  with pytest.raises(BadInput, match="penalty expected 'none', or different names joined by"):
    penalties.names(text)


@pytest.mark.parametrize("name", sorted(penalties.PENALTIES))
def test_a_penalty_goes_to_its_player(name):
  """The generator's are refused on the discriminator, and all but those of weights the other way round."""
  kind = penalties.get(name).kind
  for builder, player, refused in (
    (penalties.of_discriminator, "discriminator", kind == "generator"),
    (penalties.of_the_generator, "generator", kind not in ("generator", "parameters")),
  ):
    if not refused:
      assert [p.name for p in builder(name)] == [name]
      continue
    with pytest.raises(
      BadInput, match=f"penalty '{name}' is not one of the {player}'s; known: none, .*orthogonal"
    ) as caught:
      builder(f"weight_decay+{name}")
    assert name not in str(caught.value).split("known:")[1].replace(",", "").split()
