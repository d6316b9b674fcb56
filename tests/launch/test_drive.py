"""What a launcher does with tasks that end well, badly, or not at all: with an engine and a clock that are made up."""

import doctest
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from gan_jax.core.errors import BadInput, Stopped
from gan_jax.launch import alone, drive, local, shares, tasks
from gan_jax.launch.tasks import Ended
from gan_jax.runner.signals import Stop
from gan_jax.runs import tries
from gan_jax.runs.tries import Try


class Engine:
  """Runs nothing: each task ends, one `poll` after its start, as its list of ends says."""

  def __init__(self, ends: dict[str, list], room: int = 2, adopted: tuple[str, ...] = ()):
    self.ends, self.rooms, self.asked = {name: list(found) for name, found in ends.items()}, room, []
    self.there = list(adopted)
    self.started: list[str] = []
    self.most = 0

  def room(self):
    return self.rooms - len(self.there)

  def start(self, found):
    assert len(found) <= self.room()
    assert not {task.group for task in found} & set(self.there)
    self.started += [task.group for task in found]
    self.there += [task.group for task in found]
    self.most = max(self.most, len(self.there))

  def poll(self):
    found = []
    for group in list(self.there):
      end = self.ends[group].pop(0)
      if end is not None:  # None: it goes on
        self.there.remove(group)
        found.append(end if isinstance(end, Ended) else Ended(group, end))
    return found

  def running(self):
    return set(self.there)

  def stop(self, number):
    self.asked.append(number)


class Clock:
  def __init__(self):
    self.now, self.pauses = 0.0, []

  def __call__(self):
    return self.now

  def sleep(self, seconds):
    self.now += seconds
    self.pauses.append(seconds)


def driven(study: Path, engine: Engine, groups: list[str], stop: Stop | None = None, follow=lambda running: None):
  """(the tasks that failed for good, what was said, when each was started)."""
  clock, said, starts = Clock(), [], []

  def command(group):
    return ("train", group)

  begin = engine.start

  def start(found):
    starts.extend((task.group, round(clock.now)) for task in found)
    begin(found)

  engine.start = start
  drive.launched(study)
  place = drive.Place(study, engine, command, said.append, stop or Stop(), follow, clock, clock.sleep)
  return drive.drive(place, groups), said, starts


def saves(study: Path, group: str, step: int) -> None:
  (study / "checkpoints" / group / str(step)).mkdir(parents=True)


POLICY = [  # (how the tries end, seconds until the next one; None: never)
  ([0], None),
  ([75], 0),
  ([75] * 50, 0),
  ([130], 0),
  ([-15], 0),  # a signal that came before Python could handle it
  ([129], 0),
  ([-9], 2),
  ([137], 2),
  ([-6], 2),
  ([134, -9], 16),
  ([-9, -9, -9], 128),
  ([-9, -9, -9, -9], None),
  ([70, 70, 70], 128),
  ([70] * 4, None),
  ([-9, 75, -9], 16),
  ([1], 0),
  ([1, 1], None),
  ([1, -9, 1], None),
  ([1, -9], 2),
  ([3], 0),
  ([2], None),
]


@pytest.mark.parametrize(("codes", "pause"), POLICY, ids=str)
def test_how_often_a_task_is_tried_again(codes, pause):
  found = [Try(1, 0.0, 1.0, tasks.cause(Ended("g", code), ""), code) for code in codes]
  assert tasks.wait(found) == pause


def test_what_the_output_and_the_engine_know():
  out = "error: out of memory in group-0: 8 members of model mlp"
  assert tasks.cause(Ended("g", 1), out) == tasks.MEMORY
  assert tasks.cause(Ended("g", 1), "error: the disk is full") == tasks.FAILED
  assert tasks.cause(Ended("g", 75), out) == tasks.PREEMPTED
  assert tasks.cause(Ended("g", 1, tasks.PREEMPTED), out) == tasks.PREEMPTED
  memory = Try(1, 0.0, 1.0, tasks.MEMORY, 1)
  assert [tasks.wait([memory] * n) for n in (1, 2, 3, 4)] == [2, 16, 128, None]


def test_a_new_checkpoint_grants_new_tries_to_what_was_killed_and_none_to_an_exception():
  killed = [Try(1, 0.0, 1.0, tasks.KILLED, -9, saved) for saved in (0, 0, 0, 100)]
  assert tasks.wait(killed) == 2
  failed = [Try(1, 0.0, 1.0, tasks.FAILED, 1, saved) for saved in (0, 100)]
  assert tasks.wait(failed) is None


def test_the_examples_of_the_docstrings_hold():
  for module in (tasks, shares):
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0


def test_all_tasks_are_run_as_many_at_once_as_there_is_room_for(tmp_path):
  names = [f"group-{i}" for i in range(5)]
  engine = Engine({name: [None, 0] for name in names})
  failed, said, _ = driven(tmp_path, engine, names)
  assert (failed, said, engine.started, engine.most) == ([], [], names, 2)
  assert [[one.cause for one in tries.read(tmp_path).groups[name]] for name in names] == [["done"]] * 5


def test_a_killed_task_waits_longer_each_time_while_the_others_go_on(tmp_path):
  engine = Engine({"a": [-9, 137, -9, 0], "b": [0], "c": [0]}, room=1)
  failed, said, starts = driven(tmp_path, engine, ["a", "b", "c"])
  assert not failed
  times = [at for name, at in starts if name == "a"]
  gaps = [after - before for before, after in itertools.pairwise(times)]
  assert all(pause <= gap <= pause + 2 for gap, pause in zip(gaps, (2, 16, 128), strict=True))
  assert max(at for name, at in starts if name != "a") < times[1]
  assert "a was killed (SIGKILL) at step 0: tried again in 2 s" in said


def test_a_task_that_failed_for_good_is_named_with_its_cause_and_output_and_the_others_are_done(tmp_path):
  engine = Engine({"a": [1, 1], "b": [0], "c": [2]})
  (tmp_path / "launch").mkdir()

  def follow(running):
    if "a" in running:
      with open(tmp_path / "launch" / "a.log", "a") as file:
        file.write("compiling ...\nerror: the disk is full\n\n")

  failed, _, _ = driven(tmp_path, engine, ["a", "b", "c"], follow=follow)
  assert sorted(one.group for one in failed) == ["a", "c"]
  (said,) = [str(one) for one in failed if one.group == "a"]
  log = tmp_path / "launch" / "a.log"
  assert said == f"a failed with exit code 1, tried 2 times: error: the disk is full (its output: {log})"
  assert "c was refused" in str(drive.refused(failed)) or "a failed" in str(drive.refused(failed))
  assert [line.split(",")[:2] for line in log.read_text().splitlines() if line.startswith("--- ")] == [
    ["--- a", " try 1"],
    ["--- a", " try 2"],
  ]
  assert [(name, last.cause, count) for name, last, count in tries.failures(tmp_path)] == [
    ("a", "failed", 2),
    ("c", "refused", 1),
  ]


def test_the_words_of_an_earlier_try_are_not_those_of_the_last(tmp_path):
  log = tmp_path / "a.log"
  log.write_text("--- a, try 1\nerror: out of memory\n--- a, try 2\n")
  assert log.read_text()[drive.last_try(log) :] == "--- a, try 2\n"
  assert drive.last_words(log) == ""


def test_a_launch_that_was_killed_counts_on_and_one_that_ended_by_itself_does_not(tmp_path):
  killed = Try(1, 0.0, 1.0, tasks.KILLED, -9)
  before = tries.Tries(1, None, {"a": (killed,) * 3, "b": (Try(1, 0.0),), "c": (Try(1, 0.0, 1.0, tasks.REFUSED, 2),)})
  tries.write(tmp_path, before)
  failed, said, starts = driven(tmp_path, Engine({"a": [-9], "b": [0]}), ["a", "b", "c"])
  assert sorted(one.group for one in failed) == ["a", "c"]
  assert dict(starts)["a"] == 128
  assert dict(starts)["b"] == 0
  assert any("a was killed (SIGKILL), tried 4 times" in line for line in said)
  drive.over(tmp_path, 1)
  failed, _, starts = driven(tmp_path, Engine({"a": [-9, 0], "c": [0]}), ["a", "c"])
  assert not failed
  assert starts[:2] == [("a", 0), ("c", 0)]


def test_of_a_try_whose_end_nobody_saw_nothing_is_said_and_it_is_tried_at_once(tmp_path):
  """The launcher was killed while it ran. Why the try before that ended has been said already."""
  killed, asked, open_ended = Try(1, 0.0, 1.0, tasks.KILLED, -9), Try(1, 0.0, 1.0, tasks.PREEMPTED, 75), Try(1, 2.0)
  tries.write(tmp_path, tries.Tries(1, None, {"a": (killed, open_ended), "b": (asked,)}))
  failed, said, starts = driven(tmp_path, Engine({"a": [-9, 0], "b": [0]}), ["a", "b"])
  assert (failed, starts[:2]) == ([], [("a", 0), ("b", 0)])
  assert said == ["a was killed (SIGKILL) at step 0: tried again in 16 s"]  # the tries before it count


@pytest.mark.parametrize(
  ("ends", "told"), [({"a": [2]}, []), ({"a": [2], "b": [2]}, ["a", "b"]), ({"a": [2], "b": [0]}, ["a"])]
)
def test_how_a_single_task_failed_is_left_to_the_caller_to_say(ends, told, tmp_path):
  failed, said, _ = driven(tmp_path, Engine(ends), list(ends))
  assert [one.group for one in failed] == [name for name in ends if ends[name] == [2]]
  assert [line.split()[0] for line in said] == told


def test_what_an_earlier_launch_still_runs_is_not_started_a_second_time(tmp_path):
  engine = Engine({"a": [None, None, 0], "b": [0]}, room=3, adopted=("a",))
  failed, said, starts = driven(tmp_path, engine, ["a", "b"])
  assert not failed
  assert [name for name, _ in starts] == ["b"]
  assert said == ["a is being trained, by the launch before this one"]


def test_a_signal_is_passed_on_once_and_the_driver_waits_for_all(tmp_path):
  stop = Stop()
  engine = Engine({"a": [None, None, None, 75], "b": [None, 1], "c": []})

  def follow(running):
    stop.asked = signal.SIGTERM

  with pytest.raises(Stopped, match="stopped by SIGTERM: what was trained is saved, and the same command goes on"):
    driven(tmp_path, engine, ["a", "b", "c"], stop, follow)
  assert (engine.asked, engine.started, engine.there) == ([signal.SIGTERM], ["a", "b"], [])
  assert [tries.read(tmp_path).groups[name][-1].cause for name in "ab"] == ["preempted", "failed"]


def test_a_damaged_count_of_tries_is_refused(tmp_path):
  tries.write(tmp_path, tries.Tries(1, None, {"a": (Try(1, 0.0),)}))
  path = tmp_path / "launch" / "tries.json"
  value = json.loads(path.read_text())
  path.write_text(json.dumps({**value, "launch": 2}))
  with pytest.raises(BadInput, match=r"tries.json is damaged"):
    tries.read(tmp_path)
  assert tries.failures(tmp_path) == []


def test_the_newest_checkpoint_counts_and_none_that_is_being_written(tmp_path):
  assert tries.saved(tmp_path, "a") == 0
  saves(tmp_path, "a", 100)
  saves(tmp_path, "a", 20)
  (tmp_path / "checkpoints" / "a" / "200.orbax-checkpoint-tmp").mkdir()
  assert tries.saved(tmp_path, "a") == 100


def test_a_second_launcher_is_refused(tmp_path):
  second = pytest.raises(BadInput, match=r"is being trained by another launcher \(host .*, pid \d+\)")
  with alone.alone(tmp_path), second, alone.alone(tmp_path):
    pass
  with alone.alone(tmp_path):
    pass


@pytest.mark.parametrize(
  ("workers", "cores", "gpus", "expected"),
  [
    (2, 8, 0, [("0,1,2,3", None, None), ("4,5,6,7", None, None)]),
    (3, 2, 0, [("0", None, None), ("1", None, None), ("0", None, None)]),
    (2, 4, 4, [("0,1", "0,1", None), ("2,3", "2,3", None)]),
    (3, 6, 1, [("0,1", "0", "0.300"), ("2,3", "0", "0.300"), ("4,5", "0", "0.300")]),
  ],
)
def test_each_worker_has_as_much_of_the_machine_as_the_others(workers, cores, gpus, expected):
  found = shares.shares(workers, range(cores), [str(i) for i in range(gpus)])
  names = (shares.CORES, shares.VISIBLE, shares.FRACTION)
  assert [tuple(one.get(name) for name in names) for one in found] == expected


def test_a_process_that_is_stopped_is_killed_and_one_that_only_sleeps_is_not(tmp_path):
  engine = local.Local([{"NAME": "here"}, {}], patience=0.1)
  code = "import os, time; print(os.environ.get('NAME'), flush=True); time.sleep(60)"
  engine.start([tasks.Task(group, (sys.executable, "-c", code), tmp_path / group) for group in "ab"])
  (stopped, _), (sleeping, _) = engine._running["a"], engine._running["b"]
  try:
    os.kill(stopped.pid, signal.SIGSTOP)
    found, end = [], time.monotonic() + 30
    while not found and time.monotonic() < end:
      time.sleep(0.02)
      found = engine.poll()
    assert found == [Ended("a", -signal.SIGKILL, tasks.HUNG)]
    assert (engine.room(), engine.running(), sleeping.poll()) == (1, {"b"}, None)
    engine.stop(signal.SIGTERM)
    assert sleeping.wait(30) == -signal.SIGTERM
    assert engine.poll() == [Ended("b", -signal.SIGTERM)]
  finally:
    stopped.kill()
    sleeping.kill()


def test_a_worker_is_asked_to_stop_once_however_often_the_launcher_is(tmp_path):
  code = "import signal, time; signal.signal(15, lambda *_: print('asked', flush=True)); print('ready', flush=True)"
  engine, log = local.Local([{}]), tmp_path / "log"
  engine.start([tasks.Task("group-0", (sys.executable, "-c", f"{code}\nfor _ in range(20): time.sleep(0.1)"), log)])
  while "ready" not in log.read_text():
    time.sleep(0.05)
  for _ in range(2):  # at a second signal it would leave without saving
    engine.stop(signal.SIGTERM)
    time.sleep(0.5)
  while not (ended := engine.poll()):
    time.sleep(0.05)
  assert (ended, log.read_text()) == ([Ended("group-0", 0)], "ready\nasked\n")


def test_gpus_are_those_that_the_environment_leaves():
  assert shares.gpus({"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "0"}) == []
  assert shares.gpus({"CUDA_VISIBLE_DEVICES": "1, GPU-7"}) == ["1", "GPU-7"]
  assert shares.gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
