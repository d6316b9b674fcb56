"""`launch.sh benchmark_penalties [--model=mlp] [--repeats=5]`: the cost of each penalty, relative to none.

For a population of 8 GANs on the digits under each penalty: the best of several timings of a compiled chunk of steps,
in milliseconds per member and step, and the ratio to the same population without a penalty. Trust the ratios, not the
times: a shared machine's speed drifts.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from .. import command
from ..sweep import Parser

MEMBERS, STEPS = 8, 100
GAMES: dict[str, dict[str, Any]] = {  # what is timed: fields that differ from the default
  "none": {},
  "r1": {"penalty": "r1"},
  "r1, every 16": {"penalty": "r1", "penalty_every": 16},
  "r1_finite_difference": {"penalty": "r1_finite_difference"},
  "r1_r2": {"penalty": "r1_r2"},
  "gradient_penalty": {"penalty": "gradient_penalty"},
  "max_gradient": {"penalty": "max_gradient"},
  "lecam": {"penalty": "lecam"},
  "bcr": {"penalty": "bcr", "augmentation": "shift"},
  "orthogonal": {"penalty": "orthogonal"},
  "spectral": {"weight_constraint": "spectral"},
  "clip": {"weight_constraint": "clip", "weight_constraint_options": {"bound": 1.0}},
}


def main(arguments: list[str]) -> None:
  parser = Parser("benchmark_penalties")
  parser.add_argument("--model", default="mlp", help="a model that takes the 8 x 8 digits (default: mlp)")
  parser.add_argument("--repeats", type=int, default=5, help="timings of which the best counts (default: 5)")
  known = parser.parse_args(arguments)

  from gan_jax.runner import devices

  devices.configure(MEMBERS, None)

  import jax

  from gan_jax import data

  dataset = data.load("digits")
  print(f"{known.model} on {jax.devices()[0].device_kind}, {len(jax.devices())} devices, {MEMBERS} members")
  with command.phase(f"compiling {len(GAMES)} programs"):
    clocks = {name: clock(fields, known.model, dataset) for name, fields in GAMES.items()}
  best = dict.fromkeys(GAMES, float("inf"))
  for number in range(1, known.repeats + 1):  # alternating, because a shared machine's speed drifts
    print(f"timing {number} of {known.repeats}", flush=True)
    best = {name: min(best[name], clocks[name]()) for name in GAMES}
  for name, seconds in best.items():
    cost = 1e3 * seconds / (STEPS * MEMBERS)
    print(f"{name:22} {cost:8.3f} ms per member and step  {seconds / best['none']:5.2f} x", flush=True)


def clock(fields: Mapping[str, Any], model: str, dataset: Any) -> Callable[[], float]:
  """A function that trains one population for `STEPS` steps and returns the seconds; it is compiled and has run once."""
  import jax

  from gan_jax import game, settings
  from gan_jax.runner import grouping, population

  base = {"model": model, "penalty_weight": 0.1, "steps": STEPS, **fields}
  (group,) = grouping.group([settings.resolve(base, {"seed": seed}) for seed in range(MEMBERS)])
  unasked: Any = None  # sample quality is not measured
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
  state = [program.init(program.hypers)]

  def seconds() -> float:
    began = time.perf_counter()
    state[0], _ = program.advance(program.hypers, state[0], program.data, 1, STEPS)
    jax.block_until_ready(state[0])
    return time.perf_counter() - began

  seconds()
  return seconds


if __name__ == "__main__":
  command.run(main)
