"""What a section of the lesson is made of, and how it is written: as lines for a terminal, and as an HTML page."""

import base64
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import jinja2
import markupsafe

COLUMNS = 100  # of a line of text


class Formula(NamedTuple):
  text: str


class Table(NamedTuple):
  heading: Sequence[str]
  rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
  file: str
  png: bytes
  caption: str


class Section(NamedTuple):
  """The answer to one question. A `str` is a paragraph."""

  question: str
  parts: Sequence[str | Formula | Table | Picture]


def lines(number: int, section: Section, folder: str) -> str:
  """The section as text for a terminal; a picture is named by its file in `folder`."""
  title = f"{number}. {section.question}"
  return "\n\n".join([f"{title}\n{'-' * len(title)}", *(_plain(part, folder) for part in section.parts)]) + "\n"


def _plain(part: str | Formula | Table | Picture, folder: str) -> str:
  if isinstance(part, Formula):
    return textwrap.indent(part.text, "    ")
  if isinstance(part, Picture):
    return paragraph(f"[{folder}/{part.file}] {part.caption}")
  if isinstance(part, Table):
    cells = [part.heading, *part.rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(part.heading))]
    aligned = [
      "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
      for line in cells
    ]
    return textwrap.indent("\n".join(line.rstrip() for line in aligned), "    ")
  return paragraph(part)


def paragraph(text: str) -> str:
  """The paragraph in lines; a line does not end inside of `y = 1`."""
  joined = re.sub(r" ([=+/-]) ", "\u00a0\\1\u00a0", text)
  return textwrap.fill(joined, COLUMNS, break_on_hyphens=False).replace("\u00a0", " ")


PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>From cross-entropy to GANs</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.25; }
h2 { margin-top: 2.5rem; }
pre { padding: .6rem 1rem; border-left: 3px solid var(--line); overflow-x: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; }
img { max-width: 100%; background: white; }
figcaption { font-size: .9rem; }
</style>
</head>
<body>
<h1>From cross-entropy to GANs</h1>
<p>{{ about }}</p>
{% for section in sections %}
<h2>{{ loop.index }}. {{ section.question }}</h2>
{% for kind, part in section.parts %}
{% if kind == "str" %}<p>{{ part }}</p>
{% elif kind == "Formula" %}<pre>{{ part.text }}</pre>
{% elif kind == "Table" %}<div class="wide"><table><thead><tr>
{% for cell in part.heading %}<th>{{ cell }}</th>{% endfor %}</tr></thead><tbody>
{% for row in part.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% else %}<figure><img src="data:image/png;base64,{{ part.data }}" alt=""><figcaption>{{ part.caption }}</figcaption></figure>
{% endif %}
{% endfor %}
{% endfor %}
</body>
</html>
"""


def html(about: str, sections: Sequence[Section]) -> str:
  """The whole lesson as one page that needs no other file. Text is escaped."""
  shown = [
    {"question": s.question, "parts": [(type(part).__name__, _shown(part)) for part in s.parts]} for s in sections
  ]
  return jinja2.Environment(autoescape=True).from_string(PAGE).render(about=about, sections=shown)


def _shown(part: str | Formula | Table | Picture) -> object:
  if isinstance(part, Picture):
    return {"data": base64.b64encode(part.png).decode(), "caption": part.caption}
  if isinstance(part, str):
    return markupsafe.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(markupsafe.escape(part))))
  return part
