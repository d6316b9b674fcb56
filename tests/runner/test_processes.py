"""One study by two real processes on loopback, with two devices each: the bits of one process with four, and one end."""

import contextlib
import json
import multiprocessing
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments import command, sweep
from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.runner import ending, mesh, processes, restore, study
from tests.support.pages import undrawn

# Three members on four devices: one of them trains a copy.
CONFIG = """
def get_config():
  return {"model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "dataset": "ring", "latent_size": 2, "batch_size": 16, "steps": 400,
          "probe_every": 50, "evaluation_samples": 100, "evaluate_every": 400, "checkpoint_every": 100}

def sweep(s):
  return s.param("discriminator_rate", [1e-4, 1e-3, 1e25])
"""
LAST = 400
TOGETHER = 2  # processes
DYING = "DYING"  # in the environment of a process that is killed once all have met


def run_as(place: dict[str, str], arguments: list[str], said: str) -> None:
  """In a process of its own, the command `sweep`, as process `place` of several; what it prints goes to files."""
  os.environ.update(place)
  jax.config.update("jax_num_cpu_devices", 2)
  jax.config.update("jax_numpy_rank_promotion", "allow")
  for descriptor, name in ((1, "out"), (2, "err")):
    os.dup2(os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
  sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
  if DYING in place:
    processes.agree = lambda stop: os.kill(os.getpid(), signal.SIGKILL)
  sys.argv = ["sweep", *arguments]
  with undrawn():
    command.run(sweep.main)


@pytest.fixture(scope="module")
def forked():
  """Starts processes that have imported everything, and have touched no device."""
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(["tests.runner.test_processes"])
  return context


class Pair:
  """Both processes of a study."""

  def __init__(self, forked, folder: Path, *arguments: object, second=(), dying: int | None = None, **environment: str):
    self.folder = folder
    with socket.socket() as free:
      free.bind(("127.0.0.1", 0))
      port = free.getsockname()[1]
    common = {processes.COORDINATOR: f"127.0.0.1:{port}", processes.COUNT: str(TOGETHER)}
    self.children = []
    for index in range(TOGETHER):
      place = environment | {"SLURM_PROCID": str(index)} if environment else common | {processes.INDEX: str(index)}
      place |= {DYING: ""} if index == dying else {}
      own = [str(argument) for argument in (*arguments, *(second if index else ()))]
      self.children.append(forked.Process(target=run_as, args=(place, own, str(folder / str(index)))))
    for child in self.children:
      child.start()

  def ended(self, within: float = 240) -> list[int]:
    """The exit codes; whoever still runs `within` seconds is killed, which is its code then."""
    end = time.monotonic() + within
    for child in self.children:
      child.join(max(0.0, end - time.monotonic()))
      if child.is_alive():
        child.kill()
        child.join()
    return [child.exitcode for child in self.children]

  def said(self, index: int, stream: str) -> str:
    return Path(self.folder, f"{index}.{stream}").read_text()

  def signalled(self, index: int, number: int, study: Path, step: int) -> None:
    """Send a signal to one of them once the study's status is beyond `step`."""
    while all(child.is_alive() for child in self.children):
      with contextlib.suppress(OSError, ValueError, KeyError):
        if json.loads((study / "status.json").read_text())["groups"]["group-0"]["step"] > step:
          os.kill(self.children[index].pid, number)
          return
      time.sleep(0.003)


def contents(directory: Path) -> dict[str, Any]:
  """What must be the same bits: rows, quality, samples, best generators, and the digests of the last checkpoint's leaves."""
  found = {
    str(p.relative_to(directory)): p.read_bytes()
    for table in ("rows", "quality", "samples", "best")
    for p in sorted((directory / table).rglob("*.npz"))
  }
  meta = json.loads((directory / f"checkpoints/group-0/{LAST}/meta/metadata").read_text())
  return found | {"checkpoint": meta["leaves"]}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp("config") / "three.py"
  path.write_text(CONFIG)
  return path


@pytest.fixture(scope="module")
def alone(config):
  """The study by one process with four devices, and what it said."""
  directory, said = config.parent / "alone", []
  with undrawn():
    study.run(str(config), [], directory, single=False, say=said.append)
  return directory, "\n".join(said)


@pytest.fixture(scope="module")
def stopped(config, forked):
  """The study by two processes, of which the second got a SIGTERM early on; with the processes."""
  directory = config.parent / "stopped"
  pair = Pair(forked, config.parent, config, "--out", directory)
  pair.signalled(1, signal.SIGTERM, directory, 0)
  return directory, pair, pair.ended()


def copied(directory: Path, to: Path) -> Path:
  os.system(f"cp -r '{directory}' '{to}'")
  return to


def test_a_signal_to_one_stops_both_at_the_same_step_and_all_is_saved(stopped):
  directory, pair, codes = stopped
  assert codes == [75, 75], pair.said(0, "err")
  status = runs.read_status(directory)["groups"]["group-0"]
  assert 0 < status["step"] < LAST
  assert int(max(p.name for p in (directory / "checkpoints/group-0").iterdir())) == status["step"]
  assert pair.said(0, "err") == (
    f"stopped by SIGTERM: step {status['step']:,} of {LAST:,} of group-0 is saved, and the same command goes on from there\n"
  )
  assert (pair.said(1, "out"), pair.said(1, "err")) == ("", "")
  assert "3 runs in 1 compiled program on 4 cpu devices of 2 processes" in pair.said(0, "out")
  assert "Gloo" not in pair.said(0, "out")


@pytest.mark.parametrize(("victim", "survivor"), [(1, 1), (0, -signal.SIGABRT)])
def test_where_one_is_killed_the_other_ends(victim, survivor, config, forked, tmp_path):
  """At the next sum over both where the second dies, with a sentence; jax ends the second where the first dies."""
  pair = Pair(forked, tmp_path, config, "--out", tmp_path / "study", dying=victim)
  began = time.monotonic()
  codes = pair.ended(within=50)
  assert (codes[victim], codes[1 - victim]) == (-signal.SIGKILL, survivor), pair.said(0, "err")
  assert time.monotonic() - began < 50
  if victim:
    assert re.match("error: jax failed: .*Gloo.*\n", pair.said(0, "err"))


def test_started_again_two_processes_end_with_the_bits_of_one(stopped, alone, config, forked, tmp_path):
  directory = copied(stopped[0], tmp_path / "study")
  pair = Pair(forked, tmp_path, config, "--out", directory)
  assert pair.ended() == [0, 0], pair.said(0, "err")
  assert "resuming at step" in pair.said(0, "out")
  assert (pair.said(1, "out"), pair.said(1, "err")) == ("", "")
  assert contents(directory) == contents(alone[0])
  here, there = (runs.read_status(path)["groups"]["group-0"] for path in (directory, alone[0]))
  assert here["bit_exact"]
  assert here["diverged"] == there["diverged"]
  assert here["diverged"]
  table = re.compile(r"^ +runs .*(?=^report)", re.M | re.S)
  assert table.search(pair.said(0, "out"))[0] == table.search(alone[1])[0]


def test_one_process_goes_on_from_what_two_saved(stopped, alone, config, tmp_path):
  """Onto one device and, of four, onto three, which are as many as there are runs: there to the same bits."""
  directory, *_ = stopped
  at = runs.read_status(directory)["groups"]["group-0"]["step"]
  found = restore.group(directory, "group-0", at)
  for count in (1, 4):
    layout = mesh.build(found.group.spec, 3, jax.devices()[:count])
    placed = layout.place(found.state)
    assert all(len(x.sharding.device_set) == min(count, 3) for x in jax.tree.leaves(placed))
    for x, y in zip(jax.tree.leaves(layout.cut(placed)), jax.tree.leaves(found.state), strict=True):
      assert x.tobytes() == y.tobytes()
  directory, said = copied(directory, tmp_path / "study"), []
  with undrawn():
    study.run(str(config), [], directory, single=False, say=said.append)
  assert f"group-0: resuming at step {at:,} of {LAST:,}" in said
  assert contents(directory) == contents(alone[0])
  status = runs.read_status(directory)["groups"]["group-0"]
  assert status["reasons"] == ["begun with layout processes 2, continued with None"]


def test_bad_input_that_only_the_first_sees_ends_both_with_one_sentence(config, forked, tmp_path):
  """Found with Slurm's variables, as `srun` sets them, and `auto`."""
  (tmp_path / "full").mkdir()
  (tmp_path / "full" / "file").touch()
  slurm = {
    processes.COORDINATOR: processes.AUTO,
    "SLURM_JOB_ID": str(os.getpid()),
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_NTASKS": str(TOGETHER),
    "SLURM_LOCALID": "0",
  }
  pair = Pair(forked, tmp_path, config, "--out", tmp_path / "full", **slurm)
  assert pair.ended() == [2, 2]
  assert re.fullmatch(r"error: .*/full holds other files \(file, ...\): .*\n", pair.said(0, "err"))
  assert [pair.said(1, stream) for stream in ("out", "err")] == ["", ""]


def test_what_only_the_second_cannot_use_ends_both_with_one_sentence(config, forked, tmp_path):
  """It was started with another seed: the first says so."""
  pair = Pair(forked, tmp_path, config, "--out", tmp_path / "study", second=["--config.seed=5"])
  assert pair.ended() == [2, 2]
  said = (
    r"error: all processes expected the same runs, got \w+ .* at process 0 and .* here \(process 1 of 2 processes\)\n"
  )
  assert re.fullmatch(said, pair.said(0, "err"))
  assert [pair.said(1, stream) for stream in ("out", "err")] == ["", ""]
  assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
  ("given", "wanted"),
  [
    ({}, None),
    ({"COORDINATOR": ""}, None),
    ({"COORDINATOR": "auto"}, (None, None, None)),
    ({"COORDINATOR": "node1:7000", "PROCESSES": "3", "PROCESS": "2"}, ("node1:7000", 3, 2)),
    ({"COORDINATOR": "node1:7000", "PROCESSES": "1", "PROCESS": "0"}, None),
  ],
)
def test_what_the_environment_asks_for(given, wanted):
  assert processes.asked({f"GAN_JAX_{name}": value for name, value in given.items()}) == wanted


@pytest.mark.parametrize(
  ("given", "wrong"),
  [
    ({"COORDINATOR": "a:1"}, "got no GAN_JAX_PROCESSES and no GAN_JAX_PROCESS$"),
    ({"PROCESSES": "2", "PROCESS": "0"}, "got no GAN_JAX_COORDINATOR$"),
    ({"COORDINATOR": "a:1", "PROCESS": "0"}, "got no GAN_JAX_PROCESSES$"),
    ({"COORDINATOR": "a", "PROCESSES": "2", "PROCESS": "0"}, "GAN_JAX_COORDINATOR expected host:port .* got 'a'"),
    (
      {"COORDINATOR": "a:1", "PROCESSES": "two", "PROCESS": "0"},
      "GAN_JAX_PROCESSES expected a whole number, got 'two'",
    ),
    ({"COORDINATOR": "a:1", "PROCESSES": "2", "PROCESS": "-1"}, "GAN_JAX_PROCESS expected a whole number, got '-1'"),
    ({"COORDINATOR": "a:1", "PROCESSES": "2", "PROCESS": "2"}, "GAN_JAX_PROCESS expected a number from 0 .* got 2"),
    ({"COORDINATOR": "auto", "PROCESSES": "2"}, "GAN_JAX_COORDINATOR=auto expected .* got GAN_JAX_PROCESSES as well"),
  ],
)
def test_what_cannot_be_asked_for(given, wrong):
  with pytest.raises(BadInput, match=wrong):
    processes.asked({f"GAN_JAX_{name}": value for name, value in given.items()})


def test_for_one_process_nothing_changes():
  tree = {"x": np.arange(3)}
  assert processes.leads()
  assert processes.count() == processes.machines() == 1
  assert processes.told(lambda: tree) is tree
  assert processes.told_arrays(lambda: tree, {}) is tree
  assert processes.whole(tree) is tree
  assert processes.own(tree["x"]) is tree["x"]
  assert processes.greatest(7) == 7
  ending.wait()


def test_a_process_has_whole_rows_of_the_mesh():
  """Two processes with four devices each and two members: four columns, where eight would reach over both."""
  assert mesh.shape(8, 1, 64) == (1, 8)
  assert mesh.shape(8, 1, 64, count=2) == (2, 4)
  assert mesh.shape(8, 8, 64, count=2) == (8, 1)
  with pytest.raises(BadInput, match=r"a divisor of the 4 devices of each process and .* 1, 2, 4, got 8"):
    mesh.shape(8, 1, 64, asked=8, count=2)
