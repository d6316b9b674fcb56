"""Tables as LaTeX: `booktabs`, a caption, and every name escaped, so that any study's text compiles. No jax import.

Only core LaTeX and `booktabs` are needed, and any engine: a character that pdfLaTeX has not is written as its code point.
"""

import re
import unicodedata
from collections.abc import Sequence

from gan_jax.report.sheets import MARK, Cell, Sheet

SIGNS = {
  "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
  "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
  "|": r"\textbar{}", '"': "''", "±": r"$\pm$", "−": "$-$", "–": "--", "—": "---", "…": r"\dots{}",
  "·": r"$\cdot$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}",
  "æ": r"\ae{}", "Æ": r"\AE{}", "ł": r"\l{}", "Ł": r"\L{}", "’": "'", "‘": "`",
}  # fmt: skip
ACCENTS = {
  "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
  "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0328": "k",
}  # fmt: skip
GREEK = {
  "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta", "κ": "kappa",
  "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi",
  "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Λ": "Lambda", "Σ": "Sigma", "Φ": "Phi", "Ω": "Omega",
}  # fmt: skip
PAGE, LETTER, BETWEEN = 460.0, 4.5, 8.0  # points: both columns of a paper; a letter of \\small; between two columns
WIDE = 14  # characters of a heading, from which it is set in two lines


def escaped(text: str) -> str:
  """Any text as LaTeX text on one line.

  >>> escaped("non_saturating 5 %"), escaped("Fréchet"), escaped("中")
  ('non\\\\_saturating 5 \\\\%', "Fr\\\\'{e}chet", '[U+4E2D]')
  """
  return "".join(_character(c) for c in unicodedata.normalize("NFC", " ".join(text.split())))


def _character(c: str) -> str:
  if c in SIGNS:
    return SIGNS[c]
  if c.isascii():
    return c if c.isprintable() else f"[U+{ord(c):04X}]"
  if c in GREEK:
    return rf"$\{GREEK[c]}$"
  parts = list(unicodedata.normalize("NFD", c))
  base, marks = parts[0], parts[1:]
  if len(marks) == 1 and marks[0] in ACCENTS and base.isascii() and base.isalpha():
    return rf"\{ACCENTS[marks[0]]}{{{base}}}"
  return f"[U+{ord(c):04X}]"


def fitting(sheet: Sheet) -> tuple[Sheet, list[str]]:
  """(the table with the columns that fit on a page, in their order, CSV names of those that were left out)."""
  left, room, kept = [], PAGE, []
  for place, column in enumerate(sheet.columns):
    longest = max([len(line) for line in _broken(column.heading)] + [len(row[place].text) for row in sheet.rows])
    width = LETTER * longest + BETWEEN
    if place and width > room:
      left.append(column.names[0])
    else:
      kept.append(place)
      room -= width
  rows = tuple(tuple(row[i] for i in kept) for row in sheet.rows)
  return sheet._replace(columns=tuple(sheet.columns[i] for i in kept), rows=rows), left


def table(sheet: Sheet, label: str) -> str:
  """A `table*` environment: over both columns of a paper, or the width of a page with one."""
  heading = " & ".join(
    [_heading(sheet.columns[0].heading, "l"), *(_heading(c.heading, "r") for c in sheet.columns[1:])]
  )
  rows = "".join(f"    {' & '.join(map(_cell, row))} \\\\\n" for row in sheet.rows)
  first, *others = sheet.notes
  caption = escaped(" ".join([f"{sheet.title.rstrip('.')}.", first, *others]))
  return (
    f"\\begin{{table*}}[t]\n  \\centering\n  \\small\n  \\setlength{{\\tabcolsep}}{{4pt}}\n"
    f"  \\caption{{{_starred(caption)}}}\n  \\label{{{_label(label)}}}\n"
    f"  \\begin{{tabular}}{{@{{}}l{'r' * (len(sheet.columns) - 1)}@{{}}}}\n    \\toprule\n    {heading} \\\\\n    \\midrule\n"
    f"{rows}    \\bottomrule\n  \\end{{tabular}}\n\\end{{table*}}\n"
  )


def tables(found: Sequence[Sheet], name: str, comments: str = "") -> str:
  """All tables, each a float of its own with the label `tab:NAME-1`; `comments` come first, line by line behind `%`."""
  top = "".join(f"% {line}".rstrip() + "\n" for line in ["needs \\usepackage{booktabs}", *comments.splitlines()])
  return "\n".join([top, *(table(sheet, f"tab:{name}-{number}") for number, sheet in enumerate(found, 1))])


def _heading(text: str, side: str) -> str:
  """A heading; a long one in two lines."""
  lines = _broken(text)
  if len(lines) == 1:
    return _guarded(escaped(text))
  return rf"\shortstack[{side}]{{{escaped(lines[0])}\\{{}}{escaped(lines[1])}}}"


def _broken(text: str) -> list[str]:
  """A long heading in two lines, broken at the blank nearest to its middle."""
  blanks = [i for i, c in enumerate(text) if c == " "]
  if len(text) <= WIDE or not blanks:
    return [text]
  at = min(blanks, key=lambda i: abs(i - len(text) // 2))
  return [text[:at], text[at + 1 :]]


def _cell(cell: Cell) -> str:
  return _guarded(_starred(escaped(cell.text)) if cell.sure else escaped(cell.text))


def _guarded(text: str) -> str:
  r"""A cell; `[` and `*` after `\\` would be taken for its arguments."""
  return f"{{}}{text}" if text.startswith(("[", MARK)) else text


def _starred(text: str) -> str:
  return text.replace(MARK, f"$^{MARK}$")


def _label(text: str) -> str:
  return re.sub(r"[^A-Za-z0-9:.-]+", "-", text)
