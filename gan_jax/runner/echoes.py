"""Messages of Orbax and its libraries that say what a study says itself. No import of Orbax."""

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

# Messages that Orbax and TensorStore print from their own threads about a failed save, in addition to raising. The last
# one comes once for every write in progress, also while the program exits.
ECHOES = ("_SignalingThread.run() raised an exception", "Task exception was never retrieved", "Event loop is closed")


def quiet() -> None:
  """Silence Orbax's progress messages and its `ECHOES`; warnings are still printed."""
  logging.getLogger("absl").setLevel(logging.WARNING)
  for name in ("absl", "asyncio"):
    logging.getLogger(name).addFilter(_no_echo)
  hook = sys.unraisablehook  # called for exceptions that cannot be caught, such as those in TensorStore's threads
  if getattr(hook, "func", None) is not _unless_echo:
    sys.unraisablehook = functools.partial(_unless_echo, hook)


def _no_echo(record: logging.LogRecord) -> bool:
  return not any(echo in record.getMessage() for echo in ECHOES)


def _unless_echo(hook: Callable[[Any], object], unraisable: Any) -> None:
  if not any(echo in str(unraisable.exc_value) for echo in ECHOES):
    hook(unraisable)
