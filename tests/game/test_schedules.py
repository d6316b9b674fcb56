"""What changes during a run: the values at each step, and that a step uses them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game, settings
from gan_jax.core.errors import BadInput
from gan_jax.game import schedules
from gan_jax.game.state import initial_state
from gan_jax.runner import grouping
from gan_jax.runs import schema
from tests.support.steps import bare, compiled_step


def runs(*configs, **common):
  """The groups of these runs: 40 steps of 4 examples of digits each."""
  fields = {"model_options": {"generator_width": 4, "discriminator_width": 4}, "batch_size": 4, "steps": 40} | common
  return grouping.group([settings.resolve(fields, config) for config in configs])


def test_values_follow_the_formulas():
  """Linear in steps, cosine in images, the half-life of an average, an option of the optimizer, one weight of two."""
  (group,) = runs(
    {
      "generator_rate": 1.0,
      "penalty": "r1 + lecam",
      "penalty_weights": {"r1": 2.0},
      "schedules": {
        "generator_rate": {"to": 3.0, "steps": 20},
        "discriminator_rate": {"to": 0.0, "shape": "cosine", "images": 120},
        "ema_decay": {"to": 0.99},
        "optimizer_options.beta2": {"to": 0.5},
        "penalty_weights.r1": {"to": 1.0, "steps": 10},
      },
      "ema_decay": 0.0,
    }
  )
  hypers = jax.tree.map(lambda x: x[0], group.hypers)
  found = jax.jit(jax.vmap(lambda t: schedules.current(group.spec, hypers, t)))(jnp.arange(50))
  t = np.arange(50)
  half = 5e-4 * (1 + np.cos(np.pi * np.clip(t / 30, 0, 1))) / 2  # 120 images are 30 batches
  lives = np.log(0.5) / np.log(0.99) * np.clip(t / 40, 0, 1)
  np.testing.assert_allclose(found.generator_rate, 1 + 2 * np.clip(t / 20, 0, 1), rtol=1e-6)
  np.testing.assert_allclose(found.discriminator_rate, half, rtol=1e-4, atol=1e-10)
  np.testing.assert_allclose(found.ema_decay[1:], 0.5 ** (1 / lives[1:]), rtol=1e-5)
  assert found.ema_decay[0] == 0
  beta2 = settings_default("beta2")
  np.testing.assert_allclose(found.optimizer_options["beta2"], beta2 + (0.5 - beta2) * np.clip(t / 40, 0, 1), rtol=1e-6)
  np.testing.assert_allclose(found.penalty_weights[0], 2 - np.clip(t / 10, 0, 1), rtol=1e-6)
  np.testing.assert_array_equal(found.penalty_weights[1], np.broadcast_to(hypers.penalty_weights[1], 50))


def settings_default(option):
  return game.complete(settings.resolve({}))["optimizer_options"][option]


def test_a_step_uses_the_value_of_its_step():
  """Under gradient descent the update is minus the rate times the gradient."""
  from gan_jax import data

  (group,) = runs({"optimizer": "sgd", "generator_rate": 0.1, "schedules": {"generator_rate": {"to": 0.2, "steps": 4}}})
  dataset, h = data.load("digits"), jax.tree.map(lambda x: x[0], group.hypers)
  played = game.build(group.spec, dataset)
  step, state = compiled_step(played, bare), initial_state(h, played)
  for number in range(6):
    state, trace = step(h, state, dataset.data)
    rate = 0.1 + 0.1 * min(number / 4, 1)
    expected = jax.tree.map(lambda g, r=rate: -r * g, trace.generator.grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9), trace.generator.updates, expected)


def test_ends_are_traced_and_shapes_are_not():
  ends = [{"schedules": {"generator_rate": {"to": to}}} for to in (0.1, 0.2)]
  (group,) = runs(*ends)
  np.testing.assert_allclose(group.hypers.schedules["generator_rate"], [0.1, 0.2])
  assert len(runs(*ends, {"schedules": {"generator_rate": {"to": 0.1, "shape": "cosine"}}})) == 2
  found = settings.resolve({"schedules": {"generator_rate": {"to": 0.1}}}, {"schedules.generator_rate.to": 0.3})
  assert found["schedules"] == {"generator_rate": {"to": 0.3}}


def test_a_manifest_keeps_them():
  (group,) = runs({"schedules": {"optimizer_options.beta1": {"to": 0.1, "shape": "cosine"}}})
  members = [{"id": group.ids[0], "config": dict(group.configs[0])}]
  manifest = {"format": 3, "study": "s", "groups": [{"name": group.name, "members": members}]}
  assert schema.wrong_manifest(manifest) is None
  members[0]["config"]["schedules"] = {"optimizer_options.beta1": [0.1]}
  assert "schedules" in str(schema.wrong_manifest(manifest))


def test_one_weight_for_all_does_not_move_a_weight_of_its_own():
  fields = {"penalty": "r1 + lecam", "penalty_weights": {"lecam": 0.5}}
  with pytest.raises(BadInput, match=r"expected schedules of penalty_weights\.NAME"):
    runs({**fields, "schedules": {"penalty_weight": {"to": 0.1}}})
  (group,) = runs({**fields, "schedules": {"penalty_weights.r1": {"to": 0.1}}})
  assert group.hypers.penalty_weights[1] == 0.5


@pytest.mark.parametrize(
  ("given", "words"),
  {
    "no end": ({"generator_rate": {"shape": "cosine"}}, "expected a number `to`"),
    "a shape": ({"generator_rate": {"to": 1, "shape": "cosin"}}, "did you mean 'cosine'"),
    "a part": ({"generator_rate": {"to": 1, "step": 3}}, "did you mean 'steps'"),
    "two lengths": ({"generator_rate": {"to": 1, "steps": 3, "images": 4}}, "steps or images above 0"),
    "no length": ({"generator_rate": {"to": 1, "steps": 0}}, "steps or images above 0"),
    "a static field": ({"batch_size": {"to": 1}}, "traced numbers"),
    "a static option": ({"model_options.generator_width": {"to": 8}}, "traced numbers"),
    "a loss": ({"loss": {"to": 1}}, "traced numbers"),
    "out of range": ({"ema_decay": {"to": 2}}, "expected from 0 to 0.9999999"),
    "an unknown field": ({"generator_rat": {"to": 2}}, "did you mean 'generator_rate'"),
    "an unknown option": ({"optimizer_options.beta3": {"to": 0.5}}, "beta3"),
    "an absent penalty": ({"penalty_weights.r1": {"to": 0.5}}, "penalt"),
  }.values(),
)
def test_impossible_schedules_are_refused(given, words):
  with pytest.raises(BadInput, match=words):
    runs({"schedules": given})
