"""Convolutions found in a program and replaced: the same numbers, in every library's layout, and none of XLA's left."""

import functools
import itertools

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from gan_jax.models.convolutions import as_products, remaining

LAYOUT = ("NHWC", "HWIO", "NHWC")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 9, 8, 4)).astype(np.float32)


def linen(module):
  variables = module.init(jax.random.key(0), X)
  return lambda x: module.apply(variables, x)


def in_nnx(module):
  graph, state = nnx.split(module)
  return lambda x: nnx.merge(graph, state)(x)


def in_equinox(module):
  return lambda x: jax.vmap(module)(jnp.moveaxis(x, -1, 1))


class Layer(nn.Module):
  """A layer of a loop over layers: the image is carried on, and sums over its pixels are yielded."""

  @nn.compact
  def __call__(self, x):
    y = nn.tanh(nn.Conv(4, (3, 3))(x))
    return y, y.sum((1, 2))


def in_loop(layers):
  loop = nn.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=layers, reverse=True)()
  run, parts = linen(loop), jnp.arange(layers, dtype=jnp.float32)

  def function(x):
    image, sums = run(x)
    return image + jnp.tensordot(parts, sums, 1)[:, None, None]

  return function


RNGS = nnx.Rngs(0)
KEY = jax.random.key(1)
REPLACED = {
  "linen": linen(nn.Conv(5, (3, 3))),
  "linen, strided": linen(nn.Conv(5, (4, 4), strides=2)),
  "linen, unpadded": linen(nn.Conv(5, (3, 2), padding="VALID")),
  "linen, transposed": linen(nn.ConvTranspose(5, (4, 4), strides=(2, 2))),
  "linen, transposed by the kernel's transpose": linen(
    nn.ConvTranspose(4, (5, 3), strides=(2, 3), transpose_kernel=True, padding="VALID")
  ),
  "grouped": linen(nn.Conv(6, (3, 2), strides=2, feature_group_count=2)),
  "dilated": linen(nn.Conv(5, (3, 3), kernel_dilation=2)),
  "dilated, in groups": linen(nn.Conv(6, (3, 2), kernel_dilation=(2, 3), feature_group_count=2)),
  "depthwise": linen(nn.Conv(4, (3, 3), feature_group_count=4)),
  "depthwise, with many taps": linen(nn.Conv(4, (5, 3), strides=(2, 3), feature_group_count=4)),
  "nnx": in_nnx(nnx.Conv(4, 5, (3, 3), strides=2, rngs=RNGS)),
  "nnx, transposed": in_nnx(nnx.ConvTranspose(4, 5, (4, 4), strides=(2, 2), rngs=RNGS)),
  "equinox": in_equinox(eqx.nn.Conv2d(4, 5, 3, stride=2, padding=1, key=KEY)),
  "equinox, transposed": in_equinox(eqx.nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1, key=KEY)),
  "computed again in derivatives": jax.checkpoint(linen(nn.Conv(5, (3, 3)))),
  "computed again, of Flax": linen(nn.remat(nn.Conv)(5, (3, 3))),
  "compiled inside": jax.jit(linen(nn.Conv(5, (3, 3)))),
  "in a loop over layers": in_loop(2),
}
LEFT = {
  "transposed and dilated": linen(nn.ConvTranspose(5, (3, 3), strides=(2, 2), kernel_dilation=(2, 2))),
  "of one dimension": lambda x: linen_line(x[:, 0]),
  "in a branch": lambda x: lax.cond(x.sum() > 0, linen_same, lambda x: x, x),
}
linen_line = (lambda m, v: lambda x: m.apply(v, x))(*(m := nn.Conv(5, (3,)), m.init(KEY, X[:, 0])))
linen_same = linen(nn.Conv(4, (3, 3)))


def primitives(function, *arguments):
  return str(jax.make_jaxpr(function)(*arguments))


@pytest.mark.parametrize("function", REPLACED.values(), ids=REPLACED)
def test_the_same_values_and_no_convolution_of_xlas(function):
  ours = as_products(function)
  assert "conv_general_dilated" in primitives(function, X)
  np.testing.assert_allclose(ours(X), function(X), rtol=1e-5, atol=1e-5)
  assert remaining(jax.make_jaxpr(function)(X)) == 0
  # Derivatives and a population are made of the replaced program.
  penalty = jax.grad(lambda x: (jax.grad(lambda z: (ours(z) ** 2).sum())(x) ** 2).sum())
  for program in (ours, penalty, jax.vmap(ours)):
    text = primitives(program, X[None] if program is not ours and program is not penalty else X)
    assert "image_convolution" in text or "dot_general" in text or "mul " in text  # the latter two of groups
    assert "conv_general_dilated" not in text


@pytest.mark.parametrize("function", LEFT.values(), ids=LEFT)
def test_what_has_no_form_as_products_is_left_and_counted(function):
  np.testing.assert_array_equal(as_products(function)(X), function(X))
  assert remaining(jax.make_jaxpr(function)(X)) == 1
  assert "conv_general_dilated" in primitives(as_products(function), X)


def test_what_is_computed_again_in_derivatives_still_is():
  """`jax.checkpoint` keeps its policy: here nothing of the body is kept but what the policy names."""
  policy = jax.checkpoint_policies.nothing_saveable
  function = as_products(jax.checkpoint(lambda x: jnp.sin(REPLACED["linen"](x)), policy=policy))
  (call,) = [e for e in jax.make_jaxpr(function)(X).eqns if "policy" in e.params]
  assert call.params["policy"] is policy
  kept = jax.make_jaxpr(lambda x: jax.vjp(function, x)[1])(X)  # of a pass: its input and the kernel, no activation
  assert all(np.shape(leaf) != (3, 9, 8, 5) for leaf in kept.out_avals)


def test_lax_leaves_a_function_as_it_is():
  function = REPLACED["linen"]
  assert as_products(function, "lax") is function


@pytest.mark.usefixtures("x64")
def test_transposed_convolutions_equal_lax_for_every_kernel_stride_and_padding():
  """Both axes differ, so that one taken for the other would show; sizes below one pixel have no value."""
  cases = [
    (k, d, ((low, high), (low + 1, high)), RNG.normal(size=(1, n, n + 1, 2)), RNG.normal(size=(k, k, 2, 3)))
    for k, d, low, high, n in itertools.product((1, 2, 3, 5), (2, 3), (-1, 0, 3), (0, 2), (2, 5))
    if d * (n - 1) + 1 + low + high >= k
  ]

  def convolve(d, pads, x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, lhs_dilation=(d, d), dimension_numbers=LAYOUT)

  @jax.jit  # one program: a hundred small ones would take longer to compile
  def both(arrays):
    functions = [functools.partial(convolve, d, pads) for _, d, pads, _, _ in cases]
    return [(as_products(f)(*pair), f(*pair)) for f, pair in zip(functions, arrays, strict=True)]

  for (k, d, pads, x, _), (got, expected) in zip(cases, both([case[3:] for case in cases]), strict=True):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10, err_msg=f"{k} {d} {pads} {x.shape}")


@pytest.mark.usefixtures("x64")
def test_convolutions_of_dilated_kernels_equal_lax_for_every_stride_dilation_and_padding():
  """Both axes differ, so that one taken for the other would show; sizes below one pixel have no value."""
  cases = [
    (
      (s, s + 1),
      (d, d + 1),
      ((low, high), (low + 1, high)),
      RNG.normal(size=(2, n, n + 2, 2)),
      RNG.normal(size=(k, 2, 2, 3)),
    )
    for k, s, d, low, high, n in itertools.product((1, 3), (1, 2, 3), (1, 2, 3), (-1, 2), (0, 1), (5, 6))
    if n + low + high > d * (k - 1)
  ]

  def convolve(strides, dilation, pads, x, kernel):
    return lax.conv_general_dilated(x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=LAYOUT)

  @jax.jit  # one program: a hundred small ones would take longer to compile
  def both(arrays):
    functions = [functools.partial(convolve, *case[:3]) for case in cases]
    return [(as_products(f)(*pair), f(*pair)) for f, pair in zip(functions, arrays, strict=True)]

  for (*how, x, _), (got, expected) in zip(cases, both([case[3:] for case in cases]), strict=True):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10, err_msg=f"{how} {x.shape}")


def test_functions_with_derivatives_of_their_own_keep_them():
  """relu's derivative at zero is zero by definition; differentiated anew from `max` it would be one half."""
  function = as_products(lambda x: jax.nn.relu(REPLACED["linen"](x)) + jax.nn.relu(jnp.zeros(()) * x.sum()))
  zero = as_products(lambda x: jax.nn.relu(x) + 0 * REPLACED["linen"](jnp.ones(X.shape)).sum())
  assert np.isfinite(function(X)).all()
  assert jax.grad(zero)(0.0) == 0
