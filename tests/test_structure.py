"""The house keeps its order: who may import whom, what starts without jax, and what the README says can be done."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax import commands as gan_jax_commands
from gan_jax import data, game, runs, settings
from gan_jax.metrics import Quality
from gan_jax.runner import evaluation, grouping, population, study
from gan_jax.runs import plan
from gan_jax.settings import sweeps
from tests.conftest import NOTEBOOKS, ROOT
from tests.data.test_idx import write_set

FLOORS = [  # a room may import from the floors below its own, and from itself; rooms of one floor do not meet
  {"core"},
  {"settings"},
  {"runs", "losses", "penalties", "models", "data"},
  {"metrics", "probes", "verdict", "theory"},
  {"game", "report"},
  {"inspections"},
  {"runner", "commands"},
  {"launch"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
# These start in a moment: what only reads files or prints help never waits for jax.
WITHOUT_JAX = ("core.errors", "core.paths", "settings", "runs", "verdict", "report", "report.export", "report.live")
WITHOUT_JAX += ("commands", "runner.devices", "runner.manifest", "runner.progress", "runner.signals", "runner.study")
WITHOUT_JAX += (
  "launch.drive",
  "launch.local",
  "launch.ray",
  "launch.shares",
  "launch.alone",
  "runner.worker",
  "runs.tries",
)
WITHOUT_JAX += ("runner.watchdog",)
WITHOUT_JAX += ("runner.loading", "runs.choice", "core.homes", "core.download")
READMES = [ROOT / "README.md", *sorted((ROOT / "gan_jax").rglob("README.md")), ROOT / "experiments" / "README.md"]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# As a user would. Studies of mixtures and of the line, and other data, have tests of their own.
RUN = ("compare_losses",)


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
  assert name in LEVEL, f"{name} has no place in FLOORS: add it to the lowest floor that it can stand on"
  upward = {other for other in imports(path) - {name} if LEVEL[other] >= LEVEL[name]}
  assert not upward, f"{path.name} imports {sorted(upward)}, which stand beside or above it"


def room(module: str) -> str:
  """The top-level entry of the house that a module is of: `experiments`, `configs`, or one of gan_jax's."""
  parts = module.split(".")
  return ".".join(parts[:2]) if parts[0] == "gan_jax" else parts[0]


def arrows() -> set[tuple[str, str]]:
  """(room, another room that it imports), wherever in the code of a file."""
  files = {module_of(path): path for path in house()}
  found = set()
  for path in files.values():
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Import):
        named = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        above = here[: -node.level] if node.level else ()
        named = [".".join((*above, *filter(None, [node.module]), alias.name)) for alias in node.names]
      else:
        continue
      for name in named:  # of `from a.b import c`, the module is a.b.c or a.b
        target = next((n for n in (name, name.rpartition(".")[0]) if n in files), None)
        if target and room(target) != room(module_of(path)):
          found.add((room(module_of(path)), room(target)))
  return found


def house() -> list[Path]:
  found = [path for top in ("gan_jax", "experiments", "configs") for path in sorted((ROOT / top).rglob("*.py"))]
  return [path for path in found if NOTEBOOKS not in path.parents]


def floors(pairs: set[tuple[str, str]]) -> dict[str, int]:
  """By room, the length of the longest way down: 1 where it imports no other."""
  below = {name: {b for a, b in pairs if a == name} for pair in pairs for name in pair}
  found: dict[str, int] = {}
  for name in graphlib.TopologicalSorter(below).static_order():
    found[name] = 1 + max((found[other] for other in below[name]), default=0)
  return found


def test_the_house_is_small_enough_to_know():
  """Rooms, floors, arrows between rooms, and how long files are: whoever adds one finds another that can go."""
  pairs = arrows()
  assert ("gan_jax.runner", "gan_jax.game") in pairs
  assert len({room(module_of(path)) for path in house()}) <= 20
  assert max(floors(pairs).values()) <= 8
  assert len(pairs) <= 60, sorted(pairs)
  lengths = {path: len(path.read_text().splitlines()) for path in house()}
  long = {str(path.relative_to(ROOT)): count for path, count in lengths.items() if count > 300}
  assert not long
  modules = [n for path, n in lengths.items() if path.name != "__init__.py" and ROOT / "configs" not in path.parents]
  assert 100 <= np.median(modules) <= 190


LONGER = {"from_equinox"}  # to be split; nothing is added here


def test_no_function_is_long():
  """65 lines, its docstring included; what a function defines within is part of it."""
  long = [
    f"{path.relative_to(ROOT)}: {node.name}, {node.end_lineno - node.lineno + 1} lines"
    for path in house()
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 65 and node.name not in LONGER
  ]
  assert not long


def test_orbax_has_one_door():
  users = [
    p.name for p in (ROOT / "gan_jax").rglob("*.py") if re.search(r"^\s*(import|from) orbax", p.read_text(), re.M)
  ]
  assert users == ["checkpoint.py"]


def test_nothing_imports_experiments_by_name_and_configs_import_nothing():
  for path in (ROOT / "gan_jax").rglob("*.py"):
    assert not re.search(r"^\s*(import|from) experiments", path.read_text(), re.M), path
  # Installed, the scripts are gan_jax.experiments: they import one another relatively.
  for path in (ROOT / "experiments").rglob("*.py"):
    assert not re.search(r"^\s*(import|from) experiments", path.read_text(), re.M), path
  for path in CONFIGS:
    assert not re.search(r"^\s*(import|from) ", path.read_text(), re.M), path


def module_of(path: Path) -> str:
  return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_modules_import_one_another_without_circles():
  """Each module by itself, what is imported inside functions included."""
  files = {module_of(path): path for _, path in modules()}
  graph: dict[str, set[str]] = {}
  for name, path in files.items():
    named = set()
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.ImportFrom) and node.module:
        named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    graph[name] = (named & files.keys()) - {name}
  families = {name for name, path in files.items() if path.name == "__init__.py"}
  for name, others in graph.items():
    # A package lists what its own modules hold; they may import it by name, and its registry comes before them.
    graph[name] = {other for other in others if not (other in families and name.startswith(f"{other}."))}
  graphlib.TopologicalSorter(graph).prepare()


def test_every_folder_of_python_files_is_a_package():
  folders = {path.parent for path in house() if ROOT / "configs" not in path.parents}
  assert all((folder / "__init__.py").exists() for folder in folders)


def test_what_starts_without_jax():
  code = f"import sys, {', '.join('gan_jax.' + name for name in WITHOUT_JAX)}; print('jax' in sys.modules)"
  out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
  assert out.strip() == "False"


def launch(*arguments: str) -> subprocess.CompletedProcess:
  """launch.sh in an environment that has nothing set up."""
  bare = {"PATH": "/usr/bin:/bin", "GAN_JAX_VENV": "/nonexistent/venv"}
  return subprocess.run(["bash", ROOT / "launch.sh", *arguments], capture_output=True, text=True, check=False, env=bare)


def commands() -> list[str]:
  """The scripts that can be run."""
  texts = [p.read_text() for p in (ROOT / "experiments").rglob("*.py")]
  found = [re.match(r'"""`launch\.sh ([a-z_]+)', text) for text in texts if 'if __name__ == "__main__"' in text]
  assert all(found), "the first line of a script says how it is called"
  return [match[1] for match in found if match]


def test_help_needs_no_environment_and_knows_every_command():
  done = launch("help")
  assert done.returncode == 0
  for command in ("test", "check", "help", *commands()):
    assert re.search(rf"^  \./launch\.sh {command}( .*)?\n      \S", done.stdout, re.M), command
  assert len(re.findall(r"^  \./launch\.sh \w+", done.stdout, re.M)) == 3 + len(commands())


def test_both_ways_to_call_a_command_list_the_same():
  """`launch.sh help` has no Python to ask, so each reads the scripts for itself."""
  pattern = r"^  \S+ ([a-z_]+.*\n      .*)$"
  listed = [
    line
    for line in re.findall(pattern, launch("help").stdout, re.M)
    if line.split()[0] not in ("test", "check", "help")
  ]
  assert [line for line in re.findall(pattern, gan_jax_commands.usage(), re.M) if line.split()[0] != "help"] == listed
  assert set(gan_jax_commands.commands()) == set(commands())


@pytest.mark.parametrize("name", ["trian", "tabels", "command", "__init__", "", "sweep\nx", "../setup", ".", "Sweep"])
def test_what_is_no_command_is_refused_before_anything_is_set_up(name):
  done = launch(name)
  assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
  assert re.match(r"error: unknown command .*; known: check help test .*bench .*watch$", done.stderr)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_expands_and_says_how_it_is_run(path):
  single, swept = sweeps.load(str(path))
  assert len(single) == 1
  assert swept
  assert f"configs/{path.name}" in (ast.get_docstring(ast.parse(path.read_text())) or "")
  groups = grouping.group(swept)
  assert sum(len(g.configs) for g in groups) == len(swept)
  assert all(set(config) == set(settings.FIELDS) for config in swept)


@pytest.fixture
def smaller(tmp_path):
  """A config's arguments for data that the repository does not hold: 300 images of noise in MNIST's files."""

  def arguments(path):
    single, _ = sweeps.load(str(path))
    if single[0]["dataset"] != "mnist":
      return []
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 28, 28), np.uint8), np.arange(300, dtype=np.uint8) % 10
    write_set(tmp_path, images=images, labels=labels)
    return [f"--config.dataset_options.data_dir={tmp_path}"]

  return arguments


@pytest.mark.parametrize("path", [p for p in CONFIGS if p.stem not in RUN], ids=lambda p: p.stem)
def test_every_config_makes_a_program(path, smaller):
  """Traced to the end, every shape and name of it, and not compiled: that is what takes the time."""
  single, _ = sweeps.load(str(path), smaller(path))
  (group,) = grouping.group(single)
  dataset = data.load(group.spec.dataset, **dict(group.spec.dataset_options))
  unasked = Quality(lambda draw, count, near: draw(np.arange(4)), lambda found: {}, {}, {})
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
  state = jax.eval_shape(program.init, program.hypers)
  after, rows = jax.eval_shape(lambda h, s, d: program.advance(h, s, d, 2, 3), program.hypers, state, program.data)
  assert after == state
  assert {x.shape for x in rows.values()} == {(max(2, plan.of(group.configs[0])[0].windows), program.padded)}
  assert rows.keys() == evaluation.explanations(game.build(group.spec, dataset)).keys()


@pytest.mark.parametrize("path", [p for p in CONFIGS if p.stem in RUN], ids=lambda p: p.stem)
def test_the_main_job_runs_two_steps(path, tmp_path):
  """Other data, MNIST's files too, and networks are run by the tests of the runner and of the studies."""
  arguments = ["--config.steps=2", "--config.evaluation_samples=100", "--config.seed=0"]
  directory = study.run(str(path), arguments, tmp_path / "study", single=True, say=lambda line: None)
  (group,) = runs.read_manifest(directory)["groups"]
  assert runs.read_status(directory)["groups"][group["name"]]["step"] == 2
  assert (directory / "report.html").stat().st_size > 10_000
  assert (directory / "gallery" / "panel-1.npz").exists()


@pytest.mark.parametrize("page", READMES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_readme_speaks_of_what_is_there(page):
  text = page.read_text()
  for path in re.findall(r"\]\((?!http)([^)#]+)\)", text):
    assert (page.parent / path).exists(), path
  for path in re.findall(r"`((?:gan_jax|configs|experiments|tests)/[\w/.]+)`", text):
    assert (ROOT / path).exists(), path
  for command in re.findall(r"\./launch\.sh (\w+)", text):
    assert command in ("test", "check", "help", *commands()), command


def test_python_blocks_of_the_readme_run():
  """In a process of their own: one of them registers a loss."""
  pages = [ROOT / "README.md", ROOT / "gan_jax" / "losses" / "README.md"]
  blocks = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)]
  assert len(blocks) >= 3
  done = subprocess.run(
    [sys.executable, "-c", "\n".join(blocks)], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr


def test_the_readmes_training_loop_learns_what_it_says():
  """A loss and a penalty in a loop of one's own: fifteen lines of code, and they end where the comment says."""
  blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
  (loop,) = [block for block in blocks if "import optax" in block]
  names: dict[str, object] = {}
  exec(compile(loop, "README.md", "exec"), names)
  np.testing.assert_allclose(names["g"], [3.0, 0.5], atol=0.1)
  body = loop[loop.index("@jax.jit") :]
  assert len([line for line in body.splitlines() if line.strip()]) <= 17


def test_the_loss_table_is_current():
  """Every row that is there is the one that is made now. A new loss needs none: the table is made, not written."""
  from gan_jax.losses import table

  made = table.markdown_table().splitlines()
  there = (
    (ROOT / "gan_jax" / "losses" / "README.md")
    .read_text()
    .split("<!-- losses -->\n")[1]
    .split("<!-- /losses -->")[0]
    .splitlines()
  )
  assert len(there) >= 48
  stale = [row for row in there if row not in made]
  assert not stale, (
    f"put the output of ./launch.sh losses --markdown between the losses marks of gan_jax/losses/README.md: {stale}"
  )
