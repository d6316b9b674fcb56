"""What a person is told when their input cannot be used. No jax import."""

import difflib
import re
from collections.abc import Iterable, Mapping

LONGEST = 100  # characters of a name that are compared with others


class BadInput(ValueError):
  """Input that cannot be used; its text is one sentence: expected, got, choices. The command line exits with 2.

  Whatever text it quotes, a user's name or another library's message: it prints as one line.
  """

  def __init__(self, text: str):
    super().__init__(one_line(text))


class Failure(RuntimeError):
  """The machine could not do what was asked of it; its text is one line. The command line exits with 1."""

  def __init__(self, text: str):
    super().__init__(one_line(text))


class Stopped(Exception):
  """Stopped on a signal's request, where nothing is lost; its text is one sentence. The command line exits with 75."""


def one_line(text: str) -> str:
  """Runs of white space as one space, and what does not print (control characters, halves of characters) escaped.

  >>> one_line("first\\n  second \\x00")
  'first second \\\\x00'
  """
  words = " ".join(text.split())
  return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def shown(value: object, longest: int = 80) -> str:
  """`repr(value)` for a message, cut where it is long; of a value whose repr fails, its type."""
  if isinstance(value, int) and value.bit_length() > 1000:
    return f"an int of {value.bit_length()} bits"
  try:
    text = repr(value)
  except Exception:
    text = f"a {type(value).__name__}"
  return text if len(text) <= longest else f"{text[: longest - 3]}..."


def plural(count: int, noun: str, more: str = "") -> str:
  """`count` of `noun`, whose plural is `more`, or with an s: '1 run', '2 runs', '1,000 classes'."""
  return f"{count:,} {noun if count == 1 else more or noun + 's'}"


def unknown(kind: str, got: object, choices: Iterable[str], meanings: Mapping[str, str] | None = None) -> BadInput:
  """The error for a name that is not in a registry, with the nearest name first.

  Capitals, dashes and spaces do not matter to what is near. `meanings` are names that others use, by how they are spelt
  here (`wgan_gp`), and what they are called in this repository.

  >>> print(unknown("loss", "hing", ["hinge", "minimax"]))
  unknown loss 'hing'; did you mean 'hinge'? known: hinge, minimax
  >>> print(unknown("loss", "LS-GAN", ["hinge", "least_squares"], {"ls_gan": "least_squares"}))
  unknown loss 'LS-GAN'; did you mean least_squares? known: hinge, least_squares
  """
  known = sorted(str(choice) for choice in choices)
  spelling = _spelling(str(got)[:LONGEST])
  same = [choice for choice in known if _spelling(choice) == spelling]
  near = same or difflib.get_close_matches(spelling, known, n=1, cutoff=0.5)
  meaning = (meanings or {}).get(spelling)
  hint = f"; did you mean {meaning or repr(near[0])}?" if meaning or near else ";"
  return BadInput(f"unknown {kind} {shown(str(got))}{hint} known: {', '.join(known)}")


def _spelling(name: str) -> str:
  return re.sub(r"[\s-]+", "_", name.strip().lower())
