"""IDX files: what is sound is read exactly; each way of being unsound is refused by the file's name and the fault."""

import gzip
import hashlib
import os
import struct
import tracemalloc

import numpy as np
import pytest

from gan_jax import data, game, settings
from gan_jax.core.errors import BadInput
from gan_jax.data.idx import read_idx
from gan_jax.runner import grouping
from tests.conftest import SHARED

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 28, 28)).astype(np.uint8)
LABELS = np.array([3, 0, 9, 9, 1, 4], np.uint8)
MNIST = SHARED / "mnist"


def idx(array, magic=None):
  head = 0x0800 + array.ndim if magic is None else magic
  return struct.pack(f">{1 + array.ndim}I", head, *array.shape) + array.tobytes()


def write_set(folder, name="train", images=IMAGES, labels=LABELS, compress=False):
  for stem, array in ((f"{name}-images-idx3-ubyte", images), (f"{name}-labels-idx1-ubyte", labels)):
    if compress:
      (folder / f"{stem}.gz").write_bytes(gzip.compress(idx(array)))
    else:
      (folder / stem).write_bytes(idx(array))


@pytest.mark.parametrize("compress", [False, True])
def test_mnist_reads_what_was_written(tmp_path, compress):
  write_set(tmp_path, compress=compress)
  dataset = data.load("mnist", data_dir=str(tmp_path))
  np.testing.assert_array_equal(dataset.data.images[..., 0], IMAGES)
  np.testing.assert_array_equal(dataset.data.labels, LABELS)
  assert dataset.data.images.dtype == np.uint8
  assert dataset.data.labels.dtype == np.int32
  assert (dataset.image_shape, dataset.num_classes, dataset.kind) == ((28, 28, 1), 10, "images")
  np.testing.assert_allclose(dataset.decode(dataset.data.images)[..., 0], IMAGES / 127.5 - 1, atol=1e-6)


def test_the_training_set_is_preferred_to_the_test_set(tmp_path):
  write_set(tmp_path, "t10k", IMAGES[:2], LABELS[:2])
  assert len(data.load("mnist", data_dir=str(tmp_path)).data.labels) == 2
  write_set(tmp_path, "train")
  assert len(data.load("mnist", data_dir=str(tmp_path)).data.labels) == 6


def test_compression_is_told_by_content_not_by_name(tmp_path):
  path = tmp_path / "labels.gz"
  path.write_bytes(idx(LABELS))
  np.testing.assert_array_equal(read_idx(path, (None,)), LABELS)


SOUND = idx(IMAGES)
PACKED = gzip.compress(SOUND)
UNSOUND = {
  "empty": (b"", "an empty file"),
  "empty gzip": (gzip.compress(b""), "an empty file"),
  "html": (b"\n<!DOCTYPE html><html>404</html>", "HTML page"),
  "labels for images": (idx(LABELS), "0x00000803, got a file that begins with 00 00 08 01"),
  "floats": (idx(IMAGES, magic=0x0D03), "begins with 00 00 0d 03"),
  "little-endian": (struct.pack("<4I", 0x0803, *IMAGES.shape) + IMAGES.tobytes(), "begins with 03 08 00 00"),
  "half a header": (SOUND[:10], "header of 16 bytes, got 10"),
  "one byte short": (SOUND[:-1], "expected 4704 bytes after the header .* got 4703"),
  "one byte long": (SOUND + b"\0", "got more"),
  "no rows": (idx(IMAGES[:, :0]), "expected an array of N x H x W, got 6 x 0 x 28"),
  "no images": (idx(IMAGES[:0]), "got 0 x 28 x 28"),
  "absurd claim": (struct.pack(">4I", 0x0803, 2**32 - 1, 28, 28), "header that claims"),
  "truncated gzip": (PACKED[:-100], "complete gzip file, got a truncated one"),
  "gzip without its end": (PACKED[:-4], "complete gzip file, got a truncated one"),
  "gzip with another checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "sound gzip file, got a damaged one"),
  "gzip header only": (PACKED[:2], "truncated|damaged"),
  "junk after the gzip": (PACKED + b"junk", "damaged one"),
  "short inside gzip": (gzip.compress(SOUND[:-1]), "got 4703"),
}


@pytest.mark.parametrize(("content", "problem"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_files_are_refused_by_name(tmp_path, content, problem):
  path = tmp_path / "train-images-idx3-ubyte"
  write_set(tmp_path)
  path.write_bytes(content)
  with pytest.raises(BadInput, match=problem) as caught:
    data.load("mnist", data_dir=str(tmp_path))
  assert str(caught.value).startswith(f"{path}: expected ")
  assert "\n" not in str(caught.value)


def test_no_flipped_byte_of_a_gzip_file_is_read_as_other_images(tmp_path):
  path = tmp_path / "images.gz"
  for position in range(0, len(PACKED), 97):
    damaged = bytearray(PACKED)
    damaged[position] ^= 0x10
    path.write_bytes(bytes(damaged))
    try:
      got = read_idx(path, (None, 28, 28))
    except BadInput:
      continue
    np.testing.assert_array_equal(got, IMAGES)  # a byte of the header that means nothing, such as the time


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
  path = tmp_path / "bomb.gz"
  path.write_bytes(gzip.compress(idx(IMAGES) + bytes(64 * 2**20)))
  tracemalloc.start()
  with pytest.raises(BadInput, match="got more"):
    read_idx(path, (None, 28, 28))
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 4 * 2**20


def test_labels_must_match_the_images_and_the_classes(tmp_path):
  write_set(tmp_path, labels=LABELS[:5])
  with pytest.raises(BadInput, match=r"train-labels-idx1-ubyte: expected 6 labels, one per image of .*, got 5"):
    data.load("mnist", data_dir=str(tmp_path))
  write_set(tmp_path, labels=LABELS + 1)
  with pytest.raises(BadInput, match="train-labels-idx1-ubyte: expected labels from 0 to 9, got 10"):
    data.load("mnist", data_dir=str(tmp_path))


def test_missing_files_are_named(tmp_path):
  with pytest.raises(BadInput, match=r"data_dir.*got none"):
    data.load("mnist")
  with pytest.raises(BadInput, match=r"train-images-idx3-ubyte and .*t10k-labels-idx1-ubyte \(or \.gz\), got a folder"):
    data.load("mnist", data_dir=str(tmp_path))
  with pytest.raises(BadInput, match="no such folder"):
    data.load("mnist", data_dir=str(tmp_path / "nowhere"))
  (tmp_path / "~").mkdir()
  with pytest.raises(BadInput, match=r"expected a readable folder, got Could not determine home"):
    data.load("mnist", data_dir="~nobody-of-that-name/x")
  write_set(tmp_path, "t10k")
  (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))  # half a training set is no reason to train on tests
  with pytest.raises(BadInput, match=r"expected train-images-idx3-ubyte or train-images-idx3-ubyte\.gz"):
    data.load("mnist", data_dir=str(tmp_path))


SPELLINGS = [
  ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
  ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
  ("train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte"),
  ("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte.gz"),
  ("t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte.gz"),
  ("emnist-digits-train-images-idx3-ubyte.gz", "emnist-digits-train-labels-idx1-ubyte.gz"),
  ("emnist-mnist-test-images-idx3-ubyte", "emnist-mnist-test-labels-idx1-ubyte"),
]


@pytest.mark.parametrize("names", SPELLINGS, ids=lambda n: n[0])
@pytest.mark.parametrize("inside", [False, True], ids=["", "inside a folder of its name"])
def test_every_spelling_is_read(tmp_path, names, inside):
  for name, array in zip(names, (IMAGES, LABELS), strict=True):
    folder = tmp_path / name if inside else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(gzip.compress(idx(array)) if name.endswith(".gz") else idx(array))
  (tmp_path / "notes.txt").write_text("x")
  dataset = data.load("mnist", data_dir=str(tmp_path))
  np.testing.assert_array_equal(dataset.data.images[..., 0], IMAGES)
  np.testing.assert_array_equal(dataset.data.labels, LABELS)


def test_a_folder_of_the_files_name_beside_the_file_is_no_matter(tmp_path):
  write_set(tmp_path, compress=True)
  for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
    (tmp_path / name).mkdir()
  np.testing.assert_array_equal(data.load("mnist", data_dir=str(tmp_path)).data.images[..., 0], IMAGES)


def test_the_26_letters_are_classes_0_to_25(tmp_path):
  labels = np.array([1, 26, 3, 3, 9, 12], np.uint8)
  write_set(tmp_path, "emnist-letters-train", labels=labels)
  dataset = data.load("mnist", data_dir=str(tmp_path))
  assert dataset.num_classes == 26
  np.testing.assert_array_equal(dataset.data.labels, labels.astype(int) - 1)
  write_set(tmp_path, "emnist-letters-train", labels=labels - 1)
  with pytest.raises(BadInput, match="emnist-letters-train-labels-idx1-ubyte: expected labels from 1 to 26, got 0"):
    data.load("mnist", data_dir=str(tmp_path))
  write_set(tmp_path, "emnist-balanced-train")
  with pytest.raises(
    BadInput, match="expected the files of one data set, got those of emnist-balanced and emnist-lett"
  ):
    data.load("mnist", data_dir=str(tmp_path))


def test_more_classes_under_plain_names_are_believed_where_each_occurs(tmp_path):
  for first in (0, 1):
    labels = np.arange(first, first + 26, dtype=np.uint8)
    write_set(tmp_path, images=IMAGES[[0] * 26], labels=labels)
    dataset = data.load("mnist", data_dir=str(tmp_path))
    assert dataset.num_classes == 26
    assert np.asarray(dataset.data.labels).tolist() == list(range(26))
  write_set(tmp_path, labels=np.array([1, 7, 7, 1, 1, 7], np.uint8))  # two digits of ten
  dataset = data.load("mnist", data_dir=str(tmp_path))
  assert dataset.num_classes == 10
  assert np.asarray(dataset.data.labels).tolist() == [1, 7, 7, 1, 1, 7]


def test_images_need_no_labels_unless_they_are_asked_for_and_no_certain_size(tmp_path):
  (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[:, :12, :20]))
  dataset = data.load("mnist", data_dir=str(tmp_path))
  assert (dataset.image_shape, dataset.num_classes) == ((12, 20, 1), 1)
  assert np.asarray(dataset.data.labels).tolist() == [0] * 6
  config = {"dataset": "mnist", "dataset_options.data_dir": str(tmp_path), "batch_size": 2}
  for conditional in (False, True):
    (group,) = grouping.group([settings.resolve(config, {"conditional": conditional})])
    if conditional:
      with pytest.raises(BadInput, match="conditional=True expected labelled data, got dataset 'mnist' of one class"):
        game.build(group.spec, dataset)
    else:
      assert game.build(group.spec, dataset).image_shape == (12, 20, 1)


def test_a_pipe_is_not_waited_for(tmp_path):
  write_set(tmp_path)
  (tmp_path / "train-images-idx3-ubyte").unlink()
  os.mkfifo(tmp_path / "train-images-idx3-ubyte")
  with pytest.raises(BadInput, match="train-images-idx3-ubyte: expected a readable IDX file, got a pipe or a device"):
    data.load("mnist", data_dir=str(tmp_path))


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
  write_set(tmp_path)
  (tmp_path / "train-images-idx3-ubyte").unlink()
  (tmp_path / "train-images-idx3-ubyte").mkdir()
  with pytest.raises(BadInput, match="train-images-idx3-ubyte: expected a readable IDX file"):
    data.load("mnist", data_dir=str(tmp_path))


@pytest.mark.skipif(
  not MNIST.is_dir(), reason="the real MNIST test set is not beside this checkout (../shared/data/mnist)"
)
def test_the_real_mnist_test_set():
  digests = {
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
  }
  for name, digest in digests.items():
    assert hashlib.md5((MNIST / name).read_bytes()).hexdigest() == digest
  dataset = data.load("mnist", data_dir=str(MNIST))
  assert dataset.data.images.shape == (10_000, 28, 28, 1)
  assert np.bincount(dataset.data.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
  # The mean of the test set's pixels over 255, as is widely used to standardise it: 0.1325.
  assert float(np.asarray(dataset.data.images).mean()) / 255 == pytest.approx(0.1325, abs=5e-4)
