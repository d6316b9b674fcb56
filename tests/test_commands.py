"""The console command: which scripts it finds, how it calls them, and how it was called."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import command
from gan_jax import commands
from tests.conftest import ROOT

STUDY = '''"""`launch.sh my_study [--out DIR]`: what it does."""

import sys

from ...sweep import PLACE

if __name__ == "__main__":
  print(__package__, PLACE, sys.argv[1:])
  sys.exit(3)
'''
CALL = """
import pathlib, sys
from gan_jax import commands
from gan_jax.core import installation
installation.PACKAGE = pathlib.Path(sys.argv.pop(1))
commands.main()
"""


def write_scripts(root: Path, package: str) -> None:
  """A command, its study of one's own, and a module that is none."""
  folder = root / package / "studies" / "mine"
  folder.mkdir(parents=True)
  for path in (root / package, folder.parent, folder):
    (path / "__init__.py").write_text("")
  (root / package / "sweep.py").write_text('"""`launch.sh sweep CONFIG`: a study; more."""\n\nPLACE = __file__\n')
  (root / package / "tables.py").write_text('"""No command: `launch.sh tables` is not its first word."""\n')
  (folder / "study.py").write_text(STUDY)
  (folder / "figure.py").write_text('"""`launch.sh figure`: only a study.py of a folder is a command."""\n')


def call(package: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
  env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
  code = [sys.executable, "-c", CALL, str(package), *arguments]
  return subprocess.run(code, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["experiments", "gan_jax/experiments"])
def test_a_new_study_is_a_command_whether_beside_the_package_or_within(package, tmp_path):
  write_scripts(tmp_path, package)
  (tmp_path / "gan_jax").mkdir(exist_ok=True)
  (tmp_path / "gan_jax" / "__init__.py").write_text("")
  done = call(tmp_path / "gan_jax", "help")
  assert done.returncode == 0, done.stderr
  assert "  gan-jax my_study [--out DIR]\n      what it does.\n" in done.stdout
  assert "  gan-jax sweep CONFIG\n      a study; more.\n" in done.stdout
  assert done.stdout.count("  gan-jax ") == 3  # with help
  done = call(tmp_path / "gan_jax", "tables")
  assert (done.returncode, done.stderr) == (2, "error: unknown command 'tables'; known: help my_study sweep\n")
  if package == "experiments":  # within, it is imported as gan_jax.experiments: tests/test_install.py
    done = call(tmp_path / "gan_jax", "my_study", "--out", "x y")
    expected = f"experiments.studies.mine {tmp_path / 'experiments' / 'sweep.py'} ['--out', 'x y']\n"
    assert (done.returncode, done.stdout) == (3, expected), done.stderr


@pytest.mark.parametrize("name", ["trian", "tabels", "", "sweep\nx", "../sweep", "Sweep", "test", "check"])
def test_what_is_no_command_is_one_line(name, monkeypatch, capsys):
  monkeypatch.setattr(sys, "argv", ["gan-jax", name])
  with pytest.raises(SystemExit) as ended:
    commands.main()
  assert ended.value.code == 2
  said = capsys.readouterr()
  assert (said.out, said.err.count("\n")) == ("", 1)
  assert said.err.startswith("error: unknown command '")


def test_what_an_encoding_does_not_have_is_escaped(monkeypatch):
  """A folder of pictures may have a name that the terminal cannot show; that ends no study."""
  for name in ("stdout", "stderr"):
    monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "ascii"))
  command.prepare_streams()
  print("\u6f22.png")
  assert sys.stdout.buffer.getvalue() == b"\\u6f22.png\n"


def test_without_arguments_it_is_the_main_job(monkeypatch):
  called = []
  monkeypatch.setattr(commands, "run", lambda command, arguments: called.append((command.name, arguments)))
  monkeypatch.setattr(sys, "argv", ["gan-jax"])
  commands.main()
  assert called == [("sweep", ["compare_losses"])]


def test_a_usage_says_what_was_typed():
  code = "import sys; from gan_jax import commands; commands.main()"
  for typed, options in (("gan-jax", {}), ("../launch.sh", {"GAN_JAX_TYPED": "../launch.sh"})):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **options}
    done = subprocess.run([sys.executable, "-c", code, "train"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the following arguments are required: config; ")
    assert f"usage: {typed} train [-h]" in done.stderr


def test_a_reader_who_has_seen_enough_of_help_is_no_fault():
  call = f"{sys.executable} -c 'import gan_jax.commands as c; c.main()' help | true; echo ${{PIPESTATUS[0]}}"
  done = subprocess.run(["bash", "-c", call], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.stderr == ""
  assert done.stdout in ("141\n", "0\n")  # whichever of the two was first
