"""Curves and bars as SVG text.

A line is identified by its colour, its dash, the page's legend and the variant's name at its end. That name is the only
text of a study in a figure, and it passes through `plain`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gan_jax.report import statistics
from gan_jax.report.canvas import GREY, INK, RC, SIZE, Style, blank, change_text, log_axis, plain, step_text, svg
from gan_jax.report.records import Variant, common_steps
from gan_jax.report.statistics import FACTORS, Decades
from gan_jax.verdict import CALLED

POINTS = 300  # of a curve, at most; a figure is about as many pixels wide
BANDS = 3  # variants, at most, whose bands share an axis
SMALL_POINTS, SMALL_ACROSS = 80, 3  # points of a curve and squares per row, for squares of single variants
SPACING = 0.062  # between names at the ends of lines, as a share of the axes' height


def curves(
  variants: Sequence[tuple[Variant, Style]],
  metric: str,
  name: str,
  log: bool = False,
  span: float = 1.0,
  limits: tuple[float, float | None] | None = None,
  lines: Sequence[float] = (),
  marks: Sequence[int] = (),
  crowd: Sequence[Variant] = (),
) -> str | None:
  """One metric over steps: a line per variant, its mean over seeds, with the variant's name at its end.

  The range over seeds is a band where at most `BANDS` variants are drawn. More bands would hide one another; `each`
  draws them one by one.

  Args:
    variants: what to draw, in order.
    metric: the column. `raw/<metric>`, the same without averaging of the generator, is a thin dashed line where it
    exists. name: makes the ids inside the SVG differ from those of other figures; also its accessible name. log: log
    axis and geometric mean. span: decades that a log axis shows at least. limits: of the y axis. lines: y of horizontal
    reference lines. marks: steps of vertical lines. crowd: all variants of a panel that has too many to draw: grey
    bands of the middle 50 % and 80 % of their means.

  Returns:
    SVG text, or None where no variant has a finite value of this metric.
  """
  with matplotlib.rc_context({**RC, "svg.hashsalt": name, "text.parse_math": False}):
    figure, axes = blank(right=0.28 if len(variants) > 1 else 0.02)
    if crowd:
      _crowd(axes, crowd, metric, log)
    ends = []
    for variant, look in variants:
      found = course_of(variant, metric, log)
      if found is None:
        continue
      at, centre, low, high = found
      line: dict[str, Any] = {"color": look.colour, "linewidth": 1.5, "dashes": look.dash or (None, None)}
      axes.plot(at, centre, marker="o" if len(at) <= 12 else "", markersize=3, **line)
      if len(variants) <= BANDS and not crowd and len(variant.counted) > 1:
        axes.fill_between(at, low, high, color=look.colour, alpha=0.16, linewidth=0)
      raw = course_of(variant, f"raw/{metric}", log)
      if raw is not None:
        axes.plot(raw[0], raw[1], color=look.colour, linewidth=0.8, dashes=(4, 2))
      last = centre[np.isfinite(centre)][-1]
      ends.append((float(last), plain(variant.label, 20), look.colour))
    if not ends:
      return None
    _dress(axes, log, span, limits, lines, marks)
    if len(variants) > 1:
      write_ends(axes, ends)
    return svg(figure, name)


def each(
  variants: Sequence[tuple[Variant, Style]],
  metric: str,
  name: str,
  log: bool = False,
  span: float = 1.0,
  limits: tuple[float, float | None] | None = None,
  lines: Sequence[float] = (),
  marks: Sequence[int] = (),
) -> str | None:
  """The same metric in a square per variant, all on one scale: its mean and its range over seeds, the others' means grey.

  None where at most `BANDS` variants have a finite value: `curves` draws their bands. Arguments as of `curves`.
  """
  found = [(v, look, course) for v, look in variants if (course := course_of(v, metric, log, SMALL_POINTS)) is not None]
  if len(found) <= BANDS or all(len(v.counted) < 2 for v, _, _ in found):
    return None
  across, down = SMALL_ACROSS, -(-len(found) // SMALL_ACROSS)
  with matplotlib.rc_context({**RC, "svg.hashsalt": name, "text.parse_math": False}):
    figure = Figure(figsize=(SIZE[0], 1.25 * down + 0.25))
    FigureCanvasSVG(figure)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    figure.subplots_adjust(0.11, 0.3 / figure.get_figheight(), 0.985, 1 - 0.2 / figure.get_figheight(), 0.1, 0.3)
    for axis in grid[len(found) :]:
      axis.set_visible(False)
    for axis, (variant, look, (at, centre, low, high)) in zip(grid, found, strict=False):
      for _, _, other in found:
        axis.plot(other[0], other[1], color=GREY, linewidth=0.5, alpha=0.6)
      axis.fill_between(at, low, high, color=look.colour, alpha=0.3, linewidth=0)
      axis.plot(at, centre, color=look.colour, linewidth=1.4)
      axis.set_title(plain(variant.label, 22), fontsize=8, loc="left", pad=2)
    _dress(grid[0], log, span, limits, lines, marks)
    for axis in grid:
      axis.set_xlabel("")
      axis.tick_params(labelsize=7.5, length=2)
      axis.xaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
    for axis in grid[max(len(found) - across, 0) : len(found)]:  # the last of each column
      axis.tick_params(labelbottom=True)
    return svg(figure, name)


def expected_best(entries: Sequence[tuple[str, Style, np.ndarray]], name: str, log: bool) -> str:
  """The best of k draws on average, as a curve over k for each (label, style, values [n])."""
  with matplotlib.rc_context({**RC, "svg.hashsalt": name, "text.parse_math": False}):
    figure, axes = blank(right=0.28)
    for _, look, values in entries:
      k = np.arange(1, len(values) + 1)
      axes.plot(
        k, values, color=look.colour, linewidth=1.5, dashes=look.dash or (None, None), marker="o", markersize=2.5
      )
    if log:
      log_axis(axes, 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set_xlabel("draws", labelpad=1)
    write_ends(axes, [(float(values[-1]), plain(label, 20), look.colour) for label, look, values in entries])
    return svg(figure, name)


Course = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def course_of(variant: Variant, metric: str, log: bool, points: int = POINTS) -> Course | None:
  """(steps, centre, low, high) over a variant's runs, at most `points` of each; None where nothing is finite."""
  steps, values = common_steps(variant.counted, metric)
  if not len(steps):
    return None
  found = _thin(steps, *statistics.band(values, log), points=points)
  return found if np.isfinite(found[1]).any() else None


def _crowd(axes: Axes, crowd: Sequence[Variant], metric: str, log: bool) -> None:
  """Draws the grey bands of many variants."""
  found = crowd_bands(crowd, metric, log)
  if found is None:
    return
  at, low, lower, upper, high = found
  axes.fill_between(at, low, high, color=GREY, alpha=0.25, linewidth=0)
  axes.fill_between(at, lower, upper, color=GREY, alpha=0.35, linewidth=0)


def crowd_bands(crowd: Sequence[Variant], metric: str, log: bool) -> tuple[np.ndarray, ...] | None:
  """(steps, and the 10, 25, 75 and 90 % quantiles of the means) of the variants whose steps are the most frequent ones."""
  courses = [course for variant in crowd if (course := course_of(variant, metric, log)) is not None]
  if not courses:
    return None
  kinds = Counter(tuple(course[0]) for course in courses)
  steps = kinds.most_common(1)[0][0]
  centres = np.stack([course[1] for course in courses if tuple(course[0]) == steps])
  there = np.isfinite(centres).any(0)
  at = np.asarray(steps)[there]
  return at, *np.nanquantile(centres[:, there], (0.1, 0.25, 0.75, 0.9), axis=0)


def _dress(
  axes: Axes,
  log: bool,
  span: float,
  limits: tuple[float, float | None] | None,
  lines: Sequence[float],
  marks: Sequence[int],
) -> None:
  """Reference lines, scales and ticks."""
  figure = axes.figure
  for one in figure.axes if figure else [axes]:
    for y in lines:
      one.axhline(y, color=INK, alpha=0.5, linewidth=0.8, dashes=(4, 3))
    for step in marks:
      one.axvline(step, color=INK, alpha=0.6, linewidth=0.9, dashes=(1, 2))
  if log:
    log_axis(axes, span)
  if limits:
    axes.set_ylim(*limits)
  axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
  axes.xaxis.set_major_formatter(FuncFormatter(step_text))
  axes.set_xlabel("step", labelpad=1)


def write_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
  """Write names (value, text, colour) beside the right ends of their lines, moved apart where they would overlap."""
  axes.get_ylim()  # before that, what is plotted has not set the scale yet
  transform = axes.transData + axes.transAxes.inverted()
  heights = [float(transform.transform((0, value))[1]) for value, _, _ in ends]
  order = np.argsort(heights, kind="stable")
  room = min(SPACING, 1.0 / max(len(ends) - 1, 1))
  places: list[float] = []
  for i in order:
    places.append(max(min(max(heights[i], 0.0), 1.0), places[-1] + room if places else 0.0))
  ceiling = 1.0
  for i in reversed(range(len(places))):
    places[i] = min(places[i], ceiling)
    ceiling = places[i] - room
  for i, y in zip(order, places, strict=True):
    _, text, colour = ends[i]
    axes.text(1.045, y, text, fontsize=8, va="center", transform=axes.transAxes, clip_on=False)
    axes.plot(
      [1.003, 1.038], [min(max(heights[i], 0.0), 1.0), y], color=colour, linewidth=1.8,
      transform=axes.transAxes, clip_on=False, scalex=False, scaley=False,
    )  # fmt: skip


def decades_shown(variants: Sequence[tuple[Variant, Style]], metrics: Sequence[str]) -> float:
  """The widest range of any of these metrics in decades, with a margin: a common scale for figures that are compared."""
  widest = 1.0
  for metric in metrics:
    found = [common_steps(variant.counted, metric)[1] for variant, _ in variants]
    values = [statistics.band(x, True) for x in found if x.size]
    low = min((float(np.nanmin(b[1])) for b in values if np.isfinite(b[1]).any()), default=1.0)
    high = max((float(np.nanmax(b[2])) for b in values if np.isfinite(b[2]).any()), default=1.0)
    widest = max(widest, 1.1 * float(np.log10(high / low)))
  return widest


def factor_bars(changes: Sequence[tuple[Decades, Style]], name: str) -> str | None:
  """Bars of the changes of the generator's gradient norm and of its three factors, in decades."""
  if not changes:
    return None
  with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
    figure, axes = blank()
    width = 0.8 / len(changes)
    for i, (change, look) in enumerate(changes):
      heights = [change.total, *(change.factors[factor] for factor in FACTORS)]
      places = np.arange(len(heights)) + (i - (len(changes) - 1) / 2) * width
      hatch: dict[str, Any] = {} if not look.dash else {"hatch": "////", "edgecolor": look.colour, "fill": False}
      axes.bar(places, heights, width * 0.9, color=look.colour, linewidth=0, **hatch)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(0.5, color=INK, alpha=0.4, linewidth=0.8)
    axes.set_xticks(range(1 + len(FACTORS)), ["gradient", *(CALLED[factor] for factor in FACTORS)])
    axes.tick_params(axis="x", length=0)
    axes.grid(False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(change_text))
    return svg(figure, name)


def _thin(
  steps: np.ndarray, centre: np.ndarray, low: np.ndarray, high: np.ndarray, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """At most `points` rows: of every group of neighbours, the centre of the middle one and the extremes of the band."""
  if len(steps) <= points:
    return steps, centre, low, high
  cells = np.array_split(np.arange(len(steps)), points)
  middle = np.asarray([cell[len(cell) // 2] for cell in cells])
  middle[-1] = len(steps) - 1  # a curve ends at the value that the table shows
  lowest, highest = (
    np.asarray([extreme(column[cell]) for cell in cells]) for extreme, column in ((np.min, low), (np.max, high))
  )
  return steps[middle], centre[middle], lowest, highest
