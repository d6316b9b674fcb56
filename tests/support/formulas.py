"""`gan_jax.core.formulas`, and what only the tests compute: `transport(C, n)` and `plan(C, n)` are the entropic cost and plan
of a matrix of costs, and `p`, `q` are densities.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gan_jax.core import formulas
from gan_jax.core.formulas import Unreadable, evaluate
from tests.support import transport

__all__ = ["Unreadable", "evaluate", "of_batch", "of_densities"]


def of_batch(real: np.ndarray, fake: np.ndarray, options: Mapping[str, float]) -> dict[str, Any]:
  """What the letters of a card mean, and the functions of entropic transport."""
  return {"transport": transport.cost, "plan": transport.plan, **formulas.of_batch(real, fake, options)}


def of_densities(log_ratio: np.ndarray, options: Mapping[str, float]) -> dict[str, Any]:
  """Densities p of the data and q of the model with that logarithm of p/q; their own size must not matter."""
  q = 0.37 + 0 * log_ratio
  return {"e": np.e, "inf": np.inf, "p": q * np.exp(log_ratio), "q": q, **options}
