"""The curves of `curves` for the page, drawn by hand: SVG that takes its style from the page."""

import re
from collections.abc import Sequence

import numpy as np

from gan_jax.report import frames
from gan_jax.report.canvas import plain
from gan_jax.report.curves import DOTS, Curve, Plot, apart
from gan_jax.report.factors import Factors
from gan_jax.report.frames import Box, Frame
from gan_jax.report.template import breakable, swatch
from gan_jax.verdict import CALLED

WIDE = Box(374, 214, 42, 8, 124, 22)  # several lines, and their names
ALONE = WIDE._replace(right=10)  # one line
CELL = Box(176, 118, 36, 6, 6, 20)
OTHERS = 'fill="none" stroke="#8c8c8c" stroke-width="0.8" stroke-opacity="0.55"'  # `use` takes no style of the page
LETTERS = 11.5  # between names at the ends of lines


def curves(plot: Plot, name: str) -> str:
  """All variants on one axis, as SVG text; `name` is what it is called aloud."""
  frame = _frame(WIDE if plot.named else ALONE, plot)
  drawn = [_references(frame, plot.scale.lines, plot.scale.marks)]
  if plot.crowd is not None:
    at, *edges = plot.crowd
    drawn += [f'<path class="crowd" d="{frame.band(at, edges[i], edges[-1 - i])}"/>' for i in (0, 1)]
  places = apart([float(frame.down(curve.end)) for curve in plot.curves], LETTERS, frame.inner[2], frame.inner[3])
  for curve, place in zip(plot.curves, places, strict=True):
    pieces = _line(frame, curve, plot.bands and curve.several)
    if plot.named:
      right = frame.inner[1]
      start = f"M{right + 2:g} {frame.down(curve.end):.1f}"
      pieces += f'<path d="{start}L{right + 10:g} {place:.1f}" stroke="{curve.look.colour}"/>'
      pieces += f'<text x="{right + 12:g}" y="{place + 3.5:.1f}">{plain(curve.label, 20)}</text>'
    drawn.append(f'<g class="line" data-look="{curve.look.key}">{pieces}</g>')
  return frame.svg(name, "".join(drawn))


def each(plot: Plot, name: str) -> str:
  """A plot per variant on one scale, as HTML: its mean, its range over runs, the others' means grey behind it."""
  frame = _frame(CELL, plot, 0)
  key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
  others = "".join(
    f'<path data-look="{c.look.key}" d="{frame.path(c.course.steps, c.course.centre)}"/>' for c in plot.curves
  )
  cells = [f'<svg class="defs" aria-hidden="true"><g id="{key}" {OTHERS}>{others}</g></svg>']
  for curve in plot.curves:
    line = f'<g class="line" data-look="{curve.look.key}">{_line(frame, curve, curve.several)}</g>'
    content = f'{_references(frame, plot.scale.lines, plot.scale.marks)}<use class="others" href="#{key}"/>{line}'
    cells.append(
      f'<figure data-look="{curve.look.key}"><figcaption>{swatch(curve.look)}{breakable(curve.label)}</figcaption>'
      f"{frame.svg(f'{name}, {plain(curve.label)}', content, 'plot cell')}</figure>"
    )
  return f'<div class="cells">{"".join(cells)}</div>'


def factors(found: Factors, scale: tuple[float, float], last: int, name: str, lines: Sequence[float]) -> str:
  """The change of the generator's gradient and of its three factors; arguments as of `figures.factors`."""
  frame = Frame(Box(300, 176, 46, 6, 84, 22), frames.steps(0, last, 4), frames.decades(*scale))
  drawn = [f'<path class="zero" d="M{frame.inner[0]:g} {frame.down(0.0):.1f}H{frame.inner[1]:g}"/>']
  drawn.append(_references(frame, lines, ()))
  ends = [x[np.isfinite(x)] for x in found.changes.values()]
  heights = [float(frame.down(x[-1] if len(x) else 0.0)) for x in ends]
  places = apart(heights, LETTERS, frame.inner[2], frame.inner[3])
  for (factor, values), place in zip(found.changes.items(), places, strict=True):
    kind = f"factor {factor}"
    drawn.append(f'<path class="{kind}" d="{frame.path(found.steps, values)}"/>')
    text = CALLED.get(factor, factor)
    drawn.append(f'<text class="{kind}" x="{frame.inner[1] + 5:g}" y="{place + 3.5:.1f}">{text}</text>')
  return frame.svg(name, "".join(drawn))


def _frame(box: Box, plot: Plot, ticks: int = 5) -> Frame:
  """Axes that hold all that is drawn."""
  seen = [course for curve in plot.curves for course in (curve.course, curve.raw) if course is not None]
  values = np.concatenate([x for _, *own in [*seen, *([plot.crowd] if plot.crowd else [])] for x in own])
  at = np.concatenate([course.steps for course in seen])
  across = frames.steps(min(float(at.min()), 0.0), float(at.max()), ticks)
  scale = plot.scale
  return Frame(box, across, frames.levels(values[np.isfinite(values)], scale.log, scale.span, scale.limits))


def _line(frame: Frame, curve: Curve, band: bool) -> str:
  (at, centre, low, high), colour = curve.course, curve.look.colour
  drawn = f'<path class="band" d="{frame.band(at, low, high)}" color="{colour}"/>' if band else ""
  drawn += f'<path class="mean" d="{frame.path(at, centre)}" {curve.look.stroke}/>'
  if len(at) <= DOTS:
    spots = zip(frame.across(at), frame.down(centre), strict=True)
    dots = "".join(f"M{x:.1f} {y:.1f}h.01" for x, y in spots if np.isfinite(y))
    drawn += f'<path class="dots" d="{dots}" stroke="{colour}"/>'
  if curve.raw is not None:
    drawn += f'<path class="raw" d="{frame.path(curve.raw.steps, curve.raw.centre)}" stroke="{colour}"/>'
  return drawn


def _references(frame: Frame, lines: Sequence[float], marks: Sequence[int]) -> str:
  left, right, top, bottom = frame.inner
  drawn = [f'<path class="reference" d="M{left:g} {frame.down(y):.1f}H{right:g}"/>' for y in lines]
  marks = [mark for mark in marks if frame.x.low <= mark <= frame.x.high]
  return "".join(drawn + [f'<path class="mark" d="M{frame.across(x):.1f} {top:g}V{bottom:g}"/>' for x in marks])
