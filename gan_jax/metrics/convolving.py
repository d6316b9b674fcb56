"""What the published networks are made of: convolutions with batch normalisation folded in, and resampling by matrices."""

import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

EPSILON = 1e-3  # of every batch normalisation here
NHWC = ("NHWC", "HWIO", "NHWC")

Layer = tuple[Array, Array]  # kernel [h, w, I, O] and bias [O]


def folded(tensors: Mapping[str, np.ndarray], convolution: str, norm: str) -> Layer:
  """A convolution without bias and the batch normalisation after it, with its moving statistics, as one convolution.

  Computed in float64. PyTorch's kernels are [O, I, h, w].
  """
  gamma, beta, mean, variance = (
    np.asarray(tensors[f"{norm}.{part}"], np.float64) for part in ("weight", "bias", "running_mean", "running_var")
  )
  scale = gamma / np.sqrt(variance + EPSILON)
  kernel = np.asarray(tensors[f"{convolution}.weight"], np.float64).transpose(2, 3, 1, 0) * scale
  return jnp.asarray(kernel, jnp.float32), jnp.asarray(beta - mean * scale, jnp.float32)


def convolve(x: Array, layer: Layer, stride: int = 1, padding: str | Sequence[tuple[int, int]] = "VALID") -> Array:
  """[B, H, W, I] -> [B, P, Q, O]; a kernel with one input is one of each channel by itself (depthwise).

  1 x 1 is a matrix product. On a CPU a depthwise convolution is a sum of shifted images: 2.5 against 20 ms of processor
  time for an image of 96 x 96 through EfficientNet-Lite0.
  """
  kernel, bias = layer
  offset = bias[None, None, None, :]
  if kernel.shape[:2] == (1, 1) and stride == 1:
    return jnp.dot(x, kernel[0, 0], precision="highest") + offset
  groups = x.shape[-1] // kernel.shape[2]
  if groups == x.shape[-1] > 1 and jax.default_backend() == "cpu":
    return functools.reduce(
      jnp.add, (tap * kernel[i, j][None, None] for i, j, tap in taps(x, kernel, stride, padding)), offset
    )
  found = lax.conv_general_dilated(
    x, kernel, (stride, stride), padding, dimension_numbers=NHWC, feature_group_count=groups, precision="highest"
  )
  return found + offset


def taps(
  x: Array, kernel: Array, stride: int, padding: str | Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, Array]]:
  """(i, j, what of x [B, H, W, I] the kernel's number i, j multiplies [B, P, Q, I]) of a convolution."""
  h, w = kernel.shape[:2]
  pads = lax.padtype_to_pads(x.shape[1:3], (h, w), (stride, stride), padding) if isinstance(padding, str) else padding
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  rows, columns = (x.shape[1] - h) // stride + 1, (x.shape[2] - w) // stride + 1
  for i in range(h):
    for j in range(w):
      yield i, j, x[:, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]


def resample(images: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
  """Images [B, H, W, C] resized by the matrices rows [P, H] and columns [Q, W]: [B, P, Q, C]."""
  return jnp.einsum("ph,qw,bhwc->bpqc", jnp.asarray(rows), jnp.asarray(columns), images, precision="highest")


def tensorflow_bilinear(size: int, target: int) -> np.ndarray:
  """[target, size]: bilinear interpolation as TensorFlow 1 does it, `tf.image.resize_bilinear` with its defaults.

  Pixel i of the result is at i size / target of the image: without a shift by half a pixel, and without smoothing where it
  shrinks. Beyond the last pixel is the last pixel. Places are rounded to float32, as there.
  """
  place = np.arange(target, dtype=np.float32) * np.float32(size / target)
  low = np.floor(place).astype(int)
  share = place - low.astype(np.float32)
  found = np.zeros((target, size), np.float32)
  np.add.at(found, (np.arange(target), low), 1 - share)
  np.add.at(found, (np.arange(target), np.minimum(low + 1, size - 1)), share)
  return found


def bilinear(size: int, target: int) -> np.ndarray:
  """[target, size]: bilinear interpolation with pixels' centres at halves; where it shrinks, a triangle as wide as needed.

  The same as Pillow's BILINEAR, up to its rounding to whole numbers.
  """
  scale = size / target
  wide = max(scale, 1.0)
  centres = (np.arange(target) + 0.5) * scale
  apart = np.abs(np.arange(size)[None, :] + 0.5 - centres[:, None]) / wide
  found = np.maximum(1 - apart, 0)
  return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def to_bytes(images: Array) -> Array:
  """Images in [-1, 1] -> whole numbers from 0 to 255 in float32, rounded as an image file rounds them; NaN stays NaN.

  One channel becomes three equal ones.
  """
  rounded = jnp.round(jnp.clip((images + 1.0) * 127.5, 0.0, 255.0))
  return jnp.broadcast_to(rounded, (*images.shape[:3], 3))
