"""How good a setting is once it has been tuned with k draws: estimates, intervals, and comparisons draw by draw.

A table of a search is `scores` [L, D, R]: L compared settings, D draws that all of them share, R runs of each draw. Low
is good; a positive quality is given as its logarithm. Tuning with a budget of k means: draw k of the D draws, choose
the one with the best run, and judge it by its *other* runs. The value that chose is never the value that judges, so the
result is not too good (the winner's curse). It is the mean over all choices of k draws and over which run chooses: a
U-statistic, here in closed form. With one run of each draw that run has to do both, and the result is too good.

Draws are the unit of chance: each has seeds of its own. Intervals are Student's on the jackknife's pseudo-values of the
draws, with as many degrees of freedom as there are draws that effectively enter. The percentile bootstrap over draws
was measured to cover too rarely (73 to 91 % of 95, D = 16, k = D/4 and D/2). Whether two settings differ is tested by
swapping their labels draw by draw, which is exact if they are alike at every draw. That they differ somewhere does not
say which is better once tuned, so they count as told apart only if the interval of their difference leaves 0 out too.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, stdtr, stdtrit

CONFIDENCE = 0.95
FIRST, EXCEEDING, SWAPS = 1_000, 20, 20_000  # swaps of every pair; of pairs with fewer exceedances, at least these
SUBSETS = 2_000  # choices of k draws from which chances are estimated


class Interval(NamedTuple):
  """An estimate and its 95 % interval, in the units of the scores."""

  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray


def chances(n: int, k: int) -> np.ndarray:
  """[n]: the chance that the i-th best (from 0) of n draws is the best of k of them: C(n - 1 - i, k - 1) / C(n, k)."""
  below = n - 1 - np.arange(n)
  with np.errstate(invalid="ignore"):
    return np.where(below >= k - 1, np.exp(_log_choose(below, k - 1) - _log_choose(np.asarray(n), k)), 0.0)


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
  return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(np.maximum(n - k, 0) + 1.0)


def choices(scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """For each run r of a draw: (what chooses, what judges), both [..., D]; what judges is the mean of the other runs."""
  runs = scores.shape[-1]
  for r in range(runs):
    yield scores[..., r], (scores.sum(-1) - scores[..., r]) / (runs - 1) if runs > 1 else scores[..., r]


def tuned(scores: np.ndarray, k: int, x: np.ndarray | None = None) -> np.ndarray:
  """[...]: the quality of scores [..., D, R] tuned with k draws, as the module's docstring defines it.

  With `x` [D], a number that belongs to each draw, it is the mean of that number at the chosen draw.
  """
  chance = chances(scores.shape[-2], k)
  each = []
  for choosing, judging in choices(scores):
    judged = judging if x is None else np.broadcast_to(x, judging.shape)
    each.append((np.take_along_axis(judged, np.argsort(choosing, -1, kind="stable"), -1) * chance).sum(-1))
  return np.mean(each, 0)


def pseudo_values(scores: np.ndarray, k: int, x: np.ndarray | None = None) -> np.ndarray:
  """[..., D]: the jackknife's, D tuned(all) - (D - 1) tuned(all but one draw). Needs k < D.

  Source: Tukey 1958; for U-statistics, Arvesen 1969, Annals of Mathematical Statistics 40, 2076-2100.
  """
  draws = scores.shape[-2]
  without = [tuned(np.delete(scores, d, -2), k, None if x is None else np.delete(x, d)) for d in range(draws)]
  return draws * tuned(scores, k, x)[..., None] - (draws - 1) * np.stack(without, -1)


def interval(pseudo: np.ndarray, mean: np.ndarray, k: int) -> Interval:
  """Student's interval around `mean` from pseudo-values [..., D] of a budget of k."""
  half = stdtrit(freedom(pseudo.shape[-1], k), 0.5 + CONFIDENCE / 2) * error(pseudo)
  return Interval(mean, mean - half, mean + half)


def student_p(pseudo: np.ndarray, mean: np.ndarray, k: int) -> np.ndarray:
  """Two-sided p of a mean of 0: below 5 % where `interval` leaves 0 out. 1 where nothing varies and the mean is 0."""
  with np.errstate(divide="ignore", invalid="ignore"):
    t = np.where(mean == 0, 0.0, np.abs(mean) / error(pseudo))
  return 2 * stdtr(freedom(pseudo.shape[-1], k), -t)


def error(pseudo: np.ndarray) -> np.ndarray:
  """The standard error of the mean of pseudo-values [..., D]."""
  return pseudo.std(-1, ddof=1) / pseudo.shape[-1] ** 0.5


def freedom(draws: int, k: int) -> float:
  """Degrees of freedom: 1 / sum(chances^2) - 1, at least 1: the number of draws that effectively enter, less one."""
  return max(1.0, 1 / float((chances(draws, k) ** 2).sum()) - 1)


def budget(draws: int) -> int:
  """The k at which settings are compared: the root of the number of draws.

  4 of 16, 8 of 64. Of a larger share, too few independent choices of k draws are left to tell anything apart.
  """
  return max(1, math.isqrt(draws))


def wins(scores: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
  """[L, L]: the chance that the first is better than the second, both tuned with the same k draws; ties count half.

  Over `SUBSETS` random choices of k draws (the same ones whenever it is computed) and over which run chooses.
  """
  draws, rng = scores.shape[-2], np.random.default_rng(seed)
  some = np.argsort(rng.random((SUBSETS, draws)), -1)[:, :k]
  total = np.zeros((len(scores), len(scores)))
  for choosing, judging in choices(scores):
    chosen = np.take_along_axis(np.broadcast_to(some, (len(scores), *some.shape)), _best(choosing, some), -1)[..., 0]
    judged = np.take_along_axis(judging, chosen, -1)  # [L, SUBSETS]
    for i, own in enumerate(judged):
      total[i] += ((own < judged) + 0.5 * (own == judged)).mean(-1)
  return total / scores.shape[-1]


def _best(choosing: np.ndarray, some: np.ndarray) -> np.ndarray:
  return np.argmin(choosing[:, some], -1)[..., None]


def swap_tests(scores: np.ndarray, k: int, pairs: Iterable[tuple[int, int]], family: int, seed: int = 0) -> np.ndarray:
  """[L, L]: p of no difference between two settings tuned with k draws, two-sided; NaN for pairs that are not asked for.

  If two settings are alike, their runs at a draw may be swapped: the difference of their tuned qualities is compared
  with that after swapping a random half of the draws. p = (1 + as large a difference) / (1 + swaps), which is below a
  with chance at most a. There are enough swaps for a family of that many comparisons; pairs that are far from
  significant after `FIRST` of them are not swapped further.
  Source: Pitman 1937; for the correction by one, Phipson and Smyth 2010, arXiv:1603.05766.
  """
  count = max(SWAPS, 2 * FIRST, int(1.25 * family / (1 - CONFIDENCE)))
  swapped = np.random.default_rng(seed).random((count, scores.shape[-2])) < 0.5
  found = np.full((len(scores), len(scores)), np.nan)
  for i, j in pairs:
    found[i, j] = found[j, i] = _swap_test(scores[i], scores[j], k, swapped)
  return found


def _swap_test(ours: np.ndarray, theirs: np.ndarray, k: int, swapped: np.ndarray) -> float:
  seen = abs(_difference(ours, theirs, k, np.zeros_like(swapped[:1]))[0]) * (1 - 1e-9)
  exceeding = int((np.abs(_difference(ours, theirs, k, swapped[:FIRST])) >= seen).sum())
  if exceeding >= EXCEEDING:
    return (1 + exceeding) / (1 + FIRST)
  for part in np.array_split(swapped[FIRST:], max(1, len(swapped) // SWAPS)):  # a part at a time: memory
    exceeding += int((np.abs(_difference(ours, theirs, k, part)) >= seen).sum())
  return (1 + exceeding) / (1 + len(swapped))


def _difference(ours: np.ndarray, theirs: np.ndarray, k: int, swapped: np.ndarray) -> np.ndarray:
  """[S]: tuned(ours) - tuned(theirs) after swapping draws, of scores [D, R] and swaps [S, D].

  The runs of both are sorted once. After a swap, either side owns one of the two at each draw, and how many of its own
  came before says which place an entry has among them.
  """
  draws, total = len(ours), np.zeros(len(swapped))
  chance = np.concatenate([chances(draws, k), [0.0]]).astype(np.float32)
  for (one, judging), (other, also) in zip(choices(ours), choices(theirs), strict=True):
    order = np.argsort(np.concatenate([one, other]), kind="stable")
    own = swapped[:, order % draws] ^ (order < draws)  # the entry is on our side
    before = np.cumsum(own, -1, dtype=np.int16)
    places = np.where(own, before - 1, np.arange(1, 2 * draws + 1, dtype=np.int16) - before - 1)
    judged = np.concatenate([judging, also])[order]
    total += np.where(own, chance[places], -chance[places]) @ judged
  return total / ours.shape[-1]
