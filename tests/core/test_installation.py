"""Names of the configs that come with the package, beside a user's own files."""

from pathlib import Path

import pytest

from gan_jax.core import installation
from tests.conftest import ROOT


@pytest.mark.parametrize("text", ["digits", "digits.py", "configs/digits.py", "configs/digits"])
def test_a_config_that_comes_along_has_a_name(text, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert Path(installation.config(text)) == ROOT / "configs" / "digits.py"


def test_a_folder_of_configs_is_part_of_the_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert Path(installation.config("theory/dirac")) == ROOT / "configs" / "theory" / "dirac.py"


def test_a_file_of_the_users_comes_first_and_a_folder_does_not(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "digits").mkdir()
  assert Path(installation.config("digits")) == ROOT / "configs" / "digits.py"
  (tmp_path / "digits.py").write_text("")
  assert installation.config("digits.py") == "digits.py"
  assert Path(installation.config("digits")) == ROOT / "configs" / "digits.py"


@pytest.mark.parametrize(
  "text", ["", ".", "mine.py", "digits.txt", "../configs/digits.py", "/digits.py", "configs", "x\0y", "y" * 300]
)
def test_what_names_neither_is_left_as_it_is(text, tmp_path, monkeypatch):
  """It is the reader of the file who says what is wrong with it."""
  monkeypatch.chdir(tmp_path)
  assert installation.config(text) == text


def test_experiments_and_configs_lie_beside_the_package_in_a_clone():
  assert installation.folder("experiments") == ROOT / "experiments"
  assert installation.folder("configs") == ROOT / "configs"
