"""Scales and SVG pieces of the page's plots over steps, drawn by hand: letters keep their size on a phone, the page's style
sheet gives the colours of text and rules, and each line can be switched off.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from gan_jax.report import canvas

MOST_TICKS = 7


class Box(NamedTuple):
  """The size of a plot in the units of its SVG, and the margins around its axes."""

  width: float
  height: float
  left: float
  top: float
  right: float
  bottom: float


class Axis(NamedTuple):
  """A scale: `low` at the one end and `high` at the other (logarithms of both, if `log`), and its ticks (value, text)."""

  low: float
  high: float
  log: bool
  ticks: tuple[tuple[float, str], ...]

  def share(self, values: np.ndarray | float) -> np.ndarray:
    """Where values lie, 0 at the low end and 1 at the high end; not finite where they have no place."""
    with np.errstate(divide="ignore", invalid="ignore"):
      x = np.log10(np.asarray(values, np.float64)) if self.log else np.asarray(values, np.float64)
    return (x - self.low) / (self.high - self.low)


def levels(values: np.ndarray, log: bool, span: float, limits: tuple[float, float | None] | None) -> Axis:
  """The vertical axis for finite values. `span`: decades that a log axis shows at least; `limits`: of a linear one."""
  if log:
    x = np.log10(values[values > 0]) if (values > 0).any() else np.zeros(1)
    middle, half = (x.min() + x.max()) / 2, max((x.max() - x.min()) * 1.08, span, 0.3) / 2
    return Axis(middle - half, middle + half, True, _powers(middle - half, middle + half))
  low, high = float(values.min()), float(values.max())
  room = 0.05 * (high - low) or 0.5
  low, high = low - room, high + room
  if limits is not None:
    low, high = limits[0], high if limits[1] is None else limits[1]
  return Axis(low, high, False, _rounds(low, high, 5, lambda y: f"{y:,g}".replace("-", "−")))


def steps(first: float, last: float, count: int = 5) -> Axis:
  """The horizontal axis: steps in full, `1,500`. `count`: ticks, about; 0: the ends only."""
  last = max(last, first + 1)
  if not count:
    return Axis(first, last, False, ((first, f"{first:,.0f}"), (last, f"{last:,.0f} steps")))
  (start, text), *others = _rounds(first, last, count, lambda x: f"{x:,.0f}", integer=True)
  return Axis(first, last, False, ((start, f"step {text}"), *others))


def decades(low: float, high: float) -> Axis:
  """An axis of changes in decades, whose ticks say the factor: `÷1,000`."""
  return Axis(low, high, False, _rounds(low, high, 5, canvas.factor_text, integer=True))


def _rounds(low: float, high: float, count: int, said: Callable[[float], str], integer: bool = False) -> tuple:
  found = MaxNLocator(count, integer=integer, steps=[1, 2, 5, 10]).tick_values(low, high)
  room = 1e-9 * (high - low)
  return tuple((float(x), said(round(float(x), 12) + 0.0)) for x in found if low - room <= x <= high + room)


def _powers(low: float, high: float) -> tuple[tuple[float, str], ...]:
  """Powers of ten, or 1, 2 and 5 times them where there are few: one label alone gives no scale."""
  powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
  inside = [p for p in powers if low <= p <= high]
  if len(inside) >= 3:
    values = [10.0**p for p in inside[:: -(-len(inside) // MOST_TICKS)]]
  else:
    values = [m * 10.0**p for p in powers for m in (1, 2, 5)]
  return tuple((y, canvas.level_text(y)) for y in values if low <= np.log10(y) <= high)


class Frame(NamedTuple):
  """Axes within a box."""

  box: Box
  x: Axis
  y: Axis

  @property
  def inner(self) -> tuple[float, float, float, float]:
    """(left, right, top, bottom) of the axes."""
    b = self.box
    return b.left, b.width - b.right, b.top, b.height - b.bottom

  def across(self, at: np.ndarray | float) -> np.ndarray:
    left, right, _, _ = self.inner
    return left + self.x.share(at) * (right - left)

  def down(self, values: np.ndarray | float) -> np.ndarray:
    _, _, top, bottom = self.inner
    return bottom - self.y.share(values) * (bottom - top)

  def svg(self, name: str, content: str, kind: str = "plot") -> str:
    """The plot: grid, ticks and then the content. It carries its scales, for the page's script."""
    left, right, top, bottom = self.inner
    scales = (
      f"{left:g} {right:g} {self.x.low:.6g} {self.x.high:.6g} {top:g} {bottom:g} {self.y.low:.6g} {self.y.high:.6g}"
    )
    return (
      f'<svg class="{kind}" role="img" aria-label="{name}" viewBox="0 0 {self.box.width:g} {self.box.height:g}" '
      f'data-scales="{scales} {int(self.y.log)}">{self._rules()}{content}</svg>'
    )

  def _rules(self) -> str:
    left, right, top, bottom = self.inner
    grid = "".join(f"M{left:g} {self.down(y):.1f}H{right:g}" for y, _ in self.y.ticks)
    grid += "".join(f"M{self.across(x):.1f} {top:g}V{bottom:g}" for x, _ in self.x.ticks)
    text = "".join(
      f'<text x="{left - 4:g}" y="{self.down(y) + 3.5:.1f}" text-anchor="end">{said}</text>' for y, said in self.y.ticks
    )
    for x, said in self.x.ticks:
      end = ' text-anchor="end"' if self.x.share(x) > 0.97 and self.box.right < 8 else ' text-anchor="middle"'
      text += f'<text x="{self.across(x):.1f}" y="{bottom + 13:g}"{end}>{said}</text>'
    frame = f"M{left:g} {top:g}V{bottom:g}H{right:g}"
    return f'<path class="rule" d="{grid}"/><path class="frame" d="{frame}"/>{text}'

  def path(self, at: np.ndarray, values: np.ndarray) -> str:
    """The line through finite points; it is interrupted at others, and stays at an edge beyond it."""
    return pen(*self._points(at, values))

  def band(self, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """The area between two lines, in a piece for each stretch of finite points."""
    x, bottom = self._points(at, low)
    _, top = self._points(at, high)
    there = np.isfinite(bottom) & np.isfinite(top)
    pieces = np.split(np.arange(len(x)), np.flatnonzero(np.diff(there.astype(int))) + 1) if len(x) else []
    drawn = []
    for piece in pieces:
      if len(piece) > 1 and there[piece[0]]:
        back = piece[::-1]
        corners = [*zip(x[piece], bottom[piece], strict=True), *zip(x[back], top[back], strict=True)]
        drawn.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z")
    return "".join(drawn)

  def _points(self, at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, _, top, bottom = self.inner
    return self.across(at), np.clip(self.down(values), top - 1, bottom + 1)


def pen(x: np.ndarray, y: np.ndarray) -> str:
  """A line through points [N], lifted where it is not finite."""
  drawn, lifted = [], True
  for a, b in zip(x, y, strict=True):
    if np.isfinite(b):
      drawn.append(f"{'M' if lifted else 'L'}{a:.1f} {b:.1f}")
    lifted = not np.isfinite(b)
  return "".join(drawn)
