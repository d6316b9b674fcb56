"""`launch.sh benchmark_probes [--members=35] [--repeats=5]`: the cost of the diagnostics.

Seven losses on the digits (MLPs, batch 64, R1): the time of a step, the time of a row of diagnostics, and the fall of
throughput with a row at every 50th step, 1 - 50 step / (50 step + row). It is measured with the default probes, with
the lens over all losses, and with the optional probes. The time of a row is a twentieth of that of 20 more rows, so the
cost of starting a chunk cancels. Timings alternate and the best counts. Trust the ratios, not the times.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from .. import command
from ..sweep import Parser

EVERY = 50
ROWS, LONG = 20, 120
CHUNKS = ((ROWS, 1), (1, ROWS), (1, LONG))  # (windows, steps of each)
LOSSES = (
  "minimax",
  "non_saturating",
  "least_squares",
  "wasserstein",
  "hinge",
  "relativistic",
  "relativistic_average",
)
CASES: dict[str, dict[str, Any]] = {
  "default probes": {},
  "lens over all losses": {"lens": "all"},
  "layers": {"probes": "layers"},
  "noise": {"probes": "noise"},
}


def main(arguments: list[str]) -> None:
  parser = Parser("benchmark_probes")
  parser.add_argument("--members", type=int, default=35, help="runs side by side (default: 35)")
  parser.add_argument("--repeats", type=int, default=5, help="timings of which the best counts (default: 5)")
  known = parser.parse_args(arguments)

  from gan_jax.runner import devices

  devices.configure(known.members, None)

  import jax

  from gan_jax import data

  dataset = data.load("digits")
  print(
    f"{jax.devices()[0].device_kind}, {len(jax.devices())} devices, {known.members} members, a row per {EVERY} steps"
  )
  with command.phase(f"compiling {len(CASES)} programs"):
    clocks = {name: clock(fields, known.members, dataset) for name, fields in CASES.items()}
  best = {name: dict.fromkeys(CHUNKS, float("inf")) for name in CASES}
  for number in range(1, known.repeats + 1):  # alternating, because a shared machine's speed drifts
    print(f"timing {number} of {known.repeats}", flush=True)
    for name, seconds in clocks.items():
      best[name] = {chunk: min(old, seconds(*chunk)) for chunk, old in best[name].items()}
  for name, taken in best.items():
    row = (taken[ROWS, 1] - taken[1, ROWS]) / (ROWS - 1)
    step = (taken[1, LONG] - taken[1, ROWS]) / (LONG - ROWS)
    print(
      f"{name:22} step {1e3 * step / known.members:6.3f} ms a member, row {row / step:5.2f} steps, "
      f"throughput falls by {100 * row / (EVERY * step + row):5.1f} %",
      flush=True,
    )


def clock(fields: Mapping[str, Any], members: int, dataset: Any) -> Callable[[int, int], float]:
  """(windows, length) -> seconds of one population for so many windows, each with a row; compiled beforehand."""
  import jax

  from gan_jax import game, settings
  from gan_jax.runner import grouping, population

  base = {"penalty": "r1", "penalty_weight": 0.5, **fields}
  configs = [settings.resolve(base, {"loss": LOSSES[i % len(LOSSES)], "seed": i}) for i in range(members)]
  (group,) = grouping.group(configs)
  unasked: Any = None  # sample quality is not measured
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
  state = [program.init(program.hypers)]

  def seconds(windows: int, length: int) -> float:
    began = time.perf_counter()
    state[0], _ = program.advance(program.hypers, state[0], program.data, windows, length)
    jax.block_until_ready(state[0])
    return time.perf_counter() - began

  for chunk in CHUNKS:
    seconds(*chunk)
  return seconds


if __name__ == "__main__":
  command.run(main)
