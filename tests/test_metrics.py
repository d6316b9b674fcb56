"""Sample quality against closed forms (ground truth 4.1 and 6), and the classifier against data it has not seen."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, metrics
from gan_jax.metrics import classifier, frechet, modes


def gaussian(mean, covariance):
  return frechet.Gaussian(np.asarray(mean, float), np.asarray(covariance, float))


def test_frechet_of_known_gaussians():
  """N(0, 1) against N(1, 4): 1 + (1 - 2)^2 = 2; isotropic in D dimensions: |m|^2 + D (s1 - s2)^2."""
  assert frechet.frechet_distance(gaussian([0], [[1]]), gaussian([1], [[4]])) == pytest.approx(2)
  a, b = gaussian(np.zeros(3), np.eye(3)), gaussian([1, 2, 2], 4 * np.eye(3))
  assert frechet.frechet_distance(a, b) == pytest.approx(9 + 3)


def test_frechet_of_covariances_that_do_not_commute():
  """tr((A B)^(1/2)) of 2x2 matrices in closed form: sqrt(tr(AB) + 2 sqrt(det(AB)))."""
  a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
  overlap = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
  expected = np.trace(a) + np.trace(b) - 2 * overlap
  assert frechet.frechet_distance(gaussian([0, 0], a), gaussian([0, 0], b)) == pytest.approx(expected, rel=1e-12)


def test_frechet_uses_the_unbiased_covariance():
  """compare_gan's unit test: 80 + 900/99 with divisor N - 1 (ground truth 6)."""
  real = np.repeat([[2.0, 1.0], [1.0, 1.0]], 50, axis=0)
  fake = np.repeat([[9.0, 9.0], [2.0, 9.0]], 50, axis=0)
  found = frechet.frechet_distance(frechet.fit(jnp.array(real)), frechet.fit(jnp.array(fake)))
  assert found == pytest.approx(80 + 900 / 99, rel=1e-6)


def test_frechet_of_a_batch_is_that_of_its_members():
  rng = np.random.default_rng(0)
  members = [frechet.fit(jnp.array(rng.normal(size=(200, 5)) * s, jnp.float32)) for s in (1, 2, 3)]
  reference = frechet.fit(jnp.array(rng.normal(size=(300, 5)), jnp.float32))
  stacked = frechet.Gaussian(*(np.stack(x) for x in zip(*members, strict=True)))
  np.testing.assert_allclose(
    frechet.frechet_distance(stacked, reference), [frechet.frechet_distance(m, reference) for m in members]
  )


def test_frechet_survives_a_collapsed_generator():
  one_point = frechet.fit(jnp.ones((200, 5)))
  spread = gaussian(np.zeros(5), np.eye(5))
  assert frechet.frechet_distance(one_point, spread) == pytest.approx(5 + 5, rel=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, np.finfo(np.float32).max])
@pytest.mark.parametrize("part", ["mean", "covariance"])
def test_what_is_wrong_with_one_member_is_its_own(wrong, part):
  rng = np.random.default_rng(3)
  members = [frechet.fit(jnp.array(rng.normal(size=(200, 5)), jnp.float32)) for _ in range(3)]
  reference = frechet.fit(jnp.array(rng.normal(size=(300, 5)), jnp.float32))
  stacked = frechet.Gaussian(*(np.stack(x) for x in zip(*members, strict=True)))
  alone = frechet.frechet_distance(stacked, reference)
  broken = stacked._asdict()
  broken[part] = broken[part].copy()
  broken[part][1].flat[0] = wrong
  found = frechet.frechet_distance(frechet.Gaussian(**broken), reference)
  np.testing.assert_array_equal(found[[0, 2]], alone[[0, 2]])  # the very bits
  assert np.isnan(found[1]) or (np.isfinite(wrong) and found[1] > 1e30)


def test_frechet_refuses_too_few_examples():
  with pytest.raises(ValueError, match=r"N > D"):
    frechet.fit(jnp.ones((5, 5)))


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_modes_of_the_data_itself(name):
  """All modes; 1 - exp(-9/2) within three standard deviations; KL about (K - 1) / 2N."""
  dataset = data.load(name)
  points = dataset.data.images[np.random.default_rng(1).choice(100_000, 10_000, replace=False)]
  k = len(dataset.modes)
  found = modes.mode_metrics(jnp.asarray(points), jnp.asarray(dataset.modes), dataset.std)
  assert float(found["modes/covered"]) == k
  assert float(found["modes/high_quality"]) == pytest.approx(1 - np.exp(-4.5), abs=0.005)
  assert 0 < float(found["modes/reverse_kl"]) < 4 * (k - 1) / (2 * 10_000)


def test_modes_of_a_generator_that_knows_m_of_k():
  """Reverse KL of m even modes of K is log(K / m)."""
  dataset = data.load("ring")
  centres = jnp.asarray(dataset.modes)
  for m in (1, 2, 5, 8):
    points = jnp.concatenate([jnp.tile(centres[:m], (10, 1)), jnp.full((30, 2), 7.0)])
    found = modes.mode_metrics(points, centres, dataset.std)
    assert float(found["modes/covered"]) == m
    assert float(found["modes/high_quality"]) == pytest.approx(10 * m / (10 * m + 30))
    assert float(found["modes/reverse_kl"]) == pytest.approx(np.log(8 / m), abs=1e-6)


def test_a_generator_far_from_all_modes_has_no_divergence():
  found = modes.mode_metrics(jnp.full((10, 2), 50.0), jnp.zeros((3, 2)), 0.1)
  assert float(found["modes/covered"]) == 0
  assert np.isnan(float(found["modes/reverse_kl"]))


def test_chunks_join_to_the_whole():
  found = metrics.in_chunks(lambda i: (i * 2, jnp.stack([i, -i], 1)), 601)
  np.testing.assert_array_equal(found[0], 2 * np.arange(601))
  assert found[1].shape == (601, 2)


def test_classifier_is_cached_accurate_and_survives_a_damaged_cache(tmp_path):
  digits = data.load("digits")
  first = classifier.load_or_train(digits, tmp_path)
  assert not first.cached
  assert first.accuracy > 0.95
  again = classifier.load_or_train(digits, tmp_path)
  assert again.cached
  assert again.accuracy == first.accuracy
  (file,) = tmp_path.glob("*.npz")
  file.write_bytes(file.read_bytes()[:1000])
  assert not classifier.load_or_train(digits, tmp_path).cached

  quality = metrics.image_quality(digits, tmp_path)
  real = lambda i: digits.decode(digits.data.images[i])  # noqa: E731
  dark = lambda i: -jnp.ones((len(i), 8, 8, 1))  # noqa: E731
  import jax

  same, black = (
    {
      k: v[0]
      for k, v in quality.finish(jax.tree.map(lambda x: np.asarray(x)[None], quality.measure(draw, 1797))).items()
    }
    for draw in (real, dark)
  )
  assert same["frechet/distance"] == pytest.approx(0, abs=1e-3)
  assert same["classes/present"] == 10
  assert same["classes/entropy"] == pytest.approx(np.log(10), abs=0.01)
  assert black["frechet/distance"] > 50
  assert black["classes/present"] == 1
  assert set(same) == set(quality.explanations)
