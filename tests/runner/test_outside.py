"""From an empty folder: a config that names own code of every kind runs, reports, resumes, and refuses a changed file."""

import textwrap

import pytest

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.metrics import METRICS
from gan_jax.runner import restore, study
from gan_jax.runner.loading import load_study
from tests.game.test_outside import CODE, untouched

CONFIG = '''
"""My own code of every kind."""

def get_config():
  return {
    "model": "mine.py:net", "model_options": {"norm": False}, "dataset": "mine.py:images", "optimizer": "mine.py:sign",
    "metrics": "mine.py:brightness", "probes": "mine.py:spread", "lens": "mine.py:soft+hinge",
    "penalty": "mine.py:slope+mine.py:decorated", "penalty_weights": {"mine.py:slope": 0.5},
    "generator_penalty": "mine.py:size", "generator_penalty_weight": 1e-4,
    "generator_rate": 1e-3, "discriminator_rate": 1e-3, "batch_size": 8, "latent_size": 4,
    "steps": 4, "probe_every": 2, "evaluation_samples": 100, "evaluate_every": 4, "checkpoint_every": 2,
  }

def sweep(s):
  return s.param("loss", ["minimax", "mine.py:soft", "matched_gain(mine.py:soft)"])
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
  (tmp_path / "mine.py").write_text(CODE)
  (tmp_path / "study.py").write_text(textwrap.dedent(CONFIG))
  monkeypatch.chdir(tmp_path)
  with untouched():
    yield tmp_path


def test_own_code_of_every_kind_runs_reports_and_resumes(folder):
  said: list[str] = []
  directory = study.run("study.py", [], None, single=False, say=said.append)
  (group,) = runs.read_manifest(directory)["groups"]
  digests = {tuple(member["config"]["code"].items()) for member in group["members"]}
  ((place, digest),) = digests.pop()
  assert not digests
  assert (place, len(digest)) == ("mine.py", 12)
  page = (directory / "report.html").read_text()
  assert "matched_gain(mine.py:soft)" in page
  assert "mean pixel of the samples" in page
  assert any("mine.py:soft" in line for line in said)
  columns = {name for run in load_study(directory).runs for name in run.rows.columns}
  assert {"mine/spread"} <= columns
  assert any(name.endswith("mine.py:soft") for name in columns if name.startswith("lens/"))

  again: list[str] = []
  study.run("study.py", [], None, single=False, say=again.append)
  assert any("is complete: 3 runs" in line for line in again)
  METRICS.pop("mine.py:brightness")  # as in another process, which has not read the config
  with pytest.raises(BadInput, match=r"names code \(mine.py\), which is run only from a folder that you name"):
    restore.group(directory, "group-0")
  assert (restore.group(directory, "group-0", folder=folder).state.step == 4).all()
  with (folder / "mine.py").open("a") as file:
    file.write("\n# a remark\n")
  with pytest.raises(BadInput, match="group-0"):
    restore.group(directory, "group-0", folder=folder)
  with pytest.raises(BadInput, match=r"^the code of mine.py, or .*, has changed since .*: put it back((?!digest).)*$"):
    study.run("study.py", [], None, single=False, say=again.append)


@pytest.mark.parametrize("dry", [True, False])
def test_a_probe_that_returns_another_column_than_it_declared_is_refused_before_anything_is_written(folder, dry):
  code = (folder / "mine.py").read_text()
  (folder / "mine.py").write_text(
    code.replace('return {"mine/spread":', 'return {"mine/other": 0.0 * trace.step, "mine/spread":')
  )
  with pytest.raises(BadInput, match=r"^probe 'mine.py:spread' expected .* \(mine/spread\), got mine/other as well$"):
    study.run("study.py", [], folder / "out", single=False, say=lambda line: None, dry=dry)
  assert not (folder / "out").exists()


def test_a_penalty_on_slopes_is_refused_for_anyones_batch_norm(folder):
  with pytest.raises(
    BadInput, match=r"'mine.py:slope' is per sample, but the discriminator of model 'mine.py:net' couples"
  ):
    study.run("study.py", ["--config.model_options.norm=true"], None, single=True, say=lambda line: None)
  assert not (folder / "runs").exists()
