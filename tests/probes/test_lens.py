"""The loss lens against the step itself: what it shows of a loss is what a run under that loss would have done."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses, probes, settings
from gan_jax.core.errors import BadInput
from gan_jax.probes import lens
from gan_jax.runner import grouping
from tests.game.test_step import random_case, stepper

SEEN = ("minimax", "non_saturating", "wasserstein", "relativistic_average", "least_squares")
FIXED = {"discriminator_rate": 0.0}  # so that the critic is one, whatever the discriminator's half


@pytest.fixture(scope="module")
def trace():
  spec, _, h, data, state = random_case(("hinge",), lens="+".join(SEEN), **FIXED)
  return stepper(spec)(h, state, data)[1]


@pytest.fixture(scope="module")
def through(trace):
  return trace.generator


def norm(tree):
  return float(np.linalg.norm(np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]).astype(np.float64)))


@pytest.mark.parametrize("name", SEEN)
def test_the_lens_shows_the_gradient_that_the_step_takes_under_that_loss(name, through):
  spec, _, h, data, state = random_case((name,), **FIXED)
  other = stepper(spec)(h, state, data)[1].generator
  np.testing.assert_allclose(other.fake_logits, through.fake_logits)
  view = through.lens[name]
  assert float(view.norm) == pytest.approx(norm(other.grads), rel=1e-4)
  product = sum(
    float(np.vdot(a, b)) for a, b in zip(jax.tree.leaves(other.grads), jax.tree.leaves(through.grads), strict=True)
  )
  assert float(view.cosine_in_use) == pytest.approx(product / norm(other.grads) / norm(through.grads), abs=1e-4)


def test_a_loss_is_itself_through_the_lens(through):
  """Hinge's generator is Wasserstein's; the reference is non-saturating itself."""
  assert float(through.lens["wasserstein"].cosine_in_use) == pytest.approx(1, abs=1e-5)
  assert float(through.lens["wasserstein"].norm) == pytest.approx(norm(through.grads), rel=1e-5)
  assert float(through.lens["non_saturating"].cosine_non_saturating) == pytest.approx(1, abs=1e-5)


def test_losses_that_share_a_pull_back_have_the_same_slope(x64):
  """The cards say so; here the formulas do, on logits from -30 to 30 and at unequal reals."""
  real, fake = jnp.linspace(-2, 5, 41), jnp.linspace(-30, 30, 41)
  shared = lens.alike(tuple(losses.LOSSES))
  assert len(set(shared.values())) < len(shared) - 5
  assert {shared[name] for name in ("hinge", "wasserstein", "f_gan_kl_practical")} == {shared["hinge"]}
  weights = jax.jit(lambda real, fake: {name: lens.weights(name, real, fake) for name in shared})(real, fake)
  for name, first in shared.items():
    np.testing.assert_allclose(weights[name], weights[first], rtol=1e-9, err_msg=name)


def test_effective_samples(through):
  """Equal weights: all B of them; the saturating loss on spread logits: fewer, by its formula."""
  assert float(through.lens["wasserstein"].effective_samples) == pytest.approx(8, rel=1e-5)
  w = 1 / (1 + np.exp(-np.asarray(through.fake_logits, np.float64)))
  assert float(through.lens["minimax"].effective_samples) == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-4)


def test_tiny_weights_keep_their_digits_and_nothing_is_no_direction():
  """At a logit of -80 minimax pulls with 1.8e-35: its square leaves float32, its norm does not."""
  matrix = jnp.array([[3.0, 0.0], [0.0, 4.0]])
  pull = lambda w: {"a": matrix @ w}  # noqa: E731
  views = lens.look(("minimax", "wasserstein"), pull, {"a": jnp.zeros(2)}, jnp.zeros(2), jnp.array([-80.0, -80.0]))
  assert float(views["minimax"].norm) == pytest.approx(2.5 * np.exp(-80.0), rel=1e-4)
  assert float(views["minimax"].cosine_non_saturating) == pytest.approx(1, abs=1e-5)
  assert np.isnan(float(views["wasserstein"].cosine_in_use))


def test_rows_have_a_column_and_an_explanation_for_each(trace, through):
  row = probes.measure(trace)
  assert row.keys() == probes.explanations(SEEN).keys()
  assert float(row["lens/norm/minimax"]) == float(through.lens["minimax"].norm)


def test_all_losses_pass_through_the_lens_and_change_no_update():
  spec, _, h, data, state = random_case(("hinge",), lens="all", **FIXED)
  new, trace = stepper(spec)(h, state, data)
  assert set(trace.generator.lens) == set(losses.LOSSES)
  assert all(np.isfinite(float(view.norm)) for view in trace.generator.lens.values())
  plain, _, h, data, state = random_case(("hinge",), **FIXED)
  other, _ = stepper(plain)(h, state, data)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8), new.gen_params, other.gen_params)


@pytest.mark.parametrize(("text", "words"), [("al", "unknown loss 'al'"), ("hinge+hinge", "different losses")])
def test_unknown_losses_are_named(text, words):
  with pytest.raises(BadInput, match=words):
    grouping.group([settings.resolve({"lens": text})])
