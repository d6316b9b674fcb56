"""Successive halving: who stops, on tables whose answer is known, and a study in which they do."""

import json
import math
import re
import shutil

import numpy as np
import pytest

from experiments.studies.tournament import study as tournament
from gan_jax import report, runs, settings
from gan_jax.core.errors import BadInput, Planned
from gan_jax.report import live, records, survivors, verdicts, wording
from gan_jax.report.comparison import QUALITIES, compare
from gan_jax.report.search import search
from gan_jax.runner import contest, halving, resume, study
from gan_jax.runs import plan
from tests.support import programs
from tests.support.pages import undrawn

FID = next(q for q in QUALITIES if q.metric == "inception/fid")  # low is good, positive
MODES = next(q for q in QUALITIES if q.metric == "modes/covered")  # high is good
NAN = math.nan

CONFIG = """
def get_config():
  return {"dataset": "line", "model_options": {"generator_width": 4, "discriminator_width": 4, "depth": 1},
          "latent_size": 2, "batch_size": 8, "probe_every": 5, "evaluate_every": 10, "checkpoint_every": 20,
          "steps": 20, "evaluation_samples": 100}

def sweep(s):
  return s.product(s.param("generator_rate", [1e-4, 1e-3, 3e-2, 1e-2]), s.param("seed", [0, 1]))
"""
RULES = """
def halving():
  return {"at": [10], "keep": 0.5, "by": "line/wasserstein"}
"""


@pytest.mark.parametrize(
  ("count", "keep", "left"),
  [(4, 0.5, 2), (5, 0.5, 3), (1, 0.5, 1), (30, 0.1, 3), (3, 0.01, 1), (9, 1 / 3, 3), (7, 0.9, 7)],
)
def test_a_share_is_rounded_up_and_at_least_one_goes_on(count, keep, left):
  assert contest.going_on(count, keep) == left


@pytest.mark.parametrize(
  ("quality", "values", "stop"),
  [
    (FID, {"a": [3.0], "b": [1.0], "c": [2.0], "d": [4.0]}, "ad"),
    (MODES, {"a": [3.0], "b": [1.0], "c": [2.0], "d": [4.0]}, "bc"),
    (FID, {"d": [2.0], "c": [2.0], "b": [2.0], "a": [2.0]}, "cd"),  # ties: by the runs' ids, not by the order
    (FID, {"a": [NAN], "b": [9.0], "c": [math.inf], "d": [8.0]}, "ac"),
    (FID, {"a": [NAN], "b": [NAN], "c": [5.0], "d": [NAN]}, "bd"),  # `keep` holds though most have diverged
    (FID, {"a": [NAN, 1.0], "b": [9.0, 9.0], "c": [7.0, 8.0]}, "a"),  # half of a draw diverged: worse than none
    (FID, {"a": [1.0, 9.0], "b": [4.0, 4.0]}, "b"),  # geometric means 3 and 4
    (MODES, {"a": [1.0, 9.0], "b": [6.0, 6.0]}, "a"),  # arithmetic means 5 and 6
    (FID, {"a": [1.0], "b": [2.0], "c": [3.0], "d": [4.0], "e": [5.0]}, "de"),
    (FID, {"a": [NAN]}, ""),
  ],
)
def test_the_worst_draws_stop_with_all_their_runs(quality, values, stop):
  draws = {name: [f"{name}{i}" for i in range(len(own))] for name, own in values.items()}
  flat = {run: x for name, runs_ in draws.items() for run, x in zip(runs_, values[name], strict=True)}
  assert sorted(contest.worst(draws, flat, quality, 0.5)) == [run for name in stop for run in draws[name]]


def configs(**fields):
  base = {"steps": 40, "probe_every": 5, "evaluate_every": 10, "dataset": "ring"}
  return [
    settings.resolve(base | fields, {"loss": loss, "generator_rate": rate, "seed": seed})
    for loss in ("hinge", "minimax")
    for rate in (1e-3, 2e-3, 3e-3)
    for seed in (0, 1)
  ]


def test_draws_compete_within_a_compared_setting_or_else_within_their_panel():
  roles = {"compared": ["loss"], "drawn": ["generator_rate"], "repeated": ["seed"]}
  within = contest.competitions(configs(), roles)
  assert [[len(own) for own in draws.values()] for draws in within] == [[2, 2, 2], [2, 2, 2]]
  (together,) = contest.competitions(configs(), {})
  assert [len(own) for own in together.values()] == [2] * 6
  (both,) = contest.competitions(configs(), roles | {"compared": [], "drawn": ["loss", "generator_rate"]})
  assert len(both) == 6
  (repeated,) = contest.competitions(
    configs(), {"compared": [], "drawn": ["loss"], "repeated": ["generator_rate", "seed"]}
  )
  assert [len(own) for own in repeated.values()] == [6, 6]


@pytest.mark.parametrize("seeds", [lambda i: (2 * i, 2 * i + 1), lambda i: (0, 1)])
def test_each_search_has_draws_of_its_own_the_same_for_every_setting(seeds):
  """Draws with seeds of their own in their order. The order of the runs does not matter, and all draws are dealt once."""
  roles = {"compared": ["loss"], "drawn": ["generator_rate"], "repeated": ["seed"]}
  base = {"steps": 40, "probe_every": 5, "evaluate_every": 10, "dataset": "ring"}
  every = [
    settings.resolve(base, {"loss": loss, "generator_rate": (i + 1) * 1e-3, "seed": seed})
    for loss in ("hinge", "minimax")
    for i in range(10)
    for seed in seeds(i)
  ]
  named = {settings.identity(config): config for config in every}

  def told(configs):
    found = contest.competitions(configs, roles, 4)
    assert all(len({named[run]["loss"] for own in draws.values() for run in own}) == 1 for draws in found)
    assert all(
      [named[run]["seed"] for run in own] == sorted(named[run]["seed"] for run in own)
      for draws in found
      for own in draws.values()
    )
    by_loss = {}
    for draws in found:
      rates = [round(1e3 * named[own[0]]["generator_rate"]) for own in draws.values()]
      by_loss.setdefault(named[next(iter(draws.values()))[0]]["loss"], []).append(rates)
    assert by_loss["hinge"] == by_loss["minimax"]
    return by_loss["hinge"]

  searches = told(every)
  assert sorted(rate for own in searches for rate in own) == list(range(1, 11))
  assert sorted(map(len, searches)) == [2, 2, 3, 3]
  assert told(every[::-1]) == searches
  if len(set(map(seeds, range(10)))) == 10:
    assert searches == [[1, 2], [3, 4, 5], [6, 7], [8, 9, 10]]


def test_those_that_judge_do_not_choose():
  """By all three runs `b` is best, by the first two `a` is."""
  values = {"a": [1.0, 1.0, 900.0], "b": [2.0, 2.0, 2.0], "c": [3.0, 3.0, 0.1]}
  draws = {name: [f"{name}{i}" for i in range(3)] for name in values}
  flat = {f"{name}{i}": x for name, own in values.items() for i, x in enumerate(own)}
  assert contest.worst(draws, flat, FID, 0.3, judges=1) == [f"{name}{i}" for name in "bc" for i in range(3)]
  assert contest.worst(draws, flat, FID, 0.3) == [f"{name}{i}" for name in "ba" for i in range(3)]
  flat |= {"a2": NAN, "b1": NAN}  # a judge that diverged is no reason to stop
  assert contest.worst(draws, flat, FID, 0.3, judges=1) == [f"{name}{i}" for name in "cb" for i in range(3)]


def test_what_is_saved_is_counted_before():
  """Of 6 draws 3 go on from step 10 and 2 from step 30: 3 x 2 x 30 + 1 x 2 x 10 of 12 x 40 steps."""
  found = halving.checked({"at": [10, 30], "keep": 0.5}, "halving()", configs(), {})
  said: list[str] = []
  found.tell(said.append)
  assert "6 of 12 runs go on from step 10, 4 of 12 runs go on from step 30" in said[0].replace(
    "of 12 runs", "of 12 runs"
  )
  assert "; 200 of 480 steps of single runs are saved" in said[0]
  halving.checked(None, "halving()", configs(), {}).tell(said.append)
  assert len(said) == 1


@pytest.mark.parametrize(
  ("value", "message"),
  [
    ([10], "expected a dict of at, keep and by"),
    ({"steps": [10]}, "unknown entry of halving 'steps'"),
    ({"at": 10}, "expected as at a list of steps"),
    ({"at": []}, "expected as at a list of steps"),
    ({"at": [20, 10]}, "expected rising steps"),
    ({"at": [15]}, "such as 10, 20, 30, got 15"),
    ({"at": [40]}, "before the last one, such as 10, 20, 30, got 40"),
    ({"at": [10], "keep": 1}, "above 0 and below 1, got 1"),
    ({"at": [10], "keep": True}, "above 0 and below 1, got True"),
    ({"at": [10], "by": "disc/auc"}, "unknown quality to stop by 'disc/auc'"),
    ({"at": [10], "by": "verdict", "keep": 0.5}, "expected no keep, got 0.5"),
    ({"at": [10], "by": "verdict", "verdicts": []}, r"expected as verdicts a list of names, got \[\]"),
    ({"at": [10], "by": "verdict", "verdicts": "diverged"}, "expected as verdicts a list of names, got 'diverged'"),
    ({"at": [10], "by": "verdict", "verdicts": ["healthy"]}, "unknown verdict to stop by 'healthy'"),
    ({"at": [10], "verdicts": ["diverged"]}, "expected by='verdict' where verdicts are given, got by=''"),
    ({"at": [10], "judges": 2}, "less than 2, got 2"),
    ({"at": [10], "judges": -1}, "expected as judges a whole number from 0, got -1"),
    ({"at": [10], "searches": 0}, "expected as searches a whole number from 1, got 0"),
    ({"at": [10], "searches": 2}, "expected roles() that say what is drawn"),
    ({"at": [10], "judges": 1, "by": "verdict"}, "expected neither searches nor judges"),
    ({"at": [10], "keep": 0.99}, "expected draws of which some can stop, got at most 6 draws"),
  ],
)
def test_rules_that_cannot_be_are_refused(value, message):
  with pytest.raises(BadInput, match=message.replace("(", r"\(").replace(")", r"\)")):
    halving.checked(value, "halving()", configs(), {})


def test_more_searches_than_draws_are_refused_and_the_manifest_says_how_many():
  roles = {"compared": ["loss"], "drawn": ["generator_rate"], "repeated": ["seed"]}
  value = {"at": [10], "searches": 2, "judges": 1}
  assert halving.checked(value, "halving()", configs(), roles).rules.written() == {
    "at": [10], "keep": 0.5, "by": "", "searches": 2, "judges": 1,
  }  # fmt: skip
  for searches, message in ((4, "as many searches as there are draws, got 4"), (3, "got at most 1 draw that compete")):
    with pytest.raises(BadInput, match=message):
      halving.checked(value | {"searches": searches}, "halving()", configs(), roles)


@pytest.mark.parametrize(
  ("states", "stop"),
  [
    ({"a": ["diverged"], "b": ["healthy"], "c": ["mode_collapse"]}, "ac"),
    ({"a": ["stalled"], "b": ["unknown"]}, ""),  # not among those that were named
    ({"a": ["diverged", "healthy"], "b": ["diverged", "mode_collapse", "healthy"]}, "b"),  # half is not most
    ({"a": ["diverged"], "b": ["diverged"]}, "ab"),  # all of them
  ],
)
def test_by_verdict_a_draw_stops_if_most_of_its_runs_failed(states, stop):
  draws = {name: [f"{name}{i}" for i in range(len(own))] for name, own in states.items()}
  flat = {run: x for name, own in draws.items() for run, x in zip(own, states[name], strict=True)}
  found = contest.failing(draws, flat, ("diverged", "mode_collapse"))
  assert sorted(found) == sorted(run for name in stop for run in draws[name])


def test_verdicts_are_named_in_words_or_as_in_the_code():
  names = ["mode collapse", "diverged", "mode_collapse"]
  found = halving.checked({"at": [10], "by": "verdict", "verdicts": names}, "halving()", configs(), {})
  assert found.rules.written() == {"at": [10], "keep": 0.0, "by": "verdict", "verdicts": ["mode_collapse", "diverged"]}
  said: list[str] = []
  found.tell(said.append)
  assert said == ["  halving by verdict: at step 10 the runs stop whose verdict is mode collapse or diverged"]
  asked = halving.checked({"at": [10], "by": "verdict"}, "halving()", configs(), {}).rules.verdicts
  assert asked == ("diverged", "discriminator_dominates", "mode_collapse")


def test_a_quality_that_is_not_measured_is_refused():
  found = halving.checked({"at": [10], "by": "inception/fid"}, "halving()", configs(), {})
  with pytest.raises(
    BadInput, match=r"measures \(modes/reverse_kl, modes/covered\), or 'verdict', got 'inception/fid'"
  ):
    halving.measured(found, {"disc/auc": "", "modes/covered": "", "modes/reverse_kl": ""})
  assert (
    halving.quality_of(found.rules._replace(by=""), ["modes/covered", "modes/reverse_kl"]).metric == "modes/reverse_kl"
  )


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
  with programs.shared(), undrawn():
    yield


def conduct(folder, text, directory, dry=False):
  (folder / "tiny.py").write_text(text)
  said: list[str] = []
  study.run(str(folder / "tiny.py"), [], directory, single=False, say=said.append, dry=dry)
  return "\n".join(said)


def test_a_dry_run_says_where_it_cannot_know_whether_the_quality_is_measured(tmp_path):
  """An own metric that is built of the data says what it measures when it is built; one of the samples says it before."""
  (tmp_path / "mine.py").write_text("def built(dataset, cache):\n  raise ValueError('not in a dry run')\n")
  said: list[str] = []
  for metrics, known in (("mine.py:built", False), ("line", True)):
    text = CONFIG.replace('"latent_size"', f'"metrics": "{metrics}", "latent_size"') + RULES
    (tmp_path / "tiny.py").write_text(text)
    said.clear()
    with pytest.raises(Planned):
      study.run(str(tmp_path / "tiny.py"), [], tmp_path / "out", single=False, say=said.append, dry=True)
    assert any("is not known before an own metric is built" in line for line in said) is not known


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize(
  ("rules", "fields", "there", "got"),
  [
    ('{"at": [10], "by": "inception/fid"}', "", "line/wasserstein", "'inception/fid'"),
    ('{"at": [10]}', '"dataset": "digits", "metrics": "prdc", "evaluation_samples": 100', "none", "none"),
    ('{"at": [10], "by": "line/wasserstein"}', '"metrics": "mine.py:brightness"', "none", "'line/wasserstein'"),
  ],
)
def test_a_quality_that_is_not_measured_is_refused_before_anything_is_written(rules, fields, there, got, dry, tmp_path):
  (tmp_path / "mine.py").write_text("def brightness(samples, dataset):\n  return {'mine/brightness': samples.mean()}\n")
  config = CONFIG.replace('"evaluation_samples": 100}', f'"evaluation_samples": 100}} | {{{fields}}}')
  said = re.escape(f"that this study measures ({there}), or 'verdict', got {got}")
  with pytest.raises(BadInput, match=said):
    conduct(tmp_path, f"{config}\ndef halving():\n  return {rules}\n", tmp_path / "study", dry)
  assert not (tmp_path / "study").exists()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
  folder = tmp_path_factory.mktemp("plain")
  conduct(folder, CONFIG, folder / "study")
  return records.read(folder / "study")


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
  folder = tmp_path_factory.mktemp("halved")
  conduct(folder, CONFIG + RULES, folder / "study")
  return records.read(folder / "study")


def contents(directory):
  """The arrays of all tables and samples, and who stopped and diverged."""
  found = {
    str(path.relative_to(directory)): {name: x.tobytes() for name, x in runs.read_arrays(path).items()}
    for table in runs.TABLES
    for path in sorted((directory / table).rglob("*.npz"))
  }
  kept = ("step", "complete", "stopped", "diverged", "rung", "bit_exact", "reasons")
  groups = runs.read_status(directory)["groups"].values()
  return found, [{name: group.get(name) for name in kept} for group in groups]


def test_who_stops_is_who_was_worst_in_the_study_without_halving(plain, halved):
  """The first decision compares the same bits; ranked here by hand, from the other study's files."""
  at = {run.id: float(run.quality.columns["line/wasserstein"][run.quality.steps == 10][0]) for run in plain.runs}
  rates = {run.id: run.config["generator_rate"] for run in plain.runs}
  means = {rate: np.mean([np.log(at[run]) for run in at if rates[run] == rate]) for rate in rates.values()}
  worst = sorted(means, key=lambda rate: means[rate])[2:]
  assert {run.id for run in halved.runs if run.last_step == 10} == {run for run in at if rates[run] in worst}
  assert sorted((run.status, run.last_step) for run in halved.runs) == [("done", 20)] * 4 + [("stopped", 10)] * 4


def test_stopped_runs_end_at_their_rung_and_the_others_train_as_without_halving(plain, halved):
  """Until the first rung the same bits. From there on other members train beside a run, and rounding differs."""
  whole = {run.id: run for run in plain.runs}
  for run in halved.runs:
    assert list(run.rows.steps) == list(range(0, run.last_step, 5))
    assert list(run.quality.steps) == list(range(0, run.last_step + 1, 10))
    for ours, theirs, first in ((run.rows, whole[run.id].rows, 2), (run.quality, whole[run.id].quality, 2)):
      for name, x in ours.columns.items():
        y = theirs.columns[name][: len(x)]
        assert x[:first].tobytes() == y[:first].tobytes()
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-4, err_msg=name)


def test_stopped_runs_are_not_trained_and_the_state_is_saved_when_they_stop(halved):
  table = runs.survey(halved.path, "rows", "group-0", 8).table
  empty = np.isnan(table.columns["disc/loss"][table.steps >= 10])
  assert [bool(column.all()) for column in empty.T] == [run.status == "stopped" for run in halved.runs]
  assert (halved.path / "checkpoints" / "group-0" / "10").is_dir()


def test_the_report_says_who_stopped_and_counts_none_of_them(halved):
  (panel,) = halved.panels
  assert sorted(len(variant.counted) for variant in panel.variants) == [0, 0, 2, 2]
  text = " ".join(report.terminal_table(halved).split())
  assert "halving stopped 4 of 8 runs as the worst by line/wasserstein (4 at step 10)" in text
  stopped = next(run for run in halved.runs if run.last_step == 10)
  last = stopped.quality.columns["line/wasserstein"][-1]
  assert f"at step 10 with Wasserstein distance {last:.3g} ({stopped.id})" in text
  rows = compare(panel).rows
  assert [row.statuses["stopped"] for row in rows] == [0, 0, 2, 2]  # the stopped ones last
  assert [row.finals["line/wasserstein"].n for row in rows] == [2, 2, 0, 0]
  assert all(row.versus is None and row.baseline is None for row in rows)
  drawn = panel._replace(roles={"compared": [], "drawn": ["generator_rate"], "repeated": ["seed"]})
  assert search(drawn) is None  # no best of k draws


def test_the_pages_say_which_runs_stopped_and_where(halved):
  page = report.build(halved.path).read_text()
  assert "A strip that ends early: halving stopped the run there." in page
  assert page.count(">2 stopped<") == 2 * 2  # beside the missing result on a phone, and among the runs
  text = live.page(halved.path, 5)
  assert "<dd>8: 4 done, 4 stopped</dd>" in text
  rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", text)
  assert [re.findall(r"<td[^>]*>(.*?)</td>", row)[1:3] for row in rows] == [["done", "20"]] * 4 + [
    ["stopped", "10"]
  ] * 4
  last = {f"{wording.number(records.final(run, 'line/wasserstein'))}" for run in halved.runs if run.status == "stopped"}
  assert {re.findall(r"<td[^>]*>(.*?)</td>", row)[3] for row in rows[4:]} == last  # not what came after they stopped
  assert "diverged" not in text


def test_of_a_search_the_best_draw_that_was_trained_to_the_end_is_shown(plain, halved, tmp_path):
  """On the page, in the terminal and by `tournament --halving`; who it is by hand. One draw stopped that ended better."""
  roles = {"compared": [], "drawn": ["generator_rate"], "repeated": ["seed"]}
  (panel,) = halved.panels
  assert survivors.survivors(panel) is None  # the study does not say what was drawn
  assert survivors.survivors(plain.panels[0]._replace(roles=roles)) is None  # nothing stopped
  found = survivors.survivors(panel._replace(roles=roles))
  done = [run for run in halved.runs if run.status == "done"]
  ends: dict = {}
  for run in done:
    ends.setdefault(run.config["generator_rate"], []).append(run.quality.columns["line/wasserstein"][-1])
  best = min(ends, key=lambda rate: np.log(ends[rate]).mean())
  (one,) = found.settings
  assert (one.best.config["generator_rate"], one.left, one.draws) == (best, 2, 4)
  assert one.value.mean == pytest.approx(np.exp(np.log(np.asarray(ends[best], float)).mean()))
  assert one.settings == f"generator_rate={best:.3g}"

  shutil.copytree(halved.path, directory := tmp_path / "study")
  runs.write_manifest(directory, {**runs.read_manifest(directory), "roles": roles})
  page = report.build(directory).read_text()
  assert "What halving left" in page
  assert ">2 of 4 draws</td>" in page
  assert survivors.sentence(found) in " ".join(report.terminal_table(directory).replace("\n", " ").split())
  status = runs.read_status(directory)
  gone = next(iter(status["groups"]["group-0"]["stopped"]))
  status["groups"]["group-0"]["diverged"] = {gone: 7}
  runs.write_status(directory, status)
  text = " ".join(report.terminal_table(directory).split())
  assert text.count("stopped by halving, left out of every mean: ") == 3
  assert re.search(rf"diverged, left out of every mean: [^(]* at step 7 \({gone}\)", text)
  said = tournament.write(directory)
  assert said.startswith("Of 4 draws 2 were trained to the end.")
  assert "| 2/4 |" in (directory / "table.md").read_text()


class Killed(BaseException):
  pass


def test_killed_anywhere_it_ends_the_same(halved, tmp_path, monkeypatch):
  """Before a decision is written, and among the steps that follow it."""
  directory = tmp_path / "study"
  rows = resume.Writer.rows

  def before(study, entries, rules, competing, until):
    raise Killed

  def among(writer, chunk, found):
    if chunk.first >= 10:
      raise Killed
    rows(writer, chunk, found)

  for place, name, function in ((halving, "_decide", before), (resume.Writer, "rows", among)):
    with monkeypatch.context() as patch:
      patch.setattr(place, name, function)
      with pytest.raises(Killed):
        conduct(tmp_path, CONFIG + RULES, directory)
  conduct(tmp_path, CONFIG + RULES, directory)
  assert contents(directory) == contents(halved.path)


def test_what_is_lost_is_computed_again_with_the_runs_of_then(halved, tmp_path):
  """Rows from before and after a step at which runs stopped, and what was measured there: the same bits."""
  shutil.copytree(halved.path, directory := tmp_path / "study")
  for name in ("rows/group-0/000000000-000000010.npz", "rows/group-0/000000010-000000020.npz"):
    (directory / name).unlink()
  (directory / "quality/group-0/000000010-000000011.npz").unlink()
  conduct(tmp_path, CONFIG + RULES, directory)
  assert contents(directory) == contents(halved.path)


def test_a_later_decision_is_among_those_left_and_an_old_one_stays(tmp_path):
  """Two groups, whose draws compete. Ranked at step 10: a b c d, of which d has diverged; at step 20: c before a and b."""
  names = {"one": ["a", "b"], "two": ["c", "d"]}
  entries = [
    {"name": name, "members": [{"id": run, "config": {"steps": 30}} for run in own]} for name, own in names.items()
  ]
  table = {"one": {10: [1.0, 2.0], 20: [5.0, 6.0]}, "two": {10: [3.0, 0.1], 20: [4.0, NAN]}}
  for name, measured in table.items():
    for step, values in measured.items():
      columns = {"line/wasserstein": np.asarray([values], np.float32)}
      runs.append(tmp_path, "quality", name, step, step + 1, runs.Table(np.array([step]), columns))
  runs.write_status(tmp_path, {"groups": {"one": {"step": 20}, "two": {"step": 20, "diverged": {"d": 7}}}})
  rules, competing = halving.Rules((10, 20), 0.6, ""), [{run: [run] for run in "abcd"}]
  for until, stopped in ((10, {"d": 10}), (20, {"d": 10, "b": 20})):
    halving._decide(tmp_path, entries, rules, competing, until)
    status = runs.read_status(tmp_path)["groups"]
    assert {run: step for own in status.values() for run, step in own["stopped"].items()} == stopped
    assert {own["rung"] for own in status.values()} == {until}
  assert [halving.stopped(tmp_path, name) for name in ("one", "two")] == [{"b": 20}, {"d": 10}]
  assert runs.run_status({"steps": 30}, "d", status["two"]) == ("diverged", 7)
  assert runs.run_status({"steps": 30}, "b", status["one"]) == ("stopped", 20)


@pytest.mark.parametrize(
  ("values", "said"),
  [
    ([1.0, 2.0, 3.0, 4.0], "as the worst by line/wasserstein"),
    ([1.0, 2.0, 3.0, NAN], "as the worst by line/wasserstein (1 of them without a finite value)"),
    ([math.inf, NAN, NAN, NAN], "by the order of their ids, for no run has a finite line/wasserstein"),
  ],
)
def test_what_stopped_is_called_the_worst_only_where_something_could_be_compared(tmp_path, values, said):
  entries = [{"name": "one", "members": [{"id": run, "config": {"steps": 30}} for run in "abcd"]}]
  columns = {"line/wasserstein": np.asarray([values], np.float32)}
  runs.append(tmp_path, "quality", "one", 10, 11, runs.Table(np.array([10]), columns))
  runs.write_status(tmp_path, {"groups": {"one": {"step": 10}}})
  told = halving._decide(tmp_path, entries, halving.Rules((10,), 0.5, ""), [{run: [run] for run in "abcd"}], 10)
  assert told == f"step 10: 2 runs stopped {said}, 2 go on"


def decided(directory, plain, rules):
  """The status after the first decision by these rules, of a copy of the study without halving."""
  shutil.copytree(plain.path, directory)
  entries = runs.read_manifest(directory)["groups"]
  said = halving._decide(directory, entries, rules, contest.competitions([run.config for run in plain.runs], {}), 10)
  return said, {run for own in runs.read_status(directory)["groups"].values() for run in own["stopped"]}


def test_by_verdict_those_stop_whose_verdict_at_that_step_is_named(plain, tmp_path):
  """Judged of the first two rows alone, whatever came later: two are too few for any verdict but `diverged`."""
  every = {run.id for run in plain.runs}
  rules = halving.Rules((10,), 0.0, "verdict", ("stalled", "oscillating", "mode_collapse", "diverged"))
  said, stopped = decided(tmp_path / "a", plain, rules)
  assert (stopped, said) == (set(), "step 10: 0 runs stopped for their verdict, 8 go on")
  seen = verdicts.until(plain.runs[0], 10)
  assert (seen.final, seen.steps.tolist()) == ("unknown", [0, 5])
  said, stopped = decided(tmp_path / "b", plain, rules._replace(verdicts=("unknown",)))
  assert (stopped, said) == (every, "step 10: 8 runs stopped for their verdict (8 unknown), 0 go on")


def test_a_study_whose_runs_all_fail_ends_there_and_its_page_says_so(tmp_path):
  """Every rate is far too large; nothing is trained after the first step at which runs may stop."""
  text = CONFIG.replace("[1e-4, 1e-3, 3e-2, 1e-2]", "[1e25, 1e26, 1e27, 1e28]")
  text += RULES.replace('"keep": 0.5, "by": "line/wasserstein"', '"by": "verdict", "verdicts": ["diverged"]')
  said = conduct(tmp_path, text, tmp_path / "study")
  assert "step 10: 8 runs stopped for their verdict (8 diverged), 0 go on" in said
  found = records.read(tmp_path / "study")
  assert {run.status for run in found.runs} == {"diverged"}
  assert max(len(run.rows.steps) for run in found.runs) <= 2
  assert "is complete" in conduct(tmp_path, text, tmp_path / "study")
  assert "so nothing can be compared" in report.build(tmp_path / "study", tmp_path / "page.html").read_text()


def test_other_rules_are_refused_and_a_plan_says_what_is_saved(halved, tmp_path):
  before = contents(halved.path)
  for text in (CONFIG, CONFIG + RULES.replace("0.5", "0.25")):
    with pytest.raises(BadInput, match="was begun with halving"):
      conduct(tmp_path, text, halved.path)
  with pytest.raises(BadInput, match="expected the 8 that it began with, got 12"):
    conduct(tmp_path, CONFIG.replace("[0, 1]", "[0, 1, 2]") + RULES, halved.path)
  assert contents(halved.path) == before
  assert json.loads((halved.path / "manifest.json").read_text())["halving"]["at"] == [10]
  with pytest.raises(Planned):
    conduct(tmp_path, CONFIG + RULES, tmp_path / "new", dry=True)
  assert not (tmp_path / "new").exists()
  assert plan.evaluations(halved.runs[0].config) == [0, 10, 20]
