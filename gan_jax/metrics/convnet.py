"""A small convolutional network with features and logits, for images that a fully connected one is too poor for.

Measured on CIFAR-10's JPEGs with 800 steps of 128 images: 63 % accurate on 10,000 held-out images, after 45 seconds of
processor time.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

WIDTHS = (32, 64, 96)  # channels of the convolutions, each of which halves the image
SIDE = 32  # images of about twice this side and more are shrunk to about this side


class ConvNet(nn.Module):
  """Three convolutions 3 x 3 of stride 2, then two dense layers: [B, H, W, C] -> (features [B, F], logits [B, K])."""

  features: int
  outputs: int

  @nn.compact
  def __call__(self, images: Array) -> tuple[Array, Array]:
    hidden = shrunk(images)
    for width in WIDTHS:
      hidden = nn.relu(nn.Conv(width, (3, 3), (2, 2), conv_general_dilated=by_columns)(hidden))
    features = nn.relu(nn.Dense(self.features)(hidden.reshape(hidden.shape[0], -1)))
    return features, nn.Dense(self.outputs)(features)


def shrunk(images: Array) -> Array:
  """Images [B, H, W, C] as means over blocks of n x n pixels, n the longer side over `SIDE`; the rest is cut off."""
  batch, height, width, channels = images.shape
  n = max(1, round(max(height, width) / SIDE))
  n = min(n, height, width)
  rows, columns = height // n, width // n
  blocks = images[:, : rows * n, : columns * n].reshape(batch, rows, n, columns, n, channels)
  return blocks.mean(axis=(2, 4))


def by_columns(lhs: Array, rhs: Array, window_strides: Sequence[int], padding: Any, **others: Any) -> Array:
  """`lax.conv_general_dilated` of NHWC images and a HWIO kernel as one matrix product, for `nn.Conv`.

  Inside `scan` XLA's own convolution is tens of times slower on a CPU. All windows are laid out side by side, which costs
  k^2 times the memory of the images: nothing for the small batches that are trained on here.
  """
  del others  # no dilation, no groups
  (s, t), (h, w, _, features) = window_strides, rhs.shape
  pads = lax.padtype_to_pads(lhs.shape[1:3], (h, w), window_strides, padding) if isinstance(padding, str) else padding
  x = jnp.pad(lhs, ((0, 0), *pads, (0, 0)))
  rows, columns = (x.shape[1] - h) // s + 1, (x.shape[2] - w) // t + 1
  windows = [
    x[:, i : i + s * (rows - 1) + 1 : s, j : j + t * (columns - 1) + 1 : t] for i in range(h) for j in range(w)
  ]
  return jnp.concatenate(windows, axis=-1) @ rhs.reshape(-1, features)
