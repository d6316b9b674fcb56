"""Has the tasks of a study run by an engine, each until it is done or has failed for good. No jax import.

Nothing that the driver keeps in memory matters. What is trained is in the study's directory, and how often a task was
tried is in `launch/tries.json`. A launch that was killed is continued by the next one: a task that still runs there is
not begun a second time, since its worker holds the lock of its group (gan_jax/runner/worker.py).
"""

import datetime
import os
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gan_jax.core.errors import Failure, one_line, plural
from gan_jax.launch import tasks
from gan_jax.launch.tasks import DONE, PREEMPTED, Ended, Engine, Task
from gan_jax.runs import tries as book
from gan_jax.runs.tries import Try

Say = Callable[[str], object]
LOOK = 0.2  # seconds between two looks at the engine
LAST_WORDS = 4096  # bytes of a log in which a task's last words are looked for
SAID = 1000  # letters of them that are kept and told


class Stop(Protocol):
  """A request to stop; see gan_jax/runner/signals.py."""

  asked: int | None  # the signal
  outcome: str  # what is kept, for the message

  def check(self) -> None:
    """Raises `Stopped` where a signal asked to stop."""


class Place(NamedTuple):
  """What is launched, and how."""

  study: Path
  engine: Engine
  command: Callable[[str], tuple[str, ...]]  # of a task, by its group
  say: Say
  stop: Stop
  follow: Callable[[set[str]], object] = lambda running: None  # called again and again with the groups that run
  clock: Callable[[], float] = time.monotonic
  sleep: Callable[[float], object] = time.sleep


class Failed(NamedTuple):
  """A task that failed for good."""

  group: str
  last: Try
  tried: int
  log: Path

  def __str__(self) -> str:
    times = "" if self.tried == 1 else f", tried {self.tried} times"
    words = f": {self.last.words}" if self.last.words else ""
    return f"{self.group} {what_happened(self.last)}{times}{words} (its output: {self.log})"


def what_happened(last: Try) -> str:
  """`failed with exit code 1`, `was killed (SIGKILL)`."""
  return {
    tasks.KILLED: f"was killed ({_signal(last.code)})",
    tasks.MEMORY: "was out of memory",
    tasks.HUNG: "made no progress any more",
    tasks.REFUSED: "was refused",
    tasks.PREEMPTED: "was asked to stop, and has saved",
    tasks.CANCELLED: "was cancelled",
  }.get(last.cause, f"failed with exit code {last.code}")


def _signal(code: int) -> str:
  number = -code if code < 0 else code - 128
  return signal.Signals(number).name if number in set(signal.Signals) else f"exit code {code}"


def drive(place: Place, groups: Sequence[str]) -> list[Failed]:
  """Run the tasks of these groups; returns those that failed for good. All others are done.

  Raises:
    Stopped: a signal asked to stop. It was passed on to the tasks, which have saved and ended.
    Failure: the engine could not start a task.
    OSError: the study could not be written. The tasks that run go on.
  """
  found = _Driver(place, groups)
  while found.left:
    for ended in place.engine.poll():
      found.end(ended)
    if place.stop.asked is not None:
      found.stop()
    found.start()
    place.follow(place.engine.running())
    if found.left:
      place.sleep(LOOK)
  return found.failed


def submit(place: Place, groups: Sequence[str]) -> list[Failed]:
  """Hand the tasks of these groups to the engine, which goes on alone: how they end, the next launch sees.

  Returns those that had failed for good in a launch that was killed: they are not handed over.

  Raises:
    Failure: the engine did not take them.
  """
  found = _Driver(place, groups)
  while set(found.left) - place.engine.running():
    found.start()
  place.engine.stop(signal.SIGHUP)
  return found.failed


class _Driver:
  """Which tasks are left, and when each may run. Writes `tries.json`."""

  def __init__(self, place: Place, groups: Sequence[str]):
    self._place = place
    self._tries = book.read(place.study)
    self.left = dict.fromkeys(groups, place.clock())  # when each may run
    self.failed: list[Failed] = []
    self._stopping = False
    running = place.engine.running()
    for group in running & set(groups):
      place.say(f"{group} is being trained, by the launch before this one")
    for group in groups:
      found = self._tries.of(group)  # of a launch that was killed; how its last try ended may not be known
      if group not in running and found and found[-1].cause not in ("", DONE, PREEMPTED):
        self._weigh(group)

  def start(self) -> None:
    """Start the tasks that may run, as many as there is room for."""
    place, now = self._place, self._place.clock()
    running = place.engine.running()
    if self._stopping:
      if not running:
        place.stop.outcome = "what was trained is saved, and the same command goes on from there"
        place.stop.check()
      return
    ready = [group for group, at in self.left.items() if at <= now and group not in running][: place.engine.room()]
    for group in ready:
      self._tries = self._tries.started(group, time.time())
      _head(self._log(group), f"{group}, try {len(self._tries.of(group))}", place.command(group))
    if ready:
      book.write(place.study, self._tries)
      place.engine.start([Task(group, place.command(group), self._log(group)) for group in ready])

  def stop(self) -> None:
    """Pass the signal on, once."""
    if not self._stopping:
      self._stopping = True
      number = self._place.stop.asked or signal.SIGTERM
      self._place.engine.stop(number)
      if running := self._place.engine.running():
        name = signal.Signals(number).name
        self._place.say(f"{name}: waiting for {plural(len(running), 'worker')} to save and stop")

  def end(self, ended: Ended) -> None:
    """Note how a task ended, and decide whether it is tried again."""
    if ended.group not in self.left:
      return
    words = last_words(self._log(ended.group))
    known: dict[str, Any] = {
      "ended": time.time(),
      "cause": tasks.cause(ended, words),
      "code": ended.code,
      "saved": book.saved(self._place.study, ended.group),
      "words": one_line(words.splitlines()[-1])[:SAID] if words and ended.code else "",
    }
    self._tries = self._tries.ended(ended.group, **known)
    book.write(self._place.study, self._tries)
    self._weigh(ended.group)

  def _weigh(self, group: str) -> None:
    """Whether a task is done, has failed for good, or when it may run again."""
    place, found = self._place, self._known(group)
    last = found[-1]
    if last.cause == DONE:
      del self.left[group]
      return
    pause = tasks.wait(found)
    if pause is None:
      del self.left[group]
      self.failed.append(Failed(group, last, sum(one.cause != PREEMPTED for one in found), self._log(group)))
      if self.left or self.failed[1:]:  # of a single one says the caller how it ended
        place.say(str(self.failed[-1]))
      return
    self.left[group] = place.clock() + pause
    if not self._stopping:
      place.say(
        f"{group} {what_happened(last)} at step {last.saved:,}: tried again {f'in {pause:g} s' if pause else 'now'}"
      )

  def _known(self, group: str) -> list[Try]:
    """The tries of a task that have ended."""
    return [one for one in self._tries.of(group) if one.cause]

  def _log(self, group: str) -> Path:
    return book.log(self._place.study, group)


def _head(log: Path, title: str, command: Sequence[str]) -> None:
  """Write above a task's output which try it is."""
  log.parent.mkdir(parents=True, exist_ok=True)
  now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  with open(log, "ab") as file:
    file.write(f"--- {title}, {now}, from {os.uname().nodename}: {shlex.join(command)}\n".encode())


def last_words(log: Path) -> str:
  """The end of what a task has written since it was last started."""
  try:
    with open(log, "rb") as file:
      file.seek(max(0, os.stat(log).st_size - LAST_WORDS))
      text = file.read().decode("utf-8", "replace")
  except OSError:
    return ""
  lines = text.splitlines()
  heads = [number for number, line in enumerate(lines) if line.startswith("--- ")]
  return "\n".join(line for line in lines[heads[-1] + 1 if heads else 0 :] if line.strip())


def last_try(log: Path) -> int:
  """Where in a task's log its last try begins, in bytes."""
  return log.read_bytes().rfind(b"\n--- ") + 1 if log.exists() else 0


def launched(study: Path) -> None:
  """Note that a launch begins. Raises `BadInput` where `tries.json` is damaged."""
  book.write(study, book.read(study).begin())


def over(study: Path, code: int) -> None:
  """Note that a launch ended by itself, so that the next one tries everything anew."""
  book.write(study, book.read(study).end(code))


def refused(failed: Sequence[Failed]) -> Failure:
  """The failure of a launch of which some tasks failed for good."""
  more = f"; and {plural(len(failed) - 1, 'other group')}" if len(failed) > 1 else ""
  return Failure(f"{failed[0]}{more}; all other groups are trained, and the same command tries again")
