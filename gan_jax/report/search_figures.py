"""Pictures of a tournament: intervals in lines, quality over the budget, and a map of rank correlations."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from gan_jax.report.canvas import COLOURS, GREY, INK, SIZE, blank, level_text, log_axis, plain, styled, svg
from gan_jax.report.effects import Effects, Rank
from gan_jax.report.figures import write_ends
from gan_jax.report.places import Tournament

LINE, MARGIN = 0.21, 0.5  # inches: of a line, and of what stands below the lines
LABEL = 33  # characters
BEST, OTHER = COLOURS[0], COLOURS[4]


class Mark(NamedTuple):
  """A line of `forest`: an estimate and its interval; filled, or hollow."""

  label: str
  mean: float
  low: float
  high: float
  filled: bool


def forest(marks: Sequence[Mark], name: str, log: bool, words: str, line: float | None = None) -> str:
  """Estimates with their intervals, a line each, the first on top. `line`: where a dashed line stands."""
  with styled(name):
    figure, axes = _lines(len(marks))
    for place, mark in enumerate(marks):
      if not np.isfinite(mark.mean):
        continue
      axes.plot([mark.low, mark.high], [place, place], color=BEST if mark.filled else OTHER, linewidth=1.6)
      face: dict[str, Any] = {"markerfacecolor": BEST} if mark.filled else {"markerfacecolor": "none"}
      axes.plot([mark.mean], [place], "o", color=BEST if mark.filled else OTHER, markersize=5.5, **face)
    if line is not None:
      axes.axvline(line, color=INK, alpha=0.5, linewidth=0.8, dashes=(4, 3))
    if log:
      _log_across(axes, marks)
    _dress(axes, [mark.label for mark in marks], words)
    return svg(figure, name)


def _lines(count: int, left: float = 0.44) -> tuple[Figure, Axes]:
  height = LINE * count + MARGIN
  figure = Figure(figsize=(SIZE[0], height))
  return figure, figure.add_axes((left, 0.42 / height, 0.97 - left, 1 - MARGIN / height))


def _dress(axes: Axes, labels: Sequence[str], words: str) -> None:
  axes.set_yticks(range(len(labels)), [plain(label, LABEL) for label in labels], fontsize=8.5)
  axes.set_ylim(len(labels) - 0.4, -0.6)
  axes.tick_params(axis="y", length=0)
  axes.grid(False, axis="y")
  axes.set_xlabel(words, labelpad=1)


def _log_across(axes: Axes, marks: Sequence[Mark]) -> None:
  """A log axis over the estimates and their intervals; one that is far wider than the estimates is cut off."""
  means = np.log([m.mean for m in marks if np.isfinite(m.mean) and m.mean > 0])
  ends = np.log([x for m in marks for x in (m.low, m.high) if np.isfinite(x) and x > 0])
  room = max(np.ptp(means), 0.5)
  low, high = max(ends.min(), means.min() - room), min(ends.max(), means.max() + room)
  if high - low < 1e-9:  # all are equal
    low, high = low - 0.25, high + 0.25
  axes.set_xscale("log")
  axes.set_xlim(np.exp(low - 0.05 * (high - low)), np.exp(high + 0.05 * (high - low)))
  decades = (high - low) / np.log(10)
  subs = (1,) if decades >= 2.5 else (1, 2, 5) if decades >= 1 else (1, 1.5, 2, 3, 5, 7)
  axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
  axes.xaxis.set_major_formatter(lambda x, _: level_text(x))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_minor_formatter(NullFormatter())


def courses(found: Tournament, name: str) -> str:
  """Quality over the budget k: the best, the baseline and the worst in colour with intervals, the others grey."""
  told = dict.fromkeys((0, next(i for i, p in enumerate(found.places) if p.entry.label == found.baseline)))
  told[len(found.places) - 1] = None
  looks = dict(zip(told, (COLOURS[0], COLOURS[1], COLOURS[4]), strict=False))
  with styled(name):
    figure, axes = blank(right=0.3)
    ends = []
    for i, place in enumerate(found.places):
      k = np.arange(1, len(place.course) + 1)
      colour = looks.get(i, GREY)
      if i in looks:
        axes.fill_between(k, place.course[:, 1], place.course[:, 2], color=colour, alpha=0.16, linewidth=0)
        ends.append((float(place.course[-1, 0]), plain(place.entry.label, 20), colour))
      axes.plot(
        k, place.course[:, 0], color=colour, linewidth=1.6 if i in looks else 0.7, zorder=3 if i in looks else 2
      )
    axes.axvline(found.k, color=INK, alpha=0.6, linewidth=0.9, dashes=(1, 2))
    if found.log:
      means = np.concatenate([place.course[:, 0] for place in found.places])
      axes.set_ylim(means.min() / 1.5, means.max() * 1.5)
      log_axis(axes, 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set_xlabel("draws that the tuning may try", labelpad=1)
    write_ends(axes, ends)
    return svg(figure, name)


def ranks(found: Effects, name: str) -> str:
  """A map of rank correlations: a line for each setting and for all together, a column for each drawn number."""
  rows = [("all together", found.overall), *zip(found.labels, found.ranks, strict=True)]
  with styled(name, grid=False):
    height = LINE * len(rows) + 0.62
    figure = Figure(figsize=(SIZE[0], height))
    axes = figure.add_axes((0.44, 0.02, 0.54, 1 - 0.6 / height))
    for line, (_, row) in enumerate(rows):
      for column, rank in enumerate(row):
        _cell(axes, column, line, rank)
    axes.axhline(0.5, color=INK, linewidth=0.8)
    axes.set_xlim(-0.5, len(found.numbers) - 0.5)
    axes.set_xticks(range(len(found.numbers)), [_short(number) for number in found.numbers], fontsize=8.5)
    axes.xaxis.tick_top()
    axes.tick_params(axis="both", length=0)
    axes.set_yticks(range(len(rows)), [plain(label, LABEL) for label, _ in rows], fontsize=8.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for side in axes.spines.values():
      side.set_visible(False)
    return svg(figure, name)


def _cell(axes: Axes, column: int, line: int, rank: Rank) -> None:
  from matplotlib.patches import Rectangle

  colour = OTHER if rank.r > 0 else BEST
  axes.add_patch(
    Rectangle((column - 0.47, line - 0.44), 0.94, 0.88, color=colour, alpha=0.75 * abs(rank.r), linewidth=0)
  )
  text = f"{rank.r:+.2f}".replace("-", "−") + ("*" if rank.certain else "")
  axes.text(column, line, text, ha="center", va="center", fontsize=8, fontweight="bold" if rank.certain else "normal")


def _short(number: str) -> str:
  """A field's name in two lines: `generator` over `rate`; an option without its field."""
  return plain(number.rpartition(".")[2], 30).replace("_", "\n", 1)
