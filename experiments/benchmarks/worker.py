"""A process that times contenders, asked by `bench` in lines of JSON: one library, one number of threads and devices.

    {"do": "prepare", "contender": {...}, "work": {...}, "seconds": 1.0}  ->  {"ok": versions and device}
    {"do": "time", "name": "ours"}  ->  {"ok": {"ms": of a member and step, "facts": {...}}}

A contender that cannot be timed is an answer too, {"error": "one sentence"}: the others go on. `Worker` is the side that
asks, and imports neither jax nor PyTorch.
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.core.errors import Failure, one_line

from .works import Contender, Work

LONG = 2.0  # seconds of a first call after which it is not warmed up by another one
MOST_CALLS = 10_000


class Prepared(NamedTuple):
  """A contender, compiled."""

  clock: Callable[[int], float]  # (calls) -> seconds
  steps: int  # of one call
  members: int
  facts: Mapping[str, Any] = {}  # for the file: bytes, operations
  once: bool = False  # a call is a whole measurement: no warming up, no repeating


class Absent(Exception):
  """A contender that this machine does not have; the message says why."""


class Worker:
  """The asking side: a process of its own, ended by `close`."""

  def __init__(self, library: str, threads: int):
    self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (`close` closes it)
    root = str(Path(__file__).resolve().parents[2 + __name__.startswith("gan_jax.")])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if library == "torch":
      environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    self._process = subprocess.Popen(
      [sys.executable, "-c", f"from {__name__} import serve; serve({library!r}, {threads})"],
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment,
    )  # fmt: skip

  def ask(self, **question: Any) -> Any:
    """The answer. Raises `Absent` where the contender cannot be timed, `Failure` where the process has died."""
    assert self._process.stdin is not None
    assert self._process.stdout is not None
    try:
      self._process.stdin.write(json.dumps(question) + "\n")
      self._process.stdin.flush()
      line = self._process.stdout.readline()
    except OSError:
      line = ""
    if not line:
      raise Failure(f"a process of the benchmark ended: {self._last_words()}")
    answer = json.loads(line)
    if "error" in answer:
      raise Absent(answer["error"])
    return answer["ok"]

  def _last_words(self) -> str:
    code = self._process.wait()
    self._said.seek(0)
    lines = [line for line in self._said.read().splitlines() if line.strip()]
    return one_line(f"exit code {code}{', ' + lines[-1][:200] if lines else ''}")

  def close(self) -> None:
    if self._process.stdin is not None and self._process.poll() is None:
      self._process.kill()
    self._process.wait()
    for stream in (self._process.stdin, self._process.stdout, self._said):
      if stream is not None:
        stream.close()


def maker(library: str, name: str) -> Callable[[Contender, Work], Prepared]:
  """The function that compiles a contender; its module imports the library."""
  if library == "torch":
    from . import torch_peer

    return torch_peer.MAKERS[name]
  if name.startswith("flax_"):
    from . import flax_peer

    return flax_peer.MAKERS[name]
  if name == "plans":
    from . import planning

    return planning.prepare
  from . import ours

  return ours.MAKERS[name]


def start(library: str, threads: int) -> None:
  """Set up the library for so many threads, or members."""
  if library == "torch":
    import torch

    torch.set_num_threads(threads)
    return
  from gan_jax.runner import devices

  devices.configure(threads, None)


def about(library: str) -> dict[str, Any]:
  """The version of a library and, of jax, what it runs on."""
  if library == "torch":
    import torch

    return {"torch": torch.__version__}
  import jax

  return {"jax": jax.__version__, "backend": jax.default_backend(), "device": jax.devices()[0].device_kind}


class Served(NamedTuple):
  """A prepared contender, and how often it is called for one timing."""

  prepared: Prepared
  calls: int

  def milliseconds(self) -> float:
    """A member and step."""
    p = self.prepared
    return 1e3 * p.clock(self.calls) / (self.calls * p.steps * p.members)


def prepare(question: Mapping[str, Any]) -> Served:
  """Compile, warm up, and find how many calls take `seconds`."""
  contender, work = Contender(**question["contender"]), Work(**question["work"])
  work = work._replace(image=tuple(work.image))  # JSON has lists; a shape is hashed
  prepared = maker(contender.library, contender.maker)(contender, work)
  if prepared.once:
    return Served(prepared, 1)
  took = prepared.clock(1)
  took = prepared.clock(1) if took < LONG else took
  return Served(prepared, max(1, min(MOST_CALLS, math.ceil(question["seconds"] / max(took, 1e-6)))))


def answer(question: Mapping[str, Any], served: dict[str, Served]) -> Any:
  """What is replied to one question; `served` are the contenders so far."""
  if question["do"] == "prepare":
    served[question["contender"]["name"]] = prepare(question)
    return about(question["contender"]["library"])
  asked = served[question["name"]]
  milliseconds = asked.milliseconds()
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  return {"ms": milliseconds, "facts": {**asked.prepared.facts, "process_peak_bytes": peak}}


def serve(library: str, threads: int) -> None:
  """Answer questions until there are no more."""
  replies = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what libraries print is no answer
  start(library, threads)
  served: dict[str, Served] = {}
  for line in sys.stdin:
    try:
      reply = {"ok": answer(json.loads(line), served)}
    except Absent as error:
      reply = {"error": str(error)}
    except Exception as error:  # a peer that cannot do this work: a finding, not the end of the table
      reply = {"error": one_line(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")}
    replies.write(json.dumps(reply) + "\n")
    replies.flush()
