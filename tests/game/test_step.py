"""The production step held to its own identities; `test_dirac.py` holds it to the theory of games."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data as datasets
from gan_jax import game, losses, settings
from gan_jax.core import types
from gan_jax.game.state import early_decay, initial_state, moving_average
from gan_jax.models.players import plain
from tests.support import records
from tests.support.networks import pure
from tests.support.records import fitted
from tests.support.steps import bare, compiled_step, nothing


def spec_of(**fields):
  return records.spec_of(
    **{"losses": ("non_saturating",), "batch_size": 2, "latent_size": 1, "optimizer": "sgd"} | fields
  )


def hypers_of(**fields):
  """Rates of this file; `penalty_weight` is one for all penalties or a tuple. To be `fitted` to a spec."""
  rates = {"generator_rate": 0.2, "discriminator_rate": 0.2, "ema_decay": 0.9}
  betas = {"optimizer_options": {"beta1": 0.5, "beta2": 0.9}}
  return records.hypers_of(**rates | betas | {"loss_options": ({},)} | fields)


def random_game(spec):
  """Small tanh networks with data: every array of the trace is non-trivial."""

  def init(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [jax.random.normal(k, (a, b)) / np.sqrt(a) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)]

  def apply(params, x):
    for weights in params[:-1]:
      x = jnp.tanh(x @ weights)
    return x @ params[-1]

  generator = plain(lambda key: init(key, (2, 8, 3)), lambda p, z, y: apply(p, z))
  discriminator = plain(lambda key: init(key, (3, 8, 1)), lambda p, x, y: apply(p, x)[:, 0], discriminator=True)
  points = datasets.Dataset(datasets.from_numbers(jnp.zeros(4)).data, lambda x: x, (3,), 1, "points")
  return game.assemble(spec, points, generator, discriminator)


@functools.cache
def stepper(spec, look=lambda trace: trace):
  """Compiled once for all tests of one spec that look at the same of the trace; hypers are traced."""
  return compiled_step(random_game(spec), look)


def random_case(names, penalty="none", index=0, **hypers):
  static = {k: hypers.pop(k) for k in list(hypers) if settings.FIELDS[k].kind == "static"}
  spec = spec_of(
    **{"losses": names, "penalty": penalty, "batch_size": 8, "latent_size": 2, "optimizer": "adam"} | static
  )
  played = random_game(spec)
  h = hypers_of(loss_index=index, loss_options=tuple(losses.default_options(n) for n in names), **hypers)
  data = types.Data(jax.random.normal(jax.random.key(5), (20, 3)), jnp.zeros(20, jnp.int32))
  h = fitted(h, spec)
  return spec, played, h, data, initial_state(h, played)


SEVEN = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge", "relativistic", "relativistic_average")


@functools.cache
def all_gradients(penalty):
  """{loss: (of the step, of the whole objective)}, each the discriminator's gradients and the generator's: two programs."""
  spec, played, h, data, state = random_case(SEVEN, penalty, penalty_weight=0.7)
  from gan_jax.core.randomness import Purpose, derive_key
  from gan_jax.data.order import example_indices

  real = data.images[example_indices(0, 0, 8, 20)]
  labels = jnp.zeros(8, jnp.int32)
  z_disc, z_gen = (
    jax.random.normal(derive_key(0, 0, purpose), (8, 2))
    for purpose in (Purpose.DISCRIMINATOR_NOISE, Purpose.GENERATOR_NOISE)
  )
  judge, generate = pure(played.discriminator).apply, pure(played.generator).apply

  def discriminator_objective(params, loss):
    fake = generate(state.gen_params, z_disc, labels)
    value = loss.discriminator(judge(params, real, labels), judge(params, fake, labels)).mean()
    if penalty == "r1":
      inner = jax.vmap(jax.grad(lambda x: judge(params, x[None], labels[:1])[0]))(real)
      value += 0.7 * 0.5 * jnp.sum(inner**2) / 8
    return value

  def generator_objective(params, loss, new_disc):
    r, f = judge(new_disc, real, labels), judge(new_disc, generate(params, z_gen, labels), labels)
    return loss.generator(jax.lax.stop_gradient(r), f).mean()

  @jax.jit
  def whole(state, new_discs):
    return {
      name: (
        jax.grad(discriminator_objective)(state.disc_params, losses.get(name)),
        jax.grad(generator_objective)(state.gen_params, losses.get(name), new_disc),
      )
      for name, new_disc in new_discs.items()
    }

  traces = {name: stepper(spec, bare)(h._replace(loss_index=i), state, data)[1] for i, name in enumerate(SEVEN)}
  moved = {
    name: jax.tree.map(jnp.add, state.disc_params, trace.discriminator.updates) for name, trace in traces.items()
  }
  expected = whole(state, moved)
  return {name: ((trace.discriminator.grads, trace.generator.grads), expected[name]) for name, trace in traces.items()}


@pytest.mark.parametrize("name", SEVEN)
@pytest.mark.parametrize("penalty", ["none", "r1"])
def test_gradients_equal_those_of_the_whole_objective(name, penalty):
  """The staged pull-back is the gradient of the scalar objective, differentiated in one piece."""
  taken, expected = all_gradients(penalty)[name]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6), taken, expected)


@pytest.mark.parametrize("index", range(len(SEVEN)))
def test_a_traced_loss_index_chooses_that_loss(index):
  _, _, _, data, _ = random_case(SEVEN)
  spec, _, h, data, state = random_case(SEVEN, index=index)
  together = stepper(spec, bare)(h, state, data)[1]
  spec, _, h, data, state = random_case((SEVEN[index],))
  alone = stepper(spec, bare)(h, state, data)[1]
  assert float(together.generator.loss) == pytest.approx(float(alone.generator.loss), rel=1e-6)
  for player in ("generator", "discriminator"):
    grads = (getattr(trace, player).grads for trace in (together, alone))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *grads)


@pytest.fixture(scope="module")
def four_members():
  """(advance, states after 3 steps) of a small population."""
  names = ("non_saturating", "hinge")
  _spec, played, h, data, _ = random_case(names, "r1")
  members = 4
  h = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * members), h)._replace(
    seed=jnp.arange(members, dtype=jnp.uint32),
    loss_index=jnp.arange(members) % 2,
    penalty_weights=(jnp.full(members, 0.1),),
  )
  step = jax.jit(jax.vmap(compiled_step(played, lambda trace: trace.alive), in_axes=(0, 0, None)))
  healthy = jax.vmap(lambda one: initial_state(one, played))(h)
  for _ in range(3):
    healthy, _ = step(h, healthy, data)
  return lambda states: step(h, states, data), healthy


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, 1e20])
def test_a_member_that_diverges_is_frozen_and_its_neighbours_keep_their_bits(four_members, bad):
  """NaN, inf or an explosion in one member of a population changes no bit of the others."""
  advance, healthy = four_members
  # In the last layer, where tanh cannot hide an explosion: R1 then squares it.
  *first, last = healthy.disc_params
  faulty = healthy._replace(disc_params=[*first, last.at[2].set(bad)])
  before = jax.tree.map(lambda x: x[2], faulty)
  for _ in range(4):
    healthy, _ = advance(healthy)
    faulty, alive = advance(faulty)
  assert faulty.diverged_at.tolist() == [-1, -1, 3, -1]
  assert alive.tolist() == [True, True, False, True]
  others = np.array([0, 1, 3])
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[others], b[others]), healthy, faulty)
  frozen = jax.tree.map(lambda x: x[2], faulty)
  jax.tree.map(np.testing.assert_array_equal, frozen.gen_params, before.gen_params)
  jax.tree.map(np.testing.assert_array_equal, frozen.disc_params, before.disc_params)


def test_head_start_keeps_the_generator_still():
  spec, _, h, data, state = random_case(("hinge",), head_start=3)
  step = stepper(spec, nothing)
  states = [state]
  for _ in range(4):
    state, _ = step(h, state, data)
    states.append(state)
  for before, after in itertools.pairwise(states[:4]):
    jax.tree.map(np.testing.assert_array_equal, before.gen_params, after.gen_params)
    assert not np.array_equal(before.disc_params[0], after.disc_params[0])
  assert not np.array_equal(states[3].gen_params[0], states[4].gen_params[0])
  assert int(states[4].gen_opt[0].count) == 1  # Adam's bias correction starts with the first real update


def test_moving_average():
  average = moving_average({"a": jnp.array([1.0, 0.0])}, {"a": jnp.array([3.0, 1.0])}, 0.75)
  np.testing.assert_allclose(average["a"], [1.5, 0.25])


def test_an_average_of_equals_is_exact_and_at_decay_zero_it_is_the_generator():
  a, b = jax.random.normal(jax.random.key(0), (2, 1000))
  np.testing.assert_array_equal(moving_average(a, a, 0.999), a)
  np.testing.assert_array_equal(moving_average(a, b, 0.0), b)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999, 0.9999999])
def test_the_average_forgets_its_start(decay):
  """The weight in the average after n updates of what was averaged first: the product of the decays.

  A decay of 0.999 without the ramp leaves 90 % of the untrained generator after 100 updates.
  """
  decays = np.asarray(early_decay(decay, jnp.arange(20_000)), np.float64)
  assert decays[0] == 0  # nothing is left of the untrained generator
  for first in (1, 10, 100):
    assert np.prod(decays[first : 2 * first + 1]) < 2e-4
  # Half of the average is from the last twentieth of the updates, or less.
  assert np.prod(decays[9_500:10_000]) <= 0.5
  assert (np.diff(decays) >= 0).all()
  assert (decays <= np.float32(decay)).all()
  if decay <= 0.999:
    assert decays[-1] == np.float32(decay)  # in the end it is what was asked for


def test_the_ramp_is_a_half_life_of_a_twentieth_of_the_updates():
  """As StyleGAN2-ADA's code writes it: 0.5 ** (batch / min(half_life, images * rampup))."""
  for updates in (20, 400, 8000, 100_000):
    half_life = min(np.log(0.5) / np.log(0.999), 0.05 * updates)
    assert float(early_decay(0.999, updates)) == pytest.approx(0.5 ** (1 / half_life), rel=1e-6)


@pytest.mark.parametrize("n_gen", [1, 2])
def test_the_average_counts_the_generators_own_steps(n_gen):
  """A head start is not counted and moves nothing, and several generator updates of a step are averaged once."""
  spec, _, h, data, state = random_case(("hinge",), n_gen=n_gen, head_start=3, ema_decay=0.9999)
  step, expected = stepper(spec, nothing), jax.device_get(state.gen_params)
  for number in range(3 + 20):
    state, _ = step(h, state, data)
    if number < 3:
      jax.tree.map(np.testing.assert_array_equal, state.gen_ema, expected)
    else:
      decay = float(early_decay(0.9999, number - 3))
      expected = jax.tree.map(lambda a, p, d=decay: d * a + (1 - d) * np.asarray(p), expected, state.gen_params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state.gen_ema, expected)


def test_without_averaging_the_average_is_the_generator_to_the_bit():
  spec, _, h, data, state = random_case(("hinge",), head_start=2, ema_decay=0.0)
  for _ in range(6):
    state, _ = stepper(spec, nothing)(h, state, data)
    jax.tree.map(np.testing.assert_array_equal, state.gen_ema, state.gen_params)


def test_same_seed_same_data_and_noise_for_every_loss():
  """Comparisons are paired: before the first update two losses see the same images and the same fakes."""
  images = []
  for name in ("minimax", "least_squares"):
    spec, _, h, data, state = random_case((name,), discriminator_rate=0.0)
    images.append(stepper(spec, bare)(h, state, data)[1].generator.real_logits)
  np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("taken", [0, 3])
def test_every_critic_step_sees_the_next_batch(taken):
  """The last of n_critic updates at step t sees positions (t n_critic + n_critic - 1) B onwards of the data's order."""
  from gan_jax.data.order import example_indices

  spec, played, h, data, state = random_case(("hinge",), discriminator_rate=0.0)
  _, trace = stepper(spec._replace(n_critic=3), bare)(h, state._replace(step=jnp.int32(taken)), data)
  real = data.images[example_indices(0, (3 * taken + 2) * 8, 8, 20)]
  expected = pure(played.discriminator).apply(state.disc_params, real, None)
  np.testing.assert_allclose(trace.generator.real_logits, expected, rtol=1e-5, atol=1e-6)


def test_no_recompilation_on_the_second_call():
  _spec, played, h, data, state = random_case(SEVEN, "r1")
  step = compiled_step(played, nothing)
  state, _ = step(jax.tree.map(jnp.asarray, h), state, data)
  step(jax.tree.map(jnp.asarray, h)._replace(loss_index=jnp.asarray(3), generator_rate=jnp.asarray(0.1)), state, data)
  assert step._cache_size() == 1
