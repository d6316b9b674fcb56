"""`launch.sh tables DIR... --format=latex|markdown|csv [--out PATH]`: the report's comparison tables, for a paper.

They are printed, or written to PATH. LaTeX needs the package booktabs; the comments at its top are BibTeX of what to
cite, which `--cite` prints alone. It has the columns that fit on a page, and the comments name the others.
`--columns=frechet/distance,versus` chooses columns instead; the names are those of the CSV. The CSV has a column for
each number, rounded as in the report; `export` has every measurement in full. Several directories, `--filter`,
`--baseline` and `--compare`: as of `report`.
"""

import contextlib
from collections.abc import Sequence

from . import chosen, command
from .sweep import Parser, place

FORMATS = ("latex", "markdown", "csv")


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A Markdown table, first column left-aligned, others right-aligned; a `|` in a cell is escaped. Studies use it."""
  lines = [list(heading), ["---", *["--:"] * (len(heading) - 1)], *rows]
  cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
  return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def main(arguments: list[str]) -> None:
  parser = Parser("tables")
  chosen.arguments(parser)
  parser.add_argument("--format", default="markdown", help="latex, markdown or csv (default: markdown)")
  parser.add_argument("--columns", default="", help="only these, by their first names in the CSV, joined by commas")
  parser.add_argument(
    "--cite", action="store_true", help="print BibTeX of gan_jax and of the losses' sources, no table"
  )
  parser.add_argument("--out", type=place, help="a file (default: print)")
  known = parser.parse_args(arguments)

  from gan_jax.core.errors import unknown
  from gan_jax.report import citation, formats, latex, sheets

  if known.format not in FORMATS:
    raise unknown("format of tables", known.format, FORMATS)
  # A phase prints lines of progress, which would be among those of a printed table.
  with contextlib.nullcontext() if known.out is None else command.phase("reading", brief=True):
    study = chosen.study(known)
    if known.cite:
      text = citation.bibtex(study)
    else:
      found = sheets.sheets(study, [name.strip() for name in known.columns.split(",") if name.strip()])
      name = "-".join(dict.fromkeys(place.resolve().name for place in known.directories))
      comments = citation.bibtex(study)
      if known.format == "latex" and not known.columns:
        fitted = [latex.fitting(sheet) for sheet in found]
        found, left = [sheet for sheet, _ in fitted], dict.fromkeys(name for _, names in fitted for name in names)
        if left:
          comments = f"left out, as a page is too narrow (choose by --columns): {', '.join(left)}\n{comments}"
      write = {"markdown": formats.markdown, "csv": formats.as_csv}
      text = write[known.format](found) if known.format in write else latex.tables(found, name, comments)
  if known.out is None:
    command.deliver(text)
    return
  from gan_jax.report.export import new_file
  from gan_jax.runs import write_atomic

  write_atomic(new_file(known.out, "tables"), text.encode("utf-8", "backslashreplace"))
  print(known.out)


if __name__ == "__main__":
  command.run(main)
