"""The convolution and its two transposes: both forms that they are compiled to against lax's, and which one where."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.models import bilinear
from gan_jax.models.bilinear import NHWC, Geometry

# Every kind of border: sizes that the stride leaves over, strides above the kernel, more padding than kernel, cropping.
GEOMETRIES = [
  Geometry((8, 8), (4, 4), (2, 2), ((1, 1), (1, 1))),
  Geometry((6, 5), (3, 3), (1, 1), ((1, 1), (1, 1))),
  Geometry((9, 8), (5, 3), (2, 2), ((2, 2), (1, 1))),
  Geometry((9, 10), (2, 1), (3, 3), ((0, 0), (0, 0))),
  Geometry((8, 9), (4, 3), (2, 1), ((0, 3), (4, 0))),
  Geometry((10, 11), (4, 4), (3, 4), ((0, 0), (0, 0))),
  Geometry((9, 9), (3, 3), (2, 2), ((-1, 0), (1, -2))),
]


def arrays(geometry, members=()):
  """x, k and y of random numbers."""
  rng = np.random.default_rng(0)
  shapes = {"x": (2, *geometry.image, 3), "k": (*geometry.taps, 3, 4), "y": (2, *geometry.pixels, 4)}
  return {name: rng.normal(size=(*members, *shape)) for name, shape in shapes.items()}


def from_lax(made, geometry, a, b):
  """The operation that makes x, k or y, by lax's convolution and jax's transposes of it."""

  def conv(x, k):
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in geometry.pads), (0, 0, 0)])
    return lax.conv_general_dilated(x, k, geometry.strides, "VALID", dimension_numbers=NHWC)

  if made == "y":
    return conv(a, b)
  like = jax.ShapeDtypeStruct(bilinear.shape_of(a, b, made=made, geometry=geometry).shape, a.dtype)
  if made == "x":
    return jax.linear_transpose(lambda x: conv(x, b), like)(a)[0]
  return jax.linear_transpose(lambda k: conv(a, k), like)(b)[0]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("form", [bilinear.as_products, bilinear.as_convolutions])
def test_both_forms_equal_lax_and_its_transposes(form):
  @jax.jit  # one program: many small ones would take longer to compile
  def both(held):
    found = []
    for geometry, named in zip(GEOMETRIES, held, strict=True):
      for made, taken in bilinear.TAKEN.items():
        pair = [named[name] for name in taken]
        found.append((form(*pair, made=made, geometry=geometry), from_lax(made, geometry, *pair)))
    return found

  for got, expected in both([arrays(geometry) for geometry in GEOMETRIES]):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("form", [bilinear.as_products, bilinear.as_convolutions])
def test_members_are_each_their_own(form):
  geometry = GEOMETRIES[2]
  held = arrays(geometry, members=(3,))

  @jax.jit
  def both(held):
    found = []
    for made, taken in bilinear.TAKEN.items():
      pair = [held[name] for name in taken]
      alone = [from_lax(made, geometry, a, b) for a, b in zip(*pair, strict=True)]
      found.append((form(*pair, made=made, geometry=geometry), jnp.stack(alone)))
    return found

  for got, expected in both(held):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("made", bilinear.TAKEN)
def test_vmap_over_any_axes_and_twice_equals_a_loop(made):
  """The operation is linear in both arguments, so that members that are multiples of one another have known results."""
  geometry = GEOMETRIES[0]
  a, b = (arrays(geometry)[name] for name in bilinear.TAKEN[made])
  apply = lambda a, b: bilinear.bound(made, a, b, geometry)  # noqa: E731
  one, two, three = np.ones(1), np.array([1.0, 2.0]), np.array([1.0, 3.0, 4.0])
  times = lambda z, by, axis: np.stack([z * s for s in by], axis)  # noqa: E731
  nested = jax.vmap(jax.vmap(apply))
  crossed = jax.vmap(jax.vmap(apply, (None, 0)), (0, None))
  doubles, triples = (times(a, two, 0), times(b, two, 0)), (times(a, three, 0), times(b, three, 0))
  products = np.outer(two, three).ravel()
  cases = {  # name: (members, their factors)
    "the first": (jax.vmap(apply, (0, None)), (doubles[0], b), two),
    "the second": (jax.vmap(apply, (None, 3)), (a, times(b, three, 3)), three),
    "both, along different axes": (jax.vmap(apply, (1, 2)), (times(a, three, 1), times(b, three, 2)), three**2),
    "one member": (jax.vmap(apply, (4, 0)), (times(a, one, 4), times(b, one, 0)), one),
    "both, then both": (nested, tuple(times(z, two, 0) for z in triples), products**2),
    "the second, then the first": (crossed, (doubles[0], triples[1]), products),
  }
  found = jax.jit(lambda pairs: {name: case[0](*pairs[name]) for name, case in cases.items()})(
    {name: case[1] for name, case in cases.items()}
  )
  alone = np.ravel(apply(a, b))
  for name, (_, _, factors) in cases.items():
    got = found[name].reshape(len(factors), -1)
    np.testing.assert_allclose(got, np.outer(factors, alone), rtol=1e-10, atol=1e-10, err_msg=name)


def second_derivative(x, k):
  """Of the shape of R1's gradient: all of C, I and K, and their derivatives."""
  critic = lambda x, k: jnp.tanh(bilinear.convolution(x, k, (2, 2), ((1, 1), (1, 1)))).sum()  # noqa: E731
  return jax.grad(lambda k: (jax.grad(critic)(x, k) ** 2).sum())(k)


@pytest.mark.parametrize("members", [(1,), (3,)])
def test_on_a_cpu_every_convolution_has_the_form_that_is_fast_there(members):
  """XLA computes any other form element by element: 40 to 200 times as slow, which no test of numbers would show."""
  x, k = (jnp.ones((*members, *shape), jnp.float32) for shape in ((2, 8, 8, 5), (4, 4, 5, 4)))
  lowered = jax.jit(jax.vmap(second_derivative)).lower(x, k).as_text()
  found = [line for line in lowered.splitlines() if "stablehlo.convolution" in line]
  assert len(found) >= 4
  for line in found:
    assert "dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
    assert "batch_group_count = 1 : i64" in line
    assert "feature_group_count = 1 : i64" in line
    assert "lhs_dilate = [1, 1]" in line
    assert "reverse = [false, false]" in line
    assert "-" not in re.search(r"pad = (.*?), lhs_dilate", line).group(1)


def test_elsewhere_with_few_channels_and_in_double_precision_it_is_matrix_products():
  x, k = (jnp.ones(shape, jnp.float32) for shape in ((2, 8, 8, 5), (4, 4, 5, 4)))
  narrow = jax.jit(bilinear.convolution, static_argnums=(2, 3)).lower(x[..., :3], k[:, :, :3], (2, 2), ((1, 1), (1, 1)))
  traced = jax.jit(second_derivative).trace(x, k)
  with jax.enable_x64(True):
    doubled = jax.jit(second_derivative).lower(*(np.asarray(z, np.float64) for z in (x, k)))
  for lowered in (
    traced.lower(lowering_platforms=("cuda",)),
    traced.lower(lowering_platforms=("tpu",)),
    doubled,
    narrow,
  ):
    text = lowered.as_text()
    assert "stablehlo.convolution" not in text
    assert "stablehlo.dot_general" in text


def test_gradients_of_float32_on_this_machine_are_those_of_double_precision():
  rng = np.random.default_rng(3)
  x, k = rng.normal(size=(3, 8, 8, 5)), rng.normal(size=(4, 4, 5, 4))
  single = jax.jit(second_derivative)(*(np.asarray(z, np.float32) for z in (x, k)))
  with jax.enable_x64(True):
    double = jax.jit(second_derivative)(x, k)
  np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-4 * np.abs(double).max())
