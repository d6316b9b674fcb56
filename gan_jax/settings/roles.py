"""What the varying fields of a study are for: compared, drawn or repeated. No jax import.

A config file may say it beside its sweep:

    def roles():
      return {"compared": ["loss"], "drawn": ["generator_rate", "penalty_weight"]}

    compared   the report ranks these settings: each gets a line
    drawn      a value was tried, and is no question of its own; runs of equal drawn values are the same draw
    repeated   runs that differ in nothing else are repetitions, and are averaged; the seed always is

A varying field that is not named is compared. Without `roles` the report guesses (`report/search.py`): numbers that
hardly repeat were drawn. A role belongs to a study and not to a run, so it is no field of a config: it changes no run's
id, and may be changed later by the same command. It is kept in the manifest, because the report reads files only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax import settings
from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.settings import labels

ROLES = ("compared", "drawn", "repeated")
Roles = dict[str, list[str]]


def checked(value: Any, what: str, configs: Sequence[Mapping[str, Any]]) -> Roles:
  """The roles of a study's fields as plain lists, all three of them; {} for None.

  Args:
    value: what `roles()` returned.
    what: how messages call it.
    configs: the full configs of the file's runs, before the command line changed them.

  Raises:
    BadInput: not a dict of lists of names; an unknown role or field; a field in two roles, or that no run changes; the
      loss as repeated; or nothing drawn.
  """
  if value is None:
    return {}
  if not isinstance(value, Mapping):
    raise BadInput(f"{what} expected a dict of lists of fields, got {shown(value)}")
  found: Roles = {role: [] for role in ROLES}
  changed = labels.varying(configs)
  for role, names in value.items():
    if role not in ROLES:
      raise unknown("role of fields", role, ROLES)
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
      raise BadInput(f"{what} expected a list of names of fields as {role!r}, got {shown(names)}")
    for name in names:
      _check(name, role, what, changed, found)
      found[role].append(name)
  if not found["drawn"]:
    raise BadInput(f"{what} expected at least one drawn field, got none; a study without draws needs no roles")
  return {**found, "repeated": sorted({*found["repeated"], "seed"})}


def _check(name: str, role: str, what: str, changed: Sequence[str], found: Roles) -> None:
  if settings.split(name)[0] not in settings.FIELDS:
    raise settings.no_field(name)
  twice = [other for other, names in found.items() if name in names]
  if twice:
    raise BadInput(f"{what} expected each field once, got {name!r} as {twice[0]} and as {role}")
  if name == "loss" and role == "repeated":
    raise BadInput(f"{what} expected the loss to be compared or drawn, since losses are not averaged, got it as {role}")
  if name == "seed":
    if role != "repeated":
      raise BadInput(f"{what} expected the seed to be repeated, which it always is, got it as {role}")
  elif name not in changed:
    raise BadInput(f"{what} expected fields in which the runs differ ({', '.join(changed) or 'none'}), got {name!r}")
