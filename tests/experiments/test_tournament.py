"""The study `tournament`: its config, what `--full` asks for, and its figure and table from a study on disk."""

from pathlib import Path

import pytest

from experiments.studies.tournament import study
from experiments.sweep import CONFIGS
from gan_jax import losses
from gan_jax.core.errors import BadInput
from gan_jax.runner import halving
from gan_jax.settings import sweeps
from tests.report.test_tuning import NAMES, write_tournament


def test_every_loss_gets_the_same_draws_and_each_draw_two_runs():
  plan = sweeps.plan(str(CONFIGS / "tournament.py"))
  fields = [
    "generator_rate",
    "discriminator_rate",
    "penalty_weight",
    "seed",
  ]
  by_loss = {}
  for config in plan.swept:
    key = (*(config[name] for name in fields), config["optimizer_options"]["beta1"])
    by_loss.setdefault(config["loss"], []).append(key)
  assert len(by_loss) == 16
  assert by_loss.keys() <= losses.LOSSES.keys()
  first = next(iter(by_loss.values()))
  assert all(own == first for own in by_loss.values())
  assert len(first) == 32
  assert len({key[:3] for key in first}) == 16
  assert len({key[3] for key in first}) == 32
  assert plan.roles["compared"] == ["loss"]


def test_full_is_every_loss_with_a_config_and_a_directory_of_its_own(monkeypatch):
  asked = []
  monkeypatch.setattr(study, "conduct", lambda name, arguments: asked.append(arguments))
  monkeypatch.setattr(study, "write", lambda directory: "")
  study.main(["--full", "--config.steps=5"])
  study.main(["--config.steps=5"])
  assert asked[1] == ["--config.steps=5"]
  assert asked[0][0::2][:2] == ["--config", "--out"]
  assert asked[0][-1] == "--config.steps=5"
  two = ["non_saturating", "hinge"]  # every loss is expanded by the same two lines, which takes seconds
  plan = sweeps.plan(asked[0][1], every=lambda field: two if field == "loss" else [])
  assert len(plan.swept) == 2 * 64 * 3
  with pytest.raises(
    BadInput, match=r"unknown baseline 'non_saturating'; known: hinge, minimax$"
  ):  # and not 192 labels
    sweeps.plan(asked[0][1], every=lambda field: ["minimax", "hinge"] if field == "loss" else [])
  assert len({config["seed"] for config in plan.swept}) == 64 * 3


def test_halving_has_the_same_losses_draws_and_seeds(monkeypatch):
  """So what it finds can be held against the tournament without it; only when runs are measured differs."""
  asked = []
  monkeypatch.setattr(study, "conduct", lambda name, arguments: asked.append(arguments))
  monkeypatch.setattr(study, "write", lambda directory: "")
  study.main(["--halving", "--out", "elsewhere"])
  assert asked[0][-2:] == ["--out", "elsewhere"]
  halved, whole = sweeps.plan(asked[0][1]), sweeps.plan(str(CONFIGS / "tournament.py"))
  assert halved.halving == {"at": [200, 400], "keep": 0.5, "searches": 4, "judges": 1}
  assert halved.roles == whole.roles
  same = [[{**config, "evaluate_every": 0} for config in plan.swept] for plan in (halved, whole)]
  assert same[0] == same[1]
  checked = halving.checked(halved.halving, "halving()", halved.swept, halved.roles)
  said = []
  checked.tell(said.append)
  assert "281,600 of 512,000 steps of single runs are saved" in said[0]


def test_full_with_halving_has_the_draws_and_seeds_of_the_tournament_among_its_own(monkeypatch):
  """Four draws choose in each of sixteen searches, of which one is trained to the end. Where the default tournament has
  the same loss, its runs are the first ones."""
  asked = []
  monkeypatch.setattr(study, "conduct", lambda name, arguments: asked.append(arguments))
  monkeypatch.setattr(study, "write", lambda directory: "")
  study.main(["--halving", "--full"])
  assert Path(asked[0][3]).name == "tournament_full_halved"
  some = ["minimax", "non_saturating", "hinge"]
  plan = sweeps.plan(asked[0][1], every=lambda field: some if field == "loss" else [])
  assert len(plan.swept) == 3 * 64 * 2
  checked = halving.checked(plan.halving, "halving()", plan.swept, plan.roles)
  assert [len(draws) for draws in checked.competing] == [4] * 48
  said = []
  checked.tell(said.append)
  assert "192 of 384 runs go on from step 100, 96 of 384 runs go on from step 300" in said[0]
  ours, theirs = (
    [{**config, "evaluate_every": 0, "most_members": 0} for config in swept if config["loss"] == "hinge"]
    for swept in (plan.swept, sweeps.plan(str(CONFIGS / "tournament.py")).swept)
  )
  assert ours[: len(theirs)] == theirs


def test_its_figure_and_table_are_made_of_the_files(tmp_path):
  path, _ = write_tournament(tmp_path / "s")
  said = study.write(path)
  assert (path / "tournament.png").read_bytes().startswith(b"\x89PNG")
  table = (path / "table.md").read_text()
  assert all(f"| {name} |" in table for name in NAMES)
  assert "over that of `non_saturating`" in table
  assert said.split("\n")[0] in table
  with pytest.raises(BadInput, match="expected a directory with a manifest"):
    study.write(tmp_path / "nothing")
