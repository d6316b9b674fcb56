"""When each factor of the generator's gradient fell: one small picture per variant, all on one scale."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gan_jax.report import canvas, figures
from gan_jax.report.canvas import INK, RC
from gan_jax.report.records import Run, common_steps
from gan_jax.report.statistics import FACTORS, TINY, TOTAL
from gan_jax.verdict import CALLED

SIZE = (3.5, 2.3)  # inches
# None of these is a colour of a variant, so that a factor is not mistaken for a loss; the page has the same in its style.
LINES: dict[str, dict[str, Any]] = {
  "gradient": {"color": INK, "linewidth": 2.6, "alpha": 0.55},
  "loss": {"color": "#B5121B", "linewidth": 1.5},
  "critic": {"color": INK, "linewidth": 1.3, "dashes": (5, 1.5)},
  "generator": {"color": "#7A6A00", "linewidth": 1.8, "dashes": (1.2, 1)},
}
MARGIN = 0.3  # decades


class Course(NamedTuple):
  """log10 changes since the first row with a gradient, [T] each, keys of `LINES`: the mean over runs."""

  steps: np.ndarray
  changes: dict[str, np.ndarray]


def course(members: tuple[Run, ...]) -> Course | None:
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
  changes = {name: (x - x[:, begin : begin + 1]).mean(0)[begin:] for name, x in logs.items()}
  return Course(steps[begin:], changes)


def limits(courses: Sequence[Course]) -> tuple[float, float]:
  """A common scale: from the deepest fall to the highest rise of all curves, -1 and +1 included."""
  values = np.concatenate([x[np.isfinite(x)] for c in courses for x in c.changes.values()])
  return min(float(values.min()), -1.0) - MARGIN, max(float(values.max()), 1.0) + MARGIN


def figure(found: Course, scale: tuple[float, float], last: int, name: str, lost: float) -> str:
  """The four curves of one variant as SVG text; `last`: end of the step axis; `lost`: decades of a vanished gradient."""
  with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
    drawing = Figure(figsize=SIZE)
    FigureCanvasSVG(drawing)
    axes = drawing.add_axes((0.125, 0.185, 0.825, 0.7))
    at = np.linspace(0, len(found.steps) - 1, min(len(found.steps), figures.POINTS)).round().astype(int)
    for key, line in LINES.items():
      axes.plot(found.steps[at], found.changes[key][at], **line)
    axes.axhline(0, color=INK, linewidth=0.8)
    if scale[0] < -lost:
      axes.axhline(-lost, color=INK, alpha=0.5, linewidth=0.8, dashes=(4, 3))
    axes.set(xlim=(0, max(last, 1)), ylim=scale)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(canvas.step_text))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(canvas.change_text))
    axes.set_xlabel("step", labelpad=1)
    for place, (key, line) in zip((0.01, 0.24, 0.39, 0.72), LINES.items(), strict=True):
      drawing.add_artist(Line2D([place, place + 0.055], [0.945, 0.945], **line))
      drawing.text(place + 0.065, 0.945, CALLED.get(key, key), color=line["color"], fontsize=8.5, va="center")
    return canvas.svg(drawing, name)
