"""What a launcher and an engine say to one another, and what is done with a task that failed. No jax import.

A task is a command line that trains one group of a study. An engine decides where it runs (`local.py`: processes of this
machine), the driver (`drive.py`) which task runs when.

Why a task ended, and how often it is tried again:

| cause         | how it is known                                            | tried again                              |
|---------------|------------------------------------------------------------|------------------------------------------|
| done          | exit code 0                                                | no                                       |
| preempted     | exit code 75 or 130, SIGTERM, ...: it was asked to stop    | always, at once                          |
| killed        | SIGKILL or SIGABRT (-9, -6, 137, 134), or the engine says so | 3 times, after 2, 16 and 128 seconds   |
| out of memory | exit code 1, and its last words say so                     | 3 times, after 2, 16 and 128 seconds     |
| hung          | exit code 70: its watchdog saw no progress; or stopped     | 3 times, after 2, 16 and 128 seconds     |
| failed        | any other exit code: an exception, a full disk             | once, at once                            |
| refused       | exit code 2: input that cannot be used                     | no                                       |
| cancelled     | the engine says so: `scancel`                              | no                                       |

A group that has saved a new checkpoint since it was last killed, out of memory or hung has its 3 tries again: so a study
of many days survives any number of reboots. A run that diverged is no failure: its group goes on and ends with code 0.
"""

import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from gan_jax.runs.tries import Try

DONE, PREEMPTED, KILLED, MEMORY, HUNG, FAILED, REFUSED, CANCELLED = (
  "done",
  "preempted",
  "killed",
  "out of memory",
  "hung",
  "failed",
  "refused",
  "cancelled",
)
CODES = {0: DONE, 75: PREEMPTED, 130: PREEMPTED, 70: HUNG, 2: REFUSED}
ASKING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
KILLING = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
OUT_OF_MEMORY = re.compile(r"out of memory|RESOURCE_EXHAUSTED|bad_alloc|unable to allocate", re.I)
TRIES = {KILLED: 3, MEMORY: 3, HUNG: 3, FAILED: 1}  # how often a task is tried again after this cause
GRANTED = (KILLED, MEMORY, HUNG)  # tried so often again after each new checkpoint
FIRST_WAIT, FACTOR = 2.0, 8.0  # seconds before it is tried again, and by how much that grows each time


class Task(NamedTuple):
  """One group of a study, to be trained by a process of its own."""

  group: str  # its name in the manifest
  command: tuple[str, ...]  # a command line, to be called in the launcher's directory with its environment
  log: Path  # where its output is appended


class Ended(NamedTuple):
  """A task that an engine no longer runs."""

  group: str
  code: int  # the exit code; negative: the signal that ended it
  cause: str = ""  # one of those above, where the engine knows more than the code says: Slurm knows who was pre-empted


class Engine(Protocol):
  """Where tasks run. It keeps nothing that matters: a new one may be given the tasks of one that died.

  No function waits longer than a moment. None raises where a task fails: that is what `poll` returns.
  """

  def room(self) -> int:
    """How many more tasks it takes now."""

  def start(self, tasks: Sequence[Task]) -> None:
    """Start these tasks, at most `room()`. Several at once, so that a cluster can take them as one array.

    Raises:
      Failure: the machine or the cluster did not take them.
    """

  def poll(self) -> list[Ended]:
    """The tasks that have ended since the last call, each once."""

  def running(self) -> set[str]:
    """The groups that it runs or has in its queue, also those that a launcher before this one started."""

  def stop(self, number: int) -> None:
    """Pass a signal on to all tasks; those that have not begun are given up. What ends then is told by `poll`.

    Or leave all of them to a cluster, where the next launcher finds them: then none is `running` here.
    """


def cause(ended: Ended, words: str) -> str:
  """Why a task ended; `words`: the last lines of its output.

  >>> cause(Ended("group-0", -9), "")
  'killed'
  >>> cause(Ended("group-0", 1), "error: out of memory in group-0: ...")
  'out of memory'
  """
  if ended.cause:
    return ended.cause
  number = -ended.code if ended.code < 0 else ended.code - 128
  if number in KILLING:
    return KILLED
  if number in ASKING:
    return PREEMPTED
  if ended.code not in CODES and OUT_OF_MEMORY.search(words):
    return MEMORY
  return CODES.get(ended.code, FAILED)


def wait(tries: Sequence[Try]) -> float | None:
  """Seconds until a task is tried again, given its tries that have ended, in order; None: never.

  >>> killed, failed = Try(1, 0.0, 9.0, "killed", -9), Try(1, 0.0, 9.0, "failed", 1)
  >>> wait([killed]), wait([killed, killed]), wait([failed]), wait([failed, failed])
  (2.0, 16.0, 0.0, None)
  """
  last = tries[-1]
  if last.cause == PREEMPTED:
    return 0.0
  alike = [one for one in tries if one.cause == last.cause]
  if last.cause in GRANTED:
    alike = [one for one in alike if one.saved == last.saved]
  if len(alike) > TRIES.get(last.cause, 0):
    return None
  return 0.0 if last.cause == FAILED else FIRST_WAIT * FACTOR ** (len(alike) - 1)
