"""Data built so that a run's end is known beforehand, for configs/verdicts.py: no data to learn from, but to be judged on."""

import jax.numpy as jnp
import numpy as np

from gan_jax.core.types import Data
from gan_jax.data import digits, mixtures
from gan_jax.data.dataset import Dataset, register

TWO = (1, 7)
COPIES = 20
FAR = 1000.0  # radius; a generator that starts at the origin gets to a few tens in a thousand steps of Adam


@register("digits_two")
def load_two_digits() -> Dataset:
  """The ones and sevens of `digits`, as two of its ten classes: a healthy generator never makes the other eight."""
  whole = digits.load()
  chosen = np.flatnonzero(np.isin(whole.data.labels, TWO))
  return whole._replace(data=Data(whole.data.images[chosen], whole.data.labels[chosen]))


@register("digits_ten")
def load_ten_digits() -> Dataset:
  """One image of each class of `digits`, `COPIES` times, judged against all of them: who learns it knows ten images."""
  whole = digits.load()
  first = np.unique(whole.data.labels, return_index=True)[1]
  chosen = np.tile(first, COPIES)
  return whole._replace(data=Data(whole.data.images[chosen], whole.data.labels[chosen]), reference=whole.data)


@register("ring_far")
def load_far_ring() -> Dataset:
  """`ring` with a radius of `FAR`: what a generator that starts at the origin does not reach."""
  near = mixtures.load_ring()
  assert near.modes is not None
  shift = (FAR - 1) * near.modes
  return near._replace(
    data=Data(near.data.images + jnp.asarray(shift)[near.data.labels], near.data.labels), modes=near.modes + shift
  )
