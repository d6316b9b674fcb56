"""Where a study stands, from its files: known counts, speed and time left, who writes it, damaged files."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import status as command
from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.launch.alone import alone
from gan_jax.report import members, overview, records, spoken, verdicts
from gan_jax.runs import lock, pulse, tries
from gan_jax.runs.tries import Try
from tests.report.test_report import configs, write_study

RUNS = 7 * 5 + 2 * 5 + 2 * 3  # of three programs; one diverges


@pytest.fixture(scope="module")
def half(tmp_path_factory):
  """All three programs at step 3,000 of 6,000."""
  return write_study(tmp_path_factory.mktemp("runs") / "half", until=3000)


@pytest.fixture
def study(tmp_path):
  """One program of two runs, a part of its rows each 500 steps, at step 3,000 of 6,000: small enough to be damaged."""
  path = write_study(tmp_path / "small", [next(iter(configs()))[:2]], until=0)
  for first in range(0, 3000, 500):
    table = runs.Table(np.arange(first, first + 500, 50), {"disc/auc": np.full((10, 2), 0.5, np.float32)})
    runs.append(path, "rows", "group-0", first, first + 500, table)
  runs.write_status(path, {"groups": {"group-0": {"step": 3000, "complete": False, "seconds": 9.0, "diverged": {}}}})
  runs.write_manifest(path, {**runs.read_manifest(path), "format": runs.FORMAT})
  return path


def everything(path):
  """Each file of a folder, its contents and when it was changed."""
  return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(path.rglob("*")) if p.is_file()}


def test_workers_and_what_a_launcher_could_not_train_are_named(half, tmp_path, capsys):
  shutil.copytree(half, study := tmp_path / "half")
  failed = Try(2, 0.0, 1.0, "out of memory", 1, 3000, "error: out of memory in group-2")
  old = Try(1, 0.0, 1.0, "killed", -9)
  groups = {"group-0": (old,), "group-1": (failed._replace(cause="done"),), "group-2": (failed, failed)}
  tries.write(study, tries.Tries(2, 1, groups))
  with lock.group_lock(study, "group-1"), lock.group_lock(study, "group-2"):
    (study / "locks" / "group-0").write_text("host elsewhere, pid 7, started 2026-01-01T00:00:00Z, attempt 3\n")
    found = overview.overview(study, None)
    late = overview.overview(study, None, now=time.time() + 1000)
  assert (found.workers, late.workers) == (("group-0", "group-1", "group-2"), ("group-1", "group-2"))
  assert (found.phase, found.program.name) == ("training 3 programs of 3 at once", "group-0")
  log = study / "launch" / "group-2.log"
  expected = f"group-2 out of memory 2 times, last at step 3,000: error: out of memory in group-2 (all of it: {log})"
  assert [line for line in found.failures if "group-" in line] == [expected]
  assert spoken.writer(found).startswith("3 workers, of group-0, group-1, group-2, last write ")
  command.main([str(study)])
  said = capsys.readouterr().out
  assert expected in said
  assert "\n  problems   " in said  # a run that is not bit exact is listed among them, and has not failed
  assert not overview.overview(study, None, now=time.time() + 1000).workers


def test_a_launcher_that_waits_for_its_next_worker_has_not_stopped(study):
  """Between two tasks nobody holds the study, and 'the same command goes on' would be refused."""
  stopped = "stopped at step 3,000 of program 1 of 1: the same command goes on"
  waiting = "waiting at step 3,000 of program 1 of 1: its launcher runs, and no worker is seen to train"
  with alone(study):
    found = overview.overview(study, None)
    assert (found.phase, found.holder.pid, found.writing) == (waiting, os.getpid(), True)
    assert not {"speed", "time left"} & set(dict(spoken.lines(found)))  # those of a worker that has ended
    (study / "locks").mkdir()
    (study / "locks" / "group-0").write_text("host elsewhere, pid 7, started 2026-01-01T00:00:00Z, attempt 3\n")
    assert overview.overview(study, None).phase == "training program 1 of 1"
    found = overview.overview(study, None, now=time.time() + 1000)  # it has been silent: pre-empted, for example
    assert (found.phase, found.holder.pid) == (waiting, os.getpid())
    shutil.rmtree(study / "locks")
    runs.write_status(study, {"groups": {"group-0": {"step": 6000, "complete": True, "seconds": 9.0, "diverged": {}}}})
    assert overview.overview(study, None).phase == "trained; its launcher waits for the report"
  assert overview.overview(study, None).phase == "trained, without a report: the same command writes it"
  runs.write_status(study, {"groups": {"group-0": {"step": 3000, "complete": False, "seconds": 9.0, "diverged": {}}}})
  assert overview.overview(study, None).phase == stopped


def test_counts_are_those_of_the_runs(half):
  before = everything(half)
  found = overview.overview(half, None)
  assert found.states == {"unfinished": RUNS - 1, "diverged": 1}
  assert found.runs == RUNS
  assert found.share == 0.5
  assert found.programs == (0, 3)
  assert (found.program.number, found.program.runs, found.program.step, found.program.steps) == (1, 35, 3000, 6000)
  assert found.phase == "stopped at step 3,000 of program 1 of 3: the same command goes on"
  assert found.verdicts == {"diverged": 1}
  (said,) = found.failures
  assert said.startswith("wasserstein, seed 3 (")
  assert said.endswith("diverged: an update was not finite at step 2,350")
  assert everything(half) == before


def test_verdicts_are_those_of_the_report(tmp_path):
  study = write_study(tmp_path / "done", [next(iter(configs()))[:6]])
  expected = [verdicts.of(run).final for run in records.read(study).runs]
  found = overview.overview(study, None)
  assert found.verdicts == {state: expected.count(state) for state in found.verdicts}
  assert (found.judged, found.finished, found.share, found.program) == (6, 6, 1.0, None)
  assert found.phase == "trained, without a report: the same command writes it"
  none = overview.overview(study, 0.0)
  assert (none.judged, none.finished) == (0, 6)
  assert spoken.verdicts(none) == " (of 0 judged of 6 finished runs)"
  (study / "report.html").write_text("")
  assert overview.overview(study, None).phase == "finished"


def timed(study, times):
  """Set when each part of the rows was written."""
  for (_, _, path), at in zip(runs.parts(study, "rows", "group-0"), times, strict=True):
    os.utime(path, (at, at))


def test_speed_and_time_left_are_of_the_present_attempt(study):
  """Before a pause of an hour a part took 1 s; since then 2 s, and the first one 50 s, because it was compiled."""
  began = 1_000_000.0
  timed(study, [began - 3601, began - 3600, began + 50, began + 52, began + 54, began + 56])
  with runs.writer_lock(study):
    os.utime(study / "lock", (began, began))
    found = overview.overview(study, now=began + 57)
  assert found.program.rate == pytest.approx(500 / 2)
  assert found.program.left == pytest.approx(3000 / 250 - 1)  # one second has passed since
  assert found.left == found.program.left
  assert found.writing
  assert found.phase == "training program 1 of 1"
  assert dict(spoken.lines(found))["speed"].startswith("250 steps/s x 2,")
  assert dict(spoken.lines(found))["time left"] == "11 s"


def test_later_programs_count_in_the_time_that_is_left(half):
  program = overview.Program("group-0", 1, 35, 3000, 6000, 100.0, 30.0)
  assert overview._left(members.read(half), program) == pytest.approx(30 + (10 + 6) * 3000 / (100 * 35))


def test_one_part_gives_no_speed(study):
  at = time.time()
  timed(study, [at - 5] * 5 + [at])
  assert pulse.pace(study, "group-0", at - 1) == (None, pytest.approx(at))
  assert pulse.pace(study, "group-1", 0) == (None, 0.0)


def test_who_holds_the_lock_is_found_without_taking_it(study, monkeypatch):
  assert pulse.holder(study) is None
  with runs.writer_lock(study):
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("the lock was touched"))
    held = pulse.holder(study)
    assert (held.host, held.pid, held.alive) == (os.uname().nodename, os.getpid(), True)
  assert pulse.holder(study).alive is False  # this process is alive, and has let it go
  gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
  (study / "lock").write_text(f"host {os.uname().nodename}, pid {int(gone.stdout)}")
  assert pulse.holder(study).alive is False


def test_a_writer_on_another_machine_lives_as_long_as_it_writes(study):
  (study / "lock").write_text("host elsewhere, pid 1")
  written = max(p.stat().st_mtime for p in study.rglob("*"))
  soon, late = (overview.overview(study, now=written + wait) for wait in (5, overview.SILENCE + 60))
  assert (soon.holder.alive, soon.writing, late.writing) == (None, True, False)
  assert "running, by its writes, last write 5 s ago" in spoken.writer(soon)
  assert "no sign of it, last write 3 min ago" in spoken.writer(late)


@pytest.mark.parametrize("text", ["", "host x", "pid 3", "\0" * 50, "host a, pid 99999999999999999999"])
def test_a_lock_that_names_nobody(study, text):
  (study / "lock").write_text(text)
  found = overview.overview(study)
  assert found.holder is None
  assert not found.writing


def test_a_lock_that_is_no_file_does_not_hang(study):
  os.mkfifo(study / "lock")
  assert overview.overview(study).holder is None


def test_a_study_that_is_being_planned(tmp_path):
  with runs.writer_lock(tmp_path / "new"):
    found = overview.overview(tmp_path / "new")
    assert (found.phase, found.runs, found.writing) == ("reading the data and making its plan", 0, True)
  assert overview.overview(tmp_path / "new").phase == "ended before its plan was written"


def test_damage_is_named_and_the_copy_is_read(study):
  for name in ("status.json", "manifest.json"):
    path = study / name
    path.write_bytes(path.read_bytes()[:-40])
    found = overview.overview(study)
    assert found.program.step == 3000
  assert any("manifest.copy.json is intact and is read instead" in one for one in found.failures)
  (study / "status.copy.json").write_text("{")
  found = overview.overview(study)
  assert found.states == {"waiting": 2}
  assert any("how far each run is, is not known" in one for one in found.failures)
  first = runs.parts(study, "rows", "group-0")[0][2]
  runs.set_aside(study, first, "damaged")
  assert any("were set aside 1 time, last in" in one for one in overview.overview(study).failures)


def test_a_stack_trace_is_the_cause_if_it_is_of_the_last_attempt(study):
  (study / "error.txt").write_text("Traceback\n  at x\nXlaRuntimeError: RESOURCE_EXHAUSTED: out of memory\n")
  with runs.writer_lock(study):
    assert overview.overview(study).failures == ()  # it is being tried again
  os.utime(study / "lock", (1000, 1000))
  (said,) = overview.overview(study).failures
  assert said.startswith("program 1 failed: XlaRuntimeError: RESOURCE_EXHAUSTED: out of memory (all of it: ")
  os.utime(study / "error.txt", (900, 900))
  assert overview.overview(study).failures == ()


def test_a_folder_of_studies_names_them(study):
  with pytest.raises(BadInput, match=rf"is not a study: .*, found none in it; studies below it: .*{study.name}"):
    command.main([str(study.parent)])


def test_the_command_prints_every_study_and_then_says_which_are_none(study, tmp_path, capsys):
  with pytest.raises(
    BadInput, match=r"nothing is not a study: expected a directory with a manifest.json, found no such"
  ):
    command.main([str(tmp_path / "nothing"), str(study)])
  said = capsys.readouterr().out
  assert said.startswith(f"compare losses ({study})\n")
  assert "\n  runs       2: 2 unfinished\n" in said
  command.main([str(study), str(study), "--json"])
  one, other = map(json.loads, capsys.readouterr().out.splitlines())
  assert one["runs"] == {"done": 0, "diverged": 0, "stopped": 0, "unfinished": 2, "waiting": 0}
  assert one["program"]["step"] == other["program"]["step"] == 3000


def test_a_name_moves_no_cursor(tmp_path, capsys):
  command.main([str(write_study(tmp_path / "a", [next(iter(configs()))[:1]], until=0, name="x\x1b[2J\n"))])
  assert capsys.readouterr().out.startswith("x?[2J? (")
