"""What successive halving left of a search: of each compared setting the draws that were trained to the end, and the best.

How a stopped draw would have ended is not known, so nothing is estimated of the best of k draws (`search.py`). The best
draw of each setting can be shown all the same: it is what a search with halving is for.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from gan_jax.report import statistics, wording
from gan_jax.report.comparison import Quality, quality_of
from gan_jax.report.records import Panel, Variant, final
from gan_jax.report.search import drawn_text, flatten, search, varying
from gan_jax.report.searches import trained
from gan_jax.report.statistics import Estimate
from gan_jax.settings.labels import label, shortened


class Survivor(NamedTuple):
  """One compared setting."""

  label: str
  best: Variant | None  # of its draws that were trained on; None: all of them stopped or diverged
  value: Estimate  # its final quality, over its runs
  settings: str  # its drawn values
  left: int  # draws that halving did not stop
  draws: int


class Survivors(NamedTuple):
  quality: Quality
  drawn: tuple[str, ...]
  compared: tuple[str, ...]
  settings: tuple[Survivor, ...]  # the best first


def survivors(panel: Panel) -> Survivors | None:
  """The panel's settings, best first; None where halving stopped no run, or the study does not say what was drawn, or where
  other runs judge what was left, which `search` then has.
  """
  every = [run for variant in panel.variants for run in variant.runs]
  quality = quality_of({name for run in every for name in run.quality.columns})
  configs = [flatten(variant.config) for variant in panel.variants]
  there = varying(configs)
  drawn = [name for name in panel.roles.get("drawn", ()) if name in there]
  if not drawn or quality is None or all(run.status != "stopped" for run in every) or search(panel) is not None:
    return None
  compared = [name for name in there if name not in (*drawn, *panel.roles.get("repeated", ()))]
  groups: dict[str, list[Variant]] = defaultdict(list)
  for variant, config in zip(panel.variants, configs, strict=True):
    groups[label({name: config.get(name) for name in compared or ["loss"]}, compared)].append(variant)
  names = shortened(list(groups))
  found = [_setting(name, own, drawn, quality) for name, own in zip(names, groups.values(), strict=True)]
  found.sort(key=lambda one: (one.best is None, np.nan_to_num(quality.sign * one.value.mean, nan=np.inf)))
  return Survivors(quality, tuple(drawn), tuple(compared), tuple(found))


def _setting(name: str, draws: list[Variant], drawn: list[str], quality: Quality) -> Survivor:
  values = {
    id(draw): statistics.estimate([final(run, quality.metric) for run in draw.counted], quality.log) for draw in draws
  }
  known = [draw for draw in draws if np.isfinite(values[id(draw)].mean)]
  left = sum(trained(draw.runs) for draw in draws)
  if not known:
    return Survivor(name, None, statistics.estimate([], quality.log), "", left, len(draws))
  best = min(known, key=lambda draw: quality.sign * values[id(draw)].mean)
  config = flatten(best.config)
  said = ", ".join(f"{field}={drawn_text(config[field])}" for field in drawn if field in config)
  return Survivor(name, best, values[id(best)], said, left, len(draws))


def reduced(panel: Panel, found: Survivors) -> Panel:
  """The panel with the best draw of each setting that has one, by the setting's name."""
  kept = [one.best._replace(label=one.label) for one in found.settings if one.best is not None]
  return panel._replace(variants=tuple(kept))


def sentence(found: Survivors) -> str:
  """Who ended best, among draws that were selected."""
  first = next((one for one in found.settings if one.best is not None), None)
  if first is None:
    return "Every draw of every setting stopped or diverged."
  total, left = sum(one.draws for one in found.settings), sum(one.left for one in found.settings)
  word = "lowest" if found.quality.sign > 0 else "highest"
  return (
    f"Of {total:,} draws {left:,} were trained to the end. Of these, {first.label} with {first.settings} has the {word} "
    f"{found.quality.title}, {wording.plus_minus(first.value)}. What is shown of each setting is its best draw, selected by "
    "its result: it is too good to be expected again, so the settings are not tested against one another."
  )
