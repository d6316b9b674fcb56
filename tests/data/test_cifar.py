"""CIFAR's published forms, each written here as published, and pickles that are code."""

import io
import os
import pickle
import pickletools
import tarfile

import numpy as np
import pytest

from gan_jax import data
from gan_jax.core.errors import BadInput
from gan_jax.data import cifar
from gan_jax.data.unpickling import loads
from tests.data.test_images import fill, labelled, png

COUNT = 6  # pictures in a file, here
RNG = np.random.default_rng(0)
FILES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
STORED = {name: RNG.integers(0, 256, (COUNT, 3072)).astype(np.uint8) for name in FILES}
LABELS = {name: RNG.integers(0, 10, COUNT).tolist() for name in FILES}


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path_factory):
  """Fewer pictures in each file than published; and none of the user's cache."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
  for name in ("TEN", "HUNDRED"):
    monkeypatch.setattr(cifar, name, getattr(cifar, name)._replace(sizes={"train": COUNT, "test": COUNT}))


def right(names):
  """[N, 32, 32, 3]: the three planes of 1,024 bytes are red, green and blue, row by row (the data set's own page)."""
  rows = np.concatenate([STORED[name] for name in names])
  return np.stack([rows[:, plane * 1024 : (plane + 1) * 1024].reshape(-1, 32, 32) for plane in range(3)], axis=-1)


def batch(name, protocol=2) -> bytes:
  entries = {b"batch_label": b"x", b"labels": LABELS[name], b"data": STORED[name], b"filenames": [b"a.png"] * COUNT}
  return pickle.dumps(entries, protocol=protocol)


def binary(name) -> bytes:
  return np.column_stack([np.array(LABELS[name], np.uint8), STORED[name]]).tobytes()


def tarred(path, files, mode="w:gz"):
  with tarfile.open(path, mode) as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return str(path)


PYTHON = {f"cifar-10-batches-py/{name}": batch(name) for name in FILES}
BINARY = {f"cifar-10-batches-bin/{name}.bin": binary(name) for name in FILES}


@pytest.mark.parametrize("files", [PYTHON, BINARY], ids=["python", "binary"])
@pytest.mark.parametrize("kind", ["tar", "plain tar", "folder", "folder inside"])
def test_every_published_form_is_read(tmp_path, files, kind):
  if kind.endswith("tar"):
    path = tarred(tmp_path / "x.tar.gz", files, "w" if kind == "plain tar" else "w:gz")
  else:
    path = fill(tmp_path / "in", files | {"cifar-10-batches-py/readme.html": b"x"})
    path = path if kind == "folder inside" else f"{path}/{next(iter(files)).partition('/')[0]}"
  for split, names in {"train": FILES[:5], "test": FILES[5:], "all": FILES}.items():
    found = data.load("cifar10", path=path, split=split)
    np.testing.assert_array_equal(found.data.images, right(names))
    assert np.asarray(found.data.labels).tolist() == [label for name in names for label in LABELS[name]]
    assert (found.image_shape, found.num_classes, found.data.images.dtype) == ((32, 32, 3), 10, np.uint8)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_every_protocol_of_pickle_is_read(protocol, module):
  content = batch("test_batch", protocol)
  if protocol < 4:  # there, the name is text that ends a line
    content = content.replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", module.encode())
    assert module.encode() in content
  found = loads(content, "x", ("data", "labels"))
  np.testing.assert_array_equal(found["data"], STORED["test_batch"])
  assert found["labels"].tolist() == LABELS["test_batch"]


def test_the_pickle_of_python_2_is_read():
  """As the published files are: text is bytes, and the names are those of NumPy then."""
  pixels = bytes(range(256)) * 12
  content = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05"
    b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tb\x89T\x00\x0c\x00\x00" + pixels + b"tbU\x06labelsq\x08]q\x09K\x07au."
  )
  assert pickletools.optimize(content)  # it is a pickle
  found = loads(content, "x", ("data", "labels"))
  np.testing.assert_array_equal(found["data"], np.frombuffer(pixels, np.uint8)[None])
  assert found["labels"].tolist() == [7]


class Payload:
  def __reduce__(self):
    return os.system, ("touch ran",)


class Evaluated:
  def __reduce__(self):
    return eval, ("open('ran', 'w')",)


def objects():
  found = np.empty(2, object)
  found[:] = [Payload(), 1]
  return found


CODE = {
  "a function": {"data": Payload()},
  "a builtin": {"data": Evaluated()},
  "inside an object array": {"data": objects()},
  "beside the data": {"data": STORED["test_batch"], "labels": [1], "more": Payload()},
}
NUMBERS = {
  "floats": {"data": np.zeros((COUNT, 3072))},
  "an object array": {"data": np.array([None, "x"], object)},
  "text": {"data": "x"},
  "a structure": {"data": np.zeros(2, [("a", "u1")])},
  "an entry missing": {"label": [1]},
  "no dict": [1, 2],
  "a set": {1, 2},
  "a type": {"data": np.ndarray},
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("stored", (CODE | NUMBERS).values(), ids=(CODE | NUMBERS))
def test_nothing_in_a_pickle_is_run(tmp_path, monkeypatch, protocol, stored):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "test_batch").write_bytes(pickle.dumps(stored, protocol=protocol))
  with pytest.raises(BadInput) as caught:
    data.load("cifar10", path=str(tmp_path), split="test")
  assert str(caught.value).startswith(f"{tmp_path}/test_batch: expected a pickled dict of arrays of whole numbers")
  assert str(caught.value).endswith("; nothing in it was run")
  assert not (tmp_path / "ran").exists()


def test_the_payload_would_have_run(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  pickle.loads(pickle.dumps(CODE["inside an object array"]))
  assert (tmp_path / "ran").exists()


def test_damaged_pickles_are_refused():
  content = batch("test_batch")
  for at in range(400):
    for wrong in (content[:at], content[:at] + bytes([content[at] ^ 0x15]) + content[at + 1 :]):
      try:
        found = loads(wrong, "x", ("data", "labels"))
      except BadInput:
        continue
      assert all(isinstance(array, np.ndarray) for array in found.values())


def test_a_pickle_that_claims_more_than_it_has_reserves_nothing():
  """Bytes of 2^40, and a memo of 2^31 entries. Read in C, the first is a MemoryError, and the second takes 32 GB."""
  for claim in (b"\x80\x04\x8e" + (2**40).to_bytes(8, "little"), b"\x80\x02]r\xff\xff\xff\x7f."):
    with pytest.raises(BadInput, match="; nothing in it was run"):
      loads(claim, "x", ("data",))


def test_the_codes_of_text_are_not_any(tmp_path):
  content = (
    b"\x80\x02}q\x00(X\x04\x00\x00\x00dataq\x01c_codecs\nencode\nq\x02X\x01\x00\x00\x00xX\x04\x00\x00\x00zlib\x86Ru."
  )
  with pytest.raises(BadInput, match="text in the code 'zlib'"):
    loads(content, "x", ("data",))


def wrong(**entries):
  whole = {"data": STORED["test_batch"], "labels": LABELS["test_batch"]} | entries
  return pickle.dumps(whole)


REFUSED = {
  "a file missing": ({k: v for k, v in PYTHON.items() if "_3" not in k}, "all", "expected the file data_batch_3, got "),
  "nothing": ({"readme": b"x"}, "train", "expected the file data_batch_1.bin, got none of its files"),
  "too few pictures": (
    {"test_batch": wrong(data=np.zeros((5, 3072), np.uint8))},
    "test",
    r"shape \[6, 3072\] in uint8, got \[5",
  ),
  "another type": ({"test_batch": wrong(data=np.zeros((6, 3072), int))}, "test", r"got \[6, 3072\] in int64"),
  "too few labels": ({"test_batch": wrong(labels=[1] * 5)}, "test", r"test_batch: expected 6 labels, got \[5\]"),
  "an eleventh class": ({"test_batch": wrong(labels=[10] * 6)}, "test", "expected labels from 0 to 9, got 10 to 10"),
  "a short binary": (
    {"test_batch.bin": b"x" * 18437},
    "test",
    "test_batch.bin: expected 6 records of 3,073 bytes, got 18,437",
  ),
  "an eleventh class in a binary": (
    {"test_batch.bin": b"\x0a" * 6 * 3073},
    "test",
    "expected labels from 0 to 9, got 10",
  ),
}


@pytest.mark.parametrize(("files", "split", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_missing_or_of_another_size_is_named(tmp_path, files, split, words):
  path = fill(tmp_path / "in", files)
  with pytest.raises(BadInput, match=words) as caught:
    data.load("cifar10", path=path, split=split)
  assert str(caught.value).startswith(path)


def test_places_that_are_no_cifar(tmp_path):
  with pytest.raises(BadInput, match=r"dataset 'cifar10' expected dataset_options.path, .* got none"):
    data.load("cifar10")
  with pytest.raises(BadInput, match=r"gone: expected a readable folder or tar.gz, got No such file"):
    data.load("cifar10", path=str(tmp_path / "gone"))
  tarred(tmp_path / "x.tar.gz", PYTHON)
  whole = (tmp_path / "x.tar.gz").read_bytes()
  for content in (b"<html>", whole[: len(whole) // 2], whole[:40] + b"xxxx" + whole[44:]):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(BadInput, match=r"x.tar.gz: expected a whole tar.gz, got a truncated or damaged one"):
      data.load("cifar10", path=str(tmp_path / "x.tar.gz"))


def test_cifar100_has_fine_and_coarse_classes(tmp_path):
  fine, coarse = [3, 99, 50, 0, 1, 2], [0, 19, 7, 7, 7, 7]
  pixels = STORED["test_batch"]
  python = pickle.dumps({"data": pixels, "fine_labels": fine, "coarse_labels": coarse}, protocol=2)
  binary = np.column_stack([np.array(coarse, np.uint8), np.array(fine, np.uint8), pixels]).tobytes()
  for path in (
    tarred(tmp_path / "p.tar.gz", {"cifar-100-python/train": python, "cifar-100-python/meta": b"x"}),
    tarred(tmp_path / "b.tar.gz", {"cifar-100-binary/train.bin": binary}),
  ):
    found = data.load("cifar100", path=path)
    assert (np.asarray(found.data.labels).tolist(), found.num_classes) == (fine, 100)
    np.testing.assert_array_equal(found.data.images, right(["test_batch"]))
    found = data.load("cifar100", path=path, labels="coarse")
    assert (np.asarray(found.data.labels).tolist(), found.num_classes) == (coarse, 20)


def test_a_zip_of_stylegans_tool_is_cifar_if_it_is_lossless_and_whole(tmp_path):
  pictures = {f"00000/img0000000{k}.png": image for k, image in enumerate(right(["test_batch"]))}
  listed = labelled([[name, label] for name, label in zip(pictures, LABELS["test_batch"], strict=True)])
  path = fill(tmp_path / "cifar10.zip", pictures | {"dataset.json": listed})
  found = data.load("cifar10", path=path, split="test")
  np.testing.assert_array_equal(found.data.images, right(["test_batch"]))
  assert (np.asarray(found.data.labels).tolist(), found.num_classes) == (LABELS["test_batch"], 10)
  with pytest.raises(BadInput, match=r"expected \[30, 32, 32, 3\] of 10 classes, got \[6, 32, 32, 3\]"):
    data.load("cifar10", path=path)  # the training set has more pictures
  lossy = fill(tmp_path / "jpeg.zip", {"cat/1.jpg": png(right(["test_batch"])[0])})
  with pytest.raises(BadInput, match=r"got cat/1.jpg, which is not lossless; .* and dataset=images trains on them"):
    data.load("cifar10", path=lossy)
  with pytest.raises(BadInput, match=r"got a zip without dataset.json; such pictures are not CIFAR"):
    data.load("cifar10", path=fill(tmp_path / "bare.zip", pictures))
