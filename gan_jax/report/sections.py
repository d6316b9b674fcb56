"""Which curves the page shows of a panel, in which order, and what it says of the gradient at its lowest."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.report import curves, figures, lines
from gan_jax.report.canvas import Style, factor_text
from gan_jax.report.charts import Chart
from gan_jax.report.comparison import QUALITIES, Comparison, Row
from gan_jax.report.curves import SMALL_POINTS, Plot, Scale
from gan_jax.report.statistics import FACTORS, TOTAL

GRADIENT = (TOTAL, *FACTORS.values())
SHARE = Scale(limits=(0, 1.02))  # so that a line at 1 is seen
CHANCE = SHARE._replace(lines=(0.5,))
AMOUNT = Scale(limits=(0, None))
# Section, explanation, its figures: (metric, caption, its axes, folded).
LAYOUT: tuple[tuple[str, str, tuple[tuple[str, str, Scale, bool], ...]], ...] = (
  (
    "Sample quality",
    "",
    (
      *((q.metric, q.title, Scale(q.log), False) for q in QUALITIES),
      ("classes/present", "classes present", AMOUNT, False),
      ("modes/high_quality", "share of high-quality samples", SHARE, False),
      ("samples/duplicates", "share of samples that have a near-duplicate among them", SHARE, True),
      (
        "samples/nearest_real",
        "distance to the nearest training example (0: copies, 1: as real examples)",
        AMOUNT._replace(lines=(1,)),
        True,
      ),
    ),
  ),
  (
    "Who is winning",
    "At 0.5 the discriminator cannot tell real from generated examples; at 1 it always can. Accuracy is measured at the "
    "loss's own threshold, the logit of an undecided discriminator. A loss of differences of logits has none: its "
    "accuracy is measured midway between the mean logits, and it has no line for real or generated examples alone.",
    (
      ("disc/auc", "AUC of real against fake logits", CHANCE, False),
      ("disc/accuracy", "discriminator's accuracy", CHANCE, False),
      ("disc/accuracy_real", "discriminator's accuracy on real examples", CHANCE, True),
      ("disc/accuracy_fake", "discriminator's accuracy on generated examples", CHANCE, True),
    ),
  ),
  (
    "The generator's gradient and its factors",
    "The norm of the gradient is the product of the three factors; all four axes span the same number of decades.",
    (
      (TOTAL, "the generator's gradient norm", Scale(True), False),
      ("factor/loss", "the loss's factor", Scale(True), True),
      ("factor/critic", "the discriminator's factor", Scale(True), True),
      ("factor/generator", "the generator's factor", Scale(True), True),
    ),
  ),
)


class Change(NamedTuple):
  """A line of the table of gradients: how far the gradient and its factors changed where it was lowest."""

  row: Row
  style: Style
  cells: tuple[tuple[str, float], ...]  # (`÷1,300`, decades) of the gradient, of each factor, and of the gradient's end


def sections(
  comparison: Comparison, some: Comparison, looks: Mapping[int, Style], marks: Sequence[int], number: int, draw: Any
) -> list[tuple[str, str, list[Any]]]:
  """The curves of `LAYOUT`: of every variant, or of three where there are too many.

  With `figures` in the place of `lines` there are bars of the changes in decades too; the page has a table of them.
  """
  ranked = [(row.variant, looks[row.place]) for row in some.rows]
  crowd = [row.variant for row in comparison.rows] if len(comparison.rows) > len(some.rows) else []
  shown = [ranked[0], ranked[len(ranked) // 2], ranked[-1]] if crowd else ranked
  span = curves.decades_shown(ranked, GRADIENT)
  found: list[tuple[str, str, list[Chart]]] = []
  for heading, remark, wanted in LAYOUT:
    charts = []
    for metric, caption, scale, folded in wanted:
      own = scale._replace(marks=marks, span=span if metric in GRADIENT else scale.span)
      name = f"panel {number}: {metric}"
      plot = curves.plot(shown, metric, own, crowd)
      if plot is not None:
        small = None if plot.bands or plot.crowd is not None else curves.plot(shown, metric, own, points=SMALL_POINTS)
        each = draw.each(small, f"{name}, each") if small else ""
        charts.append(Chart(caption, _note(plot, draw), None, draw.curves(plot, name), each, folded))
    found.append((heading, remark, charts))
  bars = [(row.decades, looks[row.place]) for row in some.rows if row.decades is not None]
  if draw is not lines and bars:
    caption = "change of the gradient and its factors from the first row to the lowest gradient, in decades"
    svg = figures.factor_bars(bars, f"panel {number}: decades")
    found[-1][-1].append(Chart(caption, "below 0: a fall; −1: to a tenth", None, svg))
  return [section for section in found if section[-1]]


def _note(plot: Plot, draw: Any) -> str:
  said = ["up the axis, equal distances are equal factors"] if plot.scale.log and draw is lines else []
  if any(curve.raw is not None for curve in plot.curves):
    said.append("thin dashed line: the generator without averaging its weights")
  return "; ".join(said)


def changes(some: Comparison, looks: Mapping[int, Style]) -> list[Change]:
  """The table of gradients, the deepest fall first."""
  found = []
  for row in some.rows:
    if row.decades is not None:
      values = [row.decades.total, *row.decades.factors.values(), row.decades.end]
      cells = tuple((factor_text(x) if x == x else "–", x) for x in values)
      found.append(Change(row, looks[row.place], cells))
  return sorted(found, key=lambda change: change.cells[0][1])
