"""A tournament after successive halving: what each search found, judged by runs that had no part in the choice.

The searches of a setting are independent experiments (searches.py), so Student's interval over them is that of tuning with
the budget of one search, halving included. Two settings are compared search by search, since they share draws and seeds.

That a setting is not the best is claimed where any other is better with p below 5 %, one-sided and multiplied by the number
of the other settings. Whichever is truly the best is then excluded in at most one table of twenty: to exclude it, one of the
others must seem surely better than it. That holds though nobody knows before which one leads.
Source: Hsu 1984, Annals of Statistics 12, 1136-1144 (multiple comparisons with the best), here with Bonferroni's bound.
"""

import numpy as np

from gan_jax.report import statistics, tuning
from gan_jax.report.effects import Effects, iqm, wilson
from gan_jax.report.places import Place, Range, Tournament, units
from gan_jax.report.records import Run
from gan_jax.report.search import Search, drawn_text, flatten
from gan_jax.report.searches import Winners

EXACT, RANDOM = 16, 50_000  # searches up to which all signs are tried; random signs for more
RATES = ("discriminator_rate", "generator_rate")
NOTHING = (float("nan"),) * 3


def judged(found: Search) -> Tournament:
  """The tournament of a search whose settings have winners."""
  assert found.winners is not None
  log, sign = found.quality.log and bool((found.winners.values > 0).all()), found.quality.sign
  scores = np.log(found.winners.values) if log else sign * found.winners.values
  scores = scores.mean(-1)  # [settings, searches]
  (count, searches), mean = scores.shape, scores.mean(-1)
  order = np.argsort(mean, kind="stable")
  base, best = [entry.label for entry in found.entries].index(found.baseline), int(order[0])
  against, behind = _tests(scores, base)
  wins = ((scores[:, None] < scores) + 0.5 * (scores[:, None] == scores)).mean(-1)

  def versus(i: int, other: int) -> Range:
    difference = tuning.interval(scores[i] - scores[other], mean[i] - mean[other], 1)
    return NOTHING if i == other else units(difference, log, sign)

  places = tuple(
    Place(
      found.entries[i],
      own := units(tuning.interval(scores[i], mean[i], 1), log, sign),
      versus(i, base),
      float("nan") if i == base else float(wins[i, base]),
      float(against[i]),
      versus(i, best),
      float("nan") if i == best else float(behind[i]),
      wilson(found.entries[i].learnt / found.entries[i].runs, searches),
      units(iqm(scores[i]), log, sign),
      np.array([own]),
      _best(found, i, scores[i]),
    )
    for i in order
  )
  runs, draws = len(found.winners.runs[0][0]), found.winners.draws
  effects = Effects(tuple(p.entry.label for p in places), (), ((),) * count, (), ((),) * count, _ratios(found, order))
  return Tournament(
    -(-draws // searches), draws, runs, log, found.quality, found.baseline, found.compared, found.drawn, places, {}, effects,
    searches,
  )  # fmt: skip


def _tests(scores: np.ndarray, base: int) -> tuple[np.ndarray, np.ndarray]:
  """p [settings] of no difference from the baseline (Holm; NaN for itself), and of being the best.

  `scores` [settings, searches].
  """
  count, mean = len(scores), scores.mean(-1)
  flipped = _flips(scores)
  alone = tuning.student_p(scores[:, None] - scores, mean[:, None] - mean, 1)
  against, others = np.full(count, np.nan), np.delete(np.arange(count), base)
  against[others] = np.maximum(statistics.adjust(list(flipped[base, others])), alone[base, others])
  better = mean < mean[:, None]  # [setting, other]
  p = np.maximum(np.minimum(flipped / 2 * (count - 1), 1.0), alone)  # told apart only if both say so
  return against, np.where(better, p, 1.0).min(-1)


def _flips(scores: np.ndarray) -> np.ndarray:
  """[settings, settings]: two-sided p of no difference of scores [settings, searches], by flipping signs of differences.

  Over all signs, or, with many searches, over `RANDOM` random ones beside those that were found.
  """
  count, searches = scores.shape
  if searches <= EXACT:  # a flip of all signs changes no size: the first one can stay
    signs = 1.0 - 2.0 * (np.arange(2 ** (searches - 1))[:, None] >> np.arange(searches) & 1)[:, ::-1]
  else:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (RANDOM, searches))
    signs[0] = 1.0
  found = np.ones((count, count))
  for i in range(1, count):
    sums = np.abs(signs @ (scores[i] - scores[:i]).T)
    found[i, :i] = found[:i, i] = (sums >= sums[0] * (1 - 1e-9)).mean(0)
  return found


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
