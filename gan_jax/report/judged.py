"""A tournament after successive halving: what each search found, judged by runs that had no part in the choice.

The searches of a setting are independent experiments (searches.py), so Student's interval over them is that of tuning with
the budget of one search, halving included. Two settings are compared search by search, since they share draws and seeds.

That a setting is not the best is claimed where the leader is better with p below 5 %, one-sided and multiplied by the
number of the other settings. Whichever is truly the best is then excluded in at most one table of twenty, though the leader
was chosen after the fact: to exclude it, one of the others must seem surely better than it.
Source: Hsu 1984, Annals of Statistics 12, 1136-1144 (multiple comparisons with the best), here with Bonferroni's bound.
"""

import numpy as np

from gan_jax.report import statistics, tuning
from gan_jax.report.effects import Effects, iqm, wilson
from gan_jax.report.places import Place, Range, Tournament, units
from gan_jax.report.records import Run
from gan_jax.report.search import Search, drawn_text, flatten
from gan_jax.report.searches import Winners

RATES = ("discriminator_rate", "generator_rate")
NOTHING = (float("nan"),) * 3


def judged(found: Search) -> Tournament:
  """The tournament of a search whose settings have winners."""
  assert found.winners is not None
  log, sign = found.quality.log and bool((found.winners.values > 0).all()), found.quality.sign
  scores = np.log(found.winners.values) if log else sign * found.winners.values
  scores = scores.mean(-1, keepdims=True)  # [settings, searches, 1]
  count, searches = scores.shape[:2]
  pseudo, mean = scores[..., 0], scores.mean((1, 2))
  order = np.argsort(mean, kind="stable")
  base, best = [entry.label for entry in found.entries].index(found.baseline), int(order[0])
  against, behind = _tests(scores, base, best)
  wins = tuning.wins(scores, 1)

  def versus(i: int, other: int) -> Range:
    difference = tuning.interval(pseudo[i] - pseudo[other], mean[i] - mean[other], 1)
    return NOTHING if i == other else units(difference, log, sign)

  places = tuple(
    Place(
      found.entries[i],
      own := units(tuning.interval(pseudo[i], mean[i], 1), log, sign),
      versus(i, base),
      float("nan") if i == base else float(wins[i, base]),
      float(against[i]),
      versus(i, best),
      float(behind[i]),
      wilson(found.entries[i].learnt / found.entries[i].runs, searches),
      units(iqm(pseudo[i]), log, sign),
      np.array([own]),
      _best(found, i, scores[i, :, 0]),
    )
    for i in order
  )
  runs, draws = len(found.winners.runs[0][0]), found.winners.draws
  effects = Effects(tuple(p.entry.label for p in places), (), ((),) * count, (), ((),) * count, _ratios(found, order))
  return Tournament(
    -(-draws // searches), draws, runs, log, found.quality, found.baseline, found.compared, found.drawn, places, {}, effects,
    searches,
  )  # fmt: skip


def _tests(scores: np.ndarray, base: int, best: int) -> tuple[np.ndarray, np.ndarray]:
  """p [settings] of no difference from the baseline (Holm), and of being the best; NaN for the baseline and the leader."""
  count = len(scores)
  pairs = [(i, j) for i in range(count) for j in range(i) if {i, j} & {base, best}]
  p = tuning.swap_tests(scores, 1, pairs, count)
  against, others = np.full(count, np.nan), np.delete(np.arange(count), base)
  against[others] = statistics.adjust(list(p[base, others]))
  behind = np.minimum(p[best] / 2 * (count - 1), 1.0)
  mean = scores.mean((1, 2))
  alone = [tuning.student_p(scores[..., 0] - scores[i, :, 0], mean - mean[i], 1) for i in (base, best)]
  against, behind = np.maximum(against, alone[0]), np.maximum(behind, alone[1])  # told apart only if both say so
  against[base] = behind[best] = np.nan
  return against, behind


def _best(found: Search, setting: int, scores: np.ndarray) -> str:
  """The draw of a setting's best search, in words."""
  config = flatten(_runs(found.winners, setting)[int(np.argmin(scores))][0].config)
  return ", ".join(f"{name} {drawn_text(config[name])}" for name in found.drawn if name in config)


def _ratios(found: Search, order: np.ndarray) -> tuple[Range, ...]:
  """The discriminator's rate over the generator's, at the draws that were chosen; () where they were not drawn."""
  if not set(RATES) <= set(found.drawn):
    return ()
  logs = [
    np.log([float(runs[0].config[RATES[0]]) / float(runs[0].config[RATES[1]]) for runs in _runs(found.winners, i)])
    for i in order
  ]
  return tuple(units(tuning.interval(row, row.mean(), 1), True, 1) for row in logs)


def _runs(winners: Winners | None, setting: int) -> tuple[tuple[Run, ...], ...]:
  assert winners is not None
  return winners.runs[setting]
