"""Pictures of a panel that need certain data of its runs: verdict strips, factors, lens maps, phase diagram."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gan_jax.report import factors, lens_map, phase, timeline, verdicts, wording
from gan_jax.report.canvas import Style
from gan_jax.report.comparison import Comparison, Row
from gan_jax.settings import labels

MOST_CELLS = 200  # of a phase diagram
MAPS = 3  # number of variants, the best first, whose lens is drawn


class Strip(NamedTuple):
  """One variant's line in the timeline: a strip per run."""

  label: str
  words: str  # the most frequent verdict, and how many runs have it
  evidence: str
  svg: str
  style: Style | None = None


class Chart(NamedTuple):
  caption: str
  note: str
  style: Style | None
  svg: str
  each: str = ""  # the same in a plot for each variant, which then comes first
  folded: bool = False  # shown on demand


def last_step(comparison: Comparison) -> int:
  return max((run.config["steps"] for v in comparison.panel.variants for run in v.runs), default=1)


def strips(comparison: Comparison, styles: Mapping[int, Style], name: str) -> list[Strip]:
  """The verdict timeline, best variant first; variants without a row are left out."""
  last, found = last_step(comparison), []
  for row in comparison.rows:
    if not any(len(v.steps) for v in row.verdicts):
      continue
    end = verdicts.majority(row.verdicts)
    words = f"{verdicts.words(end)} ({end.agree} of {end.runs} run{'s' if end.runs != 1 else ''})"
    svg = timeline.strips(row.verdicts, last, f"{name} {row.place}")
    found.append(Strip(row.variant.label, words, end.evidence, svg, styles.get(row.place)))
  return found


def states_shown(comparison: Comparison) -> list[verdicts.Look]:
  """The legend of the timeline: the states that occur."""
  there = {state for row in comparison.rows for v in row.verdicts for state in v.states}
  return [look for state, look in verdicts.LOOKS.items() if state in there]


def factor_courses(comparison: Comparison, styles: Mapping[int, Style], name: str, draw: Any) -> list[Chart]:
  """One picture per variant, all on one scale; `draw` is `lines`, or `figures` for files."""
  found = [(row, course) for row in comparison.rows if (course := factors.course(row.variant.counted)) is not None]
  if not found:
    return []
  scale, last = factors.limits([course for _, course in found]), last_step(comparison)
  lost = [-wording.LOST] if scale[0] < -wording.LOST else []
  drawn = [(row, draw.factors(course, scale, last, f"{name} {row.place}", lost)) for row, course in found]
  return [Chart(row.variant.label, "", styles[row.place], svg) for row, svg in drawn]


def lens_maps(comparison: Comparison, styles: Mapping[int, Style], name: str) -> list[Chart]:
  """Two pictures, norm and cosine, of each of the first variants that the lens measured."""
  charts: list[Chart] = []
  for row in comparison.rows:
    found = lens_map.look(row.variant.counted)
    if found is None or len(charts) >= 2 * MAPS:
      continue
    style, shared = styles[row.place], [group for group in found.groups if len(group) > 1]
    note = "; ".join(" = ".join(group) for group in shared)
    note = f"one line, because their gradients agree: {note}" if note else ""
    charts.append(
      Chart(
        f"{row.variant.label}: how much longer or shorter each loss's gradient would have been",
        "; ".join(s for s in ("×10: ten times as long as the one in use", note) if s),
        style,
        lens_map.norm_figure(found, f"{name} {row.place} norm"),
      )
    )
    charts.append(
      Chart(
        f"{row.variant.label}: cosine of each loss's gradient with non_saturating's",
        "1: the same direction; 0: perpendicular; −1: the opposite direction",
        style,
        lens_map.cosine_figure(found, f"{name} {row.place} cosine"),
      )
    )
  return charts


def phase_diagram(comparison: Comparison, name: str) -> Chart | None:
  """Verdicts over a plane of two fields, where the panel's variants differ in exactly two."""
  fields = labels.varying([row.variant.config for row in comparison.rows])
  if len(fields) != 2 or len(comparison.rows) > MOST_CELLS:
    return None
  by_place: list[Row] = sorted(comparison.rows, key=lambda row: row.place)
  up, across = fields
  flat = {row.place: labels.flatten(row.variant.config) for row in by_place}
  if len({str(flat[row.place].get(up)) for row in by_place}) == 1 or not all(row.verdicts for row in by_place):
    return None
  quality = comparison.quality
  cells = []
  for row in sorted(by_place, key=lambda row: (_order(flat[row.place].get(across)), _order(flat[row.place].get(up)))):
    place = flat[row.place]
    end = verdicts.majority(row.verdicts)
    value = wording.number(row.finals[quality.metric].mean) if quality is not None else ""
    note = "" if end.agree == end.runs else f"{end.agree}/{end.runs}"
    cells.append(phase.Cell(_said(place.get(across)), _said(place.get(up)), end.state, value, note))
  mean = "" if quality is None else f"the {'geometric ' * quality.log}mean final {quality.title}"
  said = f", and {mean}" if quality is not None else ""
  said += "; D: the discriminator, G: the generator" if any("dominates" in cell.state for cell in cells) else ""
  return Chart(
    f"Verdicts by {up} and {across}",
    f"each cell: the most frequent verdict over its seeds (with its share where they disagree){said}",
    None,
    phase.figure(cells, across, up, name),
  )


def _order(value: Any) -> tuple[bool, Any]:
  """A key that sorts numbers by size and names as they are."""
  number = isinstance(value, (int, float))
  return (not number, value if number else str(value))


def _said(value: Any) -> str:
  if value is None:  # an option
    return "default"
  return f"{value:g}" if isinstance(value, float) else str(value)
