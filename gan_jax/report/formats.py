"""Tables as Markdown and as CSV. No jax import."""

import csv
import io
import re
from collections.abc import Sequence

from gan_jax.report.sheets import MARK, Sheet

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet computes a text cell that begins so


def markdown(found: Sequence[Sheet]) -> str:
  """A heading, a table and its notes for each panel."""

  def line(cells: Sequence[str]) -> str:
    safe = (" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(cell.replace(MARK, chr(92) + MARK).replace('_', chr(92) + '_') for cell in safe)} |\n"

  parts = []
  for sheet in found:
    rule = f"| --- | {' | '.join(['--:'] * (len(sheet.columns) - 1))} |\n"
    lines = [line([cell.text for cell in row]) for row in sheet.rows]
    notes = " ".join(sheet.notes).replace(MARK, f"\\{MARK}").replace("_", "\\_")
    title = " ".join(sheet.title.split()).replace("<", "&lt;")
    parts.append(f"## {title}\n\n{line([c.heading for c in sheet.columns])}{rule}{''.join(lines)}\n{notes}\n")
  return "\n".join(parts)


def as_csv(found: Sequence[Sheet]) -> str:
  """One table of all panels: a column for each number, empty where a panel has none of it.

  A text that a spreadsheet would take for a formula starts with `'`.
  """
  names = list(dict.fromkeys(name for sheet in found for column in sheet.columns for name in column.names))
  buffer = io.StringIO(newline="")
  writer = csv.writer(buffer, lineterminator="\n")
  writer.writerow(["panel", *names])
  for sheet in found:
    for row in sheet.rows:
      pairs = [p for c, cell in zip(sheet.columns, row, strict=True) for p in zip(c.names, cell.values, strict=True)]
      own = {"panel": sheet.title, **dict(pairs)}
      writer.writerow([_quoted(own.get(name, "")) for name in ["panel", *names]])
  return buffer.getvalue()


def _quoted(text: str) -> str:
  number = re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", text)
  return f"'{text}" if text.startswith(FORMULA) and not number else text
