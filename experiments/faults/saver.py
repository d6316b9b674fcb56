"""A process that saves a state into a study once, to be killed within: UNDISTURBED STUDY STEP `stop`|K.

With `stop` it stops itself before it begins, so that strace can be attached. With a number it kills itself at the K-th
file operation of Python (-1: never), and prints how many there were.
"""

import os
import signal
from pathlib import Path

from gan_jax import runs

from . import inject, states


def _end() -> None:
  os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
  whole, study, step, order = Path(arguments[0]), Path(arguments[1]), int(arguments[2]), arguments[3]
  save = states.saving(whole, study, step)
  count = [0]
  if order == "stop":
    os.kill(os.getpid(), signal.SIGSTOP)
  else:
    count = inject.operations(study, lambda number, path: _end() if number == int(order) else None)
  runs.write_status(study, runs.read_status(study))
  save()
  print(f"operations: {count[0]}", flush=True)
  os._exit(0)
