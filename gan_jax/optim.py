"""Optimizers, built inside the step so that rates and betas may be traced: one compiled program, many learning rates.

They are built from `Hypers` anew in every trace. `optax.inject_hyperparams` would hide the rates in the optimizer state,
and restoring a checkpoint would bring the old rate back.
"""

from collections.abc import Callable

import optax
from jax.typing import ArrayLike

from gan_jax.errors import unknown

OptimizerBuilder = Callable[[ArrayLike, ArrayLike, ArrayLike], optax.GradientTransformation]


def adam(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1, eps = 1e-8."""
  return optax.adam(rate, b1=beta1, b2=beta2)


def sgd(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """Plain gradient descent, the game that the theory of local stability speaks about; the betas are not read."""
  del beta1, beta2
  return optax.sgd(rate)


OPTIMIZERS: dict[str, OptimizerBuilder] = {"adam": adam, "sgd": sgd}


def get(name: str) -> OptimizerBuilder:
  """Raises `BadInput` for an unknown name."""
  if name not in OPTIMIZERS:
    raise unknown("optimizer", name, OPTIMIZERS)
  return OPTIMIZERS[name]
