"""Where a group goes on, and what is missing of its files before that.

A group resumes from its newest intact checkpoint. Rows and measurements that are missing before that step are computed
again from the remaining checkpoints. What is computed twice must be equal to the bit. Of several processes the first
reads the files and tells the others.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import runs
from gan_jax.core.files import Damaged
from gan_jax.core.types import GanState
from gan_jax.runner import best, checkpoint, lengthening, processes
from gan_jax.runner.population import Program
from gan_jax.runner.resume import Writer, facts
from gan_jax.runs import plan, tables


def start(writer: Writer) -> tuple[int, GanState] | None:
  """The (step, state) to resume from, after repairing everything before it; None: complete, with no checkpoint left.

  Raises:
    BadInput: the checkpoints belong to other members, other data or another program; nothing is changed.
    OSError: something could not be read or written.
  """
  group, program, say = writer.group, writer.program, writer.say
  blank = jax.tree.map(lambda x: np.zeros((program.members, *x.shape[1:]), x.dtype), _shapes(program))
  had, step, state = _restored(writer, blank)
  _recall(writer, blank, group.spec.steps * writer.complete if step is None else step)
  if step is None and writer.complete:
    say(f"{group.name}: is complete, and no checkpoint of it is left")
    _repair(writer, blank, group.spec.steps)
    return None
  if step is None:
    if had:
      say(f"{group.name}: no intact checkpoint is left: from the start again; what it wrote before is compared")
    return group.start, _initial(writer, blank)
  if step < group.spec.steps:
    say(f"{group.name}: resuming at step {step:,} of {group.spec.steps:,}")
  _repair(writer, blank, step)
  writer.write_best(writer.best)
  return step, program.place(state)


def _restored(writer: Writer, blank: GanState) -> tuple[bool, int | None, GanState]:
  """Whether anything was written before, and the newest intact (step, state) on the host; None and `blank`: there is none.

  The first process reads it. What is damaged is set aside.
  """
  directory, group, found = writer.directory, writer.group, blank
  expected = facts(group, writer.origin)

  def read() -> tuple[bool, int | None]:
    nonlocal found
    if group.begun:
      _aside(writer, dict.fromkeys(lengthening.prepare(writer.study, group), "not of this plan"))
    had = bool(checkpoint.steps(directory))
    newest = checkpoint.restore(directory, blank, expected, group.spec.steps, _damaged(writer))
    _tidy(writer)
    if newest is None:
      return had or bool(tables.parts(writer.study, "rows", group.name)), None
    for reason in checkpoint.origin(directory, newest[0], blank, expected).get("reasons", []):
      writer.doubt(reason)
    found = newest[1]
    return had, newest[0]

  had, step = processes.told(read)
  return had, step, found if step is None else processes.told_arrays(lambda: found, blank)


def _recall(writer: Writer, blank: GanState, until: int) -> None:
  """Read the best generators up to a step; damaged ones are set aside."""
  none = best.blank((blank.gen_ema, blank.memory.average), writer.program.members)
  damaged: Mapping[Path, str] = {}

  def read() -> best.Best:
    nonlocal damaged
    found, writer.best_later, damaged = best.read(writer.study, writer.group.name, writer.group.ids, until, none)
    return found

  writer.best = processes.told_arrays(read, none)
  writer.best_on_disk = writer.best.step
  _aside(writer, damaged)


def _shapes(program: Program) -> Any:
  return jax.eval_shape(program.init, program.hypers)


def _damaged(writer: Writer) -> Callable[[Path, str], None]:
  def aside(path: Path, why: str) -> None:
    writer.still_there()
    target = runs.set_aside(writer.study, path, "damaged checkpoint")
    writer.say(f"checkpoint {path} is damaged and set aside as {target}: {why}")

  return aside


def _tidy(writer: Writer) -> None:
  """Set aside damaged parts and samples, and parts that do not belong to this group's plan."""
  study, name, members = writer.study, writer.group.name, writer.program.members
  config = writer.group.configs[0]
  planned = {
    "rows": {(c.first, c.last) for c in plan.of(config, writer.group.start)},
    "quality": {(s, s + 1) for s in plan.evaluations(config, writer.group.start)},
  }
  for table, wanted in planned.items():
    odd = {
      path: "not of this plan" for first, last, path in runs.parts(study, table, name) if (first, last) not in wanted
    }
    bad = {path: why for _, _, path, why in runs.survey(study, table, name, members).damaged}
    _aside(writer, odd or bad)
    if odd:  # parts that overlapped them may be intact
      _aside(writer, {path: why for _, _, path, why in runs.survey(study, table, name, members).damaged})
  _aside(writer, tables.damaged_samples(study, name, members))


def _aside(writer: Writer, files: Mapping[Path, str]) -> None:
  for path, why in files.items():
    writer.still_there()
    target = runs.set_aside(writer.study, path, "not of this plan" if why == "not of this plan" else "damaged")
    writer.say(f"{path} is set aside as {target}: {why}")


class Task(NamedTuple):
  """A computation to repeat: from the state at `source` to step `until`."""

  source: int
  until: int
  measured: Sequence[int]  # steps at which quality and samples are measured


def _tasks(writer: Writer, step: int) -> list[Task]:
  """The computations that restore what is missing up to `step`.

  Each begins at the newest checkpoint at or before the gap, or at the start if the gap is within the first checkpoint
  interval.
  """
  name, config, start = writer.group.name, writer.group.configs[0], writer.group.start
  chunks = [chunk for chunk in plan.of(config, start) if chunk.last <= step]
  held = set(runs.survey(writer.study, "rows", name).held)
  wanted = {(chunk.first, chunk.last) for chunk in chunks if (chunk.first, chunk.last) not in held}
  table = runs.survey(writer.study, "quality", name).table
  quality = set(table.steps.tolist())
  samples = {at for at, _ in runs.sample_steps(writer.study, name)}
  measured = {at for at in plan.evaluations(config, start) if at <= step and at not in quality & samples}
  measured |= best.lost(writer.best, table, step) if writer.best else set()
  wanted |= {(at, at) for at in measured}
  boundaries = {start, step, *(chunk.last for chunk in chunks)}
  sources = [start, *(s for s in checkpoint.steps(writer.directory) if s <= step and s in boundaries)]
  reach = next((chunk.last for chunk in plan.of(config, start) if chunk.save), step)
  until: dict[int, int] = {}
  for first, last in wanted:
    source = max(s for s in sources if s <= first)
    if source > start or last <= reach:
      until[source] = max(last, until.get(source, 0))
  return [Task(s, end, sorted(at for at in measured if s <= at <= end)) for s, end in sorted(until.items())]


def _repair(writer: Writer, blank: GanState, step: int) -> None:
  """Compute missing rows, quality and samples up to `step` again."""
  while found := processes.told(lambda: _tasks(writer, step)):
    if all(
      _repeat(writer, blank, Task(*fields)) for fields in found
    ):  # otherwise a checkpoint is damaged: try without it
      return


def _repeat(writer: Writer, blank: GanState, task: Task) -> bool:
  """Do one task; False: its checkpoint is damaged, and set aside."""
  program, group = writer.program, writer.group
  begun = _begun(writer, blank, task.source)
  if begun is None:
    return False
  state = begun
  writer.say(f"{group.name}: computing again what is missing between steps {task.source:,} and {task.until:,}")
  for change in writer.origin.changes:
    writer.doubt(change)
  if task.source in task.measured:
    writer.measured(*writer.measure(state, task.source))
  for chunk in plan.of(group.configs[0]):
    if task.source <= chunk.first and chunk.last <= task.until:
      state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
      writer.rows(chunk, processes.whole(rows))
      if chunk.last in task.measured:
        writer.measured(*writer.measure(state, chunk.last))
      writer.beat()
  writer.tell_again()
  return True


def _begun(writer: Writer, blank: GanState, step: int) -> GanState | None:
  """The state after so many steps, from its checkpoint; None: that is damaged, and set aside."""
  program = writer.program
  if step == writer.group.start:
    return _initial(writer, blank)
  found = blank

  def read() -> bool:
    nonlocal found
    try:
      found = checkpoint.restore_step(writer.directory, step, blank, facts(writer.group, writer.origin))
    except Damaged as error:
      _damaged(writer)(error.path, error.reason)
      return False
    return True

  if not processes.told(read):
    return None
  state: GanState = program.place(processes.told_arrays(lambda: found, blank))
  return state


def _initial(writer: Writer, blank: GanState) -> GanState:
  """The state with which the runs begin: a fresh one, or of a fork that of its parent."""
  program, group = writer.program, writer.group
  if not group.start:
    return program.init(program.hypers)
  kept = writer.study / runs.FORK / group.name
  read = lambda: checkpoint.restore_step(kept, group.start, blank, facts(group, writer.origin))  # noqa: E731
  state: GanState = program.place(processes.told_arrays(read, blank))
  return state
