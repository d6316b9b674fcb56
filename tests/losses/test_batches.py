"""Losses of whole batches: what they estimate, what they are for a batch of one, and which transformations refuse them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses
from gan_jax.core.errors import BadInput
from gan_jax.losses.table import text_card
from tests.support.known_losses import BATCHES, P1, Q1, batches_of_two, close, slope_of

SYMMETRIC = ("energy", "mmd", "mmd_repulsive")


@pytest.mark.parametrize("name", SYMMETRIC)
def test_distances_are_unbiased(name, x64):
  """The mean over every batch of two from two atoms is the population's value, in closed form from p, q and d."""
  d, p, q = 1.7, P1, Q1  # 1.3^2 < 4 < 1.7^2 of the bounds below
  k, near, far = (lambda x, lower=0.0, upper=np.inf: np.exp(-min(max(x**2, lower), upper) / 2)), 0.5, 2.0
  same = lambda share: share**2 + (1 - share) ** 2  # noqa: E731, of two draws
  across = p * q + (1 - p) * (1 - q)

  def kernel_mean(share, **bounds):
    return share * k(0, **bounds) + (1 - share) * k(d, **bounds)

  generator = 2 * (p - q) ** 2 * (d if name == "energy" else 1 - k(d))
  discriminator = {
    "energy": -generator,
    "mmd": 2 * kernel_mean(across, upper=far) - kernel_mean(same(p), lower=near) - kernel_mean(same(q), lower=near),
    "mmd_repulsive": kernel_mean(same(p), upper=far) - kernel_mean(same(q), lower=near),
  }[name]
  loss = losses.get(name, **({} if name == "energy" else {"lower": near, "upper": far}))
  atoms = jnp.asarray([0.4, 0.4 + d])
  close(batches_of_two(loss)(atoms), discriminator, 1e-12, name)
  close(batches_of_two(losses.Loss(loss.generator, loss.generator))(atoms), generator, 1e-12, name)


def test_an_undecided_discriminator_is_worth_the_logarithm_of_the_choices(x64):
  same = jnp.full(5, 0.7)
  found = jax.jit(losses.get("dual_contrastive").discriminator)(same, same)
  close(found, np.full(5, 2 * np.log(6)), 1e-12, "2 log(B + 1)")


def test_of_one_pair_dual_contrastive_is_relativistic_twice(x64):
  real, fake = jnp.asarray([0.3]), jnp.asarray([1.1])
  for half, single in zip(losses.get("dual_contrastive"), losses.get("relativistic"), strict=True):
    close(jax.jit(half)(real, fake), 2 * single(real, fake), 1e-12, "two choices between two")


def test_at_constant_weights_kl_hinge_has_the_slope_of_a_cumulant(x64):
  """Donsker and Varadhan: the derivative of log mean e^f is the weight. Through the weights, low fakes are pushed down."""
  real, fake = map(jnp.asarray, BATCHES[1])
  w = 4 * np.exp(BATCHES[1][1]) / np.exp(BATCHES[1][1]).sum()
  close(slope_of(jax.jit(losses.get("cumulant", gamma=1.0).generator), 1, real, fake), -w, 1e-12, "-w")
  slope = slope_of(jax.jit(losses.get("kl_hinge").generator), 1, real, fake)
  np.testing.assert_array_equal(np.sign(slope), np.where(BATCHES[1][1] < np.mean(w * BATCHES[1][1]) - 1, 1, -1))
  assert (slope > 0).any()


def test_what_is_far_or_near_enough_has_no_slope(x64):
  """Of D: reals and fakes farther than 2 apart, fakes nearer than 1/2. Of G: a separated batch under `mmd`."""
  real, fake = jnp.asarray([5.0, 5.2, 5.4]), jnp.asarray([-5.0, -5.1, -5.3])

  @jax.jit
  def slopes(real, fake):
    slope = lambda half: jax.grad(lambda r, f: jnp.sum(half(r, f)), (0, 1))(real, fake)  # noqa: E731
    return {name: [slope(half) for half in losses.get(name)] for name in SYMMETRIC}

  found = slopes(real, fake)
  for name in ("mmd", "mmd_repulsive"):
    (_, of_discriminator), (_, of_generator) = found[name]
    assert not of_discriminator.any()
    np.testing.assert_allclose(of_generator.mean(), 0, atol=1e-15)
  assert found["mmd_repulsive"][0][0].any()  # the reals are driven apart
  np.testing.assert_allclose(found["energy"][1][1], [-4, -2, 0], atol=1e-12)  # the farthest has none, the mean is -2


@pytest.mark.parametrize("name", SYMMETRIC)
def test_a_batch_of_one_has_no_pairs_within(name, x64):
  real, fake = jnp.asarray([1.5]), jnp.asarray([0.3])
  k = np.exp(-(1.2**2) / 2)
  expected = {"energy": (-2.4, 2.4), "mmd": (2 * k, -2 * k), "mmd_repulsive": (0, -2 * k)}[name]
  close([float(jax.jit(half)(real, fake)[0]) for half in losses.get(name)], expected, 1e-12, name)
  assert np.isfinite(slope_of(jax.jit(losses.get(name).generator), 1, real, fake)).all()


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("matched_gain(energy)", "a slope where all logits are 0"),
    ("matched_gain(temperature(mmd))", "a slope where all logits are 0"),
    ("mix(energy, hinge)", "for which its sign means nothing; got 'energy' and 'hinge'"),
    ("mix(hinge, mmd)", "got 'hinge' and 'mmd'"),
    ("top_k(dual_contrastive)", "any but those with batch averages"),
    ("label_smoothing(kl_hinge)", "agree at logit 0"),
    ("kl_wgan", "did you mean kl_hinge"),
    ("fisher_gan", "loss=wasserstein with penalty=fisher"),
  ],
)
def test_what_does_not_fit_is_refused(name, words):
  with pytest.raises(BadInput, match=words):
    losses.get(name)


def test_two_without_a_sign_mix():
  mixed = losses.get("mix(mmd_repulsive, energy)")
  real, fake = (jnp.asarray(x, jnp.float32) for x in BATCHES[1])
  np.testing.assert_array_equal(mixed.generator(real, fake), losses.get("energy").generator(real, fake))
  assert "so AUC, accuracy and win rate are not measured" in text_card("energy")
  assert 'high means "real"' in text_card("hinge")


def test_over_several_devices_the_batch_is_one():
  """Sharded over all devices there are, in float32: as on one of them."""
  devices = np.array(jax.devices())
  mesh = jax.sharding.Mesh(devices, ("batch",))
  rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
  rng = np.random.default_rng(0)
  real, fake = (jnp.asarray(rng.normal(size=4 * len(devices)), jnp.float32) for _ in range(2))
  names = ("dual_contrastive", "kl_hinge", *SYMMETRIC)

  @jax.jit
  def values(real, fake):
    return [half(real, fake) for name in names for half in losses.get(name)]

  whole = values(real, fake)
  for one, other in zip(whole, values(jax.device_put(real, rows), jax.device_put(fake, rows)), strict=True):
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)
