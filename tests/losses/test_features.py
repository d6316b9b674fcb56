"""Losses of features: the formulas of vectors in NumPy, and what the step makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from gan_jax import game, losses, probes, settings
from gan_jax.core.errors import BadInput
from gan_jax.core.table import Table
from gan_jax.core.types import Output
from gan_jax.data import load
from gan_jax.game import reading
from gan_jax.game.batches import resident_batch
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.losses.table import text_card
from gan_jax.models.players import plain
from gan_jax.runner import grouping
from gan_jax.verdict import signs
from tests.game.test_views import SHAPE, data, image_of, networks, output_of
from tests.support import transport
from tests.support.records import fitted, hypers_of, spec_of

OF_FEATURES = [name for name, card in losses.CARDS.items() if card.of_features]
RNG = np.random.default_rng(3)
REAL, FAKE = RNG.normal(size=(5, 3)), 1.5 * RNG.normal(size=(5, 3)) + 0.4


def within(k, x):
  return np.mean([k(np.linalg.norm(a - b)) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])


def between(k, x, y):
  return np.mean([k(np.linalg.norm(a - b)) for a in x for b in y])


def squared_mmd(k):
  return within(k, REAL) + within(k, FAKE) - 2 * between(k, REAL, FAKE)


def gaussian(low=0.0, high=np.inf):
  return lambda d: np.exp(-np.clip(d * d, low, high) / 2)


def near(d):
  return gaussian(low=0.25)(d)


def far(d):
  return gaussian(high=4.0)(d)


def gaussians(d):
  return sum(np.exp(-d * d / (2 * s * s)) for s in (1, 2, 4, 8, 16))


def rational_quadratics(d):
  return sum((1 + d * d / (2 * a)) ** -a for a in (0.2, 0.5, 1, 2, 5))


FORMULAS = {  # (D, G) of REAL and FAKE
  "energy": (squared_mmd(lambda d: d), -squared_mmd(lambda d: d)),
  "mmd": (2 * between(far, REAL, FAKE) - within(near, REAL) - within(near, FAKE), squared_mmd(gaussian())),
  "mmd_repulsive": (within(far, REAL) - within(near, FAKE), squared_mmd(gaussian())),
  "mmd_gaussian_mixture": (-squared_mmd(gaussians), squared_mmd(gaussians)),
  "mmd_rational_quadratic": (-squared_mmd(rational_quadratics), squared_mmd(rational_quadratics)),
  "sinkhorn": (-transport.divergence(REAL, FAKE, 10.0), transport.divergence(REAL, FAKE, 10.0)),
}


@pytest.mark.parametrize("name", OF_FEATURES)
def test_formulas_and_slopes_of_vectors(name, x64):
  """Values by loops over pairs; slopes by central differences along a random direction; the same where one is unmoved."""
  assert name in FORMULAS, f"add to FORMULAS the terms of {name!r} for vectors, by loops over pairs"
  loss = losses.get(f"on_features({name})")
  along = np.random.default_rng(4).normal(size=FAKE.shape)

  @jax.jit
  def found(real, fake):
    pulled = jax.grad(lambda f: loss.generator(real, f).mean())(fake)
    return loss.discriminator(real, fake), loss.generator(real, fake), pulled

  *values, slopes = found(REAL, FAKE)
  for value, expected in zip(values, FORMULAS[name], strict=True):
    np.testing.assert_allclose(value, np.full(5, expected), rtol=1e-9)
  ahead, behind = (found(REAL, FAKE + s * 1e-5 * along)[1].mean() for s in (1, -1))
  assert float(ahead - behind) / 2e-5 == pytest.approx(float((slopes * along).sum()), rel=1e-6)
  together = np.tile(FAKE[:1], (5, 1))  # a collapsed generator: all distances between fakes are 0
  assert np.isfinite(found(REAL, together)[2]).all()
  assert np.abs(found(together, together)[2]).max() < 1e-12


@pytest.mark.parametrize("name", OF_FEATURES)
def test_one_feature_that_varies_is_a_logit(name, x64):
  """Vectors on a line cost what their places on it cost."""
  loss, (real, fake) = losses.get(name), (REAL[:, 0], FAKE[:, 0])
  line = np.array([0.6, 0.0, -0.8])
  for half in loss:
    np.testing.assert_allclose(half(real[:, None] * line, fake[:, None] * line), half(real, fake), rtol=1e-9)


def test_sinkhorn_between_its_limits(x64):
  """Half the squared distance of the means for much regularisation; for little, that of the best pairing of points."""
  found = lambda x, y, n: float(losses.get("on_features(sinkhorn)", regularisation=n).generator(x, y)[0])  # noqa: E731
  assert found(REAL, FAKE, 1e6) == pytest.approx(np.sum((REAL.mean(0) - FAKE.mean(0)) ** 2) / 2, rel=1e-4)
  costs = np.sum((REAL[:, None] - FAKE[None]) ** 2, axis=-1) / 2
  pairing = costs[optimize.linear_sum_assignment(costs)].mean()
  assert found(REAL, FAKE, 0.02) == pytest.approx(pairing, rel=0.01)
  for regularisation in (3.0, 30.0):  # a shift by t moves every plan, and costs |t|^2 / 2
    assert found(REAL, REAL + np.array([3.0, 0.0, 4.0]), regularisation) == pytest.approx(12.5, rel=1e-9)


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("on_features(hinge)", "a distance between batches"),
    ("temperature(on_features(mmd))", "is applied last"),
    ("on_features(on_features(mmd))", "is applied last"),
    ("matched_gain(sinkhorn)", "a slope where all logits are 0"),
    ("uotm", "did you mean uotm_softplus, or uotm_kl, or uotm_chi2"),
    ("sobolev_gan", "loss=wasserstein with penalty=sobolev"),
  ],
)
def test_what_does_not_fit_is_refused(name, words):
  with pytest.raises(BadInput, match=words):
    losses.get(name)


def test_shapes_that_are_neither_logits_nor_features_are_refused():
  loss = losses.get("on_features(energy)")
  for real, fake, words in (
    (REAL[:, :1], FAKE[:, :1], r"or \[B, F\] with F >= 2, got \[5, 1\]"),
    (REAL, FAKE[:, :2], r"of one shape, got \[5, 3\] and \[5, 2\]"),
    (REAL[:, 0], FAKE, "of one shape"),
    (REAL, FAKE[:4], "5 real and 4 fake"),
  ):
    with pytest.raises(ValueError, match=words):
      loss.generator(real, fake)
  with pytest.raises(ValueError, match=r"expected shape \[B\] with B >= 1, got"):
    losses.get("hinge").generator(REAL, FAKE)
  np.testing.assert_allclose(
    losses.get("on_features(temperature(energy))", temperature=2.0).generator(REAL, FAKE),
    losses.get("energy").generator(REAL, FAKE) / 2,
    rtol=1e-6,
  )


def case(name, **fields):
  """(game, hypers, step, state, data) of the small networks that test_views writes out."""
  spec, dataset = spec_of((name,), batch_size=8, latent_size=3, **fields), data()
  played = game.assemble(spec, dataset, *networks())
  h = fitted(hypers_of((name,)), spec)
  return played, h, jax.jit(build_resident_step(played)), initial_state(h, played), dataset.data


def test_a_step_descends_the_loss_of_the_features():
  """Both gradients are those of the loss written out; the factors multiply to the gradient; logits are not measured."""
  name = "on_features(mmd_rational_quadratic)"
  played, h, step, state, stored = case(name, hold_out=8)
  _, trace = step(h, state, stored)
  loss = losses.get(name)

  def of_both(which, gen_params, disc_params, half):
    batch = resident_batch(played, h, state.step, stored, which, 0)
    fake = image_of(gen_params, batch.noise, batch.labels)
    features = [output_of(disc_params, x).features for x in (batch.real, fake)]
    return half(*features).mean()

  @jax.jit
  def written(trace):
    disc = jax.grad(lambda p: of_both("discriminator", state.gen_params, p, loss.discriminator))(state.disc_params)
    later = jax.tree.map(lambda p, u: p + u, trace.discriminator.params, trace.discriminator.updates)
    return disc, jax.grad(lambda p: of_both("generator", p, later, loss.generator))(state.gen_params)

  disc, gen = written(trace)
  for found, expected in ((trace.discriminator.grads, disc), (trace.generator.grads, gen)):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), found, expected)
  assert not trace.discriminator.grads["v"].any()
  row = jax.jit(probes.measure)(trace)
  product = row["factor/loss"] * row["factor/critic"] * row["factor/generator"]
  assert float(product) == pytest.approx(float(row["gen/grad_norm"]), rel=1e-5)
  cotangents = 8 * np.linalg.norm(trace.generator.logit_cotangent, axis=1)
  assert trace.generator.logit_cotangent.shape == (8, 5)
  assert float(row["signal/loss_slope_mean"]) == pytest.approx(cotangents.mean(), rel=1e-5)
  missing = ("disc/auc", "disc/accuracy", "disc/win_rate", "logits/margin", "bound/wasserstein", "bound/jensen_shannon")
  missing += ("disc/auc_held_out", "logits/held_out_mean", "signal/critic_slope_mean", "disc/calibration_error")
  assert all(np.isnan(row[column]) for column in missing)
  assert all(np.isfinite(row[column]) for column in ("disc/loss", "gen/loss", "disc/grad_norm", "gen/update_ratio"))


def test_the_gradient_in_parts_is_that_of_the_features():
  """The micro-batches of the probes `noise` have the shapes of the parameters; only shapes are computed."""
  _, h, step, state, stored = case("on_features(mmd)", probes="noise")
  _, trace = jax.eval_shape(step, h, state, stored)
  assert jax.tree.map(lambda x: x.shape[1:], trace.generator.parts) == jax.tree.map(jnp.shape, state.gen_params)


def test_through_an_unrolled_discriminator():
  """The generator's gradient through one step of D, by the loss of features after it, written out."""
  name = "on_features(energy)"
  played, h, step, state, stored = case(name, unroll_steps=1, unroll_gradient="through", order="generator_first")
  _, trace = step(h, state, stored)
  batch, loss = resident_batch(played, h, state.step, stored, "generator", 0), losses.get(name)

  def objective(gen_params):
    def play(disc_params, half):
      fake = image_of(gen_params, batch.noise, batch.labels)
      return half(output_of(disc_params, batch.real).features, output_of(disc_params, fake).features).mean()

    slopes = jax.grad(lambda p: play(p, loss.discriminator))(state.disc_params)
    after = jax.tree.map(lambda p, g: p - h.unroll_rate * g, state.disc_params, slopes)
    return play(after, loss.generator)

  expected = jax.jit(jax.grad(objective))(state.gen_params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-6), trace.generator.grads, expected)


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"lens": "minimax"}, "lens expected 'none' with loss 'on_features"),
    ({"penalty": "r1"}, "penalty 'r1' is of logits"),
    ({"probes": "layers + gap"}, "probes expected none of 'gap'"),
    ({"loss": "sinkhorn", "probes": "geometry"}, "must not be differentiated again, as probes 'geometry' does"),
    ({"gradient_normalisation": True}, "gradient_normalisation is of logits"),
    ({"penalty": "orthogonal + lecam"}, "penalty 'lecam' is of logits"),
    ({"loss": "hinge", "lens": "on_features(mmd)"}, "lens expected losses on logits"),
    (
      {"loss": "energy", "augmentation_target": 0.6, "discriminator_augmentation": "color"},
      "the sign of a logit means",
    ),
    (
      {"loss": "sinkhorn", "order": "simultaneous", "method": "consensus", "method_options": {"weight": 0.1}},
      "the derivative of loss 'sinkhorn' must not be differentiated again",
    ),
  ],
)
def test_what_reads_logits_is_refused_before_anything_is_built(changes, words):
  with pytest.raises(BadInput, match=words):
    grouping.group([settings.resolve({"loss": "on_features(energy)"} | changes)])


def test_losses_of_features_are_a_group_of_their_own():
  names = ("on_features(energy)", "hinge", "on_features(mmd)", "energy")
  groups = grouping.group([settings.resolve({"loss": name}) for name in names])
  assert [group.spec.losses for group in groups] == [names[::2], names[1::2]]
  with pytest.raises(BadInput, match="all on logits, or all on features"):
    game.check(groups[0].spec._replace(losses=names))


def test_a_discriminator_without_features_is_refused_before_anything_is_compiled():
  bare = plain(lambda key: jnp.zeros(16), lambda p, x, y: Output(x.reshape(len(x), -1) @ p), discriminator=True)
  spec = spec_of(("on_features(mmd)",), batch_size=8, latent_size=3)
  with pytest.raises(
    BadInput, match=r"loss 'on_features\(mmd\)' expected a discriminator with Output.features, got none"
  ):
    reading.check_output(spec, bare, SHAPE)
  reading.check_output(spec, networks()[1], SHAPE)
  spec = spec_of(("on_features(mmd)",), batch_size=8, model_options={"last_layer": "san"})
  with pytest.raises(BadInput, match="last_layer 'linear'"):
    game.players(spec, data())
  reading.check_output(spec._replace(losses=("mmd",)), bare, SHAPE)


def test_a_class_must_reach_the_features():
  """Of the projection discriminator it reaches the logit alone, which is not trained; a head of classes is."""
  spec = spec_of(("on_features(mmd)",), batch_size=8, conditional=True)
  digits = load("digits")
  with pytest.raises(BadInput, match="conditional=True expected a class_loss with loss 'on_features"):
    game.players(spec, digits)
  game.players(spec._replace(class_loss="ac"), digits)
  game.players(spec._replace(losses=("mmd",)), digits)

  def judge(p, x, y):
    features = x.reshape(len(x), -1) + p[y][:, None]
    return Output(features.sum(1), features)

  given = plain(lambda key: jnp.zeros(10), judge, discriminator=True)
  reading.check_output(spec, given, SHAPE)


def test_its_card_says_what_it_reads():
  assert "features [B, F] instead of its logits" in text_card("on_features(mmd_repulsive)")
  assert "yes, as on_features(mmd_repulsive)" in text_card("mmd_repulsive")
  assert "on_features" not in text_card("hinge")


def test_logits_that_nothing_trains_are_no_divergence():
  """To the verdict NaN in every row is a column that was not measured; NaN from some row on is a run that is gone."""
  rows = lambda *values: Table(np.arange(len(values)), {"logits/real_mean": np.asarray(values)})  # noqa: E731
  np.testing.assert_array_equal(signs.largest_logit(rows(np.nan, np.nan)), [np.nan, np.nan])
  np.testing.assert_array_equal(signs.largest_logit(rows(-2.0, np.nan)), [2.0, np.inf])
