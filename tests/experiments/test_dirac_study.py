"""The study `dirac`: it leaves nothing out, and what is measured is what linear algebra predicts."""

import csv

import numpy as np
import pytest

from experiments.studies.dirac import study as study
from gan_jax import game, losses, penalties, settings
from gan_jax.core.errors import BadInput
from gan_jax.game import methods, optimizers
from gan_jax.settings import sweeps
from gan_jax.theory.linearisation import CURVATURES

SMALL = """
def get_config():
  return {"optimizer": "sgd", "order": "simultaneous", "generator_rate": 0.2, "discriminator_rate": 0.2, "batch_size": 4,
          "latent_size": 1, "ema_decay": 0.0, "steps": 200, "loss": "minimax"}

def sweep(s):
  return s.chain(
    s.product(s.fixed(panel="losses"), s.param("loss", ["minimax", "wasserstein"])),
    s.product(s.fixed(panel="games", penalty="r1", penalty_weight=0.5, penalty_every=3, order="generator_first")),
    s.product(s.fixed(panel="games", optimizer="momentum", optimizer_options={"beta1": -0.5},
              order="generator_first", n_critic=2)),
    s.product(s.fixed(panel="games", lookahead_every=4)),
    s.product(s.fixed(panel="games", optimizer="adam")),
  )
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  folder = tmp_path_factory.mktemp("dirac")
  (folder / "small.py").write_text(SMALL)
  study.main([str(folder / "small.py"), "--out", str(folder / "out")])
  return folder / "out"


def test_the_config_leaves_nothing_out():
  _, configs = sweeps.load(str(study.CONFIG), every=game.registered)
  assert {c["loss"] for c in configs} == set(losses.LOSSES)
  played = {n for c in configs for field in ("penalty", "generator_penalty") for n in penalties.names(c[field])}
  assert played == set(penalties.PENALTIES)
  assert {c["optimizer"] for c in configs} == set(optimizers.OPTIMIZERS)
  for field, choices in (("order", settings.ORDERS), ("method", methods.METHODS), ("fakes", settings.FAKES)):
    assert {c[field] for c in configs} == set(choices), field
  critical = {name for name, p in penalties.PENALTIES.items() if p.facts.kind != "generator"}
  assert set(CURVATURES) <= critical


def test_measured_and_predicted_eigenvalues_agree(written):
  rows = list(csv.DictReader((written / "table.csv").read_text().splitlines()))
  assert len(rows) == 6
  for row in rows:
    if row["game"] == "adam":
      assert not row["predicted_eigenvalues"]
      continue
    predicted, measured = (
      np.sort_complex([complex(x) for x in row[f"{kind}_eigenvalues"].split()]) for kind in ("predicted", "measured")
    )
    assert np.abs(predicted).max() == pytest.approx(np.abs(measured).max(), abs=1e-6), row["game"]


def test_outcomes_are_those_of_the_radii(written):
  rows = {row["game"]: row["outcome"] for row in csv.DictReader((written / "table.csv").read_text().splitlines())}
  assert rows["minimax"] == rows["wasserstein"] == "diverges"
  assert rows["alternating, G first r1 every 3"] == rows["lookahead 4"] == "converges"


def test_the_files_are_pictures_and_a_table(written):
  for name in ("losses.png", "games.png"):
    assert (written / name).read_bytes().startswith(b"\x89PNG")
  text = (written / "table.md").read_text()
  assert "| losses | wasserstein | 1.0198 | 1.0198 | diverges |" in text


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    (["--config.loss=hing"], "unknown loss 'hing'"),
    (["--config.stesp=3"], "did you mean 'steps'"),
    (["configs/theory/driac.py"], "unknown config file"),
  ],
)
def test_bad_input_ends_before_anything_is_written(arguments, words, tmp_path):
  with pytest.raises(BadInput, match=words):
    study.main([*arguments, "--out", str(tmp_path / "out")])
  assert not (tmp_path / "out").exists()
