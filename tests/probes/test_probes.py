"""Probes against what they claim to measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from gan_jax import losses, probes, settings
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Trace
from gan_jax.game.batches import resident_batch
from gan_jax.game.objective import undecided_logit
from gan_jax.game.step import build_resident_step
from gan_jax.probes import players, winning
from gan_jax.runner import evaluation, grouping
from tests.game.test_step import random_case, stepper
from tests.support import known_losses
from tests.support.networks import pure


def with_view(trace, **fields):
  """The trace with other quantities, of its own or of the generator's view."""
  own = {name: fields.pop(name) for name in list(fields) if name in Trace._fields}
  return trace._replace(generator=trace.generator._replace(**fields), **own)


@pytest.fixture(scope="module")
def measured():
  spec, _, h, data, state = random_case(("non_saturating",), "r1", penalty_weight=0.1, probes="layers+noise")
  _, trace = stepper(spec)(h, state, data)
  return trace, jax.tree.map(float, probes.measure(trace))


def test_every_value_is_explained_and_every_explanation_has_a_value(measured):
  assert measured[1].keys() == probes.explanations().keys()


def size(tree):
  return np.linalg.norm(np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]))


# What one step says, from the quantities of its trace: a column of every probe at least. A new probe needs a row.
KNOWN = {
  "factor/loss": lambda t: np.sqrt(np.square(8 * np.asarray(t.generator.logit_cotangent)).mean()),
  "signal/critic_slope_mean": lambda t: np.linalg.norm(t.generator.logit_slope, axis=1).mean(),
  "gen/loss": lambda t: np.logaddexp(0, -np.asarray(t.generator.fake_logits)).mean(),
  "count/images": lambda t: 8,
  "disc/grad_norm/all": lambda t: size(t.discriminator.grads),  # one array, and so one layer, of that name
  "disc/update_ratio": lambda t: size(t.discriminator.updates) / size(t.discriminator.params),
  "gen/successive_cosine": lambda t: 1.0,  # the next gradient is put to be the same
  "logits/margin": lambda t: t.generator.real_logits.mean() - t.generator.fake_logits.mean(),
}


IN_ROWS = [entry.builder for entry in probes.GROUPS.values() if entry.facts.in_rows]


@pytest.mark.parametrize("probe", [*probes.ALWAYS, *IN_ROWS], ids=lambda probe: probe.__name__)
def test_every_probe_says_what_the_trace_says(measured, probe):
  trace = measured[0]._replace(next_generator_grads=measured[0].generator.grads)
  found = probe(trace)
  known = found.keys() & KNOWN.keys()
  assert known or not found, f"add to KNOWN one of these columns, from the trace: {sorted(found)}"
  for name in known:
    assert float(found[name]) == pytest.approx(float(KNOWN[name](trace)), rel=1e-4), name


def test_the_product_of_the_factors_is_the_gradient_norm(measured):
  values = measured[1]
  product = values["factor/loss"] * values["factor/critic"] * values["factor/generator"]
  assert product == pytest.approx(values["gen/grad_norm"], rel=1e-5)
  flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(measured[0].generator.grads)])
  assert values["gen/grad_norm"] == pytest.approx(np.linalg.norm(flat.astype(np.float64)), rel=1e-5)


def test_loss_slopes_are_those_of_the_formula(measured):
  trace, values = measured
  slopes = 1 / (1 + np.exp(np.asarray(trace.generator.fake_logits, np.float64)))  # non-saturating: sigmoid(-f)
  assert values["signal/loss_slope_mean"] == pytest.approx(slopes.mean(), rel=1e-5)
  assert values["factor/loss"] == pytest.approx(np.sqrt((slopes**2).mean()), rel=1e-5)
  for q in (10, 50, 90):
    assert values[f"signal/loss_slope_q{q}"] == pytest.approx(np.quantile(slopes, q / 100), rel=1e-5)


def test_critic_slope_is_the_per_example_gradient(measured):
  trace, values = measured
  # logit_slope times the logit's cotangent is the image's cotangent, example by example.
  np.testing.assert_allclose(
    trace.generator.image_cotangent, trace.generator.logit_slope * trace.generator.logit_cotangent[:, None], rtol=1e-4
  )
  norms = np.linalg.norm(np.asarray(trace.generator.logit_slope), axis=1)
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
  values = probes.dominance(with_view(trace, real_logits=real, fake_logits=fake))
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
  trace = with_view(measured[0], logit_cotangent=cotangent)
  assert float(probes.signal(trace)["signal/saturated_share"]) == 0.5


def test_held_out_examples_are_never_trained_on_and_are_judged():
  """A third of 20 examples is apart: over many steps the batches and the held-out ones share none."""
  _spec, played, h, data, state = random_case(("hinge",), hold_out=3, batch_size=4)
  draw = jax.jit(lambda step: resident_batch(played, h, step, data, "discriminator", 0))
  batches = [draw(jnp.int32(step)) for step in range(40)]
  position = {np.asarray(x).tobytes(): i for i, x in enumerate(data.images)}
  trained = {position[np.asarray(x).tobytes()] for batch in batches for x in batch.real}
  held = {position[np.asarray(x).tobytes()] for batch in batches for x in batch.held_out[0]}
  assert len(held) == 6
  assert trained == set(range(20)) - held

  new, trace = jax.jit(build_resident_step(played))(h, state, data)
  expected = pure(played.discriminator).apply(new.disc_params, batches[0].held_out[0], None)
  np.testing.assert_allclose(trace.generator.held_out_logits, expected, rtol=1e-5)
  row = probes.measure(trace)
  assert row.keys() == probes.explanations(hold_out=True).keys()
  difference = float(row["disc/auc"]) - float(row["disc/auc_held_out"])
  assert float(row["disc/overfitting"]) == pytest.approx(difference, abs=1e-6)


def test_a_critic_that_knows_its_examples_by_heart_is_found_out(measured):
  """High logits for what it saw, none above the fakes for what it did not: AUC 1 and 0.5, overfitting 0.5."""
  trace = with_view(measured[0], real_logits=jnp.full(8, 5.0), fake_logits=jnp.zeros(8), held_out_logits=jnp.zeros(8))
  values = probes.held_out(trace)
  assert [float(values[f"disc/{k}"]) for k in ("auc_held_out", "overfitting")] == [0.5, 0.5]


def test_the_motion_of_the_images_carries_the_gradient_norm(measured):
  """sum_i <x_i, J_i g / |g|> = |g|, with x_i the images' cotangents and J_i d image_i / d theta."""
  trace, values = measured
  product = np.sum(
    np.asarray(trace.generator.image_cotangent, np.float64) * np.asarray(trace.generator.image_motion, np.float64)
  )
  assert product == pytest.approx(values["gen/grad_norm"], rel=1e-4)
  norms = np.linalg.norm(
    np.asarray(trace.generator.image_motion).reshape(len(trace.generator.image_motion), -1), axis=1
  )
  for q in (10, 50, 90):
    assert values[f"signal/generator_motion_q{q}"] == pytest.approx(np.quantile(norms, q / 100), rel=1e-5)


def test_critic_slopes_at_reals_and_between(dirac_like):
  """A critic w.x has slope |w| everywhere; w x^2 / 2 has |w x|: at a real, at a fake, and between the two."""
  real, fake, slopes = dirac_like("linear")
  assert all(value == pytest.approx(3.0) for value in slopes.values())
  real, fake, slopes = dirac_like("square")
  assert slopes["signal/critic_slope_real_q50"] == pytest.approx(3 * real)
  assert slopes["signal/critic_slope_q50"] == pytest.approx(3 * fake)
  between = [slopes[f"signal/critic_slope_between_q{q}"] for q in (10, 50, 90)]
  assert 3 * real < between[0] < between[1] < between[2] < 3 * fake


@pytest.fixture
def dirac_like():
  """One number: real examples at 1, fakes at 2, a discriminator 3 x or 3 x^2 / 2 (its parameter is the 3)."""
  from gan_jax import game as game_lib
  from gan_jax.core.types import Data
  from gan_jax.data import from_numbers
  from gan_jax.game.state import initial_state
  from gan_jax.models.players import plain
  from gan_jax.theory import dirac

  def case(kind):
    spec, _, h, _, _ = random_case(("non_saturating",), batch_size=16)
    generator, _ = dirac.dirac()
    power = {"linear": lambda x: x, "square": lambda x: jnp.square(x) / 2}[kind]
    critic = plain(lambda key: jnp.full((), 3.0), lambda psi, x, labels: psi * power(x[:, 0]), discriminator=True)
    game = game_lib.assemble(spec, from_numbers(jnp.zeros(16)), generator, critic)
    data = Data(jnp.ones((16, 1)), jnp.zeros(16, jnp.int32))
    state = dirac.placed(initial_state(h, game), 2.0, 3.0)
    h = h._replace(discriminator_rate=0.0)
    row = probes.measure(jax.jit(build_resident_step(game))(h, state, data)[1])
    names = [f"signal/critic_slope{where}_q{q}" for where in ("", "_real", "_between") for q in (10, 50, 90)]
    return 1.0, 2.0, {name: float(row[name]) for name in names}

  return case


def test_accuracy_at_the_threshold_of_the_loss(measured):
  """Least squares 0/1 is undecided at 1/2; a loss without a level of its own is judged midway between the means."""
  real, fake = jnp.array([0.6, 0.4, 0.9, 0.7] * 2), jnp.array([0.3, 0.2, 0.1, 0.8] * 2)
  trace = with_view(measured[0], real_logits=real, fake_logits=fake)
  at = lambda threshold: float(probes.dominance(trace._replace(threshold=jnp.array(threshold)))["disc/accuracy"])  # noqa: E731
  assert at(0.5) == pytest.approx(0.75)
  assert at(0.0) == pytest.approx(0.5)  # every example is called real
  assert at(0.6) == pytest.approx((2 + 0.5 + 3) / 8)  # a tie is half right
  assert at(np.nan) == pytest.approx(at((0.65 + 0.35) / 2))


@pytest.mark.parametrize(
  ("loss", "options", "threshold", "calibrated"),
  [
    ("non_saturating", {}, 0.0, True),
    ("least_squares", {}, 0.5, False),
    ("least_squares", {"fake": -1.0, "real": 1.0, "target": 0.0}, 0.0, False),
    ("matched_gain(least_squares)", {}, 0.5, False),
    ("f_gan_kl", {}, 1.0, False),
    ("hinge", {}, 0.0, False),
    ("alpha_loss", {"alpha": 1.0000001}, 0.0, True),
    ("wasserstein", {}, np.nan, False),
    ("relativistic", {}, np.nan, False),
    ("label_smoothing(minimax)", {}, np.nan, False),
    ("top_k(minimax)", {}, 0.0, True),
    ("mix(hinge, minimax)", {}, 0.0, False),
    ("energy_margin", {}, -0.5, False),
    ("top_k(energy_margin)", {"margin": 3.0}, -1.5, False),
    ("temperature(energy_margin)", {"temperature": 4.0}, -2.0, False),
    ("temperature(minimax)", {"temperature": 1.0}, 0.0, True),
    ("temperature(minimax)", {"temperature": 2.0}, 0.0, False),
    ("temperature(least_squares)", {"temperature": 2.0}, 1.0, False),
  ],
)
def test_the_undecided_logit_is_where_the_best_discriminator_of_equal_densities_stands(
  loss, options, threshold, calibrated
):
  _, game, h, _, _ = random_case((loss,))
  h = h._replace(loss_options=(dict(h.loss_options[0]) | options,))
  found, is_probability = undecided_logit(game, h)
  assert float(found) == pytest.approx(threshold, abs=1e-5, nan_ok=True)
  assert bool(is_probability) == calibrated
  if np.isfinite(threshold):  # it minimises the discriminator's loss on one real and one fake of that very logit
    half = losses.get(loss, **options).discriminator
    values = [float(half(jnp.full(4, x), jnp.full(4, x)).mean()) for x in (threshold, threshold - 0.1, threshold + 0.1)]
    assert values[0] <= min(values[1:]) + 1e-6


UNSIGNED = (
  "disc/accuracy",
  "disc/auc",
  "disc/win_rate",
  "disc/auc_held_out",
  "disc/win_rate_held_out",
  "disc/overfitting",
)


def test_where_a_logit_has_no_sign_nobody_says_who_wins(measured):
  """By name, transformed or not; and what takes a high logit for 'real' is then NaN, whatever the logits are."""
  names = ("energy", "temperature(mmd)", "mix(mmd_repulsive, energy)", "hinge", "mix(hinge, minimax)", "kl_hinge")
  assert [losses.signed(name) for name in names] == [False, False, False, True, True, True]
  assert bool(measured[0].signed)
  trace = with_view(measured[0], held_out_logits=0.5 * measured[0].generator.real_logits)
  for found in (probes.dominance, probes.winning.held_out):
    rows = [found(trace._replace(signed=jnp.asarray(signed))) for signed in (True, False)]
    for name, value in rows[0].items():
      assert np.isfinite(float(value)) or name == "disc/calibration_error" or name.startswith("disc/accuracy_"), name
      assert np.isnan(float(rows[1][name])) or name not in UNSIGNED, name
      assert name in UNSIGNED or rows[1][name] == value or np.isnan(float(value)), name


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_the_best_discriminator_is_right_at_its_own_threshold(measured, name):
  """Where data and model share nothing, and where they differ a little: no example lies on the threshold or beyond it."""
  _, game, h, _, _ = random_case((name,))
  for options in ({}, dict(known_losses.KNOWN[name].other)):
    chosen = losses.default_options(name) | options
    threshold, _ = undecided_logit(game, h._replace(loss_options=(chosen,)))
    optimal = losses.optimal_logit(name)
    assert np.isnan(threshold) == (optimal is None)
    for log_ratio in (0.5, 3.0, 30.0):
      if optimal is not None:
        real, fake = (jnp.full(8, optimal(jnp.asarray(sign * log_ratio), **chosen)) for sign in (1, -1))
        trace = with_view(measured[0], real_logits=real, fake_logits=fake, threshold=threshold)
        assert float(probes.dominance(trace)["disc/accuracy"]) == 1


def test_an_accuracy_of_none_is_0_to_the_last_digit(measured):
  """As a program computes it for several runs, of batches whose size is no power of two."""
  trace, _ = measured
  accuracy = lambda real, fake: probes.dominance(with_view(trace, real_logits=real, fake_logits=fake))["disc/accuracy"]  # noqa: E731
  for size in (41, 47, 55):  # with mean signs, these were 3e-08
    wrong = jnp.ones((2, size))
    free = jax.jit(jax.vmap(accuracy))(-wrong, wrong)
    assert free.tolist() == [0.0, 0.0]


def test_accuracy_on_real_and_on_fake_have_the_threshold_of_the_loss_and_none_without_one(measured):
  """An undecided least-squares critic says 1/2 everywhere; of a loss of differences a constant more is the same critic."""
  real, fake = jnp.array([0.6, 0.4, 0.9, 0.5] * 2), jnp.array([0.3, 0.2, 0.1, 0.8] * 2)
  trace = with_view(measured[0], real_logits=real, fake_logits=fake, threshold=jnp.array(0.5))
  values = probes.dominance(trace)
  # By hand: 0.6 and 0.9 above, 0.5 a tie; three fakes of four below.
  assert [float(values[f"disc/accuracy_{k}"]) for k in ("real", "fake")] == pytest.approx([2.5 / 4, 3 / 4])
  assert float(values["disc/accuracy"]) == pytest.approx((2.5 / 4 + 3 / 4) / 2)
  level = probes.dominance(with_view(trace, real_logits=jnp.full(8, 0.5), fake_logits=jnp.full(8, 0.5)))
  assert [float(level[f"disc/accuracy{k}"]) for k in ("", "_real", "_fake")] == [0.5, 0.5, 0.5]
  for shift in (0.0, 100.0, -100.0):
    free = with_view(trace, real_logits=real + shift, fake_logits=fake + shift, threshold=jnp.array(jnp.nan))
    values = probes.dominance(free)
    assert np.isnan([float(values[f"disc/accuracy_{k}"]) for k in ("real", "fake")]).all()
    assert float(values["disc/accuracy"]) == pytest.approx(0.75)  # midway, 0.475: three of four on either side


def test_calibration_of_a_perfect_and_of_a_sure_discriminator():
  """Reals with chance sigmoid(l) at each logit l: no error. The same ones judged ten times as surely: the known gap."""
  logits = np.log(np.array([0.25, 0.75]) / np.array([0.75, 0.25]))
  real, fake = np.repeat(logits, [1000, 3000]), np.repeat(logits, [3000, 1000])
  error = lambda gain: float(winning.calibration_error(jnp.array(gain * real), jnp.array(gain * fake)))  # noqa: E731
  assert error(1.0) == pytest.approx(0, abs=1e-5)
  sure = 1 / (1 + np.exp(-10 * logits[1]))
  assert error(10.0) == pytest.approx(sure - 0.75, abs=1e-5)


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_the_jensen_shannon_bound_is_the_divergence_at_the_best_critic_and_below_it_elsewhere(mu, x64):
  """N(0, 1) against N(mu, 1) by quadrature as equally likely examples: log p/q = mu^2/2 - mu x."""
  quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
  critic = lambda x: mu**2 / 2 - mu * x  # noqa: E731
  bound = lambda gain: float(  # noqa: E731
    winning.jensen_shannon_bound(jnp.array(gain * critic(quantiles)), jnp.array(gain * critic(quantiles + mu)))
  )
  x = np.linspace(-12, 14, 200_001)
  p, q = norm.pdf(x), norm.pdf(x - mu)
  exact = 0.5 * np.trapezoid(p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q)), x)
  assert bound(1.0) == pytest.approx(exact, abs=1e-4)
  assert bound(0.5) < exact - 1e-4
  assert bound(1.5) < exact - 1e-4


def test_the_wasserstein_bound_of_a_line_is_the_distance(measured):
  """A critic of slope 3 everywhere: 3 (a - b) over 3, whatever its scale."""
  images = lambda slope: jnp.full((8, 2, 2, 1), slope / 2)  # |.| = slope  # noqa: E731
  trace = with_view(
    measured[0],
    real_logits=jnp.full(8, 7.5),
    fake_logits=jnp.full(8, 1.5),
    logit_slope=images(3.0),
    real_slope=images(3.0),
    between_slope=images(3.0),
  )
  assert float(probes.dominance(trace)["bound/wasserstein"]) == pytest.approx(2.0)
  steeper = with_view(trace, between_slope=images(6.0))
  assert float(probes.dominance(steeper)["bound/wasserstein"]) == pytest.approx(1.0)


def test_win_rate_is_of_pairs_and_auc_of_all(measured):
  trace = with_view(
    measured[0], real_logits=jnp.array([1.0, 2.0, 3.0, 4.0]), fake_logits=jnp.array([1.0, 3.0, 2.0, 0.0])
  )
  values = probes.dominance(trace)
  assert float(values["disc/win_rate"]) == pytest.approx((0.5 + 0 + 1 + 1) / 4)
  assert float(values["logits/margin_q50"]) == pytest.approx(0.5)


@pytest.mark.parametrize("scale", [1e-25, 1.0])
def test_signal_to_noise_of_known_gradients(scale):
  """g + e_m with sum e_m = 0: |g|^2 / (sum |e_m|^2 / (M - 1) / M)."""
  noise = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
  parts = {"a": jnp.array(scale * (noise + np.array([3.0, 4.0])), jnp.float32)}
  expected = 25 / ((1 + 1 + 4 + 4) / 3 / 4)
  assert float(players.signal_to_noise(parts)) == pytest.approx(expected, rel=1e-5)
  assert np.isnan(float(players.signal_to_noise({"a": jnp.ones((1, 3))})))


def test_probes_on_request():
  """Micro-batches average to the gradient; layers add up to the norm; a step's gradient beside the next one's."""
  spec, game, h, data, state = random_case(("non_saturating",), "r1", penalty_weight=0.0, probes="layers+noise")
  step = stepper(spec)
  after, trace = step(h, state, data)
  for parts, grads in (
    (trace.generator.parts, trace.generator.grads),
    (trace.discriminator.parts, trace.discriminator.grads),
  ):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a.mean(0), b, rtol=1e-4, atol=1e-7), parts, grads)
  following = step(h, after, data)[1]
  row = probes.measure(trace._replace(next_generator_grads=following.generator.grads), ("layers", "noise"))
  a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t.generator.grads)]) for t in (trace, following))
  assert float(row["gen/successive_cosine"]) == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-4)
  for player in ("gen", "disc"):
    squares = [float(v) ** 2 for name, v in row.items() if name.startswith(f"{player}/grad_norm/")]
    assert sum(squares) ** 0.5 == pytest.approx(float(row[f"{player}/grad_norm"]), rel=1e-5)
  assert row.keys() == evaluation.explanations(game).keys()


def test_layers_are_the_paths_of_their_arrays():
  tree = {"Dense_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}, "Head": {"linear": {"kernel": jnp.ones(4)}}}
  found = probes.by_layer(tree)
  assert {name: sorted(leaf.shape for leaf in leaves) for name, leaves in found.items()} == {
    "Dense_0": [(2, 3), (3,)],
    "Head/linear": [(4,)],
  }


@pytest.mark.parametrize(
  ("text", "words"), [("layer", "did you mean 'layers'"), ("noise+noise", "different groups"), ("", "unknown group")]
)
def test_unknown_groups_of_probes_are_named(text, words):
  with pytest.raises(BadInput, match=words):
    grouping.group([settings.resolve({"probes": text})])
