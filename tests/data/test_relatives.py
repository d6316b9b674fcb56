"""The relatives of MNIST under their own names, and stacked MNIST."""

import numpy as np
import pytest

from gan_jax import data
from gan_jax.core.errors import BadInput
from tests.data.test_idx import IMAGES, LABELS, MNIST, RNG, idx, write_set

RELATIVES = ("mnist", "fashion_mnist", "kmnist", "emnist")


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("compress", [False, True])
def test_each_has_its_own_name(tmp_path, name, compress):
  write_set(tmp_path, "t10k", compress=compress)
  found = data.load(name, data_dir=str(tmp_path))
  expected = IMAGES.swapaxes(1, 2) if name == "emnist" else IMAGES
  np.testing.assert_array_equal(found.data.images[..., 0], expected)
  np.testing.assert_array_equal(found.data.labels, LABELS)
  with pytest.raises(BadInput, match=f"^dataset '{name}' expected dataset_options.data_dir"):
    data.load(name)


@pytest.mark.parametrize("name", RELATIVES)
def test_labels_are_not_needed(tmp_path, name):
  (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[:, :8]))
  found = data.load(name, data_dir=str(tmp_path))
  assert found.num_classes == 1
  assert found.image_shape == ((28, 8, 1) if name == "emnist" else (8, 28, 1))


def test_emnist_is_turned_and_its_splits_are_told_apart(tmp_path):
  letters = np.array([1, 26, 3, 3, 9, 12], np.uint8)
  write_set(tmp_path, "emnist-letters-train", labels=letters)
  write_set(tmp_path, "emnist-balanced-train", labels=np.array([46, 0, 1, 2, 3, 4], np.uint8))
  write_set(tmp_path, "emnist-digits-test")
  folder = str(tmp_path)
  found = data.load("emnist", data_dir=folder, split="letters")
  assert (found.num_classes, np.asarray(found.data.labels).tolist()) == (26, (letters.astype(int) - 1).tolist())
  for row in range(28):  # what is stored as a row is seen as a column
    np.testing.assert_array_equal(found.data.images[:, :, row, 0], IMAGES[:, row])
  stored = data.load("emnist", data_dir=folder, split="letters", upright=False)
  np.testing.assert_array_equal(stored.data.images[..., 0], IMAGES)
  assert data.load("emnist", data_dir=folder, split="balanced").num_classes == 47
  assert data.load("emnist", data_dir=folder, split="digits").num_classes == 10
  with pytest.raises(
    BadInput, match=r"expected emnist-byclass-train-images-idx3-ubyte .* got those of emnist-balanced and"
  ):
    data.load("emnist", data_dir=folder, split="byclass")
  with pytest.raises(BadInput, match="expected the files of one data set, got those of "):
    data.load("emnist", data_dir=folder)


def digits(folder):
  """A set of 40 images in which the digit k is known by its brightness, 20 k + 1 to 20 k + 19."""
  labels = np.arange(40, dtype=np.uint8) % 10
  images = (20 * labels[:, None, None] + RNG.integers(1, 20, (40, 28, 28))).astype(np.uint8)
  write_set(folder, images=images, labels=labels)
  return images


def test_stacked_digits_are_three_of_mnist_and_their_number(tmp_path):
  originals = {image.tobytes() for image in digits(tmp_path)}
  found = data.load("stacked_mnist", data_dir=str(tmp_path), count=26_000)
  images, labels = (np.asarray(array) for array in found.data)
  assert (images.shape, found.image_shape, found.num_classes) == ((26_000, 28, 28, 3), (28, 28, 3), 1000)
  seen = images[:, 14, 14].astype(int) // 20  # the digits (a, b, c) of red, green and blue
  np.testing.assert_array_equal(labels, 100 * seen[:, 0] + 10 * seen[:, 1] + seen[:, 2])
  assert {np.ascontiguousarray(image[..., k]).tobytes() for image in images[:500] for k in range(3)} == originals
  # All modes, as often as uniform draws give: chi-square of 999 degrees of freedom, five standard deviations.
  counts = np.bincount(labels, minlength=1000)
  assert counts.min() > 0
  chi = ((counts - 26) ** 2 / 26).sum()
  assert abs(chi - 999) < 5 * np.sqrt(2 * 999)


def test_the_draw_is_the_same_each_time_and_may_have_a_border(tmp_path):
  digits(tmp_path)
  folder = str(tmp_path)
  few, more, wide = (
    data.load("stacked_mnist", data_dir=folder, **options)
    for options in ({"count": 50}, {"count": 90}, {"count": 50, "resolution": 32})
  )
  np.testing.assert_array_equal(more.data.images[:50], few.data.images)
  np.testing.assert_array_equal(few.data.images, data.load("stacked_mnist", data_dir=folder, count=50).data.images)
  np.testing.assert_array_equal(wide.data.images[:, 2:30, 2:30], few.data.images)
  assert int(wide.data.images.astype(int).sum()) == int(few.data.images.astype(int).sum())
  assert wide.image_shape == (32, 32, 3)


def test_stacked_mnist_needs_ten_labelled_digits(tmp_path):
  with pytest.raises(BadInput, match=r"dataset 'stacked_mnist' expected dataset_options.data_dir"):
    data.load("stacked_mnist")
  (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
  with pytest.raises(BadInput, match="expected 28 x 28 images of ten labelled classes, got 28 x 28 of 1"):
    data.load("stacked_mnist", data_dir=str(tmp_path))
  with pytest.raises(BadInput, match="option 'count' of dataset 'stacked_mnist' expected"):
    data.load("stacked_mnist", data_dir=str(tmp_path), count=0)


@pytest.mark.skipif(
  not MNIST.is_dir(), reason="the real MNIST test set is not beside this checkout (../shared/data/mnist)"
)
def test_stacked_mnist_of_the_real_digits():
  found = data.load("stacked_mnist", data_dir=str(MNIST), count=26_000)
  assert len(np.unique(found.data.labels)) == 1000
