"""Sample quality against closed forms (ground truth 4.1 and 6), and the classifier against data it has not seen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, metrics
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Data
from gan_jax.data.shares import spread_labels
from gan_jax.metrics import classifier, frechet, modes, shares, variety
from gan_jax.metrics.chunks import CHUNK, in_chunks
from gan_jax.report.comparison import QUALITIES


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


def mode_metrics(points, dataset):
  centres = jnp.asarray(dataset.modes)
  return jax.jit(lambda x: modes.mode_metrics(x, centres, dataset.std))(np.asarray(points, np.float32))


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_modes_of_the_data_itself(name):
  """All modes; 1 - exp(-9/2) within three standard deviations; KL about (K - 1) / 2N."""
  dataset = data.load(name)
  points = dataset.data.images[np.random.default_rng(1).choice(100_000, 10_000, replace=False)]
  k = len(dataset.modes)
  found = mode_metrics(points, dataset)
  assert float(found["modes/covered"]) == k
  assert float(found["modes/high_quality"]) == pytest.approx(1 - np.exp(-4.5), abs=0.005)
  assert 0 < float(found["modes/reverse_kl"]) < 4 * (k - 1) / (2 * 10_000)


def test_modes_of_a_generator_that_knows_m_of_k():
  """Reverse KL of m even modes of K is log(K / m)."""
  dataset = data.load("ring")
  for m in (1, 2, 5, 8):
    found = mode_metrics(np.concatenate([np.tile(dataset.modes[:m], (10, 1)), np.full((30, 2), 7.0)]), dataset)
    assert float(found["modes/covered"]) == m
    assert float(found["modes/high_quality"]) == pytest.approx(10 * m / (10 * m + 30))
    assert float(found["modes/reverse_kl"]) == pytest.approx(np.log(8 / m), abs=1e-6)


def test_a_generator_far_from_all_modes_has_no_divergence():
  found = modes.mode_metrics(jnp.full((10, 2), 50.0), jnp.zeros((3, 2)), 0.1)
  assert float(found["modes/covered"]) == 0
  assert np.isnan(float(found["modes/reverse_kl"]))


def test_chunks_join_to_the_whole():
  found = in_chunks(lambda i: (i * 2, jnp.stack([i, -i], 1)), 601)
  np.testing.assert_array_equal(found[0], 2 * np.arange(601))
  assert found[1].shape == (601, 2)


@functools.cache
def compiled(measure, count, near):
  """One program for all generators of a test: what they make is its argument."""
  return jax.jit(lambda made: measure(lambda i: made[i], count, near))


def sample(quality, draw, count, near=True):
  """The columns of one generator."""
  made = draw(jnp.arange(count + CHUNK))  # the last chunk's surplus is drawn too
  found = compiled(quality.measure, count, near)(made)
  return {name: x[0] for name, x in quality.finish(jax.tree.map(lambda x: np.asarray(x)[None], found)).items()}


def of(dataset, chosen=None):
  """A generator that returns the data, or those `chosen`, in turn."""
  images = np.asarray(dataset.data.images)  # indexing by NumPy compiles nothing
  chosen = np.arange(len(images)) if chosen is None else np.asarray(chosen)
  return lambda i: dataset.decode(jnp.asarray(images[chosen[np.asarray(i) % len(chosen)]]))


def stored(dataset, order):
  images, labels = (jnp.asarray(np.asarray(x)[np.asarray(order)]) for x in dataset.data)
  return dataset._replace(data=Data(images, labels))


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  """Of the classifier of `digits`, which is trained once."""
  return tmp_path_factory.mktemp("classifier")


@pytest.fixture(scope="module")
def quality(digits, cache):
  return metrics.build(digits, cache)


@pytest.fixture
def quick(monkeypatch):
  """The classifiers of one test are trained for a fifth of the usual steps: enough for all that is asked of them."""
  monkeypatch.setattr(classifier, "STEPS", 400)


# Of each metric: a dataset that it is for, one that it is not for, and what it says of the data themselves, at 1000 of
# them. A new metric needs a row.
KNOWN = {
  "frechet": ("digits", "ring", {}),
  "inception_score": ("digits", "ring", None),  # needs weights: see test_networks
  "images": ("digits", None, {"classes/present": 10, "samples/spread": 1}),
  "kid": ("digits", "ring", {}),
  "line": ("line", "ring", {"line/wasserstein": 0, "line/mean": 0, "line/variance": 1}),
  "memorisation": ("digits", "ring", {"classifier/nearest_real": 0}),  # all of them are among the training examples
  "mixture": ("ring", "line", {"modes/covered": 8, "modes/high_quality": 1 - np.exp(-4.5), "samples/spread": 1}),
  "stacked_modes": ("digits", "digits", None),  # see test_stacked
  "prdc": ("digits", "ring", {"classifier/precision": 1, "classifier/recall": 1, "classifier/coverage": 1}),
}


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_knows_the_data_and_refuses_what_it_is_not_for(name, cache):
  assert name in KNOWN, f"add to KNOWN what metric {name!r} says of the data themselves"
  suited, unsuited, known = KNOWN[name]
  dataset = data.load(suited)
  if known is not None:
    measured = metrics.build(dataset, cache, name)
    found = sample(measured, of(dataset, np.random.default_rng(0).permutation(len(dataset.data.images))), 1000)
    assert found.keys() == measured.explanations.keys()
    ranking = {quality.metric for quality in QUALITIES} & found.keys()
    assert set(metrics.ranks(dataset, name, {}) or ()) == ranking, "its `ranks` are not what it measures"
    metrics.ready(dataset, name, {})
    for column, value in known.items():
      assert found[column] == pytest.approx(value, abs=0.15), column
  if unsuited:
    with pytest.raises(BadInput, match=f"dataset '{unsuited}' expected .* for metric '{name}'"):
      metrics.check(unsuited, data.load(unsuited), name)


@pytest.mark.usefixtures("quick")
def test_classifier_is_cached_accurate_and_survives_a_damaged_cache(digits, tmp_path):
  first = classifier.load_or_train(digits, tmp_path)
  assert not first.cached
  assert first.accuracy > 0.95
  again = classifier.load_or_train(digits, tmp_path)
  assert again.cached
  assert again.accuracy == first.accuracy
  (file,) = tmp_path.glob("*.npz")
  file.write_bytes(file.read_bytes()[:1000])
  assert not classifier.load_or_train(digits, tmp_path).cached


def test_the_data_are_the_data_and_black_is_not(digits, quality):
  same, black = (sample(quality, draw, 1797) for draw in (of(digits), lambda i: -jnp.ones((len(i), 8, 8, 1))))
  assert same["frechet/distance"] == pytest.approx(0, abs=1e-3)
  assert same["classes/present"] == same["classes/in_data"] == 10
  assert same["classes/entropy"] == pytest.approx(np.log(10), abs=0.01)
  assert same["classes/divergence"] == pytest.approx(0, abs=1e-3)
  assert same["samples/spread"] == pytest.approx(1, abs=0.01)
  assert same["samples/duplicates"] < 0.02
  assert same["samples/nearest_real"] == 0
  assert black["frechet/distance"] > 50
  assert quality.notes["classifier_accuracy"] > 0.95  # of the full training
  assert black["classes/present"] == 1
  assert black["classes/divergence"] == pytest.approx(np.log(10), abs=0.1)
  assert set(same) == set(quality.explanations)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("order", ["sorted", "every fifth of one class"])
def test_the_order_of_the_data_is_not_their_quality(digits, order, tmp_path):
  """The reference is smaller than the data, as it is for large ones: the first of them would be half of the classes."""
  by_class = np.argsort(digits.data.labels, kind="stable")
  if order != "sorted":
    zeros, others = by_class[:178], by_class[178 : 178 + 4 * 178]  # zeros where the held-out ones used to be
    by_class = np.concatenate([zeros[:, None], np.random.default_rng(0).permutation(others).reshape(-1, 4)], 1).ravel()
  dataset = stored(digits, by_class)
  measured = metrics.build(dataset, tmp_path, options={"images": {"reference": 600}})
  assert measured.notes["classifier_accuracy"] > 0.95
  whole, half = (
    sample(measured, of(dataset), 600),
    sample(measured, of(dataset, np.flatnonzero(dataset.data.labels < 2)), 600),
  )
  spread = sample(measured, of(dataset, np.random.default_rng(1).permutation(len(by_class))), 600)
  assert spread["frechet/distance"] < 0.1 * half["frechet/distance"]
  assert half["frechet/distance"] > 20
  if order != "sorted":
    assert whole["frechet/distance"] < 0.1 * half["frechet/distance"]


@pytest.mark.usefixtures("quick")
def test_uneven_data_are_their_own_measure(digits, tmp_path):
  """91.6 % zeros and 0.9 % of each other digit: the data have all ten classes, and those who make only zeros have one."""
  rng = np.random.default_rng(0)
  counts = [1649, *[17] * 9]
  order = [rng.choice(np.flatnonzero(digits.data.labels == k), n) for k, n in enumerate(counts)]
  dataset = stored(digits, np.concatenate(order))
  measured = metrics.build(dataset, tmp_path)
  ready = [jnp.asarray(chosen) for chosen in order]

  def conditional(labels):
    """Perfect: of each class asked for, images of that class."""
    return lambda i: dataset.decode(
      jnp.stack([digits.data.images[chosen[i % len(chosen)]] for chosen in ready])[
        jnp.asarray(labels)[i], jnp.arange(len(i))
      ]
    )

  asked = conditional(spread_labels(np.asarray(dataset.data.labels), 2250))
  same, perfect, even, zeros = (
    sample(measured, draw, 2000)
    for draw in (
      of(dataset, rng.permutation(1802)),
      asked,
      conditional(np.arange(2250) % 10),
      conditional(np.zeros(2250, int)),
    )
  )
  for good in (same, perfect):
    assert good["classes/present"] == good["classes/in_data"] == 10
    assert good["classes/divergence"] < 0.02
    assert good["frechet/distance"] < 0.02 * even["frechet/distance"]
  assert even["classes/divergence"] > 1
  assert zeros["classes/present"] == 1
  assert zeros["frechet/distance"] > 5 * perfect["frechet/distance"]


@pytest.mark.usefixtures("quick")
def test_two_classes_of_ten_are_all_the_classes_there_are(tmp_path):
  dataset = data.load("digits_two")
  measured = metrics.build(dataset, tmp_path)
  same, ones = (sample(measured, of(dataset, x), 361) for x in (None, np.flatnonzero(dataset.data.labels == 1)))
  assert same["classes/present"] == same["classes/in_data"] == 2
  assert same["classes/divergence"] < 5e-3
  assert ones["classes/present"] == 1
  assert ones["classes/divergence"] == pytest.approx(np.log(2), abs=0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("num_classes", [1, 10])
def test_data_of_one_class_are_measured_without_classes(digits, num_classes, tmp_path):
  zeros = np.flatnonzero(digits.data.labels == 0)
  labels = digits.data.labels[zeros] if num_classes == 10 else jnp.zeros(len(zeros), jnp.int32)
  dataset = digits._replace(data=Data(digits.data.images[zeros], labels), num_classes=num_classes)
  measured = metrics.build(dataset, tmp_path)
  same, ones = (
    sample(measured, of(dataset), 178),
    sample(measured, of(digits, np.flatnonzero(digits.data.labels == 1)), 178),
  )
  assert same["frechet/distance"] == pytest.approx(0, abs=1e-3)
  assert ones["frechet/distance"] > 20
  assert same["samples/spread"] == pytest.approx(1, abs=0.01)
  assert not [name for name in same if name.startswith("classes/")]
  assert set(same) == set(measured.explanations)
  assert measured.notes["classifier_accuracy"] > 0.4  # of four ways to mirror an image; zeros look much alike


def test_one_image_of_each_class_has_no_variety(digits, quality):
  """All classes, none of them wider than a point: spread 0, all near-duplicates, all copies of the data."""
  ten = np.unique(digits.data.labels, return_index=True)[1]
  found = sample(quality, of(digits, ten), 2000)
  assert found["classes/present"] == 10
  assert found["samples/spread"] == pytest.approx(0, abs=1e-3)
  assert found["samples/duplicates"] == pytest.approx(1, abs=0.01)
  assert found["samples/nearest_real"] == 0


def test_ten_images_of_one_class_are_near_duplicates(digits, quality):
  """Where the spread within a class sees nothing amiss, the neighbours do."""
  found = sample(quality, of(digits, np.flatnonzero(digits.data.labels == 3)[:10]), 500)
  assert found["samples/spread"] > 0.5
  assert found["samples/duplicates"] == pytest.approx(1, abs=0.01)


def test_duplicates_of_the_data_are_not_the_generators():
  own = np.concatenate([np.zeros(30), np.ones(70)])
  assert variety.copies(own[None], own) == 0
  assert variety.copies(np.zeros((1, 100)), own) == 1
  assert variety.copies(np.concatenate([np.zeros(65), np.ones(35)]), own) == pytest.approx(0.5)
  assert variety.copies(np.zeros((1, 100)), np.zeros(100)) == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("how", ["ten images", "one image"])
def test_data_without_variety_within_a_class_have_no_spread_to_be_relative_to(digits, how, tmp_path):
  """Rounding leaves them a millionth of a spread: relative to that, the data themselves would be at anything from 0 to 1."""
  first = np.unique(digits.data.labels, return_index=True)[1][: 10 if how == "ten images" else 1]
  dataset = stored(digits, np.repeat(first, 500 // len(first)))
  measured = metrics.build(dataset, tmp_path)
  own = sample(measured, of(dataset, np.random.default_rng(0).permutation(500)), 500)
  other = sample(measured, of(digits), 500)
  assert np.isnan(own["samples/spread"])
  assert np.isnan(other["samples/spread"])
  assert own["frechet/distance"] < 1e-3 * other["frechet/distance"]


def test_neighbours_and_spread_by_brute_force():
  rng = np.random.default_rng(0)
  x, y = rng.normal(5, 1, (300, 7)).astype(np.float32), rng.normal(5, 1, (80, 7)).astype(np.float32)
  apart = np.linalg.norm(x[:, None] - y[None], axis=-1)
  np.testing.assert_allclose(variety.nearest(jnp.asarray(x), jnp.asarray(y), False), apart.min(1), rtol=1e-4)
  same = np.linalg.norm(x[:, None] - x[None], axis=-1) + np.diag(np.full(300, np.inf))
  np.testing.assert_allclose(variety.nearest(jnp.asarray(x), jnp.asarray(x), True), same.min(1), rtol=1e-4)
  classes = np.arange(300) % 4  # 0 and 1 are classes, 2 and 3 none
  members = np.eye(4)[classes][:, :2]
  expected = sum(x[classes == k].var(axis=0, ddof=1).sum() * 74 for k in (0, 1)) / 148
  assert float(variety.within(jnp.asarray(x), jnp.asarray(members, jnp.float32))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["digits", "ring", "line"])
def test_without_neighbours_the_rest_is_the_same(name, cache):
  dataset = data.load(name)
  measured = metrics.build(dataset, cache)
  whole, cheap = (sample(measured, of(dataset), 600, near) for near in (True, False))
  left = whole.keys() & set(metrics.OF_NEIGHBOURS)
  assert left >= {"samples/duplicates"}
  assert cheap.keys() == whole.keys() - left
  for column, value in cheap.items():
    np.testing.assert_allclose(value, whole[column], rtol=1e-5, atol=1e-6)


def test_the_distance_of_a_sample_that_is_not_finite_is_no_number():
  y = jnp.ones((5, 2))
  found = np.asarray(variety.nearest(y.at[1].set(jnp.nan).at[3].set(jnp.inf), y, False))
  np.testing.assert_array_equal(np.isfinite(found), [True, False, True, False, True])


def test_shares_against_closed_forms():
  """KL((1/2, 1/2) || (3/4, 1/4)) = log(2) / 2 + ... ; presence counts what could be expected."""
  counts = np.array([75_000, 25_000])
  expected = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
  assert float(shares.divergence(jnp.array([0.5, 0.5]), counts)) == pytest.approx(expected, abs=1e-4)
  rare = np.array([9_960, 30, 10, 0])  # of 1,000 samples 996, 3, 1 and none are expected
  there, due = shares.presence(jnp.array([1.0, 0.0, 0.0, 0.0]), rare, 1000)
  assert (float(there), float(due)) == (1, 2)
  assert np.isfinite(float(shares.divergence(jnp.array([0.0, 0.0, 0.0, 1.0]), rare)))


def test_a_mixture_is_as_wide_as_its_modes(tmp_path):
  """The data have spread 1; eight exact spots have 0, though all are of high quality and every mode is there."""
  ring = data.load("ring")
  measured = metrics.build(ring, tmp_path)
  order = jnp.asarray(np.random.default_rng(0).permutation(len(ring.data.images)))
  known = jnp.asarray(ring.data.images)[order[:10]]  # by heart: of high quality, in most modes, and wide enough
  draws = (of(ring, order), lambda i: jnp.asarray(ring.modes)[i % 8], lambda i: known[i % 10])
  same, spots, ten = (sample(measured, draw, 2000) for draw in draws)
  assert same["samples/duplicates"] < 0.05
  assert spots["samples/duplicates"] == ten["samples/duplicates"] == 1
  assert same["samples/spread"] == pytest.approx(1, abs=0.05)
  assert spots["samples/spread"] == pytest.approx(0, abs=1e-3)
  assert spots["modes/present"] == spots["modes/covered"] == same["modes/in_data"] == 8
  assert same["points/frechet"] < 1e-3
  assert set(same) == set(measured.explanations)


def test_the_share_of_duplicates_among_points_is_how_many_have_a_copy(tmp_path):
  """Of 500 samples half are one point, and half are points of the data that have none."""
  ring = data.load("ring")
  measured = metrics.build(ring, tmp_path)
  some = jnp.asarray(np.random.default_rng(0).permutation(np.asarray(ring.data.images))[:500])
  half = sample(measured, lambda i: some[jnp.where(i % 500 < 250, i % 500, 250)], 500)
  assert half["samples/duplicates"] == pytest.approx(0.5, abs=0.05)


def test_an_uneven_mixture_is_its_own_measure(tmp_path):
  ring = data.load("ring")
  labels = np.repeat(np.arange(8), [5000, *[100] * 7])
  rng = np.random.default_rng(0)
  points = ring.modes[labels] + 0.01 * rng.standard_normal((len(labels), 2))
  order = rng.permutation(len(labels))
  dataset = ring._replace(data=Data(jnp.asarray(points[order], jnp.float32), jnp.asarray(labels[order], jnp.int32)))
  measured = metrics.build(dataset, tmp_path)
  same, even = sample(measured, of(dataset), 2000), sample(measured, of(ring, rng.permutation(100_000)), 2000)
  assert same["modes/reverse_kl"] < 0.02
  assert same["modes/present"] == same["modes/in_data"] == 8
  assert even["modes/reverse_kl"] > 1


@pytest.mark.parametrize("size", [1, 2, 10, 64])
def test_too_few_images_to_judge_by_are_refused(digits, size, tmp_path):
  few = stored(digits, np.arange(size))
  with pytest.raises(BadInput, match=f"dataset 'mine' expected more than 64 images, .*, got {size}; metric kid can"):
    metrics.check("mine", few)
  with pytest.raises(BadInput, match="expected more than 64 images"):
    metrics.build(few, tmp_path)
  metrics.check("mine", stored(digits, np.arange(65)))
  metrics.check("mine", few._replace(reference=digits.data))  # judged by others than those trained on
  with pytest.raises(BadInput, match="`modes` and `std`, or `line`"):
    metrics.check("mine", data.load("ring")._replace(modes=None, std=None))
