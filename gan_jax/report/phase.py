"""A phase diagram: verdicts over a plane of two settings. It takes plain data, so that studies can use it too."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gan_jax.report import canvas
from gan_jax.report.canvas import styled
from gan_jax.report.verdicts import LOOKS

CELL = (0.95, 0.42)  # inches
LEFT, BELOW, ABOVE = 1.75, 0.55, 0.08


class Cell(NamedTuple):
  """One pair of settings."""

  across: str  # the value on the horizontal axis, as it is to be shown
  up: str  # the value on the vertical axis
  state: str  # one of gan_jax.verdict.STATES
  text: str  # the second line in the cell: the final quality
  note: str = ""  # after the state's name: `3/5` where seeds disagree


def figure(cells: Sequence[Cell], across: str, up: str, name: str) -> str:
  """The diagram as SVG text; a cell that is not in `cells` stays empty.

  Args:
    cells: in any order; the axes show values in the order of their first appearance.
    across, up: names of the two settings.
    name: makes the ids inside the SVG differ from those of other figures; also its accessible name.
  """
  columns = list(dict.fromkeys(cell.across for cell in cells))
  lines = list(dict.fromkeys(cell.up for cell in cells))
  width, height = LEFT + CELL[0] * len(columns) + 0.05, BELOW + CELL[1] * len(lines) + ABOVE
  with styled(name, grid=False):
    drawing = Figure(figsize=(width, height))
    axes = drawing.add_axes(
      (LEFT / width, BELOW / height, CELL[0] * len(columns) / width, CELL[1] * len(lines) / height)
    )
    for cell in cells:
      x, y, look = columns.index(cell.across), lines.index(cell.up), LOOKS[cell.state]
      axes.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=look.colour, linewidth=0))
      first = f"{look.short} {cell.note}".strip()
      axes.text(x, y - 0.2, canvas.plain(first, 15), color=look.ink, ha="center", va="center", fontsize=8.2)
      axes.text(x, y + 0.22, canvas.plain(cell.text, 14), color=look.ink, ha="center", va="center", fontsize=8.2)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(lines) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), [canvas.plain(c, 14) for c in columns], fontsize=8.5)
    axes.set_yticks(range(len(lines)), [canvas.plain(c, 22) for c in lines], fontsize=8.5)
    axes.tick_params(length=0)
    for side in axes.spines.values():
      side.set_visible(False)
    axes.set_xlabel(canvas.plain(across), labelpad=2)
    middle = (BELOW + CELL[1] * len(lines) / 2) / height
    drawing.text(0.12 / width, middle, canvas.plain(up, 22), fontsize=9.5, va="center", ha="center", rotation=90)
    return canvas.svg(drawing, name)
