"""The loop over one group: chunks of compiled steps; between them rows, samples, quality, checkpoint and progress.

The plan is a pure function of the cadence fields, so a resumed run executes the same chunks as one never stopped.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import checkpoint, runs
from gan_jax.population import Group, Program
from gan_jax.progress import Pace, Progress, clock
from gan_jax.signals import Stop
from gan_jax.types import GanState, Spec

ROWS_PER_CHUNK = 10  # a chunk is a few seconds: progress is live, and little is lost to a kill


class Chunk(NamedTuple):
  """`windows` windows of `length` steps from step `first` on; each window is probed at its first step."""

  first: int
  windows: int
  length: int
  evaluate: bool  # after it
  save: bool

  @property
  def last(self) -> int:
    return self.first + self.windows * self.length


def plan(spec: Spec) -> list[Chunk]:
  """The chunks of a whole run.

  Windows start at multiples of `probe_every`; cadences are rounded up to whole windows, and the last window may be short.
  The end is always evaluated and saved.
  """
  length = min(spec.probe_every, spec.steps)
  full = spec.steps // length
  evaluate, save = (max(1, -(-every // length)) for every in (spec.evaluate_every, spec.checkpoint_every))
  common = gcd(evaluate, save)
  size = next(n for n in range(min(ROWS_PER_CHUNK, common), 0, -1) if common % n == 0)
  chunks, window = [], 0
  while window < full:
    windows = min(size, full - window)
    end = window + windows
    chunks.append(Chunk(window * length, windows, length, end % evaluate == 0, end % save == 0))
    window = end
  if spec.steps % length:
    chunks.append(Chunk(full * length, 1, spec.steps % length, True, True))
  return [*chunks[:-1], chunks[-1]._replace(evaluate=True, save=True)]


class Conduct(NamedTuple):
  """What a group's loop reports to and asks while it runs."""

  progress: Progress
  stop: Stop
  check: Callable[[], None]  # raises where the study's directory is no longer the one that was locked
  number: int  # of the group, from 1
  groups: int

  @property
  def program(self) -> str:
    return f"program {self.number} of {self.groups}"


def run_group(study: Path, group: Group, program: Program, conduct: Conduct) -> None:
  """Train a group to its end, from the newest intact checkpoint or from the start, and write everything to `study`.

  A chunk after which `conduct.stop` was asked to stop is saved, whether that was planned or not: any chunk's end is one
  from which the plan goes on.

  Raises:
    Stopped: asked to stop, and everything up to the step that the message names is saved.
    OSError: something could not be written. What is on disk stays good, and the same call goes on from it.
  """
  directory = study / "checkpoints" / group.name
  meta = {"members": group.ids}
  progress, stop, check, *_ = conduct
  with progress.phase(f"compiling {conduct.program}: first state"):
    first, state = _start(study, group, program, directory, meta, progress.say)
  _tell_kept(stop, group, first)
  status = _Status(study, group)
  before, began = status.seconds, time.monotonic()
  pending: tuple[Chunk, Any] | None = None

  def flush() -> None:
    nonlocal pending
    if pending is not None:
      chunk, rows = pending
      pending = None
      columns = {name: np.asarray(value)[:, : program.members] for name, value in rows.items()}
      steps = chunk.first + chunk.length * np.arange(chunk.windows)
      check()
      runs.append(study, "rows", group.name, chunk.first, chunk.last, runs.Table(steps, columns))

  if first == 0:
    with progress.phase(f"compiling {conduct.program}: measurement"):
      check()
      _measure(study, group, program, state, 0)
  todo = [chunk for chunk in plan(group.spec) if chunk.first >= first]
  told = _Told(conduct, group, program.members, todo, first)
  with progress.phase(conduct.program, brief=True):
    for chunk in todo:
      with told.compiling(chunk):
        state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
      stop.unsaved = True
      flush()  # the rows of the chunk before, while the devices work on this one
      pending = chunk, rows
      jax.block_until_ready(state)
      told.trained(chunk)
      if chunk.evaluate:
        with told.pause("measuring", chunk):
          check()
          _measure(study, group, program, state, chunk.last)
      save = chunk.save or stop.wanted
      if save:
        with told.pause("saving", chunk):
          flush()  # rows first: a checkpoint never stands on rows that are not there
          check()
          checkpoint.save(directory, chunk.last, jax.tree.map(lambda x: x[: program.members], state), meta)
      check()
      status.update(chunk.last, before + time.monotonic() - began, np.asarray(state.diverged_at)[: program.members])
      told.step(chunk)
      if save:
        stop.unsaved = False
        _tell_kept(stop, group, chunk.last)
        stop.check()


def _tell_kept(stop: Stop, group: Group, step: int) -> None:
  kept = f"step {step:,} of {group.spec.steps:,} of {group.name} is saved, and the same command goes on from there"
  stop.outcome = kept if step else f"nothing of {group.name} was saved yet, and the same command starts it again"


class _Told:
  """What is told of one group's training, and the pace that its time left is reckoned from."""

  def __init__(self, conduct: Conduct, group: Group, members: int, todo: list[Chunk], first: int):
    self._conduct, self._steps, self._members = conduct, group.spec.steps, members
    self._pace = Pace()
    self._todo = {"measuring": sum(c.evaluate for c in todo), "saving": sum(c.save for c in todo)}
    self._compiled: set[tuple[int, int]] = set()
    self._fresh = True  # this chunk's program was compiled just before it
    self._measured = first == 0  # the measurement's program was compiled at step 0
    self._began = time.monotonic()

  @contextlib.contextmanager
  def compiling(self, chunk: Chunk) -> Iterator[None]:
    """Around the call of the chunk's program, which the first call of its shape compiles."""
    shape = (chunk.windows, chunk.length)
    self._fresh = shape not in self._compiled
    self._compiled.add(shape)
    phase = self._conduct.progress.phase
    with phase(f"compiling {self._conduct.program}: training") if self._fresh else contextlib.nullcontext():
      self._began = time.monotonic()
      yield

  def trained(self, chunk: Chunk) -> None:
    if not self._fresh:
      self._pace.chunk(chunk.windows * chunk.length, time.monotonic() - self._began)

  @contextlib.contextmanager
  def pause(self, kind: str, chunk: Chunk) -> Iterator[None]:
    with self._conduct.progress.phase(f"{kind} step {chunk.last:,} of {self._conduct.program}", brief=True):
      began = time.monotonic()
      yield
    self._todo[kind] -= 1
    if kind != "measuring" or self._measured:
      self._pace.pause(kind, time.monotonic() - began)
    self._measured |= kind == "measuring"

  def step(self, chunk: Chunk) -> None:
    rate, left = self._pace.rate(), self._pace.left(self._steps - chunk.last, self._todo)
    speed = f"{rate:,.0f} steps/s x {self._members}" if rate else ""
    remaining = f"  {clock(left)} left" if left is not None and chunk.last < self._steps else ""
    self._conduct.progress.step(chunk.last, self._steps, speed + remaining)


def _start(
  study: Path,
  group: Group,
  program: Program,
  directory: Path,
  meta: dict[str, Any],
  say: Callable[[str], None],
) -> tuple[int, GanState]:
  """The (step, state) to go on from; everything that was written beyond it is dropped."""
  fresh = jax.eval_shape(program.init, program.hypers)
  template = jax.tree.map(lambda x: np.zeros((program.members, *x.shape[1:]), x.dtype), fresh)
  found = checkpoint.restore(directory, template, meta, runs.complete_until(study, group.name), say)
  if found:
    step, state = found[0], program.place(found[1])
    say(f"{group.name}: resuming at step {step:,} of {group.spec.steps:,}")
  else:
    step, state = 0, program.init(program.hypers)
  checkpoint.drop_after(directory, step)
  runs.truncate(study, group.name, step)
  return step, state


def _measure(study: Path, group: Group, program: Program, state: GanState, step: int) -> None:
  """Sample quality, inspections and sample grids after `step` steps. A diverged member's are those of its last good state."""
  found = program.evaluate(program.hypers, state) | program.inspect(program.hypers, state, program.data)
  columns = {name: value[None] for name, value in found.items()}
  grids = np.asarray(program.draw_grid(state))[: program.members]
  runs.write_arrays(study / "samples" / group.name / f"{step:09d}.npz", samples=grids)
  runs.append(study, "quality", group.name, step, step + 1, runs.Table(np.array([step]), columns))


class _Status:
  """Writer of this group's part of status.json."""

  def __init__(self, study: Path, group: Group):
    self.study, self.group = study, group
    self.seconds = float(runs.read_status(study)["groups"].get(group.name, {}).get("seconds", 0.0))

  def update(self, step: int, seconds: float, diverged_at: np.ndarray) -> None:
    status = runs.read_status(self.study)
    entry = status["groups"].setdefault(self.group.name, {})
    diverged = {i: int(at) for i, at in zip(self.group.ids, diverged_at, strict=True) if at >= 0}
    entry.update(step=step, seconds=round(seconds, 3), diverged=diverged, complete=step >= self.group.spec.steps)
    runs.write_json(self.study / "status.json", status)
