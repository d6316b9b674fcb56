"""`launch.sh benchmark_penalties [--seconds S]`: what each penalty costs, beside no penalty, in one run.

A population of 8 digit GANs under each penalty, the best of several timings of a compiled chunk of steps: milliseconds per
member and step, and the ratio to the same population without a penalty. Ratios of one run are to be trusted, times not.
"""

import time
from pathlib import Path

from experiments import command
from experiments.sweep import Parser

MEMBERS, STEPS = 8, 20
GAMES = {  # what is timed: fields beyond the default
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
  "clip": {"weight_constraint": "clip", "clip_value": 1.0},
}


def main(arguments: list[str]) -> None:
  parser = Parser(prog="./launch.sh benchmark_penalties", allow_abbrev=False)
  parser.add_argument("--model", default="mlp", help="a model that takes the 8 x 8 digits (default: mlp)")
  parser.add_argument("--repeats", type=int, default=5, help="timings of which the best counts (default: 5)")
  known = parser.parse_args(arguments)

  from gan_jax import devices, settings

  devices.configure(MEMBERS, None)

  import jax

  from gan_jax import data, game, metrics, population

  dataset = data.load("digits")
  quality = metrics.build(dataset, Path(devices.cache_directory()))
  print(f"{known.model} on {jax.devices()[0].device_kind}, {len(jax.devices())} devices, {MEMBERS} members")
  plain = None
  for name, fields in GAMES.items():
    base = {"model": known.model, "penalty_weight": 0.1, "steps": STEPS, **fields}
    (group,) = population.group([settings.resolve(base, {"seed": seed}) for seed in range(MEMBERS)])
    program = population.compile_group(group, game.build(group.spec, dataset), dataset, quality)
    state, best = program.init(program.hypers), float("inf")
    for repeat in range(known.repeats + 1):
      began = time.perf_counter()
      state, _ = program.advance(program.hypers, state, program.data, 1, STEPS)
      jax.block_until_ready(state)
      if repeat:  # the first one compiles
        best = min(best, time.perf_counter() - began)
    cost = 1e3 * best / (STEPS * MEMBERS)
    plain = plain or cost
    print(f"{name:22} {cost:8.3f} ms per member and step  {cost / plain:5.2f} x", flush=True)


if __name__ == "__main__":
  command.run(main)
