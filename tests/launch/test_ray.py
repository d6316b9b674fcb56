"""Tasks on Ray: what is asked of it, and a real Ray on this machine whose processes are killed."""

import contextlib
import fcntl
import importlib.util
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from experiments import sweep
from gan_jax.core.errors import BadInput
from gan_jax.launch import ray, tasks
from gan_jax.launch.ray import client as ray_client
from gan_jax.launch.ray import engine as ray_engine
from gan_jax.launch.ray import options
from gan_jax.runs import tries
from tests.conftest import ROOT
from tests.support.pages import undrawn

# Writes a row for each step, from where the last process of this name stopped, as its only writer. Says who it is first.
WORKER = """
import fcntl, os, signal, sys, time
from pathlib import Path

folder, name, steps, pause = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
asked = []
signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
rows = os.open(folder / f"{name}.rows", os.O_RDWR | os.O_APPEND | os.O_CREAT)
fcntl.flock(rows, fcntl.LOCK_EX)
(folder / f"{name}.pid").write_text(f"{os.getpid()} {os.getppid()}")
print(sorted(k for k in os.environ if k.startswith("RAY_")), os.environ.get("OMP_NUM_THREADS"), os.getcwd(), flush=True)
for step in range((folder / f"{name}.rows").read_text().count("\\n"), steps):
  os.write(rows, f"{step}\\n".encode())
  time.sleep(pause)
  if asked:
    sys.exit(75)
sys.exit(int(sys.argv[5]) if sys.argv[5:] else 0)
"""
# A launcher: the driver with this engine, whose worker has 25 rows to write.
LAUNCHER = """
import sys
from pathlib import Path
from gan_jax.launch import drive, ray

folder = Path(sys.argv[1])
engine = ray.Ray(ray.Options(), [{}, {}])

class Stop:
  asked = None

worker = lambda name: (sys.executable, str(folder / "worker.py"), str(folder), name, "25", "0.1")
drive.launched(folder)
failed = drive.drive(drive.Place(folder, engine, worker, print, Stop), ["a", "b", "c"])
drive.over(folder, int(bool(failed)))
engine.close()
sys.exit(bool(failed))
"""
STUDY = '''"""Two groups of one run each."""

def get_config():
  return {
    "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1}, "dataset": "ring", "latent_size": 2,
    "batch_size": 16, "steps": 20, "probe_every": 10, "evaluate_every": 20, "checkpoint_every": 20,
    "evaluation_samples": 100, "most_members": 1,
  }

def sweep(s):
  return s.param("seed", range(2))
'''
LIMIT = 180.0  # seconds, on a machine that is busy
installed = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (the extra `ray`)")


def test_options():
  assert ray.read([], workers=4) == ray.Options("local", 1, 0.0)
  found = ray.read(["--ray.address=ray://head:10001", "--ray.cpus=4", "--ray.gpus=1", "--ray.parallel=8"])
  assert found == ("ray://head:10001", 4, 1.0, 8)


def test_the_workers_of_a_cluster_are_not_this_machines():
  with pytest.raises(BadInput, match=r"--ray\.parallel=4 run at a time"):
    ray.read(["--ray.address=auto"], workers=4)


@pytest.mark.parametrize(
  ("flags", "reason"),
  [
    (["--ray.adress=auto"], "did you mean 'address'"),
    (["--ray.address=auto", "--ray.cpus=0"], "--ray.cpus expected a whole number, got '0'"),
    (["--ray.address=auto", "--ray.gpus=-1"], "--ray.gpus expected a number, got '-1'"),
    (["--ray.cpus=4"], "divided by --workers"),
  ],
)
def test_options_that_cannot_be_are_refused(flags, reason):
  with pytest.raises(BadInput, match=reason):
    ray.read(flags)


def test_without_ray_one_sentence_names_the_extra(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(BadInput, match=r'pip install "gan_jax\[ray\]", or GAN_JAX_EXTRA=ray'):
    ray.check(ray.Options())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "head", "http://head:1", "a:99999"])
def test_an_address_that_nobody_answers_is_refused(address, monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
  begun = time.monotonic()
  with pytest.raises(BadInput, match=r"--ray\.address expected"):
    ray.check(ray.Options(address))
  assert time.monotonic() - begun < 2 * options.ANSWER


def test_a_port_that_answers_with_nothing_ends_in_time(monkeypatch):
  """The process that speaks to Ray is killed, and the sentence says for how long nobody answered."""
  monkeypatch.setattr(ray_engine, "READY", 0.5)
  with subprocess.Popen(["sleep", "100"]) as silent, tempfile.TemporaryFile() as printed:
    found = ray_engine.Client(silent, queue.Queue(), printed, "")
    with pytest.raises(BadInput, match=r"no Ray answered at auto within 0\.5 seconds"):
      ray_engine._ready("auto", found)
  assert silent.returncode == -signal.SIGKILL


def test_tasks_of_one_node_take_cores_of_their_own(tmp_path, monkeypatch):
  """By locks that the kernel releases; where there are too few, cores are shared."""
  monkeypatch.setattr(ray_client.tempfile, "gettempdir", lambda: str(tmp_path))
  monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 3}, raising=False)
  stacks = [ray_client.contextlib.ExitStack() for _ in range(4)]
  given = [ray_client.cores(1, stack)["GAN_JAX_CORES"] for stack in stacks]
  assert given == ["0", "2", "3", "0"]
  stacks[1].close()
  assert ray_client.cores(2, stacks[1]) == {"GAN_JAX_CORES": "2,0", "GAN_JAX_WORKERS": "1"}
  assert ray_client.cores(0, stacks[1]) == {}
  for stack in stacks:
    stack.close()
  with open(tmp_path / f"gan_jax-cores-{os.getuid()}" / "3", "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def until(condition, what):
  end = time.monotonic() + LIMIT
  while not condition():
    assert time.monotonic() < end, f"waited in vain for {what}"
    time.sleep(0.02)


def stat(pid):
  """(state, parent) of a process; of one that is over ('X', 0)."""
  try:
    state, above = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
  except (FileNotFoundError, ProcessLookupError):
    return "X", 0
  return state, int(above)


def alive(pid):
  return stat(pid)[0] not in "ZX"


def parent(pid):
  return stat(pid)[1]


def pids(folder, name, after=(0, 0)):
  """Of a task's worker and the process of Ray that started it, once they are not those `after` which it is asked."""

  def found():
    text = (folder / f"{name}.pid").read_text().split() if (folder / f"{name}.pid").exists() else []
    return tuple(map(int, text)) if len(text) == 2 else after

  until(lambda: found() != after, f"{name} to run")
  return found()


def rows(folder, name):
  return (folder / f"{name}.rows").read_text().split()


@pytest.fixture(scope="module")
def engine():
  made = ray.Ray(ray.Options(), [{"SHARE": "0"}, {"SHARE": "1"}])
  yield made
  made.close()


@pytest.fixture
def folder(tmp_path):
  (tmp_path / "worker.py").write_text(WORKER)
  return tmp_path


def given(folder, name, *arguments):
  command = (sys.executable, str(folder / "worker.py"), str(folder), name, *map(str, arguments))
  return tasks.Task(name, command, folder / f"{name}.log")


def ends(engine, count=1):
  found: list[tasks.Ended] = []
  until(lambda: found.extend(engine.poll()) or len(found) >= count, f"{count} tasks to end")
  return sorted(found)


@installed
def test_a_task_ends_with_its_commands_exit_code(engine, folder):
  assert engine.room() == 2
  engine.start([given(folder, "a", 2, 0), given(folder, "b", 2, 0, 3)])
  assert (engine.room(), engine.running()) == (0, {"a", "b"})
  assert ends(engine, 2) == [("a", 0, ""), ("b", 3, "")]
  assert (engine.room(), engine.running()) == (2, set())
  # What Ray sets for its own workers would change how a run computes, and tell it where Ray is.
  assert (folder / "a.log").read_text() == f"[] {os.environ.get('OMP_NUM_THREADS')} {os.getcwd()}\n"


@installed
def test_what_a_node_does_not_have_is_a_failure_with_its_reason(engine, folder):
  engine.start([tasks.Task("a", ("/nowhere/python",), folder / "a.log")])
  assert ends(engine) == [("a", -9, tasks.FAILED)]
  assert "Ray: FileNotFoundError" in (folder / "a.log").read_text()


@installed
def test_a_signal_reaches_the_worker_which_saves(engine, folder):
  engine.start([given(folder, "a", 1000, 0.05)])
  until(lambda: (folder / "a.rows").exists() and len(rows(folder, "a")) > 3, "rows")
  engine.stop(signal.SIGTERM)
  assert ends(engine) == [("a", 75, "")]


@installed
def test_a_worker_that_is_killed_and_one_whose_ray_is_killed(engine, folder):
  engine.start([given(folder, "a", 1000, 0.05), given(folder, "b", 1000, 0.05)])
  (a, _), (b, process_of_ray) = pids(folder, "a"), pids(folder, "b")
  os.kill(a, signal.SIGKILL)
  assert ends(engine) == [("a", -signal.SIGKILL, "")]
  os.kill(process_of_ray, signal.SIGKILL)
  assert ends(engine) == [("b", -9, tasks.KILLED)]
  assert "WorkerCrashedError" in (folder / "b.log").read_text()
  until(lambda: not alive(b), "the end of a worker that Ray lost")


@installed
def test_only_loopback_listens_and_no_dashboard(engine):
  """Everything that a process of this Ray listens on; whoever reaches such a port may run code."""
  own = {engine._client.process.pid}
  for _ in range(4):
    running = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and alive(path.name)]
    own |= {pid for pid in running if parent(pid) in own}
  sockets = set()
  for pid in own:
    for link in Path(f"/proc/{pid}/fd").glob("*"):
      with contextlib.suppress(OSError):  # files come and go
        sockets |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
  listening = []
  for table in ("tcp", "tcp6"):
    lines = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    listening += [line[1] for line in lines if line[3] == "0A" and line[9] in sockets]
  assert len(listening) >= 4
  assert {address.partition(":")[0] for address in listening} <= {"0100007F", "0000000000000000FFFF00000100007F"}
  assert f"{8265:04X}" not in {address.partition(":")[2] for address in listening}


@installed
def test_a_ray_that_is_lost_is_started_again(engine, folder):
  """Its raylet is killed: without it no task can run, and the process that speaks to Ray ends."""
  engine.start([given(folder, "a", 1000, 0.05)])
  worker, process_of_ray = pids(folder, "a")
  os.kill(parent(process_of_ray), signal.SIGKILL)
  assert ends(engine) == [("a", -9, tasks.KILLED)]
  until(lambda: not alive(worker), "the end of its worker")
  engine.start([given(folder, "c", 2, 0)])
  assert ends(engine) == [("c", 0, "")]
  assert Path(engine._client.folder).stat().st_mode & 0o777 == 0o700
  lost = engine._client
  lost.process.kill()
  engine.start([given(folder, "d", 2, 0)])
  assert ends(engine) == [("d", -9, tasks.KILLED)]
  assert not Path(lost.folder).exists()


@installed
def test_a_launcher_that_is_killed_goes_on_where_it_was(folder):
  """Real kills under the driver: a worker, a process of Ray, the launcher. Each row is there once."""
  called = [sys.executable, "-c", LAUNCHER, str(folder)]
  with subprocess.Popen(called, cwd=ROOT) as first:
    a, b = pids(folder, "a"), pids(folder, "b")
    until(lambda: len(rows(folder, "a")) > 3 and len(rows(folder, "b")) > 3, "rows")
    os.kill(a[0], signal.SIGKILL)
    os.kill(b[1], signal.SIGKILL)
    again = pids(folder, "a", after=a), pids(folder, "b", after=b)
    first.kill()
  assert subprocess.run(called, cwd=ROOT, timeout=LIMIT, check=False).returncode == 0
  assert not any(alive(pid) for pair in again for pid in pair)
  assert all(rows(folder, name) == [str(step) for step in range(25)] for name in "abc")
  causes = {name: [one.cause for one in found] for name, found in tries.read(folder).groups.items()}
  assert all(causes[name][0] == "killed" and causes[name][-1] == "done" for name in "ab")


def contents(study):
  """Everything that must be the same bits: tables, pictures, best generators, and the digests of the last states."""
  names = ("rows", "quality", "samples", "best")
  found = {str(path.relative_to(study)): path.read_bytes() for name in names for path in (study / name).rglob("*.npz")}
  metas = {group: study / "checkpoints" / group / "20/meta/metadata" for group in ("group-0", "group-1")}
  return found | {group: json.loads(path.read_text())["leaves"] for group, path in metas.items()}


@installed
def test_a_study_on_ray_is_the_one_of_a_single_process(tmp_path):
  """Begun here, in this process's layout, which its workers on Ray then have too."""
  (config := tmp_path / "two.py").write_text(STUDY)
  whole, study = tmp_path / "whole" / "study", tmp_path / "ray" / "study"
  with undrawn():
    sweep.main([str(config), "--out", str(whole)])
  sweep.main([str(config), "--out", str(study), "--only", "begin"])
  called = [sys.executable, "-m", "gan_jax.commands", "sweep", str(config), "--out", str(study)]
  done = subprocess.run(
    [*called, "--launcher=ray", "--workers=2"], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  assert contents(study) == contents(whole)
  assert len(contents(whole)) > 8
