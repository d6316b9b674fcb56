"""How the processes of a study end: together, with one exit code and one message.

The first process says that it ends and with which code. Each other process has a thread that waits for this, so none
stays behind in a sum over processes. Where another process fails, it tells the first why, which ends them all. Where a
process dies without a word, the next sum over processes fails, or its heartbeat is missed (`processes.HEARTBEAT`), and
jax ends the others. For one process these functions only print, or do nothing.
"""

import contextlib
import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from gan_jax.core.errors import plural
from gan_jax.runner import processes

LAST = 0.2  # seconds by which the first, where jax's service runs, outlives the others
GRACE = 2.0  # seconds in which the first may find by itself why another process failed: most often all fail alike
FAILED, ENDED = "gan_jax/failed", "gan_jax/ended"


@functools.cache
def attend() -> None:
  """From here on, end when another process ends or fails."""
  if processes.joined():
    threading.Thread(target=_watch, name="processes", daemon=True).start()


def end(code: int, sentence: str = "", stream: TextIO | None = None) -> None:
  """Print how this process ends; the stream is by default stderr.

  Of several processes the first ends all with this code, and the others wait for that; it returns only for one process.
  """
  if processes.leads():
    _finish(code, lambda: _print(sentence, stream))
  wait()


def fail(code: int, sentence: str, speak: Callable[[], None] | None = None) -> None:
  """As `end`, where this process may be the only one that failed: then the first is told the sentence, and prints it.

  `speak`, if given, prints the sentence in the place of `print`.
  """
  if processes.leads():
    _finish(code, speak or (lambda: _print(sentence)))
    return
  with contextlib.suppress(Exception):  # another process failed first
    processes.state().client.key_value_set(FAILED, json.dumps([code, processes.state().process_id, sentence]))
  wait()


def wait() -> None:
  """At any process but the first: wait until the first ends, and end with it. At the first: nothing."""
  if not processes.leads():
    threading.Event().wait()


def _print(sentence: str, stream: TextIO | None = None) -> None:
  if sentence:
    print(sentence, file=stream or sys.stderr)


@functools.cache
def _ending() -> threading.Lock:
  """Held by the thread that ends the first process."""
  return threading.Lock()


def _finish(code: int, speak: Callable[[], None]) -> None:
  """At the first process: say why. Of several, end with `code`, as all others do.

  Without Python's teardown, in which jax would wait for processes that have ended.
  """
  if not processes.joined():
    speak()
    return
  if not _ending().acquire(blocking=False):
    threading.Event().wait()  # another thread is ending this process
  speak()
  with contextlib.suppress(Exception):
    processes.state().client.key_value_set(ENDED, str(code))
  _part()
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError, ValueError, AttributeError):
      stream.flush()
  os._exit(code)


def _watch() -> None:
  """The thread that ends this process when another one ends or fails."""
  first, client = processes.leads(), processes.state().client
  while True:
    try:
      found = client.blocking_key_value_get(FAILED if first else ENDED, processes.LONG)
      break
    except Exception as error:
      if "DEADLINE_EXCEEDED" not in str(error):
        return  # the first process is dead, and jax ends this one
  if first:
    time.sleep(GRACE)
    code, index, sentence = json.loads(found)
    _finish(
      code, lambda: _print(f"{sentence} (process {index} of {plural(processes.count(), 'process', 'processes')})")
    )
  _part()
  os._exit(int(found))


def _part() -> None:
  """Wait for the others, and take leave of them: otherwise jax would abort a process at the sight of the first's end."""
  client = processes.state().client
  with contextlib.suppress(Exception):  # one of them is dead
    client.wait_at_barrier(ENDED, 1000 * processes.FAREWELL)
    client.shutdown()
    if processes.leads():
      time.sleep(LAST)
