"""What hangs is ended, and what is only slow, stopped or waited for is not."""

import sys

import pytest

from gan_jax.core.errors import BadInput
from gan_jax.runner import watchdog
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop

LIMIT = 60.0


class Clock:
  """Seconds that pass as they are told to, and what happens at some of them."""

  def __init__(self, progress_of=Progress):
    self.now, self.events = 0.0, {}
    self.progress = progress_of(lambda line: None, clock=lambda: self.now)
    self.progress._lines = False  # no thread of its own

  def wait(self, seconds):
    self.now += seconds
    for at in [at for at in self.events if at <= self.now]:
      self.events.pop(at)()
    return self.now > 100_000

  def barks(self, limit=LIMIT):
    """(phase, seconds without progress, when) of the watchdog's bark; None: it kept still for a day."""
    found = []
    watchdog.watch(self.progress, limit, self.wait, lambda *said: found.append(said), lambda: self.now)
    return (found[0][0].name, found[0][1], self.now) if found else None


@pytest.fixture
def clock():
  return Clock()


def chunks(clock, *seconds):
  """Chunks that took so long each."""
  for number, took in enumerate(seconds, 1):
    clock.now += took
    clock.progress.step(number, 1000, "")


@pytest.mark.parametrize(
  ("seconds", "allowed"), [((1, 1, 1), 60), ((50, 1, 1), 60), ((20, 30, 40), 300), ((7, 7, 7, 7, 900), 70)]
)
def test_ten_times_the_median_chunk_and_at_least_the_limit(clock, seconds, allowed):
  with clock.progress.phase("program 1 of 1"):
    chunks(clock, *seconds)
    begun = clock.now
    name, stood, at = clock.barks()
  assert name == "program 1 of 1"
  assert allowed < stood <= allowed + 1
  assert at - begun == pytest.approx(stood, abs=1)


def test_each_chunk_begins_anew(clock):
  with clock.progress.phase("program 1 of 1"):
    chunks(clock, 1, 1, 1)
    for number in range(1, 200):
      clock.events[3 + 59 * number] = lambda number=number: clock.progress.step(3 + number, 1000, "")
    _, stood, at = clock.barks()
  assert at > 199 * 59  # the median has become 59 s, and so ten times that are allowed
  assert 590 < stood < 592


def test_what_lies_between_chunks_is_not_part_of_them(clock):
  """An evaluation of five minutes does not make a chunk of one second a long one."""
  with clock.progress.phase("program 1 of 1"):
    for number in range(1, 5):
      clock.now += 1
      with clock.progress.phase("measuring", brief=True, kind="measuring 1"):
        clock.now += 300
      clock.progress.step(number, 1000, "")
    assert 60 < clock.barks()[1] < 62


def test_a_first_chunk_that_ran_in_the_call_that_compiled_it_counts_as_long(clock):
  """On a CPU the call may return only when the chunk is trained. Then all its time lies in the inner phase."""
  with clock.progress.phase("program 1 of 1"):
    with clock.progress.phase("compiling program 1 of 1: training"):
      clock.now += 90
    clock.progress.step(1, 1000, "")
    clock.events[300] = lambda: clock.progress.step(2, 1000, "")  # the second takes 210 s, of 900 that are allowed
    assert clock.barks()[2] > 300


def test_the_first_of_a_kind_may_take_long_and_the_next_ten_times_as_long(clock):
  with clock.progress.phase("measuring step 1", kind="measuring"):
    assert 7200 < clock.barks()[1] < 7202
  first = Clock()
  with first.progress.phase("measuring step 1", kind="measuring"):
    first.now += 100
  with first.progress.phase("measuring step 2", kind="measuring"):
    assert 1000 < first.barks()[1] < 1002
  with first.progress.phase("saving step 2", kind="saving"):
    first.now += 0.5
  with first.progress.phase("saving step 3", kind="saving"):
    assert 600 < first.barks()[1] < 602
  with first.progress.phase("compiling program 2 of 2"):
    assert 7200 < first.barks()[1] < 7202


def test_a_process_that_was_stopped_and_woken_is_not_shot(clock):
  """Its clock jumps by an hour, and then the chunk ends."""
  with clock.progress.phase("program 1 of 1"):
    chunks(clock, 1, 1, 1)

    def stopped():
      clock.now += 3600

    clock.events |= {10: stopped, 3640: lambda: chunks(clock, 0)}
    assert clock.barks()[2] > 3640 + 60  # 28 seconds before and after did not count as an hour


def test_who_waits_for_a_reader_is_not_shot(clock):
  """As with `| less`, or after Ctrl-S."""
  with clock.progress.phase("program 1 of 1"):
    chunks(clock, 1, 1, 1)
    clock.progress.speaking = True
    assert clock.barks() is None
  speaking = []
  told = Progress(lambda line: speaking.append(told.speaking))
  told.say("x")
  assert (speaking, told.speaking) == ([True], False)


def test_what_is_computed_again_is_progress(clock):
  with clock.progress.phase("compiling program 1 of 1: first state"):
    clock.events |= {7000: clock.progress.beat, 14000: clock.progress.beat}
    assert clock.barks()[2] > 14000 + 7200


def test_no_phase_is_no_wait(clock):
  assert clock.barks() is None


def test_the_limit_is_of_the_environment():
  assert watchdog.limit({}) == watchdog.limit({watchdog.VARIABLE: ""}) == 60
  assert watchdog.limit({watchdog.VARIABLE: "2.5"}) == 2.5
  assert watchdog.limit({watchdog.VARIABLE: "0"}) == 0
  for bad in ("-1", "nan", "inf", "a minute"):
    with pytest.raises(BadInput, match="GAN_JAX_HANG_SECONDS expected a number of seconds"):
      watchdog.limit({watchdog.VARIABLE: bad})


def test_only_the_command_line_is_watched(tmp_path, monkeypatch):
  """Nobody's notebook is ended; nor is anything with a limit of 0, as for a debugger."""
  monkeypatch.setattr(watchdog, "watch", lambda *_: pytest.fail("it watches"))
  with watchdog.watching(tmp_path, Progress(), Stop()):
    pass
  monkeypatch.setenv(watchdog.VARIABLE, "0")
  with watchdog.watching(tmp_path, Progress(), Stop(lambda *_: None)):
    pass


def test_the_stacks_are_in_the_study_and_name_the_place(tmp_path):
  told = watchdog.stacks(tmp_path, "program 1 of 1: no progress for 61 s")
  (path,) = (tmp_path / "stacks").iterdir()
  assert told == f"the stacks of all threads are in {path}"
  said = path.read_text()
  assert said.startswith("program 1 of 1: no progress for 61 s (host ")
  assert f"in {sys._getframe().f_code.co_name}" in said


def test_a_disk_that_hangs_too_does_not_keep_the_process(tmp_path, monkeypatch):
  monkeypatch.setattr(watchdog, "WRITING", 0.01)
  monkeypatch.setattr(watchdog.threading.Thread, "start", lambda thread: None)
  assert watchdog.stacks(tmp_path, "x").endswith("could not be written")
