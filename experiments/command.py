"""How every command ends: exit codes, and errors as one sentence.

    0    done: everything is written, or the plan of a dry run is printed
    1    the machine failed: a full disk, too little memory, a directory that was removed
    2    input that cannot be used
    70   stood still, without progress for too long; gan_jax/runner/watchdog.py
    75   stopped by SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2 after saving: the same command continues
    130  stopped by Ctrl-C: the first saves as those signals do, a second one leaves at once
    141  the output was not read to its end (`losses | head -1`), as for any program in a pipe

A closed pipe ends only commands that do nothing but print. All others drop their output and continue.
"""

import atexit
import contextlib
import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

CLOSED_PIPE = 141


@functools.cache
def stop():
  """This process's request to stop, which signals set."""
  from gan_jax.runner.signals import Stop

  return Stop(leave_with, tell)


def leave(code: int) -> None:
  """Exit without Python's teardown: after a failed save, Orbax's event loop and threads would end with a stack trace.

  Nothing is lost: files are written whole and renamed into place, and the kernel releases the study's lock.
  """
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError, ValueError, AttributeError):
      stream.flush()
  os._exit(code)


def leave_with(code: int, sentence: str) -> None:
  """Exit at once, from any thread. It takes no lock, because the main thread may hold it."""
  from gan_jax.runner import ending

  ending.fail(code, sentence, lambda: tell(sentence))
  os._exit(code)


def tell(sentence: str) -> None:
  """Print on stderr at once, from any thread and without a lock."""
  with contextlib.suppress(OSError):
    os.write(2, f"{os.linesep if os.isatty(2) else ''}{sentence}\n".encode())


class Output:
  """A text stream that drops what cannot be written, so that a closed pipe does not end the work."""

  def __init__(self, stream: TextIO):
    self._stream = stream

  def __getattr__(self, name: str):
    return getattr(self._stream, name)

  def write(self, text: str) -> int:
    try:
      return self._stream.write(text)
    except OSError:
      self._drop()
      return len(text)

  def flush(self) -> None:
    try:
      self._stream.flush()
    except OSError:
      self._drop()

  def _drop(self) -> None:
    """Redirect the stream to nowhere, buffered text included, or Python would report the error again on exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, self._stream.fileno())
    os.close(nothing)


@contextlib.contextmanager
def phase(name: str, brief: bool = False) -> Iterator[None]:
  """Show what the body does and for how long; a `brief` phase only if it takes long. The body may not print."""
  from gan_jax.runner.progress import Progress

  with Progress() as told, told.phase(name, brief):
    yield


@contextlib.contextmanager
def with_jax(brief: bool = False) -> Iterator[None]:
  """Start jax for a command that trains no study, as `gan_jax.runner.study.run` sets it up for one.

  Raises:
    BadInput: jax has no device of the kind that was asked for (`JAX_PLATFORMS`).
  """
  from gan_jax.runner import devices

  with phase("starting jax", brief):
    devices.start()
  with devices.undisturbed(print):
    yield


def deliver(text: str) -> None:
  """Print the result of a command that writes no file; a closed pipe is an error here.

  Raises:
    OSError: it could not be printed.
  """
  stream = sys.stdout._stream if isinstance(sys.stdout, Output) else sys.stdout
  if stream is not None:
    stream.write(text)
    stream.flush()


def prepare_streams() -> None:
  """Make output line-buffered, also in a pipe, ignore a reader that is gone, and escape what the encoding does not have.

  Where there are to be several processes, only Python prints on stdout: XLA would print a line for each connection.
  """
  from gan_jax.runner import processes

  for descriptor in (0, 1, 2):  # a closed descriptor would be given to the next file that is opened
    try:
      os.fstat(descriptor)
    except OSError:
      os.open(os.devnull, os.O_RDWR)
  if os.environ.get(processes.COORDINATOR) and sys.stdout is not None:
    sys.stdout = open(os.dup(1), "w", encoding=sys.stdout.encoding)  # noqa: SIM115
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
  for name in ("stdout", "stderr"):
    stream = getattr(sys, name)
    if stream is not None and not isinstance(stream, Output):
      if hasattr(stream, "reconfigure"):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # names of files may be of any script
      setattr(sys, name, Output(stream))


def run(main: Callable[[list[str]], object]) -> None:
  """Call `main` with the command line's arguments and exit with its code; see the top of this file.

  Of several processes the first prints how the command ended, and all exit with its code; see gan_jax/runner/ending.py.
  """
  from gan_jax.core.errors import BadInput, Failure, Interrupted, Planned, Stopped
  from gan_jax.runner import ending, signals

  prepare_streams()
  try:
    with signals.attended(stop()):
      main(sys.argv[1:])
      if sys.stdout is not None:
        sys.stdout.flush()
    ending.end(0)
    atexit.register(signals.ignored)
  except Planned as error:
    ending.end(0, str(error), sys.stdout)
  except BadInput as error:
    ending.fail(2, f"error: {error}")
    sys.exit(2)
  except Stopped as error:
    code = signals.INTERRUPTED if isinstance(error, Interrupted) else signals.TRY_AGAIN
    ending.end(code, str(error))
    leave(code)
  except Failure as error:
    ending.fail(1, f"error: {error}")
    leave(1)
  except BrokenPipeError:
    ending.end(CLOSED_PIPE)
    leave(CLOSED_PIPE)
  except OSError as error:
    full = error.errno == errno.ENOSPC or "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error)
    reason = "the disk is full" if full else "a file could not be written or read"
    # A study adds a note of what is saved in its checkpoints.
    ending.fail(1, "; ".join([f"error: {reason} ({error})", *getattr(error, "__notes__", ())]))
    leave(1)
  except MemoryError as error:
    ending.fail(1, f"error: out of memory ({str(error) or 'on the host'})")
    leave(1)
  except Exception as error:
    if type(error).__name__ != "JaxRuntimeError":  # a bug of ours: show the stack trace
      ending.fail(1, traceback.format_exc().rstrip())
      leave(1)
    ending.fail(1, f"error: jax failed: {(str(error).splitlines() or ['without a word'])[0][:300]}")
    leave(1)
  except KeyboardInterrupt:
    ending.end(signals.INTERRUPTED, "stopped by Ctrl-C; the same command goes on from the last checkpoint")
    leave(signals.INTERRUPTED)
