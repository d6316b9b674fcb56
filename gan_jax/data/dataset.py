"""The record of a dataset: arrays on the device as they were stored, and a function that decodes a batch of them."""

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput, plural, shown
from gan_jax.core.registry import Registry
from gan_jax.core.types import Data

CHUNK = 4096  # the most examples decoded at once when all are checked
CHUNK_BYTES = 2**25  # of stored examples, looked at at once: data that are mapped from disk may exceed the memory
ROUNDING = 1e-5  # tolerance of a decoded pixel outside [-1, 1]


class Line(NamedTuple):
  """A line in the plane, and a coordinate t on it: centre + t direction."""

  centre: np.ndarray  # [2] float32
  direction: np.ndarray  # [2] float32, of length one


class Dataset(NamedTuple):
  """A whole dataset, ready to train on.

  `data.images` is uint8 [N, H, W, C] or float32 points [N, 2]; `data.labels` is int32 [N] in [0, num_classes). The images
  may be on the device, or a read-only `numpy.memmap`, which may be larger than any memory.
  `decode` turns a batch of stored examples into the networks' inputs: float32 images in [-1, 1], or the points.
  """

  data: Data
  decode: Callable[[Array], Array]
  image_shape: tuple[int, ...]  # of one example: (H, W, C), or (2,)
  num_classes: int
  kind: str  # 'images' or 'points'
  modes: np.ndarray | None = None  # [K, 2] float32, the exact centres of a mixture; None for all else
  std: float | None = None  # of each mode, per coordinate; None for all else
  line: Line | None = None  # on which the points are N(0, 1); None for all else
  reference: Data | None = None  # what samples are compared with, if not with the training data

  @property
  def judged(self) -> Data:
    """The examples that samples are compared with."""
    return self.data if self.reference is None else self.reference


DATASETS = Registry("dataset", ())
register = DATASETS.register


def digest(dataset: Dataset) -> str:
  """sha256 of the stored examples and labels, with dtypes and shapes: it detects other data of the same name."""
  hasher = hashlib.sha256()
  for array in dataset.data:
    stored = np.asarray(array)
    hasher.update(f"{stored.dtype} {stored.shape}".encode())
    for chunk in chunks(stored):
      hasher.update(chunk.tobytes())
  return hasher.hexdigest()


def chunks(stored: np.ndarray) -> Iterator[np.ndarray]:
  """The examples [N, ...] in their order, so many at once that they have about `CHUNK_BYTES`."""
  size = at_once(stored)
  return (stored[start : start + size] for start in range(0, len(stored), size))


def at_once(images: Any) -> int:
  """How many examples have about `CHUNK_BYTES`, at least one."""
  return max(CHUNK_BYTES // max(math.prod(images.shape[1:]) * images.dtype.itemsize, 1), 1)


def decode_bytes(stored: Array) -> Array:
  """uint8 0..255 -> float32 in [-1, 1]: `(2 x - 255) / 255`, exact at both ends and symmetric about zero.

  `x / 127.5 - 1` is not used: XLA multiplies by the rounded reciprocal, and white becomes greater than 1.
  """
  return (2.0 * stored.astype(jnp.float32) - 255.0) / 255.0


def decode_points(stored: Array) -> Array:
  """Points are used as they are stored."""
  return stored


def encode_for_view(images: Array) -> Array:
  """Images in [-1, 1] -> uint8 0..255, the inverse of `decode_bytes`; values outside are clipped, NaN becomes black."""
  unit = jnp.clip(jnp.nan_to_num(images, nan=-1.0), -1.0, 1.0)
  return jnp.round((unit + 1.0) * 127.5).astype(jnp.uint8)


def check(name: str, dataset: Dataset) -> Dataset:
  """The dataset, after checking that it is as `Dataset` says; done once, before anything is trained on it.

  Images must lie in [-1, 1], which a generator that ends in tanh can reach; points may have any units.

  Raises:
    BadInput: no examples; shapes other than those declared; labels that are not integers, not one per example, or
      not in [0, num_classes); decoded values that are not floats, not finite, or out of range.
  """

  def refuse(expected: str, got: object) -> BadInput:
    return BadInput(f"dataset {name!r} expected {expected}, got {got}")

  images, labels = dataset.data
  for what, array in (("images", images), ("labels", labels)):
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
      raise refuse(f"an array of {what}", f"{type(array).__name__} {shown(array)}")
  if images.ndim < 2 or 0 in images.shape:
    raise refuse("at least one example, [N, ...]", f"images of shape {list(images.shape)}")
  if not (isinstance(dataset.num_classes, (int, np.integer)) and dataset.num_classes >= 1):
    raise refuse("at least one class", f"num_classes {shown(dataset.num_classes)}")
  if dataset.kind not in ("images", "points") or len(dataset.image_shape) != {"images": 3, "points": 1}[dataset.kind]:
    raise refuse(
      "kind 'images' of shape (H, W, C) or 'points' of shape (2,)", f"{dataset.kind!r} {dataset.image_shape}"
    )
  if labels.shape != images.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
    raise refuse(f"{plural(len(images), 'label')}, whole numbers", f"{labels.dtype} of shape {list(labels.shape)}")
  stored = np.asarray(labels)
  if stored.min() < 0 or stored.max() >= dataset.num_classes:
    raise refuse(f"labels from 0 to {dataset.num_classes - 1}", f"labels from {stored.min()} to {stored.max()}")
  low, high = _range(name, dataset)
  if dataset.kind == "images" and not (low >= -1 - ROUNDING and high <= 1 + ROUNDING):
    raise refuse("images in [-1, 1] after decoding", f"values from {low:g} to {high:g}")
  return dataset


def _range(name: str, dataset: Dataset) -> tuple[float, float]:
  """The smallest and the largest decoded value. Raises `BadInput` for wrong shapes or values."""
  images = dataset.data.images

  @jax.jit
  def ends(chunk: Array) -> tuple[Array, Array, Array]:
    seen = dataset.decode(chunk)
    if seen.shape != (len(chunk), *dataset.image_shape) or not jnp.issubdtype(seen.dtype, jnp.floating):
      raise BadInput(
        f"dataset {name!r} expected decoded examples of shape {tuple(dataset.image_shape)} in float32, "
        f"got {tuple(seen.shape[1:])} in {seen.dtype}"
      )
    return seen.min(), seen.max(), jnp.isfinite(seen).all()

  if dataset.decode is decode_bytes and images.dtype == np.uint8:
    images = images[:1]  # no byte leaves the range, so gigabytes of them need not be looked at
  # The last chunk overlaps the one before, because another length would compile a second program.
  size = min(CHUNK, len(images), at_once(images))
  starts = [*range(0, len(images) - size, size), len(images) - size]
  chunks = (images[start : start + size] if len(starts) > 1 else images for start in starts)
  found = [jax.device_get(ends(chunk)) for chunk in chunks]
  if not all(finite for _, _, finite in found):
    raise BadInput(f"dataset {name!r} expected finite values after decoding, got NaN or infinity")
  return float(min(low for low, _, _ in found)), float(max(high for _, high, _ in found))
