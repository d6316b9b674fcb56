"""Tasks as jobs of Slurm: what is asked of it, how it is told, and a real Slurm of one node where one can be started."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from gan_jax import runs
from gan_jax.core.errors import BadInput, Failure
from gan_jax.launch import drive, slurm, tasks
from gan_jax.launch.slurm import engine, job, queue
from gan_jax.report import terminal_table
from gan_jax.runs import tries
from gan_jax.runs.tries import Tries
from tests.support import cluster

# Counts to its second argument in the file of its first, ten times a second. Asked to stop it saves, and says by what.
WORKER = """
import os, signal, sys, time
from pathlib import Path

file, wanted, asked = Path(sys.argv[1]), int(sys.argv[2]), []
for number in (signal.SIGTERM, signal.SIGUSR2):
  signal.signal(number, lambda number, _: asked.append(number))
count = int(file.read_text()) if file.exists() else 0
print(f"from {count} on {len(os.sched_getaffinity(0))} core", flush=True)
while count < wanted:
  time.sleep(0.1)
  count += 1
  file.write_text(str(count))
  if asked:
    time.sleep(0.3)
    print(f"saved {count}, asked by {asked}", flush=True)
    sys.exit(75)
print("done", flush=True)
"""
# Counts as the one above, and stops as gan_jax does: it saves only where it is asked to stop, which takes a second.
SAVING = """
import os, sys, time
from pathlib import Path
from gan_jax.runner.signals import Stop, attended

def leave(code, sentence):
  print("left without saving", flush=True)
  os._exit(code)

file, stop = Path(sys.argv[1]), Stop(leave)
count, stop.unsaved = int(file.read_text()) if file.exists() else 0, True
print(f"from {count}", flush=True)
with attended(stop):
  while count < int(sys.argv[2]):
    time.sleep(0.1)
    count += 1
    if stop.wanted:
      time.sleep(1.0)
      file.write_text(str(count))
      print(f"saved {count}", flush=True)
      sys.exit(75)
print("done", flush=True)
"""


def test_options_are_those_of_sbatch():
  asked = slurm.read(["--slurm.partition=gpu", "--slurm.gpus_per_task=2", "--slurm.exclusive", "--slurm.time=1-0"])
  assert asked.sbatch == {"time": "1-0", "partition": "gpu", "gpus-per-task": "2", "exclusive": True}
  assert slurm.read([]).sbatch == {"time": "4:00:00"}
  own = slurm.read(["--slurm.signal-delay=300", "--slurm.array_parallelism=4", "--slurm.setup=module load cuda"])
  assert own[1:] == (4, 300, 15, "module load cuda")


def test_options_of_a_file_give_way_to_the_command_line(tmp_path):
  (tmp_path / "gpu.json").write_text(
    '{"partition": "gpu", "mem_per_cpu": "4G", "cpus-per-task": 8, "exclusive": false}'
  )
  asked = slurm.read([f"--slurm.file={tmp_path / 'gpu.json'}", "--slurm.partition=cpu"])
  assert asked.sbatch == {"time": "4:00:00", "partition": "cpu", "mem-per-cpu": "4G", "cpus-per-task": "8"}


@pytest.mark.parametrize(
  ("flags", "reason"),
  [
    (["--slurm.array=0-3"], "every group is one task"),
    (["--slurm.ntasks=2"], "a group is one process"),
    (["--slurm.output=x"], "in the study's folder"),
    (["--slurm.signal-delay=soon"], "from 1 to 65535"),
    (["--slurm.partition=a\nsrun evil"], "printable"),
    (["--slurm.partition="], "printable"),
    (["--slurm.part ition=a"], "a long option of sbatch"),
    (["--slurm.file=/nowhere.json"], "cannot read"),
    (["--slurm.time=1"], "more than --slurm.signal-delay"),
  ],
)
def test_what_is_not_for_the_user_to_set_is_refused(flags, reason):
  with pytest.raises(BadInput, match=reason):
    slurm.read(flags)


@pytest.fixture
def programs(tmp_path, monkeypatch):
  """Programs in the place of Slurm's: `programs(squeue="cat answer")`; `called` has the lines by which they were called."""
  folder = tmp_path / "bin"
  folder.mkdir()
  monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

  def answer(**bodies):
    for name, body in bodies.items():
      (folder / name).write_text(f'#!/bin/bash\necho "{name} $*" >>{tmp_path}/called\n{body}\n')
      (folder / name).chmod(0o755)

  return answer


@pytest.mark.parametrize(
  ("code", "state", "requeued"),
  [
    (75, "RUNNING", True),
    (143, "RUNNING", True),  # SIGTERM before the worker had a handler
    (75, "SIGNALING", True),  # it was faster than Slurm, which notes that the signal has come
    (75, "CANCELLED", False),  # `scancel`, which sends SIGTERM too: the job must not rise from the dead
    (75, "PENDING", False),  # somebody else has put it back
    (1, "RUNNING", False),
    (0, "RUNNING", False),
  ],
)
def test_the_script_puts_a_job_back_that_saved_and_that_nobody_cancelled(tmp_path, programs, code, state, requeued):
  programs(scontrol=f'[ "$1" = requeue ] || echo "JobId=9 ArrayJobId=7 JobState={state} Requeue=1"')
  folder = tmp_path / "a 'folder' $(id)"
  folder.mkdir()
  begin, end = job.script(folder, "")
  script = "\n".join([*begin, f"(exit {code})", *end])
  ids = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
  ended = subprocess.run(["bash", "-c", script], env={**os.environ, **ids}, check=False)
  assert ended.returncode == code
  assert job.outcome(folder, 2) == {"job": "9", "host": os.uname().nodename, "code": code}
  called = (tmp_path / "called").read_text() if (tmp_path / "called").exists() else ""
  assert ("scontrol requeue 7_2" in called) == requeued
  assert "requeue 7\n" not in called  # the whole array


@pytest.mark.parametrize(
  ("line", "code", "written", "cause"),
  [
    ("COMPLETED|0|None", 0, 0, "done"),
    ("FAILED|256|NonZeroExitCode", 1, 1, "failed"),
    ("FAILED|512|NonZeroExitCode", 2, 2, "refused"),
    ("FAILED|19200|NonZeroExitCode", 75, 75, "preempted"),  # `scontrol requeue` failed
    ("FAILED|9|None", -9, None, "killed"),
    ("OUT_OF_MEMORY|9|OutOfMemory", -9, None, "out of memory"),
    ("NODE_FAIL|0|NodeDown", -9, None, "killed"),
    ("TIMEOUT|0|TimeLimit", -9, None, "hung"),
    ("PREEMPTED|0|None", -9, None, "preempted"),
    ("CANCELLED|0|None", 75, 75, "cancelled"),
    ("", -9, None, "killed"),  # it is forgotten
    ("", 0, 0, "done"),
    ("CANCELLED|0|None", 0, 0, "done"),  # it was cancelled at its very end
  ],
)
def test_why_a_job_ended(tmp_path, programs, monkeypatch, line, code, written, cause):
  folder = tmp_path / "launch" / "slurm" / "0a"
  folder.mkdir(parents=True)
  record = {"name": "study-0a", "groups": ["group-0"], "logs": [str(tmp_path / "log")]}
  (folder / "submission.json").write_text(json.dumps(record))
  programs(squeue="echo 'study-0a|17_0|RUNNING|0|None|0|'")
  launcher = slurm.Slurm(tmp_path, slurm.read([]))
  assert launcher.running() == {"group-0"}
  if written is not None:
    (folder / "0.json").write_text(json.dumps({"job": "17", "host": "h", "code": written}))
  programs(squeue=f"echo 'study-0a|17_0|{line}|0|'" if line else "exit 0")
  monkeypatch.setattr(time, "monotonic", lambda: next(clock))
  clock = iter(range(0, 10**6, 60))
  assert launcher.poll() == []  # a job that is put back may be away for a moment
  (ended,) = launcher.poll()
  assert (ended.code, tasks.cause(ended, "")) == (code, cause)
  assert launcher.running() == set()


def test_a_controller_that_does_not_answer_is_waited_for(tmp_path, programs, monkeypatch):
  folder = tmp_path / "launch" / "slurm" / "0a"
  folder.mkdir(parents=True)
  record = {"name": "study-0a", "groups": ["group-0"], "logs": [str(tmp_path / "log")]}
  (folder / "submission.json").write_text(json.dumps(record))
  programs(squeue="exit 1")
  with pytest.raises(Failure, match="none were submitted"):
    slurm.Slurm(tmp_path, slurm.read([]))
  programs(squeue="echo 'study-0a|17_0|PENDING|0|Resources|0|'")
  launcher = slurm.Slurm(tmp_path, slurm.read([]))
  programs(squeue="exit 1")
  clock = iter(range(0, 10**6, 60))
  monkeypatch.setattr(time, "monotonic", lambda: next(clock))
  assert [launcher.poll() for _ in range(3)] == [[], [], []]
  assert launcher.running() == {"group-0"}


def test_a_job_that_is_put_back_and_saves_nothing_is_told_of(tmp_path, programs, monkeypatch):
  folder = tmp_path / "launch" / "slurm" / "0a"
  folder.mkdir(parents=True)
  record = {"name": "study-0a", "groups": ["group-0"], "logs": [str(tmp_path / "log")]}
  (folder / "submission.json").write_text(json.dumps(record))
  clock = iter(range(0, 10**6, 60))
  monkeypatch.setattr(time, "monotonic", lambda: next(clock))
  said = []
  programs(squeue="echo 'study-0a|17_0|PENDING|0|BeginTime|0|'")
  launcher = slurm.Slurm(tmp_path, slurm.read([]), said.append)
  warned = []
  for restarts, step in ((0, 0), (1, 0), (2, 100), (3, 100), (4, 100), (5, 100), (6, 100)):
    (tmp_path / "checkpoints" / "group-0" / str(step)).mkdir(parents=True, exist_ok=True)
    programs(squeue=f"echo 'study-0a|17_0|PENDING|0|BeginTime|{restarts}|'")
    launcher.poll()
    warned.append(sum("long enough" in text for text in said))
  assert warned == [0, 0, 0, 0, 0, 1, 1]


def test_a_job_that_is_suspended_does_not_count_as_running():
  states = ("RUNNING", "SUSPENDED", "PENDING", "COMPLETED", "COMPLETING")
  jobs = [queue.Job("a", str(number), state, 0, "Resources", 0) for number, state in enumerate(states)]
  assert engine._standing(jobs) == "Slurm: 2 running, 1 suspended, 1 waiting (Resources)"
  assert engine._standing(jobs[:1]) == "Slurm: 1 running, 0 waiting"


def test_a_machine_without_slurm_is_told_so(monkeypatch):
  monkeypatch.setenv("PATH", "/nowhere")
  with pytest.raises(BadInput, match="found no sbatch"):
    slurm.check(slurm.read([]))


@pytest.fixture(scope="module")
def real():
  """A Slurm of one node with two processors."""
  if reason := cluster.missing():
    pytest.skip(reason)
  pytest.importorskip("submitit", reason="no submitit: pip install submitit")
  with cluster.running() as environment:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    yield
    os.environ.clear()
    os.environ.update(before)


def asked(*command):
  return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def until(condition, launcher=None, seconds=60.0):
  """Wait; returns the tasks that ended meanwhile, by their groups."""
  found = {}
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, asked("squeue")
    found |= {ended.group: ended for ended in launcher.poll()} if launcher else {}
    time.sleep(0.05)
  return found


def test_a_cluster_refuses_before_anything_is_submitted(real):
  assert slurm.check(slurm.read(["--slurm.partition=normal", "--slurm.cpus-per-task=2"])) == ""
  for flags, reason in (
    (["--slurm.partition=nrmal"], "did you mean 'normal'.* known: normal, urgent"),
    (["--slurm.mem=100G"], "node configuration is not available"),
    (["--slurm.time=soon"], "Invalid --time"),
    (["--slurm.colour=red"], "unrecognized option"),
  ):
    with pytest.raises(BadInput, match=reason):
      slurm.check(slurm.read(flags))
  assert asked("squeue", "--noheader") == ""


def test_jobs_are_pre_empted_cancelled_and_found_again(real, tmp_path):
  """On a real Slurm: three tasks, of which one is pre-empted, saves and goes on, one is cancelled, and one waits."""
  (tmp_path / "worker.py").write_text(WORKER)
  study = tmp_path / "a study's folder"

  def task(number, wanted):
    count = str(tmp_path / f"count-{number}")
    command = (sys.executable, "-S", str(tmp_path / "worker.py"), count, str(wanted))
    return tasks.Task(f"group-{number}", command, tmp_path / f"log-{number}")

  options = slurm.read(["--slurm.cpus-per-task=1", "--slurm.time=10", "--slurm.poll=1"])
  first = slurm.Slurm(study, options, lambda text: None)
  first.start([task(0, 30), task(1, 10**6), task(2, 5)])
  until(lambda: (tmp_path / "count-0").exists() and (tmp_path / "count-1").exists())
  launcher = slurm.Slurm(study, options, lambda text: None)  # the first is no more
  assert launcher.running() == {"group-0", "group-1", "group-2"}

  asked("sbatch", "--partition=urgent", "--cpus-per-task=1", "--output=/dev/null", "--wrap=sleep 1")
  said = {number: (tmp_path / f"log-{number}") for number in (0, 1)}
  ended = until(lambda: any("saved" in log.read_text() for log in said.values()), launcher)
  texts = lambda: [log.read_text() for log in said.values()]  # noqa: E731
  ended |= until(lambda: all(text.count("from") == 1 + text.count("saved") for text in texts()), launcher)
  number = next(one for one in launcher._jobs.values() if one.place == 1).number
  asked("scancel", number)
  ended |= until(lambda: not launcher.running(), launcher)

  assert {group: tasks.cause(one, "") for group, one in ended.items()} == {
    "group-0": "done",
    "group-1": "cancelled",
    "group-2": "done",
  }
  assert (tmp_path / "count-0").read_text() == "30"
  assert any("saved" in text and "asked by [15]" in text for text in texts())  # one signal, once
  assert all("on 1 core" in text for text in texts())
  assert stat.S_IMODE((study / "launch" / "slurm").stat().st_mode) == 0o700
  time.sleep(1)
  assert asked("squeue", "--noheader", "--states=PENDING,RUNNING", f"--jobs={number.partition('_')[0]}") == ""


def test_a_job_that_is_pre_empted_without_grace_saves_and_goes_on(real, tmp_path):
  """Slurm puts it back itself, and it has the seconds of KillWait. SIGTERM comes twice: from Slurm, and through srun."""
  (tmp_path / "worker.py").write_text(SAVING)
  command = (sys.executable, str(tmp_path / "worker.py"), str(tmp_path / "count"), "30")
  log = tmp_path / "group-0.log"
  launcher = slurm.Slurm(tmp_path, slurm.read(["--slurm.time=10", "--slurm.poll=1"]), lambda text: None)
  asked("scontrol", "update", "PartitionName=normal", "GraceTime=0")
  try:
    launcher.start([tasks.Task("group-0", command, log)])
    until(lambda: log.exists() and "from" in log.read_text(), launcher)
    asked("sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 1")
    until(lambda: "saved" in log.read_text() or "left" in log.read_text(), launcher)
    ended = until(lambda: not launcher.running(), launcher)
  finally:
    asked("scontrol", "update", "PartitionName=normal", "GraceTime=20")
  first, saved, heading, again, done = log.read_text().splitlines()
  count = saved.removeprefix("saved ")
  assert (first, again, done) == ("from 0", f"from {count}", "done")
  assert heading.startswith("--- group-0, put back into the queue 1 time, ")
  assert {group: tasks.cause(one, "") for group, one in ended.items()} == {"group-0": "done"}


STUDY = """
def get_config():
  return {
    "dataset": "ring",
    "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
    "latent_size": 2, "batch_size": 8, "steps": 10000, "probe_every": 100, "evaluate_every": 5000,
    "checkpoint_every": 500, "evaluation_samples": 100, "most_members": 1,
  }


def sweep(s):
  return s.param("loss", ["hinge", "minimax"])
"""


costly = pytest.mark.skipif(
  "GAN_JAX_TEST_SLURM" not in os.environ, reason="60 s of processor time: set GAN_JAX_TEST_SLURM"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A study that one process of one core trained, and the command line that did."""
  folder = tmp_path_factory.mktemp("whole")
  (folder / "study.py").write_text(STUDY)
  with pytest.MonkeyPatch.context() as patch:
    patch.delenv("JAX_NUM_CPU_DEVICES")
    sweep = (sys.executable, "-m", "gan_jax.commands", "sweep", str(folder / "study.py"), "--out")
    subprocess.run(["taskset", "-c", "0", *sweep, str(folder / "study")], capture_output=True, check=True)
    yield folder / "study", sweep


def same(study, whole):
  files = sorted(path.relative_to(whole) for table in runs.TABLES for path in whole.glob(f"{table}/*/*"))
  assert len(files) > 20
  assert all((study / file).read_bytes() == (whole / file).read_bytes() for file in files)
  assert terminal_table(study) == terminal_table(whole)


@costly
def test_a_study_whose_jobs_are_pre_empted_has_the_bytes_of_an_undisturbed_one(real, whole, tmp_path):
  """The command itself. A job of a partition with a higher priority takes the whole node while the study is trained."""
  whole, sweep = whole
  study, flags = (
    tmp_path / "study",
    ("--launcher=slurm", "--slurm.cpus-per-task=1", "--slurm.time=10", "--slurm.poll=1"),
  )
  logs = [study / "launch" / f"group-{number}.log" for number in (0, 1)]
  with subprocess.Popen([*sweep, str(study), *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as launcher:
    until(lambda: launcher.poll() is not None or any(study.glob("checkpoints/group-*/500")))
    asked("sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 1")
    said = launcher.communicate(timeout=120)[0].decode()
  assert launcher.returncode == 0, said
  assert "stopped by" not in said
  texts = [log.read_text() for log in logs]
  stopped = [re.search(r"stopped by SIGTERM: step .* is saved", text) for text in texts]
  assert any(stopped), texts
  assert [text.count("put back into the queue 1 time,") for text in texts] == [
    text.count("stopped by") for text in texts
  ]
  every = tries.read(study)
  assert [[one.cause for one in every.of(group)] for group in ("group-0", "group-1", "report")] == [["done"]] * 3
  same(study, whole)


@costly
def test_a_group_on_slurm_has_the_bytes_of_one_that_was_never_stopped(real, whole, tmp_path):
  """Of a finished study one group is trained again: as a job, which is asked to save, is put back, and goes on."""
  whole, sweep = whole
  study = tmp_path / "study"
  shutil.copytree(whole, study)
  for table in ("rows", "quality", "samples", "best", "checkpoints"):
    shutil.rmtree(study / table / "group-1")
  with runs.changed_status(study) as status:
    del status["groups"]["group-1"]

  options = slurm.read(["--slurm.cpus-per-task=1", "--slurm.time=10", "--slurm.poll=1"])
  launcher = slurm.Slurm(study, options, lambda text: None)
  asks = iter([1])

  def ask(running):
    """Once, as soon as there is a checkpoint."""
    if (study / "checkpoints" / "group-1" / "500").exists() and next(asks, None):
      asked("scancel", "--signal=USR2", launcher._jobs["group-1"].number)

  command = lambda group: (*sweep, str(study), "--only", group)  # noqa: E731
  place = drive.Place(study, launcher, command, lambda text: None, SimpleNamespace(asked=None), ask)
  assert drive.drive(place, ["group-1"]) == []

  assert (study / "launch" / "group-1.log").read_text().count("stopped by SIGUSR2") == 1
  same(study, whole)


def test_a_task_that_an_ended_launch_left_to_the_cluster_counts_for_the_one_that_sees_its_end():
  """After `--detach` or Ctrl-C, whose launch ended by itself."""
  left = Tries().begin().started("group-0", 5.0).end(0).begin()
  (seen,) = left.ended("group-0", ended=9.0, cause="done").of("group-0")
  assert (seen.launch, seen.began, seen.cause) == (2, 5.0, "done")
