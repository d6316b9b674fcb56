"""The structure of a manifest and a status: names, types and ranges that are checked on reading. No jax import."""

import math
import re
from typing import Any, NamedTuple

from gan_jax import settings

GROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # it is used as a folder's name
CADENCE = ("steps", "probe_every", "evaluate_every", "checkpoint_every")
NEEDED = ("panel", "seed", "loss", "loss_options", *CADENCE)  # fields that every config must have
LARGEST = 2**63  # largest integer


class Map(NamedTuple):
  """A mapping from arbitrary names to values of one kind."""

  values: Any


SCALAR = (str, int, float, bool, None)
OPTIONS = Map((*SCALAR, Map(SCALAR)))  # of one entry, or by entry
MEMBER = {"id": str, "config": Map((*SCALAR, OPTIONS))}
FACTS = {"commit?": (str, None), "source?": str, "versions?": Map(str), "layout?": Map(SCALAR)}
GROUP = {
  "name": str,
  "members": [MEMBER],
  "data?": {"sha256": str, "shape?": [int]},
  "tables?": [str],
  "classes?": int,
  "generation?": int,  # of a group that was added to a study; see runner/growth.py
  "forked?": {"step": int, "runs": [str], "checkpoint": str},  # of a fork; see runner/forking.py
  "grown?": {"steps": int, "ids": [str], "before": [str]},  # of a group whose runs were made longer
  "platform?": FACTS,  # of an added group, where they are not the study's
}
MANIFEST = {
  "format": int,
  "study": str,
  "description?": str,
  "created?": str,
  **FACTS,
  "metrics?": Map(str),
  "defaults?": Map(Map(Map(SCALAR))),
  "roles?": Map([str]),
  "halving?": {"at": [int], "keep": float, "by": str, "verdicts?": [str]},
  "losses?": Map(Map(str)),
  "fork?": {"study": str, "step": int, "manifest": str, "changed": Map(str)},
  "groups": [GROUP],
}
GROUP_STATUS = {
  "step?": int,
  "seconds?": float,
  "diverged?": Map(int),
  "stopped?": Map(int),  # the step at which halving stopped each of these runs
  "rung?": int,  # the last step of halving that was decided
  "complete?": bool,
  "notes?": Map(SCALAR),
  "bit_exact?": bool,
  "reasons?": [str],
  "attempt?": int,  # the highest at which it was written; see runs/lock.py
}
STATUS = {"groups": Map(GROUP_STATUS)}


def wrong(value: Any, kind: Any, where: str = "it") -> str | None:
  """Why `value` is not of a kind; None where it is.

  A kind is a type (a float may be an int, and is finite; an int is no bool), None, a tuple of alternatives, `[kind]`
  for a list, `Map(kind)`, or a dict of kinds by name, `?` after a name that may be missing. Other names are ignored.
  """
  if isinstance(kind, Map):
    if not isinstance(value, dict):
      return f"{where}: expected a mapping, got {type(value).__name__}"
    return next((w for name, v in value.items() if (w := wrong(v, kind.values, f"{where}.{name[:60]}"))), None)
  if isinstance(kind, tuple):
    # A manifest of 10,000 runs has a million values: most are of a type among the alternatives, and only that is tried.
    own = type(value)
    if own in kind and _wrong_scalar(value, own, where) is None:
      return None
    if any(wrong(value, one) is None for one in kind if one is not own):
      return None
    return f"{where}: {type(value).__name__} is not what stands there"
  if isinstance(kind, list):
    if not isinstance(value, list):
      return f"{where}: expected a list, got {type(value).__name__}"
    return next((w for i, v in enumerate(value) if (w := wrong(v, kind[0], f"{where}[{i}]"))), None)
  if isinstance(kind, dict):
    if not isinstance(value, dict):
      return f"{where}: expected a mapping, got {type(value).__name__}"
    for name, one in kind.items():
      plain = name.removesuffix("?")
      if plain not in value:
        if plain == name:
          return f"{where}: expected {plain!r}, found none"
      elif found := wrong(value[plain], one, f"{where}.{plain}"):
        return found
    return None
  return _wrong_scalar(value, kind, where)


def _wrong_scalar(value: Any, kind: Any, where: str) -> str | None:
  kinds = (int, float) if kind is float else (kind,) if kind else (type(None),)
  if type(value) not in kinds:
    return f"{where}: expected {getattr(kind, '__name__', 'null')}, got {type(value).__name__}"
  if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= LARGEST) and kind is not float:
    return f"{where}: expected a number of at most 63 bits"
  if kind is float and not (abs(value) <= LARGEST or math.isfinite(value)):
    return f"{where}: expected a finite number"
  return None


def wrong_manifest(value: Any) -> str | None:
  """What is wrong with a manifest, or None; digest and format are checked in `directory`."""
  found = wrong(value, MANIFEST)
  if found:
    return found
  names = [group["name"] for group in value["groups"]]
  bad = [name for name in names if not GROUP_NAME.fullmatch(name)]
  if bad or len(set(names)) < len(names) or not names:
    return f"groups: expected different plain names, got {(bad or names)[:1]}"
  ids = [member["id"] for group in value["groups"] for member in group["members"]]
  if len(set(ids)) < len(ids):
    return "members: two of one id"
  return next((w for group in value["groups"] if (w := _wrong_group(group))), None)


def _wrong_group(group: Any) -> str | None:
  if not group["members"]:
    return f"{group['name']}: expected members, found none"
  first = group["members"][0]["config"]
  right: set[Any] = set()  # what the members before have as well need not be checked again
  for member in group["members"]:
    config = member["config"]
    found = _wrong_config(config, right)
    if found:
      return f"{group['name']}: {found}"
    if any(config[name] != first[name] for name in CADENCE):
      return f"{group['name']}: its members differ in {' or '.join(CADENCE)}"
    if settings.identity(config) != member["id"]:
      return f"{group['name']}: the id {member['id'][:20]!r} is not that of the config beside it"
  return None


def _wrong_config(config: Any, right: set[Any]) -> str | None:
  """What is wrong with a config. `right` are the (field, type, value) that were found right, and is added to."""
  missing = [name for name in NEEDED if name not in config]
  if missing:
    return f"a config without {missing[0]!r}"
  for name, value in config.items():
    field = settings.FIELDS.get(name)
    plain = None if isinstance(value, dict) else (name, type(value), value)
    if field is None or plain in right:
      continue
    kind: Any = type(field.default)
    by_type = {dict: Map((int, float)), type(None): (float, None)}.get(kind, kind)
    like: Any = {"options": OPTIONS, "schedules": OPTIONS, "code": Map(str)}.get(field.kind, by_type)
    found = wrong(value, like, name)
    if found:
      return found
    if kind is int and not field.low <= value <= field.high:
      return f"{name}: {value} is out of range"
    if plain is not None:
      right.add(plain)
  return None


def wrong_status(value: Any) -> str | None:
  """What is wrong with a status, or None."""
  found = wrong(value, STATUS)
  if found:
    return found
  for name, group in value["groups"].items():
    at = [step for name in ("diverged", "stopped") for step in group.get(name, {}).values()]
    numbers = [group.get("step", 0), group.get("seconds", 0), group.get("rung", 0), *at]
    if min(numbers) < 0:
      return f"{name}: expected no negative number"
  return None
