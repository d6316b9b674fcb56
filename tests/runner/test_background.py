"""Writing while training goes on: in order, counted when it is on disk, and never silent when it fails."""

import threading
import types

import numpy as np
import pytest

from gan_jax.core.errors import Stopped
from gan_jax.runner import loop
from gan_jax.runner.background import WAITING, Background
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop
from gan_jax.runs.plan import Chunk


def test_jobs_are_done_in_order_and_all_of_them_before_the_end():
  done = []
  with Background() as writing:
    for number in range(3 * WAITING):
      writing.do(done.append, number)
  assert done == list(range(3 * WAITING))


def test_a_slow_disk_makes_the_training_wait():
  gate, begun = threading.Event(), []
  with Background() as writing:
    writing.do(gate.wait, 60)
    threading.Timer(0.05, gate.set).start()
    for _ in range(WAITING):
      begun.append(gate.is_set())
      writing.do(lambda: None)
    assert not begun[0]  # the first ones were only taken note of
    assert gate.is_set()  # the last one had to wait


def failing():
  raise OSError(28, "No space left on device")


def write(*jobs, then=lambda writing: None):
  with Background() as writing:
    for job in jobs:
      writing.do(job)
    then(writing)


def test_after_a_failure_nothing_more_is_written_and_it_is_raised():
  done = []
  with pytest.raises(OSError, match="No space left"):
    write(failing, lambda: done.append("a checkpoint of rows that are not there"))
  assert not done
  with pytest.raises(OSError, match="No space left"):
    write(failing, then=Background.wait)


def test_an_error_of_the_training_is_not_hidden_by_one_of_the_writing():
  def interrupted(writing):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    write(failing, then=interrupted)


CHUNKS = [Chunk(0, 1, 10, False, True), Chunk(10, 1, 10, False, False), Chunk(20, 1, 10, False, True)]


class Fake:
  """A program and its writer, without jax: what was begun and what was written, in order."""

  def __init__(self, save):
    self.log, self.seconds, self.save_with = [], 0.0, save
    self.program = types.SimpleNamespace(advance=self.advance, hypers=None, data=None)
    self.group = types.SimpleNamespace(name="group-0", start=0, spec=types.SimpleNamespace(steps=30))

  def advance(self, hypers, state, data, windows, length):
    self.log.append(("train", int(state)))
    return state + windows * length, {"x": state}

  def rows(self, chunk, rows):
    self.log.append(("rows", chunk.first))

  def held(self, state):
    return state.copy(), None

  def save(self, step, state, kept):
    self.save_with(step)
    self.log.append(("saved", step))

  def tell_again(self):
    pass

  def diverged(self, state):
    return {}

  def status(self, step, seconds, diverged):
    self.log.append(("status", step))


@pytest.fixture
def told():
  quiet = lambda *_: None  # noqa: E731
  aside = lambda *_: Background()  # noqa: E731
  return types.SimpleNamespace(compiling=aside, trained=quiet, pause=aside, step=quiet)


def train(fake, told, stop):
  with Background() as writing:
    loop._train(np.array(0), CHUNKS, fake, writing, told, stop)


def test_training_goes_on_while_a_checkpoint_is_written_and_counts_it_when_it_is_on_disk(told):
  trained, stop, outcomes = threading.Event(), Stop(), []

  def slowly(step):
    if step == 10:
      assert trained.wait(60)  # the next chunk was trained meanwhile
      outcomes.append(stop.outcome)

  fake = Fake(slowly)
  advance = fake.advance
  fake.program.advance = lambda *a: (trained.set() if a[1] == 10 else None, advance(*a))[1]
  train(fake, told, stop)
  assert "saved" not in outcomes[0]  # nothing was on disk yet
  assert stop.outcome.startswith("step 30 of 30 of group-0 is saved")
  assert not stop.unsaved
  written = [entry for entry in fake.log if entry[0] != "train"]
  assert written == [("rows", 0), ("saved", 10), ("status", 10), ("rows", 10), ("status", 20), ("rows", 20),
                     ("saved", 30), ("status", 30)]  # fmt: skip


def test_a_signal_waits_for_the_checkpoint(told):
  stop = Stop()
  fake = Fake(lambda step: None)
  advance = fake.advance

  def then(*arguments):
    if arguments[1] == 10:
      stop.ask(15)
    return advance(*arguments)

  fake.program.advance = then
  with pytest.raises(Stopped, match="stopped by SIGTERM: step 20 of 30 of group-0 is saved"):
    train(fake, told, stop)
  assert fake.log[-2:] == [("saved", 20), ("status", 20)]


def test_a_checkpoint_that_cannot_be_written_ends_the_run(told):
  """The status never says that the group is complete."""

  def fails(step):
    raise OSError(28, "No space left on device")

  fake = Fake(fails)
  with pytest.raises(OSError, match="No space left"):
    train(fake, told, stop := Stop())
  assert "saved" not in stop.outcome
  assert not [entry for entry in fake.log if entry[0] == "status"]


def test_a_chunk_that_keeps_a_signal_waiting_is_told_once(monkeypatch):
  """Not the first one, which was compiled."""
  said, now = [], [0.0]
  monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
  conduct = loop.Conduct(Progress(said.append), Stop(), 1, 1)
  group = types.SimpleNamespace(name="group-0", start=0, spec=types.SimpleNamespace(steps=30))
  told = loop._Told(conduct, group, 2, CHUNKS, 0)
  for seconds, warned in ((500, 0), (19, 0), (34, 1), (60, 1)):
    with conduct.progress.phase("program 1 of 1", brief=True):
      with told.compiling():
        pass
      now[0] += seconds
      told.step(CHUNKS[0])
    warnings = [line for line in said if line.startswith("warning")]
    assert len(warnings) == warned
  assert "takes 34 s" in warnings[0]
  assert "--signal=USR1@68" in warnings[0]
