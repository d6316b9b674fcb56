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
