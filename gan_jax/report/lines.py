"""Curves of variants over steps for the page. `figures` draws the same, with the same arguments, for files."""

import re
from collections.abc import Sequence

import numpy as np

from gan_jax.report import figures, plot
from gan_jax.report.canvas import Style, plain
from gan_jax.report.factors import Course as Factors
from gan_jax.report.figures import BANDS, Course, course_of
from gan_jax.report.plot import Box, Frame
from gan_jax.report.records import Variant

Drawn = tuple[Variant, Style, Course]
WIDE = Box(374, 214, 42, 8, 124, 22)  # several lines, and their names
ALONE = WIDE._replace(right=10)  # one line
CELL = Box(176, 118, 36, 6, 6, 20)
OTHERS = 'fill="none" stroke="#8c8c8c" stroke-width="0.8" stroke-opacity="0.55"'  # `use` takes no style of the page
LETTERS = 11.5  # between names at the ends of lines
TURNS = {"loss": "loss", "critic": "discriminator", "generator": "generator"}


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
  """One metric over steps, all variants on one axis; as `figures.curves`, and SVG text as there."""
  found = _found(variants, metric, log)
  if not found:
    return None
  raws = [course_of(variant, f"raw/{metric}", log) for variant, _, _ in found]
  bands = len(found) <= BANDS and not crowd
  crowded = figures.crowd_bands(crowd, metric, log) if crowd else None
  seen = [c for _, _, c in found] + [raw for raw in raws if raw is not None]
  frame = _frame(ALONE if len(variants) == 1 else WIDE, seen, crowded, log, span, limits)
  drawn = [_references(frame, lines, marks)]
  if crowded is not None:
    at, *edges = crowded
    drawn += [f'<path class="crowd" d="{frame.band(at, edges[i], edges[-1 - i])}"/>' for i in (0, 1)]
  ends = [float(c[1][np.isfinite(c[1])][-1]) for _, _, c in found]
  names = plot.apart([float(frame.down(y)) for y in ends], LETTERS, frame.inner[2], frame.inner[3])
  for (variant, look, own), raw, end, place in zip(found, raws, ends, names, strict=True):
    pieces = [_line(frame, own, look, bands and len(variant.counted) > 1)]
    if raw is not None:
      pieces.append(f'<path class="raw" d="{frame.path(raw[0], raw[1])}" stroke="{look.colour}"/>')
    if len(variants) > 1:
      right = frame.inner[1]
      pieces.append(
        f'<path d="M{right + 2:g} {frame.down(end):.1f}L{right + 10:g} {place:.1f}" stroke="{look.colour}"/>'
      )
      pieces.append(f'<text x="{right + 12:g}" y="{place + 3.5:.1f}">{_escaped(plain(variant.label, 20))}</text>')
    drawn.append(f'<g class="line" data-look="{look.key}">{"".join(pieces)}</g>')
  return frame.svg(name, "".join(drawn))


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
  """A plot per variant on one scale, as HTML: its mean, its range over seeds, the others' means grey behind it.

  None where at most `BANDS` variants have a finite value: `curves` draws their bands. Arguments as of `curves`.
  """
  found = _found(variants, metric, log, figures.SMALL_POINTS)
  if len(found) <= BANDS:
    return None
  frame = _frame(CELL, [c for _, _, c in found], None, log, span, limits, 0)
  key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
  others = "".join(f'<path data-look="{look.key}" d="{frame.path(c[0], c[1])}"/>' for _, look, c in found)
  cells = [f'<svg class="defs" aria-hidden="true"><g id="{key}" {OTHERS}>{others}</g></svg>']
  for variant, look, own in found:
    raw = course_of(variant, f"raw/{metric}", log, figures.SMALL_POINTS)
    faint = "" if raw is None else f'<path class="raw" d="{frame.path(raw[0], raw[1])}" stroke="{look.colour}"/>'
    line = f'<g class="line" data-look="{look.key}">{_line(frame, own, look, len(variant.counted) > 1)}{faint}</g>'
    content = f'{_references(frame, lines, marks)}<use class="others" href="#{key}"/>{line}'
    cells.append(
      f'<figure data-look="{look.key}"><figcaption>{_swatch(look)}{_breakable(variant.label)}</figcaption>'
      f"{frame.svg(f'{name}, {plain(variant.label)}', content, 'plot cell')}</figure>"
    )
  return f'<div class="cells">{"".join(cells)}</div>'


def factors(found: Factors, scale: tuple[float, float], last: int, name: str, lost: float) -> str:
  """The change of the generator's gradient and of its three factors; arguments as of `factors.figure`."""
  box = Box(300, 176, 46, 6, 84, 22)
  frame = Frame(box, plot.steps(0, last, 4), plot.decades(*scale))
  at = np.linspace(0, len(found.steps) - 1, min(len(found.steps), figures.POINTS)).round().astype(int)
  drawn = [f'<path class="zero" d="M{frame.inner[0]:g} {frame.down(0.0):.1f}H{frame.inner[1]:g}"/>']
  if scale[0] < -lost:
    drawn.append(_references(frame, (-lost,), ()))
  ends = [x[np.isfinite(x)] for x in found.changes.values()]
  heights = [float(frame.down(x[-1] if len(x) else 0.0)) for x in ends]
  names = plot.apart(heights, LETTERS, frame.inner[2], frame.inner[3])
  for (factor, values), place in zip(found.changes.items(), names, strict=True):
    kind = f"factor {factor}"
    drawn.append(f'<path class="{kind}" d="{frame.path(found.steps[at], values[at])}"/>')
    text = TURNS.get(factor, factor)
    drawn.append(f'<text class="{kind}" x="{frame.inner[1] + 5:g}" y="{place + 3.5:.1f}">{text}</text>')
  return frame.svg(name, "".join(drawn))


def _found(
  variants: Sequence[tuple[Variant, Style]], metric: str, log: bool, points: int = figures.POINTS
) -> list[Drawn]:
  return [(v, look, own) for v, look in variants if (own := course_of(v, metric, log, points)) is not None]


def _frame(
  box: Box,
  seen: Sequence[Course],
  crowd: tuple[np.ndarray, ...] | None,
  log: bool,
  span: float,
  limits: tuple[float, float | None] | None,
  ticks: int = 5,
) -> Frame:
  """Axes that hold all that is drawn."""
  values = np.concatenate([x for own in seen for x in own[1:]] + list((crowd or ())[1:]))
  at = np.concatenate([own[0] for own in seen])
  return Frame(box, plot.steps(min(float(at.min()), 0.0), float(at.max()), ticks), plot.levels(
    values[np.isfinite(values)], log, span, limits
  ))  # fmt: skip


def _line(frame: Frame, own: Course, look: Style, band: bool) -> str:
  at, centre, low, high = own
  dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in look.dash)}"' if look.dash else ""
  drawn = f'<path class="band" d="{frame.band(at, low, high)}" color="{look.colour}"/>' if band else ""
  drawn += f'<path class="mean" d="{frame.path(at, centre)}" stroke="{look.colour}"{dash}/>'
  if len(at) <= 12:  # so few measurements are shown one by one
    spots = zip(frame.across(at), frame.down(centre), strict=True)
    dots = "".join(f"M{x:.1f} {y:.1f}h.01" for x, y in spots if np.isfinite(y))
    drawn += f'<path class="dots" d="{dots}" stroke="{look.colour}"/>'
  return drawn


def _references(frame: Frame, lines: Sequence[float], marks: Sequence[int]) -> str:
  left, right, top, bottom = frame.inner
  drawn = [f'<path class="reference" d="M{left:g} {frame.down(y):.1f}H{right:g}"/>' for y in lines]
  marks = [mark for mark in marks if frame.x.low <= mark <= frame.x.high]
  return "".join(drawn + [f'<path class="mark" d="M{frame.across(x):.1f} {top:g}V{bottom:g}"/>' for x in marks])


def _escaped(text: str) -> str:
  from markupsafe import escape

  return str(escape(text))


def _breakable(text: str) -> str:
  return _escaped(text).replace("_", "_<wbr>")


def _swatch(look: Style) -> str:
  dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in look.dash)}"' if look.dash else ""
  line = f'<line x1="1" y1="5" x2="25" y2="5" stroke="{look.colour}" stroke-width="4"{dash}/>'
  return f'<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true">{line}</svg>'
