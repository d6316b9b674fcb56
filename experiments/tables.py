"""The tables that the studies write beside their figures."""

from collections.abc import Sequence


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A table, the first column to the left and the others to the right; a `|` in a cell is escaped."""
  lines = [list(heading), ["---", *["--:"] * (len(heading) - 1)], *rows]
  cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
  return "".join(f"| {' | '.join(line)} |\n" for line in cells)
