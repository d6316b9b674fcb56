"""Resuming a group, and writing its files. Nothing that a run wrote is ever deleted.

A group resumes from its newest intact checkpoint. Rows and measurements that are missing before that step are computed
again from the remaining checkpoints. What is computed twice must be equal to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.core.files import Damaged
from gan_jax.core.types import GanState
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.runner import best, checkpoint
from gan_jax.runner.population import Group, Program
from gan_jax.runs import plan, tables

Say = Callable[[str], None]


class Origin(NamedTuple):
  """The data that a study's checkpoints belong to, and the software and hardware that compute them."""

  data: str  # digest of the dataset
  platform: Mapping[str, Any]  # versions, commit, source, layout
  changes: Sequence[str] = ()  # how this differs from when the study began


def facts(group: Group, origin: Origin) -> dict[str, Any]:
  """What must be equal in a checkpoint that is resumed: members and data."""
  return {"members": group.ids, "data": origin.data}


def template(group: Group, game: Game) -> GanState:
  """A group's state filled with zeros: numpy arrays [members, ...] of the right dtypes and shapes."""
  init = jax.vmap(lambda hypers: initial_state(hypers, game))
  return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(init, group.hypers))


def check(study: Path, group: Group, blank: GanState, origin: Origin) -> None:
  """Raises `BadInput` where existing checkpoints belong to other members, other data, another program or plan.

  `blank` is the group's `template`.
  """
  ends = {chunk.last for chunk in plan.of(group.configs[0])}
  step = checkpoint.check(study / "checkpoints" / group.name, blank, facts(group, origin))
  if step and step not in ends:
    raise BadInput(
      f"{study} was saved at step {step}, where no chunk of this version ends; go on with the version that began it"
    )


class Writer:
  """Writes everything of one group. Existing files are compared, and a difference is reported."""

  def __init__(self, study: Path, group: Group, program: Program, origin: Origin, say: Say):
    self.study, self.group, self.program, self.origin, self.say = study, group, program, origin, say
    self.directory = study / "checkpoints" / group.name
    self.still_there = runs.still_there(study)
    entry = self._entry(runs.read_status(study))
    self.seconds = float(entry.get("seconds", 0.0))
    self.complete = bool(entry.get("complete"))
    self.reasons: list[str] = list(entry.get("reasons", []))  # reasons why the runs may not be bit exact
    self.best: best.Best | None = None  # None: before `recall`
    self.best_on_disk = np.full(len(group.ids), -1)  # its steps

  def _entry(self, status: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = status["groups"].setdefault(self.group.name, {})
    return entry

  def doubt(self, reason: str) -> None:
    """Mark the group's runs as not bit exact, for this reason."""
    if reason not in self.reasons:
      self.reasons.append(reason)

  def rows(self, chunk: plan.Chunk, rows: Mapping[str, Any]) -> None:
    self.still_there()
    columns = {name: np.asarray(value)[: chunk.windows, : self.program.members] for name, value in rows.items()}
    steps = chunk.first + chunk.length * np.arange(chunk.windows)
    table = runs.Table(steps, columns)
    if runs.append(self.study, "rows", self.group.name, chunk.first, chunk.last, table):
      self._differs(f"rows of steps {chunk.first:,} to {chunk.last - 1:,}")

  def measure(self, state: GanState, step: int) -> tuple[Any, ...]:
    """Quality, inspections and sample grids after `step` steps, for `measured`; of a diverged member, at its last finite
    state."""
    program = self.program
    found = program.evaluate(program.hypers, state) | program.inspect(program.hypers, state, program.data)
    self._keep(state, step, found)
    return step, found, program.draw_grid(state)

  def measured(self, step: int, found: Mapping[str, np.ndarray], grids: Any) -> None:
    """Write what `measure` returned."""
    name = self.group.name
    self.still_there()
    if tables.write_samples(self.study, name, step, np.asarray(grids)[: self.program.members]):
      self._differs(f"samples at step {step:,}")
    columns = {metric: value[None] for metric, value in found.items()}
    if runs.append(self.study, "quality", name, step, step + 1, runs.Table(np.array([step]), columns)):
      self._differs(f"quality at step {step:,}")

  def recall(self, blank: GanState, until: int) -> None:
    """Read the best generators up to a step; damaged ones are set aside. `blank` is a state of zeros."""
    none = best.blank((blank.gen_ema, blank.memory.average), self.program.members)
    self.best, damaged = best.read(self.study, self.group.name, self.group.ids, until, none)
    self.best_on_disk = self.best.step
    _aside(self, damaged)

  def _keep(self, state: GanState, step: int, found: Mapping[str, np.ndarray]) -> None:
    """Remember each member's generator if it measured better than all before."""
    members, generator = self.program.members, (state.gen_ema, state.memory.average)
    own = lambda: jax.tree.map(lambda x: np.asarray(x)[:members], generator)  # noqa: E731
    self.best = best.better(self.best or best.blank(generator, members), step, found, own)

  def _differs(self, what: str) -> None:
    self.say(f"warning: {self.group.name}: {what}, computed again, are not the same bits; the former are set aside")
    self.doubt(f"{what} came out otherwise when computed again")

  def held(self, state: GanState) -> tuple[GanState, best.Best | None]:
    """What `save` takes: copies on the host, since the next step is given the state's memory."""
    members = self.program.members
    return jax.tree.map(lambda x: np.array(np.asarray(x)[:members]), state), self.best

  def save(self, step: int, state: GanState, kept: best.Best | None) -> None:
    """Write a checkpoint of what `held` returned; it is on disk when this returns."""
    self.still_there()
    # On one device: of what lies on several, Orbax has each write a part, and compiles a program for every shape.
    own = jax.tree.map(jax.device_put, state)
    origin = {**self.origin.platform, "reasons": self.reasons}  # kept here too, because the status can be lost
    self.write_best(kept)
    checkpoint.save(self.directory, step, own, facts(self.group, self.origin), origin)

  def write_best(self, kept: best.Best | None) -> None:
    if kept is not None:
      best.write(self.study, self.group.name, self.group.ids, kept, self.best_on_disk)
      self.best_on_disk = kept.step

  def diverged(self, state: GanState) -> dict[str, int]:
    """The step at which each diverged member of a state diverged, by id."""
    at = np.asarray(state.diverged_at)[: self.program.members]
    return {i: int(step) for i, step in zip(self.group.ids, at, strict=True) if step >= 0}

  def status(self, step: int, seconds: float, diverged: Mapping[str, int]) -> None:
    """Write the group's status; `diverged` is derived from its state."""
    self.still_there()
    status = runs.read_status(self.study)
    self._entry(status).update(
      step=step,
      seconds=round(seconds, 3),
      diverged=dict(diverged),
      complete=step >= self.group.spec.steps,
    )
    self._write(status)

  def mark(self) -> None:
    """Write only whether the runs are bit exact, and if not, why."""
    self._write(runs.read_status(self.study))

  def _write(self, status: dict[str, Any]) -> None:
    self._entry(status).update(bit_exact=not self.reasons, reasons=self.reasons)
    runs.write_status(self.study, status)


def start(writer: Writer) -> tuple[int, GanState] | None:
  """The (step, state) to resume from, after repairing everything before it; None: complete, with no checkpoint left.

  Raises:
    BadInput: the checkpoints belong to other members, other data or another program; nothing is changed.
    OSError: something could not be read or written.
  """
  group, program, say = writer.group, writer.program, writer.say
  blank = jax.tree.map(lambda x: np.zeros((program.members, *x.shape[1:]), x.dtype), _shapes(program))
  had = checkpoint.steps(writer.directory)
  found = checkpoint.restore(writer.directory, blank, facts(group, writer.origin), group.spec.steps, _damaged(writer))
  _tidy(writer)
  writer.recall(blank, found[0] if found else group.spec.steps * writer.complete)
  if found is None and writer.complete:
    say(f"{group.name}: is complete, and no checkpoint of it is left")
    _repair(writer, blank, group.spec.steps)
    return None
  if found is None:
    if had or tables.parts(writer.study, "rows", group.name):
      say(f"{group.name}: no intact checkpoint is left: from the start again; what it wrote before is compared")
    return 0, program.init(program.hypers)
  step = found[0]
  for reason in checkpoint.origin(writer.directory, step, blank, facts(group, writer.origin)).get("reasons", []):
    writer.doubt(reason)
  if step < group.spec.steps:
    say(f"{group.name}: resuming at step {step:,} of {group.spec.steps:,}")
  _repair(writer, blank, step)
  writer.write_best(writer.best)
  return step, program.place(found[1])


def _shapes(program: Program) -> Any:
  return jax.eval_shape(program.init, program.hypers)


def _damaged(writer: Writer) -> Callable[[Path, str], None]:
  def aside(path: Path, why: str) -> None:
    target = runs.set_aside(writer.study, path, "damaged checkpoint")
    writer.say(f"checkpoint {path} is damaged and set aside as {target}: {why}")

  return aside


def _tidy(writer: Writer) -> None:
  """Set aside damaged parts and samples, and parts that do not belong to this group's plan."""
  study, name, members = writer.study, writer.group.name, writer.program.members
  config = writer.group.configs[0]
  planned = {
    "rows": {(c.first, c.last) for c in plan.of(config)},
    "quality": {(s, s + 1) for s in plan.evaluations(config)},
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
    target = runs.set_aside(writer.study, path, "not of this plan" if why == "not of this plan" else "damaged")
    writer.say(f"{path} is set aside as {target}: {why}")


class Task(NamedTuple):
  """A computation to repeat: from the state at `source` to step `until`."""

  source: int
  until: int
  measured: frozenset[int]  # steps at which quality and samples are measured


def _tasks(writer: Writer, step: int) -> list[Task]:
  """The computations that restore what is missing up to `step`.

  Each begins at the newest checkpoint at or before the gap, or at the start if the gap is within the first checkpoint
  interval.
  """
  name, config = writer.group.name, writer.group.configs[0]
  chunks = [chunk for chunk in plan.of(config) if chunk.last <= step]
  held = set(runs.survey(writer.study, "rows", name).held)
  wanted = {(chunk.first, chunk.last) for chunk in chunks if (chunk.first, chunk.last) not in held}
  table = runs.survey(writer.study, "quality", name).table
  quality = set(table.steps.tolist())
  samples = {at for at, _ in runs.sample_steps(writer.study, name)}
  measured = {at for at in plan.evaluations(config) if at <= step and at not in quality & samples}
  measured |= best.lost(writer.best, table, step) if writer.best else set()
  wanted |= {(at, at) for at in measured}
  boundaries = {0, step, *(chunk.last for chunk in chunks)}
  sources = [0, *(s for s in checkpoint.steps(writer.directory) if s <= step and s in boundaries)]
  reach = next((chunk.last for chunk in plan.of(config) if chunk.save), step)
  until: dict[int, int] = {}
  for first, last in wanted:
    source = max(s for s in sources if s <= first)
    if source or last <= reach:
      until[source] = max(last, until.get(source, 0))
  return [Task(s, end, frozenset(at for at in measured if s <= at <= end)) for s, end in sorted(until.items())]


def _repair(writer: Writer, blank: GanState, step: int) -> None:
  """Compute missing rows, quality and samples up to `step` again."""
  program, group = writer.program, writer.group
  while tasks := _tasks(writer, step):
    try:
      for source, until, measured in tasks:
        state = program.init(program.hypers)
        if source:
          state = program.place(checkpoint.restore_step(writer.directory, source, blank, facts(group, writer.origin)))
        writer.say(f"{group.name}: computing again what is missing between steps {source:,} and {until:,}")
        for change in writer.origin.changes:
          writer.doubt(change)
        if source in measured:
          writer.measured(*writer.measure(state, source))
        for chunk in plan.of(group.configs[0]):
          if source <= chunk.first and chunk.last <= until:
            state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
            writer.rows(chunk, rows)
            if chunk.last in measured:
              writer.measured(*writer.measure(state, chunk.last))
      return
    except Damaged as error:  # an older checkpoint is damaged: try without it
      _damaged(writer)(error.path, error.reason)
