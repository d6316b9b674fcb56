"""Variants with long names: they are cut to fit a table, and no two of them are shown as the same text."""

import pytest

from gan_jax import settings
from gan_jax.report import build, plain, records, terminal_table
from gan_jax.report.export import export
from gan_jax.report.search import search
from gan_jax.runs.directory import read_json, write_json
from gan_jax.settings import labels
from tests.report.test_report import write_study

LONG = "of_a_long_name" * 10
# By where the names of three losses differ: the names, the greatest length to which they are cut, and how many of these
# characters the table for the terminal has at least.
NAMES = {
  "at the start": ([f"{x}{LONG}.py:mine" for x in "abc"], labels.LENGTH, plain.SHORTEST_LABEL - 3),
  "at the end": ([f"{LONG}.py:{x}" for x in "abc"], labels.LENGTH, labels.LENGTH),
  "in the middle": ([f"{LONG}{x}{LONG}.py:mine" for x in "abc"], 300, 300),
}


@pytest.mark.parametrize("where", NAMES)
def test_two_labels_are_never_shown_as_the_same_text(tmp_path, where):
  names, longest, least = NAMES[where]
  group = [settings.resolve({"steps": 50, "loss": loss, "seed": seed}) for loss in names for seed in (0, 1)]
  path = write_study(tmp_path / "s", [group], until=50)
  shown = [variant.label for variant in records.read(path).panels[0].variants]
  assert len(set(shown)) == 3
  assert max(map(len, shown)) <= longest
  page = build(path).read_text().replace("<wbr>", "")
  assert all(f">{name}<" in page for name in shown)
  table = terminal_table(path).splitlines()
  assert max(map(len, table)) <= plain.WIDTH
  there = "".join(table)  # a label may go on in the next line
  assert all(name[:least].replace("…", "...") in there for name in shown)
  export(path, "tensorboard", tmp_path / "events")  # into folders that are called by their label


def test_settings_that_were_tuned_stay_apart_where_only_the_end_of_their_labels_differs(tmp_path):
  names, *_ = NAMES["at the end"]
  draws = [0.001 * 1.1**i for i in range(8)]
  group = [settings.resolve({"steps": 50, "loss": loss, "generator_rate": x}) for loss in names for x in draws]
  path = write_study(tmp_path / "s", [group], until=50)
  roles = {"compared": ["loss"], "drawn": ["generator_rate"], "repeated": ["seed"]}
  write_json(path / "manifest.json", read_json(path / "manifest.json") | {"roles": roles})
  found = search(records.read(path).panels[0])
  assert {len(entry.draws) for entry in found.entries} == {8}
  assert len({entry.label for entry in found.entries}) == 3
  assert all(len(entry.label) <= labels.LENGTH for entry in found.entries)
