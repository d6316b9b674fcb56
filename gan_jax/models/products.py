"""Convolutions as matrix products, in any order of derivative, alone or of a population.

A stride-s convolution is a sum of matrix products: fold each s x s block of pixels into channels (space to depth), and a
k x k kernel becomes (k/s) x (k/s) taps, each one product of all the pixels with one matrix. Over a population they
become batched products. Up to 4 taps are slices, multiplied and summed. More (kernel 3 at stride 1 has 9), and those of
grouped convolutions, are joined to one product (im2col): in a gradient step in `scan` on 2 busy cores that took 40 ms
for 3 -> 128 channels on 16 images of 32 x 32, the sum of products 444; 116 against 212 for 128 -> 128 at 16 x 16.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

MOST_SUMMED = 4  # taps whose products are summed; more are joined to one product
# Taps of a depthwise kernel (a group for each channel) that are joined; more are multiplied elementwise and summed. The
# joined products of one column each are slow, and hold a copy of the image for each tap. ms of one core for a pass and its
# derivatives on 64 images, joined and summed: kernel 7, 16 x 16 x 32, 119 and 30; kernel 5 of stride 2, the same image, 16
# and 5; kernel 3, 16 x 16 x 64, 68 and 59; kernel 3 of stride 2, 32 x 32 x 32, 37 and 52.
MOST_JOINED = 9


def convolved(
  x: Array,
  kernel: Array,
  strides: Sequence[int],
  pads: Sequence[tuple[int, int]],
  groups: int = 1,
  precision: Any = None,
) -> Array:
  """`y[b, p, q, o] = sum_{i, j, c} x[b, s p + i - lo, t q + j - lo, c] k[i, j, c, o]`, x zero outside its bounds.

  Args:
    x: images [B, H, W, C].
    kernel: [h, w, C / groups, O]; it is padded with zeros to a multiple of the stride.
    strides: (s, t).
    pads: ((top, bottom), (left, right)); negative crops.
    groups: the g-th of so many parts of O sees the g-th part of C.
    precision: of the products, as in lax.

  Returns:
    [B, P, Q, O].
  """
  h, w, channels, features = kernel.shape
  if groups == features == x.shape[3] and h * w > MOST_JOINED:
    return _depthwise(x, kernel, strides, pads)
  taps, pixels, image_pads = [], [], []
  for size, k, s, (low, high) in zip(x.shape[1:3], kernel.shape[:2], strides, pads, strict=True):
    taps.append(-(-k // s))
    pixels.append((size + low + high - k) // s + 1)
    # Pixels beyond the last window are cropped, so that the padded size is a whole number of s-blocks.
    image_pads.append((low, s * (pixels[-1] + taps[-1] - 1) - size - low, 0))
  (s, t), (p, q) = strides, pixels
  x = fold(lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *image_pads, (0, 0, 0)]), s, t)
  kernel = jnp.pad(kernel, [(0, taps[0] * s - h), (0, taps[1] * t - w), (0, 0), (0, 0)])
  kernel = kernel.reshape(taps[0], s, taps[1], t, channels, features).transpose(0, 2, 1, 3, 4, 5)
  if groups > 1 or taps[0] * taps[1] > MOST_SUMMED:
    return _joined(x, kernel, (p, q), groups, precision)
  kernel = kernel.reshape(taps[0], taps[1], s * t * channels, features)
  products = [
    jnp.dot(x[:, i : i + p, j : j + q], kernel[i, j], precision=precision)
    for i in range(taps[0])
    for j in range(taps[1])
  ]
  return functools.reduce(jnp.add, products)


def _depthwise(x: Array, kernel: Array, strides: Sequence[int], pads: Sequence[tuple[int, int]]) -> Array:
  """Each channel with its own kernel [h, w, 1, C]: a sum of shifted images, [B, H, W, C] -> [B, P, Q, C]."""
  sizes = zip(x.shape[1:3], kernel.shape[:2], strides, pads, strict=True)
  p, q = (s * ((size + low + high - k) // s) + 1 for size, k, s, (low, high) in sizes)
  x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pair, 0) for pair in pads), (0, 0, 0)])
  (s, t), (high, wide) = strides, kernel.shape[:2]
  terms = [x[:, i : i + p : s, j : j + q : t] * kernel[i : i + 1, j : j + 1] for i in range(high) for j in range(wide)]
  return functools.reduce(jnp.add, terms)


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
