"""Many samples through a network, a few at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

CHUNK = 250  # samples through the networks at once: bounds the memory of a population


def in_chunks(function: Callable[[Array], Any], count: int) -> Any:
  """function(indices [CHUNK]) for all indices below `count`, results joined; the overhang is cut off."""
  chunks = -(-count // CHUNK)
  stacked = jax.lax.map(function, jnp.arange(chunks * CHUNK).reshape(chunks, CHUNK))
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], stacked)
