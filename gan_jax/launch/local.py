"""Tasks as processes of this machine, each with its part of the cores and GPUs. No jax import.

Each process is the first of a session of its own: a Ctrl-C in the terminal reaches the launcher alone, which passes it
on. If the launcher is killed, they go on until their group is trained.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence

from gan_jax.launch.tasks import Ended, Task


class Local:
  """Processes of this machine, at most as many at once as there are shares."""

  def __init__(self, shares: Sequence[Mapping[str, str]]):
    """`shares`: what is added to the environment of each; see shares.py."""
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
    over = {group: code for group, (process, _) in self._running.items() if (code := process.poll()) is not None}
    for group in over:
      self._free.append(self._running.pop(group)[1])
    return [Ended(group, code) for group, code in over.items()]

  def running(self) -> set[str]:
    return set(self._running)

  def stop(self, number: int) -> None:
    for process, _ in self._running.values():
      process.send_signal(number)
