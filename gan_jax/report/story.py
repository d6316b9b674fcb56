"""A panel in a paragraph of plain words: what was compared, on what, who won and how sure, what died and why.

It is made of the same numbers as the tables, and says no more than their tests do: variants are compared with the
baseline and not with one another, a difference is named only where the test is sure of it, and the others are ties.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan_jax.core.errors import plural
from gan_jax.report import selection, statistics, verdicts, wording
from gan_jax.report.comparison import Comparison, Row
from gan_jax.report.records import Panel, Run
from gan_jax.report.search import Search
from gan_jax.settings import labels

# Why a gradient vanished, by the factor that fell most.
WHY = {
  "loss": "the loss itself has hardly any slope at the logits that the discriminator gave its images",
  "critic": "the discriminator's logits hardly changed with the images",
  "generator": "the generator's images hardly changed with its weights",
}
LONGEST, FIRST = 260, 3  # characters of a list; names of a longer one
RECOVERED, PARTLY = 0.3, 0.5  # decades: so near to the first value, or so much above the lowest


def story(comparison: Comparison) -> list[str]:
  """The paragraph of a panel whose variants are compared over seeds, as sentences."""
  said = [compared(comparison.panel), *_judged(comparison), *_died(comparison)]
  return [sentence for sentence in said if sentence]


def compared(panel: Panel) -> str:
  """What was compared, on what: `7 losses were compared on the data digits: 35 runs of mlp networks, 5 seeds each ...`."""
  fields = labels.varying([variant.config for variant in panel.variants])
  count = len(panel.variants)
  if count == 1:
    what = f"One variant was trained, {panel.variants[0].label},"
  elif fields == ["loss"]:
    what = f"{count:,} losses were compared"
  else:
    what = f"{count:,} variants were compared, which differ in {_and(fields)},"
  seeds = {len(variant.runs) for variant in panel.variants}
  each = f"{plural(next(iter(seeds)), 'seed')} each" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)} seeds each"
  return _in_common(panel, what, each)


def search_story(panel: Panel, found: Search, said: Sequence[str]) -> list[str]:
  """The paragraph of a panel whose settings were tuned: its findings, without those of single settings."""
  draws = [found.winners.draws if found.winners else len(entry.draws) for entry in found.entries]
  return [tuned(panel, found.compared, draws), *(sentence for sentence in said if sentence not in details(said))]


def details(said: Sequence[str]) -> list[str]:
  """The findings that are told on demand: which number matters within a single setting."""
  return [sentence for sentence in said if sentence.startswith("Within a single")]


def tuned(panel: Panel, compared: Sequence[str], draws: Sequence[int]) -> str:
  """The same of settings that were tuned: `16 losses were compared, each with 16 draws of its rates ...`.

  Args: the panel; the fields that are compared; the number of draws of each setting.
  """
  count = len(draws)
  each = f"{plural(min(draws), 'draw')} each" if len(set(draws)) == 1 else f"{min(draws)} to {max(draws)} draws each"
  things = "losses" if tuple(compared) == ("loss",) else "settings"
  what = f"{count:,} {things} were tuned and compared" if count > 1 else "One setting was tuned"
  return _in_common(panel, what, each)


def _in_common(panel: Panel, what: str, each: str) -> str:
  members = [run for variant in panel.variants for run in variant.runs]
  how = [plural(len(members), "run"), each] if len(members) > 1 else ["one run"]
  how += _shared(members, "steps", lambda steps: f"{steps:,} steps")
  how += _shared(members, "conditional", lambda given: "with the class given" if given else "")
  how += _shared(members, "penalty", lambda name: f"penalty {name}" if name != "none" else "no penalty")
  how += _shared(members, "head_start", lambda steps: f"a head start of {steps:,} steps" if steps else "")
  data = _shared(members, "dataset", lambda name: f" on the data {name}")
  model = _shared(members, "model", lambda name: f" with {name} networks")
  return f"{what}{''.join(data)}{''.join(model)}: {', '.join(filter(None, how))}."


def _shared(members: Sequence[Run], name: str, said: Callable[[Any], str]) -> list[str]:
  """[what is said of a field's value], where all runs have the same one."""
  values = {run.config.get(name) for run in members}
  value = next(iter(values)) if len(values) == 1 else None
  return [said(value)] if value is not None else []


def _judged(comparison: Comparison) -> list[str]:
  """The measure of quality, and the order that it gives."""
  quality = comparison.quality
  if all(row.statuses["diverged"] == len(row.variant.runs) for row in comparison.rows):
    first = min(run.last_step for row in comparison.rows for run in row.variant.runs)
    return [f"Every run diverged (the first at step {first:,}), so nothing can be compared."]
  ranked = [row for row in comparison.rows if quality and row.finals[quality.metric].n]
  if not ranked and any(row.lost for row in comparison.rows):
    return ["No run that did not diverge has a finite value at the end, so none is said to be best."]
  if quality is None or not ranked:
    return ["How good the samples are has not been measured, so none is said to be best."]
  runs = [run for row in comparison.rows for run in row.variant.runs]
  unfinished = any(run.status in ("unfinished", "waiting") for run in runs)
  if unfinished and not any(len(run.quality.steps) and run.quality.steps[-1] for run in runs):
    return ["The training has just begun: how good the samples are has not been measured since."]
  start = _start(comparison)
  better = "lower" if quality.sign > 0 else "higher"
  when = "as it was last measured, for they are not finished" if unfinished else "at the end"
  said = [f"They are judged by {quality.title} {when}; {better} is better{start}."]
  if len(comparison.rows) == 1:
    return [f"It ends with a {quality.title} of {_value(ranked[0], comparison)}; {better} is better{start}."]
  tested = [row for row in ranked if row.versus is not None and row.versus.n > 1]
  if not tested:
    return [*said, _untested(ranked, comparison)]
  untested = [row.variant.label for row in comparison.rows if row not in tested and not row.is_baseline]
  left = [f"Too few seeds learnt to compare {_and(untested)}."] if untested else []
  return [*said, _first(ranked[0], comparison), *_against(tested, ranked[0], comparison), *left]


def _start(comparison: Comparison) -> str:
  """`, and it was 472 before the training`."""
  assert comparison.quality is not None
  metric, log = comparison.quality.metric, comparison.quality.log
  runs = [run for row in comparison.rows for run in row.variant.runs]
  first = [
    float(run.quality.columns[metric][0])
    for run in runs
    if len(run.quality.columns.get(metric, ())) and run.quality.steps[0] == 0
  ]
  before = statistics.estimate(first, log).mean if first else math.nan
  return f", and it was {wording.number(before)} before the training" if np.isfinite(before) else ""


def _value(row: Row, comparison: Comparison) -> str:
  assert comparison.quality is not None
  return wording.plus_minus(row.finals[comparison.quality.metric])


def _untested(ranked: Sequence[Row], comparison: Comparison) -> str:
  assert comparison.quality is not None
  metric = comparison.quality.metric
  order = _and([f"{row.variant.label} ({wording.number(row.finals[metric].mean)})" for row in ranked])
  if any(row.statuses["stopped"] for row in comparison.rows):
    why = "What halving let go on was selected, so nothing was tested and no winner is named"
  elif max(len(row.variant.runs) for row in ranked) == 1:
    why = "Each has one run, so it cannot be said whether a difference is chance: no winner is named"
  elif comparison.no_baseline:
    why = f"The baseline {comparison.no_baseline} is not among them, so nothing was tested and no winner is named"
  else:
    why = "Nothing could be compared seed by seed with a baseline, so no winner is named"
  split = len({row.mostly_failed for row in ranked}) > 1
  return f"{why}. Best first{', those that hardly learnt last' if split else ''}: {order}."


def _first(best: Row, comparison: Comparison) -> str:
  word = "lowest" if comparison.quality and comparison.quality.sign > 0 else "highest"
  ends = f"{best.variant.label} ends {word}, at {_value(best, comparison)}"
  if best.is_baseline:
    return f"{ends}; it is the baseline that the others are compared with."
  base = _base(comparison)
  if best.versus is None or best.versus.n < 2:
    return f"{ends}; it was not compared with {base}, so it is not said to have won."
  if not best.versus.certain:
    return f"{ends}, but that may be chance: it is not told apart from {base}, so no winner is named."
  # A variant can be surely worse than the baseline and yet come first: where most of the baseline's runs failed.
  return f"{ends}, surely {_side(best)} than {base} ({_size(best)})."


def _base(comparison: Comparison) -> str:
  several = len({id(row.baseline) for row in comparison.rows if row.baseline is not None}) > 1
  return f"the baseline {comparison.baseline}{' (all else being equal)' if several else ''}"


def _side(row: Row) -> str:
  assert row.versus is not None
  low = row.versus.mean < (1 if row.versus.log else 0)
  return "lower" if low else "higher"


def _size(row: Row) -> str:
  """`1.79 [1.51, 2.12] times`, a ratio; or `differs by −1.2 [−2, −0.4]`."""
  assert row.versus is not None
  return f"{wording.interval(row.versus)} times" if row.versus.log else f"differs by {wording.interval(row.versus)}"


def _against(tested: Sequence[Row], best: Row, comparison: Comparison) -> list[str]:
  """The others by what the test says of each against the baseline: surely better, not told apart, surely worse."""
  assert comparison.quality is not None
  good = "lower" if comparison.quality.sign > 0 else "higher"
  others = [row for row in tested if row is not best and row.versus is not None]
  sure = [row for row in others if row.versus and row.versus.certain]
  tied = [row.variant.label for row in others if row not in sure]
  better, worse = ([row for row in sure if (_side(row) == good) is wanted] for wanted in (True, False))
  base = "it" if best.is_baseline else _base(comparison)
  undecided = best.is_baseline or (best.versus is not None and not best.versus.certain)
  also = "" if undecided else " too"
  said = [f"Surely better than {base}{also}: {_listed(better)}." if better else ""]
  if tied:
    which = ", so no winner is named" if best.is_baseline else " either" if undecided else ""
    said.append(f"{_and(tied)} {'are' if len(tied) > 1 else 'is'} not told apart from {base}{which}.")
  said.append(f"Surely worse than {base}: {_listed(worse)}." if worse else "")
  if best.is_baseline and len(worse) == len(comparison.rows) - 1:
    said[-1] = f"All others are surely worse: {_listed(worse)}."
  if better and not undecided:
    said.append("Whether one that beats the baseline also beats another that does was not tested.")
  if tied or (undecided and not best.is_baseline):
    said.append("A tie is no proof of equality; the intervals in the table say how large a difference may be.")
  return said


def _and(names: Sequence[str]) -> str:
  """`a, b and c`; names with commas are parted by semicolons; of a long list, the first ones and the number of the others."""
  mark = "; " if any(", " in re.sub(r"\[.*?\]", "", name) for name in names) else ", "  # intervals are in brackets
  if len(names) == 1:
    return names[0]
  if len(names) > selection.MOST or sum(map(len, names)) > LONGEST:
    return f"{mark.join(names[:FIRST])}{mark[0] if mark == '; ' else ''} and {plural(len(names) - FIRST, 'other')}"
  return f"{mark.join(names[:-1])}{mark[0] if mark == '; ' else ''} and {names[-1]}"


def _listed(rows: Sequence[Row]) -> str:
  return _and([f"{row.variant.label} ({_size(row)})" for row in rows])


def _died(comparison: Comparison) -> list[str]:
  """Which runs failed, by what sign, and which factor of the gradient was the cause."""
  rows = comparison.rows
  gone, stopped = (
    [
      f"{_share(row.statuses[status], len(row.variant.runs))} of {row.variant.label}"
      for row in rows
      if row.statuses[status]
    ]
    for status in ("diverged", "stopped")
  )
  share = lambda count, row: f"{_share(count, len(row.variant.runs))} of {row.variant.label}"  # noqa: E731
  poor = [share(row.failed - row.lost, row) for row in rows if row.failed > row.lost]
  lost = [share(row.lost, row) for row in rows if row.lost]
  every = all(row.statuses["diverged"] == len(row.variant.runs) for row in rows)
  said = [f"Diverged, and left out of every average: {_and(gone)}." if gone and not every else ""]
  said.append(f"Stopped by halving, and left out of every average: {_and(stopped)}." if stopped else "")
  said.append(f"Hardly learnt (the distance did not halve): {_and(poor)}." if poor else "")
  said.append(f"The last value is not finite: {_and(lost)}." if lost else "")
  said += [_ends(rows)]
  said += _vanished(rows)
  finals = {verdict.final for row in rows for verdict in row.verdicts}
  if not gone and not poor and finals == {"healthy"}:
    some = any(sentence for sentence in said)
    said.append("Every run ended healthy." if some else "No run died: none diverged, and every verdict is healthy.")
  elif finals == {"unknown"}:
    said.append("Too little has been measured to say whether a run died.")
  return said


def _share(count: int, runs: int) -> str:
  if count < runs:
    return f"{count} of {runs} runs"
  return {1: "the run", 2: "both runs"}.get(runs, f"all {runs} runs")


def _ends(rows: Sequence[Row]) -> str:
  """The verdicts that are a failure: `At the end: discriminator dominates: the loss's factor vanished (minimax) ...`."""
  found: dict[str, list[str]] = {}
  for row in rows:
    end = verdicts.majority(row.verdicts)
    if end.state not in ("healthy", "unknown", "diverged"):
      share = "" if end.agree == end.runs else f" in {end.agree} of {end.runs} runs"
      found.setdefault(verdicts.words(end), []).append(f"{row.variant.label}{share}")
  ends = [f"{words} ({_and(who)})" for words, who in found.items()]
  return f"Failed at the end: {'; '.join(ends)}." if ends else ""


def _vanished(rows: Sequence[Row]) -> list[str]:
  """The gradients that vanished at any time, the deepest first, each with its cause and whether it came back."""
  lost = [row for row in rows if row.decades is not None and row.decades.total <= -wording.LOST]
  lost.sort(key=lambda row: row.decades.total if row.decades else 0)
  said = []
  for row in lost[:3]:
    change = row.decades
    assert change is not None
    cause = min(change.factors, key=lambda name: np.nan_to_num(change.factors[name], nan=np.inf))
    back = (
      "by the end it was back"
      if change.end > -RECOVERED
      else "later it came back in part"
      if change.end > change.total + PARTLY
      else "and it stayed small"
    )
    depth = f"to {'less than ' * change.floored}{wording.times(change.total)}"
    said.append(
      f"Under {row.variant.label} the generator's gradient vanished: it fell {depth} its first value, most of all because "
      f"{WHY[cause]}; {back}."
    )
  others = len(lost) - len(said)
  return [*said, f"It vanished under {plural(others, 'other variant')} too." if others else ""]
