"""Several studies as one report: the statistics of a study of all their runs; and what cannot be compared is refused."""

import csv
import json
import re

import numpy as np
import pytest

from experiments import export as export_command
from experiments import figures as figures_command
from experiments import report as report_command
from experiments import tables as tables_command
from gan_jax import runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.report import filters, pictures, records, sheets, summary, union
from gan_jax.report.comparison import compare
from tests.report.test_report import write_study

LOSSES = ("minimax", "hinge", "wasserstein")


def write(path, many=(1, 5), steps=2000, **fields):
  configs = [
    settings.resolve({"steps": steps, "loss": loss, "seed": seed, "n_critic": n, **fields})
    for loss in LOSSES
    for n in many
    for seed in range(4)
  ]
  return write_study(path, [configs], until=steps, diverged=(("wasserstein", 3),))


def part(whole, path, keep, **changes):
  """A study of those runs of another (one group) for which `keep(config)`, as it would have been trained by itself."""
  manifest, status = (json.loads((whole / f"{name}.json").read_text()) for name in ("manifest", "status"))
  (group,), members = manifest["groups"], []
  for place, member in enumerate(group["members"]):
    if keep(member["config"]):
      config = {**member["config"], **changes}
      members.append((place, {"id": settings.identity(config), "config": config}))
  places, group["members"] = [p for p, _ in members], [m for _, m in members]
  runs.write_json(path / "manifest.json", manifest)
  ids = {m["id"] for m in group["members"]}
  status["groups"]["group-0"]["diverged"] = {
    k: v for k, v in status["groups"]["group-0"]["diverged"].items() if k in ids
  }
  runs.write_json(path / "status.json", status)
  for name in ("rows", "quality"):
    for first, last, file in runs.parts(whole, name, "group-0"):
      arrays = runs.read_arrays(file)
      table = runs.Table(arrays.pop("step"), {metric: x[:, places] for metric, x in arrays.items()})
      runs.append(path, name, "group-0", first, last, table)
  samples = runs.read_samples(next(file for _, file in runs.sample_steps(whole, "group-0")))
  runs.write_samples(path, "group-0", 2000, samples[places])
  runs.write_samples(path, "group-0", None, samples[0])
  return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  return write(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def halves(whole, tmp_path_factory):
  """The runs of two losses, and those of the last two; hinge is in both."""
  folder = tmp_path_factory.mktemp("halves")
  return (
    part(whole, folder / "first", lambda c: c["loss"] != "wasserstein"),
    part(whole, folder / "second", lambda c: c["loss"] != "minimax"),
  )


def said(study):
  """All numbers and words of the tables, and of the rows behind them."""
  return sheets.sheets(study), [[repr(row._replace(place=0, variant=row.variant.label, baseline=None)) for row in
          compare(panel).rows] for panel in study.panels]  # fmt: skip


def test_a_union_has_the_statistics_of_one_study_of_all_runs(whole, halves):
  found, one = union.choose(halves), records.read(whole)
  assert said(found) == said(one)
  assert len(found.runs) == len(one.runs) == 24  # hinge's eight count once
  assert {run.id for run in found.runs} == {run.id for run in one.runs}
  assert said(union.choose(halves[::-1], baseline="minimax")) == said(union.choose([whole], baseline="minimax"))
  plain, mine = summary(one), summary(found)
  by_id = lambda s: {run["id"]: {k: v for k, v in run.items() if k != "group"} for run in s["runs"]}  # noqa: E731
  assert by_id(plain) == by_id(mine)


def test_pictures_come_from_the_run_s_own_directory(whole, halves):
  found = union.choose(halves)
  for run in found.runs[::5]:
    mine = pictures.latest([run])[run.id][1]
    (same,) = [r for r in records.read(whole).runs if r.id == run.id]
    np.testing.assert_array_equal(mine, pictures.latest([same])[run.id][1])
  assert {run.place for run in found.runs} == {(half, "group-0") for half in halves}


def test_the_commands_write_the_union(whole, halves, tmp_path, capsys):
  places = [str(half) for half in halves]
  report_command.main([*places, "--json"])
  assert len(json.loads(capsys.readouterr().out)["runs"]) == 24
  report_command.main([*places, "--filter=n_critic=1,seed<2", "--out", str(tmp_path / "page.html")])
  out, page = capsys.readouterr().out, (tmp_path / "page.html").read_text()
  assert "Note: only runs with n_critic=1,seed&lt;2 are shown: 8 of 32" in page
  assert "note: only runs with n_critic=1,seed<2 are shown: 8 of 32" in out
  assert re.search(r"hinge +2/2", out)
  assert not list(halves[0].glob("*.html")) + list(halves[1].glob("*.html"))
  export_command.main([*places, "--format=csv", "--out", str(tmp_path / "all.csv")])
  with open(tmp_path / "all.csv", newline="") as file:
    table = list(csv.DictReader(file))
  assert len({row["id"] for row in table}) == 24
  assert {row["group"] for row in table} == {"first/group-0", "second/group-0"}
  capsys.readouterr()
  tables_command.main([*places, "--compare=n_critic", "--format=csv"])
  rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
  assert {row["variant"] for row in rows} == {"n_critic=1", "n_critic=5"}
  assert len({row["panel"] for row in rows}) == 3


def test_what_would_replace_the_page_of_a_whole_study_needs_a_place(whole):
  for command, more in ((report_command, []), (export_command, ["--format=csv"]), (figures_command, [])):
    for option in ("--filter=seed<2", "--baseline=hinge", "--compare=n_critic", str(whole.parent)):
      with pytest.raises(BadInput, match="expected --out PATH"):
        command.main([str(whole), option, *more])
  with pytest.raises(BadInput, match="is of the study"):
    report_command.main([str(whole), "--filter=seed<2", "--out", str(whole / "report.html")])


@pytest.mark.parametrize(
  ("changes", "field"),
  [
    ({"evaluation_samples": 500}, "evaluation_samples 2000 in first and 500 in other"),
    ({"dataset_options": {"resolution": 16}}, "dataset_options none in first and 'resolution=16' in other"),
    (
      {"metric_options": {"frechet": {"features": "lite0"}}},
      "metric_options none in first and 'frechet.features=lite0'",
    ),
    ({"dataset": "ring"}, "dataset 'digits' in first and 'ring' in other"),
  ],
)
def test_another_yardstick_is_refused_and_both_sides_are_named(whole, halves, tmp_path, changes, field):
  other = part(whole, tmp_path / "other", lambda c: c["loss"] == "wasserstein", **changes)
  with pytest.raises(BadInput) as error:
    union.choose([halves[0], other])
  assert field.replace("'", "") in str(error.value).replace("'", "")
  # In a section of its own nothing is compared with it; nor if it is filtered out.
  apart = part(whole, tmp_path / "apart", lambda c: c["loss"] == "wasserstein", panel="apart", **changes)
  assert len(union.choose([halves[0], apart]).panels) == 2
  assert len(union.choose([halves[0], other], "loss=minimax").runs) == 8


def test_other_data_of_the_same_name_are_refused(whole, halves, tmp_path):
  other = part(whole, tmp_path / "other", lambda c: c["loss"] == "wasserstein")
  for path, digest in ((halves[0], "a" * 64), (other, "b" * 64)):
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["groups"][0]["data"] = {"sha256": digest}
    copy = tmp_path / f"{path.name}2"
    copy.mkdir()
    for entry in path.iterdir():
      (copy / entry.name).symlink_to(entry)
    (copy / "manifest.json").unlink()
    runs.write_json(copy / "manifest.json", manifest)
  with pytest.raises(BadInput, match="digest of the data 'aaaaaaaaaaaa' in first2 and 'bbbbbbbbbbbb' in other2"):
    union.choose([tmp_path / "first2", tmp_path / "other2"])
  assert union.choose([tmp_path / "first2", halves[0]])  # one of an early version, which says nothing of its data


def test_the_same_run_with_other_rows_is_refused(whole, halves, tmp_path):
  other = part(whole, tmp_path / "other", lambda c: c["loss"] == "hinge")
  assert len(union.choose([halves[0], other]).runs) == 16
  for name, step in (("quality", 1000), ("rows", 50)):
    first, last, path = next(p for p in runs.parts(other, name, "group-0") if p[0] <= step < p[1])
    arrays = runs.read_arrays(path)
    metric = next(m for m in arrays if m != "step")
    arrays[metric][arrays["step"] == step, 0] += 1
    path.unlink()
    runs.append(other, name, "group-0", first, last, runs.Table(arrays.pop("step"), arrays))
    with pytest.raises(
      BadInput, match=rf"is in first and in other, and its {name} differ at step {step:,} \({metric}: "
    ):
      union.choose([halves[0], other])


def test_conditions_choose_what_they_say(whole):
  study = records.read(whole)
  every = [filters.fields(run) for run in study.runs]

  def expected(keep):
    return [run.id for run, own in zip(study.runs, every, strict=True) if keep(own)]

  for text, keep in (
    ("loss=hinge|minimax, seed<3", lambda c: c["loss"] in ("hinge", "minimax") and c["seed"] < 3),
    ("loss!=hinge", lambda c: c["loss"] != "hinge"),
    ("loss!=hinge|minimax,n_critic>=5", lambda c: c["loss"] == "wasserstein" and c["n_critic"] == 5),
    ("n_critic>1", lambda c: c["n_critic"] == 5),
    ("generator_rate=5e-4,seed<=0", lambda c: c["seed"] == 0),
    ("status=diverged", lambda c: c["loss"] == "wasserstein" and c["seed"] == 3),
    ("flips=false,conditional=False,seed=3", lambda c: c["seed"] == 3),
  ):
    assert [run.id for run in filters.kept(study.runs, text)] == expected(keep), text


@pytest.mark.parametrize(
  ("text", "words"),
  [
    (
      "los=hinge",
      "unknown field of --filter 'los'; did you mean 'loss'? fields in which the runs differ: seed, loss, n_critic",
    ),
    ("loss=hing", "unknown value of loss in --filter 'hing'; did you mean 'hinge'? known: hinge, minimax, wasserstein"),
    ("n_critic=2", "unknown value of n_critic in --filter '2'; known: 1, 5"),
    ("loss<3", "of a field of numbers; its values: hinge, minimax, wasserstein"),
    ("seed<two", "expected one number after seed<, got 'two'"),
    ("seed", "expected conditions such as"),
    ("seed<3,", "expected conditions such as"),
    ("seed<0", "expected to keep at least one of 24 runs, kept none"),
  ],
)
def test_conditions_that_cannot_be_are_refused_with_the_choices(whole, text, words):
  with pytest.raises(BadInput, match=re.escape(words)):
    union.choose([whole], text)


def test_a_baseline_is_a_loss_or_a_label(whole):
  plain = union.choose([whole], "n_critic=1")
  for name in ("hinge", "wasserstein"):
    (panel,) = union.choose([whole], "n_critic=1", baseline=name).panels
    rows = {row.variant.label: row for row in compare(panel).rows}
    assert rows[name].is_baseline
    ours, theirs = (
      {run.seed: records.final(run, "frechet/distance") for run in rows[x].variant.counted} for x in ("minimax", name)
    )
    seeds = ours.keys() & theirs.keys()
    assert rows["minimax"].versus.mean == pytest.approx(np.exp(np.mean([np.log(ours[s] / theirs[s]) for s in seeds])))
  assert compare(plain.panels[0]).baseline == "minimax"
  with pytest.raises(BadInput, match=r"unknown baseline 'hing'; did you mean 'hinge'\? known: hinge, .*"):
    union.choose([whole], baseline="hing")


def test_compare_divides_by_all_other_fields(whole):
  study = union.choose([whole], compare="n_critic")
  assert [panel.title for panel in study.panels] == [f"compare losses: {loss}" for loss in LOSSES]
  for panel in study.panels:
    table = compare(panel)
    assert (table.baseline, table.family) == ("n_critic=1", 1)
    assert [v.label for v in panel.variants] == ["n_critic=1", "n_critic=5"]
  other = union.choose([whole], compare="n_critic", baseline="5")
  assert {compare(panel).baseline for panel in other.panels} == {"n_critic=5"}
  by_loss = union.choose([whole], compare="loss")
  assert [panel.title for panel in by_loss.panels] == ["compare losses: n_critic=1", "compare losses: n_critic=5"]
  # All else being equal is what the whole study compares too: with the same loss's n_critic, pair by pair.
  whole_rows = {r.variant.label: r for r in compare(records.read(whole).panels[0]).rows}
  for panel in by_loss.panels:
    n = panel.title.partition(": ")[2]
    for row in compare(panel).rows:
      before = whole_rows[f"{row.variant.label}, {n}"]
      assert repr(row.finals) == repr(before.finals)
      assert (row.versus and row.versus[:5]) == (before.versus and before.versus[:5])
  for field, words in (
    ("n_critc", "did you mean 'n_critic'"),
    ("batch_size", "known: loss, n_critic"),
    ("seed", "known: loss"),
  ):
    with pytest.raises(BadInput, match=words):
      union.choose([whole], compare=field)
