"""The loop over one group: chunks of compiled steps; between them rows, samples, quality, checkpoint and progress.

The plan is a pure function of the cadence fields, so a resumed run executes the same chunks as one never stopped.
"""

import time
from collections.abc import Callable
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import checkpoint, runs
from gan_jax.population import Group, Program
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


class Progress(NamedTuple):
  """What the loop tells after each chunk."""

  step: int
  steps: int
  members: int
  seconds: float  # of this process, in the loop
  steps_done: int  # by this process


def run_group(
  study: Path,
  group: Group,
  program: Program,
  report: Callable[[Progress], None],
  say: Callable[[str], None],
) -> None:
  """Train a group to its end, from the newest intact checkpoint or from the start, and write everything to `study`.

  Raises:
    OSError: something could not be written. What is on disk stays good, and the same call goes on from it.
  """
  directory = study / "checkpoints" / group.name
  meta = {"members": group.ids}
  first, state = _start(study, group, program, directory, meta, say)
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
      runs.append(study, "rows", group.name, chunk.first, chunk.last, runs.Table(steps, columns))

  if first == 0:
    _measure(study, group, program, state, 0)
  for chunk in plan(group.spec):
    if chunk.first < first:
      continue
    state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
    flush()  # the rows of the chunk before, while the devices work on this one
    pending = chunk, rows
    if chunk.evaluate:
      _measure(study, group, program, state, chunk.last)
    if chunk.save:
      flush()  # rows first: a checkpoint never stands on rows that are not there
      checkpoint.save(directory, chunk.last, jax.tree.map(lambda x: x[: program.members], state), meta)
    jax.block_until_ready(state)
    seconds = time.monotonic() - began
    status.update(chunk.last, before + seconds, np.asarray(state.diverged_at)[: program.members])
    report(Progress(chunk.last, group.spec.steps, program.members, seconds, chunk.last - first))


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
