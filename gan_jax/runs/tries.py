"""How often each task of a launcher was tried, and why it ended: `launch/tries.json` of a study. No jax import.

    {"launch": 2, "code": null, "groups": {"group-0": [{"launch": 1, "cause": "killed", ...}, ...]}}

`launch` counts the launches, and `code` is the exit code with which the last one ended by itself. A launch that was
killed has none, and the next one goes on counting where it stopped. After a launch that ended by itself all tasks are
tried anew.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_json, seal, sealed, write_json

FOLDER, FILE = "launch", "tries.json"


class Try(NamedTuple):
  """One try of a task."""

  launch: int
  began: float  # seconds since 1970
  ended: float | None = None  # None: it runs, or its launcher was killed
  cause: str = ""  # 'done', 'killed', ...: see gan_jax/launch/tasks.py; '': not known
  code: int = 0  # its exit code; negative: the signal
  saved: int = 0  # the step of its group's newest checkpoint at its end
  words: str = ""  # the last line that it wrote


class Tries(NamedTuple):
  """All tries of a study's tasks."""

  launch: int = 0
  code: int | None = None  # with which the last launch ended; None: it runs, or was killed
  groups: Mapping[str, tuple[Try, ...]] = MappingProxyType({})

  def of(self, group: str) -> list[Try]:
    """The tries of a task that count: those of this launch, and of launches that were killed before it."""
    return [one for one in self.groups.get(group, ()) if one.launch == self.launch]

  def begin(self) -> "Tries":
    """As a new launch begins."""
    return Tries(self.launch + (self.code is not None or not self.launch), None, self.groups)

  def end(self, code: int) -> "Tries":
    return self._replace(code=code)

  def started(self, group: str, now: float) -> "Tries":
    return self._with(group, (*self.groups.get(group, ()), Try(self.launch, now)))

  def ended(self, group: str, **known: Any) -> "Tries":
    """With what is known of the last try of a task."""
    found = self.groups.get(group, ())
    if not found or found[-1].launch != self.launch:  # a launch that left it to a cluster and ended had begun it
      found = (*found, Try(self.launch, found[-1].began if found else known["ended"]))
    *before, last = found
    return self._with(group, (*before, last._replace(**known)))

  def _with(self, group: str, found: tuple[Try, ...]) -> "Tries":
    return self._replace(groups={**self.groups, group: found})


def read(study: Path) -> Tries:
  """The tries of a study; none where no launcher has trained it. Raises `BadInput` where the file is damaged."""
  path = study / FOLDER / FILE
  if not path.exists():
    return Tries()
  value = read_json(path)
  try:
    if not sealed(value):
      raise ValueError("its contents do not have the digest that it carries")
    groups = {name: tuple(Try(**one) for one in found) for name, found in value["groups"].items()}
    return Tries(int(value["launch"]), value["code"], groups)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise BadInput(f"{path} is damaged: {error}") from error


def write(study: Path, tries: Tries) -> None:
  groups = {name: [one._asdict() for one in found] for name, found in tries.groups.items()}
  write_json(study / FOLDER / FILE, seal({"launch": tries.launch, "code": tries.code, "groups": groups}))


def failures(study: Path) -> list[tuple[str, Try, int]]:
  """(task, its last try, how many failed) of tasks whose last try in the last launch failed, in the order of their names.

  Nothing where the file is damaged: it is no part of a study's results.
  """
  try:
    tries = read(study)
  except (BadInput, OSError):
    return []
  found = []
  for name in tries.groups:
    own = [one for one in tries.of(name) if one.cause]
    if own and own[-1].cause not in ("done", "preempted"):
      found.append((name, own[-1], sum(one.cause not in ("done", "preempted") for one in own)))
  return found


def log(study: Path, group: str) -> Path:
  """Where the output of a task is appended."""
  return study / FOLDER / f"{group}.log"


def saved(study: Path, group: str) -> int:
  """The step of a group's newest checkpoint; 0 where there is none."""
  try:
    return max(
      (int(path.name) for path in (study / "checkpoints" / group).iterdir() if path.name.isdecimal()), default=0
    )
  except OSError:
    return 0
