"""Studies that several workers train: the bits of one process, whoever is killed, and nothing is trained twice."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import command, launching, sweep
from gan_jax import runs, settings
from gan_jax.core.errors import BadInput, Failure
from gan_jax.launch import drive, local
from gan_jax.launch.tasks import Ended
from gan_jax.runner import loop, preflight
from gan_jax.runner.signals import Stop
from gan_jax.runs import lock, tries
from tests.conftest import ROOT
from tests.support import programs
from tests.support.pages import undrawn

CONFIG = '''"""One program in two parts, of a run each."""

def get_config():
  return {
    "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1}, "dataset": "ring", "latent_size": 2,
    "batch_size": 16, "steps": 40, "probe_every": 10, "evaluate_every": 20, "checkpoint_every": 20,
    "evaluation_samples": 100, "most_members": 1,
  }

def sweep(s):
  return s.param("seed", [0, 1])
'''
GROUPS = ["group-0", "group-1"]


class InProcess:
  """An engine whose tasks run here, one after another, each to its end before `start` returns."""

  def __init__(self, shares):
    self.places, self.over = len(shares), []

  def room(self):
    return self.places

  def start(self, tasks):
    for task in tasks:
      with open(task.log, "a") as log, contextlib.redirect_stdout(log):
        self.over.append(Ended(task.group, called(list(task.command), log)))

  def poll(self):
    found, self.over = self.over, []
    return found

  def running(self):
    return {ended.group for ended in self.over}

  def stop(self, number):
    pass


def called(words: list[str], log) -> int:
  """The exit code of `sweep`, called in this process."""
  assert words[:4] == [sys.executable, "-m", "gan_jax.commands", "sweep"]
  try:
    sweep.main(words[4:])
  except (BadInput, Failure) as error:
    log.write(f"error: {error}\n")
    return 2 if isinstance(error, BadInput) else 1
  except Exception:
    log.write(traceback.format_exc())
    return 1
  return 0


def contents(study: Path, step: int = 40) -> dict[str, bytes]:
  """Everything that must be the same bits: tables, pictures, best generators, and the digests of the last states."""
  names = ("rows", "quality", "samples", "best")
  found = {str(p.relative_to(study)): p.read_bytes() for name in names for p in (study / name).rglob("*.npz")}
  states = {group: (study / "checkpoints" / group / f"{step}/meta/metadata").read_text() for group in GROUPS}
  return found | {group: json.dumps(json.loads(text)["leaves"]).encode() for group, text in states.items()}


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
  with programs.shared(), undrawn():
    yield


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp("config") / "three.py"
  path.write_text(CONFIG)
  return path


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
  """A study that one process trained."""
  study = tmp_path_factory.mktemp("whole") / "study"
  sweep.main([str(config), "--out", str(study)])
  return study


@pytest.fixture(scope="module")
def part(config, tmp_path_factory):
  """(a study whose second group always failed, how its launch ended): two workers in this process trained it."""
  study = tmp_path_factory.mktemp("part") / "study"
  trained = loop.run_group

  def failing(study, group, *others):
    if group.name == "group-1":
      raise RuntimeError("user code failed")
    return trained(study, group, *others)

  with pytest.MonkeyPatch.context() as patched:
    alone(patched)
    patched.setattr(loop, "run_group", failing)
    with pytest.raises(Failure) as failure:
      sweep.main([str(config), "--out", str(study), "--workers=2"])
  return study, str(failure.value)


def alone(patched: pytest.MonkeyPatch) -> None:
  """Launches of this process run their workers here, and their requests to stop are their own."""
  patched.setattr(local, "Local", InProcess)
  stop = Stop(lambda code, sentence: None)
  patched.setattr(command, "stop", lambda: stop)


def test_a_group_that_fails_for_good_does_not_keep_the_others(part):
  study, said = part
  log = study / "launch" / "group-1.log"
  assert said == (
    f"group-1 failed with exit code 1, tried 2 times: RuntimeError: user code failed (its output: {log}); all other groups "
    "are trained, and the same command tries again"
  )
  assert log.read_text().count("Traceback") == log.read_text().count("--- group-1, try ") == 2
  status = runs.read_status(study)["groups"]
  assert [bool(status.get(group, {}).get("complete")) for group in GROUPS] == [True, False]
  assert not (study / "report.html").exists()
  assert [(name, one.cause, count) for name, one, count in tries.failures(study)] == [("group-1", "failed", 2)]


def test_the_same_command_trains_what_is_left_to_the_bits_of_one_process(part, whole, config, tmp_path, monkeypatch):
  shutil.copytree(part[0], study := tmp_path / "study")
  before = {path: path.stat().st_mtime_ns for path in study.glob("rows/group-0/*.npz")}
  assert len(before) == 2
  alone(monkeypatch)
  sweep.main([str(config), "--out", str(study), "--workers=2"])
  assert contents(study) == contents(whole)
  assert {path: path.stat().st_mtime_ns for path in before} == before
  assert (study / "report.html").exists()
  found = tries.read(study)
  assert (found.launch, found.code, tries.failures(study)) == (2, 0, [])
  assert [one.cause for one in found.groups["group-1"]] == ["failed", "failed", "done"]
  there, here = (runs.read_manifest(path) for path in (whole, study))
  assert {**here, "created": "", "sha256": ""} == {**there, "created": "", "sha256": ""}


def test_a_group_that_another_worker_trains_is_locked_and_the_study_can_still_be_joined(part, config, tmp_path):
  shutil.copytree(part[0], study := tmp_path / "study")
  with lock.group_lock(study, "group-1"):
    sweep.main([str(config), "--out", str(study), "--only", "begin"])
    sweep.main([str(config), "--out", str(study), "--only", "group-0"])  # complete already
    with pytest.raises(BadInput, match="is being written by another process"):
      sweep.main([str(config), "--out", str(study)])
  with lock.writer_lock(study), pytest.raises(BadInput, match="is being written by another process"):
    sweep.main([str(config), "--out", str(study), "--only", "begin"])
  with pytest.raises(Failure, match="is not trained to its end"):
    sweep.main([str(config), "--out", str(study), "--only", "report"])


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--workers=0"], "--workers expected at least 1, got 0"),
    (["--workers=2", "--only", "group-0"], "--only expected no launcher"),
    (["--workers=2", "--log=tensorboard"], "--log expected one process"),
    (["--only", "group-9"], "unknown group of --only 'group-9'"),
    (["--only", "../x"], r"unknown group of --only '../x'"),
  ],
)
def test_what_cannot_be_launched_is_refused(part, config, arguments, said):
  with pytest.raises(BadInput, match=said):
    sweep.main([str(config), "--out", str(part[0]), *arguments])


def test_what_a_worker_refuses_is_said_once_and_leaves_no_trace(config, tmp_path, monkeypatch, capsys):
  alone(monkeypatch)
  with pytest.raises(BadInput, match=r"^unknown loss 'hing'; did you mean 'hinge'"):
    sweep.main([str(config), "--out", str(tmp_path / "study"), "--workers=2", "--config.loss=hing"])
  said = "".join(capsys.readouterr())
  assert "2 runs of" in said
  assert "hing'" not in said
  assert not list(tmp_path.iterdir())


def test_halving_is_refused_and_leaves_no_trace(config, tmp_path, monkeypatch):
  alone(monkeypatch)
  halved = tmp_path / "halved.py"
  halved.write_text(config.read_text() + '\ndef halving():\n  return {"at": [20]}\n')
  with pytest.raises(
    BadInput, match=r"^halving\(\) of .* expected one process, .*: leave out --launcher and --workers$"
  ):
    sweep.main([str(halved), "--out", str(tmp_path / "study"), "--workers=2"])
  assert sorted(path.name for path in tmp_path.iterdir()) == ["halved.py"]


def test_a_disk_that_is_too_small_is_told_in_one_sentence_and_leaves_no_trace(config, tmp_path, monkeypatch):
  alone(monkeypatch)
  monkeypatch.setattr(preflight, "OF_PAGE", 10**18)
  with pytest.raises(Failure, match=r"^.*study expected at least .* of free space .* got .*: free some, .*$") as told:
    sweep.main([str(config), "--out", str(tmp_path / "study"), "--workers=2"])
  assert "\n" not in str(told.value)
  assert not list(tmp_path.iterdir())


def test_a_fork_that_workers_train_has_the_bits_of_one_that_a_single_process_trains(
  whole, config, tmp_path, monkeypatch
):
  """And it is made by the process that begins it: the launcher itself does not need jax, or hold a GPU's memory."""
  before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
  alone(monkeypatch)
  for name, workers in (("one", []), ("several", ["--workers=2"])):
    sweep.main([str(config), "--out", str(whole), "--fork", str(tmp_path / name), "--config.steps=60", *workers])
  assert contents(tmp_path / "one", 60) == contents(tmp_path / "several", 60)
  assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
  said = f"several forks {whole} at step 40: steps 40 -> 60\n"
  assert said in (tmp_path / "several" / "launch" / "begin.log").read_text()
  one, several = (runs.read_manifest(tmp_path / name) for name in ("one", "several"))
  assert one["fork"] == several["fork"]
  with pytest.raises(BadInput, match=r"--fork expected a directory outside of .*, which is only read"):
    sweep.main([str(config), "--out", str(whole), "--fork", str(whole / "x"), "--workers=2"])
  with pytest.raises(BadInput, match="--fork expected --out DIR"):
    sweep.main([str(config), "--fork", str(tmp_path / "x"), "--workers=2"])
  assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_launcher_that_leaves_at_once_asks_its_workers_to_stop_and_has_ended_by_itself(tmp_path, monkeypatch):
  """So after a second Ctrl-C the next launch tries everything anew, and has nothing to say of older tries."""
  asked, left, engine = [], [], InProcess([{}])
  monkeypatch.setattr(engine, "stop", asked.append)
  monkeypatch.setattr(command, "leave_with", lambda code, sentence: left.append((code, sentence)))
  drive.launched(tmp_path)
  launching._leaving(tmp_path, engine)(130, "stopped by Ctrl-C")
  assert (asked, left) == ([signal.SIGTERM], [(130, "stopped by Ctrl-C")])
  assert tries.read(tmp_path).code == 130


def test_a_group_that_became_longer_is_not_counted_as_done(part):
  """Also where the launch was killed between the manifest and the status, which still says that it is complete."""
  study, said = part[0], []
  manifest = runs.read_manifest(study)
  for group in manifest["groups"]:
    group["members"][0]["config"]["steps"] = 80
  launching._follow(study, manifest, SimpleNamespace(step=lambda at, of, text: said.append((at, of, text))))(
    {"group-0"}
  )
  assert said == [(40, 160, "0 of 2 groups done; group-0 at 40")]


WORKER = """
import os, sys, time
from pathlib import Path
from gan_jax.runner import worker
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop

study, group, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
worker.LOOK = 0.05
with worker.held(study, group, Progress(), Stop()):
  if not (study / f"{group}.done").exists():
    with open(study / "trained", "a") as file:
      file.write(f"{group} {os.getpid()}\\n")
    time.sleep(seconds)
    (study / f"{group}.done").touch()
"""
THREE = ["group-0", "group-1", "group-2"]
LAUNCHER = """
import sys
from pathlib import Path
from gan_jax.core import cores
from gan_jax.core.errors import Stopped
from gan_jax.launch import alone, drive, local, shares, tasks
from gan_jax.runner import signals

study, script, seconds, *groups = Path(sys.argv[1]), *sys.argv[2:]
tasks.FIRST_WAIT = 0.1
stop = signals.Stop(lambda code, sentence: sys.exit(code))
stop.unsaved = True
engine = local.Local(shares.shares(2, cores.numbers(), []))
with signals.attended(stop), alone.alone(study):
  drive.launched(study)
  command = lambda group: (sys.executable, script, str(study), group, seconds)
  place = drive.Place(study, engine, command, print, stop)
  try:
    failed = drive.drive(place, groups)
  except Stopped as error:
    print(error)
    sys.exit(75)
  drive.over(study, 0)
  print(failed)
"""


@pytest.fixture
def launched(whole, tmp_path):
  """(a study that is begun, a function that launches workers which only hold their locks for some seconds)."""
  study = tmp_path / "study"
  study.mkdir()
  manifest = runs.read_manifest(whole)
  first = manifest["groups"][0]
  configs = [{**first["members"][0]["config"], "seed": number} for number in range(3)]
  members = [[{"id": settings.identity(config), "config": config}] for config in configs]
  groups = [{**first, "name": name, "members": own} for name, own in zip(THREE, members, strict=True)]
  runs.write_manifest(study, {**manifest, "groups": groups})
  (tmp_path / "worker.py").write_text(WORKER)
  (tmp_path / "launcher.py").write_text(LAUNCHER)
  env = os.environ | {"PYTHONPATH": str(ROOT)}

  def launch(seconds: float, *groups: str) -> subprocess.Popen:
    words = [sys.executable, tmp_path / "launcher.py", study, tmp_path / "worker.py", seconds, *groups]
    return subprocess.Popen(list(map(str, words)), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

  return study, launch


def trained(study: Path, count: int) -> list[list[str]]:
  """(group, process) of each training, once so many have begun."""
  end = time.monotonic() + 60
  while time.monotonic() < end:
    with contextlib.suppress(FileNotFoundError):
      found = [line.split() for line in (study / "trained").read_text().splitlines()]
      if len(found) >= count:
        return found
    time.sleep(0.02)
  raise AssertionError(f"not {count} trainings: {[p.read_text() for p in study.glob('launch/*.log')]}")


def test_a_launcher_that_is_killed_leaves_its_workers_and_the_next_one_trains_nothing_twice(launched):
  study, launch = launched
  first = launch(4, *THREE)
  trained(study, 2)
  first.kill()
  first.communicate()
  second = launch(0, *THREE)
  out, _ = second.communicate(timeout=120)
  assert (second.returncode, out.splitlines()[-1]) == (0, "[]"), out
  assert sorted(group for group, _ in trained(study, 3)) == THREE
  found = tries.read(study)
  assert (found.launch, found.code) == (1, 0)  # the killed launch is continued
  assert [[one.cause for one in found.of(group)] for group in THREE] == [["", "done"], ["", "done"], ["done"]]


def test_a_worker_that_is_killed_is_started_again_and_a_signal_is_passed_on(launched):
  study, launch = launched
  running = launch(600, *THREE[:2])
  (group, pid), other = trained(study, 2)
  os.kill(int(pid), signal.SIGKILL)
  again = trained(study, 3)[2]
  assert (again[0], again[1] != pid) == (group, True)
  running.send_signal(signal.SIGTERM)
  out, _ = running.communicate(timeout=120)
  assert running.returncode == 75, out
  assert f"{group} was killed (SIGKILL) at step 0: tried again in 0.1 s" in out
  assert "SIGTERM: waiting for 2 workers to save and stop" in out
  assert "stopped by SIGTERM: what was trained is saved, and the same command goes on from there" in out
  for _, number in (again, other):
    with pytest.raises(ProcessLookupError):
      os.kill(int(number), 0)


def test_the_command_line_refuses_what_a_worker_refuses_with_its_sentence_and_code(config, tmp_path):
  """In processes, of which the worker ends before it would start jax."""
  words = [sys.executable, "-m", "gan_jax.commands", "sweep", config, "--out", tmp_path / "study", "--workers=2"]
  env = os.environ | {"PYTHONPATH": str(ROOT)}
  done = subprocess.run(
    [*map(str, words), "--config.losss=hinge"], env=env, capture_output=True, text=True, check=False, cwd=tmp_path
  )
  assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
  assert done.stderr.startswith("error: unknown config field 'losss'; did you mean 'loss'?")
  assert list(tmp_path.iterdir()) == []
