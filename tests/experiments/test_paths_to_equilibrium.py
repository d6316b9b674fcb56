"""The study `paths_to_equilibrium` at a size of seconds, and its start: supports that do not meet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import tables
from experiments.studies.paths_to_equilibrium import study as study
from experiments.sweep import CONFIGS
from gan_jax import data, models
from gan_jax.report import records
from gan_jax.runner import grouping
from gan_jax.settings import sweeps
from tests.support.networks import pure
from tests.support.pages import undrawn

SMALL = """
def get_config():
  return {"dataset": "line", "panel": "gradient descent", "model": "mlp", "latent_size": 1,
          "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "ema_decay": 0.0,
          "batch_size": 8, "steps": 4, "probe_every": 2, "head_start": 2, "optimizer": "sgd",
          "generator_rate": 0.3, "discriminator_rate": 0.3,
          "evaluation_samples": 250, "evaluate_every": 2}

def sweep(s):
  runs = s.product(s.param("loss", ["minimax", "non_saturating"]), s.param("seed", range(3)))
  return s.product(s.chain(s.fixed(penalty="none"), s.fixed(penalty="r1", penalty_weight=1.0)), runs)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  folder = tmp_path_factory.mktemp("paths")
  (folder / "small.py").write_text(SMALL)
  with undrawn():
    study.main(["--config", str(folder / "small.py"), "--out", str(folder / "out")])
  return folder / "out"


def test_figure_table_and_findings(written):
  assert (written / "paths.png").read_bytes().startswith(b"\x89PNG")
  text = (written / "table.md").read_text()
  rows = [line for line in text.splitlines() if line.startswith("| gradient descent |")]
  assert len(rows) == 4
  assert "**gradient descent.** Without a penalty, 0/3 minimax and 0/3 non-saturating runs learn the data" in text
  assert "JS(data, model) = log 2" in text


def test_ratios_are_paired_by_seed_and_of_the_right_cells(written):
  found = study.cells(records.read(written))
  assert [c[1:3] for c in found] == [(loss, p) for p in ("none", "r1") for loss in study.LOSSES]
  last = found[-1]
  assert study.ratio(found, found[0], penalty="none") is None
  for fields, reference in (({"penalty": "none"}, found[1]), ({"loss": "minimax"}, found[2])):
    ours, theirs = (list(study.final_by_seed(cell, study.QUALITY).values()) for cell in (last, reference))
    expected = np.exp(np.mean(np.log(np.divide(ours, theirs))))
    assert abs(expected - 1) > 1e-4
    assert study.ratio(found, last, **fields).mean == pytest.approx(expected)
    assert study.ratio(found, last, **fields).n == 3


def test_the_supports_do_not_meet_at_the_start():
  """The generator's curve stays off the line for noise within 2 standard deviations, whatever the seed; where a ray of it
  crosses the line further out, it does so in a point."""
  _, configs = sweeps.load(str(CONFIGS / "paths_to_equilibrium.py"))
  where = data.load("line").line
  normal = np.array([-where.direction[1], where.direction[0]])
  spec = grouping.group(configs[:1])[0].spec
  generator, _ = models.build(spec, (2,), 1)
  noise = jnp.linspace(-2, 2, 401)[:, None]
  draw = jax.jit(lambda key: pure(generator).apply(generator.init(key)[0], noise, jnp.zeros(401, jnp.int32)))
  distances = np.stack([(np.asarray(draw(jax.random.key(i))) - where.centre) @ normal for i in range(5)])
  crossings = (np.diff(np.sign(distances), axis=1) != 0).sum(axis=1)
  assert crossings.max() <= 2
  assert (np.abs(distances) > 0).all()


def test_the_config_has_every_pair_of_loss_and_penalty_in_both_games():
  _, configs = sweeps.load(str(CONFIGS / "paths_to_equilibrium.py"))
  cells = {(c["panel"], c["loss"], c["penalty"]) for c in configs}
  assert len(cells) == 2 * 2 * 5
  assert len(configs) == 5 * len(cells)


def test_markdown():
  assert tables.markdown(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | --: |\n| x\\|y | 1 |\n"
