"""The house keeps its order: who may import whom, what starts without jax, and what the README says can be done."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax import data, game, population, runs, settings, study, sweeps
from gan_jax.metrics import Quality
from tests.conftest import ROOT
from tests.test_idx import write_set

LAYERS = [  # a module may import from lower lines, and from its own package; siblings of one line do not meet
  {"errors"},
  {"settings", "types", "checks", "devices", "files", "paths", "plan", "progress", "signals"},
  {"effects", "randomness", "norms", "schema", "parts", "labels"},
  {"runs"},
  {
    "losses",
    "penalties",
    "divergences",
    "models",
    "data",
    "optim",
    "constraints",
    "methods",
    "krylov",
    "verdict",
  },
  {"metrics", "lens", "probes", "sweeps"},
  {"game"},
  {"theory"},
  {"state", "batches", "report", "memory", "manifest"},
  {"gradients", "export"},
  {"step"},
  {"geometry", "duality"},
  {"population", "checkpoint"},
  {"resume"},
  {"loop", "failures"},
  {"study"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WITHOUT_JAX = [
  "errors",
  "settings",
  "effects",
  "files",
  "plan",
  "schema",
  "parts",
  "runs",
  "labels",
  "sweeps",
  "devices",
  "progress",
  "signals",
  "report",
  "manifest",
  "export",
  "study",
  "verdict",
]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# As a user would: fully connected players and convolutions. Studies of mixtures and of the line have tests of their own.
RUN = ("compare_losses", "mnist_dcgan")


def imports(path: Path) -> set[str]:
  """Names of the gan_jax modules that a file imports, at any depth of its code."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module == "gan_jax":
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gan_jax."):
      found.add(node.module.split(".")[1])
    elif isinstance(node, ast.Import):
      found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("gan_jax.")}
  return found


def modules() -> list[tuple[str, Path]]:
  files = [p for p in sorted((ROOT / "gan_jax").rglob("*.py")) if p != ROOT / "gan_jax" / "__init__.py"]
  return [(p.relative_to(ROOT / "gan_jax").parts[0].removesuffix(".py"), p) for p in files]


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda v: v.name if isinstance(v, Path) else v)
def test_imports_point_downwards(name, path):
  assert name in LEVEL, f"{name} has no place in LAYERS: add it to the lowest line that it can stand on"
  upward = {other for other in imports(path) - {name} if LEVEL[other] >= LEVEL[name]}
  assert not upward, f"{path.name} imports {sorted(upward)}, which stand beside or above it"


def test_orbax_has_one_door():
  users = [
    p.name for p in (ROOT / "gan_jax").rglob("*.py") if re.search(r"^\s*(import|from) orbax", p.read_text(), re.M)
  ]
  assert users == ["checkpoint.py"]


def test_nothing_of_the_library_imports_experiments_and_configs_import_nothing():
  for path in (ROOT / "gan_jax").rglob("*.py"):
    assert not re.search(r"^\s*(import|from) experiments", path.read_text(), re.M), path
  for path in CONFIGS:
    assert not re.search(r"^\s*(import|from) ", path.read_text(), re.M), path


def test_every_package_is_installed():
  """A wheel holds what pyproject.toml lists; an editable install would not notice that one is missing."""
  listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
  there = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "gan_jax").rglob("__init__.py")}
  assert set(listed) == there


def test_what_starts_without_jax():
  code = f"import sys; from gan_jax import {', '.join(WITHOUT_JAX)}; print('jax' in sys.modules)"
  out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
  assert out.strip() == "False"


def launch(*arguments: str) -> subprocess.CompletedProcess:
  """launch.sh in an environment that has nothing set up."""
  bare = {"PATH": "/usr/bin:/bin", "GAN_JAX_VENV": "/nonexistent/venv"}
  return subprocess.run(["bash", ROOT / "launch.sh", *arguments], capture_output=True, text=True, check=False, env=bare)


def commands() -> list[str]:
  """The scripts that can be run."""
  return [p.stem for p in (ROOT / "experiments").glob("*.py") if 'if __name__ == "__main__"' in p.read_text()]


def test_help_needs_no_environment_and_knows_every_command():
  done = launch("help")
  assert done.returncode == 0
  for command in ("test", "check", "help", *commands()):
    assert re.search(rf"^  \./launch\.sh {command}( .*)?\n      \S", done.stdout, re.M), command
  assert len(re.findall(r"^  \./launch\.sh \w+", done.stdout, re.M)) == 3 + len(commands())


@pytest.mark.parametrize("name", ["trian", "tables", "command", "__init__", "", "sweep\nx", "../setup", ".", "Sweep"])
def test_what_is_no_command_is_refused_before_anything_is_set_up(name):
  done = launch(name)
  assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
  assert re.match(r"error: unknown command .*; known: check help test .*benchmark_probes .*verdicts$", done.stderr)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_expands_and_says_how_it_is_run(path):
  single, swept = sweeps.load(str(path))
  assert len(single) == 1
  assert swept
  assert f"configs/{path.name}" in (ast.get_docstring(ast.parse(path.read_text())) or "")
  groups = population.group(swept)
  assert sum(len(g.configs) for g in groups) == len(swept)
  assert all(set(config) == set(settings.FIELDS) for config in swept)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  """One cache for all configs, and none of the user's: a classifier is trained once for each dataset."""
  return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("path", [p for p in CONFIGS if p.stem not in RUN], ids=lambda p: p.stem)
def test_every_config_makes_a_program(path):
  """Traced to the end, every shape and name of it, and not compiled: that is what takes the time."""
  single, _ = sweeps.load(str(path))
  (group,) = population.group(single)
  dataset = data.load(group.spec.dataset, group.spec.data_dir)
  unasked = Quality(lambda draw, count: draw(np.arange(4)), lambda found: {}, {}, {})
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
  state = jax.eval_shape(program.init, program.hypers)
  after, rows = jax.eval_shape(lambda h, s, d: program.advance(h, s, d, 2, 3), program.hypers, state, program.data)
  assert after == state
  assert {x.shape for x in rows.values()} == {(2, program.padded)}
  assert rows.keys() == population.explanations(group.spec, game.build(group.spec, dataset)).keys()


@pytest.mark.parametrize("path", [p for p in CONFIGS if p.stem in RUN], ids=lambda p: p.stem)
def test_configs_run_two_steps(path, tmp_path, cache, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
  arguments = ["--config.steps=2", "--config.evaluation_samples=100", "--config.seed=0"]
  single, _ = sweeps.load(str(path))
  if single[0]["dataset"] == "mnist":
    (tmp_path / "mnist").mkdir()
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 28, 28), np.uint8), np.arange(300, dtype=np.uint8) % 10
    write_set(tmp_path / "mnist", images=images, labels=labels)
    arguments.append(f"--config.data_dir={tmp_path / 'mnist'}")
    arguments += ["--config.generator_width=8", "--config.discriminator_width=8"]
  directory = study.run(str(path), arguments, tmp_path / "study", single=True, say=lambda line: None)
  (group,) = runs.read_manifest(directory)["groups"]
  assert runs.read_status(directory)["groups"][group["name"]]["step"] == 2
  assert (directory / "report.html").stat().st_size > 10_000


def test_the_readme_speaks_of_what_is_there():
  text = (ROOT / "README.md").read_text()
  for path in re.findall(r"\]\((?!http)([^)#]+)\)", text):
    assert (ROOT / path).exists(), path
  for path in re.findall(r"`((?:gan_jax|configs|experiments|tests)/[\w/.]+)`", text):
    assert (ROOT / path).exists(), path
  for command in re.findall(r"\./launch\.sh (\w+)", text):
    assert command in ("test", "check", "help") or (ROOT / "experiments" / f"{command}.py").exists(), command


def test_python_blocks_of_the_readme_run():
  """In a process of their own: one of them registers a loss."""
  blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
  assert len(blocks) >= 3
  done = subprocess.run(
    [sys.executable, "-c", "\n".join(blocks)], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr


def test_the_loss_table_of_the_readme_is_current():
  """Every row that is there is the one that is made now. A new loss needs none: the table is made, not written."""
  from gan_jax.losses import table

  made = table.markdown_table().splitlines()
  there = (ROOT / "README.md").read_text().split("<!-- losses -->\n")[1].split("<!-- /losses -->")[0].splitlines()
  assert len(there) >= 48
  stale = [row for row in there if row not in made]
  assert not stale, f"put the output of ./launch.sh losses --markdown between the losses marks of README.md: {stale}"
