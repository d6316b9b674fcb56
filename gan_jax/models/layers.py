"""Convolutions that are fast in loops and over populations, and the transposed convolution that goes with them.

jax makes of a convolution's derivatives, and of one `vmap`ped over its kernels, forms of convolution that XLA computes
slowly on a CPU: 40 to 200 times the processor time of the forward one. `convolution='matmul'` has derivatives of its own:
on a CPU convolutions of the one form that is fast there (bilinear.py), elsewhere matrix products (products.py), of which
grouped convolutions consist everywhere. The name is from the time when all were products.

Processor milliseconds of a step on two busy cores, with the convolutions of bilinear.py and with products: one SNDCGAN
32 x 32 of width 128 178 and 235, one DCGAN 28 x 28 of width 64 among four 54 and 73, with a row every 20 steps.

`convolution='auto'` is 'matmul' on every backend. On one H200 a DCGAN's step (64 to 256 channels, 64 images of 32 x 32)
took 1.1 ms with products and 1.8 with XLA's convolutions, and 16 of them 18 and 43 ms, on a host that was busy compiling.
Wider networks were not compared there; XLA's convolutions compile faster.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import Initializer

from gan_jax.models import bilinear, products
from gan_jax.models.bilinear import NHWC
from gan_jax.models.linen import weights
from gan_jax.models.spectral import normalised

KERNEL, STRIDE, PADDING = (4, 4), (2, 2), ((1, 1), (1, 1))  # exactly halves, or doubles, an even size (DCGAN)


def matmul_conv_general_dilated(
  lhs: Array,
  rhs: Array,
  window_strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = NHWC,
  feature_group_count: int = 1,
  precision: Any = None,
) -> Array:
  """`lax.conv_general_dilated` in two dimensions with fast derivatives; fits `flax.linen.Conv(conv_general_dilated=...)`.

  `y[b, p, q, o] = sum_{i, j, c} x[b, s p + i - lo, s q + j - lo, c] k[i, j, c, o]`, x zero outside its bounds.

  Args:
    lhs: images [B, H, W, C].
    rhs: kernel [h, w, C, O]; it is padded with zeros to a multiple of the stride.
    window_strides: (vertical, horizontal).
    padding: 'SAME', 'VALID' or ((top, bottom), (left, right)); negative crops.
    dimension_numbers: NHWC, HWIO, NHWC in any spelling that lax knows.
    feature_group_count: G; the kernel is then [h, w, C/G, O], and the g-th of G parts of O sees the g-th part of C.
    precision: of the products, as in lax.

  Returns:
    [B, P, Q, O].

  Raises:
    ValueError: dilation, another layout, shapes that do not fit, or a kernel larger than the padded image.
  """
  _check(lhs, rhs, window_strides, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
  for size, k, pads in zip(lhs.shape[1:3], rhs.shape[:2], padding, strict=True):
    if size + sum(pads) < k:
      raise ValueError(f"kernel: expected at most the padded image's {size + sum(pads)} pixels, got {k}")
  if feature_group_count > 1:
    return products.convolved(lhs, rhs, window_strides, padding, feature_group_count, precision)
  return bilinear.convolution(lhs, rhs, window_strides, padding, precision)


def _check(lhs, rhs, strides, lhs_dilation, rhs_dilation, dimension_numbers, groups) -> None:
  if lhs.ndim != 4 or rhs.ndim != 4 or len(strides) != 2:
    raise ValueError(
      f"expected images [B, H, W, C], a kernel [h, w, C, O] and two strides, "
      f"got {list(lhs.shape)}, {list(rhs.shape)} and {tuple(strides)}"
    )
  layout = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
  if layout != lax.conv_dimension_numbers(lhs.shape, rhs.shape, NHWC):
    raise ValueError(f"dimension_numbers: expected {NHWC}, got {dimension_numbers}")
  if groups < 1 or lhs.shape[3] % groups or rhs.shape[3] % groups:
    raise ValueError(
      f"feature_group_count: expected a divisor of {lhs.shape[3]} channels and of {rhs.shape[3]} features, got {groups}"
    )
  for name, dilation in (("lhs_dilation", lhs_dilation), ("rhs_dilation", rhs_dilation)):
    if dilation is not None and any(d != 1 for d in dilation):
      raise ValueError(f"{name}: expected none, got {tuple(dilation)}")
  if lhs.shape[3] != rhs.shape[2] * groups:
    raise ValueError(f"expected a kernel for {lhs.shape[3] // groups} channels, got one for {rhs.shape[2]}")


def matmul_up(y: Array, kernel: Array) -> Array:
  """The linear transpose of the stride-2 convolution: y [B, P, Q, O], kernel [4, 4, C, O] -> [B, 2P, 2Q, C].

  `<up(y, k), x> = <y, conv(x, k)>` for all x and y.
  """
  _, height, width, _ = y.shape
  geometry = bilinear.Geometry((height * STRIDE[0], width * STRIDE[1]), KERNEL, STRIDE, PADDING)
  return bilinear.transposed(y, kernel, geometry)


def lax_up(y: Array, kernel: Array) -> Array:
  """The same by `lax.conv_transpose`."""
  return lax.conv_transpose(y, kernel, STRIDE, "SAME", dimension_numbers=NHWC, transpose_kernel=True)


class Convolution(NamedTuple):
  """One implementation: `down` has the signature of `lax.conv_general_dilated`, `up` is its transpose at stride 2."""

  down: Callable[..., Array]
  up: Callable[[Array, Array], Array]


MATMUL = Convolution(matmul_conv_general_dilated, matmul_up)
CONVOLUTIONS = {"auto": MATMUL, "matmul": MATMUL, "lax": Convolution(lax.conv_general_dilated, lax_up)}


class DownConvolution(nn.Module):
  """Convolution with kernel 4 and stride 2: [B, H, W, C] -> [B, H/2, W/2, features]."""

  features: int
  convolution: str
  gain: float  # see `weights`

  @nn.compact
  def __call__(self, x: Array) -> Array:
    conv = CONVOLUTIONS[self.convolution].down
    init = weights(self.gain)
    return nn.Conv(self.features, KERNEL, STRIDE, PADDING, kernel_init=init, conv_general_dilated=conv, name="conv")(x)


class UpConvolution(nn.Module):
  """Transposed convolution with kernel 4 and stride 2: [B, H, W, C] -> [B, 2H, 2W, features].

  Its kernel is that of the convolution it transposes, [4, 4, features, C]. Only 2 x 2 of its taps contribute to a
  pixel, so the variance that preserves the scale of the signal is `gain` over 4 C, not over 16 C.
  """

  features: int
  convolution: str
  gain: float

  @nn.compact
  def __call__(self, x: Array) -> Array:
    channels = x.shape[-1]
    reach = (KERNEL[0] // STRIDE[0]) * (KERNEL[1] // STRIDE[1])
    kernel = self.param("kernel", weights(self.gain, reach * channels), (*KERNEL, self.features, channels))
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    return CONVOLUTIONS[self.convolution].up(x, kernel) + bias.reshape(1, 1, 1, -1)


SAMPLINGS = ("none", "mean_pool", "nearest", "zero_insertion", "strided", "transposed")  # of `Conv`


class Conv(nn.Module):
  """Convolution with initial weights and spectral normalisation by choice: [B, H, W, C] -> [B, P, Q, features].

  With kernel 3, alone or as one product with the resampling beside it:

  - 'none': stride 1; the size stays.
  - 'mean_pool': the mean of 2 x 2 pixels after it, which is a convolution with kernel 4 and stride 2: 16 products for a
    quarter of the pixels, 4 for each instead of 9.
  - 'nearest', 'zero_insertion': the image is doubled before it (models/resampling.py), which is a transposed
    convolution with kernel 4 and stride 2, at the same price.

  With kernel 4 and stride 2: 'strided' halves the image, 'transposed' doubles it. The kernel [3 or 4, ., C, features] is
  normalised as the matrix [taps C, features].
  """

  features: int
  kernel_init: Initializer
  convolution: str
  sampling: str = "none"
  spectral: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    size = KERNEL if self.sampling in ("strided", "transposed") else (3, 3)
    kernel = self.param("kernel", self.kernel_init, (*size, x.shape[-1], self.features))
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    if self.spectral:
      kernel = normalised(self, kernel, train)
    return resampled_convolution(x, kernel, self.sampling, self.convolution) + bias.reshape(1, 1, 1, -1)


def resampled_convolution(x: Array, kernel: Array, sampling: str, convolution: str) -> Array:
  """The convolution of `Conv`, as one convolution or one transposed convolution."""
  down, up = CONVOLUTIONS[convolution]
  if sampling in ("nearest", "zero_insertion", "transposed"):
    turned = kernel.transpose(0, 1, 3, 2)  # a transposed convolution takes the kernel of the one that it transposes
    if sampling == "transposed":
      return up(x, turned)
    turned = turned[::-1, ::-1]
    return up(x, spread(turned) if sampling == "nearest" else jnp.pad(turned, [(0, 1), (0, 1), (0, 0), (0, 0)]))
  kernel = 0.25 * spread(kernel) if sampling == "mean_pool" else kernel
  return down(x, kernel, (1, 1) if sampling == "none" else STRIDE, PADDING, dimension_numbers=NHWC)


def spread(kernel: Array) -> Array:
  """The convolution of a kernel [3, 3, C, O] with a block of 2 x 2 ones: [4, 4, C, O]."""
  shifts = [(a, b) for a in range(2) for b in range(2)]
  return functools.reduce(jnp.add, [jnp.pad(kernel, [(a, 1 - a), (b, 1 - b), (0, 0), (0, 0)]) for a, b in shifts])
