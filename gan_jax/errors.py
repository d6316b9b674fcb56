"""What a person is told when their input cannot be used. No jax import."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
  """Input that cannot be used; its text is one sentence: expected, got, choices. The command line exits with 2."""


class Failure(RuntimeError):
  """The machine could not do what was asked of it; its text is one sentence. The command line exits with 1."""


class Stopped(Exception):
  """Stopped on a signal's request, where nothing is lost; its text is one sentence. The command line exits with 75."""


def unknown(kind: str, got: object, choices: Iterable[str]) -> BadInput:
  """The error for a name that is not in a registry, with the nearest name first.

  >>> print(unknown("loss", "hing", ["hinge", "minimax"]))
  unknown loss 'hing'; did you mean 'hinge'? known: hinge, minimax
  """
  known = sorted(str(choice) for choice in choices)
  near = difflib.get_close_matches(str(got), known, n=1, cutoff=0.5)
  hint = f"; did you mean {near[0]!r}?" if near else ";"
  return BadInput(f"unknown {kind} {str(got)!r}{hint} known: {', '.join(known)}")
