"""`launch.sh bench [--rows NAME,NAME] [--rounds 3] [--quick] [--out FILE]`: speed next to peers, on this machine.

Trains the same games as plain Flax loops and PyTorch do (GAN_JAX_EXTRA=benchmark), side by side: in every round each is
timed once, and ratios are taken within a round. It prints one table, with the target of each row and whether it is
reached, and writes one JSON file with every timing. `experiments/README.md` explains the rows.
"""

import argparse
import datetime
import functools
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.core import cores
from gan_jax.core.errors import BadInput, Failure, unknown
from gan_jax.runs import write_atomic

from .. import command
from ..sweep import Parser, place
from . import clocks, table, works
from .table import Measured
from .worker import Absent, Worker
from .works import Contender, Work

FORMAT = 1
SECONDS = 1.0  # of one timing, where a single call does not take longer
QUICK_SECONDS, QUICK_ROUNDS, ROUNDS = 0.3, 2, 3
CEILING = Contender("ceiling", "jax", "ceiling", threads=1)
Workers = dict[tuple[str, int], Worker]


def chosen(text: str | None, quick: bool) -> list[Work]:
  """The works of `--rows`; by default all, or those of `--quick`.

  Raises:
    BadInput: a name that there is not.
  """
  if text is None:
    text = ",".join(works.QUICK if quick else works.WORKS)
  asked = [name.strip() for name in text.split(",") if name.strip()]
  if not asked:
    raise BadInput(f"--rows expected names joined by commas, got none; known: {', '.join(works.WORKS)}")
  for name in asked:
    if name not in works.WORKS:
      raise unknown("row of the benchmark", name, works.WORKS)
  found = [works.WORKS[name] for name in dict.fromkeys(asked)]
  left_out = ("compile",) if quick else ()  # which takes a minute
  return [work._replace(peers=tuple(p for p in work.peers if p not in left_out)) for work in found]


def positive(text: str) -> int:
  if not text.isdecimal() or not 1 <= int(text) <= 1000:
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1000, got {text!r}")
  return int(text)


def installed(library: str) -> bool:
  found = importlib.util.find_spec(library)
  return found is not None and found.origin is not None  # a folder of that name is no library


class Ready(NamedTuple):
  """The contenders of a row, before they are timed."""

  workers: dict[str, Worker]  # by contender
  absent: dict[str, str]  # why the others cannot be timed
  machine: dict[str, Any]  # backend, device and versions, as the workers see them


def prepare(work: Work, contenders: Sequence[Contender], seconds: float, workers: Workers) -> Ready:
  """Compile every contender, one after another, in processes that `workers` keeps."""
  ready = Ready({}, {}, {})
  for contender in contenders:
    if not installed(contender.library):
      ready.absent[contender.name] = "not installed"
      continue
    # Each count of runs has a process of its own, because a process's peak memory is what is measured of it.
    apart = contender.members if work.kind == "plans" else 0
    key = (f"{contender.library} {apart}", contender.threads)
    if key not in workers:
      workers[key] = Worker(contender.library, contender.threads or cores.count())
    worker = workers[key]
    try:
      answer = worker.ask(do="prepare", contender=contender._asdict(), work=work._asdict(), seconds=seconds)
      ready.machine.update(answer)
      ready.workers[contender.name] = worker
    except Absent as error:
      ready.absent[contender.name] = str(error)
    except Failure as error:
      workers.pop(key).close()
      for name in [contender.name, *(name for name, its in ready.workers.items() if its is worker)]:
        ready.workers.pop(name, None)
        ready.absent[name] = str(error)
  return ready


def measure(work: Work, rounds: int, seconds: float) -> tuple[Measured, dict[str, Any]]:
  """(one row, facts of the machine): its contenders in processes of their own, timed in alternating rounds."""
  contenders = works.contenders(work, cores.count())
  workers: Workers = {}
  facts: dict[str, dict[str, Any]] = {}
  try:
    ready = prepare(work, [*contenders, *[CEILING] * (work.kind == "race")], seconds, workers)

    def clock(name: str, worker: Worker) -> float:
      answer = worker.ask(do="time", name=name)
      facts[name] = answer["facts"]
      return float(answer["ms"])

    asked = {name: functools.partial(clock, name, worker) for name, worker in ready.workers.items()}
    timings = clocks.alternate(asked, 1 if work.kind == "plans" else rounds)
  finally:
    for worker in workers.values():
      worker.close()
  operations = facts.pop(CEILING.name, {}).get("operations", 0)
  speeds = [1e3 * operations / ms for ms in timings.pop(CEILING.name, [])]
  ready.absent.pop(CEILING.name, None)
  return Measured(work, contenders, timings, facts, ready.absent, speeds), ready.machine


def record(measured: Measured, claims: Sequence[clocks.Claim]) -> dict[str, Any]:
  """A row as JSON."""
  work = measured.work
  timed = {
    name: {
      "ms": list(taken),
      "facts": measured.facts.get(name, {}),
      "operations_per_second": table.achieved(measured, name) or None,
    }
    for name, taken in measured.timings.items()
  }
  said = [
    {
      "what": claim.what,
      "peer": claim.peer,
      "unit": claim.unit,
      "value": claim.spread and claim.spread.value,
      "low": claim.spread and claim.spread.low,
      "high": claim.spread and claim.spread.high,
      "target": claim.target,
      "at_least": claim.at_least,
      "reached": claim.reached,
    }
    for claim in claims
  ]
  head = {"row": work.name, "text": work.text, "kind": work.kind, "members": work.members, "fields": dict(work.fields)}
  absent, ceiling = dict(measured.absent), list(measured.ceiling)
  return {**head, "contenders": timed, "absent": absent, "ceiling_operations_per_second": ceiling, "claims": said}


def machine(facts: Mapping[str, Any]) -> dict[str, Any]:
  """What was measured on; `facts` are what the workers say of their libraries."""
  model = platform.processor()
  if Path("/proc/cpuinfo").exists():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
  torch = {} if installed("torch") else {"torch": "not installed"}
  return {"processor": model, "cores": cores.count(), "load": list(os.getloadavg()), **facts, **torch}


def main(arguments: list[str]) -> None:
  parser = Parser("bench")
  parser.add_argument("--rows", help=f"names joined by commas (default: all): {', '.join(works.WORKS)}")
  parser.add_argument("--rounds", type=positive, help=f"timings of everything, alternating (default: {ROUNDS})")
  parser.add_argument(
    "--quick",
    action="store_true",
    help=f"short timings, no torch.compile, and by default only {', '.join(works.QUICK)}",
  )
  parser.add_argument("--out", type=place, default=Path("bench.json"), help="the JSON file (default: bench.json)")
  known = parser.parse_args(arguments)
  asked = chosen(known.rows, known.quick)
  rounds = known.rounds or (QUICK_ROUNDS if known.quick else ROUNDS)
  if known.out.is_dir() or not known.out.resolve().parent.is_dir():
    raise BadInput(f"--out expected a file in a folder that exists, got {known.out}")
  seconds = QUICK_SECONDS if known.quick else SECONDS
  began, started = time.monotonic(), datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  found, facts = [], {}
  for work in asked:
    with command.phase(f"compiling and timing {work.name}"):
      measured, there = measure(work, rounds, seconds)
    facts.update(there)
    found.append((measured, table.claims(measured)))
    print("\n".join(table.lines(measured)), flush=True)
  speeds = [speed for measured, _ in found for speed in measured.ceiling]
  here = machine(facts)
  result = {
    "format": FORMAT,
    "started": started,
    "seconds": round(time.monotonic() - began, 1),
    "rounds": rounds,
    "machine": here,
    "ceiling_operations_per_second": statistics.median(speeds) if speeds else None,
    "rows": [record(measured, claims) for measured, claims in found],
  }
  write_atomic(known.out, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
  print(f"\n{table.printed(found)}")
  most = f"matrix products at {statistics.median(speeds) / 1e9:,.0f} GFLOP/s; " if speeds else ""
  print(f"{', '.join(f'{name} {value}' for name, value in here.items())}; {most}every timing: {known.out}")


if __name__ == "__main__":
  command.run(main)
