"""How the samples divide into classes or modes, compared with how the data do. Even shares are a special case."""

import jax.numpy as jnp
import numpy as np
from jax import Array

PRESENT = 0.1  # of a class's share in the data: from here on it counts as there
EXPECTED = 3  # samples that a class should have before its absence means anything: by chance 1 in 20 such is missed


def smoothed(counts: np.ndarray) -> np.ndarray:
  """Shares [K] from the data's counts [K] and one example more, divided among all: a class that they lack is merely rare."""
  padded = np.asarray(counts, np.float64) + 1 / len(counts)
  return padded / padded.sum()


def divergence(share: Array, counts: np.ndarray) -> Array:
  """KL(samples || data) = sum_k p_k log(p_k / q_k) in nats, q the data's shares `smoothed`. 0: the data's own shares."""
  own = jnp.asarray(smoothed(counts), share.dtype)
  return jnp.sum(share * jnp.log(jnp.where(share > 0, share / own, 1.0)))


def presence(share: Array, counts: np.ndarray, samples: int) -> tuple[Array, Array]:
  """(classes that are there, classes that should be), of samples with shares [K] and data with counts [K].

  Should be: those of which so many samples of the data would have at least `EXPECTED`. There: those among them with at
  least a tenth of their share in the data.
  """
  own = np.asarray(counts, np.float64) / max(np.sum(counts), 1)
  due = own * samples >= EXPECTED
  there = jnp.asarray(due) & (share >= jnp.asarray(PRESENT * own, share.dtype))
  return there.sum().astype(jnp.float32), jnp.float32(due.sum())
