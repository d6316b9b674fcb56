"""Tasks on Ray: on a Ray that is started on this machine, or on a cluster that is there. No jax import, and none of Ray.

Ray only starts processes here. A Ray task runs the command line of a worker and returns its exit code; what a study is
made of goes to its directory, which all nodes must see at the same path. A process beside the launcher speaks to Ray
(`client.py`). When it or the launcher dies, the workers are asked to save and end.
"""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, NamedTuple

from gan_jax.core.errors import BadInput, Failure
from gan_jax.launch import shares, tasks
from gan_jax.launch.ray.options import LOCAL, Options, check
from gan_jax.launch.tasks import Ended, Task

READY = 90.0  # seconds for Ray to start, or to answer; Ray itself tries a dead port for minutes
# What Ray's exceptions mean. A node that is gone was taken away, as spot machines are; a task that was cancelled had not
# begun.
CAUSES = {
  "NodeDiedError": tasks.PREEMPTED,
  "LocalRayletDiedError": tasks.PREEMPTED,
  "TaskCancelledError": tasks.PREEMPTED,
  "WorkerCrashedError": tasks.KILLED,
  "OutOfMemoryError": tasks.MEMORY,
}
# Of the launcher's environment, what may decide a run's bits, and where things are. The rest is the node's own.
HANDED_ON = ("GAN_JAX_", "JAX_", "XLA_", "NPROC", "OMP_", "PYTHONPATH", "XDG_", "TF_", "LIBTPU_")


class Client(NamedTuple):
  """The process that speaks to Ray."""

  process: subprocess.Popen[str]
  answers: "queue.Queue[dict[str, Any] | None]"  # None: it has ended
  printed: IO[bytes]  # by Ray
  folder: str  # of the files of a Ray that was started; ''

  def last_line(self) -> str:
    self.printed.seek(0)
    return (self.printed.read().decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"])[-1]

  def close(self) -> None:
    """Wait for its end, which the end of its input is. Where it was killed, Ray's files are still there."""
    with contextlib.suppress(BrokenPipeError):
      if self.process.stdin is not None:
        self.process.stdin.close()
    self.process.wait()
    self.printed.close()
    if self.folder:
      shutil.rmtree(self.folder, ignore_errors=True)


def client(address: str, cpus: int) -> Client:
  """Start the process that speaks to Ray. Ctrl-C in the terminal reaches the launcher alone, which passes it on."""
  printed = tempfile.TemporaryFile()  # noqa: SIM115
  # 0700, and short: a socket's path has 107 bytes.
  folder = tempfile.mkdtemp(prefix="gan_jax-ray-", dir="/tmp") if address == LOCAL else ""
  process = subprocess.Popen(
    [sys.executable, "-m", "gan_jax.launch.ray.client", address, str(cpus), folder],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=printed,
    text=True,
    bufsize=1,
    start_new_session=True,
  )
  answers: queue.Queue[dict[str, Any] | None] = queue.Queue()

  def read() -> None:
    assert process.stdout is not None
    with process.stdout as lines:
      for line in lines:
        answers.put(json.loads(line))
    answers.put(None)

  threading.Thread(target=read, name="ray", daemon=True).start()
  return Client(process, answers, printed, folder)


class Ray:
  """An `Engine` (tasks.py) of tasks on Ray, which die with it."""

  def __init__(self, options: Options, own: Sequence[Mapping[str, str]], say: Callable[[str], object] = print):
    """Start Ray, or find it, within `READY` seconds.

    Args:
      options: how.
      own: on this machine, what is added to the environment of each of the workers that run at a time; see shares.py.
      say: prints a remark.

    Raises:
      BadInput: Ray cannot be used.
    """
    check(options)
    self._options, self._local = options, options.address == LOCAL
    self._free = [dict(share) for share in own] if self._local else []
    self._slots = len(self._free)
    self._tasks: dict[str, tuple[Task, dict[str, str]]] = {}
    self._client: Client | None = client(options.address, self._slots)
    try:
      has = _ready(options.address, self._client)
    except BadInput:
      self.close()
      raise
    lacking = [name for name, count in (("CPU", options.cpus), ("GPU", options.gpus)) if has.get(name, 0.0) < count]
    if lacking:
      say(f"the cluster has fewer {lacking[0]}s now than one task asks for: tasks wait until it has")

  def room(self) -> int:
    return len(self._free) if self._local else max(0, self._options.parallel - len(self._tasks))

  def running(self) -> set[str]:
    return set(self._tasks)

  def start(self, given: Sequence[Task]) -> None:
    if self._client is None:  # it was lost: another one, and `poll` tells whether that works
      self._client = client(self._options.address, self._slots)
    asked = self._options
    for task in given:
      share = self._free.pop(0) if self._local else _fraction(asked.gpus)
      self._tasks[task.group] = task, share
      handed = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)} | share
      order = {"start": task.group, "command": task.command, "log": str(task.log.absolute()), "folder": os.getcwd()}
      needs = {"cpus": asked.cpus, "gpus": asked.gpus, "cores": 0 if self._local else asked.cpus}
      self._order(order | needs | {"environment": handed})

  def poll(self) -> list[Ended]:
    """The tasks that have ended. Raises `Failure` where Ray was lost and does not start again."""
    found: list[Ended] = []
    while self._client is not None and not self._client.answers.empty():
      answer = self._client.answers.get()
      if answer is None:
        lost = f"the process that speaks to Ray has ended ({self._client.last_line()})"
        self.close()
        found += [self._lost(group, tasks.KILLED, lost) for group in list(self._tasks)]
      elif "refused" in answer:
        raise Failure(f"Ray was lost, and does not start again: {answer['refused']}")
      elif "ended" in answer and answer["code"] is None:
        cause = CAUSES.get(answer["error"], tasks.FAILED)
        found.append(self._lost(answer["ended"], cause, f"{answer['error']}: {answer['why'].strip()}"))
      elif "ended" in answer:
        self._forget(answer["ended"])
        found.append(Ended(answer["ended"], answer["code"]))
    return found

  def stop(self, number: int) -> None:
    for group in self._tasks:
      self._order({"stop": group})

  def close(self) -> None:
    """End the tasks, which may save, and what was started of Ray. The launcher's own end does the same."""
    if self._client is not None:
      self._client.close()
    self._client = None

  def _lost(self, group: str, cause: str, why: str) -> Ended:
    """The end of a task whose exit code nobody knows; why is appended to its output."""
    with open(self._forget(group).log, "a") as log:
      log.write(f"Ray: {' '.join(why.split())}\n")
    return Ended(group, -9, cause)

  def _forget(self, group: str) -> Task:
    task, share = self._tasks.pop(group)
    self._free += [share] if self._local else []
    return task

  def _order(self, order: Mapping[str, Any]) -> None:
    if self._client is None or self._client.process.stdin is None:
      return
    with contextlib.suppress(BrokenPipeError):  # its end is told by `poll`
      self._client.process.stdin.write(json.dumps(order) + "\n")


def _ready(address: str, found: Client) -> dict[str, float]:
  """What Ray has, once it answers. Raises `BadInput` where it does not."""
  try:
    answer = found.answers.get(timeout=READY)
  except queue.Empty:
    found.process.kill()
    raise BadInput(f"--launcher=ray: no Ray answered at {address} within {READY:g} seconds") from None
  if answer is None or "refused" in answer:
    reason = found.last_line() if answer is None else answer["refused"]
    raise BadInput(f"--launcher=ray: Ray cannot be used at {address}: {reason}")
  return answer["ready"]


def _fraction(gpus: float) -> dict[str, str]:
  """What is added to the environment of a task that has a part of a GPU."""
  shared = 0 < gpus < 1 and shares.FRACTION not in os.environ
  return {shares.FRACTION: f"{shares.USED * gpus:.3f}"} if shared else {}
