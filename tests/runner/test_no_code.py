"""Whatever a stranger's study holds, nothing of it is run: pickles, YAML, and code that its manifest names."""

import contextlib
import pickle
import shutil
import sys

import numpy as np
import pytest

from experiments import watch
from experiments.faults.files import Code
from gan_jax import load_study, report, runs, settings
from gan_jax.core.errors import BadInput, Failure
from gan_jax.report import formats, latex, live, overview, plates, records, sheets
from gan_jax.report.export import export
from gan_jax.runner import packing, restore, study
from tests.runner.test_preflight import CONFIG
from tests.support.pages import undrawn

MARK = "gan_jax_planted"  # in all that is planted: a name, a text, a module
HEARD: list[str] = []  # what was run, by the interpreter's own account
LISTENING: list[bool] = []


def hear(event, arguments):
  """Python's audit hook: it cannot be removed, so it listens only while a test wants it."""
  if (
    LISTENING
    and (
      event in ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn")
      or (event == "subprocess.Popen" and arguments[0] != "git")  # which says our own commit
      or (event in ("compile", "import", "os.mkdir") and MARK in str(arguments[:2]))
      or (event == "exec" and MARK in str(getattr(arguments[0], "co_filename", "")))
    )
  ):
    HEARD.append(f"{event} {str(arguments)[:200]}")


sys.addaudithook(hear)


@contextlib.contextmanager
def listening():
  HEARD.clear()
  LISTENING.append(True)
  try:
    yield
  finally:
    LISTENING.clear()


class Killed(BaseException):
  """The study has got as far as the compiler."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp("code")
  (folder / "tiny.py").write_text(CONFIG)
  with undrawn():
    study.run(str(folder / "tiny.py"), [], folder / "study", single=False, say=lambda line: None)
  return folder / "study"


@pytest.fixture
def directory(whole, tmp_path):
  shutil.copytree(whole, tmp_path / "study")
  shutil.copy(whole.parent / "tiny.py", tmp_path / "tiny.py")
  return tmp_path / "study"


def commands(path):
  """What reads a study, by name: each is given one that it may refuse."""

  def resumed():
    study.run(str(path.parent / "tiny.py"), [], path, single=False, say=lambda line: None)

  found = {
    "resume": resumed,
    "report": lambda: report.build(path),
    "table": lambda: report.terminal_table(path),
    "watch": lambda: live.page(path, 5, watch.SCRIPT),
    "status": lambda: overview.overview(path),
    "csv": lambda: export(path, "csv"),
    "tensorboard": lambda: export(path, "tensorboard"),
    "tables": lambda: [made(sheets.sheets(records.read(path))) for made in (formats.as_csv, formats.markdown)],
    "latex": lambda: latex.tables(sheets.sheets(records.read(path)), "x"),
    "figures": lambda: plates.write(records.read(path), "svg", path / "figures"),
    "library": lambda: load_study(path).runs[0].generator("best"),
    "checkpoint": lambda: restore.group(path, "group-0"),
  }
  assert len(found) == 12
  return found


def planted(path, ran):
  """What takes the place of a file, by kind: it would make the directory `ran`, whose name has the mark in it."""
  harmful = np.array([Code(ran)], object)
  if path.suffix == ".npz":
    np.savez(path, step=harmful, samples=harmful, leaf_0=harmful, run=harmful)
  elif path.suffix == ".json":
    path.write_text(f'!!python/object/apply:os.mkdir ["{ran}"]\n')
  else:
    path.write_bytes(pickle.dumps(Code(ran)))


KINDS = {
  "manifest and status": ("*.json", "lock*"),
  "tables, samples, generators and checkpoints": ("*/**/*",),
}
DRAWN = ("report", "watch", "figures", "tensorboard")  # which take long, and read what the others read


@pytest.mark.parametrize("pickled", [False, True], ids=["in its form", "as a pickle"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_a_study_holds_is_run(kind, pickled, directory, monkeypatch):
  ran = directory.parent / MARK
  files = [path for pattern in KINDS[kind] for path in directory.glob(pattern) if path.is_file()]
  assert files
  for path in files:
    planted(path, ran) if not pickled else path.write_bytes(pickle.dumps(Code(ran)))

  def killed(*arguments):
    raise Killed

  monkeypatch.setattr(packing, "compiled", killed)
  with listening(), undrawn():
    for name, command in commands(directory).items():
      with contextlib.suppress(BadInput, Failure, OSError, Killed):
        (pickled and name in DRAWN) or command()
  assert not HEARD
  assert not ran.exists()


def renamed(path, reference):
  """The study, with a manifest of somebody who knows its digests: its model is the function `reference`."""
  manifest = runs.read_manifest(path)
  for group in manifest["groups"]:
    for member in group["members"]:
      member["config"] |= {"model": reference, "model_options": {"stmt": f"import {MARK}"}}
      member["id"] = settings.identity(member["config"])
  runs.write_manifest(path, manifest)


@pytest.mark.parametrize("reference", ["timeit:timeit", f"study/{MARK}.py:build", f"{MARK}:build"])
def test_no_function_is_called_that_only_a_manifest_names(reference, directory, monkeypatch):
  """`timeit:timeit(stmt=...)` runs the text that it is given: an option of the model, in a file that somebody sent."""
  (directory / f"{MARK}.py").write_text("raise SystemExit\n")
  monkeypatch.chdir(directory.parent)
  monkeypatch.syspath_prepend(str(directory))
  renamed(directory, reference)
  with listening():
    for name, command in commands(directory).items():
      if name in ("library", "checkpoint"):
        with pytest.raises(BadInput, match="which is run only from a folder that you name"):
          command()
      elif name in ("table", "status", "csv"):
        command()
    with pytest.raises(BadInput):  # the config file asks for another model
      commands(directory)["resume"]()
  assert not HEARD
  if reference.startswith("study/"):
    with listening(), pytest.raises(BadInput, match="names code in its own directory"):
      restore.group(directory, "group-0", folder=directory.parent)
    assert not HEARD


def test_the_hook_hears_what_would_have_been_run(tmp_path):
  """Were it deaf, the tests above would pass."""
  with listening():
    with contextlib.suppress(TypeError):
      np.load(_saved(tmp_path), allow_pickle=True)["step"]
    exec(compile(f"x = '{MARK}'", "text", "exec"))
  assert any(event.startswith("pickle.find_class") for event in HEARD)
  assert any(event.startswith("os.mkdir") for event in HEARD)
  assert any(event.startswith("compile") for event in HEARD)
  assert (tmp_path / MARK).exists()


def _saved(folder):
  planted(folder / "x.npz", folder / MARK)
  return folder / "x.npz"
