"""When each factor of the generator's gradient fell, for one small picture per variant, all on one scale."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_jax.report.canvas import INK
from gan_jax.report.curves import POINTS
from gan_jax.report.records import Run, common_steps
from gan_jax.report.statistics import FACTORS, TINY, TOTAL

# None of these is a colour of a variant, so that a factor is not mistaken for a loss; the page has the same in its style.
LINES: dict[str, dict[str, Any]] = {
  "gradient": {"color": INK, "linewidth": 2.6, "alpha": 0.55},
  "loss": {"color": "#B5121B", "linewidth": 1.5},
  "critic": {"color": INK, "linewidth": 1.3, "dashes": (5, 1.5)},
  "generator": {"color": "#7A6A00", "linewidth": 1.8, "dashes": (1.2, 1)},
}
MARGIN = 0.3  # decades


class Factors(NamedTuple):
  """log10 changes since the first row with a gradient, [T] each, keys of `LINES`: the mean over runs."""

  steps: np.ndarray
  changes: dict[str, np.ndarray]


def course(members: tuple[Run, ...]) -> Factors | None:
  """The mean course of these runs; None where they have no gradient, or no factors.

  Changes are relative to each run's own first row with a gradient. Rows that some run lacks are left out.
  """
  logs, steps, begin = {}, np.zeros(0, np.int64), 0
  for name, metric in {"gradient": TOTAL, **FACTORS}.items():
    steps, values = common_steps(members, metric)
    if values.shape[0] == 0:
      return None
    with np.errstate(invalid="ignore"):
      logs[name] = np.log10(np.where(values == 0, TINY, np.where(values > 0, values, np.nan)))
    if name == "gradient":
      usable = np.flatnonzero(((values > 0) & np.isfinite(values)).all(0))
      if len(usable) < 2:
        return None
      begin = usable[0]
  at = np.linspace(begin, len(steps) - 1, min(len(steps) - begin, POINTS)).round().astype(int)
  return Factors(steps[at], {name: (x[:, at] - x[:, begin : begin + 1]).mean(0) for name, x in logs.items()})


def limits(courses: Sequence[Factors]) -> tuple[float, float]:
  """A common scale: from the deepest fall to the highest rise of all curves, -1 and +1 included."""
  values = np.concatenate([x[np.isfinite(x)] for c in courses for x in c.changes.values()])
  return min(float(values.min()), -1.0) - MARGIN, max(float(values.max()), 1.0) + MARGIN
