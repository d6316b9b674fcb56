"""How every command ends: one sentence and exit code 2 for input that cannot be used, 1 for a failure of the machine."""

import errno
import os
import sys
from collections.abc import Callable


def leave(code: int) -> None:
  """Exit without tearing down: what a failed save leaves of Orbax (an event loop, threads) dies with a stack trace.

  Nothing is lost by that: files are written whole and renamed into place, and the kernel releases the study's lock.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def run(main: Callable[[list[str]], None]) -> None:
  """Call `main` with the command line's arguments and exit with its code."""
  from gan_jax.errors import BadInput

  try:
    main(sys.argv[1:])
  except BadInput as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
  except BrokenPipeError:  # the reader, `head` say, has seen enough; Python would complain again on closing stdout
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  except OSError as error:
    full = error.errno == errno.ENOSPC or "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error)
    reason = "the disk is full" if full else "a file could not be written or read"
    # What is true of a study's checkpoints then, the study has noted; a command without any has noted nothing.
    print("; ".join([f"error: {reason} ({error})", *getattr(error, "__notes__", ())]), file=sys.stderr)
    leave(1)
  except KeyboardInterrupt:
    print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
    sys.exit(130)
