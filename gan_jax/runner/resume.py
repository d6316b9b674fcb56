"""Where a group goes on from, and the writer of its files: nothing that a run wrote is ever deleted.

The step to go on from is that of the newest intact checkpoint, whatever became of the diagnostics. Diagnostics that are
missing before it are computed again from the checkpoints that are left. What is computed twice must be equal to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.core.types import GanState
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.runner import checkpoint
from gan_jax.runner.population import Group, Program
from gan_jax.runs import plan, tables
from gan_jax.runs.files import Damaged

Say = Callable[[str], None]


class Origin(NamedTuple):
  """Whose states a study's checkpoints hold, and what computes them."""

  data: str  # digest of the dataset
  platform: Mapping[str, Any]  # versions, commit, source, layout
  changes: Sequence[str] = ()  # what differs from when the study began


def facts(group: Group, origin: Origin) -> dict[str, Any]:
  """What a checkpoint must agree with: its members and their data."""
  return {"members": group.ids, "data": origin.data}


def template(group: Group, game: Game) -> GanState:
  """Zeros of the leaves, dtypes and shapes of a group's state, numpy with leaves [members, ...]."""
  init = jax.vmap(lambda hypers: initial_state(hypers, game))
  return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(init, group.hypers))


def check(study: Path, group: Group, game: Game, origin: Origin) -> None:
  """Raises `BadInput` where the checkpoints that are there are of other members, other data, another program or plan."""
  ends = {chunk.last for chunk in plan.of(group.configs[0])}
  step = checkpoint.check(study / "checkpoints" / group.name, template(group, game), facts(group, origin))
  if step and step not in ends:
    raise BadInput(
      f"{study} was saved at step {step}, where no chunk of this version ends; go on with the version that began it"
    )


class Writer:
  """All that is written of one group. What is there already is compared, never replaced in silence."""

  def __init__(self, study: Path, group: Group, program: Program, origin: Origin, say: Say):
    self.study, self.group, self.program, self.origin, self.say = study, group, program, origin, say
    self.directory = study / "checkpoints" / group.name
    self.still_there = runs.still_there(study)
    entry = self._entry(runs.read_status(study))
    self.seconds = float(entry.get("seconds", 0.0))
    self.complete = bool(entry.get("complete"))
    self.reasons: list[str] = list(entry.get("reasons", []))  # why the runs are not bit exact

  def _entry(self, status: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = status["groups"].setdefault(self.group.name, {})
    return entry

  def doubt(self, reason: str) -> None:
    """From now on the group's runs are not vouched for to the bit."""
    if reason not in self.reasons:
      self.reasons.append(reason)

  def rows(self, chunk: plan.Chunk, rows: Mapping[str, Any]) -> None:
    self.still_there()
    columns = {name: np.asarray(value)[:, : self.program.members] for name, value in rows.items()}
    steps = chunk.first + chunk.length * np.arange(chunk.windows)
    table = runs.Table(steps, columns)
    if runs.append(self.study, "rows", self.group.name, chunk.first, chunk.last, table):
      self._differs(f"rows of steps {chunk.first:,} to {chunk.last - 1:,}")

  def measure(self, state: GanState, step: int) -> None:
    """Sample quality, inspections and sample grids after `step` steps; a diverged member's are of its last good state."""
    program, name = self.program, self.group.name
    found = program.evaluate(program.hypers, state) | program.inspect(program.hypers, state, program.data)
    columns = {metric: value[None] for metric, value in found.items()}
    grids = np.asarray(program.draw_grid(state))[: program.members]
    self.still_there()
    if tables.write_samples(self.study, name, step, grids):
      self._differs(f"samples at step {step:,}")
    if runs.append(self.study, "quality", name, step, step + 1, runs.Table(np.array([step]), columns)):
      self._differs(f"quality at step {step:,}")

  def _differs(self, what: str) -> None:
    self.say(f"warning: {self.group.name}: {what}, computed again, are not the same bits; the former are set aside")
    self.doubt(f"{what} came out otherwise when computed again")

  def save(self, state: GanState, step: int) -> None:
    own = jax.tree.map(lambda x: x[: self.program.members], state)
    self.still_there()
    origin = {**self.origin.platform, "reasons": self.reasons}  # the status, which has them too, can be lost
    checkpoint.save(self.directory, step, own, facts(self.group, self.origin), origin)

  def status(self, step: int, seconds: float, state: GanState) -> None:
    """How far the group is, derived from its state."""
    self.still_there()
    status = runs.read_status(self.study)
    diverged_at = np.asarray(state.diverged_at)[: self.program.members]
    self._entry(status).update(
      step=step,
      seconds=round(seconds, 3),
      diverged={i: int(at) for i, at in zip(self.group.ids, diverged_at, strict=True) if at >= 0},
      complete=step >= self.group.spec.steps,
    )
    self._write(status)

  def mark(self) -> None:
    """Keep only whether the runs are bit exact, and why not."""
    self._write(runs.read_status(self.study))

  def _write(self, status: dict[str, Any]) -> None:
    self._entry(status).update(bit_exact=not self.reasons, reasons=self.reasons)
    runs.write_status(self.study, status)


def start(writer: Writer) -> tuple[int, GanState] | None:
  """The (step, state) to go on from, everything before it put in order; None where a complete group has no checkpoint left.

  Raises:
    BadInput: the checkpoints are of other members, other data or another program; nothing is touched.
    OSError: something could not be read or written.
  """
  group, program, say = writer.group, writer.program, writer.say
  blank = jax.tree.map(lambda x: np.zeros((program.members, *x.shape[1:]), x.dtype), _shapes(program))
  had = checkpoint.steps(writer.directory)
  found = checkpoint.restore(writer.directory, blank, facts(group, writer.origin), group.spec.steps, _damaged(writer))
  _tidy(writer)
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
  return step, program.place(found[1])


def _shapes(program: Program) -> Any:
  return jax.eval_shape(program.init, program.hypers)


def _damaged(writer: Writer) -> Callable[[Path, str], None]:
  def aside(path: Path, why: str) -> None:
    target = runs.set_aside(writer.study, path, "damaged checkpoint")
    writer.say(f"checkpoint {path} is damaged and set aside as {target}: {why}")

  return aside


def _tidy(writer: Writer) -> None:
  """Set aside what no reader can use: damaged parts and samples, and parts that are not of this group's plan."""
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
    if odd:  # what reached into them may be intact
      _aside(writer, {path: why for _, _, path, why in runs.survey(study, table, name, members).damaged})
  _aside(writer, tables.damaged_samples(study, name, members))


def _aside(writer: Writer, files: Mapping[Path, str]) -> None:
  for path, why in files.items():
    target = runs.set_aside(writer.study, path, "not of this plan" if why == "not of this plan" else "damaged")
    writer.say(f"{path} is set aside as {target}: {why}")


class Task(NamedTuple):
  """Computing again what is missing: from the state at `source` to step `until`."""

  source: int
  until: int
  measured: frozenset[int]  # the steps at which quality and samples are wanted


def _tasks(writer: Writer, step: int) -> list[Task]:
  """What is missing up to `step` and can be computed again.

  From the newest checkpoint at or before it; from the start only where that is no further than a checkpoint interval.
  """
  name, config = writer.group.name, writer.group.configs[0]
  chunks = [chunk for chunk in plan.of(config) if chunk.last <= step]
  held = set(runs.survey(writer.study, "rows", name).held)
  wanted = {(chunk.first, chunk.last) for chunk in chunks if (chunk.first, chunk.last) not in held}
  quality = set(runs.survey(writer.study, "quality", name).table.steps.tolist())
  samples = {at for at, _ in runs.sample_steps(writer.study, name)}
  measured = {at for at in plan.evaluations(config) if at <= step and at not in quality & samples}
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
  """Compute again what is missing of rows, quality and samples up to `step`."""
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
          writer.measure(state, source)
        for chunk in plan.of(group.configs[0]):
          if source <= chunk.first and chunk.last <= until:
            state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
            writer.rows(chunk, rows)
            if chunk.last in measured:
              writer.measure(state, chunk.last)
      return
    except Damaged as error:  # an older checkpoint: do without it
      _damaged(writer)(error.path, error.reason)
