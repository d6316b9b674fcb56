"""How a run reacts to signals. No jax import.

After SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2 (sent by Slurm, a closed terminal, `timeout`) the current chunk is finished
and saved, and the command exits with 75 (EX_TEMPFAIL of sysexits.h: try again later). After Ctrl-C (SIGINT) too, with
130. If there is nothing to save, and at a second signal, it exits at once.

Slurm ends a job with SIGTERM to its processes, and `srun`, which is one of them, passes it on: a worker gets it twice
within milliseconds, and has some 30 seconds to save. So the same signal again within `ECHO` seconds is no second one,
except Ctrl-C.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from gan_jax.core.errors import Interrupted, Stopped

TRY_AGAIN = 75
INTERRUPTED = 130
ECHO = 2.0  # seconds
ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"))


class Stop:
  """A request to stop. Signals set it, and the loop checks it after each chunk.

  Attributes:
    asked: the signal that asked to stop after saving the current chunk; None if there was none.
    interrupted: whether Ctrl-C raised KeyboardInterrupt, which what was running may have dropped.
    unsaved: whether there are steps since the last checkpoint, which stopping at once would lose.
    outcome: what is kept if the process ends now, and what the same command does next; part of the final message.
  """

  def __init__(
    self,
    leave: Callable[[int, str], None] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """`leave(exit code, sentence)` ends the process. Without it, in a notebook or a program, `check` raises instead.

    `tell(sentence)` answers the first Ctrl-C, if that has to wait.
    """
    self.leave, self.tell = leave, tell
    self._clock, self._since = clock, 0.0
    self.asked: int | None = None
    self.interrupted = False
    self.unsaved = False
    self.outcome = "what was not finished is done again by the same command"

  def ask(self, number: int) -> None:
    """React to a signal. Called by a signal handler or by the thread of `attended`."""
    if self.echoes(number):
      return
    if self.leave and (self.asked is not None or not self.unsaved):
      self.leave(INTERRUPTED if number == signal.SIGINT else TRY_AGAIN, self._sentence(number))
    self.asked, self._since = number, self._clock()
    if number == signal.SIGINT:
      self.tell(
        "Ctrl-C: what is being trained is finished to the end of its chunk and saved; a second one leaves at once"
      )

  def echoes(self, number: int) -> bool:
    """Whether a signal that comes now is the request that is known already, sent twice."""
    return number == self.asked and number != signal.SIGINT and self._clock() - self._since < ECHO

  @property
  def wanted(self) -> bool:
    return self.interrupted or self.asked is not None

  def check(self) -> None:
    """Stop here if asked to; to be called when everything is saved.

    Raises:
      Stopped: a signal asked for it; Ctrl-C: `Interrupted`.
      KeyboardInterrupt: Ctrl-C raised it before, and the code that was running then dropped it.
    """
    if self.interrupted:
      raise KeyboardInterrupt
    if self.asked is not None:
      raise (Interrupted if self.asked == signal.SIGINT else Stopped)(self._sentence(self.asked))

  def _sentence(self, number: int) -> str:
    return f"stopped by {'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name}: {self.outcome}"


@contextlib.contextmanager
def attended(stop: Stop) -> Iterator[None]:
  """React to signals at once, from a separate thread, while the body runs. For the command line, which owns its process.

  A Python signal handler runs only between two instructions of the main thread, so it would wait for a compilation. And
  a KeyboardInterrupt raised inside a callback of jax or Orbax is printed and dropped; here none is raised. Signals that
  the parent process ignores (`nohup`, `&` in a script) stay ignored.
  """
  numbers = [n for n in (signal.SIGINT, *ASKING) if signal.getsignal(n) is not signal.SIG_IGN]
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  once = _Once(stop.ask)
  reader, writer = os.pipe()
  os.set_blocking(writer, False)

  def attend() -> None:
    while received := os.read(reader, 1):  # the signal's number, written by Python's handler in C
      if received[0] in numbers:
        once.tell("thread", received[0])

  thread = threading.Thread(target=attend, name="signals", daemon=True)
  thread.start()
  handlers = {n: signal.signal(n, lambda number, _: once.tell("handler", number)) for n in numbers}
  wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  try:
    yield
  finally:
    signal.set_wakeup_fd(wakeup)
    for number, handler in handlers.items():
      signal.signal(number, handler)
    os.close(writer)
    thread.join()
    os.close(reader)


def ignored() -> None:
  """From now on signals do nothing. For the exit of a process that has written everything, which ends with code 0.

  Without this a signal in these last moments, in which jax's threads end, makes a finished study look like a killed one.
  """
  for number in (signal.SIGINT, *ASKING):
    signal.signal(number, signal.SIG_IGN)


class _Once:
  """A signal is reported twice, by the thread and by the handler in the main thread, and must count once.

  While an event loop runs in the main thread (uvloop's, in Orbax), it takes the thread's messages, and only the handler
  reports the signal.
  """

  def __init__(self, ask: Callable[[int], None]):
    self._ask = ask
    self._lock = threading.RLock()  # re-entrant: a handler may interrupt a handler
    self._ahead: dict[tuple[str, int], int] = {}

  def tell(self, source: str, number: int) -> None:
    other = ("handler" if source == "thread" else "thread", number)
    with self._lock:
      if self._ahead.get(other, 0):
        self._ahead[other] -= 1
        return
      self._ahead[source, number] = self._ahead.get((source, number), 0) + 1
    self._ask(number)


@contextlib.contextmanager
def noticed(stop: Stop) -> Iterator[None]:
  """Record signals while the body runs. For a study that is called by a notebook or another program.

  Only in the main thread, where Python allows handlers, and only for signals that the caller does not handle itself.
  Ctrl-C raises KeyboardInterrupt as usual, and `Stop.check` raises it again in case it was dropped. A second signal of
  another kind has its default effect. The handlers are restored afterwards.
  """

  def interrupt(number: int, frame: object) -> None:
    stop.interrupted = True
    raise KeyboardInterrupt

  def ask(number: int, frame: object) -> None:
    if stop.asked is not None and not stop.echoes(number):
      signal.signal(number, signal.SIG_DFL)
      os.kill(os.getpid(), number)
    stop.ask(number)

  ours = {signal.SIGINT: interrupt, **dict.fromkeys(ASKING, ask)}
  defaults: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ASKING, signal.SIG_DFL)}
  main = threading.current_thread() is threading.main_thread()
  taken = [number for number in ours if main and signal.getsignal(number) == defaults[number]]
  try:
    for number in taken:
      signal.signal(number, ours[number])
    yield
  finally:
    for number in taken:
      signal.signal(number, defaults[number])
