"""Markdown tables, which the studies write beside their figures."""

from collections.abc import Sequence


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A Markdown table, first column left-aligned, others right-aligned; a `|` in a cell is escaped."""
  lines = [list(heading), ["---", *["--:"] * (len(heading) - 1)], *rows]
  cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
  return "".join(f"| {' | '.join(line)} |\n" for line in cells)
