"""Bounds and spectral norms of weights, against numpy's singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, settings
from gan_jax.core import spectra
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.models import constraints
from gan_jax.probes.players import normalisation
from gan_jax.runner import evaluation, grouping

KEY = jax.random.key(0)


def with_spectrum(seed, shape, values):
  """A kernel whose matrix [rest, last axis] has these singular values."""
  rng = np.random.default_rng(seed)
  rows = int(np.prod(shape[:-1]))
  u, v = (np.linalg.qr(rng.normal(size=(n, len(values))))[0] for n in (rows, shape[-1]))
  return (u * np.asarray(values)) @ v.T.reshape(len(values), -1)


def kernel(seed, shape, values):
  return jnp.asarray(with_spectrum(seed, shape, values).reshape(shape))


def norm(x):
  return np.linalg.norm(np.asarray(x, np.float64).reshape(-1, x.shape[-1]), 2)


# The weights that the forward pass sees, from those that the optimizer left; a new constraint needs a row.
KNOWN = {
  "none": lambda w: w,
  "clip": lambda w: np.clip(w, -0.01, 0.01),
  "spectral": lambda w: w / np.linalg.norm(w, 2),
}


@pytest.mark.parametrize("name", constraints.CONSTRAINTS)
@pytest.mark.usefixtures("x64")
def test_what_is_left_of_the_weights(name):
  """At the start and after an update. The vectors of the power method are given time to follow."""
  assert name in KNOWN, f"add to KNOWN what weight constraint {name!r} makes of a kernel"
  constraint = constraints.CONSTRAINTS[name]()
  first, second = (with_spectrum(seed, (4, 3), (2.0, 1.0, 0.3)) for seed in (0, 1))
  params, memory = constraint.start({"kernel": jnp.asarray(first)}, KEY)
  np.testing.assert_allclose(constraint.bind(params, memory)["kernel"], KNOWN[name](first), rtol=1e-5, atol=1e-12)
  moved = constraint.project({"kernel": params["kernel"] - first + second})
  for _ in range(10):
    memory = constraint.advance(moved, memory)
  start = np.asarray(params["kernel"])
  seen = constraint.bind(moved, memory)["kernel"]
  np.testing.assert_allclose(seen, KNOWN[name](start - first + second), rtol=1e-5, atol=1e-12)
  assert constraint.binds == (not np.array_equal(seen, moved["kernel"]))


def test_clip_bounds_every_weight():
  params = {"kernel": jnp.array([[-3.0, 0.005], [0.02, -0.01]]), "bias": jnp.array([0.5, -0.5, 0.0], jnp.bfloat16)}
  clipped = constraints.clip(params, 0.01)
  np.testing.assert_allclose(clipped["kernel"], [[-0.01, 0.005], [0.01, -0.01]])
  assert clipped["bias"].dtype == jnp.bfloat16
  np.testing.assert_allclose(clipped["bias"].astype(jnp.float32), [0.01, -0.01, 0.0], rtol=0.01)


@pytest.mark.usefixtures("x64")
def test_the_largest_singular_value_becomes_one():
  """Dense and convolution kernels, large, tiny, and of one output; biases stay, the other singular values scale along."""
  params = {
    "conv": {"kernel": kernel(0, (4, 4, 2, 6), (7.0, 5.0, 4.0, 3.0, 2.0, 1.0)), "bias": jnp.full(6, 5.0)},
    "dense": {"kernel": kernel(1, (5, 3), (0.3, 0.2, 0.1)), "bias": jnp.full(3, -2.0)},
    "narrow": {"kernel": kernel(2, (7, 1), (4.0,))},
    "tiny": {"kernel": kernel(3, (3, 5), (1e-8, 5e-9))},
    "unit": {"kernel": kernel(4, (4, 4), (1.0, 0.5))},
    "with a dead output": {"kernel": kernel(5, (5, 3), (2.0, 1.0, 0.5)).at[:, 1].set(0)},
  }
  vectors = jax.jit(constraints.initial_vectors)(params, KEY)
  assert [v.shape for v in vectors] == [(6,), (3,), (1,), (5,), (4,), (3,)]
  for v in vectors:
    assert float(jnp.linalg.norm(v)) == pytest.approx(1)
  normalised = jax.jit(constraints.normalise)(params, vectors)
  for name, layer in normalised.items():
    assert norm(layer["kernel"]) == pytest.approx(1, rel=1e-6), name
    largest = norm(params[name]["kernel"])
    np.testing.assert_allclose(layer["kernel"] * largest, params[name]["kernel"], rtol=1e-6)
    if "bias" in layer:
      np.testing.assert_array_equal(layer["bias"], params[name]["bias"])


def test_random_kernels_are_near_enough_after_the_start():
  """What the initialisers give has no gap to speak of: 30 iterations find the norm to half a percent, 1 does not."""
  shapes = [(64, 64), (4, 4, 8, 32), (128, 1)]
  params = [jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32) for shape in shapes]
  vectors = jax.jit(constraints.initial_vectors)(params, KEY)
  normalise = jax.jit(constraints.normalise)
  for x in normalise(params, vectors):
    assert 1 - 1e-5 < norm(x) < 1.005
  once = normalise(params, tuple(spectra.unit(jnp.ones(shape[-1])) for shape in shapes))
  assert norm(once[0]) > 1.02


def test_a_kernel_of_zeros_is_finite_and_may_grow():
  """It stays zero, with slope 1; and when it leaves zero, its norm is found."""
  params = {"kernel": jnp.zeros((4, 3))}
  vectors = constraints.initial_vectors(params, KEY)
  value, slope = jax.value_and_grad(lambda p: constraints.normalise(p, vectors)["kernel"].sum())(params)
  assert value == 0
  np.testing.assert_array_equal(slope["kernel"], np.ones((4, 3)))
  grown = {"kernel": kernel(0, (4, 3), (5.0, 1.0)).astype(jnp.float32)}
  for _ in range(10):
    vectors = constraints.advance(grown, vectors, 1)
  assert norm(constraints.normalise(grown, vectors)["kernel"]) == pytest.approx(1, rel=1e-5)


@pytest.mark.usefixtures("x64")
def test_a_kernel_that_turns_slowly_is_followed():
  """By a hundredth per update, with a gap of a third: one iteration is enough; left alone it is not normalised."""
  left, right = (np.linalg.qr(np.random.default_rng(i).normal(size=(n, n)))[0] for i, n in ((0, 5), (1, 4)))
  values = np.diag([3.0, 2.0, 1.0, 0.5])

  def params(t):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]
    return {"kernel": jnp.asarray(left[:, :4] @ values @ turn @ right)}

  start = constraints.initial_vectors(params(0.0), KEY)
  advance, vectors = jax.jit(constraints.advance, static_argnums=2), start
  for i in range(1, 101):
    vectors = advance(params(0.01 * i), vectors, 1)
  assert norm(constraints.normalise(params(1.0), vectors)["kernel"]) == pytest.approx(1, abs=1e-3)
  assert norm(constraints.normalise(params(1.0), start)["kernel"]) > 1.03


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("converged", [True, False])
def test_gradient_takes_the_vectors_as_constants(converged):
  """d<C, W / s> / dW = (C - <C, W / s> u v^T) / s (Miyato et al. 2018, eq. 12), whether or not u, v have converged.

  Where they have, s is the singular value and so this is the derivative of C . W / s(W), by finite differences too.
  """
  w = with_spectrum(0, (4, 3), (2.0, 1.2, 0.3))
  c = np.random.default_rng(1).normal(size=(4, 3))
  params = {"kernel": jnp.asarray(w)}
  vectors = constraints.initial_vectors(params, KEY)
  if not converged:
    vectors = (spectra.unit(jnp.array([1.0, -2.0, 0.5])),)
  gradient = jax.grad(lambda p: (c * constraints.normalise(p, vectors)["kernel"]).sum())(params)["kernel"]
  u = w @ np.asarray(vectors[0])
  u /= np.linalg.norm(u)
  v = w.T @ u
  v /= np.linalg.norm(v)
  s = u @ w @ v
  np.testing.assert_allclose(gradient, (c - (c * w).sum() / s * np.outer(u, v)) / s, rtol=1e-8, atol=1e-10)
  if converged:
    assert s == pytest.approx(2)
    for index in np.ndindex(4, 3):
      step = np.zeros((4, 3))
      step[index] = 1e-6
      numeric = [(c * x).sum() / np.linalg.norm(x, 2) for x in (w + step, w - step)]
      assert float(gradient[index]) == pytest.approx((numeric[0] - numeric[1]) / 2e-6, abs=1e-6)
  else:
    assert s < 1.999


@pytest.mark.parametrize("shape", [(64, 64), (4, 4, 8, 32), (128, 1), (3, 5)])
@pytest.mark.parametrize("size", [1.0, 1e-20])
def test_the_largest_singular_value_is_measured_from_below(shape, size):
  w = (size * np.random.default_rng(1).normal(size=shape)).astype(np.float32)
  found = float(jax.jit(spectra.largest_singular_value)(jnp.asarray(w), KEY))
  assert 0.99 * norm(w) <= found <= norm(w) * (1 + 1e-5)
  assert float(spectra.largest_singular_value(jnp.zeros(shape), KEY)) == 0


def trained(steps, **fields):
  """(rows of `disc/largest_singular_value`, largest by SVD) of a small discriminator that learns fast, after each step."""
  config = {"dataset": "digits", "weight_constraint": "spectral", "discriminator_rate": 2e-2, "generator_rate": 2e-2}
  sizes = {
    "model_options": {"generator_width": 16, "discriminator_width": 16, "depth": 3},
    "batch_size": 16,
    "latent_size": 4,
  }
  (group,) = grouping.group([settings.resolve(config | sizes | fields)])
  digits = data.load("digits")
  played = game.build(group.spec, digits)
  hypers = jax.tree.map(lambda x: jnp.asarray(x)[0], group.hypers)

  @jax.jit
  def run(state):
    def one(state, _):
      state, trace = build_resident_step(played)(hypers, state, digits.data)
      return state, (normalisation(trace)["disc/largest_singular_value"], trace.discriminator.normalised)

    return jax.lax.scan(one, state, length=steps)[1]

  rows, kernels = run(initial_state(hypers, played))
  at = lambda t: spectra.kernels(jax.tree.map(lambda x: x[t], kernels))  # noqa: E731
  return np.asarray(rows), np.array([max(norm(w) for w in at(t)) for t in range(steps)])


def test_more_iterations_follow_a_fast_discriminator_and_a_row_says_how_well():
  worst = {}
  for iterations in (1, 20):
    rows, exact = trained(40, weight_constraint_options={"iterations": iterations})
    np.testing.assert_allclose(rows, exact, rtol=5e-3)
    worst[iterations] = exact.max()
  assert worst[1] > 1.05
  assert worst[20] < 1 + 0.3 * (worst[1] - 1)


def test_what_moves_the_weights_besides_the_update_is_followed_too():
  """A lazy penalty's own update, and lookahead's way back."""
  fields = {"penalty": "r1", "penalty_weight": 1.0, "penalty_every": 2, "lookahead_every": 3}
  assert trained(12, weight_constraint_options={"iterations": 200}, **fields)[1].max() < 1.01


def test_without_the_constraint_there_is_no_such_row():
  (group,) = grouping.group([settings.resolve({"dataset": "ring", "latent_size": 2})])
  played = game.build(group.spec, data.load("ring"))
  assert "disc/largest_singular_value" not in evaluation.explanations(played)
  assert "disc/largest_singular_value" in evaluation.explanations(
    played._replace(spec=group.spec._replace(weight_constraint="spectral"))
  )
