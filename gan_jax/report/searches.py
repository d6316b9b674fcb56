"""Several searches of each compared setting: which draws are of which, and which runs of a draw only judge it.

Successive halving (runner/halving.py) can deal the draws of every compared setting out to searches of their own, and keep
some runs of each draw out of the choice. This is the rule by which both the runner and the report do so.

Each search is an experiment of its own: it has draws and seeds that no other search of the setting has, and chooses one of
them, which other runs judge. So what the searches of a setting find is independent and not too good, whoever was stopped.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_jax import settings
from gan_jax.report.records import Run, Variant
from gan_jax.settings import labels

Config = Mapping[str, Any]
FEWEST = 2  # searches of each setting, of which anything is estimated


class Winners(NamedTuple):
  """What the searches of each compared setting found, in the order of the settings."""

  values: np.ndarray  # [settings, searches, judges] final quality of the runs that judge the draw that was chosen
  runs: tuple[tuple[tuple[Run, ...], ...], ...]  # [settings][searches] all runs of that draw; the last ones judge
  draws: int  # of each setting


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
    return min(config["seed"] for config in draws[key]), zlib.crc32(_values(draws[key][0], drawn).encode())

  keys = list(draws) if count == 1 else sorted(draws, key=place)
  return [keys[len(keys) * i // count : len(keys) * (i + 1) // count] for i in range(count)]


def winners(
  groups: Sequence[Sequence[Variant]],
  drawn: Sequence[str],
  rules: Mapping[str, Any],
  settled: Callable[[Run], float],
  score: Callable[[np.ndarray], np.ndarray],
) -> Winners | None:
  """The draw that each search chose among those that it trained to the end; None where no other runs judge it.

  Args:
    groups: the draws of each compared setting.
    drawn: the drawn fields, as the study names them.
    rules: of the halving, as in the manifest.
    settled: the final quality of a run.
    score: qualities as numbers of which the lowest is best.
  """
  searches, judges = int(rules.get("searches", 1)), int(rules.get("judges", 0))
  every = [_draws(group, drawn) for group in groups]
  counts = {len(own) for own in every}
  if searches < FEWEST or judges < 1 or len(counts) > 1 or min(counts) < searches:
    return None
  if min(len(runs) for own in every for runs in own.values()) <= judges:
    return None
  found = []
  for own in every:
    parts = dealt({key: [run.config for run in runs] for key, runs in own.items()}, drawn, searches)
    found.append(tuple(_chosen([own[key] for key in part], judges, settled, score) for part in parts))
  values = np.array([[[settled(run) for run in runs[-judges:]] for runs in own] for own in found])
  return Winners(values, tuple(found), min(counts))


def whole(every: Sequence[Run], chosen: Sequence[Run], roles: Mapping[str, Sequence[str]]) -> bool:
  """Whether the chosen runs are all runs of some settings: then each search still has the draws that it began with."""
  left_out = ("seed", "panel", "baseline", *roles.get("drawn", ()), *roles.get("repeated", ()))
  ids = {run.id for run in chosen}

  def setting(run: Run) -> str:
    flat = labels.flatten(run.config)
    own = {name: x for name, x in flat.items() if name not in left_out and settings.split(name)[0] not in left_out}
    return json.dumps(own, sort_keys=True)

  kept = {setting(run) for run in chosen}
  return all(setting(run) not in kept for run in every if run.id not in ids)


def trained(runs: Sequence[Run]) -> bool:
  """Whether a draw was trained to the end, or is still trained: none of its runs was stopped, and not all diverged."""
  return all(run.status != "stopped" for run in runs) and any(run.status != "diverged" for run in runs)


def _draws(group: Sequence[Variant], drawn: Sequence[str]) -> dict[str, list[Run]]:
  """The runs of each draw, in the order of `in_order`."""
  found: dict[str, list[Run]] = defaultdict(list)
  for variant in group:
    for run in variant.runs:
      found[_values(run.config, drawn)].append(run)
  return {key: sorted(runs, key=lambda run: (run.seed, run.id)) for key, runs in found.items()}


def _values(config: Config, drawn: Sequence[str]) -> str:
  flat = labels.flatten(config)
  own = {name: value for name, value in flat.items() if name in drawn or settings.split(name)[0] in drawn}
  return json.dumps(own, sort_keys=True)


def _chosen(
  draws: Sequence[list[Run]], judges: int, settled: Callable[[Run], float], score: Callable[[np.ndarray], np.ndarray]
) -> tuple[Run, ...]:
  """The runs of the best draw of a search, by those that do not judge."""
  left = [runs for runs in draws if trained(runs)] or draws
  means = [score(np.array([settled(run) for run in runs[:-judges]])).mean() for runs in left]
  return tuple(left[int(np.argmin(means))])
