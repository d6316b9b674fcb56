"""One run of a study, chosen by its id or by fields of its config. No jax import."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import settings
from gan_jax.core.errors import BadInput, plural, shown, unknown
from gan_jax.runs.directory import read_manifest
from gan_jax.settings import labels
from gan_jax.settings.command_line import literal

LISTED = 12  # runs that a message names


class Chosen(NamedTuple):
  """A run as the manifest has it."""

  id: str
  group: str
  member: int  # its place in the group
  config: dict[str, Any]


def members(study: Path) -> list[Chosen]:
  """All runs of a study. Raises `BadInput` where there is none."""
  return [
    Chosen(member["id"], group["name"], place, member["config"])
    for group in read_manifest(study)["groups"]
    for place, member in enumerate(group["members"])
  ]


def choose(study: Path, run: str | None = None, fields: Mapping[str, Any] | None = None) -> Chosen:
  """The one run with this id, or with these values of its config's fields; of a study with one run, that one.

  Args:
    study: its directory.
    run: the id, or its first characters.
    fields: values by field; an option by a dotted name, `{"optimizer_options.beta1": 0.5}`, or in a dict.

  Raises:
    BadInput: no study; an unknown field; no run, or several: the message lists the choices.
  """
  there = members(study)
  asked = labels.flatten(fields or {})
  known = {name: None for one in there for name in labels.flatten(one.config)}
  for name in asked:
    if name not in known:
      raise unknown("config field", name, known)
  found = [one for one in there if one.id.startswith(run or "") and _fits(one.config, asked)]
  if len(found) == 1:
    return found[0]
  said = ", ".join(
    [f"run {shown(run)}"] * (run is not None)
    + [f"{name}={labels.short(settings.plain(value))}" for name, value in asked.items()]
  )
  of = f" with {said}" if said else ""
  raise BadInput(
    f"{study} expected a choice of one of its {plural(len(there), 'run')}, got {plural(len(found), 'run')}{of}; "
    f"{'these are' if found else 'there are'}: {_listed(found or there)}"
  )


def _fits(config: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
  flat = labels.flatten(config)
  return all(name in flat and _plain(flat[name]) == _plain(value) for name, value in asked.items())


def _plain(value: Any) -> str:
  """A value as it would be typed, so that 1, 1.0 and '1' are one."""
  value = settings.plain(value)
  value = literal(value) if isinstance(value, str) else value
  if isinstance(value, (bool, type(None))):
    return str(value).lower()
  return repr(float(value)) if isinstance(value, (int, float)) else str(value)


def _listed(found: list[Chosen]) -> str:
  """`--run ID (loss=hinge, seed=0)` of each, with the fields in which they differ."""
  configs = [one.config for one in found]
  fields = [*labels.varying(configs), *(n for n in ("panel", "seed") if len({str(c[n]) for c in configs}) > 1)]
  flat = [labels.flatten(config) for config in configs]
  said = [
    f"--run {one.id} ({', '.join(f'{n}={labels.short(own[n])}' for n in fields if n in own) or own['loss']})"
    for one, own in zip(found[:LISTED], flat, strict=False)
  ]
  return ", ".join(said) + (f" and {len(found) - LISTED:,} others" if len(found) > LISTED else "")
