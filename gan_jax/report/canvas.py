"""How every figure of a report looks: colours, axes, labels, and its SVG text, the same bytes for the same numbers."""

import contextlib
import contextvars
import io
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

SIZE = (5.2, 2.9)  # inches
GREY = "#8C8C8C"
# Okabe and Ito's colours without black and yellow, which vanish on a dark and on a light page, and a purple. No grey: that
# is what the gradient, the other variants and reference lines are drawn in.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8F5FD0")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
INK = "#010203"  # replaced by `currentColor`, the page's text colour
RC: dict[Any, Any] = {
  "svg.fonttype": "none",
  "svg.id": None,
  "path.simplify": False,
  "text.parse_math": False,
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
  key: str = ""  # what is switched on and off together has one key

  @property
  def stroke(self) -> str:
    """As attributes of a line in SVG."""
    dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in self.dash)}"' if self.dash else ""
    return f'stroke="{self.colour}"{dash}'


def style(index: int, key: str = "") -> Style:
  """The look of the index-th variant: seven colours, then the same colours dashed."""
  return Style(COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)], key)


def styled(name: str, grid: bool = True) -> contextlib.AbstractContextManager[None]:
  """The look of a figure, while it is drawn and saved; `name` makes the ids inside its SVG differ from those of others."""
  return matplotlib.rc_context({**RC, "svg.hashsalt": name, "axes.grid": grid})


def blank(right: float = 0.02) -> tuple[Figure, Axes]:
  """A figure and its axes, with a share of the width free on the right."""
  figure = Figure(figsize=SIZE)
  return figure, figure.add_axes((0.1, 0.15, 0.9 - right, 0.82))


def step_axis(axes: Axes, ticks: int = 5) -> None:
  """The horizontal axis of a figure over steps."""
  axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True, steps=[1, 2, 5, 10]))
  axes.xaxis.set_major_formatter(step_text)
  axes.set_xlabel("step", labelpad=1)


def log_axis(axes: Axes, span: float) -> None:
  axes.set_yscale("log")
  low, high = np.log10(axes.get_ylim())
  middle, half = (low + high) / 2, max(high - low, span) / 2  # or small changes would fill the axis
  axes.set_ylim(10 ** (middle - half), 10 ** (middle + half))
  powers = (
    np.floor(middle + half) - np.ceil(middle - half) + 1
  )  # powers of ten on the axis: one label alone gives no scale
  axes.yaxis.set_major_locator(LogLocator(subs=(1,) if powers >= 3 else (1, 2, 5), numticks=9))
  axes.yaxis.set_major_formatter(lambda y, _: level_text(y))
  axes.yaxis.set_minor_locator(NullLocator())
  axes.yaxis.set_minor_formatter(NullFormatter())


def level_text(y: float) -> str:
  """The label of a level of a log axis: `0.02`, `5000`, `10⁴`, `2·10⁴`.

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


def change_text(y: float, _: float = 0) -> str:
  """The label of a level of an axis of changes: `+1`, `0`, `−2`."""
  return f"{y:+g}".replace("-", "−") if y else "0"


def factor_text(y: float, _: float = 0) -> str:
  """The label of a change in decades, as the factor that it is, to two digits.

  >>> factor_text(1.0), factor_text(0.0), factor_text(-3.0), factor_text(-0.5), factor_text(-6.0)
  ('×10', '×1', '÷1,000', '÷3.2', '÷10⁶')
  """
  size = float(f"{10 ** abs(y):.2g}")
  return f"{'÷' if y < 0 and size > 1 else '×'}{f'{size:,g}' if size < 1e4 else level_text(size)}"


def step_text(x: float, _: float) -> str:
  return f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}"


def plain(text: str, longest: int = 28) -> str:
  """A study's text for use inside a figure: letters, digits and harmless signs, cut to a length.

  >>> plain("hinge <b>"), plain("discriminator_rate", 8)
  ('hinge ?b?', 'discrim…')
  """
  text = re.sub(r"[^\w .,:()+=%/−–-]", "?", text, flags=re.ASCII)
  return text if len(text) <= longest else text[: longest - 1] + "…"


def _hundredths(number: str) -> str:
  return f"{float(number):.2f}".rstrip("0").rstrip(".")


Finish = Callable[[Figure, str], str]
_FINISH: contextvars.ContextVar[Finish] = contextvars.ContextVar("finish")


@contextlib.contextmanager
def finished_by(finish: Finish) -> Iterator[None]:
  """While it lasts, `svg` gives each finished figure and its name to `finish`, and returns what that returns.

  So whoever wants the page's pictures as files draws the page, and gets every picture that it has.
  """
  token = _FINISH.set(finish)
  try:
    yield
  finally:
    _FINISH.reset(token)


def svg(figure: Figure, name: str) -> str:
  """The figure as an `<svg>` element: no prolog, no ids of groups, coordinates to 0.01 pt."""
  return _FINISH.get(_element)(figure, name)


def _element(figure: Figure, name: str) -> str:
  """The style sheet is removed too: in a page, its `*` selector would apply to all other figures. The page sets line
  joins.
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
