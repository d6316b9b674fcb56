"""Optimizers. They are built inside the step, so rates and betas are traced: one program trains many learning rates.

They are built from `Hypers` in every trace. `optax.inject_hyperparams` would store the rates in the optimizer state,
and restoring a checkpoint would restore the old rate. Algorithms that couple the two players (extragradient, consensus,
lookahead, ...) are not optimizers: see `methods.py` and `step.py`.
"""

from typing import Annotated, NamedTuple

import optax
from jax.typing import ArrayLike

from gan_jax.core.registry import Option, Registry

LARGEST_DECAY = 0.9999999

OPTIMIZERS = Registry("optimizer", ("rate",), traced="may")


class Facts(NamedTuple):
  """Properties of an optimizer that the step needs."""

  # Options that are decay rates of its moments. An optimizer with any is adaptive: the length of its update does not
  # scale with the gradient's, so updates for lazy penalties alone need adjusted rates and decays.
  decays: tuple[str, ...] = ()


def decays(name: str) -> tuple[str, ...]:
  """`Facts.decays` of a registered optimizer."""
  facts = OPTIMIZERS.get(name).facts
  return facts.decays if facts else ()


Beta1 = Annotated[ArrayLike, Option("decay of the first moment", -LARGEST_DECAY, LARGEST_DECAY, traced=True)]
Beta2 = Annotated[ArrayLike, Option("decay of the second moment", 0, LARGEST_DECAY, traced=True)]
Momentum = Annotated[
  ArrayLike,
  Option("fraction of the last update that is added; may be negative", -LARGEST_DECAY, LARGEST_DECAY, traced=True),
]


@OPTIMIZERS.register(facts=Facts(("beta1", "beta2")))
def adam(rate: ArrayLike, *, beta1: Beta1 = 0.5, beta2: Beta2 = 0.999) -> optax.GradientTransformation:
  """m^ / (sqrt(v^) + 1e-8), both moments corrected for their start at 0: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1.

  `tf.train.AdamOptimizer`, in which much published code is written, leaves eps uncorrected ("epsilon hat"): its floor
  under sqrt(v^) is 1e-8 / sqrt(1 - beta2^t), larger in the first steps and the same later.
  """
  return optax.adam(rate, b1=beta1, b2=beta2)


@OPTIMIZERS.register()
def momentum(rate: ArrayLike, *, beta1: Momentum = 0.5) -> optax.GradientTransformation:
  """m <- g + beta1 m, x <- x - rate m. A negative beta1 damps a game's rotation (Gidel et al. 2019, arXiv:1807.04740)."""
  return optax.chain(optax.trace(beta1), optax.scale_by_learning_rate(rate))


@OPTIMIZERS.register(facts=Facts(("beta1", "beta2")))
def optimistic_adam(rate: ArrayLike, *, beta1: Beta1 = 0.5, beta2: Beta2 = 0.999) -> optax.GradientTransformation:
  """x <- x - rate (2 u_t - u_{t-1}), u Adam's direction with its eps (Daskalakis et al. 2018, algorithm 1); no Nesterov step.

  The first step is a plain one, u_0 = u_1.
  """
  return optax.optimistic_adam_v2(rate, b1=beta1, b2=beta2, nesterov=False)


@OPTIMIZERS.register()
def optimistic_sgd(rate: ArrayLike) -> optax.GradientTransformation:
  """x <- x - rate (2 g_t - g_{t-1}), g_{-1} = g_0 (Daskalakis et al. 2018, arXiv:1711.00141)."""
  return optax.chain(optax.scale_by_optimistic_gradient(), optax.scale_by_learning_rate(rate))


@OPTIMIZERS.register(facts=Facts(("beta2",)))
def rmsprop(rate: ArrayLike, *, beta2: Beta2 = 0.999) -> optax.GradientTransformation:
  """x <- x - rate g / (sqrt(v) + 1e-8), v <- beta2 v + (1 - beta2) g^2 from 0, no bias correction (Tieleman and Hinton 2012).

  As PyTorch's `RMSprop`, with which the authors of the Wasserstein GAN trained, there at beta2 = 0.99. With eps under
  the root, as `optax.rmsprop` and TensorFlow have it, a gradient of 1e-6 would move the weights 100 times less.
  """
  return optax.rmsprop(rate, decay=beta2, eps_in_sqrt=False)


@OPTIMIZERS.register()
def sgd(rate: ArrayLike) -> optax.GradientTransformation:
  """Plain gradient descent, for which the theory of local stability is stated."""
  return optax.sgd(rate)
