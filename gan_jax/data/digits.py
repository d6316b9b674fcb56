"""1,797 real scans of handwritten digits, 8x8, which ship with scikit-learn.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998 (its test
set). A pixel counts the ink in a 4x4 block of a 32x32 bitmap: an integer from 0 to 16.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, register


@functools.partial(jax.jit, inline=True)  # one program, not three, where it is called by itself
def decode(stored: Array) -> Array:
  """uint8 0..16 -> float32 in [-1, 1]: `x / 8 - 1`, exact in binary."""
  return stored.astype(jnp.float32) / 8.0 - 1.0


@register("digits")
def load() -> Dataset:
  """[1797, 8, 8, 1] uint8 images and the digit that each shows."""
  # Imported here: scikit-learn takes a second to import.
  from sklearn.datasets import load_digits

  bunch = load_digits()
  data = Data(jnp.asarray(bunch.images[..., None], jnp.uint8), jnp.asarray(bunch.target, jnp.int32))
  return Dataset(data, decode, (8, 8, 1), 10, "images")
