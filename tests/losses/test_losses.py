"""Every registered loss against its row in `known_losses.py`, and what a loss owes to the step that calls it."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax import losses
from gan_jax.core.errors import BadInput
from gan_jax.losses import CARDS, LOSSES, transforms
from gan_jax.losses.registry import Card, register
from gan_jax.losses.table import markdown_table, optimal_range, text_card, text_table
from tests.support.known_losses import CHECKS, GOLDEN, KNOWN, close, measured, slope_of, spread

NAMES = sorted(LOSSES)
SIGNED = [name for name in NAMES if not CARDS[name].symmetric]
REAL = jnp.asarray([0.3, -1.2, 2.5, 0.9], jnp.float32)
FAKE = jnp.asarray([-0.45, 1.6, -2.8, 0.7], jnp.float32)


def test_every_loss_has_a_row():
  missing, unknown = sorted(set(LOSSES) - set(KNOWN)), sorted(set(KNOWN) - set(LOSSES))
  assert not missing, f"add a row with the paper's formulas to KNOWN in tests/support/known_losses.py for: {missing}"
  assert not unknown, f"KNOWN in tests/support/known_losses.py has rows for losses that are not registered: {unknown}"


@functools.cache
def of_four(part, first):
  """What a part of the checks looks at, of the losses that `measured` compiles one program for: who asks for one loss
  alone waits for no others."""
  few = [name for name in NAMES if name in KNOWN][first : first + 4]
  return measured({name: (LOSSES[name].builder, CARDS[name]) for name in few}, part)


def of(part, name):
  place = [other for other in NAMES if other in KNOWN].index(name)
  return of_four(part, place - place % 4)[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_known(check, name, x64):
  assert name in KNOWN, f"add a row with the paper's formulas to KNOWN in tests/support/known_losses.py for {name!r}"
  check(name, LOSSES[name].builder, CARDS[name], of(CHECKS[check], name))


def test_slopes_keep_their_tails_in_float32():
  """What vanishes is measured, not lost: relative agreement wherever the slope is a normal float32."""
  ends = {name: min(85.0, 0.95 * (CARDS[name].overflows_at or 100.0)) for name in NAMES}
  logits = {name: tuple(jnp.asarray(x, jnp.float32) for x in spread(end)) for name, end in ends.items()}

  @jax.jit  # one program: compiled alone, each loss would cost half a second
  def slopes(logits):
    return {name: jax.grad(lambda f: jnp.sum(losses.get(name).generator(r, f)))(f) for name, (r, f) in logits.items()}  # noqa: B023

  for name, got in slopes(logits).items():
    expected = CARDS[name].slope_at(*logits[name], **losses.default_options(name))
    assert expected.dtype == got.dtype == jnp.float32
    close(got, expected, 3e-5, name, atol=KNOWN[name].rounding * np.abs(got).max() or 1e-36)


# Ground truth section 2: the generator's weight on a fake of logit -10, -5, 0, 5.
SLOPES = {
  "minimax": (-4.5398e-5, -6.6929e-3, -0.5, -0.99331),
  "non_saturating": (-0.999955, -0.993307, -0.5, -6.693e-3),
  "wasserstein": (-1, -1, -1, -1),
  "hinge": (-1, -1, -1, -1),
  "least_squares": (-11, -6, -1, 4),
  "least_squares_probabilities": (-4.5394e-5, -6.6036e-3, -0.125, -4.449e-5),
  "f_gan_kl": (-1.670e-5, -2.479e-3, -0.36788, -54.598),
  "f_gan_reverse_kl": (-1, -1, -1, -1),
  "f_gan_pearson": (4, 1.5, -1, -3.5),
  "f_gan_squared_hellinger": (-4.54e-5, -6.738e-3, -1, -148.4),
  "f_gan_neyman": (-148.4, -12.18, -1, -0.0821),
  "f_gan_jensen_shannon": (-4.5398e-5, -6.6929e-3, -0.5, -0.99331),
  "f_gan_gan": (-4.5398e-5, -6.6929e-3, -0.5, -0.99331),
}


@pytest.mark.parametrize("name", SLOPES)
def test_published_slopes(name):
  fake = jnp.asarray([-10.0, -5.0, 0.0, 5.0])
  close(slope_of(losses.get(name).generator, 1, fake[::-1], fake), SLOPES[name], 5e-4, name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_a_pair_of_vectors_is_refused(name):
  for half in losses.get(name):
    with pytest.raises(ValueError, match=r"expected shape \[B\]"):
      half(REAL[:, None], FAKE[:, None])
    with pytest.raises(ValueError, match="4 real and 3 fake"):
      half(REAL, FAKE[:3])
    with pytest.raises(ValueError, match="floating"):
      half(REAL.astype(jnp.int32), FAKE)


@pytest.mark.parametrize("name", NAMES)
def test_dtypes(name, x64):
  # A traced float64 hyperparameter must not change a branch's type.
  options = {key: jnp.asarray(value, jnp.float64) for key, value in losses.default_options(name).items()}
  for half in losses.get(name, **options):
    exact = half(REAL.astype(jnp.bfloat16).astype(jnp.float32), FAKE.astype(jnp.bfloat16).astype(jnp.float32))
    assert exact.dtype == jnp.float32
    rounded = half(REAL.astype(jnp.bfloat16), FAKE.astype(jnp.bfloat16))
    assert rounded.dtype == jnp.float32
    np.testing.assert_array_equal(rounded, exact)  # computed in float32, not cast to it afterwards
    assert half(REAL.astype(jnp.float64), FAKE.astype(jnp.float64)).dtype == jnp.float64


def test_jit_vmap_and_traced_hyperparameters_equal_eager_and_compile_once():
  traces = []
  defaults = {name: losses.default_options(name) for name in NAMES}
  others = {name: {**defaults[name], **KNOWN[name].other} for name in NAMES}

  def member(name, options, real, fake):
    loss = losses.get(name, **options)
    value, pull = jax.vjp(loss.generator, real, fake)
    return loss.discriminator(real, fake), value, pull(jnp.ones_like(value))[1]

  @jax.jit
  @jax.vmap
  def population(options, real, fake):
    traces.append(1)
    return {name: member(name, options[name], real, fake) for name in NAMES}

  stacked = jax.tree.map(lambda *values: jnp.asarray(values), others, defaults)
  got = population(stacked, jnp.stack([REAL, FAKE]), jnp.stack([FAKE, REAL]))
  population(jax.tree.map(lambda x: x * 0.99, stacked), jnp.stack([FAKE, REAL]), jnp.stack([REAL, FAKE]))
  assert len(traces) == 1
  for name in NAMES:
    discriminator, generator, slope = got[name]
    loss = losses.get(name, **others[name])
    close(discriminator[0], loss.discriminator(REAL, FAKE), 2e-5, f"{name}: eager", atol=1e-6)
    close(generator[0], loss.generator(REAL, FAKE), 2e-5, f"{name}: eager", atol=1e-6)
    close(slope[0], CARDS[name].slope_at(REAL, FAKE, **others[name]), 2e-5, f"{name}: eager", atol=1e-6)
    real, fake = np.asarray(FAKE, np.float64), np.asarray(REAL, np.float64)  # the second member, by the book
    close(discriminator[1], KNOWN[name].discriminator(real, fake), 2e-5, name, atol=1e-6)
    close(generator[1], KNOWN[name].generator(real, fake), 2e-5, name, atol=1e-6)
    close(slope[1], CARDS[name].slope_at(FAKE, REAL, **defaults[name]), 2e-5, name, atol=1e-6)


def test_a_branch_that_overflows_never_reaches_another_member():
  """One switch over all losses, as the step has it: (value, cotangent) per branch, a member for each loss."""

  def branch(name):
    def run(real, fake):
      value, pull = jax.vjp(losses.get(name).generator, real, fake)
      return value, pull(jnp.ones_like(value) / value.size)[1]

    return run

  branches = [branch(name) for name in NAMES]
  real, fake = jnp.asarray([1e4, -1e4, 300.0, -300.0]), jnp.asarray([-1e4, 1e4, -300.0, 300.0])
  value, cotangent = jax.jit(jax.vmap(lambda i: lax.switch(i, branches, real, fake)))(jnp.arange(len(NAMES)))
  poisoned = {name for name, v, c in zip(NAMES, value, cotangent, strict=True) if not jnp.all(jnp.isfinite(v + c))}
  overflowing = {name for name in NAMES if CARDS[name].overflows_at is not None}
  assert "f_gan_kl" in poisoned  # else this test shows nothing
  assert poisoned <= overflowing


# Identities between losses.


def mean_pair(loss, real, fake):
  return [float(jnp.mean(half(real, fake))) for half in loss]


def test_limits_of_the_families(x64):
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  same = {
    "alpha_loss at 1": (losses.get("alpha_loss", alpha=1.0), losses.get("minimax"), 1e-12),
    "alpha_loss near 1": (losses.get("alpha_loss", alpha=1 + 1e-9), losses.get("minimax"), 1e-6),
    "cumulant to 0": (losses.get("cumulant", beta=1e-7, gamma=1e-7), losses.get("wasserstein"), 1e-4),
    "smoothing by 0": (losses.get("non_saturating_smoothed", real_target=1.0), losses.get("non_saturating"), 1e-12),
    "f_gan_gan": (losses.get("f_gan_gan"), losses.get("minimax"), 1e-12),
    "f_gan_gan_practical": (losses.get("f_gan_gan_practical"), losses.get("non_saturating"), 1e-12),
    "dual at equal alphas": (
      losses.get("alpha_loss_dual", discriminator_alpha=2.0, generator_alpha=2.0),
      losses.get("alpha_loss"),
      1e-12,
    ),
  }
  for what, (one, other, rtol) in same.items():
    close(mean_pair(one, real, fake), mean_pair(other, real, fake), rtol, what, atol=rtol)
  slope = slope_of(losses.get("alpha_loss", alpha=1.0).generator, 1, real, fake)
  close(slope, slope_of(losses.get("minimax").generator, 1, real, fake), 1e-12, "slope of alpha_loss at 1")


def test_least_squares_in_the_other_coding(x64):
  # 0.5 (r - 1)^2 + 0.5 (f + 1)^2 and 0.5 f^2 on the golden minibatch, by hand: sums of squares / 8.
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  loss = losses.get("least_squares", fake=-1.0, real=1.0, target=0.0)
  d = (36 + 0.16 + 132.25 + 2.89 + 121 + 29.16 + 20.25 + 21.16) / 8
  close(mean_pair(loss, real, fake), (d, (100 + 19.36 + 30.25 + 12.96) / 8), 1e-12, "-1/1/0")


def test_all_pairs_is_the_paired_loss_over_all_pairings(x64):
  """Averaged over the B rotations of one batch against the other, every pair has been a pair once."""
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  rotations = [mean_pair(losses.get("relativistic"), real, jnp.roll(fake, k)) for k in range(4)]
  all_pairs = mean_pair(losses.get("relativistic_all_pairs"), real, fake)
  close(np.mean(rotations, axis=0), all_pairs, 1e-12, "rotations")


# Eigenvalues at the equilibrium of the Dirac-GAN (p = delta_0, fake at theta, D(x) = psi x): ground truth 1a.
EIGENVALUES = {
  "minimax": 0.5j,
  "non_saturating": 0.5j,
  "wasserstein": 1j,
  "hinge": 1j,
  "relativistic": 0.5j,
  "relativistic_zero_sum": 0.5j,
  "relativistic_all_pairs": 0.5j,
  "relativistic_average": 1j,
}


@pytest.mark.parametrize("name", EIGENVALUES)
def test_dirac_gan(name, x64):
  loss = losses.get(name)

  def field(x):
    def g(theta, psi):
      return jnp.mean(loss.generator(jnp.zeros(2), jnp.full(2, theta * psi)))

    def d(theta, psi):
      return jnp.mean(loss.discriminator(jnp.zeros(2), jnp.full(2, theta * psi)))

    return jnp.stack([-jax.grad(g, 0)(x[0], x[1]), -jax.grad(d, 1)(x[0], x[1])])

  eigenvalues = np.linalg.eigvals(np.asarray(jax.jit(jax.jacfwd(field))(jnp.zeros(2))))
  eigenvalues = eigenvalues[np.argsort(eigenvalues.imag)]
  np.testing.assert_allclose(eigenvalues, [-EIGENVALUES[name], EIGENVALUES[name]], atol=1e-9)


# Transformations.


def test_top_k(x64):
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  loss = losses.get("non_saturating")
  kept = transforms.top_k(loss, 0.5)
  expected = (np.log1p(np.exp(-10)) + np.log1p(np.exp(-4.4))) / 2  # the two most real fakes
  close(mean_pair(kept, real, fake), (mean_pair(loss, real, fake)[0], expected), 1e-12, "top half")
  slope = slope_of(kept.generator, 1, real, fake)
  close(slope, 2 * np.array([-1 / (1 + np.exp(10)), -1 / (1 + np.exp(4.4)), 0, 0]), 1e-12, "top half: slope")
  close(transforms.top_k(loss, 1.0).generator(real, fake), loss.generator(real, fake), 1e-12, "all")
  traced = jax.jit(lambda fraction: transforms.top_k(loss, fraction).generator(real, fake))(0.01)
  close(traced, [4 * np.log1p(np.exp(-10)), 0, 0, 0], 1e-9, "never fewer than one")
  none = transforms.top_k(loss, 1e-9).generator(real, fake)
  close(none, [4 * np.log1p(np.exp(-10)), 0, 0, 0], 1e-9, "never fewer than one, however small the share")
  paired = transforms.top_k(losses.get("relativistic"), 0.5).generator(real, fake)
  expected = [2 * np.log1p(np.exp(-5 - 10)), 2 * np.log1p(np.exp(1.4 - 4.4)), 0, 0]
  close(paired, expected, 1e-12, "each beside its own real")
  ties = transforms.top_k(losses.get("wasserstein"), 0.7).generator(jnp.zeros(10), jnp.ones(10))
  assert int(jnp.sum(ties != 0)) == 7
  assert float(jnp.mean(ties)) == pytest.approx(-1)


@pytest.mark.parametrize("name", losses.TRANSFORMATIONS)
def test_defaults_of_a_transformation_are_those_of_its_function(name):
  """A config that names no number and a caller who names none mean the same."""
  transformation = losses.TRANSFORMATIONS[name]
  parameters = inspect.signature(getattr(transforms, name)).parameters
  own = {key: p.default for key, p in parameters.items() if p.default is not p.empty}
  assert own == {key: value for key, value in transformation.defaults.items() if key in own}


def test_label_smoothing(x64):
  real, fake = (jnp.asarray(x) for x in GOLDEN)

  def bce(x, target):
    return -target * np.log(1 / (1 + np.exp(-x))) - (1 - target) * np.log(1 / (1 + np.exp(x)))

  loss = losses.get("minimax")
  one = transforms.label_smoothing(loss, 0.9)
  two = transforms.label_smoothing(loss, 0.8, 0.15)
  close(one.discriminator(real, fake), bce(GOLDEN[0], 0.9) + bce(GOLDEN[1], 0), 1e-9, "one side")
  close(two.discriminator(real, fake), bce(GOLDEN[0], 0.8) + bce(GOLDEN[1], 0.15), 1e-9, "two sides")
  assert one.generator is loss.generator
  # TF-GAN's label_smoothing=0.25 is a target of 0.875: its golden value, ground truth 3.6.
  tf_gan = losses.get("non_saturating_smoothed", real_target=0.875)
  assert mean_pair(tf_gan, real, fake)[0] == pytest.approx(6.19637, abs=1e-5)
  close(transforms.label_smoothing(loss, 0.875).discriminator(real, fake), tf_gan.discriminator(real, fake), 1e-9, "")
  hinge = transforms.label_smoothing(losses.get("hinge"), 0.7, 0.2).discriminator(real, fake)
  positive = [0.7 * max(0, 1 - r) + 0.3 * max(0, 1 + r) for r in GOLDEN[0]]
  negative = [0.8 * max(0, 1 + f) + 0.2 * max(0, 1 - f) for f in GOLDEN[1]]
  close(hinge, np.add(positive, negative), 1e-12, "hinge")


def test_labels_are_smoothed_where_the_half_that_is_the_discriminators_admits_it():
  """Of a mixture that is the first loss's half, whose reals must not meet fakes; what the generator does is all one."""
  with pytest.raises(BadInput, match=r"two terms agree at logit 0.*got 'relativistic'"):
    losses.get("label_smoothing(mix(relativistic, hinge))")
  real, fake = (jnp.asarray(x, jnp.float32) for x in GOLDEN)
  found = losses.get("label_smoothing(matched_gain(mix(hinge, relativistic)))", real_target=0.8)
  wanted = transforms.label_smoothing(losses.get("hinge"), 0.8)
  np.testing.assert_array_equal(found.discriminator(real, fake), wanted.discriminator(real, fake))


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("least_squares", {"fake": 1.0, "real": 0.0}),
    ("least_squares", {"fake": -2.0, "real": -2.0}),
    ("top_k(temperature(least_squares))", {"real": -0.5}),
    ("mix(least_squares, hinge)", {"fake": 1.5}),
    ("non_saturating_smoothed", {"real_target": 0.0}),
  ],
)
def test_numbers_by_which_reals_do_not_get_the_higher_logit_are_refused(name, options):
  """AUC, accuracy and the verdict take a high logit for 'real': of codes the other way round they would say the contrary."""
  with pytest.raises(BadInput, match="gives reals the higher logit"):
    losses.get(name, **options)


def test_temperature(x64):
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  loss = losses.get("hinge")
  warm = transforms.temperature(loss, 2.0)
  close(mean_pair(warm, real, fake), mean_pair(loss, real / 2, fake / 2), 1e-12, "values")
  close(slope_of(warm.generator, 1, real, fake), [-0.5] * 4, 1e-12, "slope / temperature")


def test_matched_gain(x64):
  """All losses then pull alike at logit 0, by the same halves elsewhere, and a second match changes nothing."""
  zero, (real, fake) = jnp.zeros(4), (jnp.asarray(x) / 5 for x in GOLDEN)

  @jax.jit
  def pulls():
    all_losses = {name: losses.get(name) for name in SIGNED}
    matched = {name: transforms.matched_gain(loss) for name, loss in all_losses.items()}

    def slope(loss, r, f):
      return jax.grad(lambda f: jnp.sum(loss.generator(r, f)))(f)

    return {
      name: (
        slope(matched[name], zero, zero),
        slope(matched[name], real, fake),
        slope(all_losses[name], real, fake) * -0.5 / jnp.mean(slope(all_losses[name], zero, zero)),
        matched[name].generator(real, fake),
        transforms.matched_gain(matched[name]).generator(real, fake),
      )
      for name in SIGNED
    }

  for name, (at_zero, got, expected, once, twice) in pulls().items():
    close(jnp.mean(at_zero), -0.5, 1e-12, name)
    close(got, expected, 1e-12, name)
    close(twice, once, 1e-12, name)
  loss = losses.get("hinge")
  assert transforms.matched_gain(loss).discriminator is loss.discriminator
  close(slope_of(transforms.matched_gain(loss).generator, 1, real, fake), [-0.5] * 4, 1e-12, "hinge")


def test_zero_sum_takes_the_whole_discriminator(x64):
  """Also its terms on reals, and the sides where they belong: what unrolling needs."""
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  for name in ("hinge", "least_squares"):
    loss = transforms.zero_sum(losses.get(name))
    close(loss.generator(real, fake), -KNOWN[name].discriminator(*GOLDEN), 1e-12, name)
    close(loss.discriminator(real, fake), KNOWN[name].discriminator(*GOLDEN), 1e-12, name)


@pytest.mark.parametrize("name", losses.TRANSFORMATIONS)
def test_a_transformed_loss_owes_what_a_loss_owes(name, x64):
  """float32 from bfloat16 and from float64 hyperparameters, no rounding to bfloat16 on the way, no [B, 1]."""
  given = {"fraction": 0.7, "real_target": 0.83, "fake_target": 0.11, "temperature": 1.7}
  taken = {"mix": "alpha_loss, f_gan_kl", "on_features": "mmd"}.get(name, "alpha_loss")
  inside = f"{name}({taken})"
  options = losses.default_options(inside)
  options = {key: jnp.asarray(given.get(key, value), jnp.float64) for key, value in options.items()}
  real, fake = REAL.astype(jnp.bfloat16), FAKE.astype(jnp.bfloat16)
  for half in losses.get(inside, **options):
    low, exact = half(real, fake), half(real.astype(jnp.float32), fake.astype(jnp.float32))
    assert low.dtype == exact.dtype == jnp.float32
    np.testing.assert_array_equal(low, exact)
    assert half(REAL.astype(jnp.float64), FAKE.astype(jnp.float64)).dtype == jnp.float64
    with pytest.raises(ValueError, match=r"expected shape \[B\]"):
      half(REAL[:, None], FAKE[:, None])


def test_mix_and_composition(x64):
  real, fake = (jnp.asarray(x) for x in GOLDEN)
  hinge, minimax = losses.get("hinge"), losses.get("minimax")
  mixed = transforms.mix(hinge, minimax)
  assert (mixed.discriminator, mixed.generator) == (hinge.discriminator, minimax.generator)
  composed = transforms.top_k(transforms.matched_gain(transforms.temperature(hinge, 4.0)), 0.5)
  close(slope_of(composed.generator, 1, real, fake), [-1, -1, 0, 0], 1e-12, "composition")


# A critic of Lipschitz constant K on data of diameter 1 has logits within K: Qin et al. 2018, ground truth 3.4.


@pytest.mark.parametrize("k", [0.1, 0.5, 0.9, 3.0])
def test_small_logits_make_losses_alike(k, x64):
  """The largest weight of a fake over the least: e^k, (1 + k) / (1 - k) of least squares, 1 of Wasserstein."""
  fake = jnp.linspace(-k, k, 101)
  expected = {"minimax": np.exp(k), "non_saturating": np.exp(k), "wasserstein": 1.0}
  expected |= {"least_squares": (1 + k) / (1 - k)} if k < 1 else {}
  for name, ratio in expected.items():
    weights = np.abs(slope_of(losses.get(name).generator, 1, jnp.zeros(101), fake))
    assert weights.max() / weights.min() == pytest.approx(ratio, rel=1e-12), name


@pytest.mark.parametrize("name", ["non_saturating", "hinge", "least_squares", "f_gan_kl_practical"])
def test_a_hot_loss_is_linear(name, x64):
  """T (L(d / T) - L(0)) tends to L'(0) d."""
  loss, d = losses.get(name), jnp.asarray([-3.0, 0.5, 2.0])
  hot, zero = transforms.temperature(loss, 1e5).generator, jnp.zeros(3)
  slope = CARDS[name].slope_at(zero, zero, **losses.default_options(name))
  close(1e5 * (hot(zero, d) - hot(zero, zero)), slope * d, 1e-4, name)


# What a person is told.


@pytest.mark.parametrize(
  ("call", "text"),
  [
    (lambda: losses.get("hing"), "unknown loss 'hing'; did you mean 'hinge'"),
    (lambda: losses.card("hing"), "did you mean 'hinge'"),
    (lambda: losses.default_options("gan"), "unknown loss 'gan'"),
    (lambda: losses.get("hinge", margin=2.0), "loss 'hinge' has no options, got 'margin'"),
    (lambda: losses.get("alpha_loss", alfa=2.0), "did you mean 'alpha'"),
    (lambda: losses.get("alpha_loss", alpha=-1.0), "'alpha' of loss 'alpha_loss' expected a number above 0, got -1"),
    (
      lambda: losses.get("f_gan_alpha_above_one", alpha=1),
      "'alpha' of loss 'f_gan_alpha_above_one' expected a number above 1, got 1",
    ),
    (lambda: losses.get("f_gan_alpha_below_one", alpha=1.0), "a number above 0 and below 1, got 1"),
    (lambda: losses.get("f_gan_weighted_jensen_shannon", pi=np.float32(0)), "above 0 and below 1, got 0"),
    (lambda: losses.get("non_saturating_smoothed", real_target=1.2), "from 0 to 1, got 1.2"),
    (lambda: losses.get("least_squares", target=float("nan")), "a finite number, got nan"),
    (lambda: losses.get("least_squares", target="1"), "expected a finite number, got '1'"),
    (lambda: losses.get("least_squares", target=True), "expected a finite number, got True"),
  ],
)
def test_bad_input(call, text):
  with pytest.raises(BadInput, match=text):
    call()


def test_register_refuses_what_it_could_not_serve():
  card = CARDS["hinge"]
  with pytest.raises(ValueError, match="registered twice"):
    register(card, "hinge")(lambda: None)
  with pytest.raises(ValueError, match="weight would be options and have no default"):
    register(card, "new")(lambda weight: None)
  with pytest.raises(ValueError, match="defaults that are numbers"):
    register(card, "new")(lambda weight="heavy": None)
  with pytest.raises(ValueError, match="pairing"):
    register(card._replace(pairing="some"), "new")(lambda: None)
  assert "new" not in LOSSES


def test_cards_are_complete_and_printable():
  for name in NAMES:
    one = losses.card(name)
    assert isinstance(one, Card)
    assert all((one.title, one.discriminator, one.generator, one.optimal_logit, one.slope, one.saturates))
    assert one.reference
    assert all(option.text and option.traced for option in LOSSES[name].options.values())
    assert f"| `{name}` |" in markdown_table()
    assert name in text_table()
    assert one.reference in text_card(name)
  assert all(f"{name}" in text_table().splitlines()[-1] for name in losses.TRANSFORMATIONS)
  columns = {line.replace(r"\|", "").count("|") for line in markdown_table().splitlines()}
  assert len(columns) == 1


RANGES = {  # of the optimal logit: some that are known
  "hinge": "from -1 to 1",
  "energy_margin": "from -1 to 0",
  "least_squares": "from 0 to 1",
  "non_saturating_smoothed": "from -inf to 2.19722",  # log 9
  "minimax": "all numbers",
  "f_gan_pearson": "from -2 to inf",
  "f_gan_alpha_above_one_practical": "from -1 to inf",
}


def test_ranges_of_the_optimal_logit(x64):
  """Limits of the formula where only the model is and where only the data are, and what lies between lies within."""
  ratios = jnp.concatenate([jnp.array([-600.0]), jnp.linspace(-40.0, 40.0, 81), jnp.array([600.0])])
  for name in NAMES:
    formula, found = CARDS[name].optimal_logit_at, optimal_range(name)
    assert found == RANGES.get(name, found), name
    assert f"its range:          {found}" in text_card(name)
    if formula is None:
      assert found == "no closed form in p/q"
      continue
    values = np.asarray(formula(ratios, **losses.default_options(name)))
    assert (np.diff(values[np.isfinite(values)]) >= 0).all(), name
    ends = (-np.inf, np.inf) if found == "all numbers" else map(float, found.removeprefix("from ").split(" to "))
    for end, value in zip(ends, values[[0, -1]], strict=True):
      assert abs(value) > 100 if np.isinf(end) else value == pytest.approx(end, abs=1e-5), name


def test_the_card_of_a_transformed_loss():
  text = text_card("top_k(matched_gain(alpha_loss))")
  assert "top_k(matched_gain(alpha_loss))(fraction=0.5, alpha=2)" in text
  assert "fakes of highest logit" in text
  assert "-0.5 / s" in text
  assert "gan-jax losses alpha_loss" in text
  assert (
    "fraction = 0.5, a number above 0 and of at most 1: share of the fakes that are used in G's loss; alpha = 2" in text
  )
  with pytest.raises(BadInput, match="did you mean 'top_k'"):
    text_card("topk(hinge)")


def test_the_type_that_an_own_loss_returns_is_beside_the_losses():
  assert type(losses.get("hinge")) is losses.Loss
