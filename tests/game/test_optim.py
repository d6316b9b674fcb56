"""Every optimizer against its source's rule in plain NumPy, also where gradients are as small as an epsilon.

The epsilon decides how far a small gradient moves the weights: under the root, 1e-8 is a floor of 1e-4 on the size that a
gradient is divided by; beside the root it is a floor of 1e-8.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.game import optimizers

RATE, BETA1, BETA2 = 0.01, 0.5, 0.9


# Each published rule, as a function of the gradient that remembers: a new optimizer needs one of its name in REFERENCE.


def adam(rate, b1, b2):
  """Kingma and Ba 2015, algorithm 1."""
  m, v, t = 0.0, 0.0, 0

  def direction(g):
    nonlocal m, v, t
    m, v, t = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2, t + 1
    return -rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)

  return direction


def rmsprop(rate, b1, b2):
  """PyTorch's `RMSprop`, with which the authors of the Wasserstein GAN trained: eps beside the root, v from 0."""
  v = 0.0

  def direction(g):
    nonlocal v
    v = b2 * v + (1 - b2) * g**2
    return -rate * g / (np.sqrt(v) + 1e-8)

  return direction


def momentum(rate, b1, b2):
  m = 0.0

  def direction(g):
    nonlocal m
    m = g + b1 * m
    return -rate * m

  return direction


def sgd(rate, b1, b2):
  return lambda g: -rate * g


def optimistic(base):
  """Daskalakis et al. 2018: 2 u_t - u_{t-1}; the first step is a plain one."""

  def build(rate, b1, b2):
    inner, last = base(rate, b1, b2), None

    def direction(g):
      nonlocal last
      u = inner(g)
      last, step = u, 2 * u - (u if last is None else last)
      return step

    return direction

  return build


REFERENCE = {
  "adam": adam,
  "momentum": momentum,
  "optimistic_adam": optimistic(adam),
  "optimistic_sgd": optimistic(sgd),
  "rmsprop": rmsprop,
  "sgd": sgd,
}


def reference(name, gradients):
  direction = REFERENCE[name](RATE, BETA1, BETA2)
  return [direction(g) for g in gradients]


@functools.cache
def moves_of(name):
  """Gradients [T, n] -> the optimizer's updates [T, n], with traced rates."""

  @jax.jit
  def run(gradients, rate, beta1, beta2):
    entry = optimizers.OPTIMIZERS[name]
    options = {key: value for key, value in (("beta1", beta1), ("beta2", beta2)) if key in entry.options}
    optimizer = entry(rate, **options)
    start = jnp.zeros(gradients.shape[1:])

    def one(carry, g):
      params, memory = carry
      updates, memory = optimizer.update(g, memory, params)
      return (optax.apply_updates(params, updates), memory), updates

    return jax.lax.scan(one, (start, optimizer.init(start)), gradients)[1]

  return run


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-8, 1e-9])
def test_every_step_is_the_one_of_the_source(name, size, x64):
  assert name in REFERENCE, f"add the published rule of optimizer {name!r} to REFERENCE in tests/game/test_optim.py"
  gradients = size * np.random.default_rng(0).normal(size=(7, 5))
  got = moves_of(name)(jnp.asarray(gradients), RATE, BETA1, BETA2)
  np.testing.assert_allclose(got, reference(name, gradients), rtol=1e-10)


@pytest.mark.parametrize("name", [n for n in optimizers.OPTIMIZERS if optimizers.decays(n)])
@pytest.mark.parametrize("size", [1e-6, 1e-9])
def test_small_gradients_step_as_far_in_float32(name, size):
  """A tenth of a step or more at 1e-9 and nearly a whole one at 1e-6, whatever the precision."""
  gradients = np.full((1, 1), size, np.float32)
  got = np.asarray(moves_of(name)(jnp.asarray(gradients), RATE, BETA1, BETA2), np.float64)
  np.testing.assert_allclose(got, reference(name, gradients.astype(np.float64)), rtol=1e-5)
  assert abs(got[0, 0]) > {1e-6: 0.98, 1e-9: 0.09}[size] * RATE


def test_the_list_of_adaptive_optimizers_is_what_they_do(x64):
  """Adaptive: a gradient a hundred times as long moves the weights as far."""
  gradients = np.random.default_rng(1).normal(size=(3, 4))
  for name in optimizers.OPTIMIZERS:
    short, long = (moves_of(name)(jnp.asarray(s * gradients), RATE, BETA1, BETA2) for s in (1, 100))
    assert np.allclose(short, long, rtol=1e-5) == bool(optimizers.decays(name)), name
