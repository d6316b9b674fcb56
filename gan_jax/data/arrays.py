"""Makes a `Dataset` of a user's arrays. The range of float images must be stated; it is never guessed."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput, shown
from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, decode_bytes, decode_points


def from_arrays(images: Any, labels: Any = None, span: tuple[float, float] | None = None) -> Dataset:
  """A dataset of these examples.

  Args:
    images: uint8 [N, H, W, C] from 0 to 255; floats [N, H, W, C], then with `span`; or floats [N, 2], points in the
    plane. labels: whole numbers [N] from 0 up, or None: all examples belong to one class. span: values of (black,
    white) in float images: (0, 1), (-1, 1), (0, 255), ... Images are stored unchanged.

  Raises:
    BadInput: other shapes or types, or float images without a span.
  """
  mapped = isinstance(images, np.memmap)
  images = images if mapped else np.asarray(images)
  what = f"{images.dtype} of shape {list(images.shape)}"
  floating = np.issubdtype(images.dtype, np.floating)
  if labels is None:
    labels = np.zeros(len(images) if images.ndim else 0, np.int32)
  labels = np.asarray(labels)
  if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer) or len(labels) == 0:
    raise BadInput(f"labels expected one whole number for each of the examples, {what}, got {_form(labels)}")
  if labels.min() < 0:
    raise BadInput(f"labels expected classes from 0 up, got {labels.min()}")
  # What is mapped from disk may be larger than the device's memory.
  data = Data(images if mapped else jnp.asarray(images), jnp.asarray(labels, jnp.int32))
  classes = int(labels.max()) + 1
  if floating and images.ndim == 2 and images.shape[1] == 2:
    return Dataset(data._replace(images=data.images.astype(jnp.float32)), decode_points, (2,), classes, "points")
  if images.ndim != 4 or not (floating or images.dtype == np.uint8):
    raise BadInput(f"images expected uint8 or floats [N, H, W, C], or points as floats [N, 2], got {what}")
  if not floating:
    if span not in (None, (0, 255)):
      raise BadInput(f"uint8 images expected no span, which is (0, 255), got {shown(span)}")
    return Dataset(data, decode_bytes, images.shape[1:], classes, "images")
  if span is None or not span[0] < span[1]:
    raise BadInput(
      f"float images expected span=(black, white), such as (0, 1) or (-1, 1), in data.from_arrays(images, labels, span), "
      f"got {'none' if span is None else shown(span)}: their values are from {images.min():g} to {images.max():g}"
    )
  low, high = span

  def decode(stored: Array) -> Array:
    return (2 * (stored.astype(jnp.float32) - low) / (high - low)) - 1

  return Dataset(data, decode, images.shape[1:], classes, "images")


def as_dataset(made: Any, name: str) -> Dataset:
  """The result of a loader as a `Dataset`: it may be one, or images, or (images, labels); else raises `BadInput`."""
  if isinstance(made, Dataset):
    return made
  if isinstance(made, (tuple, list)) and len(made) == 2 and hasattr(made[0], "shape"):
    return from_arrays(*made)
  if hasattr(made, "shape") and hasattr(made, "dtype"):
    return from_arrays(made)
  raise BadInput(
    f"dataset {name!r} expected to return images [N, H, W, C], or (images, labels), or a Dataset, got {_form(made)}"
  )


def from_numbers(numbers: Any) -> Dataset:
  """A dataset whose examples are these numbers [N], each a point [1], of one class."""
  images = jnp.asarray(numbers, jnp.result_type(float))[:, None]
  return Dataset(Data(images, jnp.zeros(len(images), jnp.int32)), decode_points, (1,), 1, "points")


def _form(value: Any) -> str:
  if hasattr(value, "shape") and hasattr(value, "dtype"):
    return f"{value.dtype} of shape {list(value.shape)}"
  return f"{type(value).__name__} {shown(value)}"
