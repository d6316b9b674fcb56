"""The production step held to the local theory of GANs: Dirac-GAN (Mescheder et al. 2018), and its own identities."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses, optim, penalties, settings, types
from gan_jax.game import Game
from gan_jax.state import initial_state, moving_average
from gan_jax.step import build_step

DIRAC = types.Data(jnp.zeros((4, 1)), jnp.zeros(4, jnp.int32))  # all real data at 0


def spec_of(**fields):
  static = {k: f.default for k, f in settings.FIELDS.items() if f.kind == "static"}
  return types.Spec(
    **{"losses": ("non_saturating",), "batch_size": 2, "latent_size": 1, "optimizer": "sgd"} | static | fields
  )


def hypers_of(**fields):
  rates = {"generator_rate": 0.2, "discriminator_rate": 0.2, "beta1": 0.5, "beta2": 0.9, "ema_decay": 0.9}
  base = {"seed": 0, "loss_index": 0, "loss_options": ({},), "penalty_weight": 0.0, "head_start": 0, **rates}
  return types.Hypers(**(base | fields))


def dirac_game(names, penalty="none", optimizer="sgd"):
  """The generator is a point theta, the discriminator psi * x; logits of `[B, 1]` images are `[B]`."""
  generator = types.Player(lambda key: jnp.ones(()), lambda theta, z, y: jnp.broadcast_to(theta, (z.shape[0], 1)))
  discriminator = types.Player(lambda key: jnp.ones(()), lambda psi, x, y: psi * x[:, 0])
  return Game(
    generator=generator,
    discriminator=discriminator,
    losses=tuple(losses.LOSSES[name] for name in names),
    penalty=None if penalty == "none" else penalties.get(penalty),
    optimizer=optim.get(optimizer),
    decode=lambda x: x,
    image_shape=(1,),
    num_classes=1,
  )


def dirac_map(names, penalty="none", n_critic=1, **hypers):
  """One step of the production code as a function (theta, psi) -> (theta, psi)."""
  spec = spec_of(losses=names, penalty=penalty, n_critic=n_critic, batch_size=2, optimizer="sgd")
  game = dirac_game(names, penalty)
  step = build_step(spec, game)
  h = hypers_of(loss_options=tuple({} for _ in names), **hypers)
  state = initial_state(h, game)

  def update(point):
    new, _ = step(h, state._replace(gen_params=point[0], disc_params=point[1]), DIRAC)
    return jnp.stack([new.gen_params, new.disc_params])

  return update


SLOPES = {  # |f'(0)| of the game at its equilibrium: ground truth 1a
  "minimax": 0.5,
  "non_saturating": 0.5,
  "wasserstein": 1.0,
  "hinge": 1.0,
  "relativistic": 0.5,
  "relativistic_average": 1.0,
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("n_critic", [1, 3])
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_dirac_eigenvalues_of_alternating_descent(name, n_critic, rate):
  """lambda = 1 - a^2/2 +- sqrt((1 - a^2/2)^2 - 1), a = sqrt(n_d) h f'(0): on the unit circle (ground truth 1b)."""
  update = dirac_map((name,), n_critic=n_critic, generator_rate=rate, discriminator_rate=rate)
  found = np.linalg.eigvals(jax.jacfwd(update)(jnp.zeros(2)))
  a = np.sqrt(n_critic) * rate * SLOPES[name]
  expected = 1 - a**2 / 2 + np.array([1, -1]) * np.emath.sqrt((1 - a**2 / 2) ** 2 - 1)
  assert np.allclose(np.sort_complex(found), np.sort_complex(expected), atol=1e-9)
  assert np.allclose(np.abs(found), 1, atol=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.5])
def test_dirac_eigenvalues_with_r1(name, gamma):
  """Continuous time: -gamma/2 +- sqrt(gamma^2/4 - f'(0)^2); the step's (J - I)/h tends to it, with R1's half."""
  h = 1e-6
  update = dirac_map((name,), "r1", penalty_weight=gamma, generator_rate=h, discriminator_rate=h)
  found = (np.linalg.eigvals(jax.jacfwd(update)(jnp.zeros(2))) - 1) / h
  expected = -gamma / 2 + np.array([1, -1]) * np.emath.sqrt(gamma**2 / 4 - SLOPES[name] ** 2)
  # At a double root the eigenvalues move with the square root of h.
  assert np.allclose(np.sort_complex(found), np.sort_complex(expected), atol=3e-3)
  determinant = np.linalg.det(jax.jacfwd(dirac_map((name,), "r1", penalty_weight=gamma))(jnp.zeros(2)))
  assert determinant == pytest.approx(1 - 0.2 * gamma, abs=1e-12)


@pytest.mark.usefixtures("x64")
def test_least_squares_with_01_coding_is_nilpotent_without_a_bias():
  """Ground truth 0.16: both eigenvalues of the Jacobian of the vector field are zero at the origin."""
  h = 1e-6
  update = dirac_map(("least_squares",), generator_rate=h, discriminator_rate=h)
  jacobian = (np.asarray(jax.jacfwd(update)(jnp.zeros(2))) - np.eye(2)) / h
  assert np.allclose(jacobian @ jacobian, 0, atol=1e-5)
  assert not np.allclose(jacobian, 0, atol=1e-3)


@pytest.mark.usefixtures("x64")
def test_wasserstein_conserves_its_invariant():
  """Alternating descent on theta * psi keeps theta^2 + psi^2 - h theta psi: the drift over 500 steps is rounding."""
  update = jax.jit(dirac_map(("wasserstein",), generator_rate=0.2, discriminator_rate=0.2))
  point, values = jnp.array([1.0, 1.0]), []
  for _ in range(500):
    values.append(float(point[0] ** 2 + point[1] ** 2 - 0.2 * point[0] * point[1]))
    point = update(point)
  assert np.ptp(values) < 1e-10
  assert float(jnp.linalg.norm(point)) > 0.5


@pytest.mark.usefixtures("x64")
def test_two_time_scale_rates_enter_where_they_should():
  update = dirac_map(("wasserstein",), generator_rate=0.1, discriminator_rate=0.3)
  theta, psi = update(jnp.array([2.0, 5.0]))
  # The discriminator minimises D(fake) - D(real) = psi * theta, the generator then -psi * theta.
  assert float(psi) == pytest.approx(5.0 - 0.3 * 2.0)
  assert float(theta) == pytest.approx(2.0 + 0.1 * float(psi))


def random_game(names, penalty="none"):
  """Small tanh networks with data: every array of the trace is non-trivial."""

  def init(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [jax.random.normal(k, (a, b)) / np.sqrt(a) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)]

  def apply(params, x):
    for weights in params[:-1]:
      x = jnp.tanh(x @ weights)
    return x @ params[-1]

  generator = types.Player(lambda key: init(key, (2, 8, 3)), lambda p, z, y: apply(p, z))
  discriminator = types.Player(lambda key: init(key, (3, 8, 1)), lambda p, x, y: apply(p, x)[:, 0])
  return dirac_game(names, penalty, "adam")._replace(generator=generator, discriminator=discriminator)


def random_case(names, penalty="none", index=0, **hypers):
  spec = spec_of(losses=names, penalty=penalty, batch_size=8, latent_size=2, optimizer="adam")
  game = random_game(names, penalty)
  h = hypers_of(loss_index=index, loss_options=tuple(losses.default_options(n) for n in names), **hypers)
  data = types.Data(jax.random.normal(jax.random.key(5), (20, 3)), jnp.zeros(20, jnp.int32))
  return spec, game, h, data, initial_state(h, game)


SEVEN = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge", "relativistic", "relativistic_average")


@pytest.mark.parametrize("name", SEVEN)
@pytest.mark.parametrize("penalty", ["none", "r1"])
def test_gradients_equal_those_of_the_whole_objective(name, penalty):
  """The staged pull-back is the gradient of the scalar objective, differentiated in one piece."""
  spec, game, h, data, state = random_case((name,), penalty, penalty_weight=0.7)
  _, trace = build_step(spec, game)(h, state, data)
  loss = losses.get(name)
  from gan_jax.data.order import example_indices
  from gan_jax.randomness import Purpose, derive_key

  real = data.images[example_indices(0, 0, 8, 20)]
  labels = jnp.zeros(8, jnp.int32)
  z = jax.random.normal(derive_key(0, 0, Purpose.DISCRIMINATOR_NOISE), (8, 2))

  def discriminator_objective(params):
    fake = game.generator.apply(state.gen_params, z, labels)
    value = loss.discriminator(
      game.discriminator.apply(params, real, labels), game.discriminator.apply(params, fake, labels)
    ).mean()
    if penalty == "r1":
      inner = jax.vmap(jax.grad(lambda x: game.discriminator.apply(params, x[None], labels[:1])[0]))(real)
      value += 0.7 * 0.5 * jnp.sum(inner**2) / 8
    return value

  expected = jax.grad(discriminator_objective)(state.disc_params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6), trace.disc_grads, expected)

  new_disc = jax.tree.map(jnp.add, state.disc_params, trace.disc_updates)
  z = jax.random.normal(derive_key(0, 0, Purpose.GENERATOR_NOISE), (8, 2))

  def generator_objective(params):
    fake = game.generator.apply(params, z, labels)
    r, f = game.discriminator.apply(new_disc, real, labels), game.discriminator.apply(new_disc, fake, labels)
    return loss.generator(jax.lax.stop_gradient(r), f).mean()

  expected = jax.grad(generator_objective)(state.gen_params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6), trace.gen_grads, expected)


@pytest.mark.parametrize("index", range(len(SEVEN)))
def test_a_traced_loss_index_chooses_that_loss(index):
  _, _, _, data, _ = random_case(SEVEN)
  spec, game, h, data, state = random_case(SEVEN, index=index)
  together = jax.jit(build_step(spec, game))(h, state, data)[1]
  spec, game, h, data, state = random_case((SEVEN[index],))
  alone = jax.jit(build_step(spec, game))(h, state, data)[1]
  assert float(together.gen_loss) == pytest.approx(float(alone.gen_loss), rel=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), together.gen_grads, alone.gen_grads)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), together.disc_grads, alone.disc_grads
  )


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, 1e20])
def test_a_member_that_diverges_is_frozen_and_its_neighbours_keep_their_bits(bad):
  """NaN, inf or an explosion in one member of a population changes no bit of the others."""
  names = ("non_saturating", "hinge")
  spec, game, h, data, _ = random_case(names, "r1")
  members = 4
  h = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * members), h)._replace(
    seed=jnp.arange(members, dtype=jnp.uint32),
    loss_index=jnp.arange(members) % 2,
    penalty_weight=jnp.full(members, 0.1),
  )
  step = jax.jit(jax.vmap(build_step(spec, game), in_axes=(0, 0, None)))
  healthy = jax.vmap(lambda one: initial_state(one, game))(h)
  for _ in range(3):
    healthy, _ = step(h, healthy, data)
  # In the last layer, where tanh cannot hide an explosion: R1 then squares it.
  *first, last = healthy.disc_params
  faulty = healthy._replace(disc_params=[*first, last.at[2].set(bad)])
  before = jax.tree.map(lambda x: x[2], faulty)
  for _ in range(4):
    healthy, _ = step(h, healthy, data)
    faulty, trace = step(h, faulty, data)
  assert faulty.diverged_at.tolist() == [-1, -1, 3, -1]
  assert trace.alive.tolist() == [True, True, False, True]
  others = np.array([0, 1, 3])
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[others], b[others]), healthy, faulty)
  frozen = jax.tree.map(lambda x: x[2], faulty)
  jax.tree.map(np.testing.assert_array_equal, frozen.gen_params, before.gen_params)
  jax.tree.map(np.testing.assert_array_equal, frozen.disc_params, before.disc_params)


def test_head_start_keeps_the_generator_still():
  spec, game, h, data, state = random_case(("hinge",), head_start=3)
  step = jax.jit(build_step(spec, game))
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


def test_same_seed_same_data_and_noise_for_every_loss():
  """Comparisons are paired: before the first update two losses see the same images and the same fakes."""
  images = []
  for name in ("minimax", "least_squares"):
    spec, game, h, data, state = random_case((name,), discriminator_rate=0.0)
    images.append(build_step(spec, game)(h, state, data)[1].real_logits)
  np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("taken", [0, 3])
def test_every_critic_step_sees_the_next_batch(taken):
  """The last of n_critic updates at step t sees positions (t n_critic + n_critic - 1) B onwards of the data's order."""
  from gan_jax.data.order import example_indices

  spec, game, h, data, state = random_case(("hinge",), discriminator_rate=0.0)
  _, trace = jax.jit(build_step(spec._replace(n_critic=3), game))(h, state._replace(step=jnp.int32(taken)), data)
  real = data.images[example_indices(0, (3 * taken + 2) * 8, 8, 20)]
  expected = game.discriminator.apply(state.disc_params, real, None)
  np.testing.assert_allclose(trace.real_logits, expected, rtol=1e-5, atol=1e-6)


def test_no_recompilation_on_the_second_call():
  spec, game, h, data, state = random_case(SEVEN, "r1")
  step = jax.jit(build_step(spec, game))
  state, _ = step(jax.tree.map(jnp.asarray, h), state, data)
  step(jax.tree.map(jnp.asarray, h)._replace(loss_index=jnp.asarray(3), generator_rate=jnp.asarray(0.1)), state, data)
  assert step._cache_size() == 1
