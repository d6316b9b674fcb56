"""Successive halving: at given steps the worst draws stop, and the others are trained on. No jax import.

A config file asks for it beside its sweep:

    def halving():
      return {"at": [500, 1000], "keep": 0.5, "by": "frechet/distance"}

    at     steps at which draws stop; each is an evaluation of every run, and not the last one
    keep   the share of the draws still in training that goes on from each of them, rounded up, so at least one does
    by     the quality by which they are ranked; without it, the one by which the report ranks

The runs that differ only by the seed (and by what `roles()` calls repeated) are one draw: they go on or stop together.
With `roles()`, a draw competes with the other draws of its own compared setting, so that every setting keeps equally
many; without, with all draws of its panel. A draw is worse than another if a larger share of its runs has diverged or has
no finite quality; else if the mean of the other runs is worse (geometric where the report's is); else by its runs' ids.

All groups are trained to a step of `at` before any goes on. Which runs stop is a pure function of what was measured until
then; it is written into the status at once for all groups, and never decided again.
Source: Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization",
arXiv:1502.07943.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs, settings
from gan_jax.core.errors import BadInput, plural, shown, unknown
from gan_jax.report.comparison import QUALITIES, Quality
from gan_jax.runner import processes, standing
from gan_jax.runs import plan
from gan_jax.settings import labels

Config = Mapping[str, Any]
Entry = Mapping[str, Any]  # a group of a manifest
Draws = dict[str, list[str]]  # of one competition: the ids of each draw's runs, by the draw's key


class Rules(NamedTuple):
  """When draws stop, and which."""

  at: tuple[int, ...]  # rising
  keep: float
  by: str  # a column of quality; '': the first of the report's that is measured

  def written(self) -> dict[str, Any]:
    """As the manifest has them."""
    return {"at": list(self.at), "keep": self.keep, "by": self.by}


class Halving(NamedTuple):
  """The halving of a study; without rules nothing stops."""

  rules: Rules | None = None
  competing: Sequence[Draws] = ()  # the draws of each competition
  steps: Mapping[str, int] = {}  # of each run, by id

  def tell(self, say: Callable[[str], object]) -> None:
    """Print what the rules save, for the plan of a study."""
    if self.rules:
      say(f"  {outlook(self.rules, self.competing, self.steps)}")


def checked(value: Any, what: str, configs: Sequence[Config], roles: Mapping[str, Sequence[str]]) -> Halving:
  """The halving of a study; one without rules where `value` is None.

  Args:
    value: what `halving()` returned.
    what: how messages call it.
    configs: of all runs, complete.
    roles: of the study's fields.

  Raises:
    BadInput: not a dict of `at`, `keep` and `by`; a step that is no evaluation of every run; a share that is not between
      0 and 1; a quality by which nothing is ranked; or no draw that could stop.
  """
  if value is None:
    return Halving()
  if processes.count() > 1:
    raise BadInput(
      f"{what} expected one process, got {processes.count()}: runs are packed anew on one process's devices"
    )
  if not isinstance(value, Mapping):
    raise BadInput(f"{what} expected a dict of at, keep and by, got {shown(value)}")
  for name in value:
    if name not in Rules._fields:
      raise unknown("entry of halving", name, Rules._fields)
  keep, by = value.get("keep", 0.5), value.get("by", "")
  if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not 0 < keep < 1:
    raise BadInput(f"{what} expected as keep the share of draws that goes on, above 0 and below 1, got {shown(keep)}")
  known = [quality.metric for quality in QUALITIES]
  if by != "" and by not in known:
    raise unknown("quality to stop by", by, known)
  rules = Rules(_steps(value.get("at"), what, configs), float(keep), str(by))
  found = competitions(configs, roles)
  if all(going_on(len(draws), rules.keep) == len(draws) for draws in found):
    most = max(len(draws) for draws in found)
    raise BadInput(f"{what} expected draws of which some can stop, got at most {plural(most, 'draw')} that compete")
  return Halving(rules, found, {settings.identity(config): config["steps"] for config in configs})


def _steps(at: Any, what: str, configs: Sequence[Config]) -> tuple[int, ...]:
  """`at` as rising steps, each of which is an evaluation of all runs and not their last one."""
  if isinstance(at, (str, Mapping)) or not isinstance(at, Sequence) or not at or any(type(s) is not int for s in at):
    raise BadInput(f"{what} expected as at a list of steps, got {shown(at)}")
  if list(at) != sorted(set(at)):
    raise BadInput(f"{what} expected rising steps as at, got {shown(at)}")
  cadences = {tuple(config[name] for name in ("steps", "probe_every", "evaluate_every")): config for config in configs}
  common = set.intersection(*(set(plan.evaluations(config)[1:-1]) for config in cadences.values()))
  for step in at:
    if step not in common:
      near = sorted(sorted(common, key=lambda other: abs(other - step))[:4])
      choices = (
        f"such as {', '.join(f'{s:,}' for s in near)}" if near else "of which this study has none; see evaluate_every"
      )
      raise BadInput(
        f"{what} expected steps at which all runs are evaluated, before the last one, {choices}, got {step:,}"
      )
  return tuple(at)


def competitions(configs: Sequence[Config], roles: Mapping[str, Sequence[str]]) -> list[Draws]:
  """The draws of a study, those together that compete with one another; in the order of the runs."""
  found: dict[str, Draws] = {}
  repeated = {"seed", *roles.get("repeated", ())}
  for config in configs:
    draw = _key(config, repeated)
    field = _key(config, {*repeated, *roles["drawn"]}) if roles else str(config["panel"])
    found.setdefault(field, {}).setdefault(draw, []).append(settings.identity(config))
  return list(found.values())


def _key(config: Config, left_out: set[str]) -> str:
  """A key of a config without these fields, and without the options that belong to one of them."""

  def belongs(name: str) -> bool:
    root = settings.split(name)[0]
    field = settings.FIELDS.get(root)
    return name in left_out or root in left_out or (field is not None and field.of in left_out)

  flat = labels.flatten(config)
  return json.dumps({name: value for name, value in flat.items() if not belongs(name)}, sort_keys=True)


def going_on(count: int, keep: float) -> int:
  """How many of `count` draws go on: the share `keep`, rounded up; at least one."""
  return max(1, math.ceil(count * keep - 1e-9))  # 0.1 * 30 is a little more than 3


def worst(draws: Draws, values: Mapping[str, float], quality: Quality, keep: float) -> list[str]:
  """The ids of the runs that stop: those of the worst draws of one competition.

  Args:
    draws: those still in training.
    values: of the quality, by run; NaN: diverged or not measured.
    quality: says whether low or high is good, and which mean is taken.
    keep: the share of the draws that goes on.
  """

  def rank(key: str) -> tuple[float, float, str]:
    own = np.asarray([values[run] for run in draws[key]], np.float64)
    good = own[np.isfinite(own)]
    if not len(good):
      return 1.0, 0.0, min(draws[key])
    score = np.log(good) if quality.log and bool((good > 0).all()) else good
    return 1 - len(good) / len(own), float(quality.sign * score.mean()), min(draws[key])

  order = sorted(draws, key=rank)
  return [run for key in order[going_on(len(order), keep) :] for run in draws[key]]


def unchanged(study: Path, manifest: dict[str, Any] | None, halved: Halving) -> dict[str, Any] | None:
  """The manifest as it is. Raises `BadInput` if the study was begun with other rules or runs: they decide who stops."""
  asked = {} if halved.rules is None else halved.rules.written()
  began = asked if manifest is None else manifest.get("halving", {})
  if began != asked:
    raise BadInput(
      f"{study} was begun {f'with halving {began}' if began else 'without halving'}: expected the same, got "
      f"{asked or 'none'}; choose another directory with --out"
    )
  there = {member["id"] for entry in manifest["groups"] for member in entry["members"]} if manifest else set()
  if there and asked and there != halved.steps.keys():
    raise BadInput(
      f"{study} has halving, and who stops depends on all runs: expected the {len(there):,} that it began with, got "
      f"{len(halved.steps):,}, not the same; choose another directory with --out"
    )
  return manifest


def quality_of(rules: Rules, columns: Iterable[str]) -> Quality:
  """The quality by which draws are ranked, among what is measured. Raises `BadInput` where it is not measured."""
  measured = set(columns)
  there = [quality for quality in QUALITIES if quality.metric in measured]
  found = [quality for quality in there if rules.by in ("", quality.metric)]
  if not found:
    choices = ", ".join(quality.metric for quality in there) or "none"
    raise BadInput(f"halving expected as by a quality that this study measures ({choices}), got {rules.by or 'none'!r}")
  return found[0]


def measured(halved: Halving, columns: Iterable[str]) -> None:
  """Raises `BadInput` where the quality by which draws are ranked is none of these columns."""
  if halved.rules:
    quality_of(halved.rules, columns)


def stopped(study: Path, group: str) -> dict[str, int]:
  """The step at which each stopped run of a group did, by id; the first process tells the others."""
  found: dict[str, int] = processes.told(lambda: runs.read_status(study)["groups"].get(group, {}).get("stopped", {}))
  return found


def turns(
  study: Path, entries: Sequence[Entry], halved: Halving, say: Callable[[str], object]
) -> Iterator[tuple[int, int | None]]:
  """(place of a group, step to which it is to be trained now; None: to its end), in order.

  When all groups have reached a step of the rules, who stops is decided and written, before the next turn is given.
  """
  rules = halved.rules or Rules((), 1.0, "")
  for until in rules.at:
    status = runs.read_status(study)["groups"]
    if all(status.get(entry["name"], {}).get("rung", 0) >= until for entry in entries):
      continue
    for place, entry in enumerate(entries):
      if not _reached(study, entry, until):
        yield place, until
    say(_decide(study, entries, rules, halved.competing, until))
  for place, entry in enumerate(entries):
    if not standing.whole(study, entry):
      status = runs.read_status(study)["groups"].get(entry["name"], {})
      yield place, max(status["stopped"].values()) if standing.stopped(entry, status) else None


def _reached(study: Path, entry: Entry, until: int) -> bool:
  """Whether a group has been trained to this step, or all of it has stopped, and nothing is missing."""
  status = runs.read_status(study)["groups"].get(entry["name"], {})
  return (status.get("step", 0) >= until or standing.stopped(entry, status)) and not standing.missing(study, entry)


def _decide(study: Path, entries: Sequence[Entry], rules: Rules, competing: Sequence[Draws], until: int) -> str:
  """Decide who stops at a step that all groups have reached, and write it; returns what happened, as a sentence."""
  values: dict[str, float] = {}
  gone: set[str] = set()
  tables = {entry["name"]: runs.read_table(study, "quality", entry["name"]) for entry in entries}
  quality = quality_of(rules, [name for table in tables.values() for name in table.columns])
  status = runs.read_status(study)["groups"]
  for entry in entries:
    own = status.get(entry["name"], {})
    measured = _measured(tables[entry["name"]], quality.metric, until, len(entry["members"]))
    diverged = {run for run, step in own.get("diverged", {}).items() if step < until}
    gone |= {run for run, step in own.get("stopped", {}).items() if step < until}
    for member, value in zip(entry["members"], measured, strict=True):
      values[member["id"]] = math.nan if member["id"] in diverged else value
  stopping: set[str] = set()
  for draws in competing:
    stopping.update(worst({k: v for k, v in draws.items() if not gone & set(v)}, values, quality, rules.keep))
  with runs.changed_status(study) as changed:
    for entry in entries:
      own = changed["groups"].setdefault(entry["name"], {})
      now = {member["id"]: until for member in entry["members"] if member["id"] in stopping}
      own.update(stopped={**own.get("stopped", {}), **now}, rung=until)
      own["complete"] = bool(own.get("complete")) or standing.stopped(entry, own)
  left = len(values) - len(gone) - len(stopping)
  return f"step {until:,}: {plural(len(stopping), 'run')} stopped as the worst by {quality.metric}, {left:,} go on"


def _measured(table: runs.Table, metric: str, step: int, members: int) -> list[float]:
  """A quality of each member at a step; NaN where there is none."""
  at = np.flatnonzero(table.steps == step)
  column = table.columns.get(metric)
  return [math.nan] * members if column is None or not len(at) else [float(x) for x in column[at[0]]]


def outlook(rules: Rules, competing: Sequence[Draws], steps: Mapping[str, int]) -> str:
  """What the rules save, for the plan of a study. `steps`: of each run, by id.

  Where draws have different numbers of runs, those with most are counted as going on.
  """
  left = [sorted(draws.values(), key=len, reverse=True) for draws in competing]
  exact = all(len({len(own) for own in draws}) == 1 for draws in left)
  whole, saved, said = sum(steps.values()), 0, []
  for at in rules.at:
    kept = [draws[: going_on(len(draws), rules.keep)] for draws in left]
    stop = [run for draws, on in zip(left, kept, strict=True) for own in draws[len(on) :] for run in own]
    saved += sum(steps[run] - at for run in stop)
    left = kept
    said.append(f"{sum(len(own) for draws in kept for own in draws):,} of {len(steps):,} runs go on from step {at:,}")
  about = "" if exact else "about "
  by = rules.by or "the quality that the report ranks by"
  return f"halving by {by}: {', '.join(said)}; {about}{saved:,} of {whole:,} steps of single runs are saved"
