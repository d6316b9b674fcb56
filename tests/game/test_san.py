"""SAN: the last layer is a direction, which a term of its own trains, while the loss trains everything below it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, models
from gan_jax.core.errors import BadInput
from gan_jax.game import discriminator
from gan_jax.game.batches import resident_batch
from gan_jax.game.state import initial_state
from gan_jax.inspections import geometry
from gan_jax.models.linen import LogitHead
from gan_jax.models.precision import in_bfloat16
from tests.support.records import fitted, hypers_of, spec_of

SMALL = {"generator_width": 8, "discriminator_width": 8}
FIELDS = {"dataset": "line", "latent_size": 2, "batch_size": 16, "penalty": "r1", "penalty_every": 1}


def built(last_layer, loss="minimax", **fields):
  """(game, hypers, state, batch) of a small fully connected pair."""
  spec = spec_of((loss,), model_options={**SMALL, "last_layer": last_layer}, **FIELDS | fields)
  dataset = data.load("line")
  played, h = game.build(spec, dataset), fitted(hypers_of((loss,), penalty_weight=0.3), spec)
  state = initial_state(h, played)
  return played, h, state, resident_batch(played, h, state.step, dataset.data, "discriminator", 0)


def unit(vector):
  return np.asarray(vector) / np.linalg.norm(vector)


@pytest.fixture(scope="module")
def gradients():
  """Of SAN, and of the plain discriminator whose last kernel is SAN's direction: (params, gradient, view) of each."""
  played, h, state, batch = built("san")
  found = {}
  for name in ("san", "linear"):
    plain, params = built(name)[0], state.disc_params
    if name == "linear":
      head = params["LogitHead_0"]
      kernel = unit(head["direction"]["kernel"]).reshape(-1, 1)
      params = params | {"LogitHead_0": {"linear": {"kernel": jnp.asarray(kernel), "bias": head["bias"]}}}
    take = jax.jit(lambda p, g=plain: discriminator.gradient(g, h, (state.gen_params, p), state.memory, batch))
    grads, seen = take(params)
    found[name] = params, grads, seen.view
  params = state.disc_params
  fake = played.generator.apply(state.gen_params, {}, batch.noise, batch.labels, True)[0]
  both = [played.discriminator.apply(params, {}, x, batch.labels, True)[0].features for x in (batch.real, fake)]
  return found, [np.asarray(x, np.float64) for x in both]


def test_the_loss_sees_the_plain_discriminator_of_that_direction(gradients):
  """The same logits and penalty; the same gradient by every weight below the direction, and by the bias."""
  (params, san, view), (_, linear, plain_view) = gradients[0]["san"], gradients[0]["linear"]
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)  # noqa: E731
  for name in ("loss", "penalty", "real_logits", "fake_logits"):
    close(getattr(view, name), getattr(plain_view, name))
  assert float(view.penalty) > 0.01
  below = [name for name in params if name != "LogitHead_0"]
  assert len(below) == 2
  for name in below:
    jax.tree.map(close, san[name], linear[name])
  close(san["LogitHead_0"]["bias"], linear["LogitHead_0"]["linear"]["bias"])


def test_the_direction_turns_to_the_reals(gradients):
  """d/dv of <v / |v|, mean h(fake) - mean h(real)>, by hand: the projection orthogonal to v, over |v|."""
  (params, san, _), (real, fake) = gradients[0]["san"], gradients[1]
  v = np.asarray(params["LogitHead_0"]["direction"]["kernel"], np.float64)[0]
  d, gap = unit(v), fake.mean(0) - real.mean(0)
  expected = (gap - (gap @ d) * d) / np.linalg.norm(v)
  found = np.asarray(san["LogitHead_0"]["direction"]["kernel"])[0]
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  assert abs(found @ d) < 1e-6 * np.linalg.norm(found) + 1e-7
  assert np.linalg.norm(found) > 0.01


@pytest.mark.parametrize("classes", [0, 3])
def test_a_class_has_a_direction_of_its_own(classes):
  """The logit is <d, h> + b, d the unit vector of w, or of w + the vector of the class; both outputs are that number."""
  rng = np.random.default_rng(0)
  h, labels = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32), jnp.array([0, 2, 1, 2, 0])
  head = LogitHead(classes > 0, max(classes, 1), last_layer="san", class_logits=2)
  params = head.init(jax.random.key(0), h, labels)["params"] | {"bias": jnp.array([0.7])}
  output = head.apply({"params": params}, h, labels)
  w = np.asarray(params["direction"]["kernel"], np.float64)[0]
  vectors = [w + (np.asarray(params["embed"]["kernel"])[y] if classes else 0) for y in np.asarray(labels)]
  expected = [unit(v) @ np.asarray(x) + 0.7 for v, x in zip(vectors, h, strict=True)]
  np.testing.assert_allclose(output.logits, expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(output.direction, output.logits)
  assert output.classes.shape == (5, 2)
  for name, own in {"logits": {"bias"}, "direction": {"direction", "embed"} & params.keys()}.items():
    grads = jax.grad(lambda p, name=name: getattr(head.apply({"params": p}, h, labels), name).sum())(params)
    assert {k for k, tree in grads.items() if any(np.any(x) for x in jax.tree.leaves(tree))} == own


@pytest.mark.parametrize("name", [n for n in models.MODELS.own if "last_layer" in models.get(n).options])
def test_a_model_has_it(name):
  """With the class and without, in mixed precision too; nothing is computed."""
  entry = models.get(name)
  for conditional in (False, True):
    _, judge = entry((16, 16, 3), 4, 80, conditional, **SMALL, last_layer="san")
    params, memory = jax.eval_shape(judge.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((6, 16, 16, 3), jnp.float32)
    for player in (judge, in_bfloat16(judge)):
      see = lambda p, m, x, player=player: player.apply(p, m, x, jnp.zeros(6, jnp.int32), True)[0]  # noqa: E731
      output = jax.eval_shape(see, params, memory, images)
      assert output.direction.shape == output.logits.shape == (6,)
      assert output.direction.dtype == output.logits.dtype == jnp.float32


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    (
      {"order": "simultaneous", "method": "consensus"},
      "model_options.last_layer 'san' is taken as a constant by the loss",
    ),
    ({"unroll_steps": 2}, "model_options.last_layer 'san' is taken as a constant by the loss"),
    ({"gradient_normalisation": True}, "expected model_options.last_layer 'linear', got 'san'"),
  ],
)
def test_what_does_not_go_with_it_is_refused(fields, words):
  with pytest.raises(BadInput) as caught:
    game.check(spec_of(("hinge",), model_options={"last_layer": "san"}, **fields))
  assert words in str(caught.value)


def test_geometry_is_refused():
  with pytest.raises(BadInput, match="last_layer 'san' is taken as a constant by the loss, so the update's Jacobian"):
    geometry.check(spec_of(("hinge",), model_options={"last_layer": "san"}))
