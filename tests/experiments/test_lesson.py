"""The command `lesson` and the notebooks: the numbers they print are those of closed forms, and every cell runs.

Both are executed by `tests.support.notebooks` in one subprocess, the notebooks' cells in order: a Jupyter kernel (nbclient
and ipykernel) would be 31 packages more. The first GAN of lesson and notebooks is the same, and is trained once.
"""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.studies.lesson import digits, page, players, study
from gan_jax.core.errors import BadInput
from gan_jax.report import records
from gan_jax.settings import sweeps
from tests.conftest import NOTEBOOKS as FOLDER
from tests.conftest import ROOT
from tests.support import notebooks

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST, LARGEST_OUTPUT = 200_000, 60_000  # bytes, as a file; characters of one output
LN2 = math.log(2)


def h(p: float) -> float:
  return -p * math.log(p) - (1 - p) * math.log(1 - p)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
  return tmp_path_factory.mktemp("lesson")


@pytest.fixture(scope="module")
def executed(folder) -> dict[str, str]:
  """What the lesson and the cells of each notebook print, by name, in their short forms."""
  # One device: a program for several takes longer to compile.
  short = {"GAN_JAX_SHORT": "1", "MPLBACKEND": "agg", "JAX_NUM_CPU_DEVICES": "1"}
  call = [sys.executable, "-m", "tests.support.notebooks", *map(str, NOTEBOOKS)]
  env = {**os.environ, "PYTHONPATH": str(ROOT), **short}
  done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  parts = re.split(r"^=== (\w+)\n", done.stdout, flags=re.M)
  return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def taught(executed) -> str:
  return executed["lesson"]


def row(text: str, start: str) -> list[float]:
  """The numbers that follow `start` in its line."""
  (line,) = re.findall(rf"^ *{re.escape(start)}  +(.*)$", text, re.M)
  return [float(cell.replace(",", "")) for cell in re.split(r" {2,}", line)]


def section(text: str, number: int) -> str:
  return text.split(f"\n{number}. ")[1].split(f"\n{number + 1}. ")[0]


def test_a_guess_costs_minus_its_logarithm(taught):
  for p in (0.99, 0.9, 0.5, 0.1, 0.01):
    assert row(section(taught, 1), f"{p:g}") == pytest.approx([-math.log(p), -math.log(1 - p)], abs=6e-5)
  assert f"The logit of p = 0.9 is {math.log(9):.4f}" in " ".join(taught.split())


def test_a_fair_coin_has_one_bit(taught):
  said = section(taught, 2)
  assert row(said, "fair: 0.5") == pytest.approx([LN2, 1], abs=6e-5)
  assert row(said, "unfair: 0.9") == pytest.approx([h(0.9), h(0.9) / LN2], abs=6e-5)
  assert row(said, "always heads: 1") == [0, 0]


def test_the_gap_of_a_forecast_is_kl(taught):
  for q in (0.9, 0.7, 0.5, 0.1):
    kl = 0.9 * math.log(0.9 / q) + 0.1 * math.log(0.1 / (1 - q))
    assert row(section(taught, 3), f"{q:g}") == pytest.approx([h(0.9) + kl, h(0.9), kl, kl], abs=6e-5)


def test_both_losses_are_sums_of_the_two_cases(taught):
  said = section(taught, 4)
  for real, fake in ((0.9, 0.1), (0.6, 0.4), (0.5, 0.5), (0.1, 0.9)):
    case_1, case_2, g = -math.log(real), -math.log(1 - fake), -math.log(fake)
    expected = [fake, case_1, case_2, case_1 + case_2, g, g]
    assert row(said, f"{real:g}") == pytest.approx(expected, abs=6e-5)
  assert f"the loss {2 * LN2:.4f} = 2 ln 2 for D and {LN2:.4f} = ln 2 for G" in " ".join(said.split())


def test_the_best_discriminator_is_p_over_p_plus_q_and_pays_2_ln_2_less_2_js(taught):
  said, p, q = section(taught, 5), np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
  for i in range(4):
    assert row(said, f"image {i + 1}") == pytest.approx([p[i], q[i], p[i] / (p[i] + q[i])], abs=6e-5)
  m = (p + q) / 2
  js = float(np.sum(p * np.log(p / m) + q * np.log(q / m)) / 2)
  paid = -float(np.sum(p * np.log(p / (p + q)) + q * np.log(q / (p + q))))
  assert paid == pytest.approx(2 * LN2 - 2 * js)
  assert row(said, "q = p") == pytest.approx([2 * LN2, 0, 2 * LN2], abs=6e-5)
  assert row(said, "the four images above") == pytest.approx([paid, js, paid], abs=6e-5)
  assert row(said, "no common image") == pytest.approx([0, LN2, 0], abs=6e-5)


def test_cops_and_robbers_leave_circle_or_arrive(taught):
  """By hand: with slopes 1/2 and rate a = 0.2 one step has determinant 1 + a^2/4, 1, and 1 - a/4 (R1's weight is 1/4)."""
  said, half = section(taught, 6), players.RATE / 2
  for name, determinant in (
    ("both at once", 1 + half**2),
    ("in turns", 1),
    ("in turns, with R1", 1 - 0.25 * players.RATE),
  ):
    predicted, measured, *distances = row(said, name)
    assert predicted == measured == pytest.approx(math.sqrt(determinant), abs=6e-6), name
    assert (distances[-1] > 1.5, distances[-1] < 0.1) == (determinant > 1, determinant < 1)


def test_the_saturating_slope_vanishes_with_d(taught):
  for d in (0.5, 0.1, 0.01, 0.001):
    assert row(section(taught, 7), f"{d:g}") == pytest.approx([-d, d - 1, round((1 - d) / d)], abs=6e-5)


def test_the_decades_of_the_factors_add_up_and_the_trained_sections_are_there(taught, folder):
  found = records.read(folder / "runs" / "lesson" / "study")
  for run in found.panels[1].variants[0].runs:
    fall = digits.fall(run)
    assert sum(fall.factors.values()) == pytest.approx(fall.total, abs=1e-5)
    steps, norm = run.rows.steps, run.rows.columns["gen/grad_norm"]
    assert fall.total == pytest.approx(math.log10(norm[steps == 15][0] / norm[0]))  # the head start is 20 steps
  untrained = [run.quality.columns["frechet/distance"][0] for run in found.panels[0].variants[0].runs]
  assert row(section(taught, 8), "minimax")[0] == pytest.approx(np.exp(np.mean(np.log(untrained))), rel=5e-3)
  assert (
    row(section(taught, 9).partition("Then the generator")[2], "minimax")[0] == row(section(taught, 8), "minimax")[0]
  )
  assert max(len(line) for line in taught.splitlines()) <= 112


def test_the_page_holds_everything(taught, folder):
  text = (folder / "runs" / "lesson" / "lesson.html").read_text()
  assert text.count("<h2>") == 10
  assert text.count("data:image/png;base64,") == 5 == len(list((folder / "runs" / "lesson").glob("*.png")))
  assert "<script" not in text
  assert "://" not in text
  assert "default-src 'none'" in text
  drawn = page.html("a < b", [page.Section("c > d", [page.Table(["&"], [["<i>"]])])])
  assert all(escaped in drawn for escaped in ("a &lt; b", "c &gt; d", "&amp;", "&lt;i&gt;"))


def test_what_is_no_argument_is_refused_before_anything_is_printed(capsys, tmp_path):
  with pytest.raises(BadInput, match="unrecognized arguments: --shrot"):
    study.main(["--shrot", "--out", str(tmp_path / "out")])
  assert capsys.readouterr().out == ""
  assert not (tmp_path / "out").exists()


def test_a_study_s_directory_is_no_place_for_the_lesson(capsys, tmp_path):
  (tmp_path / "manifest.json").write_text("{}")
  with pytest.raises(BadInput, match=r"--out expected a place for the lesson, got .*, which is a study's directory"):
    study.main(["--short", "--out", str(tmp_path)])
  assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_the_full_lesson_has_a_head_start_that_ends_before_the_run():
  configs = study.configs(short=False)
  assert configs == sweeps.load(str(study.CONFIG))[1]
  assert len(configs) == 12
  assert all(config["head_start"] + config["evaluate_every"] <= config["steps"] for config in configs)
  assert {config["head_start"] for config in study.configs(short=True)} == {0, study.SHORT_START}


def test_the_first_notebook_prints_closed_forms(executed):
  said = executed["from_cross_entropy_to_gans"]
  assert f"fair       {LN2:.4f} nats = 1.0000 bits" in said
  kl = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
  assert f"H(p, q) = {LN2:.4f}   H(p) = {h(0.9):.4f}   gap = {kl:.4f}   KL = {kl:.4f}" in said
  assert f"loss of D: {2 * LN2:.4f}   loss of G: {LN2:.4f}" in said
  assert "D* = 0.800 0.600 0.400 0.200" in said
  assert "D(fake) = 0.001   minimax: -0.0010   non_saturating: -0.9990" in said
  assert f"both at once       factor of one step: {math.sqrt(1.01):.5f}" in said


def test_the_first_gan_of_the_notebooks_is_the_lesson_s(executed):
  """Otherwise it would have been refused, in the folder of the lesson's study, or trained anew."""
  assert "runs/first_gan is complete: 12 runs" in executed["from_cross_entropy_to_gans"]


def test_the_notebook_of_the_reports_computes_what_the_report_shows(executed):
  """Its geometric means, intervals and ratios, against the terminal's table of the same study."""
  said = executed["reading_a_report"]
  table = {(p, loss): line for p, loss, line in _table_rows(said)}
  for panel in ("level players", "discriminator trained first"):
    for loss in ("minimax", "non_saturating"):
      (own,) = re.findall(rf"^{panel} +{loss} +(\S+) \[(\S+), (\S+)\]", said, re.M)
      shown = re.findall(r"(\S+) \[(\S+), (\S+)\]", table[panel, loss])[0]
      assert [float(x) for x in own] == pytest.approx([float(x.replace(",", "")) for x in shown], rel=6e-3)
  ratios = re.findall(r"^(.*?) +minimax / non_saturating: (\S+) \[", said, re.M)
  for panel, ratio in ratios:
    shown = re.findall(r"(\S+) \[(\S+), (\S+)\]", table[panel, "minimax"])[1][0]
    assert float(ratio) == pytest.approx(float(shown), rel=6e-3)
  assert len(ratios) == 2


def _table_rows(said: str) -> list[tuple[str, str, str]]:
  """(panel, loss, line) of the terminal's table."""
  found, panel = [], ""
  before = ""
  for line in said.splitlines():
    panel = before if re.fullmatch("-{5,}", line) else panel
    before = line
    if panel and (match := re.match(r"(minimax|non_saturating) +3/3 ", line)):
      found.append((panel, match[1], line))
  return found


def test_the_notebook_of_own_code_trains_it_and_refuses_a_misspelt_option(executed):
  said = executed["your_own_model_and_data"]
  assert "fakes (5, 12, 12, 1) logits (5,)" in said
  assert re.search(r"^my_parts.py:soft_hinge\S* .*distances \d", said, re.M), said
  assert "'widht'" in said
  assert "width" in said.partition("'widht'")[2]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_valid_small_and_of_no_machine(path):
  """The schema's required parts (nbformat 4.5), outputs that a hosting site shows, and nothing of where it was run."""
  text = path.read_text(encoding="utf-8")
  assert len(text.encode()) < LARGEST
  whole = json.loads(text)
  assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
  assert set(whole["metadata"]) <= {"kernelspec", "language_info"}
  ids = [cell["id"] for cell in whole["cells"]]
  assert len(set(ids)) == len(ids)
  for cell in whole["cells"]:
    assert cell["cell_type"] in ("code", "markdown")
    assert not cell["metadata"]
    assert all(isinstance(line, str) for line in cell["source"])
    if cell["cell_type"] == "code":
      assert isinstance(cell["execution_count"], int)  # all cells were executed before it was committed
      assert all(output["output_type"] in ("stream", "display_data", "execute_result") for output in cell["outputs"])
      assert all(output.get("name") != "stderr" for output in cell["outputs"])
      assert all(len(json.dumps(output)) <= LARGEST_OUTPUT for output in cell["outputs"])
  assert [cell["execution_count"] for cell in whole["cells"] if cell["cell_type"] == "code"] == list(
    range(1, len(notebooks.cells(path)) + 1)
  )
  assert not re.search(r"/(home|root|tmp|work|Users|usr|opt)/|site-packages|localhost", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_and_names_in_a_notebook_exist(path):
  prose = "\n".join(cell["source"] for cell in notebooks.cells(path, "markdown"))
  for target in re.findall(r"\]\((?!http)([^)#]+)", prose):
    assert (path.parent / target).exists(), target
  for command in re.findall(r"\./launch\.sh (\w+)", prose):
    script = (ROOT / "experiments").rglob("*.py")
    assert any(f'"""`launch.sh {command}' in p.read_text()[:80] for p in script), command


def test_there_are_three_notebooks():
  names = {path.stem for path in NOTEBOOKS}
  assert names == {"from_cross_entropy_to_gans", "reading_a_report", "your_own_model_and_data"}
