"""Eigenvalues of the production update held to theory, to linear algebra and to the dense Jacobian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, settings
from gan_jax.core.errors import BadInput
from gan_jax.game import discriminator, generator
from gan_jax.game.batches import resident_batch
from gan_jax.game.state import initial_state
from gan_jax.inspections import geometry, krylov
from gan_jax.metrics import Quality
from gan_jax.models.players import plain
from gan_jax.runner import evaluation, feeding, grouping, population
from gan_jax.theory import dirac
from tests.game.test_step import random_case, stepper
from tests.support.networks import pure
from tests.support.records import fitted
from tests.support.steps import bare, compiled_step, nothing
from tests.support.theory import Play, hypers_of, play, roots, same, spec_of

BLOCKS = np.array([[0.9, 0.4], [-0.4, 0.9]])


def krylov_of(matrix, size, seed=0):
  start = jax.random.normal(jax.random.key(seed), matrix.shape[:1], matrix.dtype)
  found = jax.jit(lambda m, v: krylov.arnoldi(lambda x: m @ x, v, size))(jnp.asarray(matrix), start)
  return jax.device_get(found)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-150, 1e20])
def test_all_eigenvalues_of_a_nonsymmetric_matrix(scale):
  matrix = np.random.default_rng(0).normal(size=(8, 8))
  expected = np.linalg.eigvals(matrix)
  assert np.abs(expected.imag).max() > 0.5
  for size in (8, 30):
    same(krylov.eigenvalues(krylov_of(matrix * scale, size)) / scale, expected, 1e-6)


def test_single_precision_does_not_lose_the_small():
  matrix = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
  same(krylov.eigenvalues(krylov_of(matrix * 1e-20, 6)) / 1e-20, np.linalg.eigvals(matrix.astype(float)), 1e-4)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
  ("matrix", "expected"),
  [
    (np.kron(np.eye(4), BLOCKS), [0.9 + 0.4j, 0.9 - 0.4j]),
    (np.eye(5), [1.0]),
    (np.zeros((5, 5)), [0.0]),
    (np.diag([1.0, 1.0, 2.0, 2.0, -3.0]), [1.0, 2.0, -3.0]),
  ],
)
def test_an_exhausted_space_ends_the_iteration(matrix, expected):
  """Each eigenvalue once, and no zeros of the unused rows: the space of one vector holds one direction of each."""
  found = krylov_of(matrix, 5)
  assert int(found.size) == len(expected)
  same(krylov.eigenvalues(found), expected, 1e-9)


@pytest.mark.usefixtures("x64")
def test_outliers_of_a_large_matrix_come_first():
  """A game of 400 numbers near the identity with one pair that turns: twelve products find it."""
  rng = np.random.default_rng(2)
  basis = np.linalg.qr(rng.normal(size=(400, 400)))[0]
  middle = np.eye(400) + np.diag(rng.uniform(-1e-3, 0, 400))
  middle[:2, :2] = [[1.02, 0.3], [-0.3, 1.02]]
  matrix = basis @ middle @ basis.T
  found = [krylov.leading(krylov_of(matrix, size)) for size in (4, 12)]
  for value, residual in found:
    assert value.imag > 0
    # An eigenvalue of a matrix that is so far away: the least singular value of A - lambda I is at most the residual.
    assert np.linalg.svd(matrix - value * np.eye(400))[1][-1] <= residual * (1 + 1e-6) + 1e-12
  assert found[0][1] > found[1][1]
  assert found[1][1] < 1e-9
  assert found[1][0] == pytest.approx(1.02 + 0.3j, abs=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("values", [[3.0, -5.0, 1.0, 0.0], [2.0, 1.0, 0.5, -1.9], [1e-21, -3e-20, 2e-20, 0.0]])
def test_curvature_of_a_quadratic(values):
  """The eigenvalue of largest size, with its sign."""
  q = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
  matrix = q @ np.diag(values) @ q.T
  largest = max(values, key=abs)
  assert krylov.curvature(krylov_of(matrix, 6)) == pytest.approx(largest, rel=1e-9)


def test_what_is_not_finite_is_nan_and_no_exception():
  broken = krylov.Krylov(np.full((3, 3), np.nan), np.int32(3), np.float32(0))
  assert np.isnan(krylov.leading(broken)).all()
  assert np.isnan(krylov.eigenvalues(broken)).all()
  assert np.isnan(krylov.curvature(broken))


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (3, 3, 2, 5), (40, 60)])
def test_spectral_norms(shape):
  """Against NumPy's singular values, at sizes down to 1e-20 and with a layer of two kernels."""
  rng = np.random.default_rng(4)
  first, second = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)
  params = {
    "a": {"kernel": first, "bias": np.ones(3, np.float32)},
    "b": {"c": {"kernel": 1e-20 * first, "embedding": 1e-20 * second}},
    "d": {"bias": np.ones(2, np.float32)},
    "e": {"kernel": np.zeros(shape, np.float32)},
  }
  found = jax.jit(lambda p: geometry.spectral_norms({"generator": p}, jax.random.key(0)))(params)
  norms = [np.linalg.norm(x.reshape(-1, shape[-1]), 2) for x in (first, second)]
  assert set(found) == {"generator/a", "generator/b/c", "generator/e"}
  assert float(found["generator/a"]) == pytest.approx(norms[0], rel=1e-4)
  assert float(found["generator/b/c"]) == pytest.approx(1e-20 * max(norms), rel=1e-4)
  assert float(found["generator/e"]) == 0


# The production update, on games whose answer is exact.


@functools.cache
def measurement(machine):
  """(hypers, state) -> what `geometry` finds on a Dirac-GAN."""
  measure = geometry.build(machine.game)
  return jax.jit(lambda h, state: measure(h, state, machine.data))


def seen_at(machine, h, state):
  """(eigenvalues of the update, the columns)."""
  statistics = jax.device_get(measurement(machine)(fitted(h, machine.spec), state))
  row = geometry.finish(jax.tree.map(lambda x: x[None], statistics))
  return krylov.eigenvalues(statistics.update), {name: float(value[0]) for name, value in row.items()}


def seen(machine, h, theta=0.0, psi=0.0):
  return seen_at(machine, h, machine.at(theta, psi, h))


GAMMAS = {"penalty": "r1", "order": "simultaneous", "losses": ("non_saturating",)}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
  ("static", "hypers", "expected"),
  [
    # ground truth 1a, as eigenvalues 1 + h lambda of the update, h = 0.2
    ({"losses": ("minimax",), "order": "simultaneous"}, {}, [0.5j, -0.5j]),
    ({"losses": ("wasserstein",), "order": "simultaneous"}, {}, [1j, -1j]),
    (GAMMAS, {"penalty_weight": 0.3}, roots(-0.15, 0.15**2 - 0.25)),
    (GAMMAS, {"penalty_weight": 2.5}, roots(-1.25, 1.25**2 - 0.25)),
    (
      {"losses": ("minimax",), "order": "simultaneous", "method": "consensus"},
      {"method_options": {"weight": 0.8}},
      [-0.2 + 0.5j, -0.2 - 0.5j],
    ),
    (
      {"losses": ("minimax",), "order": "simultaneous", "unroll_steps": 5},
      {"unroll_rate": 0.3},
      roots(-0.375, 0.375**2 - 0.25),
    ),
  ],
)
def test_the_vector_field_of_the_dirac_gan(static, hypers, expected):
  names = static["losses"]
  values, row = seen(play(**static), hypers_of(names, **hypers))
  lambdas = 1 + 0.2 * np.array(expected)
  same(values, lambdas)
  leading = lambdas[np.argmax(np.abs(lambdas))]
  assert row["geometry/spectral_radius"] == pytest.approx(abs(leading), rel=1e-6)
  assert row["geometry/leading_real"] == pytest.approx(leading.real - 1, abs=1e-7)
  assert row["geometry/leading_imaginary"] == pytest.approx(abs(leading.imag), abs=1e-7)
  assert row["geometry/rotation"] == pytest.approx(abs(leading.imag) / abs(leading - 1), abs=1e-6)


POLYNOMIALS = {  # ground truth 7, at a = rate
  "simultaneous": ({"order": "simultaneous"}, lambda a: np.sqrt(1 + a**2)),
  "alternating": ({"order": "generator_first"}, lambda a: 1.0),
  "optimistic": (
    {"order": "simultaneous", "optimizer": "optimistic_sgd"},
    lambda a: np.sqrt((1 + np.sqrt(1 - 4 * a**2)) / 2),
  ),
  "extragradient": (
    {"order": "simultaneous", "method": "extragradient", "fakes": "same_noise"},
    lambda a: np.sqrt(1 - a**2 + a**4),
  ),
  "momentum": (
    {"order": "generator_first", "optimizer": "momentum"},
    # (l - 1)^2 (l - beta)^2 + a^2 l^3 with beta = -0.5
    lambda a: np.abs(np.roots(np.polymul([1, -2, 1], [1, 1, 0.25]) + np.array([0, a**2, 0, 0, 0]))).max(),
  ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", POLYNOMIALS)
@pytest.mark.parametrize("a", [0.1, 0.3, 0.45])
def test_spectral_radii_of_the_bilinear_game(method, a):
  static, radius = POLYNOMIALS[method]
  h = hypers_of(generator_rate=a, discriminator_rate=a, optimizer_options={"beta1": -0.5})
  assert seen(play(**static), h)[1]["geometry/spectral_radius"] == pytest.approx(radius(a), abs=1e-7)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("order", ["simultaneous", "generator_first"])
def test_a_quadratic_game(order):
  """m/2 x^2 + s xy - m/2 y^2: R1 and weight decay are the squares; the leading pair of m = 0.5, s = 1."""
  m, eta = 0.5, 0.1
  machine = play(order=order, penalty="r1", generator_penalty="weight_decay")
  h = hypers_of(generator_rate=eta, discriminator_rate=eta, penalty_weight=m, generator_penalty_weight=m)
  _, row = seen(machine, h)
  expected = np.hypot(1 - eta * m, eta) if order == "simultaneous" else 1 - eta * m
  assert row["geometry/spectral_radius"] == pytest.approx(expected, abs=1e-7)
  assert row["geometry/generator_curvature"] == pytest.approx(m, rel=1e-6)
  assert row["geometry/discriminator_curvature"] == pytest.approx(m, rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_two_time_scales():
  h = hypers_of(generator_rate=0.1, discriminator_rate=0.4)
  same(seen(play(order="simultaneous"), h)[0], [1 + 0.2j, 1 - 0.2j])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
  "static",
  [
    {"lookahead_every": 5, "optimizer": "momentum"},
    {"penalty_every": 4, "penalty": "r1", "n_critic": 2, "lookahead_every": 3},
    {"penalty": "lecam"},
  ],
)
def test_what_does_not_act_in_every_step_is_seen_over_its_whole_cycle(static):
  """Against the dense Jacobian of that many steps, over everything that a Dirac-GAN carries."""
  machine = play(**static)
  length = geometry.cycle(machine.game)
  assert length == {"lookahead_every": 5, "penalty_every": 6, "penalty": 1}[next(iter(static))]
  h = hypers_of(optimizer_options={"beta1": 0.3}, penalty_weight=0.4)
  dense = machine.eigenvalues(h, theta=0.3, psi=0.2, steps=length)
  values, _ = seen(machine, h, 0.3, 0.2)
  assert np.abs(values).max() == pytest.approx(np.abs(dense).max(), abs=1e-6)


@pytest.mark.usefixtures("x64")
def test_the_balance_of_a_loss_is_part_of_the_game():
  """Against the dense Jacobian of a step of BEGAN, whose balance moves by the players and they by it."""
  h = hypers_of(("began",), options={"balance": 0.4, "diversity": 0.7, "gain": 0.5})
  machine = play(losses=("began",), order="simultaneous")
  dense = machine.eigenvalues(h, theta=0.3, psi=0.2)
  values, _ = seen(machine, h, 0.3, 0.2)
  assert np.abs(values).max() == pytest.approx(np.abs(dense).max(), abs=1e-6)
  assert len(values) == 3


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("optimizer", "numbers"), [("adam", 6), ("rmsprop", 4)])
def test_the_memory_of_an_optimizer_is_part_of_the_game(optimizer, numbers):
  """Far from the equilibrium, after a few steps, against the dense Jacobian of the same step."""
  machine = play(order="simultaneous", optimizer=optimizer, losses=("non_saturating",), penalty="r1")
  h = hypers_of(("non_saturating",), penalty_weight=0.3, optimizer_options={"beta1": 0.5, "beta2": 0.9}, ema_decay=0.9)
  state = machine.at(1.0, 0.7, h)
  for _ in range(5):
    state = machine.step(h, state)
  dense = np.linalg.eigvals(np.asarray(jax.jit(lambda s: dirac.jacobian(lambda x: machine.step(h, x), s))(state)))
  found, _ = seen_at(machine, h, state)
  assert len(found) == numbers
  for value in found:  # the dense one has the averaged generator's too, 0.9
    assert np.abs(dense - value).min() < 1e-5
  assert np.abs(found).max() == pytest.approx(np.abs(dense[np.abs(dense - 0.9) > 1e-9]).max(), abs=1e-6)


@pytest.mark.usefixtures("x64")
def test_a_weight_that_never_had_a_gradient_adds_a_one_and_no_nan():
  """Adam's root has no derivative at the zero that it remembers of it."""
  spec = spec_of(order="simultaneous", optimizer="adam", losses=("non_saturating",))
  generator, discriminator = dirac.dirac()
  idle = plain(lambda key: (jnp.ones(()), jnp.ones(())), lambda p, *inputs: pure(generator).apply(p[0], *inputs))
  h, found = fitted(hypers_of(("non_saturating",)), spec), []
  for player in (generator, idle):
    played = game.assemble(spec, data.from_numbers(jnp.zeros(4)), player, discriminator)
    step, state = compiled_step(played, nothing), initial_state(h, played)
    for _ in range(2):
      state = step(h, state, data.from_numbers(jnp.zeros(4)).data)[0]
    statistics = jax.jit(geometry.build(played))(h, state, data.from_numbers(jnp.zeros(4)).data)
    found.append(krylov.eigenvalues(jax.device_get(statistics.update)))
  same(found[1], [*found[0], 1.0], 1e-6)


def test_adam_has_no_geometry_before_its_first_step():
  machine = Play(optimizer="adam")
  h = hypers_of()
  _, row = seen(machine, h, 1.0, 1.0)
  assert [np.isnan(x) for x in row.values()] == [True] * 5 + [False] * 2
  state = machine.step(h, machine.at(1.0, 1.0, h))
  _, row = seen_at(machine, h, state)
  assert np.isfinite(list(row.values())).all()
  _, row = seen_at(machine, h, state._replace(diverged_at=jnp.int32(0)))
  assert np.isnan(list(row.values())).all()


@pytest.mark.usefixtures("x64")
def test_curvatures_are_those_of_the_dense_hessians():
  """Two small networks with R1, against jax.jacfwd of the same gradient and NumPy's eigenvalues."""
  _, played, h, examples, state = random_case(("non_saturating",), "r1", penalty_weight=0.7, optimizer="sgd")
  statistics = jax.device_get(jax.jit(geometry.build(played, size=60))(h, state, examples))
  gradients = {"generator": generator.gradient, "discriminator": discriminator.gradient}
  for player in ("generator", "discriminator"):
    batch = resident_batch(played, h, state.step, examples, player, 0)
    flat, unravel = jax.flatten_util.ravel_pytree(state.gen_params if player == "generator" else state.disc_params)

    def gradient(vector, player=player, unravel=unravel, batch=batch):
      mine = unravel(vector)
      point = (mine, state.disc_params) if player == "generator" else (state.gen_params, mine)
      return jax.flatten_util.ravel_pytree(gradients[player](played, h, point, state.memory, batch)[0])[0]

    values = np.linalg.eigvalsh(np.asarray(jax.jit(jax.jacfwd(gradient))(flat)))
    expected = values[np.argmax(np.abs(values))]
    assert krylov.curvature(getattr(statistics, player)) == pytest.approx(expected, rel=1e-6)


def test_a_loss_that_was_not_chosen_does_not_leak():
  """Logits at which one branch of the switch overflows: the eigenvalues are those of the program without it."""
  names = ("hinge", "f_gan_kl")
  results = []
  for chosen in (names, names[:1]):
    spec, played, h, examples, state = random_case(chosen, optimizer="sgd")
    measure = geometry.build(played)
    loud = state._replace(disc_params=jax.tree.map(lambda x: 2000 * x, state.disc_params))
    many = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), (h, loud))
    statistics = jax.jit(jax.vmap(lambda h, s, m=measure, d=examples: m(h, s, d)))(*many)
    results.append(geometry.finish(jax.device_get(statistics)))
  assert np.asarray(stepper(spec, bare)(h, loud, examples)[1].generator.fake_logits).max() > 100  # e^(f - 1) is inf
  for name, value in results[0].items():
    assert np.isfinite(value).all(), name
    np.testing.assert_allclose(value, results[1][name], rtol=1e-3, atol=1e-5)


def test_spectral_normalisation_is_refused():
  asked = settings.resolve({"weight_constraint": "spectral", "probes": "layers+geometry"})
  with pytest.raises(BadInput, match="weight_constraint 'spectral' takes its singular vectors as constants"):
    grouping.group([asked])
  grouping.group([asked | {"probes": "layers"}])


# A real population.

SMALL = {
  "model_options": {"generator_width": 16, "discriminator_width": 16, "depth": 1},
  "latent_size": 4,
  "batch_size": 16,
}
PROBED = {
  "probes": "geometry+gap",
  "probe_options.geometry.size": 6,
  "probe_options.gap.steps": 3,
  "evaluation_samples": 100,
}


UPDATE = [f"geometry/{x}" for x in ("spectral_radius", "leading_real", "leading_imaginary", "rotation", "residual")]


def compiled(**extra):
  """Three members of three losses, four after padding."""
  losses = ["minimax", "hinge", "relativistic"]
  members = [settings.resolve(SMALL, {"loss": x, "seed": i, "steps": 3}, extra) for i, x in enumerate(losses)]
  (group,) = grouping.group(members)
  dataset = data.load("digits")
  quality = Quality(lambda draw, count, near: draw(np.arange(4)).mean(), lambda found: {"mean": found}, {}, {})
  played = game.build(group.spec, dataset)
  return group, played, population.compile_group(group, played, dataset, quality)


def test_a_real_population_gives_finite_numbers_and_explains_them():
  """Three steps of Adam; before the first, Adam has no geometry."""
  _group, played, program = compiled(**PROBED)
  state = program.init(program.hypers)
  before = program.inspect(program.hypers, state, program.data)
  feed = jax.jit(lambda h, s: feeding.draw_feed(played, h, s.step[0], 3, program.data))(program.hypers, state)
  state = jax.jit(functools.partial(population.steps, played))(program.hypers, state, feed)
  after = program.inspect(program.hypers, state, program.data)
  explained = evaluation.explanations(played)
  assert {name for name in explained if name.startswith(("geometry/", "gap/"))} == after.keys()
  for name, value in after.items():
    assert value.shape == (3,)
    assert value.dtype == np.float32
    assert np.isfinite(value).all(), (name, value)
    assert np.isnan(before[name]).all() == (name in UPDATE), name
  assert "geometry/spectral_norm/discriminator/Dense_0" in after


def test_inspecting_changes_no_bit_of_the_training():
  """The training is the very same program, to the letter, and what is not asked for is not there."""
  programs = [compiled(**extra) for extra in ({}, PROBED)]
  texts = []
  for _, _, program in programs:
    state = jax.eval_shape(program.init, program.hypers)
    texts.append(program.advance.lower(program.hypers, state, program.data, 1, 3).as_text())
  assert texts[0] == texts[1]
  _group, played, program = programs[0]
  assert program.inspect(program.hypers, None, program.data) == {}
  assert not any(name.startswith(("geometry/", "gap/")) for name in evaluation.explanations(played))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, np.finfo(np.float32).max])
def test_a_member_without_a_finite_matrix_has_no_eigenvalues_and_its_neighbours_have_theirs(wrong):
  matrices = np.random.default_rng(4).normal(size=(3, 4, 4)).astype(np.float32)
  whole = krylov.Krylov(matrices, np.full(3, 4, np.int32), np.full(3, 0.1, np.float32))
  statistics = geometry.Statistics(whole, whole, whole, {"generator/a": np.ones(3)}, np.ones(3, bool), np.ones(3, bool))
  alone = geometry.finish(statistics)
  matrices = matrices.copy()
  matrices[1, 0, 1] = matrices[1, 1, 0] = wrong
  broken = whole._replace(hessenberg=matrices)
  found = geometry.finish(statistics._replace(update=broken, generator=broken, discriminator=broken))
  for name in alone:
    np.testing.assert_array_equal(found[name][[0, 2]], alone[name][[0, 2]])
  assert not np.isfinite(wrong) or not np.isnan(found["geometry/spectral_radius"][1])
  assert np.isfinite(wrong) or np.isnan(found["geometry/generator_curvature"][1])
