"""What a dataset is: arrays that stay on the device as they were stored, and how a batch of them is decoded."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.types import Data


class Line(NamedTuple):
  """A line in the plane, and a coordinate t on it: centre + t direction."""

  centre: np.ndarray  # [2] float32
  direction: np.ndarray  # [2] float32, of length one


class Dataset(NamedTuple):
  """A whole dataset, ready to train on.

  `data.images` is uint8 [N, H, W, C] or float32 points [N, 2]; `data.labels` is int32 [N] in [0, num_classes).
  `decode` turns a batch of stored examples into what the networks see: float32 images in [-1, 1], or the points.
  """

  data: Data
  decode: Callable[[Array], Array]
  image_shape: tuple[int, ...]  # of one example: (H, W, C), or (2,)
  num_classes: int
  kind: str  # 'images' or 'points'
  modes: np.ndarray | None = None  # [K, 2] float32, the exact centres of a mixture; None for all else
  std: float | None = None  # of each mode, per coordinate; None for all else
  line: Line | None = None  # on which the points are N(0, 1); None for all else
  reference: Data | None = None  # what samples are judged against, where it is not what is trained on

  @property
  def judged(self) -> Data:
    """The examples that samples are compared with."""
    return self.data if self.reference is None else self.reference


def decode_bytes(stored: Array) -> Array:
  """uint8 0..255 -> float32 in [-1, 1]: `(2 x - 255) / 255`, exact at both ends and symmetric about zero.

  Not `x / 127.5 - 1`: XLA multiplies by the rounded reciprocal, and white comes out above 1.
  """
  return (2.0 * stored.astype(jnp.float32) - 255.0) / 255.0


def decode_points(stored: Array) -> Array:
  """Points are seen as they are stored."""
  return stored


def encode_for_view(images: Array) -> Array:
  """Images in [-1, 1] -> uint8 0..255, the inverse of `decode_bytes`; what lies outside is clipped, NaN is black."""
  unit = jnp.clip(jnp.nan_to_num(images, nan=-1.0), -1.0, 1.0)
  return jnp.round((unit + 1.0) * 127.5).astype(jnp.uint8)
