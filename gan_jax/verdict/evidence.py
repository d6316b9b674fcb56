"""The measurements that a verdict rests on, as one sentence."""

import numpy as np

from gan_jax.core.table import Table
from gan_jax.verdict.samples import column
from gan_jax.verdict.signs import CALLED, FEW, Signs


def sentence(
  final: str, factor: str, signs: Signs, at: int, quality: Table, limits: dict[str, float], diverged: int | None
) -> str:
  """Why `final` was named at row `at`."""
  if final == "diverged":
    return divergence(signs, limits, diverged)
  said = {
    "healthy": lambda: [auc(signs, at), samples(quality)],
    "discriminator_dominates": lambda: [won(signs, at, limits), gradient(signs, at, factor), samples(quality)],
    "generator_dominates": lambda: [auc(signs, at), samples(quality), gradient(signs, at, factor)],
    "oscillating": lambda: [swings(signs, at, limits), auc(signs, at), cosine(signs, at), samples(quality)],
    "mode_collapse": lambda: [modes(signs, at, limits), variety(signs, at, limits), samples(quality), auc(signs, at)],
    "unknown": lambda: [
      f"no sign of a failure, but {unmeasured(quality)}",
      auc(signs, at),
    ],
    "stalled": lambda: [
      learnt(signs, limits),
      motion(signs, at),
      auc(signs, at),
      gradient(signs, at, factor),
      flat(signs, at),
      samples(quality),
    ],
  }[final]()
  return "; ".join(text for text in said if text)


def divergence(signs: Signs, limits: dict[str, float], diverged: int | None) -> str:
  if diverged is not None:
    return f"an update was not finite at step {diverged:,}"
  first = int(np.flatnonzero(signs.size >= limits["exploded"])[0])
  largest = np.max(signs.size)
  size = f"mean logits up to {largest:.2g}" if np.isfinite(largest) else "mean logits that are not finite"
  return f"{size}, beyond {limits['exploded']:.0e} first at step {signs.steps[first]:,}"


def auc(signs: Signs, at: int) -> str:
  return "" if np.isnan(signs.auc[at]) else f"AUC {signs.auc[at]:.3g} at step {signs.steps[at]:,}"


def won(signs: Signs, at: int, limits: dict[str, float]) -> str:
  """Since when the smoothed AUC has been above the threshold that it is above at row `at`."""
  clear = signs.auc[at] >= limits["auc_dominated"]
  limit = limits["auc_dominated"] if clear else limits["auc_ahead"]
  below = np.flatnonzero(signs.auc[: at + 1] < limit)
  since = signs.steps[below[-1] + 1 if len(below) else 0]
  return f"AUC above {limit:g} since step {since:,}" + ("" if clear else f", and {flat(signs, at)}")


def gradient(signs: Signs, at: int, factor: str) -> str:
  """`generator gradient −4.1 decades since its start (loss −3.9, discriminator −0.2, generator 0.0)`."""
  total = signs.total[at]
  if np.isnan(total):
    return "no generator gradient was measured above zero" if np.isnan(signs.total).all() else ""
  if factor == "none":
    return f"the generator's gradient has not vanished ({change(total)} decades since its start)"
  if total > -0.05:
    return "the generator's gradient has not fallen"
  parts = ", ".join(f"{CALLED[name]} {change(x[at])}" for name, x in signs.factors.items() if np.isfinite(x[at]))
  return f"generator gradient {change(total)} decades since its start" + (f" ({parts})" if parts else "")


def change(decades: float) -> str:
  """`−4.1`, `0.0`, `+0.3`."""
  rounded = round(float(decades), 1)
  return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def motion(signs: Signs, at: int) -> str:
  return (
    ""
    if np.isnan(signs.pace[at])
    else f"one update changes the generator's weights by {signs.pace[at]:.1e} of their norm"
  )


def swings(signs: Signs, at: int, limits: dict[str, float]) -> str:
  name = max(signs.turns, key=lambda name: signs.turns[name][at])
  least = f"{limits['swing_distance']:g} decades" if "distance" in name else f"{limits['swing']:g}"
  return f"the {name} reversed {signs.turns[name][at]:.0f} times by {least} or more up to step {signs.steps[at]:,}"


def cosine(signs: Signs, at: int) -> str:
  value = signs.cosine[at]
  return "" if np.isnan(value) else f"successive generator gradients have cosine {value:.2f}"


def modes(signs: Signs, at: int, limits: dict[str, float]) -> str:
  if not signs.modes[at] < limits["collapse"]:
    return ""
  known = signs.modes[: at + 1][np.isfinite(signs.modes[: at + 1])]
  return (
    f"the samples have {signs.modes[at]:.0%} of the variety of the data's modes or classes, where a single one counts as "
    f"0% (at most {known.max():.0%} up to step {signs.steps[at]:,})"
  )


def variety(signs: Signs, at: int, limits: dict[str, float]) -> str:
  said = []
  if signs.spread[at] < limits["narrow"]:
    said.append(f"within a mode or class the samples spread {signs.spread[at]:.2g} times as wide as the data")
  if signs.copies[at] > limits["copies"]:
    said.append(f"{signs.copies[at]:.0%} of the samples are near-duplicates of others")
  return ", and ".join(said)


def flat(signs: Signs, at: int) -> str:
  value = signs.gain[at]
  return "" if np.isnan(value) else f"no measure of quality improved {at_most(value)} recently"


def learnt(signs: Signs, limits: dict[str, float]) -> str:
  """That nothing was learnt in the whole run; empty where something was."""
  known, moved = (x[np.isfinite(x)] for x in (signs.since_start, signs.moved))
  if not len(known) or known.max() > limits["flat"]:
    return ""
  if len(moved) and moved[-1] <= limits["moved"]:
    return f"nothing was learnt: the distance from the data never changed by more than {moved[-1]:.2g} decades"
  return f"nothing was learnt: no measure of quality improved {at_most(known.max())} since the start"


def at_most(gain: float) -> str:
  """How much the measure improved that improved most."""
  return f"by more than {gain:.2g}" if gain > 0 else "at all"


def unmeasured(quality: Table) -> str:
  """Why quality does not say whether a run learns."""
  x = column(quality, "frechet/distance")
  if np.isfinite(x).sum() > 1 and not np.isfinite(x[-1]):
    return f"the Frechet distance of step {quality.steps[-1]:,} is not finite"
  return "no two measurements of quality say whether it learns"


def samples(quality: Table) -> str:
  """The last measured quality, and the first distance."""
  said = []
  for name, words in (
    ("frechet/distance", "Frechet distance"),
    ("line/wasserstein", "Wasserstein distance"),
    ("inception/fid", "FID"),
    ("inception/kid", "KID"),
    ("lite0/kid", "KID (Lite0)"),
    ("classifier/kid", "KID (classifier)"),
  ):
    x = column(quality, name)
    if np.isfinite(x[-1:]).any():
      said.append(f"{words} {x[-1]:.3g} at step {quality.steps[-1]:,}, {x[np.isfinite(x)][0]:.3g} at first")
  share = column(quality, "modes/high_quality")
  if np.isfinite(share[-1:]).any():
    said.append(f"{share[-1]:.1%} of the samples of high quality")
  plane = column(quality, "points/frechet")
  if share[-1:].size and share[-1] < FEW and np.isfinite(plane[-1]):
    first = plane[np.isfinite(plane)][0]
    said.append(
      f"distance from the data in the plane {plane[-1]:.2g} at step {quality.steps[-1]:,}, {first:.2g} at first"
    )
  for name, due, words in (
    ("modes/covered", "", "modes covered"),
    ("classes/present", "classes/in_data", "classes present"),
  ):
    x, all_of = column(quality, name), column(quality, due)
    if np.isfinite(x[-1:]).any():
      said.append(f"{x[-1]:.0f}" + (f" of {all_of[-1]:.0f}" if np.isfinite(all_of[-1:]).any() else "") + f" {words}")
  return ", ".join(said)
