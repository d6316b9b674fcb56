"""Tournaments after halving: who chooses and who judges, and by simulation that no number is too good."""

import itertools
import json
import math
import re

import numpy as np
import pytest

from experiments.studies.tournament import study
from gan_jax import runs, settings
from gan_jax.report import (
  build,
  filters,
  judged,
  ranking,
  records,
  statistics,
  summary,
  survivors,
  terminal_table,
  tuning,
)
from gan_jax.report.comparison import QUALITIES
from gan_jax.report.search import search
from gan_jax.report.tournament import tournament
from gan_jax.runner import contest

SEARCHES, EACH, JUDGES = 8, 4, 2
FID = next(q for q in QUALITIES if q.metric == "frechet/distance")
FACTOR = {"minimax": 1.0, "hinge": 1.02, "wasserstein": 8.0, "non_saturating": 1.1}
RULES = {"at": [50], "keep": 0.5, "by": "", "searches": SEARCHES, "judges": JUDGES}
ROLES = {"compared": ["loss"], "drawn": ["generator_rate"], "repeated": ["seed"]}


def halved(scores, rng, judges):
  """The judges' mean score [searches] of what halving leaves of scores [searches, draws, runs], as the runner does it.

  Half way a run's score is its final one and Gaussian noise.
  """
  half = scores + 0.3 * rng.standard_normal(scores.shape)
  found = []
  for own, middle in zip(scores, half, strict=True):
    draws = {str(i): [f"{i}-{r}" for r in range(own.shape[1])] for i in range(len(own))}
    values = {f"{i}-{r}": float(np.exp(x)) for (i, r), x in np.ndenumerate(middle)}
    gone = {run.partition("-")[0] for run in contest.worst(draws, values, FID, 0.5, judges)}
    left = [i for i in range(len(own)) if str(i) not in gone]
    choosing = own[left, : own.shape[1] - judges].mean(-1)
    found.append(own[left[int(np.argmin(choosing))], -judges or None :].mean())
  return np.array(found)


def test_what_halving_leaves_is_judged_without_the_winners_curse():
  """Draws that do not differ: whatever is chosen is worth 0. By the runs that choose it seems half a deviation better."""
  rng = np.random.default_rng(0)
  tables = rng.standard_normal((100, SEARCHES, EACH, 3))
  judged_by_others = np.array([halved(table, rng, 2) for table in tables])
  judged_by_all = np.array([halved(table, rng, 0) for table in tables])
  assert judged_by_others.mean() == pytest.approx(0, abs=4 / math.sqrt(2 * judged_by_others.size))
  assert judged_by_all.mean() < -0.4
  own = tuning.interval(judged_by_others, judged_by_others.mean(-1), 1)
  assert 0.89 < ((own.low <= 0) & (own.high >= 0)).mean() <= 1
  too_good = tuning.interval(judged_by_all, judged_by_all.mean(-1), 1)
  assert ((too_good.low <= 0) & (too_good.high >= 0)).mean() < 0.4


def test_the_best_setting_is_seldom_called_surely_not_the_best():
  """Ten settings of which the first is best by nothing but a hair; then one that is worse by three deviations."""
  rng, wrong, found, sure = np.random.default_rng(1), 0, 0, []
  for _ in range(100):
    scores = rng.standard_normal((1, 12, 1)) + 0.5 * rng.standard_normal((10, 12, 1))
    scores[0] -= 0.001
    scores[9] += 1.5
    mean = scores.mean((1, 2))
    against, behind = judged._tests(scores[..., 0], 1)
    wrong += bool(behind[0] < 0.05)
    found += bool(behind[9] < 0.05)
    sure.append((against[[i for i in range(9) if i != 1]] < 0.05).any())
    assert math.isnan(against[1])
    assert behind[int(np.argmin(mean))] == 1
  bound = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)
  assert wrong / 100 < bound
  assert np.mean(sure) < bound
  assert found > 95


def test_signs_are_flipped_in_all_ways():
  scores = np.random.default_rng(2).normal(size=(3, 7))
  found = judged._flips(scores)
  for i, j in itertools.permutations(range(3), 2):
    all_signs = np.array(list(itertools.product([-1, 1], repeat=7)))
    sums = np.abs(all_signs @ (scores[i] - scores[j]))
    assert found[i, j] == pytest.approx((sums >= abs((scores[i] - scores[j]).sum()) - 1e-9).mean())
  many = np.concatenate([scores, scores, scores], 1)
  exact = judged._flips(many[:, :16])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(judged, "EXACT", 1)
    np.testing.assert_allclose(judged._flips(many[:, :16]), exact, atol=4 * 0.5 / judged.RANDOM**0.5)


def test_the_p_of_being_the_best_by_hand():
  """Sixteen searches, in all of which the others are worse: of 2^16 ways to flip signs, two are as large, one of them better.

  The third is not surely worse than the first, whose results scatter, but than the second.
  """
  rough = np.where(np.arange(16) % 2, 9.0, -9.0)
  scores = np.stack([rough - 0.1, np.zeros(16), 1 + 0.01 * np.arange(16)])
  against, behind = judged._tests(scores, 1)
  assert against[2] == 2 * 2.0**-15  # Holm over two
  assert behind[2] == 2 * 2.0**-16  # one-sided, times the two others
  assert behind[0] == 1
  assert behind[1] > 0.5
  assert judged._tests(scores[:, :4], 1)[1][2] == 2 * 2.0**-4


def write(path, searches=SEARCHES, rules=RULES):
  """Four losses; in every search the draw with the lowest rate is best by the run that chooses, and three times worse by
  those that judge than by that one. One of two others was stopped half way though it would have judged best.
  """
  rng = np.random.default_rng(0)
  members, finals, stopped, truth = [], [], {}, {name: [] for name in FACTOR}
  for name, factor in FACTOR.items():
    for i in range(searches * EACH):
      own = factor * float(np.exp(0.05 * rng.standard_normal()))
      for run in range(1 + JUDGES):
        config = settings.resolve(
          {"steps": 100, "baseline": "non_saturating", "loss": name},
          {"generator_rate": round(1e-4 * (1 + i), 6), "seed": 3 * i + run},
        )
        members.append({"id": settings.identity(config), "config": config})
        best, out = i % EACH == 1, i % EACH > 1
        finals.append((1.0 if best and not run else 3.0 if best else 2.0) * own)
        if out:
          stopped[members[-1]["id"]], finals[-1] = 50, 0.1 * own
      if i % EACH == 1:
        truth[name].append(3.0 * own)
  runs.write_json(path / "manifest.json", {"format": 1, "study": "tuned", "roles": ROLES, "metrics": {}, "halving": rules,
                                           "groups": [{"name": "group-0", "members": members}]})  # fmt: skip
  status = {"step": 100, "complete": True, "diverged": {}, "stopped": stopped, "rung": 50}
  runs.write_json(path / "status.json", {"groups": {"group-0": status}})
  table = np.stack([np.full(len(finals), 400.0), np.array(finals), np.array(finals)]).astype(np.float32)
  runs.append(path, "quality", "group-0", 0, 101, runs.Table(np.array([0, 50, 100]), {"frechet/distance": table}))
  return path, {name: np.array(own) for name, own in truth.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  return write(tmp_path_factory.mktemp("halved") / "s")


def test_each_search_has_its_choice_judged_by_the_other_runs(written):
  path, truth = written
  found = tournament(search(records.read(path).panels[0]))
  assert (found.searches, found.k, found.draws, found.runs, found.family) == (SEARCHES, EACH, SEARCHES * EACH, 3, 3)
  by_label = {place.entry.label: place for place in found.places}
  for name, own in truth.items():
    expected = statistics.estimate(list(own), True)
    assert by_label[name].tuned == pytest.approx((expected.mean, expected.low, expected.high), rel=1e-5)
    ratio = statistics.estimate(list(own / truth["non_saturating"]), True)
    if name != "non_saturating":
      assert by_label[name].ratio == pytest.approx((ratio.mean, ratio.low, ratio.high), rel=1e-5)
      assert by_label[name].wins == (own < truth["non_saturating"]).mean()
    assert by_label[name].learnt[0] == 1
  assert [place.entry.label for place in found.places] == sorted(truth, key=lambda name: np.log(truth[name]).mean())
  assert not by_label["wasserstein"].tied
  assert by_label["wasserstein"].certain
  assert by_label["hinge"].tied or by_label["minimax"].tied
  assert survivors.survivors(records.read(path).panels[0]) is None


def test_without_judges_or_with_one_search_nothing_is_compared(tmp_path):
  for rules in ({"at": [50], "keep": 0.5, "by": ""}, RULES | {"searches": 1}, RULES | {"judges": 0}):
    path, _ = write(tmp_path / str(len(list(tmp_path.iterdir()))), 2, rules)
    (panel,) = records.read(path).panels
    assert search(panel) is None
    assert survivors.sentence(survivors.survivors(panel)).startswith("Of 32 draws 16 were trained to the end.")


def test_page_terminal_tables_and_the_study_say_who_judged(written):
  path, _ = written
  said = " ".join(ranking.findings(tournament(search(records.read(path).panels[0]))))
  assert "Every loss was tuned 8 times over, each time with 4 draws of its own of generator_rate" in said
  assert "which other runs then judge" in said
  assert "wasserstein" in said.split("Surely not the best, as some other is better: ")[1].split(". ")[0]
  assert "so few searches" not in said.lower()
  page, text = build(path).read_text(), terminal_table(path)
  page = re.sub(r'<span class="tip".*?</span>|<[^>]*>', "", page)
  assert said.split(". ")[0] in page
  assert "surely not the best" in page
  assert "4 losses were tuned and compared: 384 runs, 32 draws each" in page.replace(
    " on the data digits with mlp networks", ""
  )
  assert "The others were kept because they measured well, by runs that do not judge them" in page
  assert "tuned 8 times with 4 draws" in text
  (told,) = summary(path)["searches"]
  assert (told["tournament"]["searches"], told["tournament"]["pairs"]) == (8, 0)
  assert json.loads(json.dumps(told, allow_nan=False)) == told
  assert study.write(path).startswith("Every loss was tuned 8 times over")
  assert (path / "tournament.png").read_bytes().startswith(b"\x89PNG")
  assert "8 times over with 4 draws" in (path / "table.md").read_text()


def test_of_few_searches_it_says_that_they_can_tell_nothing(tmp_path):
  path, _ = write(tmp_path / "s", 4, RULES | {"searches": 4})
  found = tournament(search(records.read(path).panels[0]))
  assert all(place.tied and not place.certain for place in found.places)
  assert "So few searches cannot tell 4 apart, however much they differ." in " ".join(ranking.findings(found))


def chosen(read, text):
  return filters.renewed(read, filters.kept(read.runs, text))


def test_of_chosen_losses_the_searches_stay_and_of_chosen_seeds_nothing_is_compared(written):
  """Without some of its draws a search is another one. The ratio of two losses does not depend on the others."""
  path, truth = written
  read = records.read(path)
  (some,) = chosen(read, "loss=hinge|non_saturating").panels
  found = tournament(search(some))
  by_label = {place.entry.label: place for place in found.places}
  assert by_label.keys() == {"hinge", "non_saturating"}
  ratio = statistics.estimate(list(truth["hinge"] / truth["non_saturating"]), True)
  assert by_label["hinge"].ratio == pytest.approx((ratio.mean, ratio.low, ratio.high), rel=1e-5)
  (fewer,) = chosen(read, "seed<48").panels
  assert search(fewer) is None
