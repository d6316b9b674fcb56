"""The study `mode_collapse` at a size of seconds: its table says what its files hold, and what was published."""

import re

import numpy as np
import pytest

from experiments.studies.mode_collapse import study as study
from experiments.sweep import CONFIGS
from gan_jax import runs
from gan_jax.report import records
from gan_jax.settings import sweeps
from tests.support.pages import undrawn

# Steps so long that samples reach a mode, and that the two methods differ: a table of zeros would show nothing.
SMALL = """
def get_config():
  return {"dataset": "ring", "panel": "ring", "model": "mlp", "latent_size": 2,
          "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "optimizer": "sgd", "generator_rate": 1.0, "ema_decay": 0.0,
          "batch_size": 8, "steps": 4, "probe_every": 2, "evaluation_samples": 250}

def sweep(s):
  methods = s.chain(s.fixed(loss="non_saturating"), s.fixed(packing=2))
  return s.product(methods, s.param("seed", range(3)))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  folder = tmp_path_factory.mktemp("modes")
  (folder / "small.py").write_text(SMALL)
  with undrawn():
    study.main(["--config", str(folder / "small.py"), "--out", str(folder / "out")])
  return folder / "out"


def test_the_figure_and_the_table_are_there(written, capsys):
  assert (written / "mode_collapse.png").read_bytes().startswith(b"\x89PNG")
  text = (written / "table.md").read_text()
  assert "so not the published protocol" in text
  assert f"reverse KL (K − 1) / 2N = {7 / 500:.4f} (ring)" in text.replace("\n", " ")
  rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| GAN", "| PacGAN2"))]
  assert [row[0].removeprefix("| ") for row in rows] == ["GAN", "PacGAN2"]
  assert rows[0][-3:] == ["6.3 ± 0.5", "0.982 ± 0.002", "0.45 ± 0.09 |"]
  assert rows[1][-3:] == ["7.9 ± 0.1", "0.956 ± 0.020", "0.07 ± 0.03 |"]


def test_the_table_has_the_means_of_the_rows(written):
  """Against the files themselves: quality rows of the last step, averaged here."""
  read = records.read(written)
  found = study.methods(read)
  assert [(m.data, m.title) for m in found] == [("ring", "GAN"), ("ring", "PacGAN2")]
  text, largest = (written / "table.md").read_text(), 0.0
  for method in found:
    shares = [
      runs.read_table(written, "quality", r.group).columns[study.QUALITY][-1, r.member] for r in method.variant.runs
    ]
    largest = max(largest, *shares)
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {method.title} |")]
    assert float(re.split(r" [|±] ?", row)[3]) == pytest.approx(np.mean(shares), abs=5e-4)
  assert largest > 0


def test_divergences_are_compared_as_ratios_and_the_comparisons_of_a_data_set_are_one_family(written):
  found = study.methods(records.read(written))
  ratio = study.against(found, found[1], study.DIVERGENCE)
  assert ratio is None or ratio.log
  difference = study.against(found, found[1], study.MODES)
  ours, theirs = (list(study.finals(m, study.MODES).values()) for m in (found[1], found[0]))
  assert difference.mean == pytest.approx(np.mean(np.subtract(ours, theirs)))
  text = study.sentences(found)
  assert "PacGAN2 against GAN, paired by seed" in text
  assert "(Holm, of " in text


def test_every_method_has_a_name_of_its_own_and_published_rows_are_of_methods_that_run():
  _, configs = sweeps.load(str(CONFIGS / "mode_collapse.py"))
  found = {(c["dataset"], study.named(c)) for c in configs}
  variants = {tuple(sorted((k, str(v)) for k, v in c.items() if k != "seed")) for c in configs}
  assert len(found) == len(variants) == 13
  assert {(data, title) for data, rows in study.PUBLISHED.items() for title in rows} <= found
  assert min(len([c for c in configs if (c["dataset"], study.named(c)) == which]) for which in found) >= 5
  for config in configs:  # a hundred packs, whatever their size
    assert config["batch_size"] == 100 * config["packing"]


def test_full_is_the_published_length_and_width():
  """400 epochs of 100,000 examples in batches of 100 (their code), at Adam's 1e-4, 0.8."""
  arguments = [f"--config.{name}={value}" for name, value in study.FULL.items()]
  for config in sweeps.load(str(CONFIGS / "mode_collapse.py"), arguments)[1]:
    assert config["steps"] == 400 * 100_000 // 100
    assert config["model_options"] == {"generator_width": 400, "discriminator_width": 200, "depth": 4}
    assert (config["generator_rate"], config["discriminator_rate"], config["optimizer_options"]["beta1"]) == (
      1e-4,
      1e-4,
      0.8,
    )
    assert (config["evaluation_samples"], config["ema_decay"]) == (2500, 0.0)
