"""Datasets against what is known of them, and the order of the data against what a random permutation does."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data
from gan_jax.core import types
from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Entry
from gan_jax.data import built, order
from gan_jax.data.dataset import decode_bytes
from gan_jax.data.order import held_out_index, scattered, split_sizes, training_index
from gan_jax.data.shares import spread_labels

# Those that need no files: the others are held to files that are written for the purpose, in the files beside this one.
EMBEDDED = [name for name, entry in data.DATASETS.items() if not {"path", "data_dir"} & set(entry.options)]
KNOWN = {  # (examples, labels that occur) of each; a new dataset needs a row
  "digits": (1797, range(10)),
  "digits_ten": (200, range(10)),
  "digits_two": (361, built.TWO),
  "grid": (100_000, range(25)),
  "line": (100_000, range(1)),
  "ring": (100_000, range(8)),
  "ring_far": (100_000, range(8)),
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_what_a_dataset_promises(name):
  assert name in KNOWN, f"add to KNOWN the examples and labels of dataset {name!r}"
  dataset = data.load(name)
  images, labels = dataset.data
  assert images.shape == (KNOWN[name][0], *dataset.image_shape)
  assert labels.shape == (len(images),)
  assert labels.dtype == jnp.int32
  assert set(np.unique(labels)) == set(KNOWN[name][1]) <= set(range(dataset.num_classes))
  batch = jax.jit(dataset.decode)(images[:100])
  assert batch.dtype == jnp.float32
  assert images.dtype == {"images": jnp.uint8, "points": jnp.float32}[dataset.kind]
  assert (dataset.modes is None) == (dataset.std is None)
  assert (dataset.kind == "points") == (dataset.modes is not None or dataset.line is not None)


def test_digits_are_all_there_and_decode_exactly():
  dataset = data.load("digits")
  assert dataset.data.images.shape == (1797, 8, 8, 1)
  # The class counts of the UCI test set, as scikit-learn's documentation gives them.
  assert np.bincount(dataset.data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
  levels = jnp.arange(17, dtype=jnp.uint8)
  assert set(np.unique(dataset.data.images)) == set(range(17))
  assert np.asarray(jax.jit(dataset.decode)(levels)).tolist() == [i / 8 - 1 for i in range(17)]


def test_bytes_survive_decoding_and_encoding():
  levels = jnp.arange(256, dtype=jnp.uint8)
  decoded = jax.jit(decode_bytes)(levels)
  assert (float(decoded[0]), float(decoded[-1])) == (-1.0, 1.0)
  np.testing.assert_array_equal(decoded, -decoded[::-1])
  np.testing.assert_array_equal(data.encode_for_view(decoded), levels)
  strange = jnp.array([-7.0, 7.0, jnp.nan, -jnp.inf, jnp.inf])
  assert data.encode_for_view(strange).tolist() == [0, 255, 0, 0, 255]


def test_ring_is_eight_modes_with_equal_gaps():
  modes = data.load("ring").modes
  assert modes.shape == (8, 2)
  np.testing.assert_allclose(np.hypot(*modes.T), 1.0, rtol=1e-6)
  gaps = np.hypot(*(modes - np.roll(modes, 1, axis=0)).T)  # the last to the first too: the linspace trap closes it
  np.testing.assert_allclose(gaps, 2 * np.sin(np.pi / 8), rtol=1e-6)


def test_grid_is_25_modes_of_pitch_two():
  modes = data.load("grid").modes
  assert {tuple(mode) for mode in modes.tolist()} == set(itertools.product((-4.0, -2.0, 0.0, 2.0, 4.0), repeat=2))
  assert modes.shape == (25, 2)


@pytest.mark.parametrize(("name", "std"), [("ring", 0.01), ("grid", 0.05)])
def test_mixtures_are_drawn_around_their_modes(name, std):
  dataset = data.load(name)
  points, labels = np.asarray(dataset.data.images, np.float64), np.asarray(dataset.data.labels)
  assert len(points) == 100_000
  assert dataset.std == std
  counts = np.bincount(labels)
  assert (counts == 100_000 // len(dataset.modes)).all()
  residuals = (points - dataset.modes[labels]) / std
  # Standard errors over 200,000 coordinates: 0.0022 of the mean, 0.0016 of the deviation, 0.022 of the fourth moment.
  assert abs(residuals.mean()) < 0.01
  assert residuals.std() == pytest.approx(1.0, abs=0.008)
  assert (residuals**4).mean() == pytest.approx(3.0, abs=0.12)
  assert abs(np.corrcoef(residuals.T)[0, 1]) < 0.016
  # Each mode by itself, 4,000 points at least: nothing is displaced.
  means = np.stack([residuals[labels == mode].mean(axis=0) for mode in range(len(counts))])
  assert np.abs(means).max() < 5 / np.sqrt(counts.min())
  np.testing.assert_array_equal(points, data.load(name).data.images)


def test_an_unknown_dataset_is_refused_with_the_choices():
  with pytest.raises(BadInput, match="unknown dataset 'digit'; did you mean 'digits'"):
    data.load("digit")


# ---- the order


def orders(size, seeds, epoch=0):
  """[seeds, size]: one epoch of each seed, as one population."""
  return np.asarray(epoch_of_each(size)(jnp.arange(seeds, dtype=jnp.uint32), epoch * size))


@functools.cache  # compiled once per size
def epoch_of_each(size):
  return jax.jit(jax.vmap(lambda seed, first: data.example_indices(seed, first, size, size), in_axes=(0, None)))


def chi_square(counts):
  """(statistic - degrees of freedom) / its standard deviation, for cells that should all be equal."""
  counts, freedom = np.asarray(counts, np.float64), np.size(counts) - 1
  return (((counts - counts.mean()) ** 2).sum() / counts.mean() - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1797, 60000])
def test_every_epoch_is_a_permutation(size):
  seeds = np.array([0, 1, 2**32 - 1], np.uint32)
  for epoch in (0, 1, 17):
    indices = epoch_of_each(size)(seeds, epoch * size)
    assert indices.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(size), (3, 1)))


def test_batches_straddle_epochs_and_depend_on_the_position_only():
  size, epochs = 61, 4
  stream = np.asarray(jax.jit(lambda: data.example_indices(5, 0, epochs * size, size))())
  np.testing.assert_array_equal(np.sort(stream.reshape(epochs, size)), np.tile(np.arange(size), (epochs, 1)))
  traced = jax.jit(lambda seed, first: data.example_indices(seed, first, 16, size))
  for first in (0, 7, 50, 60, 61, 200):
    np.testing.assert_array_equal(traced(jnp.int32(5), jnp.int32(first)), stream[first : first + 16])
  many = np.asarray(jax.jit(lambda: data.example_indices(5, 3, 200, 7))())  # a batch of 28 epochs
  np.testing.assert_array_equal(
    np.sort(many[4:195].reshape(-1, 191)[:, : 27 * 7].reshape(27, 7)), [list(range(7))] * 27
  )


def test_a_population_of_seeds_equals_its_members():
  together = orders(1797, 12, epoch=3)
  alone = jax.jit(lambda seed: data.example_indices(seed, 3 * 1797, 1797, 1797))
  for seed in range(4):
    np.testing.assert_array_equal(together[seed], alone(seed))


def test_the_last_positions_of_the_count_are_still_examples():
  indices = np.asarray(jax.jit(lambda: data.example_indices(0, 2**32 - 5, 10, 1797))())
  assert ((indices >= 0) & (indices < 1797)).all()


SEEDS = (
  120_000  # with 12 rounds the statistic of the orders of 5 is 15; of even orders it is 0, with standard deviation 1
)


def unevenness(size, places):
  """The chi-square statistic of which examples stand in the first places, over `SEEDS` seeds."""
  first = jax.jit(jax.vmap(lambda seed: data.example_indices(seed, 0, places, size)))
  found = np.asarray(first(jnp.arange(SEEDS, dtype=jnp.uint32)))
  counts = np.bincount(found @ size ** np.arange(places), minlength=size**places)
  possible = [len(set(few)) == places for few in itertools.product(range(size), repeat=places)]
  assert counts[~np.array(possible)].sum() == 0
  return chi_square(counts[possible])


@pytest.mark.parametrize(("size", "places"), [(3, 3), (5, 5), (8, 4), (16, 3), (17, 3)])
def test_all_orders_of_a_few_examples_are_equally_likely(size, places):
  assert abs(unevenness(size, places)) < 5


@pytest.mark.parametrize(("size", "places"), [(5, 5), (8, 4)])
def test_that_statistic_tells_too_few_rounds(size, places, monkeypatch):
  monkeypatch.setattr(order, "ROUNDS_OF_FEW", 12)
  assert unevenness(size, places) > 10


@pytest.mark.parametrize("size", [61, 64])
def test_neighbours_positions_and_cycles_are_those_of_random_permutations(size):
  perms = orders(size, 1000)
  gaps = (perms[:, 1:] - perms[:, :-1]) % size
  assert abs(chi_square(np.bincount(gaps.ravel(), minlength=size)[1:])) < 5  # which example follows which
  where = np.zeros((size, size))
  np.add.at(where, (np.broadcast_to(np.arange(size), perms.shape), perms), 1)
  assert abs(chi_square(where)) < 5  # which example stands where
  # A random permutation of n has 1 fixed point and H_n cycles in the mean, with variances 1 and H_n - H_n^(2).
  harmonic, squares = (sum(1 / i**power for i in range(1, size + 1)) for power in (1, 2))
  assert (perms == np.arange(size)).sum(axis=1).mean() == pytest.approx(1.0, abs=5 * (1 / 1000) ** 0.5)
  cycles = np.mean([count_cycles(perm) for perm in perms])
  assert cycles == pytest.approx(harmonic, abs=5 * ((harmonic - squares) / 1000) ** 0.5)


def count_cycles(perm):
  seen, cycles = np.zeros(len(perm), bool), 0
  for start in range(len(perm)):
    if not seen[start]:
      cycles += 1
      while not seen[start]:
        seen[start], start = True, perm[start]
  return cycles


def test_position_does_not_predict_the_example():
  for size, seeds in ((1797, 50), (60_000, 8)):
    correlations = [np.corrcoef(np.arange(size), perm)[0, 1] for perm in orders(size, seeds)]
    assert max(np.abs(correlations)) < 5 / np.sqrt(size)
    assert abs(np.mean(correlations)) < 5 / np.sqrt(size * seeds)


def test_epochs_and_seeds_share_no_order():
  """Two random orders agree in one position in the mean; no seed's epochs may be another's, shifted."""
  size = 1797
  perms = np.concatenate([orders(size, 12, epoch) for epoch in range(5)])
  agreements = [(a == b).sum() for a, b in itertools.combinations(perms, 2)]
  assert max(agreements) < 12  # Poisson(1) over 1,770 pairs: beyond 11 with probability 1e-6
  assert np.mean(agreements) == pytest.approx(1.0, abs=5 / np.sqrt(len(agreements)))
  starts = jax.jit(
    jax.vmap(jax.vmap(lambda s, e: data.example_indices(s, e * 60_000, 4, 60_000), (0, None)), (None, 0))
  )
  counter = jnp.arange(128, dtype=jnp.uint32)
  assert len({tuple(start) for start in np.asarray(starts(counter, counter)).reshape(-1, 4)}) == 128 * 128


@pytest.mark.parametrize(("batch_size", "size", "named"), [(0, 5, "batch_size"), (4, 0, "size"), (4, 2**31, "size")])
def test_sizes_out_of_range_are_refused(batch_size, size, named):
  with pytest.raises(ValueError, match=f"^{named}: expected"):
    data.example_indices(0, 0, batch_size, size)


@pytest.mark.parametrize("count", [1, 7, 250, 500, 2000])
@pytest.mark.parametrize("shares", [(1,) * 10, (0, 50, 0, 50), (916, *[9] * 9), (3,)])
def test_spread_labels_have_the_shares_of_the_data(shares, count):
  """Of the first n, for every n, each class has its share to within a few: log2(n) bounds what Weyl's sequence is off by."""
  labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(shares)), shares))
  found = np.eye(len(shares))[spread_labels(labels, count)].cumsum(axis=0)
  expected = np.arange(1, count + 1)[:, None] * np.asarray(shares) / sum(shares)
  assert np.abs(found - expected).max() <= 1 + np.log2(count) / 2
  assert not found[:, np.asarray(shares) == 0].any()
  np.testing.assert_array_equal(spread_labels(np.sort(labels), count), spread_labels(labels, count))


@pytest.mark.parametrize("hold_out", [2, 5, 10])
@pytest.mark.parametrize("stored", ["sorted", "in turn"])
def test_what_is_held_out_is_a_sample_of_the_data_however_they_are_stored(stored, hold_out):
  """1,000 examples of ten classes: each class's share of the held-out ones is within five deviations of a draw at random."""
  labels = np.arange(1000) // 100 if stored == "sorted" else np.arange(1000) % 10
  trained, held = split_sizes(1000, hold_out)
  apart = np.asarray(held_out_index(jnp.arange(held), hold_out, 1000))
  learnt = np.asarray(training_index(jnp.arange(trained), hold_out, 1000))
  assert sorted([*apart, *learnt]) == list(range(1000))
  deviation = np.sqrt(held * 0.1 * 0.9 * (1 - 1 / hold_out))
  assert np.abs(np.bincount(labels[apart], minlength=10) - held / 10).max() < 5 * deviation


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_the_scattered_order_is_a_permutation(size):
  assert sorted(np.asarray(scattered(jnp.arange(size), size))) == list(range(size))


SOUND = data.Dataset(
  types.Data(jnp.zeros((5, 2, 3, 1), jnp.uint8), jnp.arange(5, dtype=jnp.int32)), decode_bytes, (2, 3, 1), 5, "images"
)
POINTS = data.Dataset(types.Data(jnp.full((5, 2), 100.0), jnp.zeros(5, jnp.int32)), lambda x: x, (2,), 1, "points")


def stored(dataset, images=None, labels=None):
  images = dataset.data.images if images is None else images
  return dataset._replace(data=types.Data(images, dataset.data.labels if labels is None else labels))


PIXELS = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 2, 3, 1)
UNSOUND = {
  "pixels as stored": (
    SOUND._replace(decode=lambda x: x.astype(jnp.float32) + 255),
    "in [-1, 1] after decoding, got values from 255 to 255",
  ),
  "0 to 255": (stored(SOUND._replace(decode=lambda x: x), 127.5 * (PIXELS + 1)), "got values from 0 to 255"),
  "just beyond": (stored(SOUND._replace(decode=lambda x: x), 1.001 * PIXELS), "got values from -1.001 to 1.001"),
  "NaN": (stored(SOUND._replace(decode=lambda x: x), np.where(PIXELS > 0.9, np.nan, PIXELS)), "finite values after"),
  "infinite points": (stored(POINTS, jnp.array([[0, jnp.inf]] * 5)), "finite values after decoding"),
  "NaN in points": (stored(POINTS, jnp.array([[0, jnp.nan]] * 5)), "finite values after decoding"),
  "bytes not decoded": (SOUND._replace(decode=lambda x: x), "shape (2, 3, 1) in float32, got (2, 3, 1) in uint8"),
  "another shape": (SOUND._replace(image_shape=(3, 2, 1)), "shape (3, 2, 1) in float32, got (2, 3, 1) in float32"),
  "no channels": (stored(SOUND, jnp.zeros((5, 2, 3), jnp.uint8)), "got (2, 3) in float32"),
  "empty": (stored(SOUND, jnp.zeros((0, 2, 3, 1), jnp.uint8), jnp.zeros(0, jnp.int32)), "at least one example"),
  "a list": (stored(SOUND, labels=[0, 1, 2, 3, 4]), "an array of labels, got list"),
  "labels as floats": (stored(SOUND, labels=jnp.zeros(5)), "5 labels, whole numbers, got float32"),
  "one label too few": (
    stored(SOUND, labels=jnp.zeros(4, jnp.int32)),
    "5 labels, whole numbers, got int32 of shape [4]",
  ),
  "one-hot labels": (stored(SOUND, labels=jnp.eye(5, dtype=jnp.int32)), "got int32 of shape [5, 5]"),
  "a label too many": (SOUND._replace(num_classes=4), "labels from 0 to 3, got labels from 0 to 4"),
  "a negative label": (stored(SOUND, labels=jnp.arange(5) - 1), "labels from 0 to 4, got labels from -1 to 3"),
  "no classes": (SOUND._replace(num_classes=0), "at least one class"),
  "another kind": (SOUND._replace(kind="pictures"), "kind 'images' of shape (H, W, C) or 'points'"),
}


def mine(dataset):
  return Entry("dataset", "mine", lambda: dataset, {}, "")


@pytest.mark.parametrize(("dataset", "words"), UNSOUND.values(), ids=UNSOUND)
def test_every_loader_is_held_to_what_a_dataset_is(dataset, words, monkeypatch):
  monkeypatch.setitem(data.DATASETS, "mine", mine(dataset))
  with pytest.raises(BadInput, match=r"^dataset 'mine' expected ") as caught:
    data.load("mine")
  assert words in str(caught.value)


def test_sound_data_pass_as_they_are(monkeypatch):
  """Also where the last of the decoded chunks is short, and where rounding leaves the range by a unit in the last place."""
  many = stored(SOUND, jnp.zeros((9001, 2, 3, 1), jnp.uint8), jnp.zeros(9001, jnp.int32))
  rounded = stored(SOUND._replace(decode=lambda x: x), np.nextafter(np.float32(1), np.float32(2)) * PIXELS)
  for dataset in (SOUND, POINTS, many, rounded):
    monkeypatch.setitem(data.DATASETS, "mine", mine(dataset))
    assert data.load("mine") is dataset
  wrong = stored(many, many.data.images.at[-1, 0, 0, 0].set(3))._replace(decode=lambda x: x.astype(jnp.float32))
  monkeypatch.setitem(data.DATASETS, "mine", mine(wrong))
  with pytest.raises(BadInput, match="got values from 0 to 3"):
    data.load("mine")
