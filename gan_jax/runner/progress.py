"""Progress of a study for its user: the phase, how far it is, and the remaining time. No jax import.

On a terminal it is one live line, drawn by rich. In a log or a pipe it is a line when a phase begins, and at least one
every `SILENCE` seconds. A closed pipe (`| head -1`) or terminal does not stop the study.
"""

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TextIO

Say = Callable[[str], None]

SILENCE = 8.0  # seconds
RECENT = 10  # number of chunks, and of pauses of one kind, from which the remaining time is estimated


class Pace:
  """The remaining time, estimated from recent chunks and pauses.

  Chunks that include a compilation, and the first pause of each kind if it compiles, are left out.
  """

  def __init__(self) -> None:
    self._chunks: deque[tuple[int, float]] = deque(maxlen=RECENT)
    self._pauses: dict[str, deque[float]] = {}

  def chunk(self, steps: int, seconds: float) -> None:
    self._chunks.append((steps, seconds))

  def pause(self, kind: str, seconds: float) -> None:
    self._pauses.setdefault(kind, deque(maxlen=RECENT)).append(seconds)

  def rate(self) -> float | None:
    """Steps per second while training; None until it is known."""
    seconds = sum(s for _, s in self._chunks)
    return sum(n for n, _ in self._chunks) / seconds if seconds > 0 else None

  def left(self, steps: int, pauses: dict[str, int]) -> float | None:
    """Seconds for `steps` more steps and `pauses` more pauses of each kind; None until the rate is known."""
    rate = self.rate()
    if rate is None:
      return None
    known = {kind: sum(values) / len(values) for kind, values in self._pauses.items()}
    return steps / rate + sum(count * known.get(kind, 0.0) for kind, count in pauses.items())


class Phase(NamedTuple):
  """What is being done. Each progress makes a new object of it."""

  name: str
  began: float  # anew after each phase inside it
  task: Any  # of the live display
  detail: str = ""  # of training: step, rate, time left
  done: int = 0
  total: int = 0
  at: float = 0.0  # when `done` was reached
  kind: str = ""  # phases of one kind take about as long; '': it is like no other
  start: float = 0.0
  # Seconds of the last chunks, without what was done between them. The first has all since the start: some backends run
  # it inside the call that compiles it.
  took: tuple[float, ...] = ()


class Progress:
  """Shows the phases of one study. A context manager; nothing is printed after its end."""

  def __init__(self, say: Say = print, terminal: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
    """`say` prints a line; it is also called from a helper thread, never twice at once. `terminal` is by default stderr."""
    stream = terminal or sys.stderr
    live = stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    # Lines are not needed where a live line is on the same terminal; a log gets lines in any case.
    self._lines = not (live and say is print and sys.stdout is not None and sys.stdout.isatty())
    self._write, self._clock = say, clock
    self._phases: list[Phase] = []
    self._told = clock()
    self._deaf = False  # printing failed: the reader is gone
    self.speaking = False  # a line is being printed, and its reader may be slow
    self.longest: dict[str, float] = {}  # seconds of the longest phase of each kind
    self._lock = threading.Condition()
    self._ended = False
    self._terminal = stream if live else None
    self._bar: Any = None  # rich's live display; imported with the first phase, because importing takes time
    self._thread = threading.Thread(target=self._beat, name="progress", daemon=True)

  @property
  def current(self) -> Phase | None:
    """The innermost phase. It takes no lock, because whoever prints holds it."""
    return next(reversed(self._phases[-1:]), None)

  @property
  def live(self) -> bool:
    """Whether there is a live line."""
    return self._terminal is not None

  def note(self, text: str) -> None:
    """Show a text below the live line, until the next one; '' shows none. Nothing is printed elsewhere."""
    if self._bar:
      self._bar.note = text

  def __enter__(self) -> "Progress":
    if self._lines:
      self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    with self._lock:
      self._ended = True
      self._lock.notify_all()
    if self._thread.is_alive():
      self._thread.join()
    if self._bar:
      self._bar.stop()

  def say(self, line: str) -> None:
    """Print a line that stays."""
    with self._lock:
      self._told = self._clock()
      if self._deaf:
        return
      self.speaking = True
      try:
        if self._bar and not self._lines:
          self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)  # above the live line
        else:
          self._write(line)
        if self._write is print and sys.stdout is not None:
          sys.stdout.flush()
      except (OSError, ValueError) as error:  # a closed pipe, a full disk; ValueError: a closed file
        if isinstance(error, ValueError) and "closed" not in str(error):
          raise
        self._deaf = True
      finally:
        self.speaking = False

  @contextlib.contextmanager
  def phase(self, name: str, brief: bool = False, kind: str = "") -> Iterator[None]:
    """Name what the body does. A `brief` phase is printed only if it takes long. Phases of one `kind` take about as long."""
    with self._lock:
      if self._terminal and not self._bar:
        self._bar = _bar(self._terminal)
        self._bar.start()
      task = self._bar.add_task(name, total=None, detail="", began=self._clock()) if self._bar else None
      self._phases.append(Phase(name, self._clock(), task, kind=kind, start=self._clock()))
      self._show_innermost()
      if self._lines and not brief:
        self.say(f"{name} ...")
    try:
      yield
    finally:
      with self._lock:
        ended = self._phases.pop()
        if kind:
          self.longest[kind] = max(self.longest.get(kind, 0.0), self._clock() - ended.began)
        if self._bar:
          self._bar.remove_task(task)
        if self._phases:  # the outer phase begins again
          self._phases[-1] = self._phases[-1]._replace(began=self._clock())
        self._show_innermost()

  def step(self, done: int, total: int, detail: str) -> None:
    """Report the progress of the innermost phase after a chunk."""
    with self._lock:
      before, now = self._phases[-1], self._clock()
      since = max(before.began, before.at) if before.took else before.start
      took = (*before.took, now - since)[-RECENT:]
      self._phases[-1] = phase = before._replace(detail=detail, done=done, total=total, at=now, took=took)
      if self._bar:
        self._bar.update(phase.task, completed=done, total=total, detail=self._steps(phase))
      if done >= total or (self._lines and self._clock() - self._told >= SILENCE):
        self.say(self._line())

  def beat(self) -> None:
    """Something was done of which no number is shown."""
    with self._lock:
      if self._phases:
        self._phases[-1] = self._phases[-1]._replace()

  def _steps(self, phase: Phase) -> str:
    return f"step {phase.done:,}/{phase.total:,}  {phase.detail}".rstrip()

  def _line(self) -> str:
    phase = self._phases[-1]
    if phase.total:
      ago = int(self._clock() - phase.at)
      return f"{phase.name}: {self._steps(phase)}" + (f"  ({ago} s ago)" if ago >= SILENCE else "")
    seconds = int(self._clock() - phase.began)
    return f"still {phase.name}, {seconds} s" if seconds else f"{phase.name} ..."

  def _show_innermost(self) -> None:
    if self._bar:
      for number, phase in enumerate(self._phases, 1):
        self._bar.update(phase.task, visible=number == len(self._phases))

  def _beat(self) -> None:
    """Runs in a thread: prints a line after `SILENCE` seconds without one."""
    with self._lock:
      while not self._ended:
        wait = self._told + SILENCE - self._clock()
        if wait > 0:
          self._lock.wait(wait)
        elif self._phases:
          self.say(self._line())
        else:
          self._told = self._clock()


class _Dropping:
  """The terminal's stream; text is dropped once it cannot be written."""

  def __init__(self, stream: TextIO):
    self._stream = stream

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)

  def write(self, text: str) -> int:
    with contextlib.suppress(OSError):
      self._stream.write(text)
    return len(text)

  def flush(self) -> None:
    with contextlib.suppress(OSError):
      self._stream.flush()


def _bar(stream: TextIO) -> Any:
  """rich's live display of one task. It does not hide the cursor, which a killed process would not show again."""
  from rich.console import Console
  from rich.progress import BarColumn, SpinnerColumn, TextColumn
  from rich.progress import Progress as Bar
  from rich.text import Text

  class Terminal(Console):
    def show_cursor(self, show: bool = True) -> bool:
      return False

  class Detail(TextColumn):
    """Progress of a phase that counts steps; elapsed time of any other."""

    def render(self, task: Any) -> Any:
      return super().render(task) if task.total else Text(clock(time.monotonic() - task.fields["began"]))

  class Noted(Bar):
    """With lines of text below, each cut to the terminal's width."""

    note = ""

    def get_renderables(self) -> Any:
      yield from super().get_renderables()
      for line in self.note.split(" | ") if self.note else ():
        yield Text(f"  {line}", no_wrap=True, overflow="ellipsis")

  return Noted(
    SpinnerColumn(),
    TextColumn("{task.description}", markup=False),
    BarColumn(bar_width=10),
    Detail("{task.fields[detail]}", markup=False),
    console=Terminal(file=_Dropping(stream), highlight=False),  # type: ignore[arg-type]
    refresh_per_second=4,
    transient=True,
    redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
  )


def speed(rate: float, members: int) -> str:
  """Steps a second of each member. Below ten with two digits: a slow run is not one that stands still."""
  return f"{rate:,.0f} steps/s x {members}" if rate >= 10 else f"{rate:.2g} steps/s x {members}"


def clock(seconds: float) -> str:
  """Minutes and seconds, and hours where there are any: 0:07, 12:30, 1:02:03."""
  whole = int(seconds)
  minutes = f"{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
  return f"{f'{whole // 3600}:' if whole >= 3600 else ''}{minutes}:{whole % 60:02d}"
