"""The cache is this user's alone: what lies in it is run, or decides what is measured."""

import os
import stat

import numpy as np
import pytest

from gan_jax import data
from gan_jax.core import paths
from gan_jax.core.errors import Failure
from gan_jax.metrics import classifier
from gan_jax.runner import devices
from tests.data.test_images import fill, picture


def rights(folder):
  return stat.S_IMODE(folder.stat().st_mode)


@pytest.fixture(autouse=True)
def permissive(monkeypatch, tmp_path):
  """A umask that gives everything to everybody."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
  before = os.umask(0)
  yield
  os.umask(before)


def test_it_is_made_for_one_user_and_wider_rights_are_taken_away(tmp_path):
  folder = paths.private(tmp_path / "above" / "cache")
  assert rights(folder) == 0o700
  folder.chmod(0o777)
  (folder / "kept").write_text("x")
  assert paths.private(folder) == folder
  assert rights(folder) == 0o700
  assert (folder / "kept").read_text() == "x"
  folder.chmod(0o500)  # narrower ones stay
  paths.private(folder)
  assert rights(folder) == 0o500


def test_another_users_is_not_used(tmp_path, monkeypatch):
  theirs = tmp_path / "theirs"
  theirs.mkdir(mode=0o777)
  monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
  with pytest.raises(PermissionError, match="it belongs to user"):
    paths.private(theirs)
  assert rights(theirs) == 0o777


def test_compiled_programs_lie_in_it_and_not_in_another_users(monkeypatch):
  asked = []
  monkeypatch.setattr(devices, "setting", lambda name: None)
  monkeypatch.setattr("jax.config.update", lambda name, value: asked.append((name, value)))
  devices.cache_programs()
  cache = paths.cache_directory()
  assert asked == [("jax_compilation_cache_dir", str(cache / "xla"))]
  assert rights(cache) == rights(cache / "xla") == 0o700
  monkeypatch.setattr(os, "getuid", lambda: cache.stat().st_uid + 1)
  devices.cache_programs()
  assert len(asked) == 1


def test_decoded_pictures_lie_in_it(tmp_path, monkeypatch):
  path = str(fill(tmp_path / "set", {"1.png": picture()}))
  paths.cache_directory().mkdir(parents=True)
  data.load("images", path=path)
  assert rights(paths.cache_directory()) == rights(paths.cache_directory() / "pictures") == 0o700
  monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
  with pytest.raises(Failure, match=r"it belongs to user .*; XDG_CACHE_HOME names another place"):
    data.load("images", path=path)


def test_classifiers_lie_in_it(tmp_path, monkeypatch):
  """None is read from another user's folder, and none is trained for it."""
  monkeypatch.setattr(classifier, "train", None)
  (tmp_path / "cache").mkdir()
  monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
  digits = data.load("digits")
  some = digits._replace(data=digits.data._replace(images=np.asarray(digits.data.images)[:100]))
  with pytest.raises(PermissionError):
    classifier.load_or_train(some, tmp_path / "cache")
