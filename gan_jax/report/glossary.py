"""Explains the words of `words` where they stand on the page, without a script."""

import re
from collections.abc import Iterable
from typing import Any

from gan_jax.report.words import WORDS, Word

_FORMS = [(word, word.forms) for word in WORDS if word.forms]
# Longer forms first, so that "discriminator dominates" is not taken for "discriminator".
_ANY = re.compile(
  "|".join(
    f"(?P<w{i}>(?<![\\w-])(?:{forms})(?![\\w-]))"
    for i, (_, forms) in sorted(enumerate(_FORMS), key=lambda pair: -len(pair[1][1]))
  ),
  re.IGNORECASE,
)


def anchor(word: Word) -> str:
  """The id of a word's entry at the end of the page."""
  return "word-" + re.sub(r"[^a-z0-9]+", "-", word.title.lower().replace("é", "e")).strip("-")


def marked(text: Any, but: Iterable[str] = ()) -> Any:
  """The text, escaped, with each word of the registry explained at its first occurrence.

  An explanation opens on hover, on keyboard focus and on a tap; no script is needed.

  Args:
    text: a plain text, or Markup, whose tags are left alone.
    but: titles of words that are not marked.
  """
  from markupsafe import Markup, escape

  seen = set(but)

  def mark(match: re.Match[str]) -> str:
    word = _FORMS[int((match.lastgroup or "w0")[1:])][0]
    if word.title in seen:
      return match[0]
    seen.add(word.title)
    return (
      f'<span class="word" tabindex="0">{match[0]}<span class="tip" role="tooltip">{escape(word.short)}</span></span>'
    )

  pieces = re.split(r"(<[^>]*>|&[#\w]+;)", str(escape(text)))
  return Markup("".join(piece if piece[:1] in ("<", "&") else _ANY.sub(mark, piece) for piece in pieces))


def in_order(page: str) -> str:
  """The page, with each word in the order of the tab key once in a section; where it stands again, it has hover and tap.

  >>> word = '<span class="word" tabindex="0">a<span class="tip" role="tooltip">b</span></span>'
  >>> in_order(f"<section>{word}{word}<section>{word}").count('tabindex="0"')
  2
  """

  def once(section: str) -> str:
    seen: set[str] = set()

    def order(match: re.Match[str]) -> str:
      again = match[2] in seen
      seen.add(match[2])
      return (
        f'<span class="word" tabindex="{-1 if again else 0}">{match[1]}<span class="tip" role="tooltip">{match[2]}<'
      )

    return _WORD.sub(order, section)

  return "<section".join(once(section) for section in page.split("<section"))


_WORD = re.compile(r'<span class="word" tabindex="0">([^<]*)<span class="tip" role="tooltip">([^<]*)<')
