"""The runs of a study one by one, read as they are needed: for listings of studies that may be large or in training."""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report import records, verdicts

READING = 2**27  # bytes of tables, at most, that are read for verdicts
PATIENCE = 3
PARTS = 2048  # files of rows or quality that are remembered

Tables = tuple[runs.Table, runs.Table]  # (rows, quality) of a group, columns [rows, members]


class Plan(NamedTuple):
  """What a study is to do, and how far it is."""

  path: Path
  manifest: dict[str, Any]
  status: dict[str, Any]  # of each group, by name
  remarks: tuple[str, ...]  # what is damaged

  @property
  def groups(self) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = self.manifest["groups"]
    return found

  def of(self, group: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a group; {} before it is begun."""
    found: dict[str, Any] = self.status.get(group["name"], {})
    return found


class Member(NamedTuple):
  """A run in a group of the manifest."""

  group: Mapping[str, Any]
  place: int  # in its group
  state: str  # 'diverged', 'stopped' (by halving), 'done', 'unfinished' or 'waiting'
  last: int  # step

  @property
  def id(self) -> str:
    return str(self.group["members"][self.place]["id"])

  @property
  def config(self) -> dict[str, Any]:
    found: dict[str, Any] = self.group["members"][self.place]["config"]
    return found


def read(study: Path) -> Plan:
  """The manifest and the status. A damaged status is a remark, and the study counts as not begun.

  Raises:
    BadInput: there is no study, or its manifest and the copy are damaged.
    OSError: the machine could not read a file, several times in a row.
  """
  if not runs.is_study(study):
    runs.read_manifest(study)  # its message says what is missing
  manifest, remark = _manifest(study, _stamp(study))
  try:
    return Plan(study, manifest, runs.read_status(study)["groups"], (remark,) * bool(remark))
  except BadInput as error:
    lost = f"{error}: how far each run is, is not known; the sweep's command finds it out again"
    return Plan(study, manifest, {}, (*(remark,) * bool(remark), lost))


Stamp = tuple[int, int, int] | None


def _stamp_of(path: Path) -> Stamp:
  """What changes when a file is replaced."""
  try:
    found = path.stat()
  except OSError:
    return None
  return found.st_ino, found.st_size, found.st_mtime_ns


def _stamp(study: Path) -> tuple[Stamp, Stamp]:
  return _stamp_of(study / runs.MANIFEST), _stamp_of(study / runs.copy_of(runs.MANIFEST))


@functools.lru_cache(maxsize=1)
def _manifest(study: Path, stamp: tuple[Stamp, Stamp]) -> tuple[dict[str, Any], str]:
  """As `runs.read_checked`. Of a large study it takes seconds, and `watch` needs it again and again."""
  return runs.read_checked(study, runs.MANIFEST)


def listed(plan: Plan) -> list[Member]:
  """All runs, in the manifest's order."""
  return [
    Member(group, index, *runs.run_status(one["config"], one["id"], plan.of(group)))
    for group in plan.groups
    for index, one in enumerate(group["members"])
  ]


def tables(plan: Plan, group: Mapping[str, Any]) -> Tables:
  """The tables of a group up to the step of its status. Damaged parts are left out.

  Raises:
    BadInput: a part was set aside at this moment.
  """
  count, step = len(group["members"]), plan.of(group).get("step")
  name = group["name"]
  rows, quality = (runs.survey(plan.path, t, name, count, _read_part).table for t in ("rows", "quality"))
  return records.rows_until(rows, step, False), records.rows_until(quality, step, True)


def _read_part(path: Path, first: int, last: int, count: int) -> runs.Table:
  return _part_once(path, first, last, count, _stamp_of(path))


@functools.lru_cache(maxsize=PARTS)
def _part_once(path: Path, first: int, last: int, count: int, stamp: Stamp) -> runs.Table:
  """A part is written once: `watch`, which looks every few seconds, reads it once too."""
  return runs.read_part(path, first, last, count)


def latest(plan: Plan, group: Mapping[str, Any]) -> Tables:
  """As `tables`, but only the last intact part of each table that belongs to a step of the status."""
  count, step = len(group["members"]), plan.of(group).get("step")
  found = []
  for name in ("rows", "quality"):
    there = runs.parts(plan.path, name, group["name"])
    part = next((t for one in reversed(there) if (t := _part(one, count, step, name == "quality"))), None)
    found.append(part or runs.Table(np.zeros(0, np.int64), {}))
  return found[0], found[1]


def _part(part: tuple[int, int, Path], count: int, step: int | None, inclusive: bool) -> runs.Table | None:
  first, last, path = part
  try:
    found = records.rows_until(_read_part(path, first, last, count), step, inclusive)
  except BadInput:
    return None
  return found if len(found.steps) else None


def run(plan: Plan, found: Tables, member: Member) -> records.Run:
  """One run, from the tables of its group, which go on after a run that was stopped."""
  own = [runs.Table(t.steps, {name: x[:, member.place] for name, x in t.columns.items()}) for t in found]
  end = member.last if member.state == "stopped" else None
  rows, quality = records.rows_until(own[0], end, False), records.rows_until(own[1], end, True)
  name, config = member.group["name"], member.config
  exact = bool(plan.of(member.group).get("bit_exact", True))
  return records.Run(member.id, name, member.place, config, member.state, member.last, rows, quality, exact, plan.path)


def judge(plan: Plan, finished: Sequence[Member], seconds: float | None) -> Counter[str]:
  """How often each verdict was given to these runs, in a random order, until so many seconds are over; None: to all.

  Seconds of the processor, so that a busy machine judges no fewer; at most `PATIENCE` times as long by the clock. A run
  that diverged needs no reading.
  """
  over = (lambda: False) if seconds is None else _timer(seconds)
  counted = Counter({"diverged": sum(member.state == "diverged" for member in finished)})
  done = [member for member in finished if member.state == "done"]
  found: dict[str, Tables] = {}
  size = 0
  for place in np.random.default_rng(0).permutation(len(done)):
    member = done[place]
    name = member.group["name"]
    if over():
      break
    with contextlib.suppress(BadInput, FileNotFoundError):  # a part was set aside at this moment
      if name not in found:
        parts = [path for table in ("rows", "quality") for *_, path in runs.parts(plan.path, table, name)]
        size += sum(path.stat().st_size for path in parts)
        if seconds is not None and size > READING:
          break
        found[name] = tables(plan, member.group)
      counted[verdicts.of(run(plan, found[name], member)).final] += 1
  return +counted


def _timer(seconds: float) -> Callable[[], bool]:
  """A function that says whether the time is over."""
  processor, clock = time.process_time(), time.monotonic()
  return lambda: (
    time.process_time() - processor > seconds or time.monotonic() - clock > PATIENCE * seconds or seconds <= 0
  )


def labels(plan: Plan) -> dict[str, str]:
  """By run id, the fields in which its variant differs from the others of its panel."""
  return _labels(plan.path, _stamp(plan.path))


@functools.lru_cache(maxsize=1)
def _labels(study: Path, stamp: tuple[Stamp, Stamp]) -> dict[str, str]:
  manifest, nothing = _manifest(study, stamp)[0], runs.Table(np.zeros(0, np.int64), {})
  plan = Plan(study, manifest, {}, ())
  members = tuple(run(plan, (nothing, nothing), member) for member in listed(plan))
  found = records.panels(members, str(manifest["study"]), manifest.get("defaults", {}), manifest.get("roles", {}))
  return {run.id: variant.label for panel in found for variant in panel.variants for run in variant.runs}
