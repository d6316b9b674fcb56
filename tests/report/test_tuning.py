"""Tournaments: estimates against closed forms and enumeration, and by simulation how often intervals and tests are right."""

import itertools
import json
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from gan_jax import runs, settings
from gan_jax.report import build, effects, ranking, records, search_figures, statistics, summary, terminal_table, tuning
from gan_jax.report.search import drawn_text, search
from gan_jax.report.tournament import tournament

LEAST_OF_4 = -1.0293754  # mean of the least of four standard normals
LEAST_OF_2 = -1 / math.sqrt(math.pi)
DRAWS, BUDGET = 16, 4


def noisy(rng, *shape, runs_each=2, base=0.8, noise=0.6):
  """Scores [..., R] of draws with a Gaussian quality and Gaussian seeds."""
  return base * rng.standard_normal((*shape, 1)) + noise * rng.standard_normal((*shape, runs_each))


def skewed(rng, *shape, runs_each=2):
  """Half of the draws near a floor, an exponential tail above it, one run in twenty far off, failures at a ceiling."""
  noise = 0.15 * rng.standard_normal((*shape, runs_each))
  noise += (rng.random(noise.shape) < 0.05) * rng.exponential(1.5, noise.shape)
  return np.minimum(rng.gamma(1.0, 1.0, (*shape, 1)) + noise, 2.2)


# Estimates


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_tuned_quality_is_the_mean_over_all_choices_of_draws_and_of_the_run_that_chooses(k):
  scores = np.random.default_rng(0).normal(size=(5, 3))
  judged = []
  for some in itertools.combinations(range(5), k):
    for r in range(3):
      best = min(some, key=lambda d, r=r: scores[d, r])
      judged.append(np.mean([scores[best, other] for other in range(3) if other != r]))
  assert tuning.tuned(scores, k) == pytest.approx(np.mean(judged))
  alone = [min(scores[d, 0] for d in some) for some in itertools.combinations(range(5), k)]
  assert tuning.tuned(scores[:, :1], k) == pytest.approx(np.mean(alone))
  x = np.arange(5.0)
  where = [
    x[min(some, key=lambda d, r=r: scores[d, r])] for some in itertools.combinations(range(5), k) for r in range(3)
  ]
  assert tuning.tuned(scores, k, x) == pytest.approx(np.mean(where))


def test_a_draw_is_judged_by_runs_that_did_not_choose_it():
  """Where draws do not differ, the best of four seems one deviation better than it is; a fresh run is as any other."""
  scores = noisy(np.random.default_rng(1), 4000, 8, base=0.0, noise=1.0)
  assert tuning.tuned(scores, 4).mean() == pytest.approx(0, abs=0.03)
  assert tuning.tuned(scores[..., :1], 4).mean() == pytest.approx(LEAST_OF_4, abs=0.03)


def test_tuned_quality_in_closed_form():
  """Choosing by a + e and judging by a: the mean of a given its rank is var(a) / sd(a + e) times that of a normal."""
  scores = noisy(np.random.default_rng(2), 4000, 12)
  exact = 0.8**2 / math.hypot(0.8, 0.6) * LEAST_OF_4
  assert tuning.tuned(scores, 4).mean() == pytest.approx(exact, abs=0.02)


def test_the_chance_to_win_is_that_of_all_choices():
  scores = np.random.default_rng(3).normal(size=(3, 6, 2))
  won = []
  for some in map(list, itertools.combinations(range(6), 3)):
    for r in range(2):
      judged = [one[some[int(np.argmin(one[some, r]))], 1 - r] for one in scores]
      won.append([[(a < b) + 0.5 * (a == b) for b in judged] for a in judged])
  np.testing.assert_allclose(tuning.wins(scores, 3), np.mean(won, 0), atol=0.04)  # three standard errors of 2,000


def test_swapping_draws_is_what_it_says():
  ours, theirs = np.random.default_rng(4).normal(size=(2, 6, 3))
  swaps = np.array(list(itertools.product([False, True], repeat=6)))
  found = tuning._difference(ours, theirs, 2, swaps)
  for swap, difference in zip(swaps[:, :, None], found, strict=True):
    one, other = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
    assert difference == pytest.approx(tuning.tuned(one, 2) - tuning.tuned(other, 2), abs=1e-6)


# How often they are right


def alike(rng, count, kind):
  """[count, 2, D, R]: two settings that are alike, with draws that are good or bad for both, and their own luck."""
  draws = kind(rng, count, 1, DRAWS)
  return draws + 0.3 * rng.standard_normal((count, 2, DRAWS, 1)) + 0.1 * rng.standard_normal((count, 2, DRAWS, 2))


@pytest.mark.parametrize("kind", [noisy, skewed])
def test_settings_that_are_alike_are_told_apart_in_one_of_twenty_tables(kind, monkeypatch):
  monkeypatch.setattr(tuning, "SWAPS", 1_000)
  tables = alike(np.random.default_rng(5), 300, kind)
  wrong = np.mean([tuning.swap_tests(table, BUDGET, [(0, 1)], 1)[0, 1] < 0.05 for table in tables])
  assert 0.02 < wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_of_many_settings_that_are_alike_some_pair_is_told_apart_in_one_of_twenty_tables(monkeypatch):
  """Five settings, ten pairs: uncorrected, some pair would be told apart in a fourth of the tables."""
  monkeypatch.setattr(tuning, "SWAPS", 2_000)
  rng, pairs = np.random.default_rng(6), np.triu_indices(5, 1)
  least = []
  for _ in range(80):
    shared = skewed(rng, 1, DRAWS)
    scores = shared + 0.3 * rng.standard_normal((5, DRAWS, 2))
    p = tuning.swap_tests(scores, BUDGET, list(zip(*pairs, strict=True)), 10)[pairs]
    least.append((min(p), min(statistics.adjust(list(p)))))
  uncorrected, corrected = (np.array(least) < 0.05).mean(0)
  assert uncorrected > 0.1
  assert corrected < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 80)


def test_settings_that_differ_are_told_apart():
  rng = np.random.default_rng(7)
  shared = skewed(rng, DRAWS)
  better = shared + 0.05 * rng.standard_normal((DRAWS, 2))
  p = tuning.swap_tests(np.stack([better, better + 0.5, better + 1.5]), BUDGET, [(0, 1), (2, 0)], 3)
  assert p[0, 1] < 0.05
  assert p[0, 2] < 1e-3
  assert np.isnan(p[1, 2])


def covered(found, truth):
  return float(((found.low <= truth) & (truth <= found.high)).mean())


@pytest.mark.parametrize(("k", "least"), [(1, 0.92), (2, 0.92), (4, 0.92), (8, 0.93)])
def test_intervals_of_tuned_quality_hold_it(k, least):
  """A Gaussian table, whose true value is known in closed form; measured with 2,000 tables: 94 to 97 of 100."""
  scores = noisy(np.random.default_rng(8), 500, DRAWS)
  normal = {1: 0.0, 2: LEAST_OF_2, 4: LEAST_OF_4, 8: -1.4236003}[k]
  found = tuning.interval(tuning.pseudo_values(scores, k), tuning.tuned(scores, k), k)
  assert least < covered(found, 0.8**2 * normal) < 0.995


def test_intervals_of_a_skewed_quality_and_of_ratios_hold_it():
  """The truth is that of much larger tables. The ratio's draws are shared, and one side is better by 0.3."""
  rng = np.random.default_rng(9)
  truth = tuning.tuned(skewed(rng, 4000, 4 * DRAWS), BUDGET).mean()
  scores = skewed(rng, 500, DRAWS)
  pseudo, mean = tuning.pseudo_values(scores, BUDGET), tuning.tuned(scores, BUDGET)
  assert 0.91 < covered(tuning.interval(pseudo, mean, BUDGET), truth) < 0.99
  table = alike(rng, 500, skewed)
  one, other = table[:, 0], table[:, 1] + 0.3
  pseudo = tuning.pseudo_values(one, BUDGET) - tuning.pseudo_values(other, BUDGET)
  found = tuning.interval(pseudo, tuning.tuned(one, BUDGET) - tuning.tuned(other, BUDGET), BUDGET)
  assert 0.92 < covered(found, -0.3) <= 1.0


def test_the_interval_of_where_the_optimum_lies_holds_it():
  """Quality is the distance from 0.5 of a number that is even around it: it is 0.5 on average at the best draw."""
  rng, found = np.random.default_rng(10), []
  for x in rng.random((150, DRAWS)):
    scores = (np.abs(x - 0.5) + 0.1 * rng.standard_normal(DRAWS))[:, None] + 0.05 * rng.standard_normal((DRAWS, 2))
    found.append(effects._chosen(scores, x, BUDGET))
  assert np.mean([low <= 0.5 <= high for _, low, high in found]) > 0.91


def test_the_interval_of_a_share_is_wilsons_and_holds_it():
  ours, theirs = effects.wilson(13 / 16, 16), stats.binomtest(13, 16).proportion_ci(method="wilson")
  assert ours[1:] == pytest.approx((theirs.low, theirs.high))
  counts = np.arange(17)
  bounds = [effects.wilson(c / 16, 16)[1:] for c in counts]
  chances = [
    sum(stats.binom.pmf(c, 16, p) for c, (low, high) in zip(counts, bounds, strict=True) if low <= p <= high)
    for p in np.linspace(0.05, 0.95, 37)
  ]
  assert np.mean(chances) > 0.945
  assert min(chances) > 0.83


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.8])
def test_intervals_of_rank_correlations_hold_it(rho):
  """Of a Gaussian pair, Spearman's is 6 / pi asin(rho / 2) (Pearson 1907)."""
  rng, truth = np.random.default_rng(11), 6 / math.pi * math.asin(rho / 2)
  pairs = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], (400, DRAWS))
  found = [effects.spearman(pair[:, 0], pair[:, 1]) for pair in pairs]
  assert np.mean([rank.low <= truth <= rank.high for rank in found]) > 0.92
  if rho == 0:
    assert np.mean([rank.p < 0.05 for rank in found]) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
  assert effects.spearman(np.ones(5), np.arange(5.0)) == (0.0, -1.0, 1.0, 1.0)


def test_the_interval_of_the_interquartile_mean_holds_it():
  """Heavy tails around 0: Student's t with two degrees of freedom, whose variance is infinite."""
  found = [effects.iqm(x) for x in np.random.default_rng(12).standard_t(2, (120, DRAWS))]
  assert np.mean([one.low <= 0 <= one.high for one in found]) > 0.88
  assert effects.iqm(np.ones(8)) == (1, 1, 1)


# A study's tournament

NAMES = ("minimax", "hinge", "wasserstein", "non_saturating")
FACTOR = {"minimax": 1.0, "hinge": 1.05, "wasserstein": 8.0, "non_saturating": 1.1}


def write_tournament(path, runs_each=2, gone=()):
  """Four losses and sixteen draws; the distance is lowest at a rate ratio of 1, and at once the factor of its loss."""
  rng = np.random.default_rng(0)
  draws = [{"generator_rate": float(10 ** rng.uniform(-4, -2)), "discriminator_rate": float(10 ** rng.uniform(-4, -2))}
           for _ in range(DRAWS)]  # fmt: skip
  configs, finals = [], []
  for name in NAMES:
    for i, draw in enumerate(draws):
      for run in range(runs_each):
        configs.append(settings.resolve({"steps": 100, "baseline": "non_saturating", "loss": name}, draw,
                                        {"seed": runs_each * i + run}))  # fmt: skip
        off = abs(math.log10(draw["discriminator_rate"] / draw["generator_rate"]))
        finals.append(FACTOR[name] * 10 ** (1 + 0.4 * off + 0.02 * rng.standard_normal()))
  members = [{"id": settings.identity(c), "config": c} for c in configs]
  said = {"compared": ["loss"], "drawn": ["generator_rate", "discriminator_rate"], "repeated": ["seed"]}
  runs.write_json(path / "manifest.json", {"format": 1, "study": "tuned", "roles": said, "metrics": {},
                                           "groups": [{"name": "group-0", "members": members}]})  # fmt: skip
  lost = {m["id"]: 50 for m, c in zip(members, configs, strict=True) if (c["loss"], c["seed"]) in gone}
  runs.write_json(path / "status.json", {"groups": {"group-0": {"step": 100, "complete": True, "diverged": lost}}})
  table = np.stack([np.full(len(configs), 400.0), np.array(finals)])
  columns = {"frechet/distance": table.astype(np.float32)}
  runs.append(path, "quality", "group-0", 0, 101, runs.Table(np.array([0, 100]), columns))
  return path, np.array(finals).reshape(4, DRAWS, runs_each)


def test_a_study_is_ranked_by_its_tuned_quality(tmp_path):
  path, finals = write_tournament(tmp_path / "s")
  found = tournament(search(records.read(path).panels[0]))
  assert (found.k, found.draws, found.runs, found.called) == (4, DRAWS, 2, "loss")
  by_label = {place.entry.label: place for place in found.places}
  expected = np.exp(tuning.tuned(np.log(finals), 4))
  assert [by_label[name].tuned[0] for name in NAMES] == pytest.approx(list(expected), rel=1e-5)
  assert [place.entry.label for place in found.places] == [NAMES[i] for i in np.argsort(expected)]
  last = found.places[-1]
  assert (last.entry.label, last.tied, last.certain) == ("wasserstein", False, True)
  assert all(place.tied or place.behind[1] > 1 for place in found.places)
  assert last.behind[0] == pytest.approx(expected[2] / expected.min())
  assert last.wins < 0.05
  assert found.effects.numbers == ("generator_rate", "discriminator_rate")
  assert all(low < 1.5 and high > 0.6 for _, low, high in found.effects.ratio)
  assert set(map(frozenset, found.told_apart())) >= {
    frozenset((name, "wasserstein")) for name in NAMES if name != last.entry.label
  }


def test_the_digest_of_a_losss_file_is_not_a_setting_that_a_tournament_compares(tmp_path):
  path, _ = write_tournament(tmp_path / "s")
  manifest = runs.read_manifest(path)
  for member in manifest["groups"][0]["members"]:
    if member["config"]["loss"] == "hinge":
      member["config"] |= {"loss": "mine.py:twice", "code": {"mine.py": "0123456789ab"}}
      member["id"] = settings.identity(member["config"])
  for roles in (manifest["roles"], {}):  # also where what was drawn is found out
    runs.write_json(path / "manifest.json", manifest | {"roles": roles})
    found = search(records.read(path).panels[0])
    assert found.compared == ("loss",)
    assert {entry.label for entry in found.entries} == {*NAMES, "mine.py:twice"} - {"hinge"}


def test_told_apart_needs_an_interval_without_equality():
  """Student's p is below 5 % exactly where its interval leaves 0 out."""
  rng = np.random.default_rng(13)
  for _ in range(20):
    pseudo, mean = rng.standard_normal((3, DRAWS)), rng.standard_normal(3)
    p, found = tuning.student_p(pseudo, mean, BUDGET), tuning.interval(pseudo, mean, BUDGET)
    assert ((p < 0.05) == ((found.low > 0) | (found.high < 0))).all()
  assert tuning.student_p(np.zeros((1, 4)), np.zeros(1), 1) == 1


def test_the_axis_of_equal_results_has_a_length():
  axes = Figure().subplots()
  search_figures._log_across(
    axes, [search_figures.Mark(name, 2.0, 2.0, 2.0, True) for name in "ab"]
  )  # warnings are errors
  low, high = axes.get_xlim()
  assert low < 2.0 < high


def test_a_draw_is_named_by_all_that_was_drawn():
  assert [drawn_text(value) for value in (0.000123456, 3, "rmsprop", True)] == ["0.000123", "3", "rmsprop", "True"]


def test_a_diverged_run_counts_with_the_untrained_quality(tmp_path):
  path, finals = write_tournament(tmp_path / "s", gone=(("hinge", 5),))
  finals[1, 2, 1] = 400.0
  found = tournament(search(records.read(path).panels[0]))
  hinge = next(place for place in found.places if place.entry.label == "hinge")
  assert hinge.course[0, 0] == pytest.approx(np.exp(np.log(finals[1]).mean()), rel=1e-5)


def test_ties_are_named_on_the_page_the_terminal_and_in_the_object(tmp_path):
  path, _ = write_tournament(tmp_path / "s")
  found = tournament(search(records.read(path).panels[0]))
  said = " ".join(ranking.findings(found))
  assert "Every loss was given the same 16 draws of generator_rate and discriminator_rate" in said
  assert "wasserstein (" in said.split("Surely worse than it: ")[1].split(". ")[0]
  tied = [place.entry.label for place in found.places[1:] if place.tied]
  assert tied == [] or f"Not told apart from it: {' and '.join(tied)}" in said
  page, text = build(path).read_text(), terminal_table(path)
  page = re.sub(r'<span class="tip".*?</span>|<[^>]*>', "", page)  # as it is read
  assert "Tuned with the same budget" in page
  assert said.split(". ")[0] in page
  assert max(map(len, text.splitlines())) <= 120
  (told,) = summary(path)["searches"]
  assert [place["label"] for place in told["tournament"]["places"]] == [place.entry.label for place in found.places]
  assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_of_very_many_pairs_those_with_the_best_and_the_baseline_are_tested(tmp_path, monkeypatch):
  path, _ = write_tournament(tmp_path / "s")
  whole = tournament(search(records.read(path).panels[0]))
  monkeypatch.setattr("gan_jax.report.tournament.MOST_PAIRS", 5)
  some = tournament(search(records.read(path).panels[0]))
  assert (len(whole.pairs), len(some.pairs), some.family) == (6, 5, 6)
  assert [place.p for place in some.places] == pytest.approx([place.p for place in whole.places], nan_ok=True)
  bonferroni, holm = ([place.behind_p for place in found.places[1:]] for found in (some, whole))
  assert all(a >= b for a, b in zip(bonferroni, holm, strict=True))
  assert build(path).exists()


def test_one_run_of_each_draw_is_said_to_be_too_good(tmp_path):
  path, _ = write_tournament(tmp_path / "s", runs_each=1)
  found = tournament(search(records.read(path).panels[0]))
  assert found.runs == 1
  assert "too good" in ranking.findings(found)[0]
