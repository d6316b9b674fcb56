"""The losses of a study for its page: both formulas, and a picture of how hard the generator is pushed at each logit.

The texts are those of the losses' cards, which the manifest holds; the picture is computed from the printed slope, so no
loss is imported, and it shows what is printed.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core import formulas
from gan_jax.report.canvas import Style
from gan_jax.report.frames import pen
from gan_jax.report.records import Study

REACH, POINTS = 6.0, 121  # logits from -REACH to REACH
LOW, HIGH = -0.5, 2.5  # of the push that is drawn
LONGEST = 1000  # characters of a formula that is drawn
BOX = (30, 8, 182, 84)  # of the axes in the SVG: left, top, width, height
SIZE = (222, 122)


class Shown(NamedTuple):
  """A loss on the page; texts are '' where the manifest has none."""

  name: str
  style: Style | None
  facts: Mapping[str, str]
  svg: str  # '' where the slope is no formula of one logit


def shown(study: Study, styles: Mapping[str, Style]) -> list[Shown]:
  """The losses that the manifest tells of, in its order. `styles`: of the losses that have one colour on the page."""
  told = study.manifest.get("losses", {})
  return [Shown(name, styles.get(name), facts, _picture(study, name, facts)) for name, facts in told.items()]


def _picture(study: Study, name: str, facts: Mapping[str, str]) -> str:
  if "slope" not in facts:
    return ""
  found = push(facts["slope"], facts.get("discriminator", ""), _options(study, name))
  return "" if found is None else figure(*found, f"push of {name}")


def _options(study: Study, name: str) -> dict[str, float]:
  """The numbers of a loss: its defaults, and what all its runs set alike."""
  given = [run.config["loss_options"] for run in study.runs if run.config["loss"] == name]
  alike = {key: x for key, x in (given[0] if given else {}).items() if all(one.get(key) == x for one in given)}
  known = {**study.manifest.get("defaults", {}).get("loss", {}).get(name, {}), **alike}
  return {key: float(x) for key, x in known.items() if isinstance(x, (int, float)) and not isinstance(x, bool)}


def push(slope: str, before: str, options: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray] | None:
  """(logits [N], minus the generator's slope there [N]) with the real images' logit at 0; None for what cannot be read.

  Each logit is a batch of one. `before` is a text whose definitions hold in `slope` too.
  """
  logits = np.linspace(-REACH, REACH, POINTS)
  if max(len(slope), len(before)) > LONGEST:
    return None
  try:
    with np.errstate(all="ignore"):
      values = [_at(slope, before, options, f) for f in logits]
  except (formulas.Unreadable, ArithmeticError, RecursionError, TypeError, ValueError):
    return None
  found = -np.asarray(values)
  return (logits, found) if np.isfinite(found).any() else None


def _at(slope: str, before: str, options: Mapping[str, float], f: float) -> float:
  names = formulas.of_batch(np.zeros(1), np.full(1, f), options)
  return float(np.ravel(formulas.evaluate(slope, names, before))[0])


def figure(logits: np.ndarray, values: np.ndarray, name: str) -> str:
  """The curve as SVG text; what lies beyond the axis is cut off at its edge."""
  left, top, width, height = BOX

  def across(x: Any) -> Any:
    return left + (x + REACH) / (2 * REACH) * width

  def down(y: Any) -> Any:
    return top + (HIGH - y) / (HIGH - LOW) * height

  lines = [f'<rect x="{left}" y="{top}" width="{width / 2:g}" height="{height}" class="losing"/>']
  for y in (0, 1, 2):
    weight = ' class="zero"' if y == 0 else ' class="rule"'
    lines.append(f'<path d="M{left} {down(y):.1f}h{width}"{weight}/>')
    lines.append(f'<text x="{left - 5}" y="{down(y) + 3.5:.1f}" text-anchor="end">{y}</text>')
  for x in (-6, 0, 6):
    text = f"{x:+d}".replace("-", "−") if x else "0"
    lines.append(f'<text x="{across(x):.1f}" y="{top + height + 12}" text-anchor="middle">{text}</text>')
  lines.append(f'<text x="{left + width / 2}" y="{SIZE[1] - 3}" text-anchor="middle">logit of a generated image</text>')
  far = np.clip(values, 3 * LOW - HIGH, 3 * HIGH)  # so far outside that it is not seen
  inside = pen(across(logits), down(far))
  lines.append(
    f'<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">'
    f'<path d="{inside}" class="push"/></svg>'
  )
  return f'<svg role="img" aria-label="{name}" viewBox="0 0 {SIZE[0]} {SIZE[1]}">{"".join(lines)}</svg>'
