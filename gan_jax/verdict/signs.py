"""The quantities that decide a verdict: from a run's rows and quality, smoothed, one number of each per row."""

import functools
from typing import NamedTuple

import numpy as np

from gan_jax.core.table import Table
from gan_jax.verdict.samples import (
  TINY,
  column,
  effective_modes,
  nearest,
  relative_distance,
  since_first,
  spread,
  travelled,
)

FACTORS = ("loss", "critic", "generator")
CALLED = {"loss": "loss", "critic": "discriminator", "generator": "generator"}  # the factors in text
FEW = 0.01  # with a smaller share of high-quality samples, modes are not counted


class Signs(NamedTuple):
  """Each per row [R]; NaN where the run lacks the columns that it is computed from."""

  steps: np.ndarray
  auc: np.ndarray  # median over the window
  since_level: np.ndarray  # steps since the AUC was last below the threshold
  total: np.ndarray  # log10 of the generator's gradient over that of the first row; at the median row of the window
  factors: dict[str, np.ndarray]  # the same of each factor at the same row: they add up to `total`
  shares: dict[str, np.ndarray]  # factor / total
  pace: np.ndarray  # norm of the generator's update over that of its weights, median over the window
  size: np.ndarray  # the larger absolute value of the two mean logits; inf where one is not finite
  turns: dict[str, np.ndarray]  # by quantity: reversals by at least a swing within the long window
  late_turns: dict[str, np.ndarray]  # those in its later half
  path: dict[str, np.ndarray]  # sum of the distances between reversals in the long window, in units of the least swing
  cosine: np.ndarray  # of successive generator gradients
  quality: np.ndarray  # 1: the samples are good; 0: not; NaN: not measured
  alike: np.ndarray  # the same: whether the samples are, or were, similar to the data
  faint: np.ndarray  # the same: whether they are at all nearer to the data than at the start
  modes: np.ndarray  # effective number of modes or classes, as a share of the data's
  spread: np.ndarray  # root mean squared distance from the mean of a mode or class, relative to the data's
  copies: np.ndarray  # share of samples that are near-duplicates of others, beyond the data's own share
  gain: np.ndarray  # improvement over the long window of the measure of quality that improved most
  since_start: np.ndarray  # the same since the first evaluation; NaN before a second one
  moved: np.ndarray  # decades between the largest and the smallest distance so far; NaN before a second evaluation


def trailing(x: np.ndarray, length: int) -> np.ndarray:
  """[R, length]: at each row the last `length` values, its own included; NaN before the start."""
  if not len(x):
    return np.empty((0, length))
  padded = np.concatenate([np.full(length - 1, np.nan), x])
  return np.lib.stride_tricks.sliding_window_view(padded, length)


def median(x: np.ndarray, length: int) -> np.ndarray:
  """Trailing median of the finite values; NaN where there is none."""
  view = trailing(x, length)
  found = np.full(len(x), np.nan)
  some = np.isfinite(view).any(1)
  found[some] = np.nanmedian(view[some], axis=1)
  return found


def turning_points(x: np.ndarray, swing: float) -> np.ndarray:
  """Indices of the extremes from which x comes back by at least `swing`; smaller reversals (noise) are ignored.

  >>> turning_points(np.array([0.0, 0.1, 0.9, 0.8, 0.2, 0.9]), 0.5).tolist()
  [0, 2, 4]
  """
  found: list[int] = []
  low = high = -1  # the lowest and the highest since the last turn
  up = 0  # the direction since then; 0 before the first turn
  for i in np.flatnonzero(np.isfinite(x)).tolist():
    low = i if low < 0 or x[i] < x[low] else low
    high = i if high < 0 or x[i] > x[high] else high
    if up >= 0 and x[high] - x[i] >= swing:
      found.append(high)
      low, high, up = i, i, -1
    elif up <= 0 and x[i] - x[low] >= swing:
      found.append(low)
      low, high, up = i, i, 1
  return np.asarray(found, np.int64)


def measure(rows: Table, quality: Table, limits: dict[str, float]) -> Signs:
  """The signs of a run. A value at a row depends only on that row, earlier rows and the evaluations made by then.

  Only the length of the long window depends on the whole run.
  """
  steps = np.asarray(rows.steps, np.int64)
  window = int(limits["window"])
  long = max(int(limits["long_rows"]), int(limits["long_share"] * len(steps)), 1)
  latest = latest_evaluation(steps, quality)
  at_rows = functools.partial(held, latest)
  waits = column(rows, "count/generator_updates") == 0  # during a head start the generator is not trained
  auc = median(column(rows, "disc/auc"), window)
  total, factors = decades(rows, window)
  share, distance, modes = column(quality, "modes/high_quality"), relative_distance(quality), effective_modes(quality)
  swings = {
    "AUC": (column(rows, "disc/auc"), limits["swing"]),
    "share of high-quality samples": (at_rows(share), limits["swing"]),
    "Frechet distance": (at_rows(np.log10(np.maximum(distance, TINY))), limits["swing_distance"]),
  }
  turned = {name: reversals(x, swing, long) for name, (x, swing) in swings.items()}
  good, like, faint = likeness(share, distance, limits)
  # Modes of a few stray samples are not counted.
  counted = np.where(np.isnan(share), np.nan, np.where(share >= FEW, np.nan_to_num(modes), 0))
  measures = (share, counted, -np.log10(np.maximum(distance, TINY)), nearest(quality, share))
  return Signs(
    steps,
    auc,
    since_level(auc, steps, limits["auc_dominated"]),
    total,
    factors,
    {name: np.where(total == 0, np.nan, x / np.where(total == 0, 1, total)) for name, x in factors.items()},
    median(np.where(waits, np.nan, column(rows, "gen/update_ratio")), window),
    largest_logit(rows),
    {name: found[0] for name, found in turned.items()},
    {name: found[1] for name, found in turned.items()},
    {name: found[2] for name, found in turned.items()},
    median(column(rows, "gen/successive_cosine"), window),
    at_rows(good),
    at_rows(like),
    at_rows(faint),
    at_rows(modes),
    at_rows(spread(quality)),
    at_rows(column(quality, "samples/duplicates")),
    np.fmax.reduce([gain(x, latest, waits, long) for x in measures]),
    at_rows(np.fmax.reduce([since_first(x) for x in measures])),
    at_rows(travelled(quality)),
  )


def latest_evaluation(steps: np.ndarray, quality: Table) -> np.ndarray:
  """[R]: the index of the evaluation that belongs to each row, the last one made before the next row; -1 for none."""
  until = np.append(steps[1:], np.iinfo(np.int64).max)[: len(steps)]
  return np.searchsorted(np.asarray(quality.steps), until, side="right") - 1


def held(latest: np.ndarray, x: np.ndarray) -> np.ndarray:
  """[R]: values [E] of evaluations at the rows that they belong to; NaN before the first evaluation."""
  return np.where(latest >= 0, x[np.maximum(latest, 0)], np.nan) if len(x) else np.full(len(latest), np.nan)


def gain(x: np.ndarray, latest: np.ndarray, waits: np.ndarray, long: int) -> np.ndarray:
  """[R]: by how much values [E] rose since the long window began, or since the evaluation before, whichever is earlier.

  NaN in the first long window, and where that window began while the generator was not trained (`waits` [R]).
  """
  begin = np.arange(len(latest)) - (long - 1)
  first = np.maximum(begin, 0)
  base = np.where((begin >= 0) & ~waits[first], np.minimum(latest[first], latest - 1), -1)
  return np.where(base >= 0, x[latest] - x[base], np.nan) if len(x) else np.full(len(latest), np.nan)


def reversals(x: np.ndarray, swing: float, long: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Of values [R], within the long window that ends at each row [R]: reversals by at least `swing`; those in the window's
  later half; the sum of the distances between reversals, in swings.
  """
  turned, way = np.zeros((2, len(x)))
  at = turning_points(x, swing)
  turned[at] = 1
  way[at[1:]] = np.abs(np.diff(x[at])) / swing
  found, late, path = (
    np.nansum(trailing(*pair), axis=1) for pair in ((turned, long), (turned, -(-long // 2)), (way, long))
  )
  return found, late, path


def likeness(share: np.ndarray, distance: np.ndarray, limits: dict[str, float]) -> tuple[np.ndarray, ...]:
  """(good, alike, faint) of every evaluation [E], 1 or 0, NaN where not measured; see `Signs`.

  By the share of high-quality samples where there is one, else by the distance. Distances are relative to the first one,
  so a single one says nothing.
  """
  planar = ~np.isnan(share)
  with np.errstate(invalid="ignore"):
    good = np.where(planar, share >= limits["good_share"], distance <= limits["good_distance"])
    near = (distance <= limits["like_distance"]) | (np.fmin.accumulate(distance) <= limits["good_distance"])
    alike = np.where(planar, share >= limits["good_share"], near)
    faint = np.where(planar, share >= limits["faint_share"], distance <= limits["faint_distance"])
  unknown = ~planar & (np.isnan(distance) | (np.cumsum(np.isfinite(distance)) < 2))
  return tuple(np.where(unknown, np.nan, x) for x in (good, alike, faint))


def since_level(auc: np.ndarray, steps: np.ndarray, dominated: float) -> np.ndarray:
  """[R]: steps since the AUC was last below `dominated`, or since the first row where it never was; NaN without an AUC."""
  with np.errstate(invalid="ignore"):
    below = np.where(auc < dominated, steps, -1)
  last = np.maximum.accumulate(below) if len(below) else below
  return np.where(np.isnan(auc), np.nan, steps - np.where(last >= 0, last, steps[:1].sum()))


def decades(rows: Table, window: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """log10 changes since the first row with a gradient, (total, factors), at the row with the window's median total.

  log10 |g| is the sum of the logarithms of the three factors. A zero counts as the smallest normal float32.
  """
  norm = column(rows, "gen/grad_norm")
  begin = np.flatnonzero(norm > 0)
  nothing = np.full(len(norm), np.nan)
  if not len(begin):
    return nothing, dict.fromkeys(FACTORS, nothing)

  def change(x: np.ndarray) -> np.ndarray:
    logs = np.log10(np.where(x == 0, TINY, np.where(x > 0, x, np.nan)))
    return logs - logs[begin[0]]

  total = change(norm)
  total[: begin[0]] = np.nan
  view = trailing(total, window)
  place = np.argsort(view, axis=1, kind="stable")  # NaN last
  middle = np.maximum(np.isfinite(view).sum(1) - 1, 0) // 2
  row = np.arange(len(norm)) - (window - 1) + place[np.arange(len(norm)), middle]
  empty = ~np.isfinite(view).any(1)
  row = np.where(empty, 0, np.maximum(row, 0))
  pick = lambda x: np.where(empty, np.nan, x[row])  # noqa: E731
  return pick(total), {name: pick(change(column(rows, f"factor/{name}"))) for name in FACTORS}


def largest_logit(rows: Table) -> np.ndarray:
  """[R]: the larger absolute value of the two mean logits; inf where one is not finite; NaN where none was measured, as
  under a loss of features.
  """
  columns = [rows.columns[n] for n in ("logits/real_mean", "logits/fake_mean") if n in rows.columns]
  found = [x for x in (np.asarray(column, np.float64) for column in columns) if not np.isnan(x).all()]
  if not found:
    return np.full(len(rows.steps), np.nan)
  return np.max([np.where(np.isfinite(x), np.abs(x), np.inf) for x in found], axis=0)
