"""Ends a command whose training stands still, so that whoever launched it can start it again. No jax import.

A thread looks once a second at what the command shows as its progress (progress.py). Without any progress for too long,
it writes the stacks of all threads to a file in `stacks/` of the study, and the process exits with `HUNG`. The same
command goes on from the last checkpoint. With `limit` = 60 seconds, too long is

    while chunks are trained            max(limit, 10 times the median chunk)
    while measuring or saving           max(10 limit, 10 times the longest of its kind so far)
    the first of these, and the rest    120 limit: compiling, reading data, the classifier of the data, the report

Only seconds in which this thread itself ran are counted, so a process that was stopped (SIGSTOP, a suspended laptop) and
woken is not taken for one that hangs. A process that waits for the reader of its output is not either. What cannot be
seen from here is code in C that hangs without letting Python's threads run.

Only the command line, which owns its process, is watched. `GAN_JAX_HANG_SECONDS` sets the limit; 0: no watching, for
example to use a debugger.
"""

import contextlib
import faulthandler
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gan_jax import runs
from gan_jax.core.errors import BadInput, shown
from gan_jax.runner.progress import Phase, Progress
from gan_jax.runner.signals import Stop

HUNG = 70  # exit code; EX_SOFTWARE of sysexits.h
VARIABLE = "GAN_JAX_HANG_SECONDS"
LIMIT, TIMES = 60.0, 10  # seconds; how many times what it took before
PAUSE, SLOW = 10, 120  # limits for a pause between chunks, and for what has not been done before
TICK = 1.0  # seconds between two looks
WRITING = 20.0  # seconds that the stacks may take: the disk may be what hangs


def limit(environment: Mapping[str, str] = os.environ) -> float:
  """Seconds without progress that are allowed at least; 0: any. Raises `BadInput` for what is no such number."""
  said = environment.get(VARIABLE, "") or str(LIMIT)
  try:
    seconds = float(said)
  except ValueError:
    seconds = -1.0
  if not 0 <= seconds < 1e9:
    raise BadInput(f"{VARIABLE} expected a number of seconds of at least 0 (0: never), got {shown(said)}")
  return seconds


def allowed(phase: Phase, before: float | None, limit: float) -> float:
  """Seconds without progress that a phase may take; `before`: the longest one of its kind, None: it is the first."""
  if phase.took:
    return max(limit, TIMES * statistics.median(phase.took))
  return SLOW * limit if before is None else max(PAUSE * limit, TIMES * before)


@contextlib.contextmanager
def watching(study: Path, progress: Progress, stop: Stop) -> Iterator[None]:
  """Watch the progress while the body runs, in a thread.

  Raises:
    BadInput: `GAN_JAX_HANG_SECONDS` is no number of seconds.
  """
  seconds, leave = limit(), stop.leave
  if not seconds or leave is None:
    yield
    return
  ended = threading.Event()

  def bark(phase: Phase, stood: float) -> None:
    told = stacks(study, f"{phase.name}: no progress for {stood:.0f} s")
    leave(HUNG, f"error: no progress for {stood:.0f} s in {phase.name}: {told}; {stop.outcome}")

  thread = threading.Thread(target=watch, args=(progress, seconds, ended.wait, bark), name="watchdog", daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()


def watch(
  progress: Progress,
  limit: float,
  wait: Callable[[float], bool],
  bark: Callable[[Phase, float], None],
  clock: Callable[[], float] = time.monotonic,
) -> None:
  """Look at `progress` until `wait(seconds)` is true, or until `bark(phase, seconds)` was called.

  Each progress makes a new phase object, so that one which is there for long is one that stands still.
  """
  tick = min(TICK, limit / 4)
  last, stood, at = progress.current, 0.0, clock()
  while not wait(tick):
    now, phase = clock(), progress.current
    stood = stood + min(now - at, 2 * tick) if phase is last and not progress.speaking else 0.0
    last, at = phase, now
    if phase is not None and stood > allowed(phase, progress.longest.get(phase.kind), limit):
      bark(phase, stood)
      return


def stacks(study: Path, why: str) -> str:
  """Write the stacks of all threads; returns where they are, in words."""
  place = study / runs.STACKS / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
  if not study.is_dir():
    faulthandler.dump_traceback()
    return "the stacks of all threads are above"
  written = threading.Event()

  def write() -> None:
    with contextlib.suppress(OSError):
      place.parent.mkdir(exist_ok=True)
      with open(place, "w", encoding="utf-8") as file:
        file.write(f"{why} (host {os.uname().nodename}, pid {os.getpid()})\n\n")
        file.flush()
        faulthandler.dump_traceback(file)
      written.set()

  threading.Thread(target=write, name="stacks", daemon=True).start()
  written.wait(WRITING)
  return f"the stacks of all threads are in {place}" if written.is_set() else f"{place} could not be written"
