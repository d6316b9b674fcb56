"""The verdict on a run: a pure function from its rows to a named state, at every row and at the end.

    healthy                  the samples improved, or are good, and no other state holds discriminator_dominates  the
    AUC is near 1 and the generator's gradient has vanished (`factor` says by which factor),
                             or the AUC is high and the samples change without improving
    generator_dominates      the discriminator cannot tell real from fake, although the samples are bad
    oscillating              AUC or sample quality go up and down by a large amount, until now
    mode_collapse            most modes or classes of the data are missing, or each is nearly one point, or most samples
                             are near-duplicates of one another
    diverged                 not finite, or logits of enormous size
    stalled                  the generator does not move although it has a gradient; or it moves, but neither nearer to
                             the data nor farther off; or nothing improves and neither player wins
    unknown                  fewer than three rows; or no failure, and too few measurements of quality (under two) to
    say
                             whether anything was learnt

If several hold, the first of this order is named: diverged; stalled because the generator does not move;
discriminator_dominates with a vanished gradient; mode_collapse of samples like the data; discriminator_dominates with a
gradient that has not vanished; oscillating; generator_dominates with fakes of higher logit than the data; mode_collapse
of other samples; generator_dominates; stalled at a constant quality; healthy. A cause comes before its consequences: a
generator without a gradient also has few modes, and one that does not move also loses.

A high AUC alone is no failure: a discriminator that ranks well does its job. What counts is whether the samples
improve.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.core.errors import plural
from gan_jax.core.table import Table
from gan_jax.verdict import evidence
from gan_jax.verdict.signs import CALLED, FACTORS, Signs, measure
from gan_jax.verdict.thresholds import THRESHOLDS, check, fill

__all__ = ["CALLED", "FACTORS", "STATES", "THRESHOLDS", "Verdict", "check", "judge"]

STATES = (
  "healthy",
  "discriminator_dominates",
  "generator_dominates",
  "oscillating",
  "mode_collapse",
  "stalled",
  "diverged",
  "unknown",
)
FEWEST = 3  # rows


class Verdict(NamedTuple):
  """A run's states. `columns` are computed from them, [R]: `auc/steps_since_level`, `decades/*` and `share/*` by factor."""

  steps: np.ndarray  # [R]
  states: tuple[str, ...]  # [R]
  final: str
  factor: str  # if the discriminator dominates: 'loss', 'critic', 'generator', or 'none' (not vanished); else ''
  evidence: str  # a sentence with figures
  columns: dict[str, np.ndarray]


def judge(
  rows: Table, quality: Table, diverged: int | None = None, thresholds: Mapping[str, float] | None = None
) -> Verdict:
  """The verdict on one run.

  Args:
    rows: diagnostics, columns [R]; any may be missing.
    quality: sample quality at its own steps, columns [E]; may be empty.
    diverged: the step at which the run was frozen because an update was not finite.
    thresholds: what differs from `THRESHOLDS`.

  Raises:
    BadInput: an unknown threshold, or one out of range.
  """
  limits = fill(thresholds or {})
  signs = measure(rows, quality, limits)
  count = len(signs.steps)
  columns = {"auc/steps_since_level": signs.since_level, "decades/total": signs.total}
  columns |= {f"decades/{name}": x for name, x in signs.factors.items()}
  columns |= {f"share/{name}": x for name, x in signs.shares.items()}
  states, lost = name_states(signs, limits, diverged)
  if diverged is None and count < FEWEST:
    text = f"{plural(count, 'row')}, but a verdict needs {FEWEST}"
    return Verdict(signs.steps, ("unknown",) * count, "unknown", "", text, columns)
  last = states[-max(int(np.ceil(limits["end_share"] * count)), int(limits["window"])) :]
  names, latest = np.unique(last[::-1], return_index=True)
  counts = [np.sum(last == name) for name in names]
  final = str(max(zip(counts, -latest, names, strict=True))[2]) if diverged is None else "diverged"
  at = int(np.flatnonzero(states == final)[-1]) if (states == final).any() else count - 1
  if final == "healthy" and not learnt(signs, limits):
    # The last row is the best informed. If it is healthy too, nothing was learnt, or learning was not measured.
    final = str(states[-1]) if states[-1] != "healthy" else "unknown" if np.isnan(signs.since_start[-1]) else "stalled"
    at = count - 1
  factor = ""
  if final == "discriminator_dominates":
    factor = least(signs, at) if lost[at] else "none"
  text = evidence.sentence(final, factor, signs, at, quality, limits, diverged)
  # Before samples were seen to be good, or better than at first, nothing says that a run is healthy: no failure was seen.
  better = (signs.since_start > limits["flat"]) | ((signs.quality == 1) & ~np.isnan(signs.since_start))
  shown = np.where((states == "healthy") & ~better, "unknown", states)
  return Verdict(signs.steps, tuple(str(s) for s in shown), final, factor, text, columns)


def name_states(signs: Signs, limits: Mapping[str, float], diverged: int | None) -> tuple[np.ndarray, np.ndarray]:
  """([R] states, [R] whether the generator's gradient has vanished). Comparisons with NaN (not measured) are false."""
  with np.errstate(invalid="ignore"):
    lost = signs.total <= -limits["vanished"]
    won = signs.auc >= limits["auc_dominated"]
    bad = signs.quality == 0
    fooled = (signs.auc <= limits["auc_fooled"]) & bad
    fooled |= (signs.auc <= limits["auc_beaten"]) & np.isnan(signs.quality)
    fooled[: int(limits["window"]) - 1] = False  # before either player has learnt, an AUC near 0.5 means nothing
    few = signs.modes < limits["collapse"]
    narrow = (signs.spread < limits["narrow"]) | (signs.copies > limits["copies"])
    flat = bad & (signs.gain <= limits["flat"])
    # Until the long window is full, the gain since the start is used.
    rising = np.where(np.isnan(signs.gain), signs.since_start, signs.gain) > limits["flat"]
    # If the generator moves but its samples stay at one distance, the discriminator is not the cause.
    fixed = flat & (signs.moved <= limits["moved"]) & (signs.pace >= limits["still"])
    ahead = (signs.auc >= limits["auc_ahead"]) & bad & ~rising & ~np.isnan(signs.since_start) & ~fixed
    slow = signs.pace < limits["still"]
    dead = won & lost
    # Without a gradient a generator cannot move. One that never moved although it had one is held by something else.
    held = np.logical_or.accumulate(slow & ~lost) & ~np.logical_or.accumulate(signs.pace >= limits["still"])
    still = slow & (held | ~(lost & (won | fooled)))
    turning = np.zeros(len(signs.steps), bool)
    for name, turns in signs.turns.items():
      # If the samples are good, an AUC that oscillates is no failure: the game has arrived.
      matters = np.ones_like(bad) if name != "AUC" else ~(signs.quality == 1)
      often = (turns >= limits["swings"]) & (signs.path[name] >= limits["path"])
      turning |= often & (signs.late_turns[name] >= 1) & matters
    gone = signs.size >= limits["exploded"]
  if diverged is not None:
    gone |= signs.steps >= diverged
  states = np.full(len(signs.steps), "healthy", dtype="<U23")
  for holds, name in (  # a later state overrides an earlier one
    (flat, "stalled"),
    (fooled, "generator_dominates"),
    (few & (signs.faint == 1), "mode_collapse"),
    (fooled & (signs.auc <= limits["auc_beaten"]), "generator_dominates"),
    (turning, "oscillating"),
    (ahead, "discriminator_dominates"),
    ((few | narrow) & (signs.alike == 1), "mode_collapse"),
    (dead, "discriminator_dominates"),
    (still, "stalled"),
    (gone, "diverged"),
  ):
    states[holds] = name
  return states, lost


def learnt(signs: Signs, limits: Mapping[str, float]) -> bool:
  """Whether the samples of the last evaluation are good, or better than those of the first."""
  return bool(signs.quality[-1] == 1 or signs.since_start[-1] > limits["flat"])


def least(signs: Signs, at: int) -> str:
  """The factor that fell most; 'none' where no factor was measured."""
  known = {name: x[at] for name, x in signs.factors.items() if np.isfinite(x[at])}
  return min(known, key=lambda name: known[name]) if known else "none"
