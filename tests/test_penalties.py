"""Penalties in closed form, and by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import penalties
from gan_jax.errors import BadInput

KEY = jax.random.key(0)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_r1_of_a_linear_critic_is_half_the_squared_weight_for_any_batch(batch):
  w = jnp.array([3.0, -4.0, 12.0])
  real = jax.random.normal(KEY, (batch, 3))
  values = penalties.r1(lambda x: x @ w, real, jnp.zeros((batch, 3)), KEY)
  np.testing.assert_allclose(values, np.full(batch, 0.5 * 169), rtol=1e-6)


def test_r1_is_per_example_over_all_axes():
  """D(x) = |x|^2 / 2 has slope x: unequal norms, images of any rank."""
  real = jax.random.normal(KEY, (5, 4, 3, 2)) * jnp.arange(5.0).reshape(5, 1, 1, 1)
  values = penalties.r1(lambda x: 0.5 * jnp.sum(x**2, axis=(1, 2, 3)), real, real, KEY)
  np.testing.assert_allclose(values, 0.5 * np.sum(np.asarray(real) ** 2, axis=(1, 2, 3)), rtol=1e-5)
  assert values[0] == 0


def test_r1_looks_at_the_reals_only():
  critic = lambda x: jnp.sum(x**3, axis=1)  # noqa: E731
  real, fake = jnp.ones((2, 2)), 100 * jnp.ones((2, 2))
  np.testing.assert_allclose(penalties.r1(critic, real, fake, KEY), penalties.r1(critic, real, real, KEY))


@pytest.mark.usefixtures("x64")
def test_r1_gradient_by_finite_differences():
  real = jax.random.normal(KEY, (4, 3))

  def value(w):
    return penalties.r1(lambda x: jnp.tanh(x @ w.reshape(3, 2)).sum(-1), real, real, KEY).mean()

  w = jax.random.normal(jax.random.key(1), (6,))
  gradient = jax.grad(value)(w)
  h = 1e-5
  for i in range(6):
    step = h * jax.nn.one_hot(i, 6)
    assert float(gradient[i]) == pytest.approx(float(value(w + step) - value(w - step)) / (2 * h), rel=1e-6)


def test_r1_of_a_flat_critic_is_zero_with_a_defined_gradient():
  gradient = jax.grad(lambda s: penalties.r1(lambda x: s * x.sum(1), jnp.ones((2, 3)), jnp.ones((2, 3)), KEY).mean())
  assert float(gradient(0.0)) == 0


def test_r1_is_float32_for_bfloat16_networks():
  real = jnp.ones((2, 300), jnp.bfloat16)
  values = penalties.r1(lambda x: x.sum(1), real, real, KEY)
  assert values.dtype == jnp.float32
  np.testing.assert_allclose(values, 150.0)  # bfloat16 cannot count past 256 in ones


def test_unknown_penalty_names_the_choices():
  with pytest.raises(BadInput, match="unknown penalty 'r11'; did you mean 'r1'"):
    penalties.get("r11")


# The value of each penalty for the critic D(x) = w.x, per example, from |w| and the mean over noise where it has any.
LINEAR = {
  "none": lambda w: 0.0,
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
  "r1_finite_difference": lambda w: 0.5 * w**2,
  "r2_finite_difference": lambda w: 0.5 * w**2,
  "logit_drift": lambda w: w**2,  # at x = w / |w|
}


@pytest.mark.parametrize("name", sorted(penalties.PENALTIES))
@pytest.mark.parametrize("norm", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("batch", [1, 3])
def test_closed_form_of_a_linear_critic(name, norm, batch):
  """Slopes below and above 1, for any batch size: catches a lost half, a side, a centre, and 1/B errors."""
  assert name in LINEAR, f"penalty {name!r} has no closed form in LINEAR: add what it is for D(x) = w.x"
  direction = jnp.array([2.0, -1.0, 2.0]) / 3
  real, fake = jnp.tile(direction, (batch, 1)), jnp.tile(5 * direction, (batch, 1))
  critic = lambda x: x @ (norm * direction)  # noqa: E731
  if "finite_difference" in name:
    keys = jax.random.split(KEY, 4000)
    values = jax.vmap(lambda key: penalties.get(name)(critic, real, fake, key))(keys)
    # A chi-squared of one degree: standard error sqrt(2 / N) of the mean.
    np.testing.assert_allclose(values.mean(0), np.full(batch, LINEAR[name](norm)), rtol=5 * (2 / 4000) ** 0.5)
  else:
    found = penalties.get(name)(critic, real, fake, KEY)
    np.testing.assert_allclose(found, np.full(batch, LINEAR[name](norm)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(penalties.PENALTIES))
def test_contract(name):
  """[B] in float32 from bfloat16 images of any rank; finite values and parameter gradients where the critic is flat."""
  real, fake = jnp.ones((4, 2, 2, 1), jnp.bfloat16), jnp.zeros((4, 2, 2, 1), jnp.bfloat16)
  values = penalties.get(name)(lambda x: x.sum((1, 2, 3)), real, fake, KEY)
  assert values.shape == (4,)
  assert values.dtype == jnp.float32

  def mean(scale):
    return penalties.get(name)(lambda x: scale * x.sum((1, 2, 3)), real * 1.0, fake * 1.0, KEY).mean()

  for scale in (0.0, 1.0):
    value, slope = jax.value_and_grad(mean)(scale)
    assert jnp.isfinite(value)
    assert jnp.isfinite(slope)


@pytest.mark.parametrize("name", sorted(penalties.PENALTIES))
@pytest.mark.usefixtures("x64")
def test_parameter_gradient_by_finite_differences(name):
  """Unequal norms within the batch, through the double backward where there is one."""
  real, fake = jax.random.normal(KEY, (3, 2)), 2 * jax.random.normal(jax.random.key(1), (3, 2))

  def mean(w):
    return penalties.get(name)(lambda x: jnp.tanh(x @ w.reshape(2, 2)).sum(-1), real, fake, KEY).mean()

  w, h = jax.random.normal(jax.random.key(2), (4,)), 1e-6
  numeric = [(mean(w.at[i].add(h)) - mean(w.at[i].add(-h))) / (2 * h) for i in range(4)]
  np.testing.assert_allclose(jax.grad(mean)(w), numeric, rtol=1e-5, atol=1e-8)


def test_tf_gan_unit_test():
  """D(x) = sum of 2x over 4 entries: (sqrt(16) - 1)^2 = 9 (ground truth 3.4)."""
  x = jax.random.normal(KEY, (5, 4))
  np.testing.assert_allclose(
    penalties.gradient_penalty(lambda y: (2 * y).sum(1), x, -x, KEY), np.full(5, 9.0), rtol=1e-6
  )


def test_interpolates_have_one_coefficient_per_example():
  real, fake = jnp.zeros((50, 2, 3, 1)), jnp.broadcast_to(jnp.arange(1.0, 7).reshape(1, 2, 3, 1), (50, 2, 3, 1))
  coefficients = np.asarray(penalties.interpolate(real, fake, KEY) / fake).reshape(50, 6)
  np.testing.assert_allclose(coefficients, np.tile(coefficients[:, :1], (1, 6)), rtol=1e-6)
  assert len(np.unique(coefficients[:, 0])) == 50
  assert 0 <= coefficients.min() < 0.1 < 0.9 < coefficients.max() <= 1


def test_dragan_stays_near_the_data():
  """D(x) = |x|^2 / 2 has slope x: its norm tells where the penalty looked, at most half a deviation from the data."""
  real = 10 + jax.random.normal(KEY, (200, 1))
  looked = 1 + jnp.sqrt(penalties.dragan(lambda x: 0.5 * (x**2).sum(1), real, real, KEY))
  moved = np.asarray(looked - real[:, 0]) / float(jnp.std(real))
  assert -1e-4 < moved.min() < 0.02
  assert 0.3 < moved.max() < 0.5


def test_max_gradient_is_the_batch_maximum():
  real = jnp.array([[1.0], [3.0], [-7.0]])
  values = penalties.max_gradient(lambda x: 0.5 * (x**2).sum(1), real, real, KEY)
  np.testing.assert_allclose(values, [49.0, 49.0, 49.0])


def test_a_norm_has_a_gradient_at_zero():
  gradient = jax.grad(lambda x: penalties.norm_per_example(x).sum())(jnp.array([[0.0, 0.0], [3.0, 4.0]]))
  np.testing.assert_allclose(gradient, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)
