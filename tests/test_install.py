"""The package as `pip install .` lays it: a wheel, installed in an environment of its own, called from an empty folder.

The environment sees this one's dependencies through a .pth file (whose own .pth files are not followed, so that an
editable install of this repository is not found), and nothing is fetched.
"""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_jax import commands, runs
from gan_jax.runner import manifest
from tests.conftest import NOTEBOOKS, ROOT

SMALL = [
  "--config.model_options.generator_width=8",
  "--config.model_options.discriminator_width=8",
  "--config.model_options.depth=1",
  "--config.batch_size=16",
]


def run(*command: object, **options) -> subprocess.CompletedProcess:
  return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
  folder = tmp_path_factory.mktemp("wheel")
  flags = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
  done = run(sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", folder, ROOT)
  assert done.returncode == 0, done.stderr
  (found,) = folder.glob("*.whl")
  return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Iterator[Path]:
  """A virtual environment with the wheel; its `bin` has the console command."""
  folder = tmp_path_factory.mktemp("environment")
  done = run(sys.executable, "-m", "venv", "--without-pip", folder)
  assert done.returncode == 0, done.stderr
  flags = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
  done = run(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", *flags, wheel)
  assert done.returncode == 0, done.stderr
  (packages,) = folder.glob("lib/python*/site-packages")
  paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
  (packages / "dependencies.pth").write_text("\n".join(paths))
  for path in sorted(packages.rglob("*"), reverse=True):
    path.chmod(0o555 if path.is_dir() else 0o444)
  yield folder
  for path in packages.rglob("*"):
    if path.is_dir():
      path.chmod(0o755)  # so that pytest can remove it


@pytest.fixture
def call(environment, tmp_path):
  """`gan-jax` in an empty folder, in a process that knows nothing of this repository."""
  (tmp_path / "empty").mkdir()
  known = {"XLA_FLAGS": os.environ["XLA_FLAGS"], "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
  bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **known}

  def called(*arguments: str, program: str = "gan-jax") -> subprocess.CompletedProcess:
    return run(environment / "bin" / program, *arguments, cwd=tmp_path / "empty", env=bare)

  return called


def test_a_wheel_has_one_package_with_all_that_is_needed(wheel):
  with zipfile.ZipFile(wheel) as file:
    names = file.namelist()
  assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"gan_jax"}
  there = [
    f"gan_jax/{p.relative_to(ROOT).as_posix()}"
    for top in ("experiments", "configs")
    for p in (ROOT / top).rglob("*.py")
    if NOTEBOOKS not in p.parents
  ]
  there += [p.relative_to(ROOT).as_posix() for p in (ROOT / "gan_jax").rglob("*.py")]
  assert {name for name in names if name.endswith(".py")} == set(there)
  assert {"gan_jax/py.typed", "gan_jax/report/page.html"} <= set(names)


def test_an_editable_install_is_one_line_that_names_this_folder(tmp_path):
  """No copies of scripts or configs beside it, which would grow old."""
  done = run(
    sys.executable, "-c", "import sys, hatchling.build as b; b.build_editable(sys.argv[1])", tmp_path, cwd=ROOT
  )
  assert done.returncode == 0, done.stderr
  with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as file:
    assert [name for name in file.namelist() if ".dist-info/" not in name] == ["_gan_jax.pth"]
    assert file.read("_gan_jax.pth").decode().split() == [str(ROOT)]


def test_the_command_knows_what_launch_sh_knows(call):
  done = call("help")
  assert done.returncode == 0, done.stderr
  assert done.stdout == commands.usage()
  done = call("trian")
  assert (done.returncode, done.stdout) == (2, "")
  assert (
    done.stderr
    == f"error: unknown command 'trian'; did you mean 'train'? known: help {' '.join(commands.commands())}\n"
  )
  done = call("train", "--help")
  assert done.stdout.startswith("usage: gan-jax train [-h]")


def test_losses_are_printed(call):
  done = call("losses")
  assert done.returncode == 0, done.stderr
  assert "non_saturating" in done.stdout
  assert len(done.stdout.splitlines()) > 45


def test_a_config_that_came_with_it_is_trained_and_written_here(call, environment, tmp_path):
  done = call("train", "ring", "--config.steps=2", "--config.evaluation_samples=100", *SMALL)
  assert done.returncode == 0, done.stderr
  (study,) = (tmp_path / "empty" / "runs").iterdir()
  assert study.name.startswith("ring-")
  assert (study / "report.html").stat().st_size > 10_000
  written = runs.read_manifest(study)
  assert "ring of eight Gaussians" in written["description"]
  assert written["commit"] is None  # no checkout's
  assert written["source"] == manifest.source()  # the same code as here
  (packages,) = environment.glob("lib/python*/site-packages")
  code = "import gan_jax, sys; print(gan_jax.__file__, 'jax' in sys.modules)"
  assert call("-c", code, program="python").stdout.split() == [str(packages / "gan_jax" / "__init__.py"), "False"]


def test_every_script_can_be_imported_from_within_the_package(call):
  """As gan_jax.experiments: a script that imports another as `experiments` is found here."""
  code = """
import importlib, pkgutil
import gan_jax.experiments as scripts
for module in pkgutil.walk_packages(scripts.__path__, scripts.__name__ + "."):
  try:
    importlib.import_module(module.name)
  except ModuleNotFoundError as error:
    if error.name != "torch":  # an extra, which the networks of the benchmark's peer need
      raise
  print(module.name)
"""
  done = call("-c", code, program="python")
  assert done.returncode == 0, done.stderr
  assert {"gan_jax.experiments.sweep", "gan_jax.experiments.studies.dirac.study"} <= set(done.stdout.split())
  scripts = [path for path in (ROOT / "experiments").rglob("*.py") if NOTEBOOKS not in path.parents]
  assert len(done.stdout.split()) == len(scripts) - 1
