"""How the samples divide into classes or modes, compared with how the data do. Even shares are a special case."""

import jax.numpy as jnp
import numpy as np
from jax import Array

PRESENT = 0.1  # a class with this fraction of its share in the data, or more, counts as present
EXPECTED = 3  # least expected samples of a class that is looked for; with 3, it is missing by chance 1 time in 20


def smoothed(counts: np.ndarray) -> np.ndarray:
  """Shares [K] from counts [K] plus one example divided among all classes, so that no share is zero."""
  padded = np.asarray(counts, np.float64) + 1 / len(counts)
  return padded / padded.sum()


def divergence(share: Array, counts: np.ndarray) -> Array:
  """KL(samples || data) = sum_k p_k log(p_k / q_k) in nats, q the data's shares `smoothed`. 0: the data's own shares."""
  own = jnp.asarray(smoothed(counts), share.dtype)
  return jnp.sum(share * jnp.log(jnp.where(share > 0, share / own, 1.0)))


def presence(share: Array, counts: np.ndarray, samples: int) -> tuple[Array, Array]:
  """(number of classes present, number expected) in samples with shares [K], for data with counts [K].

  Expected are the classes of which as many samples of the data contain `EXPECTED` or more on average. Present are those
  among them with at least a tenth of their share in the data.
  """
  own = np.asarray(counts, np.float64) / max(np.sum(counts), 1)
  due = own * samples >= EXPECTED
  there = jnp.asarray(due) & (share >= jnp.asarray(PRESENT * own, share.dtype))
  return there.sum().astype(jnp.float32), jnp.float32(due.sum())
