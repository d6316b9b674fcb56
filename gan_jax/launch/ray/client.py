"""The process that speaks to Ray for a launcher: it starts tasks there, stops them, and says how they ended. No jax.

    python -m gan_jax.launch.ray.client ADDRESS CPUS FOLDER

Where a folder is named, a Ray is started for this once, with so many CPUs; where it is '', there is one at the address.

A process of its own, because `ray.init` forks (which jax warns of) and takes over signal handlers, and because Ray's
library ends its process when the cluster is lost. It reads a line of JSON for each order:

    {"start": NAME, "command": [...], "environment": {...}, "folder": PATH, "log": PATH, "cpus": 1, "gpus": 0, "cores": 1}
    {"stop": NAME}

The end of its input, which is also the launcher's death, ends it: the tasks are asked to save, and then killed. It writes
a line for each answer: `{"ready": {"CPU": 2.0, ...}}` or `{"refused": SENTENCE}`, and `{"ended": NAME, "code": CODE,
"error": TYPE, "why": TEXT}`. The code is the exit code of the command, negative for a signal, or null where Ray lost the
task; `error` is then the name of Ray's exception. So a run's data never go through Ray: a command goes out, a number
comes back.
"""

import contextlib
import fcntl
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

LOOK = 0.1  # seconds between two looks at the tasks
GRACE = 20.0  # seconds that tasks have to save, after the launcher is gone
STORE = 80 * 2**20  # bytes of shared memory for objects, about the least that Ray allows; only numbers are returned
# The command dies with the worker of Ray that started it, which Linux sees to; elsewhere a group's lock must do.
TETHER = """
import ctypes, os, signal, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
  ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; exec keeps it
  if os.getppid() != parent:
    sys.exit(1)
os.execv(command[0], command)
"""

Order = Mapping[str, Any]


def cores(count: int, locks: contextlib.ExitStack) -> dict[str, str]:
  """What tells a command which `count` cores of its node are its own (gan_jax/launch/shares.py); nothing for 0.

  Ray counts cores, and leaves it open which. Each is taken by a lock, which the kernel releases with this process.
  """
  if not count or not hasattr(os, "sched_getaffinity"):
    return {}
  there = sorted(os.sched_getaffinity(0))
  folder = os.path.join(tempfile.gettempdir(), f"gan_jax-cores-{os.getuid()}")
  own: list[int] = []
  with contextlib.suppress(OSError):  # where nothing can be locked, tasks share cores
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for core in there:
      file = locks.enter_context(open(os.path.join(folder, str(core)), "a"))  # noqa: SIM115
      with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        own.append(core)
      if len(own) == count:
        break
  own += [core for core in there if core not in own][: count - len(own)]
  return {"GAN_JAX_CORES": ",".join(map(str, own)), "GAN_JAX_WORKERS": str(max(1, len(there) // count))}


def task(order: Order) -> int:
  """A Ray task: run an order's command until it ends; its exit code. SIGINT and SIGTERM are passed on as SIGTERM.

  This process is the script of `python -m`, so Ray sends its functions by value: a node's Python need not have gan_jax.
  """
  asked: list[int] = []
  before = {n: signal.signal(n, lambda number, _: asked.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
  # What Ray sets for its workers is not for the command: one thread for OpenMP, and how to find Ray.
  inherited = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS" and not k.startswith("RAY_")}
  try:
    with contextlib.ExitStack() as locks, open(order["log"], "ab") as log:
      process = subprocess.Popen(
        [order["command"][0], "-I", "-S", "-c", TETHER, str(os.getpid()), *order["command"]],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=order["folder"],
        env=inherited | cores(order["cores"], locks) | order["environment"],
      )
      while process.poll() is None:
        if asked:
          asked.clear()
          process.terminate()
        time.sleep(LOOK)
    return process.returncode
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


@contextlib.contextmanager
def connected(address: str, cpus: int, folder: str) -> Iterator[Any]:
  """The module `ray`, connected. With a `folder` a Ray is started: loopback only, no dashboard, token required.

  Its files are below the folder, which is removed in the end: Ray lets everybody write into its own.
  """
  if folder:
    # Read when ray is imported. The first lets Ray use no address but 127.0.0.1, on Linux too; the token is for this once.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
  try:
    import ray

    own: dict[str, Any] = {"include_dashboard": False, "num_cpus": cpus, "num_gpus": 0, "object_store_memory": STORE}
    own |= {"_temp_dir": os.path.join(folder, "r"), "_node_ip_address": "127.0.0.1"}
    ray.init(address=address, log_to_driver=False, configure_logging=False, **(own if folder else {}))
    yield ray
    ray.shutdown()
  finally:
    if folder:
      shutil.rmtree(folder, ignore_errors=True)  # made for this


def orders(stream: TextIO) -> "queue.Queue[Order | None]":
  """The orders, read by a thread; None at the end of the input."""
  found: queue.Queue[Order | None] = queue.Queue()

  def read() -> None:
    for line in stream:
      found.put(json.loads(line))
    found.put(None)

  threading.Thread(target=read, name="orders", daemon=True).start()
  return found


def service_died() -> bool:
  """Whether a child of this process ended: each is one of the services of a Ray that it started."""
  try:
    return os.waitpid(-1, os.WNOHANG)[0] != 0
  except ChildProcessError:
    return False


class Tasks:
  """The tasks that Ray has, by name."""

  def __init__(self, ray: Any, answer: Callable[[Order], None]):
    # Whether and when a task is tried again is decided by the launcher.
    self._ray, self._answer, self._task = ray, answer, ray.remote(max_retries=0)(task)
    self._running: dict[str, Any] = {}
    self._asked: set[str] = set()

  def follow(self, order: Order) -> None:
    if "start" in order:
      given = self._task.options(num_cpus=order["cpus"], num_gpus=order["gpus"])
      self._running[order["start"]] = given.remote(order)
    elif order["stop"] in self._running and order["stop"] not in self._asked:  # a second signal would end it unsaved
      self._asked.add(order["stop"])
      self._ray.cancel(self._running[order["stop"]], force=False)

  def look(self) -> bool:
    """Tell which tasks have ended; whether there are others."""
    references = list(self._running.values())
    done = self._ray.wait(references, num_returns=len(references), timeout=0)[0] if references else []
    for name in [name for name, reference in self._running.items() if reference in done]:
      self._answer({"ended": name, **self._end(self._running.pop(name))})
      self._asked.discard(name)
    return bool(self._running)

  def _end(self, reference: Any) -> dict[str, Any]:
    errors = self._ray.exceptions
    try:
      return {"code": self._ray.get(reference), "error": "", "why": ""}
    except errors.RayTaskError as error:  # of `task` itself, for example for a program that is not there
      return {"code": None, "error": type(error.cause).__name__, "why": str(error.cause)}
    except errors.RayError as error:
      return {"code": None, "error": type(error).__name__, "why": str(error)}

  def leave(self) -> None:
    """Ask all tasks to save, those that were not asked before, and wait for that a while."""
    for name in set(self._running) - self._asked:
      self.follow({"stop": name})
    end = time.monotonic() + GRACE
    while self.look() and time.monotonic() < end and not service_died():
      time.sleep(LOOK)


def serve(ray: Any, given: "queue.Queue[Order | None]", answer: Callable[[Order], None]) -> None:
  """Follow the orders until their end, or until a service of Ray is gone."""
  tasks = Tasks(ray, answer)
  while not service_died():
    with contextlib.suppress(queue.Empty):
      order = given.get(timeout=LOOK)
      if order is None:
        tasks.leave()
        return
      tasks.follow(order)
    tasks.look()


def main(arguments: Sequence[str]) -> None:
  answers = open(os.dup(1), "w", buffering=1)  # noqa: SIM115
  os.dup2(2, 1)  # whatever Ray prints is no answer

  def answer(found: Order) -> None:
    with contextlib.suppress(BrokenPipeError):  # the launcher is gone
      answers.write(json.dumps(found) + "\n")

  with contextlib.ExitStack() as stack:
    try:
      ray = stack.enter_context(connected(arguments[0], int(arguments[1]), arguments[2]))
    except Exception as error:
      answer({"refused": f"{type(error).__name__}: {error}"})
      return
    answer({"ready": ray.cluster_resources()})
    serve(ray, orders(sys.stdin), answer)


if __name__ == "__main__":
  main(sys.argv[1:])
