"""A large study without training: its runs are planned, its directory is made, then listed and reported."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import report, runs
from gan_jax.runner import grouping
from gan_jax.runner.manifest import describe
from gan_jax.runs import plan
from gan_jax.settings import sweeps

from .worker import Prepared
from .works import LENS, Contender, Work

SEEDS, LOSSES = 5, LENS[:4]
ROWS = ("disc/loss", "gen/loss", "disc/auc", "factor/loss", "factor/critic", "factor/generator", "gen/grad_norm")
BASE = {"steps": 1000, "probe_every": 50, "evaluate_every": 500}


def configs(number: int) -> list[dict[str, Any]]:
  """Four losses, five seeds, and as many learning rates as make up the number."""
  rates = np.geomspace(1e-5, 1e-2, max(1, number // (SEEDS * len(LOSSES))))
  sweep = sweeps.product(
    sweeps.param("loss", LOSSES),
    sweeps.param("generator_rate", [float(f"{rate:.8g}") for rate in rates]),
    sweeps.param("seed", range(SEEDS)),
  )
  return sweeps.planned(BASE, sweep, {}, single=False)[1]


def write(study: Path, groups: Sequence[Any]) -> None:
  """The directory that these groups would leave when they are done, with random numbers in its tables."""
  meanings = {name: name for name in (*ROWS, "frechet/distance")}
  runs.write_manifest(study, describe("made by the benchmark", study.name, groups, meanings))
  rng, status = np.random.default_rng(0), {}
  for group in groups:
    chunks, members = plan.of(group.configs[0]), len(group.configs)
    for chunk in chunks:
      steps = chunk.first + chunk.length * np.arange(chunk.windows)
      columns = {name: rng.lognormal(size=(len(steps), members)).astype(np.float32) for name in ROWS}
      runs.append(study, "rows", group.name, chunk.first, chunk.last, runs.Table(steps, columns))
    for step in plan.evaluations(group.configs[0]):
      measured = {"frechet/distance": rng.lognormal(size=(1, members)).astype(np.float32)}
      runs.append(study, "quality", group.name, step, step + 1, runs.Table(np.array([step]), measured))
    status[group.name] = {"step": chunks[-1].last, "complete": True, "seconds": 1.0, "diverged": {}}
  runs.write_status(study, {"groups": status})


def prepare(contender: Contender, work: Work) -> Prepared:
  """Everything once: seconds of planning, listing and reporting, without those of making the directory's tables."""
  parts: dict[str, float] = {}

  def timed(name: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    found = call()
    parts[name] = time.perf_counter() - began
    return found

  def clock(calls: int) -> float:
    with tempfile.TemporaryDirectory(prefix="gan_jax_bench_") as folder:
      groups = timed("planned", lambda: grouping.group(grouping.completed(configs(contender.members))))
      write(Path(folder), groups)
      timed("listed", lambda: report.terminal_table(Path(folder)))
      timed("reported", lambda: report.build(Path(folder)))
    return sum(parts.values())

  return Prepared(clock, 1, 1, parts, once=True)
