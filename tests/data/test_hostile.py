"""Files that are damaged, lie about their size or hold code: each is refused by its name, and little of it is unpacked."""

import gzip
import hashlib
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from experiments.faults.files import BOMBS, FILES, padded, png
from gan_jax import data
from gan_jax.core import homes
from gan_jax.core.errors import BadInput
from gan_jax.data import cifar, idx, pictures, sources


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path / "place" / "fetched"))
  (tmp_path / "place").mkdir()
  monkeypatch.chdir(tmp_path)


def refused(folder, make):
  """The message with which a file is refused, and the most memory that was taken."""
  bad = make(folder)
  tracemalloc.start()
  try:
    with pytest.raises(BadInput) as caught:
      data.load(bad.dataset, **bad.options)
    return str(caught.value), bad.file, tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_with_a_file_is_one_sentence_that_names_it(name, tmp_path):
  said, file, _ = refused(tmp_path / "place", FILES[name])
  assert said.startswith(str(file))
  assert "\n" not in said
  assert "expected" in said
  assert {path.name for path in tmp_path.iterdir()} <= {"place", "cache"}
  assert not (tmp_path / "place" / "ran").exists()


@pytest.mark.parametrize("name", BOMBS)
def test_of_a_bomb_no_more_is_unpacked_than_the_most_that_is_allowed(name, tmp_path):
  said, file, most = refused(tmp_path / "place", BOMBS[name])
  assert said.startswith(str(file))
  assert "\n" not in said
  assert most < 2 * max(cifar.LIMIT, sources.LIMIT) if name == "a tar.gz bomb" else most < 2**23


def test_a_tar_whose_names_are_longer_than_itself_is_not_unpacked(tmp_path, monkeypatch):
  """A header of GNU tar: the next name has 2^28 bytes, which tarfile would read whole."""
  monkeypatch.setattr(cifar, "LIMIT", 2**20)
  member = tarfile.TarInfo("././@LongLink")
  member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2**24
  path = tmp_path / "cifar.tar.gz"
  path.write_bytes(gzip.compress(member.tobuf() + bytes(2**24)))
  tracemalloc.start()
  with pytest.raises(BadInput, match=r"cifar.tar.gz, unpacked: expected at most 1,048,576 bytes, got more"):
    data.load("cifar10", path=str(path))
  most = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert most < 2**22


def test_pictures_are_as_large_as_is_said_and_no_larger(monkeypatch):
  """Also where somebody has lifted Pillow's own limit."""
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
  rules = pictures.Rules(None, "lanczos", "auto", "refuse")
  with pytest.raises(BadInput, match=r"x: expected at most 134,217,728 pixels, got 50,000 x 50,000"):
    pictures.read(png(50_000, 50_000), "x", rules)
  assert pictures.read(png(4, 4), "x", rules).shape == (4, 4, 1)


def test_what_was_fetched_is_read_only_if_it_is_what_was_published(tmp_path, monkeypatch):
  """The same files under their own digests are read: it is the digest that is refused."""
  FILES["another sha256"](tmp_path / "place")
  home = homes.HOMES["mnist"]
  place = tmp_path / "place" / "fetched" / "mnist"
  own = tuple(f._replace(sha256=hashlib.sha256((place / f.name).read_bytes()).hexdigest()) for f in home.files)
  monkeypatch.setitem(homes.HOMES, "mnist", home._replace(files=own))
  assert data.load("mnist").data.images.shape == (80, 8, 8, 1)


def test_the_padded_file_is_a_gzip_file():
  content = padded(b"abc", 1000)
  assert (len(content), gzip.decompress(content)) == (1000, b"abc")


def test_the_limits_leave_room_for_what_is_published():
  assert cifar.LIMIT > 1.1 * 50_000 * 3_073 + 10_000 * 3_073
  assert idx.LIMIT > 814_255 * 784  # EMNIST by class
  assert np.prod([12_000, 9_000]) < pictures.MOST_PIXELS  # what telephones take
