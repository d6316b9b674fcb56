"""Optimizers, built inside the step so that rates and betas may be traced: one compiled program, many learning rates.

They are built from `Hypers` anew in every trace. `optax.inject_hyperparams` would hide the rates in the optimizer state,
and restoring a checkpoint would bring the old rate back. What couples the two players (extragradient, consensus,
lookahead, ...) is not an optimizer but a method of the game: see `methods.py` and `step.py`.
"""

from collections.abc import Callable

import optax
from jax.typing import ArrayLike

from gan_jax.core.errors import unknown

OptimizerBuilder = Callable[[ArrayLike, ArrayLike, ArrayLike], optax.GradientTransformation]


def adam(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """m^ / (sqrt(v^) + 1e-8), both moments corrected for their start at 0: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1.

  `tf.train.AdamOptimizer`, in which much published code is written, leaves eps uncorrected ("epsilon hat"): its floor
  under sqrt(v^) is 1e-8 / sqrt(1 - beta2^t), larger in the first steps and the same later.
  """
  return optax.adam(rate, b1=beta1, b2=beta2)


def sgd(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """Plain gradient descent, the game that the theory of local stability speaks about; the betas are not read."""
  del beta1, beta2
  return optax.sgd(rate)


def momentum(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """m <- g + beta1 m, x <- x - rate m. A negative beta1 damps a game's rotation (Gidel et al. 2019, arXiv:1807.04740)."""
  del beta2
  return optax.chain(optax.trace(beta1), optax.scale_by_learning_rate(rate))


def rmsprop(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """x <- x - rate g / (sqrt(v) + 1e-8), v <- beta2 v + (1 - beta2) g^2 from 0, no bias correction (Tieleman and Hinton 2012).

  As PyTorch's `RMSprop`, with which the authors of the Wasserstein GAN trained, there at beta2 = 0.99. With eps under the
  root, as `optax.rmsprop` and TensorFlow have it, a gradient of 1e-6 would move the weights 100 times less. beta1 is not
  read.
  """
  del beta1
  return optax.rmsprop(rate, decay=beta2, eps_in_sqrt=False)


def optimistic_sgd(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """x <- x - rate (2 g_t - g_{t-1}), g_{-1} = g_0 (Daskalakis et al. 2018, arXiv:1711.00141); the betas are not read."""
  del beta1, beta2
  return optax.chain(optax.scale_by_optimistic_gradient(), optax.scale_by_learning_rate(rate))


def optimistic_adam(rate: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> optax.GradientTransformation:
  """x <- x - rate (2 u_t - u_{t-1}), u Adam's direction with its eps (Daskalakis et al. 2018, algorithm 1); no Nesterov step.

  The first step is a plain one, u_0 = u_1.
  """
  return optax.optimistic_adam_v2(rate, b1=beta1, b2=beta2, nesterov=False)


OPTIMIZERS: dict[str, OptimizerBuilder] = {
  "adam": adam,
  "momentum": momentum,
  "optimistic_adam": optimistic_adam,
  "optimistic_sgd": optimistic_sgd,
  "rmsprop": rmsprop,
  "sgd": sgd,
}
# The length of their update does not depend on the gradient's: a penalty that has updates of its own needs their share.
ADAPTIVE = ("adam", "optimistic_adam", "rmsprop")


def get(name: str) -> OptimizerBuilder:
  """Raises `BadInput` for an unknown name."""
  if name not in OPTIMIZERS:
    raise unknown("optimizer", name, OPTIMIZERS)
  return OPTIMIZERS[name]
