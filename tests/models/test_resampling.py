"""Doubling, halving, grouped convolutions and those joined with a resampling, against SciPy and lax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax import lax

from gan_jax.models import resampling
from gan_jax.models.layers import CONVOLUTIONS, NHWC, PADDING, resampled_convolution

FILTER = np.convolve([1, 2, 1], [1, 1]) / 8  # [1, 2, 1] / 4 after doubling, or before halving, by blocks
RNG = np.random.default_rng(0)


def by_channel(function, x):
  return np.stack([np.stack([function(x[b, ..., c]) for c in range(x.shape[-1])], -1) for b in range(len(x))])


def inserted(image):
  zeros = np.zeros((2 * image.shape[0], 2 * image.shape[1]))
  zeros[::2, ::2] = image
  return zeros


@pytest.mark.usefixtures("x64")
def test_smooth_up_and_down_are_scipys_filter():
  """On images of odd and unequal sides; the full filter of 4 taps, without the first row and column, of even pixels."""
  kernel = np.outer(FILTER, FILTER)
  x = RNG.normal(size=(2, 3, 4, 2))
  up = by_channel(lambda image: scipy.signal.convolve2d(inserted(image), 4 * kernel)[1:-2, 1:-2], x)
  np.testing.assert_allclose(jax.jit(resampling.smooth_up)(x), up, atol=1e-12)
  x = RNG.normal(size=(2, 6, 4, 2))
  down = by_channel(lambda image: scipy.signal.convolve2d(image, kernel)[2:-1:2, 2:-1:2], x)
  np.testing.assert_allclose(jax.jit(resampling.smooth_down)(x), down, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_bilinear_is_jaxs_resize_and_the_others_are_what_they_say():
  x = RNG.normal(size=(2, 3, 5, 2))
  np.testing.assert_allclose(resampling.bilinear(x), jax.image.resize(x, (2, 6, 10, 2), "bilinear"), atol=1e-12)
  np.testing.assert_array_equal(resampling.nearest(x), x.repeat(2, 1).repeat(2, 2))
  np.testing.assert_array_equal(resampling.zero_insertion(x), by_channel(inserted, x))
  np.testing.assert_allclose(resampling.mean_pool(x.repeat(2, 1).repeat(2, 2)), x, atol=1e-12)


def apart(x, kernel, sampling):
  """The same convolution, resampled by itself."""
  if sampling in ("nearest", "zero_insertion"):
    x = resampling.UPSAMPLE[sampling](x)
  y = lax.conv_general_dilated(x, kernel, (1, 1), PADDING, dimension_numbers=NHWC)
  return resampling.mean_pool(y) if sampling == "mean_pool" else y


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("convolution", ["matmul", "lax"])
def test_a_convolution_joined_with_its_resampling_is_both_of_them(convolution):
  x, kernel = RNG.normal(size=(2, 4, 6, 3)), RNG.normal(size=(3, 3, 3, 2))
  samplings = ("none", "mean_pool", "nearest", "zero_insertion")

  @jax.jit
  def together(x, kernel):
    return [resampled_convolution(x, kernel, sampling, convolution) for sampling in samplings]

  for sampling, y in zip(samplings, together(x, kernel), strict=True):
    np.testing.assert_allclose(y, apart(x, kernel, sampling), atol=1e-12, err_msg=sampling)


GROUPED = [(3, 1, (5, 4), 2, 3, 2), (4, 2, (6, 8), 3, 2, 4), (3, 2, (7, 6), 2, 1, 3)]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("size", "stride", "image", "groups", "inputs", "outputs"), GROUPED)
def test_grouped_convolutions_equal_lax_to_the_second_derivative(size, stride, image, groups, inputs, outputs):
  x, kernel = RNG.normal(size=(2, *image, groups * inputs)), RNG.normal(size=(size, size, inputs, groups * outputs))

  def all_of(convolution):
    def conv(x, kernel):
      down = CONVOLUTIONS[convolution].down
      return down(x, kernel, (stride, stride), PADDING, dimension_numbers=NHWC, feature_group_count=groups)

    def r1(x, kernel):
      return (jax.grad(lambda x: jnp.tanh(conv(x, kernel)).sum())(x) ** 2).sum()

    return jax.jit(lambda: (conv(x, kernel), *jax.grad(r1, (0, 1))(x, kernel)))()

  for ours, theirs in zip(all_of("matmul"), all_of("lax"), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_no_convolution_is_left_and_no_index_in_the_derivatives():
  """Of a population's gradient: nothing that is slow in a loop on a CPU, and no sum whose order may change."""
  x, kernels = np.ones((2, 4, 4, 4), np.float32), np.ones((3, 3, 3, 2, 4), np.float32)

  def both(kernel):
    down = CONVOLUTIONS["auto"].down
    y = down(x, kernel, (1, 1), PADDING, dimension_numbers=NHWC, feature_group_count=2)
    return (resampling.smooth_up(resampling.smooth_down(resampling.bilinear(y))) ** 2).sum()

  program = str(jax.make_jaxpr(jax.vmap(jax.grad(both)))(kernels))
  assert "dot_general" in program
  assert not [name for name in ("conv_general_dilated", "scatter", "gather") if name in program]
