"""The two-dimensional convolution and its two transposes, each an operation of its own, of which the others are derivatives.

A convolution y = C(x, k) is linear in the images x and in the kernel k. With <a, b> the sum of a b, its two transposes are
defined by `<y, C(x, k)> = <I(y, k), x> = <K(x, y), k>`; the derivatives of each of the three in either argument are the
other two, so that derivatives of every order, forward and backward, consist of these three.

What they are compiled to depends on the backend. On a CPU XLA has a fast program for exactly one form of convolution:
images [B, H, W, C], a kernel [h, w, C, O], no gaps between the pixels of the images. What jax makes of derivatives has
other forms (axes exchanged, kernels reversed, gaps), which XLA computes element by element. So I and K are written
here as convolutions of the fast form: see `turned` and `counted`. On 2 busy cores, processor milliseconds in `scan`
for 64 images of 16 x 16, 32 -> 32 channels, kernel 3 (at the ceiling of matrix products: 3.2):

| | here | products of patches | XLA's own derivative |
|---|--:|--:|--:|
| C | 3.2 | 8.3 | 3.2 |
| I | 3.2 | 6.7 | 119 |
| K | 5.2 | 27.9 | 640 |
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from gan_jax.models import products

NHWC = ("NHWC", "HWIO", "NHWC")
Pads = tuple[tuple[int, int], tuple[int, int]]
# Channels C and O of a kernel up to which C and I are matrix products on a CPU, as all is in double precision. Processor
# milliseconds of convolutions and products: 64 images of 32 x 32, 3 -> 16, C 4.3 and 3.2, I 6.6 and 1.7; four members
# on 64 of 28 x 28, 1 -> 16, C 5.1 and 3.1, I 6.3 and 1.5. But 16 -> 3: C 3.5 and 6.2, I 2.4 and 6.6; K 1.6 and 3.7.
# `./launch.sh bench --rows narrow` times steps of networks of several widths in both forms.
NARROW = (4, 16)


class Geometry(NamedTuple):
  """Sizes of a convolution along the two axes of an image."""

  image: tuple[int, int]  # pixels of x
  taps: tuple[int, int]  # of the kernel
  strides: tuple[int, int]
  pads: Pads  # zeros before and after x; negative crops
  precision: Any = None  # of products, as in lax

  @property
  def pixels(self) -> tuple[int, int]:
    """Pixels of y."""
    height, width = (
      (n + sum(pads) - k) // s + 1 for n, k, s, pads in zip(self.image, self.taps, self.strides, self.pads, strict=True)
    )
    return height, width


def convolution(
  x: Array, kernel: Array, strides: Sequence[int], pads: Sequence[Sequence[int]], precision=None
) -> Array:
  """C: x [B, H, W, C], kernel [h, w, C, O] -> y [B, P, Q, O], as `products.convolved` says."""
  (s, t), ((top, bottom), (left, right)) = strides, pads
  image, taps = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1])
  return bound("y", x, kernel, Geometry(image, taps, (s, t), ((top, bottom), (left, right)), precision))


def transposed(y: Array, kernel: Array, geometry: Geometry) -> Array:
  """I: y [B, P, Q, O], kernel [h, w, C, O] -> x [B, H, W, C]."""
  return bound("x", y, kernel, geometry)


def bound(made: str, a: Array, b: Array, geometry: Geometry) -> Array:
  """One of the three operations on arrays of one type; `made` says which of x, k and y comes out."""
  dtype = jnp.result_type(a, b)
  return OPERATION.bind(a.astype(dtype), b.astype(dtype), made=made, geometry=geometry)


# Arguments of the operation that makes each of x, kernel and y, in this order.
TAKEN = {"y": ("x", "k"), "x": ("y", "k"), "k": ("x", "y")}


def shape_of(a: Any, b: Any, *, made: str, geometry: Geometry) -> ShapedArray:
  """Of the result; all three may have one more axis in front, of members."""
  lead = a.shape[:-4]
  if made == "y":
    shape = (a.shape[-4], *geometry.pixels, b.shape[-1])
  elif made == "x":
    shape = (a.shape[-4], *geometry.image, b.shape[-2])
  else:
    shape = (*geometry.taps, a.shape[-1], b.shape[-1])
  return ShapedArray((*lead, *shape), a.dtype)


def derivative(made: str, place: int) -> Callable[..., Array]:
  """The transpose in the argument at `place`: what it makes of a cotangent and the other argument."""
  wanted = TAKEN[made][place]

  def rule(cotangent: Array, a: Any, b: Any, *, geometry: Geometry) -> Array:
    known = {made: cotangent, TAKEN[made][1 - place]: (a, b)[1 - place]}
    first, second = (known[name] for name in TAKEN[wanted])
    return OPERATION.bind(first, second, made=wanted, geometry=geometry)

  return rule


def transpose_of(place: int) -> Callable[..., Array]:
  return lambda cotangent, a, b, *, made, geometry: derivative(made, place)(cotangent, a, b, geometry=geometry)


def of_members(arguments: Sequence[Array], axes: Sequence[int | None], *, made: str, geometry: Geometry) -> Any:
  """The operation under `vmap`.

  One member is none. Members that share a kernel are more images. All others get the axis in front that `shape_of` knows.
  """
  (count,) = {x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None}
  a, b = (x if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(arguments, axes, strict=True))
  apply = functools.partial(OPERATION.bind, made=made, geometry=geometry)
  if count == 1:
    return apply(*(x if axis is None else x[0] for x, axis in zip((a, b), axes, strict=True)))[None], 0
  if axes[1] is None and made != "k" and a.ndim == 5:
    return apply(a.reshape(-1, *a.shape[2:]), b).reshape(
      count, -1, *shape_of(a[0], b, made=made, geometry=geometry).shape[1:]
    ), 0
  a, b = (jnp.broadcast_to(x, (count, *x.shape)) if axis is None else x for x, axis in zip((a, b), axes, strict=True))
  if a.ndim == 5:
    return apply(a, b), 0
  many = apply(a.reshape(-1, *a.shape[2:]), b.reshape(-1, *b.shape[2:]))
  return many.reshape(count, -1, *many.shape[1:]), 0


def as_products(a: Array, b: Array, *, made: str, geometry: Geometry) -> Array:
  """Any backend's form: matrix products, and batched products over members."""
  if a.ndim == 5:
    return jax.vmap(functools.partial(as_products, made=made, geometry=geometry))(a, b)
  apply = lambda x, k: products.convolved(x, k, geometry.strides, geometry.pads, precision=geometry.precision)  # noqa: E731
  if made == "y":
    return apply(a, b)
  like = jax.ShapeDtypeStruct(shape_of(a, b, made=made, geometry=geometry).shape, a.dtype)
  (found,) = jax.linear_transpose((lambda x: apply(x, b)) if made == "x" else (lambda k: apply(a, k)), like)(
    a if made == "x" else b
  )
  return found


def on_cpu(a: Array, b: Array, *, made: str, geometry: Geometry) -> Array:
  """XLA's convolution in the form that is fast on a CPU, but where that is slow too: see `NARROW`."""
  narrow = made != "k" and b.shape[-2] <= NARROW[0] and b.shape[-1] <= NARROW[1]
  form = as_products if narrow or a.dtype == jnp.float64 else as_convolutions
  return form(a, b, made=made, geometry=geometry)


def as_convolutions(a: Array, b: Array, *, made: str, geometry: Geometry) -> Array:
  """Convolutions of stride s or gaps s in the fast form alone."""
  if a.ndim == 5:
    return lax.map(lambda pair: as_convolutions(*pair, made=made, geometry=geometry), (a, b))
  return {"y": plain, "x": turned, "k": counted}[made](a, b, geometry)


def plain(x: Array, kernel: Array, g: Geometry) -> Array:
  """C."""
  return convolve(x, kernel, g.strides, g.pads, (1, 1), g.precision)


def convolve(x: Array, kernel: Array, strides: Any, pads: Any, dilation: Any, precision: Any) -> Array:
  """XLA's convolution; what pads crop is cut off before, for its fast form has none."""
  cuts = [slice(max(0, -low), n - max(0, -high)) for n, (low, high) in zip(x.shape[1:3], pads, strict=True)]
  pads = [(max(0, low), max(0, high)) for low, high in pads]
  return lax.conv_general_dilated(
    x[:, cuts[0], cuts[1]], kernel, strides, pads,
    rhs_dilation=dilation, dimension_numbers=NHWC, precision=precision,
  )  # fmt: skip


class Phase(NamedTuple):
  """The pixels r, r + s, r + 2 s, ... of x along one axis, as a convolution of stride 1 of the pixels of y."""

  first: int  # the taps that reach them are first, first + s, ...
  pads: tuple[int, int]


def phases(size: int, k: int, s: int, low: int, n: int) -> list[Phase]:
  """`x[s m + r] = sum_t y[m + d - t] k[first + s t]`, first = (r + low) mod s, d = (r + low) div s."""
  found = []
  for r in range(s):
    first, shift = (r + low) % s, (r + low) // s
    taps = len(range(first, k, s))
    found.append(Phase(first, (taps - 1 - shift, -(-size // s) - n + shift)))
  return found


def turned(y: Array, kernel: Array, g: Geometry) -> Array:
  """I as one convolution of stride 1 for each of the s x t places in a block of pixels, with the taps that reach it."""
  kernel = kernel.transpose(0, 1, 3, 2)
  (s, t), (height, width) = g.strides, g.image
  down, across = (
    phases(size, k, stride, low, n)
    for size, k, stride, (low, _), n in zip(g.image, g.taps, g.strides, g.pads, y.shape[1:3], strict=True)
  )

  def part(row: Phase, column: Phase) -> Array:
    taps = kernel[row.first :: s, column.first :: t][::-1, ::-1]
    if not taps.size:  # a stride larger than the kernel passes these pixels by
      return jnp.zeros((y.shape[0], -(-height // s), -(-width // t), kernel.shape[3]), y.dtype)
    return convolve(y, taps, (1, 1), (row.pads, column.pads), (1, 1), g.precision)

  if (s, t) == (1, 1):
    return part(down[0], across[0])
  x = jnp.stack([jnp.stack([part(row, column) for column in across], 3) for row in down], 2)
  x = x.reshape(x.shape[0], s * x.shape[1], t * x.shape[3], x.shape[5])
  return x[:, :height, :width]


def counted(x: Array, y: Array, g: Geometry) -> Array:
  """K as a convolution of x whose kernel is y, s pixels apart: examples are its channels, and channels its examples."""
  pads = [
    (low, k + s * (n - 1) - size - low)
    for size, k, s, (low, _), n in zip(g.image, g.taps, g.strides, g.pads, y.shape[1:3], strict=True)
  ]
  found = convolve(x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), (1, 1), pads, g.strides, g.precision)
  return found.transpose(1, 2, 0, 3)


@functools.partial(jax.jit, static_argnames=("made", "geometry"))
def compiled(a: Array, b: Array, *, made: str, geometry: Geometry) -> Array:
  return OPERATION.bind(a, b, made=made, geometry=geometry)


OPERATION = Primitive("image_convolution")
OPERATION.def_impl(compiled)
OPERATION.def_abstract_eval(shape_of)
ad.defbilinear(OPERATION, transpose_of(0), transpose_of(1))
batching.primitive_batchers[OPERATION] = of_members
mlir.register_lowering(OPERATION, mlir.lower_fun(as_products, multiple_results=False))
mlir.register_lowering(OPERATION, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")
