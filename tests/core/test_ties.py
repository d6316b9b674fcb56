"""Derivatives where two entries are equal, or equal but for rounding: a maximum, a kink, a norm of zero.

A derivative that compares entries with their maximum divides 0 by 0 when the compiler computes the entries a second time
with other rounding, so that none equals it. The suite runs with the options that bring this out.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, losses, penalties, settings
from gan_jax.core.norms import largest
from gan_jax.game.state import initial_state
from gan_jax.runner import grouping
from tests.penalties.test_penalties import function, of_kind
from tests.support.steps import compiled_step, nothing


@pytest.mark.parametrize("axis", [0, 1])
def test_the_largest_entry_has_the_derivative_of_that_entry(axis):
  x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
  np.testing.assert_array_equal(largest(x, axis), np.asarray(x).max(axis))
  weights = jnp.arange(1.0, 5.0)[:3] if axis == 0 else jnp.arange(1.0, 5.0)
  slope = jax.grad(lambda x: jnp.sum(weights * largest(x, axis) ** 2))(x)
  expected = np.zeros(x.shape)
  where = np.asarray(x).argmax(axis)
  for other, index in enumerate(where):
    place = (index, other) if axis == 0 else (other, index)
    expected[place] = 2 * weights[other] * x[place]
  np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_of_equal_entries_the_first_has_the_derivative_and_what_is_not_finite_is_not_hidden():
  slope = jax.grad(lambda x: largest(x, 0))
  np.testing.assert_array_equal(slope(jnp.zeros(3)), [1, 0, 0])
  np.testing.assert_array_equal(slope(jnp.array([1.0, -jnp.inf, 1.0])), [1, 0, 0])
  assert float(largest(jnp.array([1.0, -jnp.inf]), 0)) == 1
  assert np.isnan(float(largest(jnp.array([1.0, jnp.nan]), 0)))
  assert float(largest(jnp.array([1.0, jnp.inf]), 0)) == np.inf


def test_unrolled_maxout_units_have_a_finite_gradient():
  """Twelve steps of the unrolled GAN on maxout units in float32: no update is refused."""
  sizes = {"depth": 3, "generator_width": 16, "discriminator_width": 16}
  fields = {"dataset": "ring", "model": "pacgan", "latent_size": 2, "model_options": sizes}
  config = settings.resolve(fields | {"batch_size": 32, "unroll_steps": 1})
  (group,) = grouping.group([config])
  ring = data.load("ring")
  built = game.build(group.spec, ring)
  hypers = jax.tree.map(lambda x: jnp.asarray(x)[0], group.hypers)
  step, state = compiled_step(built, nothing), jax.jit(lambda h: initial_state(h, built))(hypers)
  for _ in range(12):
    state, _ = step(hypers, state, ring.data)
  assert int(state.diverged_at) == -1


def test_every_loss_has_finite_slopes_at_its_kinks_and_where_all_logits_are_equal():
  """Every logit at 0, at both ends of a margin, and reals and fakes a margin apart: slopes, and slopes of slopes."""
  levels = jnp.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
  pairs = jnp.stack(jnp.meshgrid(levels, levels), -1).reshape(-1, 2)

  def derivatives(half, pair):
    logits = jnp.broadcast_to(pair[:, None], (2, 3))
    slope = jax.grad(lambda x: jnp.sum(half(x[0], x[1])))
    return jax.jvp(slope, (logits,), (jnp.ones_like(logits),))

  @jax.jit
  @jax.vmap
  def at(pair):
    return {name: [derivatives(half, pair) for half in losses.get(name)] for name in losses.LOSSES}

  for name, found in at(pairs).items():
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found)), name


@pytest.mark.parametrize("name", of_kind("critic"))
def test_every_penalty_of_equal_slopes_has_a_finite_gradient(name):
  """All examples alike, under a critic of no slope, of slope 1, and of maxout units whose pieces are equal."""
  real = fake = jnp.ones((4, 2))

  def linear(w, x):
    return x @ w

  def maxout(w, x):
    return largest(jnp.stack([x @ w, x @ w]), 0)

  for critic in (linear, maxout):
    slope = jax.jit(jax.grad(lambda w: function(name)(lambda x: critic(w, x), real, fake, jax.random.key(0)).mean()))  # noqa: B023
    for w in (jnp.zeros(2), jnp.array([0.6, 0.8])):
      assert np.isfinite(slope(w)).all()


def test_the_steepest_example_alone_has_the_gradient_of_the_largest_slope():
  """Of D(x) = |x|^2 w / 2 the slope at x is w x: the penalty is w^2 max |x|^2, whichever example that is."""
  real = jnp.array([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0]])
  critic = lambda w: lambda x: 0.5 * w * jnp.sum(x**2, axis=1)  # noqa: E731
  penalty = penalties.get("max_gradient").function
  slope = jax.grad(lambda w: penalty(critic(w), real, real, jax.random.key(0)).mean())(2.0)
  assert float(slope) == pytest.approx(2 * 2 * 9, rel=1e-6)
