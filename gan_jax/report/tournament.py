"""A tournament: compared settings that share their draws, each tuned with the same budget and compared draw by draw.

`tuning` has the estimates, from a table of scores; here a panel becomes that table, and its numbers get their units.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan_jax.report import statistics, tuning
from gan_jax.report.effects import effects, iqm, wilson
from gan_jax.report.judged import judged
from gan_jax.report.places import Place, Range, Tournament, units
from gan_jax.report.records import Run
from gan_jax.report.search import Entry, Search, drawn_text, flatten, settled, untrained

FEWEST = 8  # draws
MOST_PAIRS = 300  # of more, only those with the baseline and with the leader are tested, which takes seconds


def tournament(found: Search) -> Tournament | None:
  """The search as a tournament; None where its settings do not share their draws, or have fewer than `FEWEST`.

  After halving, of which each search chose a draw, it is that of `judged`.
  """
  if found.winners is not None:
    return judged(found)
  cells = [_cells(entry, found.drawn) for entry in found.entries]
  keys = list(cells[0])
  if len(keys) < FEWEST or any(set(own) != set(keys) for own in cells):
    return None
  start = untrained([run for own in cells for runs in own.values() for run in runs], found.quality)
  if not np.isfinite(start):
    return None
  count = min(len(runs) for own in cells for runs in own.values())
  values = np.array(
    [[[settled(run, found.quality, start) for run in own[key][:count]] for key in keys] for own in cells]
  )
  log = found.quality.log and bool((values > 0).all())
  scores = np.log(values) if log else found.quality.sign * values
  where = [_drawn_values(found.entries[0], found.drawn, key) for key in keys]
  return _played(found, scores, log, where)


def _cells(entry: Entry, drawn: Sequence[str]) -> dict[tuple[Any, ...], list[Run]]:
  """The runs of each draw, in the order of their seeds."""
  cells: dict[tuple[Any, ...], list[Run]] = {}
  for variant in entry.draws:
    cells.setdefault(_key(variant.config, drawn), []).extend(variant.runs)
  return {key: sorted(cells[key], key=lambda run: run.seed) for key in sorted(cells, key=repr)}


def _key(config: Mapping[str, Any], drawn: Sequence[str]) -> tuple[Any, ...]:
  flat = flatten(config)
  return tuple(flat.get(name) for name in drawn)


def _drawn_values(entry: Entry, drawn: Sequence[str], key: tuple[Any, ...]) -> dict[str, Any]:
  """The drawn fields of a draw, from a run's full config: a variant leaves out options at their defaults."""
  run = next(v.runs[0] for v in entry.draws if _key(v.config, drawn) == key)
  flat = flatten(run.config)
  return {name: flat.get(name) for name in drawn}


def _played(found: Search, scores: np.ndarray, log: bool, where: Sequence[Mapping[str, Any]]) -> Tournament:
  draws, k = scores.shape[1], tuning.budget(scores.shape[1])
  labels = [entry.label for entry in found.entries]
  mean, pseudo = tuning.tuned(scores, k), tuning.pseudo_values(scores, k)
  wins = tuning.wins(scores, k)
  order = np.argsort(mean, kind="stable")
  base, best = labels.index(found.baseline), int(order[0])
  every, against = _tests(scores, k, base, best)
  own = tuning.student_p(pseudo[:, None] - pseudo, mean[:, None] - mean, k)  # of one pair alone
  every, against = np.maximum(every, own), np.maximum(against, own[base])  # told apart only if both say so
  against[base] = every[best, best] = np.nan
  courses = [_course(scores, j) for j in range(1, max(2, draws // 2 + 1))]
  sign = found.quality.sign

  def versus(i: int, other: int) -> Range:
    if i == other:
      return (float("nan"),) * 3
    return units(tuning.interval(pseudo[i] - pseudo[other], mean[i] - mean[other], k), log, sign)

  places = []
  for i in order:
    entry, own = found.entries[i], scores[i].mean(-1)
    chosen = where[int(np.argmin(own))]
    places.append(
      Place(
        entry,
        units(tuning.interval(pseudo[i], mean[i], k), log, sign),
        versus(i, base),
        float("nan") if i == base else float(wins[i, base]),
        float(against[i]),
        versus(i, best),
        float(every[i, best]),
        wilson(entry.learnt / max(entry.runs, 1), draws),
        units(iqm(own), log, sign),
        np.array([units(tuning.Interval(*(x[i] for x in course)), log, sign) for course in courses]),
        ", ".join(f"{name} {drawn_text(value)}" for name, value in chosen.items()),
      )
    )
  named = {(a, b): float(every[i, j]) for i, a in enumerate(labels) for j, b in enumerate(labels[:i])}
  pairs = {frozenset(pair): p for pair, p in named.items() if np.isfinite(p)}
  return Tournament(
    k, draws, scores.shape[2], log, found.quality, found.baseline, found.compared, found.drawn,
    tuple(places), pairs,
    effects([labels[i] for i in order], scores[order], where, k),
  )  # fmt: skip


def _tests(scores: np.ndarray, k: int, base: int, best: int) -> tuple[np.ndarray, np.ndarray]:
  """p [L, L] corrected for all pairs (Holm's; Bonferroni's where only some are tested), and [L], Holm's, of the baseline."""
  count = len(scores)
  family = count * (count - 1) // 2
  pairs = [(i, j) for i in range(count) for j in range(i) if family <= MOST_PAIRS or {i, j} & {base, best}]
  p = tuning.swap_tests(scores, k, pairs, family)
  against, others = np.full(count, np.nan), np.delete(np.arange(count), base)
  against[others] = statistics.adjust(list(p[base, others]))
  if len(pairs) < family:
    return np.minimum(p * family, 1.0), against
  for (i, j), corrected in zip(pairs, statistics.adjust([p[pair] for pair in pairs]), strict=True):
    p[i, j] = p[j, i] = corrected
  return p, against


def _course(scores: np.ndarray, k: int) -> tuning.Interval:
  return tuning.interval(tuning.pseudo_values(scores, k), tuning.tuned(scores, k), k)
