"""The runs of a study one by one, read as they are needed: for listings of studies that may be large or in training."""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report import records, verdicts

READING = 2**27  # bytes of tables, at most, that are read for verdicts

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


class Member(NamedTuple):
  """A run in a group of the manifest."""

  group: Mapping[str, Any]
  place: int  # in its group
  state: str  # 'diverged', 'done', 'unfinished' or 'waiting'
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
  manifest, remark = runs.read_checked(study, runs.MANIFEST)
  try:
    return Plan(study, manifest, runs.read_status(study)["groups"], (remark,) * bool(remark))
  except BadInput as error:
    lost = f"{error}: how far each run is, is not known; the sweep's command finds it out again"
    return Plan(study, manifest, {}, (*(remark,) * bool(remark), lost))


def listed(plan: Plan) -> list[Member]:
  """All runs, in the manifest's order."""
  return [
    Member(group, index, *runs.run_status(one["config"], one["id"], plan.status.get(group["name"], {})))
    for group in plan.groups
    for index, one in enumerate(group["members"])
  ]


def tables(plan: Plan, group: Mapping[str, Any]) -> Tables:
  """The tables of a group up to the step of its status. Damaged parts are left out.

  Raises:
    BadInput: a part was set aside at this moment.
  """
  count, step = len(group["members"]), plan.status.get(group["name"], {}).get("step")
  rows, quality = (runs.survey(plan.path, name, group["name"], count).table for name in ("rows", "quality"))
  return records.rows_until(rows, step, False), records.rows_until(quality, step, True)


def run(found: Tables, member: Member) -> records.Run:
  """One run, from the tables of its group."""
  rows, quality = (runs.Table(t.steps, {name: x[:, member.place] for name, x in t.columns.items()}) for t in found)
  name, config = member.group["name"], member.config
  return records.Run(member.id, name, member.place, config, member.state, member.last, rows, quality)


def judge(plan: Plan, finished: Sequence[Member], seconds: float | None) -> Counter[str]:
  """How often each verdict was given to these runs, in a random order, until so many seconds are over; None: to all.

  A run that diverged needs no reading.
  """
  ends = None if seconds is None else time.monotonic() + seconds
  counted = Counter({"diverged": sum(member.state == "diverged" for member in finished)})
  done = [member for member in finished if member.state == "done"]
  found: dict[str, Tables] = {}
  size = 0
  for place in np.random.default_rng(0).permutation(len(done)):
    member = done[place]
    name = member.group["name"]
    if ends is not None and time.monotonic() > ends:
      break
    with contextlib.suppress(BadInput, FileNotFoundError):  # a part was set aside at this moment
      if name not in found:
        parts = [path for table in ("rows", "quality") for *_, path in runs.parts(plan.path, table, name)]
        size += sum(path.stat().st_size for path in parts)
        if seconds is not None and size > READING:
          break
        found[name] = tables(plan, member.group)
      counted[verdicts.of(run(found[name], member)).final] += 1
  return +counted


def labels(plan: Plan) -> dict[str, str]:
  """By run id, the fields in which its variant differs from the others of its panel."""
  nothing = runs.Table(np.zeros(0, np.int64), {})
  members = tuple(run((nothing, nothing), member) for member in listed(plan))
  manifest = plan.manifest
  found = records.panels(members, str(manifest["study"]), manifest.get("defaults", {}), manifest.get("roles", {}))
  return {run.id: variant.label for panel in found for variant in panel.variants for run in variant.runs}
