"""The curves of `curves` for files, by matplotlib; and bars, and what a search expects, which the page shows too.

A line is identified by its colour, its dash, the legend and the variant's name at its end. That name is the only text of
a study in a figure, and it passes through `plain`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gan_jax.report.canvas import GREY, INK, SIZE, Style, blank, change_text, log_axis, plain, step_axis, styled, svg
from gan_jax.report.curves import DOTS, Plot, Scale, apart
from gan_jax.report.factors import LINES, Factors
from gan_jax.report.statistics import FACTORS, Decades
from gan_jax.verdict import CALLED

ACROSS = 3  # squares per row, of single variants
SPACING = 0.062  # between names at the ends of lines, as a share of the axes' height


def curves(plot: Plot, name: str) -> str:
  """A line per variant, with the variant's name at its end, as SVG text.

  `name` makes the ids inside the SVG differ from those of other figures; it is also its accessible name.
  """
  with styled(name):
    figure, axes = blank(right=0.28 if plot.named else 0.02)
    if plot.crowd is not None:
      at, low, lower, upper, high = plot.crowd
      axes.fill_between(at, low, high, color=GREY, alpha=0.25, linewidth=0)
      axes.fill_between(at, lower, upper, color=GREY, alpha=0.35, linewidth=0)
    for curve in plot.curves:
      at, centre, low, high = curve.course
      colour, dash = curve.look.colour, curve.look.dash or (None, None)
      marker = "o" if len(at) <= DOTS else ""
      axes.plot(at, centre, marker=marker, markersize=3, color=colour, linewidth=1.5, dashes=dash)
      if plot.bands and curve.several:
        axes.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
      if curve.raw is not None:
        axes.plot(curve.raw.steps, curve.raw.centre, color=colour, linewidth=0.8, dashes=(4, 2))
    _dress(axes, plot.scale)
    if plot.named:
      write_ends(axes, [(curve.end, plain(curve.label, 20), curve.look.colour) for curve in plot.curves])
    return svg(figure, name)


def each(plot: Plot, name: str) -> str:
  """A square per variant, all on one scale: its mean and its range over runs, the others' means grey."""
  across, down = ACROSS, -(-len(plot.curves) // ACROSS)
  with styled(name):
    figure = Figure(figsize=(SIZE[0], 1.25 * down + 0.25))
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    figure.subplots_adjust(0.11, 0.3 / figure.get_figheight(), 0.985, 1 - 0.2 / figure.get_figheight(), 0.1, 0.3)
    for axis in grid[len(plot.curves) :]:
      axis.set_visible(False)
    for axis, curve in zip(grid, plot.curves, strict=False):
      for other in plot.curves:
        axis.plot(other.course.steps, other.course.centre, color=GREY, linewidth=0.5, alpha=0.6)
      at, centre, low, high = curve.course
      axis.fill_between(at, low, high, color=curve.look.colour, alpha=0.3, linewidth=0)
      axis.plot(at, centre, color=curve.look.colour, linewidth=1.4)
      if curve.raw is not None:
        axis.plot(curve.raw.steps, curve.raw.centre, color=curve.look.colour, linewidth=0.8, dashes=(4, 2))
      axis.set_title(plain(curve.label, 22), fontsize=8, loc="left", pad=2)
    _dress(grid[0], plot.scale)
    for axis in grid:
      axis.set_xlabel("")
      axis.tick_params(labelsize=7.5, length=2)
      axis.xaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
    for axis in grid[max(len(plot.curves) - across, 0) : len(plot.curves)]:  # the last of each column
      axis.tick_params(labelbottom=True)
    return svg(figure, name)


def _dress(axes: Axes, scale: Scale) -> None:
  """Reference lines, scales and ticks."""
  for one in axes.figure.axes:
    for y in scale.lines:
      one.axhline(y, color=INK, alpha=0.5, linewidth=0.8, dashes=(4, 3))
    for step in scale.marks:
      one.axvline(step, color=INK, alpha=0.6, linewidth=0.9, dashes=(1, 2))
  if scale.log:
    log_axis(axes, scale.span)
  if scale.limits:
    axes.set_ylim(*scale.limits)
  step_axis(axes)


def write_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
  """Write names (value, text, colour) beside the right ends of their lines, moved apart where they would overlap."""
  axes.get_ylim()  # before that, what is plotted has not set the scale yet
  transform = axes.transData + axes.transAxes.inverted()
  heights = [min(max(float(transform.transform((0, value))[1]), 0.0), 1.0) for value, _, _ in ends]
  for (_, text, colour), height, y in zip(ends, heights, apart(heights, SPACING, 0.0, 1.0), strict=True):
    axes.text(1.045, y, text, fontsize=8, va="center", transform=axes.transAxes, clip_on=False)
    axes.plot(
      [1.003, 1.038], [height, y], color=colour, linewidth=1.8,
      transform=axes.transAxes, clip_on=False, scalex=False, scaley=False,
    )  # fmt: skip


def factors(found: Factors, scale: tuple[float, float], last: int, name: str, lines: Sequence[float]) -> str:
  """The changes of the gradient and of its factors under one variant.

  `scale`: of all variants, in decades; `last`: end of the step axis; `lines`: heights of reference lines.
  """
  with styled(name):
    drawing = Figure(figsize=(3.5, 2.3))
    axes = drawing.add_axes((0.125, 0.185, 0.825, 0.7))
    for key, line in LINES.items():
      axes.plot(found.steps, found.changes[key], **line)
    axes.axhline(0, color=INK, linewidth=0.8)
    for y in lines:
      axes.axhline(y, color=INK, alpha=0.5, linewidth=0.8, dashes=(4, 3))
    axes.set(xlim=(0, max(last, 1)), ylim=scale)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(change_text)
    step_axis(axes, 4)
    for place, (key, line) in zip((0.01, 0.24, 0.39, 0.72), LINES.items(), strict=True):
      drawing.add_artist(Line2D([place, place + 0.055], [0.945, 0.945], **line))
      drawing.text(place + 0.065, 0.945, CALLED.get(key, key), color=line["color"], fontsize=8.5, va="center")
    return svg(drawing, name)


def factor_bars(changes: Sequence[tuple[Decades, Style]], name: str) -> str:
  """Bars of the changes of the generator's gradient norm and of its three factors, in decades."""
  with styled(name):
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
    axes.yaxis.set_major_formatter(change_text)
    return svg(figure, name)


def expected_best(entries: Sequence[tuple[str, Style, np.ndarray]], name: str, log: bool) -> str:
  """The best of k draws on average, as a curve over k for each (label, style, values [n])."""
  with styled(name):
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
