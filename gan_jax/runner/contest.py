"""Who competes with whom in successive halving (halving.py), and which draws stop: pure functions. No jax import."""

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from gan_jax import settings
from gan_jax.core.errors import BadInput, shown
from gan_jax.report.comparison import Quality
from gan_jax.report.searches import dealt, in_order
from gan_jax.settings import labels

Config = Mapping[str, Any]
Draws = dict[str, list[str]]  # of one competition: the ids of each draw's runs, by the draw's key


def competitions(configs: Sequence[Config], roles: Mapping[str, Sequence[str]], searches: int = 1) -> list[Draws]:
  """The draws of a study, those together that compete with one another; in the order of the runs.

  With several searches the draws of each compared setting are dealt out to them (report/searches.py), and compete within
  their own. The runs of a draw are in the order of their seeds.
  """
  found: dict[str, dict[str, list[Config]]] = {}
  repeated = {"seed", *roles.get("repeated", ())}
  for config in configs:
    draw = _key(config, repeated)
    field = _key(config, {*repeated, *roles["drawn"]}) if roles else str(config["panel"])
    found.setdefault(field, {}).setdefault(draw, []).append(config)
  return [
    {key: [settings.identity(config) for config in in_order(draws[key])] for key in keys}
    for draws in found.values()
    for keys in dealt(draws, roles.get("drawn", ()), searches)
  ]


def _key(config: Config, left_out: set[str]) -> str:
  """A key of a config without these fields, and without the options that belong to one of them."""

  def belongs(name: str) -> bool:
    root = settings.split(name)[0]
    field = settings.FIELDS.get(root)
    return name in left_out or root in left_out or (field is not None and field.of in left_out)

  flat = labels.flatten(config)
  return json.dumps({name: value for name, value in flat.items() if not belongs(name)}, sort_keys=True)


def going_on(count: int, keep: float) -> int:
  """How many of `count` draws go on: the share `keep`, rounded up; at least one."""
  return max(1, math.ceil(count * keep - 1e-9))  # 0.1 * 30 is a little more than 3


def judged(value: Mapping[str, Any], what: str, roles: Mapping[str, Sequence[str]], fewest: int) -> tuple[int, int]:
  """(searches, judges) as `halving()` gives them; `fewest`: runs of a draw. Raises `BadInput` for others than can be."""
  found = value.get("searches", 1), value.get("judges", 0)
  for name, x, low in (("searches", found[0], 1), ("judges", found[1], 0)):
    if type(x) is not int or x < low:
      raise BadInput(f"{what} expected as {name} a whole number from {low}, got {shown(x)}")
  if found[0] > 1 and not roles:
    raise BadInput(f"{what} expected roles() that say what is drawn, where there are several searches, got none")
  if found[1] >= fewest:
    raise BadInput(
      f"{what} expected fewer judges than each draw has runs, since the others choose: less than {fewest}, got {found[1]}"
    )
  return found


def worst(draws: Draws, values: Mapping[str, float], quality: Quality, keep: float, judges: int = 0) -> list[str]:
  """The ids of the runs that stop: those of the worst draws of one competition.

  Args:
    draws: those still in training.
    values: of the quality, by run; NaN: diverged or not measured.
    quality: says whether low or high is good, and which mean is taken.
    keep: the share of the draws that goes on.
    judges: runs of each draw, the last ones, by which it is not ranked.
  """

  def rank(key: str) -> tuple[float, float, str]:
    own = np.asarray([values[run] for run in draws[key][: len(draws[key]) - judges]], np.float64)
    good = own[np.isfinite(own)]
    if not len(good):
      return 1.0, 0.0, min(draws[key])
    score = np.log(good) if quality.log and bool((good > 0).all()) else good
    return 1 - len(good) / len(own), float(quality.sign * score.mean()), min(draws[key])

  order = sorted(draws, key=rank)
  return [run for key in order[going_on(len(order), keep) :] for run in draws[key]]


def why(left: Sequence[Draws], values: Mapping[str, float], stopping: AbstractSet[str], metric: str) -> str:
  """Why these runs, those of the `worst` draws of all competitions, stop: `as the worst by frechet/distance`.

  Args:
    left: the draws of each competition that are still trained.
    values: the quality of each run.
    stopping: the runs that stop.
    metric: the name of the quality.
  """
  if not any(math.isfinite(values[run]) for draws in left for own in draws.values() for run in own):
    return f"by the order of their ids, for no run has a finite {metric}"
  lost = sum(not math.isfinite(values[run]) for run in stopping)
  return f"as the worst by {metric}{f' ({lost:,} of them without a finite value)' if lost else ''}"


def failing(draws: Draws, verdicts: Mapping[str, str], stopping: Sequence[str]) -> list[str]:
  """The ids of the runs that stop: those of the draws of which more than half of the runs have one of these verdicts.

  Args:
    draws: those still in training.
    verdicts: so far, by run.
    stopping: the verdicts for which a run stops.
  """
  found = {key: sum(verdicts[run] in stopping for run in own) for key, own in draws.items()}
  return [run for key, own in draws.items() if 2 * found[key] > len(own) for run in own]


def outlook(at: Sequence[int], keep: float, by: str, competing: Sequence[Draws], steps: Mapping[str, int]) -> str:
  """What such rules (halving.py) save, for the plan of a study. `steps`: of each run, by id.

  Where draws have different numbers of runs, those with most are counted as going on.
  """
  left = [sorted(draws.values(), key=len, reverse=True) for draws in competing]
  exact = all(len({len(own) for own in draws}) == 1 for draws in left)
  whole, saved, said = sum(steps.values()), 0, []
  for rung in at:
    kept = [draws[: going_on(len(draws), keep)] for draws in left]
    stop = [run for draws, on in zip(left, kept, strict=True) for own in draws[len(on) :] for run in own]
    saved += sum(steps[run] - rung for run in stop)
    left = kept
    said.append(f"{sum(len(own) for draws in kept for own in draws):,} of {len(steps):,} runs go on from step {rung:,}")
  about = "" if exact else "about "
  ranked = by or "the quality that the report ranks by"
  return f"halving by {ranked}: {', '.join(said)}; {about}{saved:,} of {whole:,} steps of single runs are saved"
