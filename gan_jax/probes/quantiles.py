"""Quantiles over a batch as columns of a row."""

import jax.numpy as jnp
from jax import Array

QUANTILES = {"q10": 0.1, "q50": 0.5, "q90": 0.9}


def quantiles(name: str, values: Array) -> dict[str, Array]:
  """{name_q10: ..., name_q50: ..., name_q90: ...} of values [B]."""
  found = jnp.quantile(values, jnp.array(list(QUANTILES.values())))
  return {f"{name}_{q}": found[i] for i, q in enumerate(QUANTILES)}


def explained(name: str, text: str) -> dict[str, str]:
  """The explanations that belong to `quantiles`."""
  words = {"q10": "10 % quantile", "q50": "median", "q90": "90 % quantile"}
  return {f"{name}_{q}": f"{text}, {words[q]}" for q in QUANTILES}
