"""The records of a tournament, in the units of its quality; tournament.py and judged.py make them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.report import tuning
from gan_jax.report.comparison import Quality
from gan_jax.report.effects import Effects
from gan_jax.report.search import Entry

Range = tuple[float, float, float]  # an estimate and its 95 % interval


class Place(NamedTuple):
  """One setting of a tournament. Ratios are differences where the quality is not positive."""

  entry: Entry
  tuned: Range  # its quality, tuned with k draws
  ratio: Range  # of that to the baseline's; NaN for the baseline itself
  wins: float  # chance that it beats the baseline, both tuned with the same k draws; NaN for the baseline
  p: float  # of no difference from the baseline: the larger of the swap test's with Holm's correction over all others, and
  # of Student's for this ratio alone; NaN for the baseline
  behind: Range  # ratio to the leader's; NaN for the leader
  behind_p: float  # likewise from the leader, over all pairs; of searches: of none being better; NaN for the leader
  learnt: Range  # share of the draws' runs that learnt
  typical: Range  # interquartile mean over the draws: untuned
  course: np.ndarray  # [K, 3]: tuned with k = 1 .. K draws, and intervals
  chosen: str  # the draw that all its runs together choose

  @property
  def certain(self) -> bool:
    """Whether it surely differs from the baseline."""
    return self.p < 1 - tuning.CONFIDENCE

  @property
  def tied(self) -> bool:
    """Whether it is the leader or not told apart from it; of searches: whether it may be the best."""
    return not self.behind_p < 1 - tuning.CONFIDENCE


class Tournament(NamedTuple):
  k: int  # draws of the budget at which settings are compared
  draws: int  # of each setting
  runs: int  # of each draw; with one, the run that chooses a draw also judges it, which is too good
  log: bool
  quality: Quality
  baseline: str
  compared: tuple[str, ...]
  drawn: tuple[str, ...]
  places: tuple[Place, ...]  # the best first
  pairs: Mapping[frozenset[str], float]  # p of no difference of two labels, corrected for all pairs, of those tested
  effects: Effects
  searches: int = 0  # after halving: searches of k draws each; 0: every choice of k draws counts (tuning.py)

  @property
  def called(self) -> str:
    """What a compared setting is: `loss`, or `setting` where more than the loss is compared."""
    return "loss" if self.compared in (("loss",), ()) else "setting"

  def told_apart(self) -> list[tuple[str, str]]:
    """The pairs that surely differ, as (better, worse)."""
    order = [place.entry.label for place in self.places]
    pairs = [(one, other) for i, one in enumerate(order) for other in order[i + 1 :]]
    return [pair for pair in pairs if self.pairs.get(frozenset(pair), 1.0) < 1 - tuning.CONFIDENCE]

  @property
  def family(self) -> int:
    """The number of comparisons for which p of being worse than the best is corrected: all pairs, tested or not; of
    searches, the other settings.
    """
    others = len(self.places) - 1
    return others if self.searches else len(self.places) * others // 2

  @property
  def counted(self) -> str:
    """What `family` counts."""
    return "others" if self.searches else "pairs"

  @property
  def ties(self) -> tuple[str, str]:
    """How a setting that is `tied` is called beside the leader, and how another one."""
    return ("may be the best", "surely not the best") if self.searches else ("not told apart", "surely worse")


def units(found: tuning.Interval, log: bool, sign: int) -> Range:
  """Scores as the quality itself, or differences of logarithms as ratios."""
  with np.errstate(over="ignore"):
    mean, low, high = (float(np.exp(x) if log else sign * x) for x in found)
  return mean, min(low, high), max(low, high)
