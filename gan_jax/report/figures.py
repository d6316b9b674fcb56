"""Curves and bars as SVG text, small and the same bytes for the same numbers. No text in them comes from a study.

Variants are told apart by colour and dash in the page's own legend, and titles are the page's captions: what a person
typed is escaped in one place, and both stay readable where the figure is small.
"""

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from gan_jax.report import statistics
from gan_jax.report.records import Variant, common_steps
from gan_jax.report.statistics import FACTORS, Decades

POINTS = 300  # of a curve: a figure has about as many pixels across
SIZE = (4.6, 2.9)  # inches
# Okabe and Ito's colours without black and yellow, which vanish on a dark and on a light page, and a grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C8C8C")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
INK = "#010203"  # becomes `currentColor`: the page's text colour, dark or light
RC: dict[Any, Any] = {
  "svg.fonttype": "none",
  "svg.id": None,
  "path.simplify": False,
  "font.size": 9.5,
  "text.color": INK,
  "axes.edgecolor": INK,
  "axes.labelcolor": INK,
  "axes.linewidth": 0.6,
  "xtick.color": INK,
  "ytick.color": INK,
  "figure.facecolor": "none",
  "axes.facecolor": "none",
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.grid": True,
  "grid.color": INK,
  "grid.alpha": 0.12,
  "grid.linewidth": 0.6,
}


class Style(NamedTuple):
  colour: str
  dash: tuple[float, ...]


def style(index: int) -> Style:
  """The look of the index-th variant: seven colours, then the same colours dashed."""
  return Style(COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)])


def curves(
  variants: Sequence[tuple[Variant, Style]],
  metric: str,
  name: str,
  log: bool = False,
  span: float = 1.0,
  limits: tuple[float, float | None] | None = None,
  lines: Sequence[float] = (),
  marks: Sequence[int] = (),
) -> str | None:
  """One metric over steps: a line per variant, the mean over seeds, and their range as a band.

  Args:
    variants: what to draw, in order.
    metric: the column.
    name: sets the ids inside the SVG apart from other figures' of the page; also its accessible name.
    log: log axis and geometric mean.
    span: decades that a log axis shows at least.
    limits: of the y axis.
    lines: y of horizontal reference lines.
    marks: steps of vertical lines.

  Returns:
    SVG text, or None where no variant has a finite value of this metric.
  """
  with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
    figure, axes = _blank()
    drawn = False
    for variant, look in variants:
      steps, values = common_steps(variant.counted, metric)
      at, centre, low, high = _thin(steps, *statistics.band(values, log)) if len(steps) else (steps,) * 4
      if not np.isfinite(centre).any():
        continue
      drawn = True
      line: dict[str, Any] = {"color": look.colour, "linewidth": 1.5, "dashes": look.dash or (None, None)}
      axes.plot(at, centre, marker="o" if len(at) <= 12 else "", markersize=3, **line)
      if len(values) > 1:
        axes.fill_between(at, low, high, color=look.colour, alpha=0.16, linewidth=0)
    if not drawn:
      return None
    for y in lines:
      axes.axhline(y, color=INK, alpha=0.5, linewidth=0.8, dashes=(4, 3))
    for step in marks:
      axes.axvline(step, color=INK, alpha=0.6, linewidth=0.9, dashes=(1, 2))
    if log:
      _log_axis(axes, span)
    if limits:
      axes.set_ylim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(step_text))
    axes.set_xlabel("step", labelpad=1)
    return svg(figure, name)


def decades_shown(variants: Sequence[tuple[Variant, Style]], metrics: Sequence[str]) -> float:
  """The widest range of any of these metrics, in decades and with its margin: one scale for figures to be compared."""
  widest = 1.0
  for metric in metrics:
    found = [common_steps(variant.counted, metric)[1] for variant, _ in variants]
    values = [statistics.band(x, True) for x in found if x.size]
    low = min((float(np.nanmin(b[1])) for b in values if np.isfinite(b[1]).any()), default=1.0)
    high = max((float(np.nanmax(b[2])) for b in values if np.isfinite(b[2]).any()), default=1.0)
    widest = max(widest, 1.1 * float(np.log10(high / low)))
  return widest


def factor_bars(changes: Sequence[tuple[Decades, Style]], name: str) -> str | None:
  """log10(last / first) of the generator's gradient norm and of its three factors: a group of bars each."""
  if not changes:
    return None
  with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
    figure, axes = _blank()
    width = 0.8 / len(changes)
    for i, (change, look) in enumerate(changes):
      heights = [change.total, *(change.factors[factor] for factor in FACTORS)]
      places = np.arange(len(heights)) + (i - (len(changes) - 1) / 2) * width
      hatch: dict[str, Any] = {} if not look.dash else {"hatch": "////", "edgecolor": look.colour, "fill": False}
      axes.bar(places, heights, width * 0.9, color=look.colour, linewidth=0, **hatch)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(0.5, color=INK, alpha=0.4, linewidth=0.8)
    axes.set_xticks(range(1 + len(FACTORS)), ["gradient", *FACTORS])
    axes.tick_params(axis="x", length=0)
    axes.grid(False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(change_text))
    return svg(figure, name)


def _blank() -> tuple[Figure, Axes]:
  figure = Figure(figsize=SIZE)
  FigureCanvasSVG(figure)
  return figure, figure.add_axes((0.115, 0.15, 0.865, 0.82))


def _thin(steps: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
  """At most `POINTS` rows: of each run of neighbours the middle one's centre, and the extremes of the band."""
  if len(steps) <= POINTS:
    return (steps, *columns)
  cells = np.array_split(np.arange(len(steps)), POINTS)
  middle = np.asarray([cell[len(cell) // 2] for cell in cells])
  middle[-1] = len(steps) - 1  # a curve ends where the table's number is
  centre, low, high = columns
  return (
    steps[middle],
    centre[middle],
    *(np.asarray([extreme(column[cell]) for cell in cells]) for extreme, column in ((np.min, low), (np.max, high))),
  )


def _log_axis(axes: Axes, span: float) -> None:
  axes.set_yscale("log")
  low, high = np.log10(axes.get_ylim())
  middle, half = (low + high) / 2, max(high - low, span) / 2  # a flat line is not a drama
  axes.set_ylim(10 ** (middle - half), 10 ** (middle + half))
  axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if half <= 0.75 else (1,), numticks=7))
  axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: level_text(y)))
  axes.yaxis.set_minor_locator(NullLocator())
  axes.yaxis.set_minor_formatter(NullFormatter())


def level_text(y: float) -> str:
  """A level of a log axis as what it is: `0.02`, `5000`, `10⁴`, `2·10⁴`.

  >>> level_text(5000.0), level_text(2e4), level_text(1e-7)
  ('5000', '2·10⁴', '10⁻⁷')
  """
  if not y > 0:
    return ""
  if 0.0099 < y < 9999.5:
    return f"{y:g}"
  mantissa, exponent = f"{y:.2e}".split("e")
  power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
  return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"


def change_text(y: float, _: int = 0) -> str:
  """A level of an axis of changes: `+1`, `0`, `−2`."""
  return f"{y:+g}".replace("-", "−") if y else "0"


def step_text(x: float, _: int) -> str:
  return f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}"


def plain(text: str, longest: int = 28) -> str:
  """What a study says, for use inside a figure: letters, digits and harmless signs, cut to a length.

  >>> plain("hinge <b>"), plain("discriminator_rate", 8)
  ('hinge ?b?', 'discrim…')
  """
  text = re.sub(r"[^\w .,:()+=%/−–-]", "?", text, flags=re.ASCII)
  return text if len(text) <= longest else text[: longest - 1] + "…"


def _hundredths(number: str) -> str:
  return f"{float(number):.2f}".rstrip("0").rstrip(".")


def svg(figure: Figure, name: str) -> str:
  """The figure as an `<svg>` element: no prolog, no ids of groups, coordinates to 0.01 pt.

  Nor its style sheet: inside a page, its `*` selector would restyle every other drawing. The page sets the line joins.
  """
  buffer = io.StringIO()
  figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
  text = buffer.getvalue()
  text = text[text.index("<svg") :]
  text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
  text = re.sub(r' id="[A-Za-z0-9.]+_[0-9]+"', "", text)
  text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # the page's own
  text = re.sub(r">[^<]*<|-?\d+\.\d{3,}", lambda found: found[0] if found[0][0] == ">" else _hundredths(found[0]), text)
  text = re.sub(r"\s*\n\s*", " ", text).replace(INK, "currentColor")
  return re.sub(r'^<svg ([^>]*?) ?width="[^"]*"', rf'<svg role="img" aria-label="{name}" \1', text, count=1)
