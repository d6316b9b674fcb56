"""`--filter`, `--baseline` and `--compare`: which runs are reported, against what, and which field's values. No jax import.

loss=hinge|minimax, seed<3     conditions on fields, all of which hold; | separates several values
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.report.records import Panel, Run, Study, panels
from gan_jax.report.search import drawn_fields, flatten
from gan_jax.report.searches import whole
from gan_jax.settings import labels

CONDITION = re.compile(r"\s*(?P<field>[\w.]+)\s*(?P<sign>!=|<=|>=|==|=|<|>)(?P<value>.*)", re.S)
ORDER: dict[str, Callable[[float, float], bool]] = {
  "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


class Condition(NamedTuple):
  field: str
  sign: str
  values: tuple[str, ...]  # several only with = and !=

  def holds(self, own: Mapping[str, Any]) -> bool:
    """Whether a run with these flat fields is kept; one without the field is only by !=."""
    if self.field not in own:
      return self.sign == "!="
    value = own[self.field]
    if self.sign in ORDER:
      return _number(value) is not None and ORDER[self.sign](float(value), float(self.values[0]))
    return any(_same(value, text) for text in self.values) != (self.sign == "!=")


def conditions(text: str) -> list[Condition]:
  """The conditions of a `--filter`. Raises `BadInput` where one has not the form FIELD=VALUE, or compares with no number."""
  found = []
  for part in re.split(r",(?![^()]*\))", text):  # not at the comma within mix(a,b)
    match = CONDITION.fullmatch(part)
    if match is None:
      raise BadInput(
        f"--filter expected conditions such as loss=hinge|minimax or seed<3, joined by commas, got {shown(part)}"
      )
    sign, values = match["sign"].replace("==", "="), tuple(v.strip() for v in match["value"].split("|"))
    if sign in ORDER and (len(values) > 1 or _number_of(values[0]) is None):
      raise BadInput(f"--filter expected one number after {match['field']}{sign}, got {shown(match['value'])}")
    found.append(Condition(match["field"], sign, values))
  return found


def fields(run: Run) -> dict[str, Any]:
  """What conditions are on: every field of the config, entries of options by their dotted names, and the run's status."""
  return {**labels.flatten(run.config), "status": run.status}


def kept(members: Sequence[Run], text: str) -> tuple[Run, ...]:
  """The runs for which all conditions of a `--filter` hold.

  Raises:
    BadInput: a condition of another form, on a field or with a value that no run has, or no run is left.
  """
  own = [fields(run) for run in members]
  chosen = conditions(text)
  for condition in chosen:
    _check(condition, own)
  found = tuple(run for run, config in zip(members, own, strict=True) if all(c.holds(config) for c in chosen))
  if not found:
    raise BadInput(f"--filter {shown(text)} expected to keep at least one of {len(members):,} runs, kept none")
  return found


def _check(condition: Condition, own: Sequence[Mapping[str, Any]]) -> None:
  field = condition.field
  there = list({repr(config[field]): config[field] for config in own if field in config}.values())
  if not there:
    raise _no_field("field of --filter", field, own)
  if condition.sign in ORDER:
    if all(_number(value) is None for value in there):
      raise BadInput(f"--filter expected {field}{condition.sign} of a field of numbers; its values: {_listed(there)}")
    return
  for text in condition.values:
    if not any(_same(value, text) for value in there):
      raise unknown(f"value of {field} in --filter", text, map(str, there))


def _no_field(kind: str, name: str, own: Sequence[Mapping[str, Any]]) -> BadInput:
  """The error for a field that no run has: the nearest one, and those in which the runs differ."""
  every = dict.fromkeys(n for config in own for n in config)
  near = str(unknown(kind, name, every)).partition(" known:")[0].removesuffix(";")
  different = [n for n in every if len({repr(config.get(n)) for config in own}) > 1]
  return BadInput(
    f"{near}{'' if near.endswith('?') else ';'} fields in which the runs differ: {', '.join(different) or 'none'}"
  )


def compared_with(study: Study, name: str) -> Study:
  """The study with another baseline: a loss, or the label of a variant.

  Raises:
    BadInput: no panel has it.
  """
  choices = dict.fromkeys(n for panel in study.panels for v in panel.variants for n in (v.config["loss"], v.label))
  values = {n.rpartition("=")[2]: n for n in choices if n.count("=") == 1}  # `--compare n_critic --baseline 5`
  if name not in choices and name not in values:
    raise unknown("baseline", name, choices)
  return renewed(study, [_with(run, baseline=name if name in choices else values[name]) for run in study.runs])


def comparing(study: Study, names: Sequence[str]) -> Study:
  """The study with a panel for every setting of all fields but these, so that each panel compares their values.

  Fields that were drawn, and those that are repeated, do not divide it.

  Raises:
    BadInput: a field in which no panel's runs differ, or the seed.
  """
  titles: dict[str, str] = {}
  roles: dict[str, Mapping[str, list[str]]] = {}
  differ: dict[str, None] = {}
  for panel in study.panels:
    varying = labels.varying([variant.config for variant in panel.variants])
    differ |= dict.fromkeys(varying)
    drawn = [name for name in _drawn(panel) if name not in names]
    others = [name for name in varying if name not in (*names, *drawn, *panel.roles.get("repeated", ()))]
    for variant in panel.variants:
      setting = labels.label(variant.config, others) if others else ""
      title = f"{panel.title}: {setting}" if setting else panel.title
      titles |= {run.id: title for run in variant.runs}
      roles[title] = {"compared": list(names), "drawn": drawn, "repeated": ["seed"]}
  for name in names:
    if name not in differ:
      raise unknown("field of --compare, or one in which no two runs differ:", name, differ)
  # The study's own baseline may be of another panel now; the first value is one of each.
  plain = {} if "loss" in names else {"baseline": ""}
  found = renewed(study, [_with(run, panel=titles[run.id], **plain) for run in study.runs])
  return found._replace(panels=tuple(panel._replace(roles=roles[panel.title]) for panel in found.panels))


def _drawn(panel: Panel) -> Sequence[str]:
  if panel.roles:
    return panel.roles["drawn"]
  runs = sum(len(variant.runs) for variant in panel.variants)
  return drawn_fields([flatten(variant.config) for variant in panel.variants], runs / len(panel.variants))


def renewed(study: Study, members: Iterable[Run]) -> Study:
  """The study with these runs only: its panels, variants and labels are made anew."""
  chosen = tuple(members)
  manifest = without_others(study.manifest, chosen)
  roles = {panel.title: panel.roles for panel in study.panels}
  made = panels(chosen, str(manifest["study"]), manifest.get("defaults", {}), manifest.get("roles", {}))
  made = tuple(p._replace(roles=roles.get(p.title, p.roles)) for p in made)
  if all(whole(study.runs, chosen, p.roles) for p in made):
    made = tuple(p._replace(halving=manifest.get("halving", {})) for p in made)
  return study._replace(manifest=manifest, runs=chosen, panels=made)


def without_others(manifest: Mapping[str, Any], members: Iterable[Run]) -> dict[str, Any]:
  """The manifest without the members of groups that are not among these runs."""
  there = {(run.group, run.id) for run in members}
  own = [{**g, "members": [m for m in g["members"] if (g["name"], m["id"]) in there]} for g in manifest["groups"]]
  return {**manifest, "groups": [group for group in own if group["members"]]}


def _with(run: Run, **fields: str) -> Run:
  return run._replace(config={**run.config, **fields})


def _number(value: Any) -> float | None:
  return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _number_of(text: str) -> float | None:
  try:
    return float(text)
  except ValueError:
    return None


def _same(value: Any, text: str) -> bool:
  number, given = _number(value), _number_of(text)
  if number is not None and given is not None:
    return number == given
  return str(value) == text or (isinstance(value, (bool, type(None))) and str(value).lower() == text.lower())


def _listed(values: Sequence[Any]) -> str:
  return ", ".join(sorted(map(str, values))[:20])
