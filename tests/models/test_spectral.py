"""Spectral normalisation as a layer, against singular values, and the initial weights of residual players."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.initial import initial
from gan_jax.models.layers import Conv
from gan_jax.models.linen import as_player, weights
from gan_jax.models.spectral import Linear

X = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)


class Two(nn.Module):
  """A convolution and a linear layer, both normalised."""

  @nn.compact
  def __call__(self, x, labels, train):
    x = Conv(6, weights(2.0), "auto", "strided", spectral=True, name="conv")(x, train)
    return Linear(5, weights(2.0), spectral=True, name="linear")(x.reshape(len(x), -1), train)


def singular_value(kernel):
  return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.fixture(scope="module")
def played():
  """(parameters, (outputs, memory) of the first pass, of later passes, and of one in evaluation)."""
  player = as_player(Two(), X.shape[1:])
  apply = jax.jit(player.apply, static_argnums=4)
  labels = np.zeros(2, np.int32)
  params, memory = jax.jit(player.init)(jax.random.key(0))
  # Weights of another size and with biases, as after training; the vectors are still those of the start.
  params = jax.tree.map(lambda p: 3 * p + 0.05 * jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)
  first = apply(params, memory, X, labels, True)
  later = first
  for _ in range(30):
    later = apply(params, later[1], X, labels, True)
  return params, first, later, apply(params, later[1], X, labels, False)


def test_a_kernel_is_divided_by_its_largest_singular_value(played):
  params, _, (outputs, memory), _ = played
  conv, linear = (params[name] for name in ("conv", "linear"))
  for name, layer in (("conv", conv), ("linear", linear)):
    vector = np.asarray(memory["spectral"][name]["vector"])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    matrix = np.asarray(layer["kernel"]).reshape(-1, len(vector))
    assert np.linalg.norm(matrix @ vector) == pytest.approx(singular_value(matrix), rel=1e-3)
  kernel = conv["kernel"] / singular_value(conv["kernel"])
  h = jax.lax.conv_general_dilated(X, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))
  h = np.asarray(h + conv["bias"].reshape(1, 1, 1, -1)).reshape(2, -1)
  expected = h @ np.asarray(linear["kernel"]) / singular_value(linear["kernel"]) + np.asarray(linear["bias"])
  np.testing.assert_allclose(outputs, expected, rtol=2e-3, atol=1e-3)


def test_training_moves_the_memory_and_evaluation_uses_it_unchanged(played):
  _, (_, first), (outputs, later), (evaluated, after) = played
  moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), first, later)
  assert max(jax.tree.leaves(moved)) > 1e-3
  jax.tree.map(np.testing.assert_array_equal, after, later)
  np.testing.assert_allclose(evaluated, outputs, rtol=1e-5, atol=1e-5)


def test_a_fresh_memory_is_close_and_a_kernel_of_zeros_stays():
  """Within a tenth of the singular value before any training; zeros give zeros, and the vector keeps its length."""
  player = as_player(Single(), (40,))
  params, memory = jax.jit(player.init)(jax.random.key(0))
  kernel, vector = np.asarray(params["linear"]["kernel"]), np.asarray(memory["spectral"]["linear"]["vector"])
  assert np.linalg.norm(kernel @ vector) > 0.9 * singular_value(kernel)
  x, labels = np.ones((2, 40), np.float32), np.zeros(2, np.int32)
  zero = jax.tree.map(jnp.zeros_like, params)
  outputs, after = jax.jit(player.apply, static_argnums=4)(zero, memory, x, labels, True)
  np.testing.assert_array_equal(outputs, 0)
  np.testing.assert_array_equal(after["spectral"]["linear"]["vector"], vector)


class Single(nn.Module):
  @nn.compact
  def __call__(self, x, labels, train):
    return Linear(30, weights(1.0), spectral=True, name="linear")(x, train)


@pytest.mark.parametrize("shape", [(3, 3, 4, 20), (24, 24), (4, 30)])
def test_orthogonal_weights_are_orthogonal(shape):
  kernel = np.asarray(jax.jit(lambda key: initial("orthogonal")(key, shape))(jax.random.key(1)))
  values = np.linalg.svd(kernel.reshape(-1, shape[-1]), compute_uv=False)
  np.testing.assert_allclose(values, 1, atol=1e-4)


def test_glorot_and_normal_have_their_variances():
  shape, key = (3, 3, 40, 60), jax.random.key(2)
  glorot, normal = (np.asarray(initial(name, 2**0.5)(key, shape)) for name in ("glorot", "normal"))
  assert glorot.std() == pytest.approx((2 * 2 / (9 * 100)) ** 0.5, rel=0.02)
  assert np.abs(glorot).max() <= (2 * 6 / (9 * 100)) ** 0.5
  assert normal.std() == pytest.approx(0.02, rel=0.02)
  assert max(abs(glorot.mean()), abs(normal.mean())) < 1e-3
