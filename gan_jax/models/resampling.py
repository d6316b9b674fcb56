"""Doubles and halves images without weights, by reshaping and adding shifted slices.

Not by convolutions: inside `scan` XLA's own is slow on a CPU, and here each output pixel is a sum of four inputs.
Images are [B, H, W, C]; H and W are doubled, or halved where they are even.
"""

import jax.numpy as jnp
from jax import Array, lax

UPSAMPLINGS = ("nearest", "bilinear", "zero_insertion")


def nearest(x: Array) -> Array:
  """Each pixel as a block of 2 x 2."""
  batch, height, width, channels = x.shape
  blocks = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
  return blocks.reshape(batch, 2 * height, 2 * width, channels)


def zero_insertion(x: Array) -> Array:
  """Each pixel at the upper left of a block of 2 x 2, zeros beside it."""
  batch, height, width, channels = x.shape
  blocks = jnp.pad(x[:, :, None, :, None], [(0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0)])
  return blocks.reshape(batch, 2 * height, 2 * width, channels)


def bilinear(x: Array) -> Array:
  """Linear interpolation at pixel centres, (x[i - 1] + 3 x[i]) / 4 and (3 x[i] + x[i + 1]) / 4; the edge continues itself."""
  return doubled(doubled(x, 1, "edge"), 2, "edge")


def smooth_up(x: Array) -> Array:
  """`nearest`, then the filter [1, 2, 1] / 4 along both axes, with zeros outside: as `bilinear` but for the edge."""
  return doubled(doubled(x, 1, "constant"), 2, "constant")


def smooth_down(x: Array) -> Array:
  """The filter [1, 2, 1] / 4 along both axes, with zeros outside, then `mean_pool`: (x[-1] + 3 x[0] + 3 x[1] + x[2]) / 8."""
  return halved(halved(x, 1), 2)


def mean_pool(x: Array) -> Array:
  """The mean of each block of 2 x 2."""
  return blocks_of(x).mean((2, 4))


def blocks_of(x: Array) -> Array:
  """[B, H, W, C] -> [B, H/2, 2, W/2, 2, C]."""
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels)


def doubled(x: Array, axis: int, mode: str) -> Array:
  """One axis of `bilinear`; `mode` is that of `jnp.pad` at the edges."""
  size = x.shape[axis]
  padded = jnp.pad(x, [(int(i == axis),) * 2 for i in range(x.ndim)], mode=mode)
  before, after = (lax.slice_in_dim(padded, shift, shift + size, axis=axis) for shift in (0, 2))
  pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
  return pair.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])


def halved(x: Array, axis: int) -> Array:
  """One axis of `smooth_down`."""
  size = x.shape[axis] // 2
  pairs = x.reshape(*x.shape[:axis], size, 2, *x.shape[axis + 1 :])
  even, odd = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
  ends = [(int(i == axis),) * 2 for i in range(x.ndim)]
  before = lax.slice_in_dim(jnp.pad(odd, ends), 0, size, axis=axis)
  after = lax.slice_in_dim(jnp.pad(even, ends), 2, size + 2, axis=axis)
  return (before + 3 * even + 3 * odd + after) / 8


UPSAMPLE = {"nearest": nearest, "bilinear": bilinear, "zero_insertion": zero_insertion}
