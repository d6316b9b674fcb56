"""Tasks as processes of this machine, each with its part of the cores and GPUs. No jax import.

Each process is the first of a session of its own: a Ctrl-C in the terminal reaches the launcher alone, which passes it
on. If the launcher is killed, they go on until their group is trained. One that something has stopped (SIGSTOP) cannot
help itself, as one that hangs does: it is killed after a minute, and so started again.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_jax.launch.tasks import HUNG, Ended, Task

STOPPED = 60.0  # seconds that a process may be stopped


class Local:
  """Processes of this machine, at most as many at once as there are shares."""

  def __init__(self, shares: Sequence[Mapping[str, str]], patience: float = STOPPED):
    """`shares`: what is added to the environment of each; see shares.py. `patience`: seconds with a stopped process."""
    self._patience = patience
    self._stopped: dict[str, float] = {}  # since when
    self._free = [dict(share) for share in shares]
    self._running: dict[str, tuple[subprocess.Popen[bytes], dict[str, str]]] = {}

  def room(self) -> int:
    return len(self._free)

  def start(self, tasks: Sequence[Task]) -> None:
    for task in tasks:
      share = self._free.pop(0)
      with open(task.log, "ab") as log:
        process = subprocess.Popen(
          task.command,
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          env={**os.environ, **share},
          start_new_session=True,
        )
      self._running[task.group] = process, share

  def poll(self) -> list[Ended]:
    killed = self._without_stopped()
    over = {group: code for group, (process, _) in self._running.items() if (code := process.poll()) is not None}
    for group in over:
      self._free.append(self._running.pop(group)[1])
    return [Ended(group, code, HUNG if group in killed else "") for group, code in over.items()]

  def _without_stopped(self) -> set[str]:
    """Kill what has been stopped for too long; the groups."""
    now, before = time.monotonic(), self._stopped
    found = {group for group, (process, _) in self._running.items() if _is_stopped(process.pid)}
    self._stopped = {group: before.get(group, now) for group in found}
    killed = {group for group, since in self._stopped.items() if now - since > self._patience}
    for group in killed:
      self._running[group][0].kill()
      self._running[group][0].wait()
    return killed

  def running(self) -> set[str]:
    return set(self._running)

  def stop(self, number: int) -> None:
    for process, _ in self._running.values():
      process.send_signal(number)


def _is_stopped(number: int) -> bool:
  """Whether a process is stopped; False where this system has no /proc."""
  try:
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "T"
  except (OSError, IndexError):
    return False
