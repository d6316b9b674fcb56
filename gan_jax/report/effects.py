"""Which drawn number matters for which setting, and where tuning puts it; and intervals of a share and of a typical draw.

Coverage of each interval in simulations: `tests/report/test_tuning.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from gan_jax.report import statistics, tuning

TRIMMED = 0.25  # on either side: the mean of the middle half
RESAMPLES = 2_000
PLAYERS = ("discriminator", "generator")


class Rank(NamedTuple):
  """Spearman's rank correlation of a drawn number with the score (above 0: larger is worse) and its 95 % interval."""

  r: float
  low: float
  high: float
  p: float  # of no correlation, with Holm's correction over all settings and numbers

  @property
  def certain(self) -> bool:
    return self.p < 1 - tuning.CONFIDENCE


class Effects(NamedTuple):
  """`ranks` and `chosen` have a row for each setting and a column for each number."""

  labels: tuple[str, ...]
  numbers: tuple[str, ...]
  ranks: tuple[tuple[Rank, ...], ...]
  overall: tuple[Rank, ...]  # of the draws' mean ranks over all settings
  chosen: tuple[tuple[tuple[float, float, float], ...], ...]  # the mean at the chosen draw, tuned with k draws
  ratio: tuple[tuple[float, float, float], ...]  # likewise of discriminator_rate / generator_rate; () if not drawn


def effects(labels: Sequence[str], scores: np.ndarray, where: Sequence[Mapping[str, Any]], k: int) -> Effects:
  """Of scores [L, D, R] and the drawn fields of each draw; fields that are not numbers are left out."""
  from scipy.stats import rankdata

  names = [name for name in where[0] if all(_is_number(draw[name]) for draw in where)]
  columns = {name: np.array([float(draw[name]) for draw in where]) for name in names}
  own = scores.mean(-1)
  each = [[spearman(columns[name], row) for name in names] for row in own]
  adjusted = iter(statistics.adjust([rank.p for row in each for rank in row]))
  ranks = tuple(tuple(rank._replace(p=next(adjusted)) for rank in row) for row in each)
  overall = [spearman(columns[name], rankdata(own, axis=1).mean(0)) for name in names]
  corrected = statistics.adjust([rank.p for rank in overall])
  chosen = [[_chosen(row, columns[name], k) for name in names] for row in scores]
  ratio: list[Any] = []
  if all(f"{player}_rate" in columns and (columns[f"{player}_rate"] > 0).all() for player in PLAYERS):
    first, second = (columns[f"{player}_rate"] for player in PLAYERS)
    ratio = [_chosen(row, first / second, k) for row in scores]
  return Effects(
    tuple(labels),
    tuple(names),
    ranks,
    tuple(rank._replace(p=p) for rank, p in zip(overall, corrected, strict=True)),
    tuple(map(tuple, chosen)),
    tuple(ratio),
  )


def _is_number(value: Any) -> bool:
  return isinstance(value, (int, float)) and not isinstance(value, bool)


def _chosen(scores: np.ndarray, x: np.ndarray, k: int) -> tuple[float, float, float]:
  """The mean of x [D] at the draw that tuning scores [D, R] chooses; geometric where x spans a decade."""
  log = bool((x > 0).all()) and x.max() >= 10 * x.min()
  scale = np.log(x) if log else x
  found = tuning.interval(tuning.pseudo_values(scores, k, scale), tuning.tuned(scores, k, scale), k)
  mean, low, high = (float(np.exp(v) if log else v) for v in found)
  return mean, low, high


def spearman(x: np.ndarray, y: np.ndarray) -> Rank:
  """Rank correlation over n pairs; its p is that of `scipy.stats.spearmanr`; 0 and 1 where one side is constant.

  Interval: tanh(atanh(r) +- 1.96 sqrt((1 + r^2 / 2) / (n - 3))).
  Source: Bonett and Wright 2000, Psychometrika 65, 23-28.
  """
  from scipy.stats import spearmanr

  if np.ptp(x) == 0 or np.ptp(y) == 0:
    return Rank(0.0, -1.0, 1.0, 1.0)
  r, p = (float(v) for v in spearmanr(x, y))
  z = np.arctanh(np.clip(r, -0.9999, 0.9999))
  half = _z() * np.sqrt((1 + r**2 / 2) / (len(x) - 3))
  return Rank(r, float(np.tanh(z - half)), float(np.tanh(z + half)), p)


def wilson(share: float, n: int) -> tuple[float, float, float]:
  """A share of n draws and its 95 % score interval. Source: Wilson 1927, JASA 22, 209-212."""
  z = _z()
  middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
  half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
  return share, float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def iqm(x: np.ndarray) -> tuning.Interval:
  """The interquartile mean over draws, and its percentile bootstrap interval; the same whenever it is computed."""
  from scipy.stats import bootstrap, trim_mean

  mean = trim_mean(x, TRIMMED)
  if np.ptp(x) == 0:
    return tuning.Interval(mean, mean, mean)
  found = bootstrap(
    (x,),
    lambda data, axis: trim_mean(data, TRIMMED, axis=axis),
    n_resamples=RESAMPLES,
    method="percentile",
    rng=np.random.default_rng(0),
  ).confidence_interval
  return tuning.Interval(mean, found.low, found.high)


def _z() -> float:
  return float(ndtri(0.5 + tuning.CONFIDENCE / 2))
