"""Studies as a user runs them: real processes, real kills, real disks, and input that cannot be used."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import report as report_command
from experiments import sweep as sweep_command
from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.runner import study
from tests.conftest import ROOT
from tests.data.test_idx import write_set

CONFIG = """
'''A small study.

Three losses and two seeds.
'''

def get_config():
  return {{
    "model_options": {{"generator_width": 8, "discriminator_width": 8, "depth": 1}},
    "dataset": "ring", "latent_size": 2, "batch_size": 16, "penalty": "r1+lecam",
    "weight_constraint": "spectral", "lookahead_every": 7, "hold_out": 5, "lens": "minimax+hinge",
    "penalty_weight": 0.1, "steps": {steps}, "probe_every": 10, "evaluate_every": 100, "checkpoint_every": 50,
    "evaluation_samples": 100,
  }}

def sweep(s):
  return s.product(s.param("loss", ["minimax", "non_saturating", "relativistic"]), s.param("seed", [0, 1]))
"""
# The least there is to compile, where the state's kinds do not matter.
PLAIN = """
def get_config():
  return {"model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "dataset": "ring", "latent_size": 2, "batch_size": 16, "steps": 20,
          "probe_every": 10, "evaluation_samples": 100}

def sweep(s):
  return s.param("discriminator_rate", [1e-4, 1e25])
"""


UNDRAWN = "tests.support.pages"  # `experiments.sweep`, where the page is not what is tested


def write_config(folder: Path, steps: int = 300) -> Path:
  path = folder / "small.py"
  path.write_text(CONFIG.format(steps=steps))
  return path


def start(*arguments: object) -> subprocess.Popen:
  env = {k: v for k, v in os.environ.items() if k != "JAX_NUMPY_RANK_PROMOTION"} | {"PYTHONPATH": str(ROOT)}
  env["JAX_NUM_CPU_DEVICES"] = "2"
  command = [sys.executable, "-m", *map(str, arguments)]
  return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
  out, err = process.communicate(timeout=600)
  return process.returncode, out, err


def call(*arguments: object) -> tuple[int, str, str]:
  return finish(start(*arguments))


def contents(directory: Path) -> dict[str, Any]:
  """Everything that must be the same bits: rows, quality, samples, and the digests of the last checkpoint.

  Not the attempt that wrote the checkpoint: it counts the processes, so every kill adds one.
  """
  found = {
    str(p.relative_to(directory)): p.read_bytes()
    for table in ("rows", "quality", "samples")
    for p in sorted((directory / table).rglob("*.npz"))
  }
  meta = sorted((directory / "checkpoints" / "group-0").glob("300/meta/metadata"))
  facts = json.loads(meta[0].read_bytes())
  facts["origin"].pop("attempt", None)
  return found | {"checkpoint": {name: value for name, value in facts.items() if name != "sha256"}}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
  """A study that was never stopped."""
  folder = tmp_path_factory.mktemp("clean")
  config = write_config(folder)
  code, out, err = call("experiments.sweep", config, "--out", folder / "study")
  assert code == 0, err
  return config, folder / "study", out


def test_a_study_ends_in_a_table_and_a_report(clean):
  config, directory, out = clean
  assert f"report: {directory / 'report.html'}" in out
  assert "relativistic" in out
  rows = runs.read_table(directory, "rows", "group-0")
  assert rows.steps.tolist() == list(range(0, 300, 10))
  assert {v.shape for v in rows.columns.values()} == {(30, 6)}
  # A relativistic loss does not make a probability of sigmoid(logit).
  assert {name for name, v in rows.columns.items() if not np.isfinite(v).all()} == {
    "disc/calibration_error",
    "disc/accuracy_real",
    "disc/accuracy_fake",
  }
  assert {v.dtype for n, v in rows.columns.items() if not n.startswith("count/")} == {np.dtype(np.float32)}
  assert runs.read_table(directory, "quality", "group-0").steps.tolist() == list(range(0, 301, 100))
  manifest = runs.read_manifest(directory)
  assert manifest["description"] == "A small study."
  assert set(manifest["metrics"]) >= set(rows.columns)
  code, out, _ = call("experiments.sweep", config, "--out", directory)
  assert code == 0
  assert "is complete: 6 runs" in out


def test_killed_anywhere_it_ends_with_the_same_bits(clean, tmp_path):
  """Real SIGKILLs of a real process: before the first checkpoint and after, between chunks and within."""
  config, whole, _ = clean
  directory, kills = tmp_path / "study", 0
  for threshold in (0, 10, 110, 210):
    process = start(UNDRAWN, config, "--out", directory)
    while process.poll() is None:
      status = directory / "status.json"
      step = json.loads(status.read_text())["groups"].get("group-0", {}).get("step", 0) if status.exists() else -1
      if step >= threshold:
        process.send_signal(signal.SIGKILL)
        kills += 1
        break
      time.sleep(0.003)
    process.communicate()
  assert kills >= 3
  code, _, err = call(UNDRAWN, config, "--out", directory)
  assert code == 0, err
  assert contents(directory) == contents(whole)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(clean, tmp_path):
  config, whole, _ = clean
  directory = tmp_path / "study"
  subprocess.run(["cp", "-r", str(whole), str(directory)], check=True)
  (directory / "report.html").unlink()
  status = runs.read_status(directory)
  status["groups"]["group-0"].update(complete=False)
  runs.write_status(directory, status)
  payload = max((directory / "checkpoints" / "group-0" / "300" / "state").rglob("d/*"), key=lambda p: p.stat().st_size)
  damaged = bytearray(payload.read_bytes())
  damaged[len(damaged) // 2] ^= 4
  payload.write_bytes(bytes(damaged))
  code, out, err = call(UNDRAWN, config, "--out", directory)
  assert code == 0, err
  assert "300 is damaged and set aside as" in out
  assert "resuming at step 250" in out
  assert contents(directory) == contents(whole)


def test_report_and_export_from_the_files_alone(clean):
  _, directory, _ = clean
  (directory / "report.html").unlink()
  code, out, err = call("experiments.report", directory, "--json")
  assert code == 0, err
  found = json.loads(out)["runs"]
  assert len(found) == 6
  assert {run["status"] for run in found} == {"done"}
  assert {run["last_step"] for run in found} == {300}
  assert all(run["metrics"]["points/frechet"] > 0 for run in found)
  code, out, _ = call("experiments.report", directory)
  assert code == 0
  assert (directory / "report.html").exists()
  for form in ("csv", "jsonl", "tensorboard"):
    code, out, err = call("experiments.export", directory, f"--format={form}")
    assert code == 0, err
    assert Path(out.strip().splitlines()[-1]).exists()


def test_train_is_one_run(tmp_path):
  config = tmp_path / "plain.py"
  config.write_text(PLAIN)
  code, _, err = call("experiments.train", config, "--config.loss=hinge", "--config.steps=7", "--out", tmp_path / "one")
  assert code == 0, err
  (group,) = runs.read_manifest(tmp_path / "one")["groups"]
  assert [m["config"]["loss"] for m in group["members"]] == ["hinge"]
  assert runs.read_status(tmp_path / "one")["groups"]["group-0"]["step"] == 7


def test_a_diverged_run_is_a_result(tmp_path, capsys):
  """A learning rate that overflows: the run is frozen and listed, its neighbour trains on, the study succeeds."""
  config = tmp_path / "diverging.py"
  config.write_text(PLAIN)
  sweep_command.main([str(config), "--out", str(tmp_path / "study")])
  capsys.readouterr()
  report_command.main([str(tmp_path / "study"), "--json"])
  done, diverged = json.loads(capsys.readouterr().out)["runs"]
  assert (done["status"], diverged["status"]) == ("done", "diverged")
  assert 0 <= diverged["last_step"] < 10
  assert diverged["metrics"]["gen/loss"] is None
  assert done["metrics"]["gen/loss"] is not None
  assert "diverged" in (tmp_path / "study" / "report.html").read_text()


BAD = {
  "an unknown loss": (["--config.loss=hing"], "unknown loss 'hing'; did you mean 'hinge'?"),
  "an unknown penalty": (["--config.penalty=r11"], "unknown penalty 'r11'"),
  "an unknown model": (["--config.model=mpl"], "unknown model 'mpl'; did you mean 'mlp'?"),
  "an unknown dataset": (["--config.dataset=digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
  "an unknown field": (["--config.stesp=5"], "unknown config field 'stesp'; did you mean 'steps'?"),
  "a wrong type": (["--config.steps=many"], "'steps' expected int"),
  "a batch larger than the data": (
    ["--config.dataset=digits", "--config.batch_size=5000"],
    "at most the 1438 examples",
  ),
  "a penalty with a coupled critic": (["--config.model_options.discriminator_norm=batch"], "couples the examples"),
  "no data directory": (["--config.dataset=mnist", "--config.dataset_options.data_dir=nowhere"], "nowhere"),
  "no such argument": (["--frobnicate"], "expected --config.field=value, got '--frobnicate'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_before_anything_is_written(case, tmp_path):
  arguments, words = BAD[case]
  with pytest.raises(BadInput) as caught:
    study.run(str(write_config(tmp_path)), arguments, tmp_path / "study", single=False)
  assert words in str(caught.value)
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "study").exists()


def test_bad_input_ends_with_exit_code_2_and_one_line(tmp_path):
  for arguments in (
    ("experiments.sweep", write_config(tmp_path), "--config.loss=hing", "--out", tmp_path / "x"),
    ("experiments.sweep",),
    ("experiments.report", tmp_path),
    ("experiments.export", tmp_path, "--format=xml"),
  ):
    code, out, err = call(*arguments)
    assert code == 2
    assert out.count("\n") <= 2  # what was begun, before jax was imported and found the fault
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_directory_that_holds_another_study_is_not_touched(clean, tmp_path):
  config, directory, _ = clean
  before = {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
  with pytest.raises(BadInput, match=r"holds another study \(steps: 300 there, 150 asked for\)"):
    study.run(str(config), ["--config.steps=150"], directory, single=False)
  assert {p: p.stat().st_mtime_ns for p in directory.rglob("*")} == before
  (tmp_path / "letters").mkdir()
  (tmp_path / "letters" / "love.txt").write_text("x")
  with pytest.raises(BadInput, match=r"holds other files \(love.txt"):
    study.run(str(config), [], tmp_path / "letters", single=False)
  assert [p.name for p in (tmp_path / "letters").iterdir()] == ["love.txt"]


def test_a_directory_that_cannot_be_written(clean, tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(BadInput, match=r"cannot be written"):
    study.run(str(clean[0]), [], tmp_path / "file" / "study", single=False)


@pytest.mark.parametrize(("images", "fields", "words"), [
  (1, "'batch_size': 1", "dataset 'mnist' expected more than 64 images, .*, got 1; metric kid can"),
  (64, "'batch_size': 8", "dataset 'mnist' expected more than 64 images, .*, got 64; metric kid can"),
  (70, "'batch_size': 8, 'hold_out': 71", "hold_out expected at most the 70 examples of dataset 'mnist'"),
  (70, "'batch_size': 71", "batch_size expected at most the 70 examples"),
  (70, "'batch_size': 8, 'hold_out': 20", "that are trained on and the 3 held out, got 8"),
])  # fmt: skip
def test_too_little_data_are_refused_before_anything_is_written(images, fields, words, tmp_path):
  (tmp_path / "data").mkdir()
  write_set(tmp_path / "data", images=np.zeros((images, 8, 8), np.uint8), labels=np.arange(images, dtype=np.uint8) % 10)
  path = tmp_path / "few.py"
  path.write_text(
    f"def get_config():\n  return {{'dataset': 'mnist', 'dataset_options.data_dir': {str(tmp_path / 'data')!r}, {fields}}}\n"
  )
  with pytest.raises(BadInput, match=words):
    study.run(str(path), [], tmp_path / "out", single=True)
  assert not (tmp_path / "out").exists()


def test_a_full_disk_keeps_the_last_checkpoint_and_the_same_command_goes_on(clean, tmp_path):
  """A real, small file system; exit code 1, one sentence, and after making room the same bits."""
  config, whole, _ = clean
  disk = tmp_path / "disk"
  disk.mkdir()
  mounted = subprocess.run(
    ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False
  )
  if mounted.returncode:
    pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
  try:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(450_000))  # 570 kB are left of the 750 that the study needs
    code, _, err = call(UNDRAWN, config, "--out", disk / "study")
    assert code == 1, err
    assert "the disk is full" in err.splitlines()[-1]
    assert "the same command goes on" in err.splitlines()[-1]
    assert "Traceback" not in err
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    ballast.unlink()
    code, out, err = call(UNDRAWN, config, "--out", disk / "study")
    assert code == 0, err
    assert "resuming at step" in out
    assert contents(disk / "study") == contents(whole)
  finally:
    subprocess.run(["umount", str(disk)], check=False)
