"""Trains one group: chunks of compiled steps, and between them writing rows, samples, quality, checkpoints and progress.

The list of chunks is a pure function of the cadence fields, so a resumed run executes the same chunks as one that was
never stopped.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax.runner import processes, repair, resume
from gan_jax.runner.background import Background
from gan_jax.runner.followers import NOBODY, Followers
from gan_jax.runner.population import Group, Program
from gan_jax.runner.progress import Pace, Progress, clock, speed
from gan_jax.runner.signals import Stop
from gan_jax.runs import plan
from gan_jax.runs.plan import Chunk

NOTICE = 20.0  # seconds that a signal's answer should take at most: schedulers kill after 30


class Conduct(NamedTuple):
  """Where a group's loop reports its progress, and the request to stop."""

  progress: Progress
  stop: Stop
  number: int  # of the group, from 1
  groups: int
  later: int = 0  # steps that later groups still have to train, each counted once for every run
  followers: Followers = NOBODY
  stopped: int = 0  # runs of the group that stopped before, and are trained no more
  halving: bool = False  # whether further runs of the study may be stopped, so that it takes less time

  @property
  def program(self) -> str:
    return f"program {self.number} of {self.groups}"


def run_group(
  study: Path, group: Group, program: Program, origin: resume.Origin, conduct: Conduct, until: int | None = None
) -> None:
  """Train a group to its end, from the newest intact checkpoint or from the start, and write everything to `study`.

  With `until`, the end of a chunk, it is trained to that step, and its state is saved there.

  If `conduct.stop` was asked to stop, the state after the chunk in progress is saved even if no checkpoint was due. Any
  chunk's end is a valid point to resume from.

  Raises:
    Stopped: asked to stop, and everything up to the step that the message names is saved.
    BadInput: its checkpoints belong to other members, other data or another program; nothing is changed.
    OSError: something could not be read or written. What is on disk stays valid, and the same call continues from it.
  """
  progress, stop, *_ = conduct
  writer = resume.Writer(study, group, program, origin, progress.say)
  writer.beat = progress.beat
  with progress.phase(f"compiling {conduct.program}: first state"):
    found = repair.start(writer)
  if found is None:
    writer.mark()
    return
  first, state = found
  _tell_kept(stop, group, first)
  todo = [chunk for chunk in plan.of(group.configs[0], first) if until is None or chunk.last <= until]
  for change in origin.changes if todo else ():
    writer.doubt(change)
  # Derived from the state, not from the old status.
  writer.status(first, writer.seconds, writer.diverged(state))
  conduct.followers.begin(group, first)
  writer.followers = conduct.followers
  if first == group.start:
    with progress.phase(f"compiling {conduct.program}: measurement"):
      writer.measured(*writer.measure(state, first))
  told = _Told(conduct, group, program.members, todo, first)
  with progress.phase(conduct.program, brief=True), Background() as writing:
    _train(state, todo, writer, writing, told, stop)


def _train(
  state: Any, todo: list[Chunk], writer: resume.Writer, writing: Background, told: "_Told", stop: Stop
) -> None:
  """Train chunk by chunk. The rows of a chunk, its status and checkpoint are written while the next one is trained.

  They are written in this order, so all rows before a checkpoint are on disk.
  """
  program, group = writer.program, writer.group
  before, began = writer.seconds, time.monotonic()
  for chunk in todo:
    with told.compiling():
      state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
    stop.unsaved = True
    jax.block_until_ready(state)
    told.trained(chunk)
    writing.do(writer.rows, chunk, processes.whole(rows))
    if chunk.evaluate:
      with told.pause("measuring", chunk):
        writing.do(writer.measured, *writer.measure(state, chunk.last))
    asked = processes.agree(stop)
    if chunk.save or asked or chunk is todo[-1]:
      with told.pause("saving", chunk):
        writing.wait()  # for an earlier checkpoint: at most one copy of the state is held
        writing.do(writer.save, chunk.last, *writer.held(state))
        writing.do(_tell_kept, stop, group, chunk.last)
    writing.do(writer.status, chunk.last, before + time.monotonic() - began, writer.diverged(state))
    told.step(chunk)
    if asked or chunk is todo[-1]:
      writing.do(writer.tell_again)
      writing.wait()
      stop.unsaved = not processes.leads()
      stop.check()


def _tell_kept(stop: Stop, group: Group, step: int) -> None:
  kept = f"step {step:,} of {group.spec.steps:,} of {group.name} is saved, and the same command goes on from there"
  stop.outcome = (
    kept if step > group.start else f"nothing of {group.name} was saved yet, and the same command starts it again"
  )


class _Told:
  """Progress messages of one group's training, and the pace from which the remaining time is estimated."""

  def __init__(self, conduct: Conduct, group: Group, members: int, todo: list[Chunk], first: int):
    self._conduct, self._name, self._steps = conduct, group.name, group.spec.steps
    self._members = members - conduct.stopped
    self._pace = Pace()
    self._todo = {"measuring": sum(c.evaluate for c in todo), "saving": sum(c.save for c in todo)}
    self._begun = 0  # chunks
    self._measured = first == group.start  # the measurement's program was compiled there
    self._began = time.monotonic()
    self._estimated = False
    self._slow = False
    self._most = "at most " * conduct.halving

  @contextlib.contextmanager
  def compiling(self) -> Iterator[None]:
    """Wraps the call of a chunk's program, which compiles it if it is the first: it trains chunks of all sizes."""
    phase = self._conduct.progress.phase(f"compiling {self._conduct.program}: training")
    with phase if self._begun == 0 else contextlib.nullcontext():
      self._began = time.monotonic()
      self._begun += 1
      yield

  def trained(self, chunk: Chunk) -> None:
    if self._begun > 1:  # the first one was compiled just before
      self._pace.chunk(chunk.windows * chunk.length, time.monotonic() - self._began)

  @contextlib.contextmanager
  def pause(self, kind: str, chunk: Chunk) -> Iterator[None]:
    program = self._conduct.program
    with self._conduct.progress.phase(f"{kind} step {chunk.last:,} of {program}", True, f"{kind} {program}"):
      began = time.monotonic()
      yield
    self._todo[kind] -= 1
    if kind != "measuring" or self._measured:
      self._pace.pause(kind, time.monotonic() - began)
    self._measured |= kind == "measuring"

  def step(self, chunk: Chunk) -> None:
    took = time.monotonic() - self._began
    if took > NOTICE and self._begun > 1 and not self._slow:
      self._slow = True
      self._conduct.progress.say(
        f"warning: a chunk of {self._name} ({chunk.windows * chunk.length:,} steps, and what is measured and saved after it) "
        f"takes {took:.0f} s, and a signal is answered at its end: a scheduler should give {2 * took:.0f} s of notice "
        f"(Slurm: --signal=USR1@{2 * took:.0f}); a smaller probe_every makes chunks shorter"
      )
    rate, left = self._pace.rate(), self._pace.left(self._steps - chunk.last, self._todo)
    pace = speed(rate, self._members) if rate else ""
    remaining = f"  {self._most}{clock(left)} left" if left is not None and chunk.last < self._steps else ""
    self._conduct.progress.step(chunk.last, self._steps, pace + remaining)
    if rate and left and not self._estimated and chunk.last < self._steps:
      self._estimated = True
      later = self._conduct.later * left / ((self._steps - chunk.last) * self._members)
      others = ", if the other programs are as fast for each run" if later else ""
      whole = (
        f"{speed(rate, self._members)} in {self._name}: {self._most}{clock(left + later)} left of the study{others}"
      )
      self._conduct.progress.say(whole)
