"""A study from Python: the same as the command's, in a process that has used jax, in a thread, under settings of its own."""

import ast
import asyncio
import os
import re
import signal
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gan_jax
from gan_jax import report, runs
from gan_jax.core.errors import BadInput
from gan_jax.runner import signals
from tests.conftest import ROOT
from tests.support.pages import undrawn

FIELDS = {
  "dataset": "ring",
  "latent_size": 2,
  "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
  "batch_size": 16,
  "steps": 40,
  "probe_every": 10,
  "evaluate_every": 20,
  "evaluation_samples": 100,
}
SWEEP = [{"loss": loss, "seed": seed} for loss in ("minimax", "hinge") for seed in (0, 1)]
CONFIG = f'''"""Four small runs."""

def get_config():
  return {FIELDS}

def sweep(s):
  return {SWEEP}
'''


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp("config") / "four.py"
  path.write_text(CONFIG)
  return path


@pytest.fixture(scope="module")
def commanded(config, tmp_path_factory):
  """The study as the command runs it, in a process of its own with as many devices."""
  out = tmp_path_factory.mktemp("commanded") / "study"
  code = [sys.executable, "-m", "gan_jax.commands", "sweep", str(config), "--out", str(out)]
  done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  return out, done.stdout.splitlines()


def assert_same(study, commanded):
  """Every number of every run, to the bit."""
  there = gan_jax.load_study(commanded)
  assert [run.id for run in study.runs] == [run.id for run in there.runs]
  assert len(study.runs) == 4
  for run, other in zip(study.runs, there.runs, strict=True):
    for table, expected in ((run.rows, other.rows), (run.quality, other.quality)):
      np.testing.assert_array_equal(table.steps, expected.steps)
      assert table.columns.keys() == expected.columns.keys()
      for name, column in table.columns.items():
        np.testing.assert_array_equal(column, expected.columns[name], err_msg=name)


def handlers():
  return [signal.getsignal(number) for number in (signal.SIGINT, *signals.ASKING)]


def test_in_a_process_that_used_jax_it_is_the_study_of_the_command(config, commanded, tmp_path, capsys):
  jnp.zeros(1).block_until_ready()
  before, devices, said = handlers(), jax.devices(), []
  with jax.debug_nans(True), undrawn():
    study = gan_jax.run_study(config, tmp_path / "study", say=said.append)
    assert jax.config.jax_debug_nans
  assert (handlers(), jax.devices()) == (before, devices)
  assert_same(study, commanded[0])
  assert capsys.readouterr() == ("", "")
  lines = [line for line in "\n".join(said).splitlines() if "JAX_DEBUG_NANS=True" not in line]
  assert lines[-1] == f"report: {tmp_path / 'study' / 'report.html'}"
  table = slice(lines.index("study"), -1)
  assert lines[table] == commanded[1][commanded[1].index("study") : -1]
  assert len(lines[table]) >= 5
  assert study.description == "Four small runs."
  assert runs.read_manifest(study.path)["layout"] == runs.read_manifest(commanded[0])["layout"]
  again: list[str] = []
  with undrawn():
    gan_jax.run_study(config, study.path, say=again.append)  # the same call
  assert any("is complete: 4 runs" in line for line in again)


def test_a_dict_and_a_list_in_a_thread_with_an_event_loop_are_the_same_study(commanded, tmp_path):
  """As a notebook's server may call it. No signal is touched there, and another thread's `with` is not its own."""
  before, during, found = handlers(), [], []

  async def cell():
    return gan_jax.run_study(FIELDS, str(tmp_path / "study"), sweep=SWEEP, say=lambda _: during.append(handlers()))

  thread = threading.Thread(target=lambda: found.append(asyncio.run(cell())))
  with jax.disable_jit(), undrawn():
    thread.start()
    thread.join()
  assert_same(found[0], commanded[0])
  assert during
  assert all(now == before for now in during)


def test_overrides_win_and_one_run_is_a_sweep_of_one(config, tmp_path):
  """Refused as late as it can be without training: what is asked for is in the sentence."""
  out = tmp_path / "study"
  with pytest.raises(BadInput, match=r"batch_size expected at most .*, got 999999"):
    gan_jax.run_study(config, out, overrides={"batch_size": 999_999}, single=True)
  with pytest.raises(BadInput, match=r"unknown loss 'hing'"):
    gan_jax.run_study(FIELDS, out, overrides={"loss": "hing"})
  assert not out.exists()


@pytest.mark.parametrize(
  ("arguments", "options", "words"),
  [
    ((FIELDS,), {}, "run_study expected `out`, the study's directory, beside a dict"),
    (("four.py", "out"), {"sweep": SWEEP}, "a sweep only beside a dict of fields, got one beside the file four.py"),
    ((["loss"], "out"), {}, r"run_study expected a dict of fields, got list \['loss'\]"),
    ((FIELDS, "out"), {"sweep": {"loss": "hinge"}}, "run_study's sweep expected a list of dicts, got dict"),
    ((FIELDS, "out"), {"sweep": []}, "run_study's sweep expected at least one run, got none"),
    ((FIELDS, "out"), {"sweep": [{"los": "hinge"}]}, "unknown config field 'los'; did you mean 'loss'"),
    ((FIELDS, "out"), {"overrides": {"step": 3}}, "unknown config field 'step'; did you mean 'steps'"),
    ((FIELDS, "out"), {"overrides": ["steps"]}, r"overrides expected a dict of fields, got list \['steps'\]"),
    ((FIELDS, "out"), {"overrides": {"unroll_rate": 0.1}}, "'unroll_rate', here 0.1, has no effect"),
    ((FIELDS, 3), {}, "output directory expected a path, got int 3"),
    ((FIELDS, b"out"), {}, "output directory expected a path, got bytes"),
    ((FIELDS, ""), {}, "output directory expected a path of printable characters, got ''"),
    (("compare_losses", 3), {}, "output directory expected a path, got int 3"),
    (("compare_loses",), {}, "unknown config file 'compare_loses'; did you mean 'compare_losses'"),
    (("digts.py",), {}, "unknown config file 'digts.py'; did you mean 'digits'"),
    (("no_such_study.py",), {}, "unknown config file 'no_such_study.py'; known: "),
  ],
)
def test_what_cannot_be_used_is_one_sentence_and_nothing_is_written(arguments, options, words, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(BadInput, match=words) as caught:
    gan_jax.run_study(*arguments, **options)
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 3, b"out"])
def test_what_is_no_path_is_no_study(path):
  with pytest.raises(BadInput, match="a study's directory expected a path, got"):
    gan_jax.load_study(path)


def test_a_loaded_study_has_what_the_report_has(commanded):
  study, summary = gan_jax.load_study(str(commanded[0])), report.summary(commanded[0])
  assert (study.name, study.path, study.remarks) == (summary["study"], commanded[0], ())
  assert [run.label for run in study.runs] == ["minimax", "minimax", "hinge", "hinge"]
  assert {run.panel for run in study.runs} == {"study"}
  for run, expected in zip(study.runs, summary["runs"], strict=True):
    names = ("id", "config", "status", "last_step", "bit_exact")
    assert {name: getattr(run, name) for name in names} == {name: expected[name] for name in names}
    assert (run.verdict.final, run.verdict.evidence) == (expected["verdict"]["state"], expected["verdict"]["evidence"])
    assert run.rows.steps.tolist() == [0, 10, 20, 30]
    assert run.quality.steps.tolist() == [0, 20, 40]
    assert run.quality.columns["points/frechet"][-1] == np.float32(expected["metrics"]["points/frechet"])
  assert set(study.runs[0].rows.columns) | set(study.runs[0].quality.columns) <= set(study.metrics)


def test_reading_a_study_imports_no_jax_and_the_package_imports_nothing(commanded):
  code = f"""
import sys, gan_jax
assert not [name for name in sys.modules if name.startswith("gan_jax.") or name in ("numpy", "jax")]
from gan_jax import load_study
assert load_study({str(commanded[0])!r}).runs[0].status == "done"
assert "jax" not in sys.modules
"""
  environment = {**os.environ, "PYTHONPATH": str(ROOT)}
  done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_has_a_type():
  """What a type checker reads of the package is what it returns."""
  tree = ast.parse((ROOT / "gan_jax" / "__init__.py").read_text())
  typed = {a.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
  del typed["TYPE_CHECKING"], typed["Any"]
  assert typed == gan_jax._HOMES
  assert re.fullmatch(r"\d+\.\d+\.\d+", gan_jax.__version__)
  assert sorted(typed.keys() - {"__version__"}) == gan_jax.__all__
  assert set(gan_jax.__all__) <= set(dir(gan_jax))
  for name in gan_jax.__all__:
    assert getattr(gan_jax, name).__name__ == name
  with pytest.raises(AttributeError, match="module 'gan_jax' has no attribute 'run_studies'"):
    gan_jax.run_studies  # noqa: B018
