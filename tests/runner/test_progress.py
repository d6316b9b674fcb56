"""What is said while a study goes on: the time left, no long silence, nothing after the end, nobody listening."""

import io
import threading

import pytest

from gan_jax.runner import progress
from gan_jax.runner.progress import Pace, Progress, clock


class Clock:
  """A clock that a test moves."""

  def __init__(self):
    self.now = 0.0

  def __call__(self):
    return self.now


def test_the_time_left_is_steps_by_the_rate_and_the_pauses_to_come():
  pace = Pace()
  assert pace.left(100, {"measuring": 1}) is None
  for _ in range(3):
    pace.chunk(50, 2.0)
    pace.pause("measuring", 5.0)
  pace.pause("saving", 0.5)
  assert pace.rate() == 25
  assert pace.left(500, {"measuring": 4, "saving": 2}) == 500 / 25 + 4 * 5 + 2 * 0.5
  assert pace.left(0, {"measuring": 0, "saving": 0}) == 0


def test_the_rate_is_of_the_recent_chunks():
  pace = Pace()
  for seconds in [100.0] * 5 + [1.0] * progress.RECENT:
    pace.chunk(10, seconds)
  assert pace.rate() == 10


@pytest.mark.parametrize(("rate", "text"), [(0.123, "0.12"), (3, "3"), (12.4, "12"), (1234, "1,234")])
def test_a_slow_run_has_a_speed(rate, text):
  assert progress.speed(rate, 8) == f"{text} steps/s x 8"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.9, "0:07"), (750, "12:30"), (3723, "1:02:03")])
def test_clock(seconds, text):
  assert clock(seconds) == text


def test_phases_are_named_as_they_begin_and_steps_not_more_often_than_needed():
  said, time = [], Clock()
  with Progress(said.append, io.StringIO(), time) as told:
    with told.phase("compiling"):
      assert said == ["compiling ..."]
    with told.phase("program 1 of 1", brief=True):
      for step in (10, 20, 30, 40):
        time.now += progress.SILENCE / 2 + 0.001
        told.step(step, 40, "5 steps/s")
  assert said[1:] == ["program 1 of 1: step 20/40  5 steps/s", "program 1 of 1: step 40/40  5 steps/s"]


def test_a_step_told_of_again_says_how_long_ago_it_was():
  """While a long chunk is computed the line is the same but for its age: nobody is to think that it has just happened."""
  time, said = Clock(), []
  told = Progress(said.append, io.StringIO(), clock=time)
  with told.phase("program 1 of 1", brief=True):
    told.step(10, 40, "")
    for _ in range(2):
      time.now += progress.SILENCE
      said.append(told._line())
  ages = [int(n * progress.SILENCE) for n in (1, 2)]
  assert said == [f"program 1 of 1: step 10/40  ({age} s ago)" for age in ages]


def test_a_long_phase_is_told_of_again_and_again_and_never_after_the_end(monkeypatch):
  """From the helper thread: the body says nothing, and waits for it."""
  monkeypatch.setattr(progress, "SILENCE", 0.001)
  said, enough = [], threading.Event()

  def say(line):
    said.append(line)
    if len(said) == 4:
      enough.set()

  with Progress(say, io.StringIO()) as told, told.phase("compiling program 1 of 2"):
    assert enough.wait(60)
  count = len(said)
  assert said[0] == "compiling program 1 of 2 ..."
  assert all("compiling program 1 of 2" in line for line in said)
  assert not any(thread.name == "progress" for thread in threading.enumerate())
  assert len(said) == count


@pytest.mark.parametrize(
  "error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed file")]
)
def test_nobody_listens(error):
  calls = []

  def say(line):
    calls.append(line)
    raise error

  with Progress(say, io.StringIO()) as told:
    told.say("first")
    with told.phase("training"):
      told.step(1, 1, "")
  assert calls == ["first"]


def test_an_error_of_the_callers_own_is_not_hidden():
  def say(line):
    raise ValueError("no such channel")

  with pytest.raises(ValueError, match="no such channel"):
    Progress(say, io.StringIO()).say("first")


class Terminal(io.StringIO):
  def isatty(self):
    return True


def test_on_a_terminal_a_live_line_names_the_phase(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "100")
  said, terminal = [], Terminal()
  with Progress(said.append, terminal) as told, told.phase("program 1 of 2", brief=True):
    told.step(1500, 3000, "5 steps/s x 7  5:00 left")
    told._bar.refresh()
    with told.phase("measuring step 1,500", brief=True):
      told._bar.refresh()
  drawn = terminal.getvalue()
  assert "step 1,500/3,000  5 steps/s x 7  5:00 left" in drawn
  assert "measuring step 1,500" in drawn
  assert "\x1b[?25l" not in drawn  # the cursor stays, whatever becomes of the process


def test_a_terminal_that_was_closed_stops_nothing(monkeypatch):
  class Closed(Terminal):
    def write(self, text):
      raise OSError(5, "Input/output error")

  monkeypatch.setenv("TERM", "xterm")
  with Progress(lambda line: None, Closed()) as told, told.phase("training"):
    told.step(1, 2, "")
    told._bar.refresh()
