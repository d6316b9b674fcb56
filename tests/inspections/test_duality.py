"""The duality gap held to its closed forms (ground truth, section 8), then to the same game played in production."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game
from gan_jax.core.types import Data
from gan_jax.data import Dataset
from gan_jax.data.dataset import decode_points
from gan_jax.data.order import held_out_index
from gan_jax.game import optimizers
from gan_jax.game.state import initial_state
from gan_jax.inspections import duality
from gan_jax.models.players import plain
from tests.support.records import fitted
from tests.support.theory import hypers_of, spec_of

JSD = 0.1114214822  # of N(0, 1) and N(1, 1)


def climb(objective, sign, rate, steps, bound=np.inf):
  """x -> x after that many steps of gradient ascent (sign 1) or descent (-1), kept inside [-bound, bound]."""

  def answer(start):
    slope = jax.grad(objective)
    move = lambda _, x: jax.tree.map(lambda a, g: jnp.clip(a + sign * rate * g, -bound, bound), x, slope(x))  # noqa: E731
    return jax.lax.fori_loop(0, steps, move, start)

  return answer


def gap_of(value, u, v, rate, steps, bound=np.inf):
  answer_of_u = lambda u, v: climb(lambda x: value(x, v), -1, rate, steps, bound)(u)  # noqa: E731
  answer_of_v = lambda u, v: climb(lambda x: value(u, x), 1, rate, steps, bound)(v)  # noqa: E731
  return jax.jit(lambda u, v: duality.gap(value, answer_of_u, answer_of_v, u, v))(u, v)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("x", "y"), [(0.3, -0.8), (0.0, 0.5), (0.0, 0.0), (-1.0, 1.0)])
def test_the_bilinear_game_on_a_box(x, y):
  """xy on [-1, 1]^2: |x| + |y|."""
  found = gap_of(lambda u, v: u * v, jnp.asarray(x), jnp.asarray(y), 1.0, 1000, bound=1.0)
  assert float(found.duality) == pytest.approx(abs(x) + abs(y), abs=1e-12)
  assert float(found.worst_discriminator) == pytest.approx(abs(x), abs=1e-12)
  assert float(found.worst_generator) == pytest.approx(-abs(y), abs=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("m", [0.4, 1.0, 2.5])
def test_the_quadratic_game(m):
  """m/2 x^2 + xy - m/2 y^2, unconstrained: (m + 1/m) (x^2 + y^2) / 2; fewer steps find less of it, never more."""
  value = lambda u, v: m / 2 * u**2 + u * v - m / 2 * v**2  # noqa: E731
  x, y = jnp.asarray(0.7), jnp.asarray(-1.2)
  exact = (m + 1 / m) * (0.7**2 + 1.2**2) / 2
  gaps = [float(gap_of(value, x, y, 0.2, steps).duality) for steps in (0, 1, 3, 10, 400)]
  assert gaps[0] == 0
  assert gaps == sorted(gaps)
  assert gaps[-1] == pytest.approx(exact, rel=1e-9)


def on_gaussians(shift, critic):
  """M of data N(0, 1), fakes N(shift, 1) and the logit a + b x, by Gauss-Hermite quadrature of `game_value`."""
  nodes, weights = np.polynomial.hermite_e.hermegauss(80)
  a, b = critic
  single = jax.vmap(lambda x: duality.game_value((a + b * x)[None], (a + b * (shift + x))[None]))
  return jnp.asarray(weights / weights.sum()) @ single(jnp.asarray(nodes))


@pytest.mark.usefixtures("x64")
def test_two_gaussians_are_apart_by_their_jensen_shannon_divergence():
  """max_v' M = JSD - log 2 = -0.5817256984 at the logit 1/2 - x; against D = 1/2 every generator has -log 2.

  Without the halves in M both numbers would be twice as large.
  """
  found = gap_of(on_gaussians, jnp.asarray(1.0), (jnp.asarray(0.0), jnp.asarray(0.0)), 1.0, 2000)
  assert float(found.worst_discriminator) == pytest.approx(-0.5817256984, abs=1e-9)
  assert float(found.worst_generator) == pytest.approx(-np.log(2), abs=1e-12)
  assert float(found.duality) == pytest.approx(JSD, abs=1e-9)


def test_the_value_of_a_game():
  """At logit 0 -log 2; a critic that is never wrong has 0; and no overflow at logits of 1e4."""
  zeros = jnp.zeros(4)
  assert float(duality.game_value(zeros, zeros)) == pytest.approx(-np.log(2))
  assert float(duality.game_value(zeros + 1e4, zeros - 1e4)) == 0
  assert float(duality.game_value(zeros - 1e4, zeros + 1e4)) == -1e4


# The same game in production: the generator is a shift, the discriminator a line, the data are 4,000 draws.

SIZE = 4000


@functools.cache
def gaussian_game(**static):
  spec = spec_of(losses=("non_saturating",), batch_size=100, evaluation_samples=20_000, **static)
  points = np.random.default_rng(0).normal(size=(SIZE, 1)).astype(np.float32)
  points = (points - points.mean()) / points.std()
  dataset = Dataset(Data(jnp.asarray(points), jnp.zeros(SIZE, jnp.int32)), decode_points, (1,), 1, "points")
  generator = plain(lambda key: jnp.ones(()), lambda shift, noise, labels: shift + noise)
  discriminator = plain(
    lambda key: jnp.zeros(2), lambda line, images, labels: line[0] + line[1] * images[:, 0], discriminator=True
  )
  played = game.assemble(spec, dataset, generator, discriminator)
  measure = duality.build(played, steps=200)
  h = hypers_of(
    ("non_saturating",), generator_rate=0.1, discriminator_rate=0.1, optimizer_options={"beta1": 0.5, "beta2": 0.9}
  )
  h = fitted(h, spec)
  state = initial_state(h, played)
  return jax.jit(lambda h, s: measure(h, s, dataset.data)), h, state


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_production_measure_finds_the_gaussians_gap(optimizer):
  """JSD from 20,000 fakes, whose standard error is about 0.003; against the best line the generator returns."""
  assert optimizer in optimizers.OPTIMIZERS
  measure, h, state = gaussian_game(optimizer=optimizer)
  found = measure(h, state)
  assert float(found.duality) == pytest.approx(JSD, abs=0.015)
  assert float(found.worst_generator) == pytest.approx(-np.log(2), abs=1e-5)
  level = measure(h, state._replace(gen_params=jnp.zeros(())))
  assert abs(float(level.duality)) < 0.01
  other = measure(h._replace(seed=7), state)
  assert 0 < abs(float(other.duality) - float(found.duality)) < 0.015


def test_the_gap_is_from_copies_and_reproducible_and_nan_once_diverged():
  measure, h, state = gaussian_game(optimizer="adam")
  first, second = measure(h, state), measure(h, state)
  assert [float(x) for x in first] == [float(x) for x in second]
  assert float(measure(h, state._replace(step=jnp.int32(50))).duality) != float(first.duality)
  assert np.isnan(np.asarray(measure(h, state._replace(diverged_at=jnp.int32(3))))).all()
  assert float(state.gen_params) == 1


def test_answers_never_see_what_they_are_judged_on():
  """Every fourth example made monstrous: no answer changes, only the value does."""
  spec = spec_of(losses=("non_saturating",), batch_size=8, evaluation_samples=100)
  points = jnp.asarray(np.random.default_rng(1).normal(size=(SIZE, 1)), jnp.float32)
  strange = points.at[3::4].set(1e6)
  dataset = Dataset(Data(points, jnp.zeros(SIZE, jnp.int32)), decode_points, (1,), 1, "points")
  generator = plain(lambda key: jnp.ones(()), lambda shift, noise, labels: shift + noise)
  discriminator = plain(
    lambda key: jnp.zeros(2), lambda line, images, labels: line[0] + line[1] * images[:, 0], discriminator=True
  )
  played = game.assemble(spec, dataset, generator, discriminator)
  h = hypers_of(("non_saturating",), discriminator_rate=0.1)
  h = fitted(h, spec)
  judged = jax.jit(duality.build(played, steps=50))
  state = initial_state(h, played)
  usual, odd = (judged(h, state, dataset.data._replace(images=x)) for x in (points, strange))
  # the line learnt on the usual 3/4 has a negative slope of order 1, so an example at 1e6 costs of that order
  assert float(odd.worst_discriminator) < -1e4
  assert float(usual.worst_discriminator) > -1
  # had an answer seen 1e6, its slope would be thousands and the fakes' part of the value as large
  assert float(odd.worst_discriminator) > -1e6


@pytest.mark.parametrize("constraint", ["clip", "spectral"])
def test_an_answer_keeps_to_the_constraint_of_the_weights(constraint):
  """D(x) = w x against fakes at 50: the slope is clipped at 0.01, or normalised to 1 (nothing but its sign is left)."""
  spec = spec_of(losses=("wasserstein",), batch_size=50, evaluation_samples=1000, weight_constraint=constraint)
  points = jnp.asarray(np.random.default_rng(1).normal(size=(400, 1)), jnp.float32)
  dataset = Dataset(Data(points, jnp.zeros(400, jnp.int32)), decode_points, (1,), 1, "points")
  generator = plain(lambda key: 50 * jnp.ones(()), lambda shift, noise, labels: shift + noise)
  discriminator = plain(
    lambda key: -0.005 * jnp.ones((1, 1)), lambda w, images, labels: (images @ w)[:, 0], discriminator=True
  )
  played = game.assemble(spec, dataset, generator, discriminator)
  h = hypers_of(discriminator_rate=0.5, weight_constraint_options={"bound": 0.01}, generator_rate=0.0)
  h = fitted(h, spec)
  state = initial_state(h, played)
  found = jax.jit(duality.build(played, steps=100))(h, state, dataset.data)
  slope = -0.01 if constraint == "clip" else -1.0
  unseen = np.asarray(points[held_out_index(jnp.arange(100), 4, 400)])
  expected = -0.5 * (np.logaddexp(0, -slope * unseen).mean() + np.logaddexp(0, slope * 50))
  # -0.403 under the norm of 1, -0.584 under the clip: a free critic would reach -0.35
  assert float(found.worst_discriminator) == pytest.approx(expected, abs=0.005)
