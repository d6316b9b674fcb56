"""Several searches of each compared setting: which draws are of which, and which runs of a draw only judge it.

Successive halving (runner/halving.py) can deal the draws of every compared setting out to searches of their own, and keep
some runs of each draw out of the choice. This is the rule by which both the runner and the report do so.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax import settings
from gan_jax.settings import labels

Config = Mapping[str, Any]


def in_order(configs: Sequence[Config]) -> list[Config]:
  """The runs of one draw by their seeds. The last ones are those that judge, where some do."""
  return sorted(configs, key=lambda config: (config["seed"], settings.identity(config)))


def dealt(draws: Mapping[str, Sequence[Config]], drawn: Sequence[str], count: int) -> list[list[str]]:
  """The keys of a compared setting's draws, one list for each of `count` searches, whose sizes differ by one at most.

  Draws that have seeds of their own are dealt in the order of their seeds, as `s.sobol(..., runs=2)` gives them: the
  first search has the first draws. Others are in an arbitrary order, which is a function of their drawn values alone.
  Either way two settings with the same draws have the same draws in each search.
  """

  def place(key: str) -> tuple[int, int]:
    flat = labels.flatten(draws[key][0])
    values = {name: value for name, value in flat.items() if name in drawn or settings.split(name)[0] in drawn}
    return min(config["seed"] for config in draws[key]), zlib.crc32(json.dumps(values, sort_keys=True).encode())

  keys = list(draws) if count == 1 else sorted(draws, key=place)
  return [keys[len(keys) * i // count : len(keys) * (i + 1) // count] for i in range(count)]
