"""The plan of a study as a table: its compiled programs, the runs of each, their devices, and the memory that they hold."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax import runs
from gan_jax.core.errors import BadInput, plural
from gan_jax.runner import checkpoint, memory, mesh, processes
from gan_jax.runner.grouping import Group
from gan_jax.runs import plan
from gan_jax.settings.records import Spec, thawed

MOST = 20  # programs that are listed
WIDTH = 120  # characters of a line
HEADING = ["program", "runs", "losses", "steps", "a device", "state", "networks and data", "what sets it apart"]
NUMBERS = range(1, 6)  # columns that are set to the right
SAID = ("losses", "steps", "model", "dataset", "batch_devices")  # fields of a spec that have columns of their own


def tell(
  study: Path, groups: Sequence[Group], states: Mapping[str, int], say: Callable[[str], None], disk: int | None = None
) -> None:
  """Print the plan of a study, line by line.

  Args:
    study: its directory, which may not exist yet.
    groups: its groups.
    states: bytes of each group's state, by name.
    say: prints a line.
    disk: bytes that the whole study will hold on disk, at least.
  """
  for line in lines(study, groups, states, disk):
    say(line)


def lines(study: Path, groups: Sequence[Group], states: Mapping[str, int], disk: int | None = None) -> list[str]:
  """The lines of `tell`."""
  members = sum(len(group.configs) for group in groups)
  devices = jax.devices()
  title = (
    f"{study}: {plural(members, 'run')} in {plural(len(groups), 'compiled program')} on "
    f"{plural(len(devices), devices[0].platform + ' device')}"
    + (f" of {processes.count()} processes" if processes.joined() else "")
  )
  done = _done(study)
  apart = differences([group.spec for group in groups])
  table = [HEADING[: None if len(groups) > 1 else -1]]
  for group, own in list(zip(groups, apart, strict=True))[:MOST]:
    at, steps = _goes_on(study, group, done.get(group.name, 0)), group.spec.steps
    table.append([
      group.name,
      f"{len(group.configs):,}",
      f"{len(group.spec.losses):,}",
      f"{at:,} of {steps:,} done" if at or group.begun else f"{steps:,}",
      share(mesh.build(group.spec, len(group.configs))),
      written(states[group.name]),
      f"{group.spec.model} on {group.spec.dataset}",
    ])  # fmt: skip
    if len(groups) > 1:
      table[-1].append(own)
  more = [f"  ... and {plural(len(groups) - MOST, 'more program')}"] if len(groups) > MOST else []
  notes = [
    "  the runs of a program train side by side; a device: how many of them each device trains",
    "  state: their weights, averages and optimizers' memory; training needs several times as much, of "
    f"{written(memory.available())} here",
  ]
  if disk is not None:
    notes.append(f"  disk: at least {written(disk)} in the end, for three checkpoints, tables, samples and the report")
  return [title, *aligned(table), *more, *notes]


def share(layout: mesh.Layout) -> str:
  """How many runs a device has; where several devices share the batches of a run, how many."""
  rows, columns = layout.mesh.devices.shape
  return f"{layout.padded // rows:,}" + (f" over {columns}" if columns > 1 else "")


def written(count: int) -> str:
  """Bytes for a reader: 26.7 MB, 3.2 GB."""
  for unit, size in (("GB", 1e9), ("MB", 1e6)):
    if count >= size:
      return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
  return f"{count / 1e3:.3g} kB"


def differences(specs: Sequence[Spec]) -> list[str]:
  """Of each spec, the fields without a column in which it differs from most of the others: 'penalty=r1, n_critic=5'."""
  flat = [_flat(spec) for spec in specs]
  apart: list[list[str]] = [[] for _ in specs]
  for name in dict.fromkeys(name for one in flat for name in one):
    values = [repr(one.get(name)) for one in flat]
    for own, one, value in zip(apart, flat, values, strict=True):
      if name in one and 2 * values.count(value) <= len(values):
        own.append(f"{name}={one[name]}")
  return [", ".join(own) for own in apart]


def _flat(spec: Spec) -> dict[str, Any]:
  """The fields of a spec without a column, and the entries of its options as fields of their own."""
  found: dict[str, Any] = {}
  for name, value in spec._asdict().items():
    if name not in SAID:
      found |= {f"{name}.{k}": v for k, v in thawed(value).items()} if isinstance(value, tuple) else {name: value}
  return found


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
  """Columns of text; lines longer than `WIDTH` are cut."""
  widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
  found = []
  for row in table:
    cells = [
      cell.rjust(width) if i in NUMBERS else cell.ljust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    line = f"  {'  '.join(cells)}".rstrip()
    found.append(line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}...")
  return found


def _done(study: Path) -> dict[str, int]:
  """The step of each group that has been begun; nothing where the status cannot be read."""
  with contextlib.suppress(BadInput):
    return {name: int(group.get("step", 0)) for name, group in runs.read_status(study)["groups"].items()}
  return {}


def _goes_on(study: Path, group: Group, step: int) -> int:
  """The step from which a group goes on. Of one that was made longer, its former end may be no end of a chunk now."""
  ends = {chunk.last for chunk in plan.of(group.configs[0])}
  if not group.begun or step in ends:
    return step
  there = checkpoint.steps(study / "checkpoints" / group.name)
  return max((one for one in there if one in ends and one <= step), default=group.start)
