"""BEGAN: the memory of its balance in the step, beside losses that have none; and its model, the autoencoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, losses, models, probes, settings
from gan_jax.core.errors import BadInput
from gan_jax.game import controllers
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.losses.table import text_card
from gan_jax.models.precision import in_bfloat16
from gan_jax.runner import evaluation, grouping
from tests.support.records import fitted, hypers_of, spec_of

MODEL = {"generator_width": 8, "discriminator_width": 8, "depth": 1, "code_size": 3}
OPTIONS = {"balance": 0.3, "diversity": 0.6, "gain": 0.05}


def case(names, index=0, traced=None, **fields):
  spec, dataset = (
    spec_of(names, dataset="ring", model="autoencoder", model_options=MODEL, latent_size=2, **fields),
    None,
  )
  dataset = data.load("ring")
  played = game.build(spec, dataset)
  h = hypers_of(names, loss_index=index, **(traced or {}))
  own = tuple(OPTIONS if name == "began" else {} for name in names)
  h = fitted(h._replace(loss_options=own), spec)
  return played, h, jax.jit(build_resident_step(played)), initial_state(h, played), dataset.data


def test_the_memory_follows_every_update_of_the_discriminator():
  """Two updates a step: k of the second follows from the first; D's loss and gradient have the k of the memory."""
  played, h, step, state, stored = case(("hinge", "began"), 1, n_critic=2, batch_size=8)
  assert float(state.memory.balance) == pytest.approx(0.3)
  for _ in range(3):
    before = float(state.memory.balance)
    state, trace = step(h, state, stored)
    view = trace.discriminator
    error = {name: -float(np.mean(x)) for name, x in (("real", view.real_logits), ("fake", view.fake_logits))}
    between = float(view.balance)  # after the first of two updates, before the second
    assert between != before
    assert float(view.loss) == pytest.approx(error["real"] - between * error["fake"], rel=1e-5)
    expected = np.clip(between + 0.05 * (0.6 * error["real"] - error["fake"]), 0, 1)
    assert float(state.memory.balance) == pytest.approx(expected, rel=1e-5)
    measure = error["real"] + abs(0.6 * error["real"] - error["fake"])
    assert float(view.convergence) == pytest.approx(measure, rel=1e-5)
  other, trace = step(h._replace(loss_index=np.int32(0)), state, stored)
  assert float(other.memory.balance) == float(state.memory.balance)  # hinge has none to move
  row = jax.jit(probes.measure)(trace)
  assert np.isnan(row["disc/balance"])
  assert np.isnan(row["disc/convergence"])
  assert {"disc/balance", "disc/convergence"} <= set(evaluation.explanations(played))


def test_only_a_loss_with_a_controller_has_a_memory():
  spec = spec_of(("hinge",), dataset="ring")
  played = game.build(spec, data.load("ring"))
  state = jax.eval_shape(lambda: initial_state(fitted(hypers_of(("hinge",)), spec), played))
  assert state.memory.balance == ()
  assert not controllers.controlled(played)
  assert "disc/balance" not in evaluation.explanations(played)
  assert losses.controller("temperature(began)") is losses.CARDS["began"].controller
  assert losses.controller("mix(hinge, began)") is None  # the discriminator's half is hinge's
  assert losses.signed("mix(hinge, began)")
  assert not losses.signed("temperature(began)")  # in balance its fakes have the higher logits
  assert "AUC, accuracy and win rate are not measured" in text_card("began")


def test_options_of_the_config_reach_the_run():
  (group,) = grouping.group([settings.resolve({"loss": "began", "loss_options": {"diversity": 0.7, "balance": 0.2}})])
  (options,) = group.hypers.loss_options
  assert float(options["diversity"][0]) == pytest.approx(0.7)
  with pytest.raises(BadInput, match="'balance' of loss 'began' expected a number from 0 to 1"):
    grouping.group([settings.resolve({"loss": "began", "loss_options": {"balance": 1.5}})])
  with pytest.raises(BadInput, match="loss=energy_margin with model=autoencoder"):
    losses.get("ebgan")


# The model.


@pytest.mark.parametrize(
  ("shape", "network", "error"),
  [((2,), "mlp", "squared"), ((4, 6, 1), "mlp", "absolute"), ((8, 12, 3), "dcgan", "squared")],
)
def test_the_logit_is_minus_the_error(shape, network, error):
  """Of random images and their reconstruction, which is had from the network by its own two halves."""
  generator, judge = models.get("autoencoder")(shape, 2, 5, False, **MODEL, network=network, error=error)

  def both(key, images):
    params, memory = judge.init(key)
    output = judge.apply(params, memory, images, jnp.zeros(4, jnp.int32), True)[0]
    made = models.get(network)
    options = {"generator_width": 8} | ({"depth": 1} if network == "mlp" else {})
    decode, _ = made(shape, 2, 3, False, **options)
    code = jnp.zeros((4, 3))
    blind = jax.tree.map(lambda x: x, params) | {"encoder": jax.tree.map(jnp.zeros_like, params["encoder"])}
    again = decode.apply(params["decoder"], {}, code, jnp.zeros(4, jnp.int32), True)[0]
    of_blind = judge.apply(blind, memory, images, jnp.zeros(4, jnp.int32), True)[0].logits
    return output, again, of_blind, generator.apply(generator.init(key)[0], {}, jnp.ones((4, 5)), jnp.zeros(4), True)[0]

  images = 2 * jax.random.normal(jax.random.key(1), (4, *shape))
  output, again, of_blind, made = jax.jit(both)(jax.random.key(0), images)
  apart = np.abs(np.asarray(images - again)) ** (1 if error == "absolute" else 2)
  np.testing.assert_allclose(of_blind, -apart.reshape(4, -1).mean(1), rtol=1e-5)  # an encoder of zeros: the code is 0
  assert not np.allclose(output.logits, of_blind)
  assert (output.logits < 0).all()
  assert output.features is None
  assert output.classes is None
  assert made.shape == images.shape


def test_what_the_autoencoder_refuses():
  with pytest.raises(BadInput, match="model 'autoencoder' expected"):
    models.get("autoencoder")((6, 6, 1), 2, 5, False, network="dcgan")
  with pytest.raises(BadInput, match="expected images"):
    models.get("autoencoder")((2,), 2, 5, False, network="dcgan")
  spec = spec_of(("hinge",), dataset="ring", model="autoencoder", class_loss="ac", conditional=True)
  with pytest.raises(BadInput, match="a class loss expected a model with an option class_logits"):
    game.build(spec, data.load("ring"))
  spec = spec_of(("on_features(mmd)",), dataset="ring", model="autoencoder")
  with pytest.raises(BadInput, match=r"expected a discriminator with Output.features, got none"):
    game.build(spec, data.load("ring"))


def test_the_class_reaches_the_decoder_and_bfloat16_gives_float32():
  _, judge = models.get("autoencoder")((4, 4, 1), 3, 5, True, **MODEL)
  low = in_bfloat16(judge)
  images = jax.random.normal(jax.random.key(1), (3, 4, 4, 1))

  @jax.jit
  def logits(key):
    params, memory = judge.init(key)
    see = lambda player, labels: player.apply(params, memory, images, labels, True)[0].logits  # noqa: E731
    return see(judge, jnp.arange(3)), see(judge, jnp.zeros(3, jnp.int32)), see(low, jnp.arange(3))

  own, other, rounded = logits(jax.random.key(0))
  assert own[0] == other[0]
  assert (own[1:] != other[1:]).all()
  assert rounded.dtype == jnp.float32
  np.testing.assert_allclose(rounded, own, rtol=0.02)
