"""Datasets on which the right verdict is known beforehand, for configs/verdicts.py."""

import jax.numpy as jnp
import numpy as np

from gan_jax.core.types import Data
from gan_jax.data import digits, mixtures
from gan_jax.data.dataset import Dataset, register

TWO = (1, 7)
COPIES = 20
FAR = 1000.0  # radius; a generator that starts at the origin moves by a few tens in a thousand steps of Adam


@register("digits_two")
def load_two_digits() -> Dataset:
  """The ones and sevens of `digits`, labelled as two of ten classes: a healthy generator draws only these two."""
  whole = digits.load()
  chosen = np.flatnonzero(np.isin(whole.data.labels, TWO))
  return whole._replace(data=Data(whole.data.images[chosen], whole.data.labels[chosen]))


@register("digits_ten")
def load_ten_digits() -> Dataset:
  """One image of each class of `digits`, `COPIES` times. Samples are compared with all of `digits`: a generator that learns
  these data draws ten images only."""
  whole = digits.load()
  first = np.unique(whole.data.labels, return_index=True)[1]
  chosen = np.tile(first, COPIES)
  return whole._replace(data=Data(whole.data.images[chosen], whole.data.labels[chosen]), reference=whole.data)


@register("ring_far")
def load_far_ring() -> Dataset:
  """`ring` with radius `FAR`, which a generator that starts at the origin does not reach."""
  near = mixtures.load_ring()
  assert near.modes is not None
  shift = (FAR - 1) * near.modes
  return near._replace(
    data=Data(near.data.images + jnp.asarray(shift)[near.data.labels], near.data.labels), modes=near.modes + shift
  )
