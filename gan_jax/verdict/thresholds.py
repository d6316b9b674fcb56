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
  "window": Threshold(5, 1, 1000, "rows over which medians are taken, ending at the row in question"),
  "long_rows": Threshold(
    12, 3, 10_000, "least rows of the long window, over which swings are counted and quality must improve"
  ),
  "long_share": Threshold(
    1 / 3, 0.01, 1, "length of the long window as a share of all rows; the longer of the two is used"
  ),
  "end_share": Threshold(0.2, 0.01, 1, "share of the last rows whose most frequent state is the final one"),
  # who is winning
  "auc_dominated": Threshold(
    0.98, 0.5, 1, "AUC from which the discriminator has won, if the generator's gradient has vanished"
  ),
  "auc_ahead": Threshold(
    0.95, 0.5, 1, "AUC from which the discriminator has won, if the samples are bad and no longer improve"
  ),
  "auc_fooled": Threshold(
    0.55, 0, 1, "AUC up to which the discriminator cannot tell; the generator has won if its samples are bad"
  ),
  "auc_beaten": Threshold(
    0.3, 0, 0.5, "AUC up to which the generator has won if no quality was measured, or if bad samples have few modes"
  ),
  "vanished": Threshold(2.0, 0.1, 40, "decades of fall from which the generator's gradient has vanished"),
  # whether anything moves
  "still": Threshold(
    1e-5, 0, 1, "norm of the generator's update over that of its weights, below which it does not move"
  ),
  "flat": Threshold(
    0.05, 0, 10, "improvement of quality over the long window (decades of distance; shares) up to which it is constant"
  ),
  "moved": Threshold(
    0.02, 0, 10, "decades of variation of the distance in the whole run, up to which the samples do not move"
  ),
  "swing": Threshold(
    0.3, 0.01, 1, "change of AUC, or of the share of high quality or of modes, between reversals that counts as a swing"
  ),
  "swing_distance": Threshold(0.5, 0.01, 10, "the same for the Frechet distance, in decades"),
  "swings": Threshold(
    3, 2, 1000, "reversals in the long window that make an oscillation, at least one of them in its later half"
  ),
  "path": Threshold(4, 2, 1000, "sum of these swings in units of the least swing: a few reversals must be large ones"),
  "exploded": Threshold(1e6, 1, 1e30, "absolute mean logit from which a run counts as diverged although it is finite"),
  # how good the samples are
  "good_share": Threshold(0.3, 0, 1, "share of high-quality samples from which samples are good"),
  "good_distance": Threshold(0.2, 0, 1, "Frechet distance over the first one, up to which samples are good"),
  "like_distance": Threshold(
    0.6, 0, 1, "the same, up to which samples are similar enough to the data to speak of a collapse"
  ),
  "faint_share": Threshold(
    0.1, 0, 1, "share of high-quality samples from which a collapse comes before generator dominance"
  ),
  "faint_distance": Threshold(
    0.95, 0, 1, "the same for the distance; perfect samples of one digit alone have 0.5 to 0.9"
  ),
  "collapse": Threshold(
    0.4, 0, 1, "effective number of modes or classes over the data's, below which most are missing"
  ),
  "narrow": Threshold(0.3, 0, 1, "spread within modes or classes over the data's, below which each has collapsed"),
  "copies": Threshold(
    0.3, 0, 1, "share of near-duplicates, beyond the data's, from which the samples are too few different ones"
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
  """All thresholds, with these overrides. Raises `BadInput` as `check` does."""
  check(overrides)
  return {name: float(overrides.get(name, threshold.default)) for name, threshold in THRESHOLDS.items()}
