"""A panel as a table of variants: the numbers that the page and the terminal show."""

from collections import Counter
from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.report import statistics, verdicts
from gan_jax.report.records import Panel, Run, Variant, baselines, final
from gan_jax.report.statistics import Decades, Estimate, Paired
from gan_jax.verdict import Verdict


class Quality(NamedTuple):
  """A measure of sample quality that variants may be ranked by."""

  metric: str
  title: str
  sign: int  # 1: low is good; -1: high is good
  log: bool  # positive and spread over decades: log axis, and ratios instead of differences


# A panel's variants are ranked by the first of these that it has.
QUALITIES = (
  Quality("inception/fid", "FID", 1, True),
  Quality("inception/kid", "KID", 1, True),
  Quality("lite0/frechet", "Fréchet distance (Lite0)", 1, True),
  Quality("lite0/kid", "KID (Lite0)", 1, True),
  Quality("frechet/distance", "Fréchet distance", 1, True),
  Quality("classifier/frechet", "Fréchet distance", 1, True),
  Quality("classifier/kid", "KID (classifier)", 1, True),
  Quality("line/wasserstein", "Wasserstein distance", 1, True),
  Quality("modes/reverse_kl", "reverse KL", 1, True),
  Quality("modes/covered", "modes covered", -1, False),
)
# Further columns of the table, if the panel has them: (metric, heading).
COLUMNS = (
  ("classes/present", "classes present"),
  ("modes/covered", "modes covered"),
  ("modes/high_quality", "high quality"),
  ("disc/auc", "AUC"),
  ("disc/accuracy", "accuracy"),
  ("disc/accuracy_real", "accuracy on real"),
  ("disc/accuracy_fake", "accuracy on fake"),
)


LEARNT = 2.0  # a run whose distance did not fall by this factor since its first measurement has failed


class Row(NamedTuple):
  """The numbers of one variant, over its runs that did not diverge, and the verdicts on all its runs.

  The final quality and its comparison are over the runs that learnt, or over all runs that did not diverge where none
  learnt. Runs that did not learn are counted in `failed`.
  """

  place: int  # of the variant in its panel
  variant: Variant
  statuses: Counter[str]
  failed: int  # runs that did not diverge and did not halve the distance, or whose last value is not finite
  lost: int  # those of `failed` whose last value is not finite
  finals: dict[str, Estimate]  # by metric
  best: Estimate | None  # the best value that each run reached at any step
  best_step: int
  versus: (
    Paired | None
  )  # the final quality compared with the baseline's: a ratio where it is positive, else a difference
  baseline: Variant | None
  decades: Decades | None
  verdicts: tuple[Verdict, ...]  # by run, in the variant's order

  @property
  def is_baseline(self) -> bool:
    return self.baseline is self.variant

  @property
  def stopped(self) -> float:
    """1 less the share of the steps that were trained, where halving stopped all runs that did not diverge; else 0."""
    stopped = self.statuses["stopped"]
    if not stopped or stopped + self.statuses["diverged"] < len(self.variant.runs):
      return 0.0
    return 1 - max(run.last_step / run.config["steps"] for run in self.variant.runs)

  @property
  def mostly_failed(self) -> bool:
    return 2 * (self.failed + self.statuses["diverged"]) > len(self.variant.runs)


class Comparison(NamedTuple):
  panel: Panel
  quality: Quality | None
  columns: tuple[tuple[str, str], ...]
  rows: tuple[Row, ...]  # best first

  @property
  def baseline(self) -> str:
    """The label of the baseline, or the loss of all baselines; '' where nothing is compared."""
    labels = {row.baseline.label: row.baseline.config["loss"] for row in self.rows if row.baseline is not None}
    losses = set(labels.values())
    return next(iter(labels)) if len(labels) == 1 else "/".join(sorted(losses))

  @property
  def no_baseline(self) -> str:
    """The baseline that the study names, if no variant of this panel has that name; else ''."""
    there = {name for row in self.rows for name in (row.variant.label, row.variant.config["loss"])}
    return next((name for row in self.rows if (name := row.variant.config.get("baseline", "")) not in ("", *there)), "")

  @property
  def family(self) -> int:
    """The number of comparisons with a baseline, for which p is corrected."""
    return sum(row.versus is not None and row.versus.n > 1 for row in self.rows)


def compare(panel: Panel, paired: bool = True) -> Comparison:
  """The table of a panel, ranked by final quality; variants whose runs mostly failed, or that have no quality, come last.

  Without `paired` nothing is compared with a baseline: for variants that were selected as the best of many. So it is where
  halving stopped runs, which count in no number; variants all of whose runs were stopped come last, the longest first.
  """
  paired = paired and not any(run.status == "stopped" for v in panel.variants for run in v.runs)
  present = {name for v in panel.variants for run in v.runs for name in (*run.rows.columns, *run.quality.columns)}
  quality = quality_of(present)
  columns = [c for c in COLUMNS if c[0] in present and (quality is None or c[0] != quality.metric)]
  if quality is not None and f"raw/{quality.metric}" in present:
    columns.insert(0, (f"raw/{quality.metric}", "raw: weights not averaged"))
  references = _compared_with(panel) if paired else [None] * len(panel.variants)
  rows = [_row(panel, index, references[index], quality, columns) for index in range(len(panel.variants))]
  corrected = statistics.holm([row.versus for row in rows])
  rows = [row._replace(versus=versus) for row, versus in zip(rows, corrected, strict=True)]
  if quality is not None:
    metric, sign = quality.metric, quality.sign
    mean = lambda row: np.nan_to_num(sign * row.finals[metric].mean, nan=np.inf)  # noqa: E731
    rows.sort(key=lambda row: (row.stopped, row.mostly_failed, mean(row)))
  known = tuple(c for c in columns if any(row.finals[c[0]].n for row in rows))
  return Comparison(panel, quality, known, tuple(rows))


def _compared_with(panel: Panel) -> list[Variant | None]:
  """`records.baselines`, without those that no other variant is compared with."""
  found = baselines(panel)
  used = {id(one) for variant, one in zip(panel.variants, found, strict=True) if one is not variant}
  return [
    one if one is not variant or id(one) in used else None for variant, one in zip(panel.variants, found, strict=True)
  ]


def quality_of(metrics: Container[str]) -> Quality | None:
  """The measure that ranks: the first of `QUALITIES` that is among these metrics; None where none is."""
  return next((quality for quality in QUALITIES if quality.metric in metrics), None)


def last_value(run: Run) -> tuple[str, float] | None:
  """(title of the quality that ranks, its last value) of one run; None where it has none."""
  found = quality_of(run.quality.columns)
  return None if found is None else (found.title, final(run, found.metric))


def learnt(run: Run, quality: Quality | None) -> bool:
  """Whether a positive quality improved by a factor of two since its first measurement (or since its worst one, if the first
  is not finite). False if the last one is not finite; True for a run that was measured once, which may still learn, and
  for one that began with a trained state (a fork's).
  """
  if quality is None or not quality.log:
    return True
  values = np.asarray(run.quality.columns.get(quality.metric, ()), np.float64)
  if len(values) < 2 or not np.isfinite(values).any():
    return len(values) < 2
  if run.quality.steps[0] > 0:
    return bool(np.isfinite(values[-1]))
  before = values[0] if np.isfinite(values[0]) else np.nanmax(np.where(np.isfinite(values), values, np.nan))
  return bool(values[-1] <= before / LEARNT)


def possible(metric: str) -> tuple[float, float]:
  """The smallest and the largest value that a column of the table can have."""
  if metric.startswith("disc/") or metric == "modes/high_quality":
    return 0.0, 1.0
  return (0.0, np.inf) if metric in dict(COLUMNS) else statistics.ALL


def _learners(variant: Variant, quality: Quality | None) -> tuple[Run, ...]:
  return tuple(run for run in variant.counted if learnt(run, quality)) or variant.counted


def _row(
  panel: Panel, index: int, reference: Variant | None, quality: Quality | None, columns: Sequence[tuple[str, str]]
) -> Row:
  variant = panel.variants[index]
  versus = best = None
  best_step = 0
  learners = _learners(variant, quality)
  finals = {
    name: statistics.estimate([final(run, name) for run in variant.counted], within=possible(name))
    for name, _ in columns
  }
  if quality is not None:
    for name in (quality.metric, f"raw/{quality.metric}"):
      finals[name] = statistics.estimate([final(run, name) for run in learners], quality.log)
    best, best_step = _best(learners, quality)
    if reference is not None and reference is not variant:
      ours, theirs = _by_seed(learners, _learners(reference, quality), quality.metric)
      versus = (statistics.paired_ratio if quality.log else statistics.paired)(ours, theirs)
  changes = [statistics.decades(run.rows.steps, run.rows.columns) for run in variant.counted]
  failed = [run for run in variant.counted if not learnt(run, quality)]
  return Row(
    index,
    variant,
    Counter(run.status for run in variant.runs),
    len(failed),
    sum(quality is not None and not np.isfinite(final(run, quality.metric)) for run in failed),
    finals,
    best,
    best_step,
    versus,
    reference,
    statistics.mean_decades([d for d in changes if d is not None]),
    tuple(verdicts.of(run) for run in variant.runs),
  )


def _by_seed(ours: Sequence[Run], theirs: Sequence[Run], metric: str) -> tuple[dict[int, float], dict[int, float]]:
  """The final values of both sides, for the seeds at which both were last measured at the same step."""
  mine, other = (
    {run.seed: (int(run.quality.steps[-1]), final(run, metric)) for run in side if len(run.quality.steps)}
    for side in (ours, theirs)
  )
  seeds = [s for s in mine if s in other and mine[s][0] == other[s][0]]
  return {s: mine[s][1] for s in seeds}, {s: other[s][1] for s in seeds}


def _best(counted: tuple[Run, ...], quality: Quality) -> tuple[Estimate | None, int]:
  """(estimate of the best values, median of the steps at which they were reached)."""
  found = []
  for run in counted:
    values = quality.sign * np.asarray(run.quality.columns.get(quality.metric, ()), np.float64)
    if np.isfinite(values).any():
      at = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
      found.append((quality.sign * values[at], int(run.quality.steps[at])))
  if not found:
    return None, 0
  best = statistics.estimate([value for value, _ in found], quality.log)
  return best, int(np.median([step for _, step in found]))
