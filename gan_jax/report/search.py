"""A random search: which fields were drawn at random, what is compared, and how each compared setting did over its draws.

A study may say which fields are *drawn* and which, usually the loss, are *compared* (`settings/roles.py`). If it does
not, a panel is a search if some numeric fields differ between variants with (nearly) no repetition: such a field counts
as drawn. A product of a few values, or one axis with the same values for every loss, is a grid instead: its variants
are compared one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln

from gan_jax.report import statistics
from gan_jax.report.comparison import Quality, learnt, quality_of
from gan_jax.report.records import Panel, Run, Variant, final
from gan_jax.report.searches import Winners, trained, winners
from gan_jax.settings import labels
from gan_jax.settings.labels import label, shortened

FRESH = 0.9  # least share of distinct values of a drawn field, among variants that are alike otherwise
FEWEST, FEWEST_OF_ONE = 4, 8  # least draws of each compared setting: if several fields are drawn, if one is
SHARED = 12  # least values of an axis common to all from which it is a search and not a grid
LARGEST = 256  # k of the best of k
SEEDS = 1.5  # runs per draw from which as many draws are needed as for one field


class Entry(NamedTuple):
  """One compared setting, over its draws.

  A run that diverged, did not halve its distance or has no finite last value counts with its untrained quality.
  """

  label: str
  loss: str
  draws: tuple[Variant, ...]
  values: np.ndarray  # [n] final quality of each draw, the best first
  runs: int
  learnt: int  # runs whose quality improved by a factor of two
  best: Variant
  settings: str  # of the best draw
  quartiles: tuple[float, float, float]
  expected: np.ndarray  # [n]: the best of k draws, on average (geometric for a positive quality), k = 1 .. n
  wins: float  # chance that a draw of it beats one of the baseline's; NaN for the baseline itself
  p: float  # of a chance of one half (Mann-Whitney), with Holm's correction over the entries; NaN for the baseline

  @property
  def certain(self) -> bool:
    return self.p < 1 - statistics.CONFIDENCE


class Search(NamedTuple):
  drawn: tuple[str, ...]
  compared: tuple[str, ...]
  quality: Quality
  baseline: str  # the label of an entry
  entries: tuple[Entry, ...]  # by median, the best first
  winners: Winners | None = None  # after halving with judges: what each search of each entry chose, in their order


def drawn_text(value: Any) -> str:
  """A drawn value for a reader: a number to three digits, anything else as it is."""
  return f"{value:.3g}" if type(value) in (int, float) else str(value)


def search(panel: Panel) -> Search | None:
  """The panel as a comparison over draws; None where it is no search, nothing has been measured, or halving stopped runs.

  How a stopped draw would have ended is not known. That it was worse than those that went on is no value to count with.
  Where halving kept some runs out of the choice, though, they judge what each search chose: then `winners` is given.
  """
  stopped = any(run.status == "stopped" for variant in panel.variants for run in variant.runs)
  if stopped and not panel.halving.get("judges"):
    return None
  configs = [flatten(variant.config) for variant in panel.variants]
  if panel.roles:
    fields = [name for name in panel.roles["drawn"] if name in varying(configs)]
  else:
    fields = drawn_fields(configs, sum(len(v.runs) for v in panel.variants) / len(panel.variants))
  if not fields:
    return None
  present = {name for v in panel.variants for run in v.runs for name in run.quality.columns}
  quality = quality_of(present)
  if quality is None:
    return None
  compared = [name for name in varying(configs) if name not in (*fields, *panel.roles.get("repeated", ()))]
  groups: dict[str, list[int]] = defaultdict(list)
  for i, config in enumerate(configs):
    groups[label({name: config.get(name) for name in compared or ["loss"]}, compared)].append(i)
  groups = dict(zip(shortened(list(groups)), groups.values(), strict=True))
  worst = _worst(panel, quality)
  if not np.isfinite(worst):  # no run has a quality yet
    return None
  if stopped:
    return _halved(
      panel, {name: [panel.variants[i] for i in at] for name, at in groups.items()}, fields, compared, quality
    )
  found = [_entry(name, [panel.variants[i] for i in at], fields, quality, worst) for name, at in groups.items()]
  wanted = panel.variants[0].config.get("baseline", "")
  reference = next((e for e in found if wanted in (e.label, e.loss)), found[0])
  found = _against(found, reference, quality)
  found.sort(key=lambda entry: quality.sign * entry.quartiles[1])
  return Search(tuple(fields), tuple(compared), quality, reference.label, tuple(found))


def _halved(
  panel: Panel, groups: Mapping[str, list[Variant]], fields: Sequence[str], compared: Sequence[str], quality: Quality
) -> Search | None:
  """A search of which halving stopped draws. Its entries have the draws that were trained on, and are in no order."""
  runs = [run for own in groups.values() for variant in own for run in variant.runs]
  start = untrained(runs, quality)
  log = quality.log and all(settled(run, quality, start) > 0 for run in runs)
  found = winners(
    list(groups.values()),
    panel.roles.get("drawn", ()),
    panel.halving,
    lambda run: settled(run, quality, start),
    lambda x: np.log(x) if log else quality.sign * x,
  )
  if found is None or not np.isfinite(start):
    return None
  judges, entries = found.values.shape[-1], []
  for (name, own), chosen in zip(groups.items(), found.runs, strict=True):
    left = [variant for variant in own if trained(variant.runs)] or own
    judging = [run for each in chosen for run in each[-judges:]]
    learning = sum(run.status != "diverged" and learnt(run, quality) for run in judging)
    entries.append(_entry(name, left, fields, quality, start)._replace(runs=len(judging), learnt=learning))
  wanted = panel.variants[0].config.get("baseline", "")
  reference = next((e for e in entries if wanted in (e.label, e.loss)), entries[0])
  return Search(tuple(fields), tuple(compared), quality, reference.label, tuple(entries), found)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
  """A config with the entries of its dicts as fields, `loss_options.alpha`, and without unset fields."""
  flat = labels.flatten(labels.without(config, *labels.UNSAID, "verdict"))
  return {name: value for name, value in flat.items() if value is not None}


def varying(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  names = dict.fromkeys(name for config in configs for name in config)
  return [name for name in names if any(c.get(name) != configs[0].get(name) for c in configs)]


def drawn_fields(configs: Sequence[Mapping[str, Any]], runs_per_variant: float) -> list[str]:
  """The numeric fields that were drawn; empty where the configs are no search. See the module's docstring.

  If another field is drawn, a number with repeated values (`n_critic`) counts as drawn too, unless each of its values
  has equally many draws: then it is compared.
  """
  names = varying(configs)
  numeric = [n for n in names if all(_is_number(c[n]) for c in configs if n in c)]
  groups = _groups(configs, [n for n in names if n not in numeric])
  size = float(np.median([len(group) for group in groups]))
  fresh = [n for n in numeric if _fresh_share(groups, n) >= FRESH]
  if not fresh or size < FEWEST:
    return []
  if (len(fresh) == 1 or runs_per_variant >= SEEDS) and size < FEWEST_OF_ONE:
    return []
  if len(fresh) == 1:
    values = [frozenset(c.get(fresh[0]) for c in group) for group in groups]
    if runs_per_variant >= SEEDS or (len(set(values)) == 1 and len(values[0]) < SHARED):
      return []
  balanced = [n for n in numeric if n not in fresh and all(_balanced(group, n) for group in groups)]
  return [n for n in numeric if n not in balanced]


def _is_number(value: Any) -> bool:
  return isinstance(value, (int, float)) and not isinstance(value, bool)


def _groups(configs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[list[Mapping[str, Any]]]:
  groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
  for config in configs:
    groups[repr([config.get(name) for name in names])].append(config)
  return list(groups.values())


def _fresh_share(groups: Sequence[Sequence[Mapping[str, Any]]], name: str) -> float:
  """Distinct values over variants, within groups that have the field."""
  there = [[c[name] for c in group if name in c] for group in groups]
  there = [values for values in there if len(set(values)) > 1]  # an option at its default is not drawn
  return sum(len(set(v)) for v in there) / sum(len(v) for v in there) if there else 0.0


def _balanced(group: Sequence[Mapping[str, Any]], name: str) -> bool:
  return len(set(Counter(c.get(name) for c in group).values())) == 1


def untrained(runs: Sequence[Run], quality: Quality) -> float:
  """The median first measurement of these runs; NaN where there is none."""
  columns = [run.quality.columns.get(quality.metric, np.zeros(0)) for run in runs]
  first = [float(column[0]) for column in columns if len(column) and np.isfinite(column[0])]
  return float(np.median(first)) if first else float("nan")


def settled(run: Run, quality: Quality, start: float) -> float:
  """A run's final quality; the untrained one, `start`, if it diverged, or ended worse."""
  value = final(run, quality.metric) if run.status != "diverged" else float("nan")
  return quality.sign * min(quality.sign * value, quality.sign * start) if np.isfinite(value) else start


def _worst(panel: Panel, quality: Quality) -> float:
  """The quality that a failed draw counts with: the untrained one, or the worst final one if that is worse."""
  first = untrained([run for v in panel.variants for run in v.runs], quality)
  last = [final(run, quality.metric) for v in panel.variants for run in v.counted]
  finite = [quality.sign * x for x in (first, *last) if np.isfinite(x)]
  return quality.sign * max(finite) if finite else float("nan")


def _entry(name: str, draws: list[Variant], fields: Sequence[str], quality: Quality, worst: float) -> Entry:
  def value(draw: Variant) -> float:
    found = statistics.estimate([final(run, quality.metric) for run in draw.counted], quality.log).mean
    return found if np.isfinite(found) else worst

  order = sorted(draws, key=lambda draw: quality.sign * value(draw))
  values = np.asarray([value(draw) for draw in order])
  config = flatten(order[0].config)
  low, middle, high = (float(x) for x in np.quantile(values, (0.25, 0.5, 0.75)))
  return Entry(
    name,
    order[0].config["loss"],
    tuple(order),
    values,
    sum(len(draw.runs) for draw in draws),
    sum(learnt(run, quality) for draw in draws for run in draw.counted),
    order[0],
    ", ".join(f"{field}={drawn_text(config[field])}" for field in fields if field in config),
    (low, middle, high),
    expected_best(values, quality),
    float("nan"),
    float("nan"),
  )


def expected_best(values: np.ndarray, quality: Quality) -> np.ndarray:
  """[n]: the expected best of k of these n draws, k = 1 .. n; for positive qualities as a geometric mean.

  The i-th best (from 0) is the best of k with probability C(n - 1 - i, k - 1) / C(n, k). Values come best first; of
  more than `LARGEST` draws k ends there. Source: Dodge et al. 2019 (arXiv:1909.03004), there with replacement.
  """
  n, log = len(values), quality.log and bool((values > 0).all())
  k, below = np.arange(1, min(n, LARGEST) + 1)[:, None], (n - 1 - np.arange(n))[None, :]
  with np.errstate(invalid="ignore"):
    chances = np.where(below >= k - 1, np.exp(_log_choose(below, k - 1) - _log_choose(np.asarray(n), k)), 0.0)
  mean = chances @ (np.log(values) if log else values)
  return np.exp(mean) if log else mean


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
  return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(np.maximum(n - k, 0) + 1.0)


def _against(found: list[Entry], reference: Entry, quality: Quality) -> list[Entry]:
  from scipy.stats import mannwhitneyu  # half a second, which no other command need wait for

  others = [entry for entry in found if entry is not reference]
  wins, p_values = [], []
  for entry in others:
    ours, theirs = (-quality.sign * e.values for e in (entry, reference))
    test = mannwhitneyu(ours, theirs)
    wins.append(float(test.statistic) / (len(ours) * len(theirs)))
    p_values.append(float(test.pvalue))
  corrected = statistics.adjust(p_values)
  return [reference, *(e._replace(wins=w, p=p) for e, w, p in zip(others, wins, corrected, strict=True))]
