"""The errors that end a command, and how their messages are worded. No jax import."""

import contextlib
import difflib
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LONGEST = 100  # characters of an unknown name that are compared with the known ones
LONGEST_ERROR = 300  # characters of another library's message that are quoted
NOT_THEIRS = (str(Path(__file__).resolve().parent.parent), sysconfig.get_path("stdlib"))  # this library, and Python's


class BadInput(ValueError):
  """Input that cannot be used. The message is one sentence: what was expected, what came, the choices. Exit code 2.

  The message is always one line, also where it quotes a user's text or another library's message.
  """

  def __init__(self, text: str):
    super().__init__(one_line(text))


class Failure(RuntimeError):
  """The machine failed (a full disk, too little memory). The message is one line. Exit code 1."""

  def __init__(self, text: str):
    super().__init__(one_line(text))


class Stopped(Exception):
  """Stopped by a signal at a point where nothing is lost. The message is one sentence. Exit code 75."""


class Interrupted(Stopped):
  """Stopped by Ctrl-C at such a point. Exit code 130, which shells expect of a program that Ctrl-C ended."""


class Planned(Exception):
  """The plan of a dry run is printed; nothing was trained or written. The message is one sentence. Exit code 0."""


def one_line(text: str) -> str:
  """The text on one line: each run of white space becomes a space, unprintable characters are escaped.

  >>> one_line("first\\n  second \\x00")
  'first second \\\\x00'
  """
  words = " ".join(text.split())
  return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def shown(value: object, longest: int = 80) -> str:
  """`repr(value)` for a message, cut to `longest` characters; the type of a value whose repr raises."""
  if isinstance(value, int) and value.bit_length() > 1000:
    return f"an int of {value.bit_length()} bits"
  try:
    text = repr(value)
  except Exception:
    text = f"a {type(value).__name__}"
  return text if len(text) <= longest else f"{text[: longest - 3]}..."


def blame(error: BaseException) -> str:
  """An error raised by user code, as one line, with the file and line of the last frame in user code.

  >>> blame(ValueError("no images"))
  'ValueError: no images'
  """
  try:
    text = str(error).strip()
  except Exception:
    text = "without a text that can be read"
  frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
  if isinstance(error, SyntaxError) and error.filename:
    frames.append((error.filename, error.lineno or 0))
  theirs = [
    (file, line) for file, line in frames if not file.startswith(("<", *NOT_THEIRS)) and "site-packages" not in file
  ]
  place = f" ({theirs[-1][0]}, line {theirs[-1][1]})" if theirs else ""
  said = f"{type(error).__name__}: {text}" if text else type(error).__name__
  return one_line(said if len(said) <= LONGEST_ERROR else f"{said[: LONGEST_ERROR - 3]}...") + place


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
  """A context for calls of user code: any error becomes a `BadInput`, "`what`: the error (file, line)".

  A `BadInput` is raised unchanged, because its message already says what is wrong.
  """
  try:
    yield
  except BadInput:
    raise
  except SystemExit as error:
    raise BadInput(f"{what}: it ends the program, with sys.exit({shown(error.code)})") from error
  except Exception as error:
    raise BadInput(f"{what}: {blame(error)}") from error


def plural(count: int, noun: str, more: str = "") -> str:
  """A count and its noun: '1 run', '2 runs', '1,000 classes'. `more` is the plural if it is not `noun` + 's'."""
  return f"{count:,} {noun if count == 1 else more or noun + 's'}"


def unknown(kind: str, got: object, choices: Iterable[str], meanings: Mapping[str, str] | None = None) -> BadInput:
  """The error for a name that is not in a registry; it suggests the nearest known name.

  Capitals, dashes and spaces are ignored. `meanings` maps names that are common elsewhere, in lower case with
  underscores (`wgan_gp`), to what they are called here.

  >>> print(unknown("loss", "hing", ["hinge", "minimax"]))
  unknown loss 'hing'; did you mean 'hinge'? known: hinge, minimax
  >>> print(unknown("variant", "hing", ["hinge, n_critic=1", "minimax"]))
  unknown variant 'hing'; known: 'hinge, n_critic=1', minimax
  >>> print(unknown("loss", "LS-GAN", ["hinge", "least_squares"], {"ls_gan": "least_squares"}))
  unknown loss 'LS-GAN'; did you mean least_squares? known: hinge, least_squares
  """
  known = sorted(str(choice) for choice in choices)
  spelling = _spelling(str(got)[:LONGEST])
  same = [choice for choice in known if _spelling(choice) == spelling]
  near = same or difflib.get_close_matches(spelling, known, n=1, cutoff=0.5)
  meaning = (meanings or {}).get(spelling)
  hint = f"; did you mean {meaning or repr(near[0])}?" if meaning or near else ";"
  listed = ", ".join(repr(choice) if "," in choice else choice for choice in known)
  return BadInput(f"unknown {kind} {shown(str(got))}{hint} known: {listed}")


def _spelling(name: str) -> str:
  return re.sub(r"[\s-]+", "_", name.strip().lower())
