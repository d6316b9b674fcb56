"""Alternating rounds of timings, and ratios between them with their spread. No jax import.

A shared machine's speed drifts, so all contenders of a row are timed in every round, in an order that is reversed from
round to round, and what is compared is compared within a round.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Clock = Callable[[], float]


class Spread(NamedTuple):
  """A number that was measured in several rounds."""

  value: float  # the median over rounds
  low: float  # the smallest
  high: float  # the largest


class Claim(NamedTuple):
  """One number of the table, and what it is to reach."""

  what: str  # 'PyTorch eager / ours'
  peer: str  # the contender that ours is compared with; '' for none
  spread: Spread | None  # None: it was not measured
  target: float | None  # None: nothing is asked of it
  at_least: bool = True  # the target is a lower bound; else an upper one
  unit: str = "x"  # of the number and of the target

  @property
  def reached(self) -> bool | None:
    """Whether the median reaches the target; None where there is none of one of them."""
    if self.spread is None or self.target is None:
      return None
    return self.spread.value >= self.target if self.at_least else self.spread.value <= self.target


def alternate(clocks: Mapping[str, Clock], rounds: int, told: Callable[[int], None] = lambda number: None):
  """{name: the timing of each round}. Every round asks every clock once, odd rounds in reverse order.

  Args:
    clocks: each returns the seconds (or milliseconds) of one timing.
    rounds: how often.
    told: is called with the number of each round, from 1, before it begins.
  """
  found: dict[str, list[float]] = {name: [] for name in clocks}
  for number in range(rounds):
    told(number + 1)
    for name in list(clocks)[:: -1 if number % 2 else 1]:
      found[name].append(clocks[name]())
  return found


def spread(values: Sequence[float]) -> Spread:
  """Median, minimum and maximum; `values` has at least one."""
  return Spread(statistics.median(values), min(values), max(values))


def fastest(timings: Mapping[str, Sequence[float]], names: Sequence[str]) -> str | None:
  """The one of `names` whose median time is the smallest; None where none of them was timed."""
  timed = [name for name in names if timings.get(name)]
  return min(timed, key=lambda name: statistics.median(timings[name])) if timed else None


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
  """The spread over rounds of above / below, taken within each round."""
  return spread([a / b for a, b in zip(above, below, strict=True)])


def compared(
  what: str, timings: Mapping[str, Sequence[float]], ours: str, peers: Sequence[str], target: float | None
) -> Claim:
  """How many times as long as ours the fastest of the peers takes: thread counts and layouts are the peer's to choose."""
  peer = fastest(timings, peers)
  if peer is None or not timings.get(ours):
    return Claim(what, "", None, target)
  return Claim(what, peer, ratio(timings[peer], timings[ours]), target)
