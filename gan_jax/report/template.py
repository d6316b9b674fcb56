"""The templates of the pages, and what Python writes into them as markup."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from gan_jax.report.canvas import Style

FOLDER = Path(__file__).parent


def template(name: str, **filters: Callable[..., Any]) -> jinja2.Template:
  """A file of this folder as a template that escapes every value. To compile it takes longer than to fill it in."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER, encoding="utf-8"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(filters)
  return environment.get_template(name)


def sheet(name: str) -> Markup:
  """A style sheet of this folder."""
  return Markup((FOLDER / name).read_text("utf-8").rstrip())


def script(text: str) -> dict[str, str]:
  """The variables of a page with this script, the only one that its policy lets in."""
  return {"script": Markup(text), "script_hash": script_hash(text)}


def script_hash(text: str) -> str:
  """The script's source expression in a Content-Security-Policy."""
  return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def breakable(name: Any) -> Markup:
  """A name, escaped, that may be broken after its underscores."""
  return Markup(str(escape(name)).replace("_", "_<wbr>"))


def swatch(look: Style | None) -> Markup:
  """A piece of a variant's line, before its name; nothing for what has no line."""
  if look is None:
    return Markup()
  line = f'<line x1="1" y1="5" x2="25" y2="5" stroke-width="4" {look.stroke}/>'
  return Markup(f'<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true">{line}</svg>')
