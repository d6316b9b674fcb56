"""Who follows the training: each is told the rows and measurements when they are on disk, by the thread that wrote them.

None of them is part of a study: it trains the same bits with and without them, and goes on where one of them fails.
No jax import.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import one_line


class Follower(Protocol):
  name: str

  def begin(self, group: Any, first: int) -> None:
    """A group's training begins, or goes on, at step `first`. What follows is of this group."""

  def rows(self, table: runs.Table) -> None:
    """Rows were written, columns [rows, members]."""

  def measured(self, step: int, quality: Mapping[str, np.ndarray], samples: np.ndarray) -> None:
    """Measurements after `step` steps were written, columns [members], and samples [members, n, ...]."""

  def end(self) -> None:
    """Nothing follows."""


class Followers:
  """Tells each follower; one that fails is warned of once and told nothing more."""

  def __init__(self, each: Sequence[Follower], say: Callable[[str], None]):
    self._each, self._say = list(each), say

  def begin(self, group: Any, first: int) -> None:
    self._tell("begin", group, first)

  def rows(self, table: runs.Table) -> None:
    self._tell("rows", table)

  def measured(self, step: int, quality: Mapping[str, np.ndarray], samples: np.ndarray) -> None:
    self._tell("measured", step, quality, samples)

  def end(self) -> None:
    self._tell("end")

  def _tell(self, what: str, *arguments: Any) -> None:
    for follower in list(self._each):
      try:
        getattr(follower, what)(*arguments)
      except Exception as error:  # another library's error too: it may not stop a training
        self._each.remove(follower)
        why = one_line(f"{type(error).__name__}: {error}")[:200]
        self._say(f"warning: {follower.name} failed ({why}): nothing more is logged there, and the training goes on")


NOBODY = Followers((), lambda line: None)


class Past(NamedTuple):
  """What a group's files hold of the steps before its training goes on."""

  rows: runs.Table
  quality: runs.Table
  samples: list[tuple[int, Path]]


def past(study: Path, group: Any, since: int, first: int) -> Past:
  """The rows of steps [since, first), and the measurements after steps since to first. Damaged files are left out."""
  members = len(group.ids)
  found = [runs.survey(study, table, group.name, members).table for table in ("rows", "quality")]
  kept = [(t.steps >= since) & (t.steps < first + (i == 1)) for i, t in enumerate(found)]
  rows, quality = (
    runs.Table(t.steps[k], {name: x[k] for name, x in t.columns.items()}) for t, k in zip(found, kept, strict=True)
  )
  return Past(rows, quality, [one for one in runs.sample_steps(study, group.name) if since <= one[0] <= first])


def logged(study: Path, group: Any, most: int) -> dict[int, str]:
  """By place in the group, the folder's name of each of its runs that is among the study's first `most`."""
  from gan_jax.report import events, members

  plan = members.read(study)
  labels = members.labels(plan)
  ids = {member.id for member in members.listed(plan)[:most]}
  known = enumerate(zip(group.ids, group.configs, strict=True))
  return {place: events.folder_name(labels[i], config["seed"], i) for place, (i, config) in known if i in ids}


def some(study: Path, most: int) -> str:
  """A remark where not all runs of a study are logged; else ''."""
  count = sum(len(group["members"]) for group in runs.read_manifest(study)["groups"])
  return f"the first {most} of {count:,} runs are logged" if count > most else ""
