"""Statistics of a few seeds: intervals, comparisons with a baseline, bands, and changes in decades.

For a positive, skewed quantity, Student's 95 % interval of the mean of five seeds covers the mean too rarely: 88 % on
exponential data, 82 % on lognormal data, 41 % where one seed in ten ends tenfold worse. Positive quantities are
therefore averaged as logarithms: the geometric mean, and Student's interval on the logarithms as an interval of *the
median seed*. With five seeds it covers the true median in 95 % of normal, exponential and lognormal samples and in 96 %
where one seed in ten fails (the geometric mean of all seeds, failures included, in 95, 93, 95 and 70 %: no interval of
five seeds covers that). `./launch.sh coverage` prints these shares, and `tests/report/test_report.py` checks them.
Logarithms of paired ratios are symmetric where both sides are alike, so Student's t holds for them too.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
TINY = float(np.finfo(np.float32).tiny)  # a float32 that was flushed to zero was smaller than this
ROWS = 5  # successive rows of which the median is taken

FACTORS = {"loss": "factor/loss", "critic": "factor/critic", "generator": "factor/generator"}
TOTAL = "gen/grad_norm"


class Estimate(NamedTuple):
  """A mean over `n` runs and its 95 % interval, NaN for fewer than two; `missing` runs had no finite value."""

  mean: float  # geometric if `log`
  low: float
  high: float
  n: int
  missing: int
  log: bool = False


class Paired(NamedTuple):
  """A mean difference, or ratio if `log`, over the `n` seeds that both have, its 95 % interval, and the p of no difference.

  `p` and the interval are those of this comparison alone. `adjusted` is Holm's p over the `family` of comparisons that
  were made together; before `holm`, each comparison is a family of its own.
  """

  mean: float
  low: float
  high: float
  p: float
  n: int
  log: bool = False
  adjusted: float = float("nan")
  family: int = 1

  @property
  def certain(self) -> bool:
    """Whether the difference is significant at 5 % after the correction for the family."""
    return (self.p if self.family == 1 else self.adjusted) < 1 - CONFIDENCE


class Decades(NamedTuple):
  """log10(lowest / first) of the generator's gradient norm and of its three factors, which add up to it."""

  first: int  # step of the first row with a gradient
  lowest: int  # step at which the gradient was lowest
  total: float
  factors: dict[str, float]  # keys of `FACTORS`
  end: float  # the total change at the end of the run, where the gradient may have recovered
  floored: bool  # something underflowed to zero: the change is at least this large
  n: int  # runs


ALL = (-np.inf, np.inf)


def estimate(values: Sequence[float], log: bool = False, within: tuple[float, float] = ALL) -> Estimate:
  """Mean and Student t-interval: mean +- t(0.975, n - 1) * s / sqrt(n), with the sample deviation s.

  Args:
    values: one per run. Values that are not finite are left out and counted in `missing`.
    log: for positive quantities, use their logarithms: the geometric mean and an interval of the median seed (see the
      module's docstring). If some value is not positive, the plain scale is used.
    within: the smallest and the largest possible mean. The interval ends there: what is cut off cannot be the mean, so
      the rest contains it as often.

  Returns:
    The estimate. One value has no interval; without values there is no mean either.
  """
  x = np.asarray(values, np.float64)
  finite = x[np.isfinite(x)]
  if log and len(finite) and (finite > 0).all():
    centre, half = _interval(np.log(finite))
    with np.errstate(over="ignore"):
      mean, low, high = (float(v) for v in np.exp([centre, centre - half, centre + half]))
    return Estimate(mean, low, high, len(finite), len(x) - len(finite), True)
  mean, half = _interval(finite)
  low, high = (float(np.clip(end, *within)) for end in (mean - half, mean + half))
  return Estimate(mean, low, high, len(finite), len(x) - len(finite))


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Paired | None:
  """values - reference, seed by seed: the paired t-test. None where no seed has a finite value on both sides."""
  seeds = [s for s in values if s in reference and np.isfinite(values[s]) and np.isfinite(reference[s])]
  if not seeds:
    return None
  x = np.asarray([values[s] - reference[s] for s in seeds], np.float64)
  mean, half = _interval(x)
  return Paired(mean, mean - half, mean + half, _p_value(x), len(x))


def paired_ratio(values: Mapping[int, float], reference: Mapping[int, float]) -> Paired | None:
  """values / reference, seed by seed: the geometric mean, with the interval and p of the paired test of the logarithms.

  For positive quantities that spread over decades. None where no seed has a positive value on both sides.
  """
  logs = [{s: float(np.log(v)) for s, v in side.items() if np.isfinite(v) and v > 0} for side in (values, reference)]
  found = paired(*logs)
  if found is None:
    return None
  with np.errstate(over="ignore"):
    mean, low, high = (float(np.exp(v)) for v in found[:3])
  return Paired(mean, low, high, found.p, found.n, True)


def holm(found: Sequence[Paired | None]) -> list[Paired | None]:
  """The same comparisons as one family, their p-values corrected by `adjust`. Those without a p are not in the family."""
  tested = [i for i, one in enumerate(found) if one is not None and np.isfinite(one.p)]
  corrected = list(found)
  for i, p in zip(tested, adjust([one.p for one in found if one is not None and np.isfinite(one.p)]), strict=True):
    one = found[i]
    corrected[i] = one and one._replace(adjusted=p, family=len(tested))
  return corrected


def adjust(p_values: Sequence[float]) -> list[float]:
  """Holm's p-values: the k-th smallest of m times m - k + 1, but not below the previous one and at most 1.

  If those below 5 % are called significant, the chance of even one false call in the family is at most 5 %.
  Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
  """
  adjusted, least = [1.0] * len(p_values), 0.0
  for k, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
    least = max(least, min(1.0, (len(p_values) - k) * p_values[i]))
    adjusted[i] = least
  return adjusted


def band(values: np.ndarray, log: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(centre, lowest, highest) [rows] over runs of values [runs, rows]; the geometric mean for log axes, else the mean.

  NaN at a row where any run has no value: a mean over fewer runs would jump. On log axes a zero counts as the smallest
  normal float32, below which values are flushed to zero; a negative value is NaN.
  """
  x = np.asarray(values, np.float64)
  x = np.where(np.isfinite(x), x, np.nan)
  if log:
    x = np.where(x < 0, np.nan, np.where(x == 0, TINY, x))
    return np.exp(np.log(x).mean(0)), x.min(0), x.max(0)
  return x.mean(0), x.min(0), x.max(0)


def decades(steps: np.ndarray, columns: Mapping[str, np.ndarray]) -> Decades | None:
  """How many decades one run's generator gradient fell at its lowest, factor by factor, and where it ended.

  Changes are from the first row with a positive gradient to the lowest of the medians of five successive rows after it
  (single rows are noisy), and to the median of the last five. A median is a measured row, so all four numbers of a
  change belong to the same two rows, and the logarithms of the three factors add up to that of the norm. None where the
  run has no two such rows, or no factors.
  """
  if not all(name in columns for name in (TOTAL, *FACTORS.values())):
    return None
  total = np.asarray(columns[TOTAL], np.float64)
  usable = np.flatnonzero(np.isfinite(total) & (total >= 0))
  begin = usable[total[usable] > 0]
  if not len(begin) or usable[-1] == begin[0]:
    return None
  first, later = begin[0], usable[usable > begin[0]]
  windows = [later[i : i + ROWS] for i in range(max(1, len(later) - ROWS + 1))]
  medians = [window[np.argsort(total[window], kind="stable")[(len(window) - 1) // 2]] for window in windows]
  lowest, end = min(medians, key=lambda row: total[row]), medians[-1]

  def change(name: str, row: int) -> float:
    before, after = float(columns[name][first]), float(columns[name][row])
    return float(np.log10(after or TINY) - np.log10(before or TINY))

  factors = {factor: change(name, lowest) for factor, name in FACTORS.items()}
  floored = any(columns[name][lowest] == 0 for name in (TOTAL, *FACTORS.values()))
  return Decades(int(steps[first]), int(steps[lowest]), change(TOTAL, lowest), factors, change(TOTAL, end), floored, 1)


def mean_decades(found: Sequence[Decades]) -> Decades | None:
  """The mean over runs, which is the change of the geometric mean; None for no run."""
  if not found:
    return None
  return Decades(
    min(d.first for d in found),
    int(np.median([d.lowest for d in found])),
    float(np.mean([d.total for d in found])),
    {name: float(np.mean([d.factors[name] for d in found])) for name in FACTORS},
    float(np.mean([d.end for d in found])),
    any(d.floored for d in found),
    len(found),
  )


def _interval(x: np.ndarray) -> tuple[float, float]:
  """(mean, half the width of its interval); NaN where there are too few values."""
  if not len(x):
    return float("nan"), float("nan")
  if len(x) == 1:
    return float(x[0]), float("nan")
  t = float(stdtrit(len(x) - 1, 0.5 + CONFIDENCE / 2))
  return float(x.mean()), t * float(x.std(ddof=1)) / len(x) ** 0.5


def _p_value(x: np.ndarray) -> float:
  """Two-sided p of mean zero, by Student's t.

  If all differences are equal (numbers of modes, for example) t is not defined: p is then the sign test's 2^(1 - n), or
  1 where they are all zero.
  """
  if len(x) < 2:
    return float("nan")
  error = float(x.std(ddof=1)) / len(x) ** 0.5
  if error == 0:
    return 2.0 ** (1 - len(x)) if x.mean() else 1.0
  return float(2 * stdtr(len(x) - 1, -abs(float(x.mean())) / error))
