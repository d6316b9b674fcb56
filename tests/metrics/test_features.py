"""Distances and neighbourhoods of features: torch-fidelity's numbers, brute force, closed forms, and the right order."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.features import SUBSET_SIZE, SUBSETS, random_features
from gan_jax import data, metrics
from gan_jax.core.errors import BadInput
from gan_jax.metrics import classifier, frechet, kid, neighbourhoods, networks

THEIRS = json.loads((Path(__file__).parent / "torch_fidelity.json").read_text())


@pytest.fixture(scope="module")
def given():
  """(samples, real examples) as torch-fidelity was given them, the samples first."""
  return tuple(jnp.asarray(each) for each in random_features()[:2])


@pytest.fixture(scope="module")
def means():
  return jax.jit(kid.means, static_argnums=2)


def distance(means, x, y):
  """(KID, its standard error)."""
  return kid.squared_distance(means(x, x, True), means(y, y, True), means(x, y, False), means(y, x, False))


def test_frechet_distance_is_torch_fidelitys(given):
  found = frechet.frechet_distance(*(frechet.fit(each) for each in given))
  assert found == pytest.approx(THEIRS["statistics"]["frechet_inception_distance"], rel=1e-5)


def test_kid_is_torch_fidelitys(given):
  """Over the subsets that torch-fidelity draws; and of all at once the formula itself in float64."""
  subsets = np.asarray(jax.jit(kid.subset_distances, static_argnums=(2, 3))(*given, SUBSETS, SUBSET_SIZE), float)
  assert subsets.mean() == pytest.approx(THEIRS["statistics"]["kernel_inception_distance_mean"], abs=1e-6)
  assert subsets.std() == pytest.approx(THEIRS["statistics"]["kernel_inception_distance_std"], abs=1e-6)


def test_kid_of_all_is_the_formula(given, means):
  x, y = (np.asarray(each, np.float64) for each in given)
  kernels = [(a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
  own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernels[:2]]
  found, error = distance(means, *given)
  assert found == pytest.approx(sum(own) - 2 * kernels[2].mean(), abs=1e-6)
  assert found > 5 * error > 0


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_error_of_kid_is_how_it_varies(means, shift):
  """Over 40 draws; where nothing differs the stated error may be too large, and not too small."""
  rng = np.random.default_rng(1)
  points = (rng.standard_normal((40, 2, 120, 4)) + np.array([shift, 0])[:, None, None]).astype(np.float32)
  found = np.array([distance(means, *pair) for pair in points])
  ratio = np.sqrt(np.square(found[:, 1]).mean()) / found[:, 0].std()
  assert 0.75 < ratio < (1.33 if shift else 3)
  assert abs(found[:, 0].mean()) < 3 * found[:, 0].std() / 40**0.5 or shift  # unbiased, where a biased one is positive


def test_precision_and_recall_are_torch_fidelitys_and_density_and_coverage_the_formula(given):
  found = jax.jit(neighbourhoods.measure)(*given)
  assert float(found["precision"]) == pytest.approx(THEIRS["statistics"]["precision"], abs=1e-6)
  assert float(found["recall"]) == pytest.approx(THEIRS["statistics"]["recall"], abs=1e-6)
  x, y = (np.asarray(each, np.float64) for each in given)
  radii = np.sort(np.linalg.norm(y[:, None] - y[None], axis=-1))[:, 5]  # the nearest is the point itself
  inside = np.linalg.norm(y[:, None] - x[None], axis=-1) < radii[:, None]
  assert float(found["density"]) == pytest.approx(inside.sum() / (5 * len(x)), abs=1e-6)
  assert float(found["coverage"]) == pytest.approx(inside.any(axis=1).mean(), abs=1e-6)
  assert 0 < THEIRS["statistics"]["recall"] < THEIRS["statistics"]["precision"] < 1


def test_coverage_of_the_data_by_other_examples_is_known():
  """Naeem et al. 2020, eq. 8, of N = M points: 1 - prod of (N - i) / (2 N - i), i = 1 to k; density is 1 (eq. 7)."""
  rng = np.random.default_rng(0)
  points = jnp.asarray(rng.standard_normal((10, 2, 300, 64)), jnp.float32)
  found = jax.jit(jax.vmap(neighbourhoods.measure))(points[:, 0], points[:, 1])
  expected = 1 - np.prod([(300 - i) / (600 - i) for i in range(1, 6)])
  assert np.mean(found["coverage"]) == pytest.approx(expected, abs=0.01)
  assert np.mean(found["density"]) == pytest.approx(1, abs=0.05)


def test_features_that_are_not_finite_have_no_numbers(given):
  broken = jax.jit(neighbourhoods.measure)(given[0].at[3, 3].set(jnp.nan), given[1])
  assert all(np.isnan(value) for value in broken.values())


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp("classifier")


@pytest.fixture(scope="module")
def judged(digits, cache):
  """(columns of every metric of features of a function of the digits, its explanations), compiled once."""
  quality = metrics.build(digits, cache, "images+kid+prdc+frechet")

  @functools.partial(jax.jit, static_argnums=1)
  def statistics(images, count):
    return quality.measure(lambda i: images[i % len(images)], count, False)

  def columns(images):
    found = statistics(images, 800)
    return {name: x[0] for name, x in quality.finish(jax.tree.map(lambda x: np.asarray(x)[None], found)).items()}

  return columns, quality


def blurred(images):
  """A mean over 3 x 3 pixels."""
  wide = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
  return sum(wide[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 9


def test_data_are_nearest_to_themselves_then_half_of_their_classes_then_blur_and_noise(digits, judged):
  columns, _ = judged
  rng = np.random.default_rng(0)
  order = rng.permutation(1797)[:800]
  images, labels = np.asarray(digits.decode(digits.data.images))[order], np.asarray(digits.data.labels)[order]
  half = np.resize(np.flatnonzero(labels < 5), 800)
  noise = np.clip(images + rng.normal(0, 0.8, images.shape), -1, 1).astype(np.float32)
  same, fewer, blur, noisy = (
    columns(jnp.asarray(x, jnp.float32)) for x in (images, images[half], blurred(images), noise)
  )
  for name in ("classifier/kid", "classifier/frechet"):
    assert same[name] < 0.1 * min(x[name] for x in (fewer, blur, noisy))
  assert abs(same["classifier/kid"]) < 3 * same["classifier/kid_error"]
  assert same["classifier/coverage"] > 0.8
  assert fewer["classifier/recall"] < 0.7 * same["classifier/recall"]  # fewer classes: as good, and less of the data
  assert fewer["classifier/coverage"] < 0.7 * same["classifier/coverage"]
  assert fewer["classifier/precision"] > 0.9
  assert min(fewer["classifier/precision"], fewer["classifier/density"]) > max(
    x[f"classifier/{name}"] for x in (blur, noisy) for name in ("precision", "density")
  )


def test_the_same_features_are_computed_once(digits, judged):
  """Four metrics of one network see each sample once; and they are told apart from those of another network."""
  columns, quality = judged
  network = classifier.network(classifier.train(digits), digits)
  seen = []
  counted = network._replace(see=lambda images: (seen.append(images.shape), network.see(images))[1])
  draw = lambda i: jnp.zeros((len(i), 8, 8, 1))  # noqa: E731
  jax.eval_shape(lambda: networks.look([counted, counted, counted._replace(key="other")], draw, 800))
  assert len(seen) == 2
  jax.eval_shape(lambda: networks.look([counted._replace(costly=True)], draw, 100))
  assert seen[-1][0] == 100  # and not a chunk's 250
  found = columns(digits.decode(digits.data.images[:800]))
  assert found.keys() | set(metrics.OF_NEIGHBOURS) == set(quality.explanations)
  np.testing.assert_allclose(found["classifier/frechet"], found["frechet/distance"], rtol=1e-6)
  assert "800 real" not in quality.explanations["classifier/kid"]
  assert "1,797 real examples" in quality.explanations["classifier/kid"]
  assert "accurate on held-out" in quality.notes["kid_features"]


def test_half_copies_and_half_new_images_are_told_from_all_new_ones(digits, cache):
  """Held-out digits are as far from the training ones as the data say; of copies the median is 0."""
  train, other = (jax.tree.map(lambda x, s=s: x[s], digits.data) for s in (slice(0, 1200), slice(1200, None)))
  quality = metrics.build(digits._replace(data=train, reference=other), cache, "memorisation")
  new, copies = (digits.decode(x.images) for x in (other, train))
  mixed = jnp.concatenate([new[:200], copies[:400]])
  measure = jax.jit(lambda images: quality.measure(lambda i: images[i], 597, False))
  found = {n: quality.finish(np.asarray(measure(x))[None]) for n, x in {"new": new, "mixed": mixed}.items()}
  assert found["new"]["classifier/nearest_real"] == pytest.approx(1, abs=1e-3)
  assert found["mixed"]["classifier/nearest_real"] == 0


def test_features_of_real_examples_are_kept_until_their_file_is_damaged(digits, tmp_path):
  """Of a costly network: by the digest of the data and the network."""
  calls = []

  def see(images):
    calls.append(len(images))
    return networks.Seen(images.reshape(len(images), -1), images.reshape(len(images), -1))

  costly = networks.Network("costly", "key", 64, see, "")
  first = networks.real_features(costly, digits, tmp_path, 300)
  again = networks.real_features(costly, digits, tmp_path, 300)
  assert len(calls) == 1
  np.testing.assert_array_equal(first, again)
  networks.real_features(costly._replace(key="other"), digits, tmp_path, 300)
  networks.real_features(costly, digits, tmp_path, 200)
  assert len(calls) == 3
  for file in tmp_path.glob("*.npz"):
    file.write_bytes(file.read_bytes()[:1000])
  np.testing.assert_array_equal(networks.real_features(costly, digits, tmp_path, 300), first)
  assert len(calls) == 4


def test_what_cannot_be_measured_is_refused(digits, cache):
  few = digits._replace(data=jax.tree.map(lambda x: x[:5], digits.data))
  with pytest.raises(BadInput, match="expected at least 6 images, for metric 'prdc', got 5"):
    metrics.check("mine", few, "prdc")
  with pytest.raises(BadInput, match="'reference' of metric 'prdc' expected a whole number of at least 6, got 5"):
    metrics.METRICS["prdc"].complete({"reference": 5})
  with pytest.raises(BadInput, match="expected images, for metric 'kid', got points"):
    metrics.check("ring", data.load("ring"), "kid")
  with pytest.raises(BadInput, match=r"more than 64 real examples.*kid can be computed of any number"):
    metrics.build(digits, cache, "frechet", {"frechet": {"reference": 64}})
  with pytest.raises(BadInput, match=r"more than 64 real examples.*kid can be computed of any number"):
    metrics.ready(digits, "frechet", {"frechet": {"reference": 64}})
  with pytest.raises(
    BadInput, match=r"'evaluation_samples' expected at least 65, for metric 'frechet'.*got 64; metric kid"
  ):
    metrics.check("digits", digits, "kid+frechet", {}, 64)
  with pytest.raises(BadInput, match=r"'evaluation_samples' expected at least 1,281, for metric 'frechet'.*got 500"):
    metrics.check("digits", digits, "frechet", {"frechet": {"features": "lite0"}}, 500)
  metrics.check("digits", digits, "kid+prdc", {"kid": {"features": "lite0"}}, 100)
  with pytest.raises(BadInput, match="features"):
    metrics.build(digits, cache, "kid", {"kid": {"features": "vgg"}})
