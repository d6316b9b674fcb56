"""The chunks in which a run is executed: a pure function of its cadence, so a resumed run has the same. No jax import."""

from collections.abc import Mapping
from math import gcd
from typing import Any, NamedTuple

CADENCE = ("steps", "probe_every", "evaluate_every", "checkpoint_every")  # the fields that it is a function of
ROWS_PER_CHUNK = 10  # at most; a chunk takes a few seconds, so progress is shown often and a kill loses little


class Chunk(NamedTuple):
  """`windows` windows of `length` steps from step `first` on; each window is probed at its first step."""

  first: int
  windows: int
  length: int
  evaluate: bool  # measure quality after the chunk
  save: bool

  @property
  def last(self) -> int:
    return self.first + self.windows * self.length


def chunks(steps: int, probe_every: int, evaluate_every: int, checkpoint_every: int) -> list[Chunk]:
  """The chunks of a whole run.

  Windows start at multiples of `probe_every`. Cadences are rounded up to whole windows; the last window may be shorter.
  The end of the run is always evaluated and saved.
  """
  length = min(probe_every, steps)
  full = steps // length
  evaluate, save = (max(1, -(-every // length)) for every in (evaluate_every, checkpoint_every))
  common = gcd(evaluate, save)
  size = next(n for n in range(min(ROWS_PER_CHUNK, common), 0, -1) if common % n == 0)
  found, window = [], 0
  while window < full:
    windows = min(size, full - window)
    end = window + windows
    found.append(Chunk(window * length, windows, length, end % evaluate == 0, end % save == 0))
    window = end
  if steps % length:
    found.append(Chunk(full * length, 1, steps % length, True, True))
  return [*found[:-1], found[-1]._replace(evaluate=True, save=True)]


def of(config: Mapping[str, Any], start: int = 0) -> list[Chunk]:
  """The chunks of a group's runs from step `start` on, the end of a chunk; from the config of any of them."""
  found = chunks(*(config[name] for name in CADENCE))
  return [chunk for chunk in found if chunk.first >= start]


def saving_period(config: Mapping[str, Any]) -> int:
  """Steps from one checkpoint to the next: `checkpoint_every`, rounded up to whole windows."""
  length = min(config["probe_every"], config["steps"])
  return max(1, -(-config["checkpoint_every"] // length)) * length


def evaluation_period(config: Mapping[str, Any]) -> int:
  """Steps from one evaluation to the next: `evaluate_every`, rounded up to whole windows."""
  length = min(config["probe_every"], config["steps"])
  return max(1, -(-config["evaluate_every"] // length)) * length


def evaluations(config: Mapping[str, Any], start: int = 0) -> list[int]:
  """The steps at which sample quality is measured and samples are drawn, the first one first: 0, or where a fork begins."""
  every = [*range(0, config["steps"], evaluation_period(config)), config["steps"]]
  return [start, *(step for step in every if step > start)]
