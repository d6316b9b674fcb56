"""The thresholds of a verdict: one table, each with its default and range. A config's field `verdict` overrides them."""

from collections.abc import Mapping
from typing import NamedTuple

from gan_jax.core.errors import BadInput, unknown


class Threshold(NamedTuple):
  default: float
  low: float  # inclusive, like `high`
  high: float
  text: str


THRESHOLDS: dict[str, Threshold] = {
  # over how many rows
  "window": Threshold(5, 1, 1000, "rows over which a quantity's median is taken, this row the last"),
  "long_rows": Threshold(12, 3, 10_000, "rows, at least, over which swings are counted and quality must move"),
  "long_share": Threshold(1 / 3, 0.01, 1, "the same, as a share of all rows: the longer of the two counts"),
  "end_share": Threshold(0.2, 0.01, 1, "share of the rows, the last, whose commonest state is the final one"),
  # who is winning
  "auc_dominated": Threshold(0.98, 0.5, 1, "AUC from which it has won if the generator's gradient is lost"),
  "auc_ahead": Threshold(0.95, 0.5, 1, "AUC from which it has won if the samples are bad and no longer get better"),
  "auc_fooled": Threshold(
    0.55, 0, 1, "AUC up to which it cannot tell; the generator has won if its samples are bad too"
  ),
  "auc_beaten": Threshold(
    0.3, 0, 0.5, "AUC up to which the generator has won where no quality was measured, or bad samples are of few modes"
  ),
  "vanished": Threshold(2.0, 0.1, 40, "decades by which the generator's gradient has fallen when it is called lost"),
  # whether anything moves
  "still": Threshold(1e-5, 0, 1, "length of a generator's update, of its weights', below which it does not move"),
  "flat": Threshold(
    0.05, 0, 10, "gain of quality over the long window (decades of distance; shares) up to which it is flat"
  ),
  "moved": Threshold(
    0.02, 0, 10, "decades over which the distance varied in the whole run, up to which the samples stay where they are"
  ),
  "swing": Threshold(0.3, 0.01, 1, "AUC, or share of high quality or of modes, from one turn to the next: it swings"),
  "swing_distance": Threshold(0.5, 0.01, 10, "the same for the Frechet distance, in decades"),
  "swings": Threshold(3, 2, 1000, "turns in the long window that make an oscillation, one of them in its later half"),
  "path": Threshold(4, 2, 1000, "length of all these swings together, in least swings: few turns must be wide ones"),
  "exploded": Threshold(1e6, 1, 1e30, "size of a mean logit from which a run counts as diverged though it is finite"),
  # how good the samples are
  "good_share": Threshold(0.3, 0, 1, "share of high-quality samples from which samples are good"),
  "good_distance": Threshold(0.2, 0, 1, "Frechet distance, of the first one's, up to which samples are good"),
  "like_distance": Threshold(
    0.6, 0, 1, "the same, up to which samples are like the data: there is something to collapse"
  ),
  "faint_share": Threshold(0.1, 0, 1, "share from which a collapse is seen where nothing but generator dominance is"),
  "faint_distance": Threshold(
    0.95, 0, 1, "the same of the distance; perfect samples of one digit alone have 0.5 to 0.9"
  ),
  "collapse": Threshold(0.4, 0, 1, "effective modes or classes, of the data's, below which most are lost"),
  "narrow": Threshold(0.3, 0, 1, "spread within modes or classes, of the data's, below which each has collapsed"),
  "copies": Threshold(
    0.3, 0, 1, "share of near-duplicates, beyond the data's, from which few samples are all there are"
  ),
}


def check(overrides: Mapping[str, float]) -> None:
  """Raises `BadInput` for a threshold that is not in the table, or a value out of its range."""
  for name, value in overrides.items():
    if name not in THRESHOLDS:
      raise unknown("threshold of verdict", name, THRESHOLDS)
    low, high = THRESHOLDS[name].low, THRESHOLDS[name].high
    if not low <= value <= high:  # NaN fails this too
      raise BadInput(f"threshold {name!r} of verdict expected {low:g} to {high:g}, got {value!r}")


def fill(overrides: Mapping[str, float]) -> dict[str, float]:
  """All thresholds, the overridden ones in place. Raises `BadInput` as `check` does."""
  check(overrides)
  return {name: float(overrides.get(name, threshold.default)) for name, threshold in THRESHOLDS.items()}
