"""One f-divergence as `f_gan` needs it: a row of the table in f_divergences.py."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jax import Array

from gan_jax.core.registry import Option

Formula = Callable[..., Array]  # (argument, **hyperparameters)


class Divergence(NamedTuple):
  """One row. All its functions take the row's hyperparameters by name."""

  title: str
  generator_function: Formula  # f(u), u > 0
  derivative: Formula  # f'(u)
  conjugate: Formula  # f*(t) = sup_u (u t - f(u)), on the range of the activation
  activation: Formula  # g(v): increasing, onto the domain of f*
  composed: Formula  # f*(g(v))
  activation_slope: Formula  # g'(v)
  composed_slope: Formula  # d f*(g(v)) / dv
  threshold: float  # f'(1): the activation where p = q
  optimal_logit: Formula  # v with g(v) = f'(p/q), from log p/q
  # What the card says: see `registry.Card`.
  activation_text: str
  composed_text: str
  slope_text: str  # of f*(g(v))
  activation_slope_text: str
  optimal_logit_text: str
  saturates: str  # the zero-sum generator
  saturates_practical: str
  overflows_at: float | None = None
  options: Mapping[str, float] = {}
  about: Mapping[str, Option] = {}  # of each hyperparameter
