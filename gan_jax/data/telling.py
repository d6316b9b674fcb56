"""Where loaders say what takes them long: through a function that the caller lends for the duration of a call.

    with data.telling(print):
      dataset = data.load("images", path="photos", resolution=64)

A loader's arguments are the options of a config, so the function cannot be one of them. Without one, nothing is said.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

EVERY = 5.0  # seconds between two lines about one piece of work


def _silent(line: str) -> None:
  del line


_SAY: ContextVar[Callable[[str], None]] = ContextVar("say", default=_silent)


@contextlib.contextmanager
def telling(say: Callable[[str], None]) -> Iterator[None]:
  """Within the body, loaders of this thread call `say(line)`. What it raises ends the loader, and nothing is left over."""
  token = _SAY.set(say)
  try:
    yield
  finally:
    _SAY.reset(token)


def say(line: str) -> None:
  """A line for the user."""
  _SAY.get()(line)


def counter(doing: str, total: int) -> Callable[[int], None]:
  """A function that is told how many of `total` are done, and says so every few seconds, with the time left."""
  began = last = time.monotonic()

  def count(done: int) -> None:
    nonlocal last
    now = time.monotonic()
    if now - last >= EVERY and done:
      last = now
      left = (now - began) / done * (total - done)
      say(f"{doing}: {done:,} of {total:,}, about {max(round(left), 1)} s left")

  return count
