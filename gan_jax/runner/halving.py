"""Successive halving: at given steps the worst draws stop, and the others are trained on. No jax import.

A config file asks for it beside its sweep:

    def halving():
      return {"at": [500, 1000], "keep": 0.5, "by": "frechet/distance"}

    at        steps at which draws stop; each is an evaluation of every run, and not the last one
    keep      the share of the draws still in training that goes on from each of them, rounded up, so at least one does
    by        the quality by which they are ranked; without it, the one by which the report ranks
    searches  into how many searches the draws of a compared setting are dealt, each of which keeps its own best; 1 without
    judges    how many runs of each draw, those with the last seeds, it is not ranked by; 0 without it. They stop and go on
              with their draw, and at the end say how good it is: by the runs that chose it, it looks too good

Or those stop that have failed, however many they are, and it may be none or all:

    def halving():
      return {"at": [500, 1000], "by": "verdict", "verdicts": ["diverged", "discriminator dominates", "mode collapse"]}

    verdicts  with which a run has failed (gan_jax/verdict); without them, these three

The runs that differ only by the seed (and by what `roles()` calls repeated) are one draw: they go on or stop together.
With `roles()`, a draw competes with the other draws of its own compared setting, so that every setting keeps equally
many; without, with all draws of its panel. A draw is worse than another if a larger share of its runs has diverged or has
no finite quality; else if the mean of the other runs is worse (geometric where the report's is); else by its runs' ids.
By verdict a draw stops if more than half of its runs have failed.

All groups are trained to a step of `at` before any goes on. Which runs stop is a pure function of what was measured until
then; it is written into the status at once for all groups, and never decided again.
Source: Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization",
arXiv:1502.07943.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs, settings
from gan_jax.core.errors import BadInput, plural, shown, unknown
from gan_jax.report import records, verdicts
from gan_jax.report.comparison import QUALITIES, Quality
from gan_jax.runner import contest, processes, standing
from gan_jax.runner.contest import Config, Draws
from gan_jax.runs import plan
from gan_jax.verdict import STATES

Entry = Mapping[str, Any]  # a group of a manifest
VERDICT = "verdict"  # as `by`: those stop that have failed
FAILED = ("diverged", "discriminator_dominates", "mode_collapse")  # where `verdicts` are not given


class Rules(NamedTuple):
  """When draws stop, and which."""

  at: tuple[int, ...]  # rising
  keep: float  # by verdict: 0, for any number may stop
  by: str  # a column of quality; '': the first of the report's that is measured; or `VERDICT`
  verdicts: tuple[str, ...] = ()  # for which a run stops
  searches: int = 1  # of each compared setting
  judges: int = 0  # runs of each draw by which it is not ranked

  def written(self) -> dict[str, Any]:
    """As the manifest has them."""
    named = {"verdicts": list(self.verdicts)} if self.by == VERDICT else {}
    several = {name: x for name, x, usual in (("searches", self.searches, 1), ("judges", self.judges, 0)) if x != usual}
    return {"at": list(self.at), "keep": self.keep, "by": self.by, **named, **several}


class Halving(NamedTuple):
  """The halving of a study; without rules nothing stops."""

  rules: Rules | None = None
  competing: Sequence[Draws] = ()  # the draws of each competition
  steps: Mapping[str, int] = {}  # of each run, by id

  def tell(self, say: Callable[[str], object], columns: Collection[str] | None = ()) -> None:
    """Print what the rules save, for the plan of a study; `columns`: as of `measured`."""
    if self.rules and self.rules.by == VERDICT:
      at = ", ".join(f"{step:,}" for step in self.rules.at)
      say(f"  halving by verdict: at step {at} the runs stop whose verdict is {named(self.rules.verdicts)}")
    elif self.rules:
      say(f"  {contest.outlook(self.rules.at, self.rules.keep, self.rules.by, self.competing, self.steps)}")
      if columns is None:
        say("  whether that quality is measured is not known before an own metric is built, which a dry run does not")


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
  found = contest.competitions(configs, roles)
  searches, judges = contest.judged(value, what, roles, min(len(own) for draws in found for own in draws.values()))
  steps = {settings.identity(config): config["steps"] for config in configs}
  at, by = _steps(value.get("at"), what, configs), value.get("by", "")
  if by == VERDICT and (searches, judges) != (1, 0):
    raise BadInput(f"{what} by verdict compares no draws: expected neither searches nor judges")
  if by == VERDICT:
    return Halving(Rules(at, 0.0, VERDICT, _failed(value, what)), found, steps)
  known = [quality.metric for quality in QUALITIES]
  if by != "" and by not in known:
    raise unknown("quality to stop by", by, [VERDICT, *known])
  if "verdicts" in value:
    raise BadInput(f"{what} expected by={VERDICT!r} where verdicts are given, got by={shown(by)}")
  keep = value.get("keep", 0.5)
  if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not 0 < keep < 1:
    raise BadInput(f"{what} expected as keep the share of draws that goes on, above 0 and below 1, got {shown(keep)}")
  found = contest.competitions(configs, roles, searches)
  if not all(found):
    raise BadInput(f"{what} expected at most as many searches as there are draws, got {searches:,}")
  if all(contest.going_on(len(draws), keep) == len(draws) for draws in found):
    most = max(len(draws) for draws in found)
    raise BadInput(f"{what} expected draws of which some can stop, got at most {plural(most, 'draw')} that compete")
  return Halving(Rules(at, float(keep), str(by), (), searches, judges), found, steps)


def _failed(value: Mapping[str, Any], what: str) -> tuple[str, ...]:
  """The verdicts for which a run stops, as the report's words or as names: `mode collapse`, `mode_collapse`."""
  if "keep" in value:
    raise BadInput(f"{what} by verdict stops all that have failed: expected no keep, got {shown(value['keep'])}")
  asked = value.get("verdicts", FAILED)
  if isinstance(asked, (str, Mapping)) or not isinstance(asked, Sequence) or not asked:
    raise BadInput(f"{what} expected as verdicts a list of names, got {shown(asked)}")
  known = [state for state in STATES if state not in ("healthy", "unknown")]
  for name in asked:
    if not isinstance(name, str) or name.replace(" ", "_") not in known:
      raise unknown("verdict to stop by", name, known)
  return tuple(dict.fromkeys(name.replace(" ", "_") for name in asked))


def named(states: Iterable[str]) -> str:
  """`diverged or mode collapse`."""
  return " or ".join(verdicts.LOOKS[state].words for state in states)


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


def quality_of(rules: Rules, columns: Collection[str]) -> Quality:
  """The quality by which draws are ranked, among what is measured. Raises `BadInput` where it is not measured."""
  there = [quality for quality in QUALITIES if quality.metric in columns]
  found = [quality for quality in there if rules.by in ("", quality.metric)]
  if not found:
    choices = ", ".join(quality.metric for quality in there) or "none"
    raise BadInput(
      f"halving() expected as by a quality that this study measures ({choices}), or {VERDICT!r}, got "
      f"{shown(rules.by) if rules.by else 'none'}"
    )
  return found[0]


def measured(halved: Halving, columns: Collection[str] | None) -> None:
  """Raises `BadInput` where the quality by which draws are ranked is none of these columns; None: they are not known yet."""
  if halved.rules and halved.rules.by != VERDICT and columns is not None:
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
  status = runs.read_status(study)["groups"]
  gone: set[str] = set()
  for entry in entries:
    gone |= {run for run, step in status.get(entry["name"], {}).get("stopped", {}).items() if step < until}
  left = [{key: own for key, own in draws.items() if not gone & set(own)} for draws in competing]
  stopping, why = (_by_verdict if rules.by == VERDICT else _by_quality)(study, entries, status, rules, left, until)
  with runs.changed_status(study) as changed:
    for entry in entries:
      own = changed["groups"].setdefault(entry["name"], {})
      now = {member["id"]: until for member in entry["members"] if member["id"] in stopping}
      own.update(stopped={**own.get("stopped", {}), **now}, rung=until)
      own["complete"] = bool(own.get("complete")) or standing.stopped(entry, own)
  others = sum(len(own) for draws in left for own in draws.values()) - len(stopping)
  return f"step {until:,}: {plural(len(stopping), 'run')} stopped {why}, {others:,} go on"


Decision = tuple[set[str], str]  # the runs that stop, and why


def _by_quality(
  study: Path, entries: Sequence[Entry], status: Mapping[str, Any], rules: Rules, left: Sequence[Draws], until: int
) -> Decision:
  tables = {entry["name"]: runs.read_table(study, "quality", entry["name"]) for entry in entries}
  quality = quality_of(rules, [name for table in tables.values() for name in table.columns])
  values: dict[str, float] = {}
  for entry in entries:
    measured = _measured(tables[entry["name"]], quality.metric, until, len(entry["members"]))
    diverged = {run for run, step in status.get(entry["name"], {}).get("diverged", {}).items() if step < until}
    for member, value in zip(entry["members"], measured, strict=True):
      values[member["id"]] = math.nan if member["id"] in diverged else value
  stopping = {run for draws in left for run in contest.worst(draws, values, quality, rules.keep, rules.judges)}
  return stopping, contest.why(left, values, stopping, quality.metric)


def _by_verdict(
  study: Path, entries: Sequence[Entry], status: Mapping[str, Any], rules: Rules, left: Sequence[Draws], until: int
) -> Decision:
  states = {run.id: verdicts.until(run, until).final for run in records.read(study).runs}
  stopping = {run for draws in left for run in contest.failing(draws, states, rules.verdicts)}
  found = Counter(states[run] for run in stopping)
  said = ", ".join(f"{count:,} {verdicts.LOOKS[state].words.partition(':')[0]}" for state, count in found.most_common())
  return stopping, f"for their verdict{f' ({said})' if said else ''}"


def _measured(table: runs.Table, metric: str, step: int, members: int) -> list[float]:
  """A quality of each member at a step; NaN where there is none."""
  at = np.flatnonzero(table.steps == step)
  column = table.columns.get(metric)
  return [math.nan] * members if column is None or not len(at) else [float(x) for x in column[at[0]]]
