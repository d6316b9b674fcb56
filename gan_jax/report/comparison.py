"""A panel as a table of variants: the numbers that the page and the terminal both show, each computed once."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.report import statistics, verdicts
from gan_jax.report.records import Panel, Run, Variant, baseline, final
from gan_jax.report.statistics import Decades, Estimate, Paired
from gan_jax.verdict import Verdict


class Quality(NamedTuple):
  """A measure of sample quality that variants may be ranked by."""

  metric: str
  title: str
  sign: int  # 1: low is good; -1: high is good
  log: bool  # positive and spread over decades: log axis, and differences as ratios too


# The first that a panel has is what its variants are ranked by.
QUALITIES = (
  Quality("frechet/distance", "Fréchet distance", 1, True),
  Quality("line/wasserstein", "Wasserstein distance", 1, True),
  Quality("modes/reverse_kl", "reverse KL", 1, True),
  Quality("modes/covered", "modes covered", -1, False),
)
# Further columns of the table, where a panel has them: (metric, heading).
COLUMNS = (
  ("classes/present", "classes present"),
  ("modes/covered", "modes covered"),
  ("modes/high_quality", "high quality"),
  ("disc/auc", "AUC"),
  ("disc/accuracy", "accuracy"),
  ("disc/accuracy_real", "accuracy on real"),
  ("disc/accuracy_fake", "accuracy on fake"),
)


class Row(NamedTuple):
  """One variant's numbers, over its runs that did not diverge; and the verdicts on all of them."""

  place: int  # of the variant in its panel
  variant: Variant
  statuses: Counter[str]
  finals: dict[str, Estimate]  # by metric
  best: Estimate | None  # the best value that each run reached, however its end
  best_step: int
  difference: Paired | None  # of the final quality from the baseline's
  ratio: Paired | None
  is_baseline: bool
  decades: Decades | None
  verdicts: tuple[Verdict, ...]  # by run, in the variant's order


class Comparison(NamedTuple):
  panel: Panel
  quality: Quality | None
  columns: tuple[tuple[str, str], ...]
  rows: tuple[Row, ...]  # best first


def compare(panel: Panel) -> Comparison:
  """The table of a panel, ranked by final quality; variants without one last, in the order of the study."""
  present = {name for v in panel.variants for run in v.runs for name in (*run.rows.columns, *run.quality.columns)}
  quality = next((q for q in QUALITIES if q.metric in present), None)
  columns = tuple(c for c in COLUMNS if c[0] in present and (quality is None or c[0] != quality.metric))
  rows = [_row(panel, index, quality, columns) for index in range(len(panel.variants))]
  if quality is not None:
    metric, sign = quality.metric, quality.sign
    rows.sort(key=lambda row: np.nan_to_num(sign * row.finals[metric].mean, nan=np.inf))
  return Comparison(panel, quality, columns, tuple(rows))


def _row(panel: Panel, index: int, quality: Quality | None, columns: Sequence[tuple[str, str]]) -> Row:
  variant = panel.variants[index]
  names = [name for name, _ in columns] + ([quality.metric] if quality else [])
  reference = baseline(panel, variant)
  difference = ratio = best = None
  best_step = 0
  if quality is not None:
    best, best_step = _best(variant.counted, quality)
    if reference is not None and reference is not variant:
      ours, theirs = _by_seed(variant, reference, quality.metric)
      difference = statistics.paired(ours, theirs)
      ratio = statistics.paired_ratio(ours, theirs) if quality.log else None
  changes = [statistics.decades(run.rows.steps, run.rows.columns) for run in variant.counted]
  return Row(
    index,
    variant,
    Counter(run.status for run in variant.runs),
    {name: statistics.estimate([final(run, name) for run in variant.counted]) for name in names},
    best,
    best_step,
    difference,
    ratio,
    reference is variant,
    statistics.mean_decades([d for d in changes if d is not None]),
    tuple(verdicts.of(run) for run in variant.runs),
  )


def _by_seed(variant: Variant, reference: Variant, metric: str) -> tuple[dict[int, float], dict[int, float]]:
  """The final values of both, of the seeds for which both were last measured at the same step."""

  def measured(v: Variant) -> dict[int, tuple[int, float]]:
    return {run.seed: (int(run.quality.steps[-1]), final(run, metric)) for run in v.counted if len(run.quality.steps)}

  ours, theirs = measured(variant), measured(reference)
  seeds = [s for s in ours if s in theirs and ours[s][0] == theirs[s][0]]
  return {s: ours[s][1] for s in seeds}, {s: theirs[s][1] for s in seeds}


def _best(counted: tuple[Run, ...], quality: Quality) -> tuple[Estimate | None, int]:
  """(the best values, the median of the steps where they were reached)."""
  found = []
  for run in counted:
    values = quality.sign * np.asarray(run.quality.columns.get(quality.metric, ()), np.float64)
    if np.isfinite(values).any():
      at = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
      found.append((quality.sign * values[at], int(run.quality.steps[at])))
  if not found:
    return None, 0
  return statistics.estimate([value for value, _ in found]), int(np.median([step for _, step in found]))
