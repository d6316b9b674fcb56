"""Convolutions as matrix products, and the transposed convolution that goes with them.

Inside `scan` XLA runs a convolution slowly on a CPU, and `vmap` over its kernels makes it a grouped convolution, slow
everywhere. A stride-s convolution is also a sum of matrix products: fold each s x s block of pixels into channels
(space to depth), and a k x k kernel becomes (k/s) x (k/s) taps, each one product of all the pixels with one matrix.
Products run at full speed in `scan`, and become batched products over a population. Up to 4 taps are slices, multiplied
and summed. More (kernel 3 at stride 1 has 9), and those of grouped convolutions, are joined to one product (im2col): in
a gradient step in `scan` on 2 busy cores that took 40 ms for 3 -> 128 channels on 16 images of 32 x 32, the sum of
products 444; 116 against 212 for 128 -> 128 at 16 x 16. XLA's own convolution took 7 to 60 times the processor time of
the forms here: 1700 ms against 58 for that one, 1750 against 28 with the mean of 2 x 2 pixels after it or doubling
before it, 1250 against 58 for 32 groups of 16 channels.

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

from gan_jax.models.linen import weights
from gan_jax.models.spectral import normalised

NHWC = ("NHWC", "HWIO", "NHWC")
MOST_SUMMED = 4  # taps whose products are summed; more are joined to one product
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
  """`lax.conv_general_dilated` in two dimensions by matrix products; fits `flax.linen.Conv(conv_general_dilated=...)`.

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
  taps, pixels, image_pads = [], [], []
  for size, k, s, (low, high) in zip(lhs.shape[1:3], rhs.shape[:2], window_strides, padding, strict=True):
    if size + low + high < k:
      raise ValueError(f"kernel: expected at most the padded image's {size + low + high} pixels, got {k}")
    taps.append(-(-k // s))
    pixels.append((size + low + high - k) // s + 1)
    # Pixels beyond the last window are cropped, so that the padded size is a whole number of s-blocks.
    image_pads.append((low, s * (pixels[-1] + taps[-1] - 1) - size - low, 0))
  (s, t), (p, q) = window_strides, pixels
  zero = jnp.zeros((), lhs.dtype)
  x = fold(lax.pad(lhs, zero, [(0, 0, 0), *image_pads, (0, 0, 0)]), s, t)
  h, w, channels, features = rhs.shape
  kernel = jnp.pad(rhs, [(0, taps[0] * s - h), (0, taps[1] * t - w), (0, 0), (0, 0)])
  kernel = kernel.reshape(taps[0], s, taps[1], t, channels, features).transpose(0, 2, 1, 3, 4, 5)
  if feature_group_count > 1 or taps[0] * taps[1] > MOST_SUMMED:
    return _joined(x, kernel, (p, q), feature_group_count, precision)
  kernel = kernel.reshape(taps[0], taps[1], s * t * channels, features)
  products = [
    jnp.dot(x[:, i : i + p, j : j + q], kernel[i, j], precision=precision)
    for i in range(taps[0])
    for j in range(taps[1])
  ]
  return functools.reduce(jnp.add, products)


def _joined(x: Array, kernel: Array, pixels: tuple[int, int], groups: int, precision: Any) -> Array:
  """One product per group: x [B, h, w, s t C], kernel [i, j, s, t, C/G, O] -> [B, P, Q, O].

  The taps are copied beside one another (im2col).
  """
  batch, height, width, _ = x.shape
  high, wide, s, t, channels, features = kernel.shape
  (p, q), depth = pixels, high * wide * s * t * channels
  if groups > 1:
    x = x.reshape(batch, height, width, s * t, groups, channels).transpose(4, 0, 1, 2, 3, 5)
    x = x.reshape(groups, batch, height, width, s * t * channels)
  taps = jnp.concatenate([x[..., i : i + p, j : j + q, :] for i in range(high) for j in range(wide)], axis=-1)
  if groups == 1:
    return jnp.dot(taps, kernel.reshape(depth, features), precision=precision)
  kernel = kernel.reshape(depth, groups, features // groups).transpose(1, 0, 2)
  y = jnp.einsum("gnk,gko->gno", taps.reshape(groups, batch * p * q, depth), kernel, precision=precision)
  return y.reshape(groups, batch, p, q, features // groups).transpose(1, 2, 3, 0, 4).reshape(batch, p, q, features)


def unfold(x: Array, s: int, t: int) -> Array:
  """Depth to space, the inverse of `fold`: [B, P, Q, s t C] -> [B, s P, t Q, C]."""
  batch, height, width, depth = x.shape
  x = x.reshape(batch, height, width, s, t, depth // (s * t)).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, height * s, width * t, depth // (s * t))


def fold(x: Array, s: int, t: int) -> Array:
  """Space to depth: [B, H, W, C] -> [B, H/s, W/t, s t C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // s, s, width // t, t, channels).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, height // s, width // t, s * t * channels)


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

  `<up(y, k), x> = <y, conv(x, k)>` for all x and y. Each 2 x 2 block of pixels depends on 2 x 2 taps, so this is a
  convolution of stride 1 whose channels are the pixels of a block, followed by `unfold`.
  """
  _, _, channels, features = kernel.shape
  (s, t), (taps_h, taps_w) = STRIDE, (KERNEL[0] // STRIDE[0], KERNEL[1] // STRIDE[1])
  taps = kernel.reshape(taps_h, s, taps_w, t, channels, features)[::-1, :, ::-1]
  taps = taps.transpose(0, 2, 5, 1, 3, 4).reshape(taps_h, taps_w, features, s * t * channels)
  (top, bottom), (left, right) = PADDING
  x = unfold(matmul_conv_general_dilated(y, taps, (1, 1), ((taps_h - 1,) * 2, (taps_w - 1,) * 2)), s, t)
  return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


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
  - 'mean_pool': the mean of 2 x 2 pixels after it, which is a convolution with kernel 4 and stride 2: 16 products of a
    quarter of the pixels, 4 of all of them instead of 9.
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
