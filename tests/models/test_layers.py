"""The matrix-product convolutions against lax's, in value and in first and second derivatives."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.models.layers import CONVOLUTIONS, NHWC, PADDING, STRIDE, UpConvolution, matmul_conv_general_dilated

CASES = {  # height, width, channels, features, kernel, strides, padding
  "dcgan": (8, 8, 3, 4, (4, 4), (2, 2), ((1, 1), (1, 1))),
  "same, odd size": (7, 5, 2, 3, (4, 4), (2, 2), "SAME"),
  "3x3 same": (6, 5, 2, 3, (3, 3), (1, 1), "SAME"),
  "pointwise": (3, 4, 5, 2, (1, 1), (1, 1), "VALID"),
  "kernel no multiple of the stride": (9, 8, 2, 3, (5, 3), (2, 2), ((2, 2), (1, 1))),
  "kernel smaller than the stride": (9, 9, 2, 2, (2, 2), (3, 3), "VALID"),
  "unequal strides": (8, 9, 2, 3, (4, 3), (2, 1), ((0, 3), (2, 0))),
  "rows left over": (10, 11, 1, 2, (4, 4), (3, 4), "VALID"),
  "cropped": (9, 9, 2, 2, (3, 3), (2, 2), ((-1, 0), (1, -2))),
}


def images_and_kernel(case, members=None):
  height, width, channels, features, kernel, _, _ = case
  rng = np.random.default_rng(0)
  lead = () if members is None else (members,)
  return rng.normal(size=(2, height, width, channels)), rng.normal(size=(*lead, *kernel, channels, features))


def convolver(convolution, case):
  *_, strides, padding = case
  if convolution == "lax" and not isinstance(padding, str):
    # lax refuses to pad by less than zero in some spellings: crop first, then pad, which is what it means.
    def conv(x, k):
      x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in padding), (0, 0, 0)])
      return lax.conv_general_dilated(x, k, strides, "VALID", dimension_numbers=NHWC)

    return conv
  return lambda x, k: CONVOLUTIONS[convolution].down(x, k, strides, padding, dimension_numbers=NHWC)


def squared_input_gradient(conv):
  """`(x, k) -> |d/dx sum tanh(conv(x, k))|^2`: the shape of R1, whose gradient is a second derivative."""

  def critic_sum(x, k):
    return jnp.tanh(conv(x, k)).sum()

  return lambda x, k: (jax.grad(critic_sum)(x, k) ** 2).sum()


def value_and_derivatives(conv):
  """(x, k, cotangent) -> conv(x, k), its pullback of the cotangent, and second derivatives in x and in k."""

  def evaluate(x, k, cotangent):
    y, pullback = jax.vjp(conv, x, k)
    return y, pullback(cotangent), jax.grad(squared_input_gradient(conv), argnums=(0, 1))(x, k)

  return evaluate


def assert_all_close(got, expected):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), got, expected)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_equals_lax_in_value_and_in_first_and_second_derivatives(case):
  x, k = images_and_kernel(case)
  ours, theirs = convolver("matmul", case), convolver("lax", case)
  shape = jax.eval_shape(theirs, x, k).shape
  assert jax.eval_shape(ours, x, k).shape == shape
  cotangent = np.random.default_rng(1).normal(size=shape)
  got, expected = (jax.jit(value_and_derivatives(conv))(x, k, cotangent) for conv in (ours, theirs))
  assert_all_close(got, expected)


@pytest.mark.usefixtures("x64")
def test_a_population_of_kernels_equals_its_members():
  case = CASES["kernel no multiple of the stride"]
  x, kernels = images_and_kernel(case, members=3)
  ours, theirs = convolver("matmul", case), convolver("lax", case)
  cotangent = np.random.default_rng(1).normal(size=jax.eval_shape(theirs, x, kernels[0]).shape)
  together = jax.jit(jax.vmap(value_and_derivatives(ours), in_axes=(None, 0, None)))(x, kernels, cotangent)
  alone = jax.jit(value_and_derivatives(theirs))
  for member, kernel in enumerate(kernels):
    assert_all_close(jax.tree.map(lambda leaf, m=member: leaf[m], together), alone(x, kernel, cotangent))


@pytest.mark.usefixtures("x64")
def test_is_the_sum_that_its_docstring_states():
  x, k = images_and_kernel(CASES["unequal strides"])
  (s, t), ((top, _), (left, _)) = (2, 1), ((0, 3), (2, 0))
  y = np.asarray(jax.jit(convolver("matmul", CASES["unequal strides"]))(x, k))
  expected = np.zeros_like(y)
  for b, p, q in np.ndindex(y.shape[:3]):
    for i, j in np.ndindex(k.shape[:2]):
      row, column = s * p + i - top, t * q + j - left
      if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
        expected[b, p, q] += x[b, row, column] @ k[i, j]
  np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def test_flax_conv_takes_it_in_place_of_lax():
  rng = np.random.default_rng(4)
  x = rng.normal(size=(2, 9, 7, 3)).astype(np.float32)
  params = {"kernel": rng.normal(size=(3, 3, 3, 4)).astype(np.float32), "bias": np.arange(4, dtype=np.float32)}
  ours, plain = (
    jax.jit(nn.Conv(4, (3, 3), strides=2, conv_general_dilated=conv).apply)({"params": params}, x)
    for conv in (matmul_conv_general_dilated, None)
  )
  np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)


def test_no_convolution_of_jax_is_left_in_the_program_of_a_population():
  x, k = images_and_kernel(CASES["dcgan"], members=3)
  second = jax.vmap(jax.grad(squared_input_gradient(convolver("matmul", CASES["dcgan"])), argnums=1), in_axes=(None, 0))
  up = jax.vmap(CONVOLUTIONS["matmul"].up, in_axes=(None, 0))
  y = np.ones((2, 4, 4, 4))
  for program in (jax.make_jaxpr(second)(x, k), jax.make_jaxpr(up)(y, k)):
    assert "image_convolution" in str(program)
    assert "conv_general_dilated" not in str(program)


@pytest.mark.parametrize(
  ("keywords", "named"),
  [
    ({"lhs_dilation": (2, 2)}, "lhs_dilation"),
    ({"rhs_dilation": (1, 2)}, "rhs_dilation"),
    ({"feature_group_count": 3}, "feature_group_count"),
    ({"dimension_numbers": None}, "dimension_numbers"),
    ({"dimension_numbers": ("NCHW", "HWIO", "NHWC")}, "dimension_numbers"),
    ({"rhs": np.ones((3, 3, 2, 4))}, "3 channels"),
    ({"rhs": np.ones((9, 3, 3, 4))}, "at most the padded image's 8 pixels, got 9"),
    ({"lhs": np.ones((8, 8, 3))}, r"\[B, H, W, C\]"),
  ],
)
def test_refuses_what_it_cannot_do(keywords, named):
  arguments = {"lhs": np.ones((2, 8, 8, 3)), "rhs": np.ones((3, 3, 3, 4)), "window_strides": (1, 1), "padding": "VALID"}
  with pytest.raises(ValueError, match=named):
    matmul_conv_general_dilated(**(arguments | keywords))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("convolution", ["matmul", "lax"])
@pytest.mark.parametrize("size", [1, 3])
def test_up_is_the_transpose_of_lax_convolution(convolution, size):
  rng = np.random.default_rng(2)
  x, k = rng.normal(size=(2, 2 * size, 2 * size, 3)), rng.normal(size=(4, 4, 3, 5))
  y = rng.normal(size=(2, size, size, 5))
  down = lax.conv_general_dilated(x, k, STRIDE, PADDING, dimension_numbers=NHWC)
  up = jax.jit(CONVOLUTIONS[convolution].up)(y, k)
  assert up.shape == x.shape
  np.testing.assert_allclose((up * x).sum(), (y * down).sum(), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_up_by_matrix_products_equals_lax_to_the_second_derivative_in_a_population():
  rng = np.random.default_rng(3)
  y, kernels = rng.normal(size=(2, 3, 3, 5)), rng.normal(size=(3, 4, 4, 2, 5))
  cotangent = rng.normal(size=(2, 6, 6, 2))
  ours, theirs = (value_and_derivatives(CONVOLUTIONS[name].up) for name in ("matmul", "lax"))
  together, alone = jax.jit(jax.vmap(ours, in_axes=(None, 0, None)))(y, kernels, cotangent), jax.jit(theirs)
  for member, kernel in enumerate(kernels):
    assert_all_close(jax.tree.map(lambda leaf, m=member: leaf[m], together), alone(y, kernel, cotangent))


def test_up_keeps_the_scale_of_its_input():
  x = np.random.default_rng(5).normal(size=(8, 16, 16, 32)).astype(np.float32)
  module = UpConvolution(32, "auto", gain=1.0)
  y = jax.jit(lambda key: module.init_with_output(key, x)[0])(jax.random.key(1))
  # Away from the border, where taps fall outside.
  assert np.asarray(y)[:, 2:-2, 2:-2].std() == pytest.approx(1.0, rel=0.1)
