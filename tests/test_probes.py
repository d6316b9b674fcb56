"""Probes against what they claim to measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gan_jax import probes
from gan_jax.batches import build_draw
from gan_jax.step import build_step
from tests.test_step import random_case


@pytest.fixture(scope="module")
def measured():
  spec, game, h, data, state = random_case(("non_saturating",), "r1", penalty_weight=0.1)
  _, trace = jax.jit(build_step(spec, game))(h, state, data)
  return trace, jax.tree.map(float, probes.measure(trace))


def test_every_value_is_explained_and_every_explanation_has_a_value(measured):
  assert measured[1].keys() == probes.EXPLANATIONS.keys()


def test_the_product_of_the_factors_is_the_gradient_norm(measured):
  values = measured[1]
  product = values["factor/loss"] * values["factor/critic"] * values["factor/generator"]
  assert product == pytest.approx(values["gen/grad_norm"], rel=1e-5)
  flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(measured[0].gen_grads)])
  assert values["gen/grad_norm"] == pytest.approx(np.linalg.norm(flat.astype(np.float64)), rel=1e-5)


def test_loss_slopes_are_those_of_the_formula(measured):
  trace, values = measured
  slopes = 1 / (1 + np.exp(np.asarray(trace.fake_logits, np.float64)))  # non-saturating: sigmoid(-f)
  assert values["signal/loss_slope_mean"] == pytest.approx(slopes.mean(), rel=1e-5)
  assert values["factor/loss"] == pytest.approx(np.sqrt((slopes**2).mean()), rel=1e-5)
  for q in (10, 50, 90):
    assert values[f"signal/loss_slope_q{q}"] == pytest.approx(np.quantile(slopes, q / 100), rel=1e-5)


def test_critic_slope_is_the_per_example_gradient(measured):
  trace, values = measured
  # logit_slope times the logit's cotangent is the image's cotangent, example by example.
  np.testing.assert_allclose(trace.image_cotangent, trace.logit_slope * trace.logit_cotangent[:, None], rtol=1e-4)
  norms = np.linalg.norm(np.asarray(trace.logit_slope), axis=1)
  assert values["signal/critic_slope_mean"] == pytest.approx(norms.mean(), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_auc_equals_scikit_learn_with_ties(seed):
  rng = np.random.default_rng(seed)
  real, fake = rng.integers(0, 5, 30) * 1.0, rng.integers(-2, 4, 40) * 1.0
  expected = roc_auc_score(np.r_[np.ones(30), np.zeros(40)], np.r_[real, fake])
  assert float(probes.area_under_curve(jnp.array(real), jnp.array(fake))) == pytest.approx(expected, abs=1e-6)


def test_accuracy_and_margin(measured):
  trace, _ = measured
  real, fake = jnp.array([2.0, -1.0, 3.0, 1.0] * 2), jnp.array([-4.0, 1.0, -2.0, -2.0] * 2)
  values = probes.dominance(trace._replace(real_logits=real, fake_logits=fake))
  assert [float(values[f"disc/accuracy_{k}"]) for k in ("real", "fake")] == [0.75, 0.75]
  assert float(values["logits/margin"]) == pytest.approx(1.25 + 1.75)


def test_norms_keep_what_is_tiny_and_survive_what_is_huge():
  for scale in (1e-30, 1.0, 1e30):
    tree = {"a": jnp.array([3.0, 0.0]) * scale, "b": jnp.array([[4.0]]) * scale}
    assert float(probes.global_norm(tree)) == pytest.approx(5 * scale, rel=1e-6)
  assert float(probes.global_norm({"a": jnp.zeros(3)})) == 0
  assert jnp.isnan(probes.ratio(jnp.array(1.0), jnp.array(0.0)))


def test_a_diverged_member_measures_nothing(measured):
  values = probes.measure(measured[0]._replace(alive=jnp.array(False)))
  assert all(np.isnan(float(v)) for name, v in values.items() if not name.startswith("count/"))
  assert values["count/images"] == measured[0].counts.images  # what was used was used


def test_saturated_share(measured):
  cotangent = jnp.array([0.0, -0.5, -0.005, 0.02]) / 4
  trace = measured[0]._replace(logit_cotangent=cotangent)
  assert float(probes.signal(trace)["signal/saturated_share"]) == 0.5


def test_held_out_examples_are_never_trained_on_and_are_judged():
  """Every third of 20 examples is apart: over many steps the batches and the held-out ones share none."""
  spec, played, h, data, state = random_case(("hinge",), hold_out=3, batch_size=4)
  draw = jax.jit(lambda step: build_draw(spec, played)(h, step, data, "discriminator", 0))
  batches = [draw(jnp.int32(step)) for step in range(40)]
  position = {np.asarray(x).tobytes(): i for i, x in enumerate(data.images)}
  trained = {position[np.asarray(x).tobytes()] for batch in batches for x in batch.real}
  held = {position[np.asarray(x).tobytes()] for batch in batches for x in batch.unseen[0]}
  assert held == {2, 5, 8, 11, 14, 17}
  assert trained == set(range(20)) - held

  new, trace = jax.jit(build_step(spec, played))(h, state, data)
  expected = played.discriminator.apply(new.disc_params, batches[0].unseen[0], None)
  np.testing.assert_allclose(trace.held_out_logits, expected, rtol=1e-5)
  row = probes.measure(trace)
  assert row.keys() == probes.explanations(hold_out=True).keys()
  difference = float(row["disc/auc"]) - float(row["disc/auc_held_out"])
  assert float(row["disc/overfitting"]) == pytest.approx(difference, abs=1e-6)


def test_a_critic_that_knows_its_examples_by_heart_is_found_out(measured):
  """High logits for what it saw, none above the fakes for what it did not: AUC 1 and 0.5, overfitting 0.5."""
  trace = measured[0]._replace(real_logits=jnp.full(8, 5.0), fake_logits=jnp.zeros(8), held_out_logits=jnp.zeros(8))
  values = probes.held_out(trace)
  assert [float(values[f"disc/{k}"]) for k in ("auc_held_out", "overfitting")] == [0.5, 0.5]
