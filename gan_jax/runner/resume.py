"""Writing a group's files, and whether its checkpoints fit. Nothing that a run wrote is ever deleted.

What is computed twice must be equal to the bit. Where a group goes on is in repair.py.
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
from gan_jax.runner import best, checkpoint, followers, processes
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
  return {"members": list(group.begun) or group.ids, "data": origin.data}


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
  if step and step not in ends and not group.begun:  # of an extended group lengthening.py sets it aside
    raise BadInput(
      f"{study} was saved at step {step}, where no chunk of this version ends; go on with the version that began it"
    )


def _steps(first: int, last: int) -> str:
  return f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"


class Writer:
  """Writes everything of one group. Existing files are compared, and a difference is reported.

  Of several processes the first writes. All of them call `measure`, `held` and `diverged`.
  """

  def __init__(self, study: Path, group: Group, program: Program, origin: Origin, say: Say):
    self.study, self.group, self.program, self.origin, self.say = study, group, program, origin, say
    self.directory = study / "checkpoints" / group.name
    self.still_there = runs.still_there(study) if processes.leads() else lambda: None
    entry = self._entry(processes.told(lambda: runs.read_status(study)))
    self.seconds = float(entry.get("seconds", 0.0))
    self.complete = bool(entry.get("complete")) and int(entry.get("step", 0)) >= group.spec.steps
    self.reasons: list[str] = list(entry.get("reasons", []))  # reasons why the runs may not be bit exact
    self.best: best.Best | None = None  # None: before `repair.start`
    self.best_on_disk = np.full(len(group.ids), -1)  # its steps
    self.best_later: Mapping[str, tuple[int, str]] = {}  # by run, what a kill left of later steps; see `best.read`
    self.followers = followers.NOBODY  # who is told what is written
    self.beat: Callable[[], None] = lambda: None  # called after each chunk that repair.py computes again
    self.again: dict[str, tuple[int, int]] = {}  # (first, last) step of each table that came out the same, not said yet

  def _entry(self, status: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = status["groups"].setdefault(self.group.name, {})
    return entry

  def doubt(self, reason: str) -> None:
    """Mark the group's runs as not bit exact, for this reason."""
    if reason not in self.reasons:
      self.reasons.append(reason)

  @processes.by_the_first
  def rows(self, chunk: plan.Chunk, rows: Mapping[str, Any]) -> None:
    self.still_there()
    columns = {name: np.asarray(value)[: chunk.windows, : self.program.members] for name, value in rows.items()}
    steps = chunk.first + chunk.length * np.arange(chunk.windows)
    table = runs.Table(steps, columns)
    same = runs.append(self.study, "rows", self.group.name, chunk.first, chunk.last, table)
    self._compared("rows", chunk.first, chunk.last - 1, same)
    self.followers.rows(table)

  def measure(self, state: GanState, step: int) -> tuple[Any, ...]:
    """Quality, inspections and sample grids after `step` steps, for `measured`; of a diverged member, at its last finite
    state."""
    program = self.program
    found = program.evaluate(program.hypers, state) | program.inspect(program.hypers, state, program.data)
    self._keep(state, step, found)
    return step, found, processes.whole(program.draw_grid(state))

  @processes.by_the_first
  def measured(self, step: int, found: Mapping[str, np.ndarray], grids: Any) -> None:
    """Write what `measure` returned."""
    name = self.group.name
    self.still_there()
    samples = np.asarray(grids)[: self.program.members]
    self._compared("samples", step, step, tables.write_samples(self.study, name, step, samples))
    columns = {metric: value[None] for metric, value in found.items()}
    same = runs.append(self.study, "quality", name, step, step + 1, runs.Table(np.array([step]), columns))
    self._compared("quality", step, step, same)
    self.followers.measured(step, found, samples)

  def _keep(self, state: GanState, step: int, found: Mapping[str, np.ndarray]) -> None:
    """Remember each member's generator if it measured better than all before."""
    members, generator = self.program.members, (state.gen_ema, state.memory.average)
    own = lambda: jax.tree.map(lambda x: np.asarray(x)[:members], processes.whole(generator))  # noqa: E731
    self.best = best.better(self.best or best.blank(generator, members), step, found, own)

  def _compared(
    self, table: str, first: int, last: int, same: bool | None, former: str = "; the former are set aside"
  ) -> None:
    """Take note of what was computed again: whether it was the same bits; None: there was nothing to compare with."""
    if same:
      before = self.again.get(table)
      self.again[table] = (before[0] if before else first, last)
    elif same is None:
      self.tell_again()
    else:
      what = f"{table} {'of' if table == 'rows' else 'at'} {_steps(first, last)}"
      self.say(f"warning: {self.group.name}: {what}, computed again, are not the same bits{former}")
      self.doubt(f"{what} came out otherwise when computed again")

  @processes.by_the_first
  def tell_again(self) -> None:
    """Say what was computed again to the same bits since this was last said."""
    if self.again:
      ((table, (first, last)), *others) = self.again.items()
      said = [f"{table} of {_steps(first, last)}"] + [f"{name} of {_steps(*span)}" for name, span in others]
      self.say(f"{self.group.name}: {', '.join(said)} computed again: the same bits")
      self.again = {}

  def held(self, state: GanState) -> tuple[GanState, best.Best | None]:
    """What `save` takes: copies on the host, since the next step is given the state's memory."""
    members = self.program.members
    return jax.tree.map(lambda x: np.array(np.asarray(x)[:members]), processes.whole(state)), self.best

  @processes.by_the_first
  def save(self, step: int, state: GanState, kept: best.Best | None) -> None:
    """Write a checkpoint of what `held` returned; it is on disk when this returns."""
    self.still_there()
    # On one device: of what lies on several, Orbax has each write a part, and compiles a program for every shape.
    own = state if processes.joined() else jax.tree.map(jax.device_put, state)
    # The status can be lost, so this is kept here too.
    origin = {**self.origin.platform, "reasons": self.reasons, "attempt": runs.attempt(self.study)}
    self.write_best(kept)
    period = plan.saving_period(self.group.configs[0])
    self.still_there()  # again: Orbax removes what an unfinished save has left, which may be another writer's
    checkpoint.save(self.directory, step, own, facts(self.group, self.origin), origin, period)

  @processes.by_the_first
  def write_best(self, kept: best.Best | None) -> None:
    if kept is not None:
      for step, same in best.again(self.group.ids, kept, self.best_on_disk, self.best_later).items():
        self._compared("best generators", step, step, same, "")
      best.write(self.study, self.group.name, self.group.ids, kept, self.best_on_disk)
      self.best_on_disk = kept.step

  def diverged(self, state: GanState) -> dict[str, int]:
    """The step at which each diverged member of a state diverged, by id."""
    at = np.asarray(processes.whole(state.diverged_at))[: self.program.members]
    return {i: int(step) for i, step in zip(self.group.ids, at, strict=True) if step >= 0}

  @processes.by_the_first
  def status(self, step: int, seconds: float, diverged: Mapping[str, int]) -> None:
    """Write the group's status; `diverged` is derived from its state."""
    self.still_there()
    complete = step >= self.group.spec.steps
    self._change(step=step, seconds=round(seconds, 3), diverged=dict(diverged), complete=complete)

  @processes.by_the_first
  def mark(self) -> None:
    """Write only whether the runs are bit exact, and if not, why."""
    self._change()

  def _change(self, **entries: Any) -> None:
    own = {"bit_exact": not self.reasons, "reasons": self.reasons, "attempt": runs.attempt(self.study)}
    with runs.changed_status(self.study) as status:
      self._entry(status).update(entries | own)
