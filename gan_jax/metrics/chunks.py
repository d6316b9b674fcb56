"""Applies a network to many samples, one chunk after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

CHUNK = 250  # samples through the networks at once: bounds the memory of a population


def in_chunks(function: Callable[[Array], Any], count: int, size: int = CHUNK) -> Any:
  """function(indices [size]) for all indices below `count`, results joined; the last chunk's surplus is cut off."""
  chunks = -(-count // size)
  stacked = jax.lax.map(function, jnp.arange(chunks * size).reshape(chunks, size))
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], stacked)
