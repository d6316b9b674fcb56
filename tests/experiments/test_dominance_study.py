"""The studies `dominance`, `matched_gain` and `verdicts` on synthetic runs: what they count, pair and draw."""

import numpy as np
import pytest

from experiments.studies.dominance import study as dominance
from experiments.studies.matched_gain import study as matched_gain
from experiments.studies.verdicts import study as verdicts
from experiments.sweep import CONFIGS
from gan_jax import losses, settings
from gan_jax.core.errors import BadInput
from gan_jax.report import records
from gan_jax.runner import grouping, study
from gan_jax.runs.directory import Table
from gan_jax.settings import sweeps
from tests.support.pages import undrawn

STEPS = np.arange(20) * 10


def run(seed, distance, auc=0.7, status="done", **fields):
  """A run whose Frechet distance goes from 500 to `distance`."""
  config = settings.resolve(fields, {"seed": seed})
  columns = {"disc/auc": np.full(20, auc), "gen/update_ratio": np.full(20, 1e-3)}
  quality = Table(np.array([0, 100, 200]), {"frechet/distance": np.array([500.0, distance, distance])})
  return records.Run(f"run{seed}", "group-0", 0, config, status, 200, Table(STEPS, columns), quality)


def variant(distances, statuses=(), **fields):
  found = [run(seed, d, **fields) for seed, d in enumerate(distances)]
  found = [r._replace(status=s) for r, s in zip(found, statuses or ["done"] * len(found), strict=True)]
  return records.Variant(fields["loss"], found[0].config, tuple(found))


def study_of(**panels):
  found = tuple(records.Panel(title, tuple(variants)) for title, variants in panels.items())
  return records.Study(None, {}, {}, tuple(r for p in found for v in p.variants for r in v.runs), found)


GOOD, BAD = [50.0, 60.0, 70.0], [400.0, 410.0, 420.0]


def plane():
  level = {"loss": "hinge", "model_options": {"generator_width": 8, "discriminator_width": 8}}
  rate = settings.defaults()["generator_rate"]
  return study_of(
    rates=[
      variant(GOOD, **level),
      variant([50.0, 60.0, 400.0], **level, discriminator_rate=3 * rate),
      variant(BAD, **level, discriminator_rate=10 * rate),
      variant(GOOD, **level, discriminator_rate=30 * rate),
    ],
    steps=[variant(GOOD, ["done", "diverged", "diverged"], **level, n_critic=5)],
    widths=[variant(GOOD, **(level | {"model_options.discriminator_width": 16}))],
  )


def test_a_loss_stands_what_it_learns_at_and_at_all_lesser_strengths():
  found = dominance.cells(plane())
  assert [(c.axis, c.strength) for c in found] == [
    ("", 1), ("discriminator steps", 5), ("learning rate", 3), ("learning rate", 10), ("learning rate", 30), ("width", 2)
  ]  # fmt: skip
  assert dominance.said(found, "hinge", "learning rate") == "3 (2/3; at 10: 0/3)"  # at 30 it learns by luck
  assert dominance.said(found, "hinge", "discriminator steps") == "1 (3/3; at 5: 1/3)"  # what diverged has not learned
  assert dominance.said(found, "hinge", "width") == "2 (3/3; all)"
  beaten = [c._replace(variant=variant(BAD, loss="hinge")) for c in found]
  assert dominance.said(beaten, "hinge", "width") == "none (at 1: 0/3)"


def test_the_change_is_paired_with_level_players():
  found = dominance.cells(plane())
  assert dominance.change(found, "hinge", "learning rate") == "1.00 [1.00, 1.00]"
  cells = [c for c in found if c.strength != 30]
  worse = np.exp(np.mean(np.log([400 / 50, 410 / 60, 420 / 70])))
  assert dominance.change(cells, "hinge", "learning rate").startswith(f"{worse:.1f}")


def test_the_phase_diagram_has_a_column_for_each_strength():
  found = dominance.cells(plane())
  drawn = dominance.figure(found, "test")
  for text in ("level", "steps x5", "rate x30", "width x2", "59.4 (3/3)", "hinge"):
    assert text in drawn, text
  assert "untrained 500" in dominance.caption(found)
  assert "| `hinge` |" in dominance.table(found)


def test_players_that_differ_in_two_respects_have_no_place():
  with pytest.raises(BadInput, match=r"differ in one of .* got \{'discriminator steps': 2.0, 'width': 4.0\}"):
    dominance.strength(
      settings.resolve({"n_critic": 2, "model_options": {"generator_width": 8, "discriminator_width": 32}})
    )


def test_the_sweep_of_dominance_is_level_but_for_one_respect():
  configs = sweeps.load(str(CONFIGS / "dominance.py"))[1]
  places = {(c["optimizer"], c["loss"], *dominance.strength(c)) for c in configs}
  assert len(places) == 7 * (1 + 3 + 3 + 3) + 7 * 4
  assert len(configs) == 5 * len(places)
  assert len(grouping.group(configs)) == 8


def test_gains_are_those_of_matched_gain_and_what_has_none_to_match_is_not_run_twice():
  swept = {config["loss"] for config in sweeps.load(str(CONFIGS / "matched_gain.py"))[1]}
  for name in (name for name in swept if not name.startswith("matched_gain")):
    expected = float(losses.get(f"matched_gain({name})").generator(np.zeros(1), np.ones(1))[0])
    raw = float(losses.get(name).generator(np.zeros(1), np.ones(1))[0])
    assert matched_gain.gain(name) * raw == pytest.approx(expected, rel=1e-6)
    assert (f"matched_gain({name})" in swept) == (matched_gain.gain(name) != 1)


def test_what_the_gain_explains():
  base = variant([10.0, 20.0, 40.0], loss="non_saturating")
  raw = variant([40.1, 80.0, 160.0], loss="hinge")  # four times
  matched = variant([20.0, 40.1, 80.0], loss="matched_gain(hinge)")  # twice: half of the logarithm
  level = variant([10.0, 25.0, 30.0], loss="minimax")
  found = matched_gain.rows(study_of(Adam=[base, raw, matched, level]))
  assert [row.loss for row in found] == ["non_saturating", "hinge", "minimax"]
  hinge = found[1]
  assert hinge.gain == pytest.approx(0.5)
  assert hinge.versus.mean == pytest.approx(4, rel=1e-2)
  assert (hinge.versus.family, found[2].versus.family) == (2, 2)  # both losses of the game, corrected together
  assert hinge.change.mean == pytest.approx(0.5, rel=1e-2)
  assert matched_gain.explained(hinge) == pytest.approx(0.5, abs=5e-3)
  assert matched_gain.explained(found[0]) is None
  assert matched_gain.explained(found[2]) is None
  heading, lines = matched_gain.table(found)
  assert all(len(line) == len(heading) for line in lines)
  assert lines[1][-1] == "50%"
  assert lines[2][4] == "the same"
  assert matched_gain.figure(found).startswith(b"\x89PNG")


def test_a_matched_gain_is_a_learning_rate_for_gradient_descent(tmp_path):
  """To the last bit, for the gain of one half is a power of two."""
  (tmp_path / "c.py").write_text("""
def get_config():
  return {"dataset": "ring", "latent_size": 2, "model_options": {"generator_width": 8, "discriminator_width": 8},
          "batch_size": 8,
          "optimizer": "sgd", "generator_rate": 0.02, "discriminator_rate": 0.02, "steps": 20, "probe_every": 10,
          "evaluation_samples": 100}

def sweep(s):
  return [{"loss": "matched_gain(hinge)"}, {"loss": "hinge", "generator_rate": 0.01}, {"loss": "hinge"}]
""")
  with undrawn():
    study.run(str(tmp_path / "c.py"), [], tmp_path / "out", single=False, say=lambda line: None)
  matched, half, raw = records.read(tmp_path / "out").runs
  logits = [r.rows.columns["logits/fake_mean"] for r in (matched, half, raw)]
  np.testing.assert_array_equal(logits[0], logits[1])
  assert logits[0][-1] != logits[2][-1]


def test_the_confusion_matrix_counts():
  found = [verdicts.Judged("healthy", "healthy", "a", s, "fine") for s in range(3)]
  found.append(verdicts.Judged("mode_collapse", "healthy", "b", 7, "AUC 0.7"))
  found.append(verdicts.Judged("stalled", "stalled", "c", 0, ""))
  counts = verdicts.counts(found)
  assert counts.sum() == 5
  assert counts[0, 0] == 3
  assert counts[verdicts.BUILDABLE.index("mode_collapse"), 0] == 1
  # Wilson 1927: (k + z^2/2 +- z sqrt(k (n - k) / n + z^2/4)) / (n + z^2), here of k = 4, n = 5
  z = 1.959964
  low, high = ((4 + z * z / 2 + sign * z * np.sqrt(4 / 5 + z * z / 4)) / (5 + z * z) for sign in (-1, 1))
  assert verdicts.summary(found) == f"4 of 5 runs are judged as they were built: 80.0% [{low:.1%}, {high:.1%}]."
  assert "built `mode_collapse`, judged `healthy` (b, seed 7): AUC 0.7" in verdicts.misses(found)
  assert verdicts.misses(found[:3]) == ""
  assert "unknown" not in verdicts.matrix(found)
  assert verdicts.figure(found).startswith(b"\x89PNG")


def test_real_verdicts_are_of_the_panel_s_state():
  runs = study_of(
    healthy=[variant([5.0, 6.0], loss="hinge")],
    discriminator_dominates=[variant([460.0, 465.0], loss="minimax", auc=1.0)],
  )
  assert [(r.built, r.verdict) for r in verdicts.judge(runs)] == [
    ("healthy", "healthy"), ("healthy", "healthy"),
    ("discriminator_dominates", "discriminator_dominates"), ("discriminator_dominates", "discriminator_dominates"),
  ]  # fmt: skip
  cut = study_of(healthy=[variant([5.0], ["unfinished"], loss="hinge")])
  with pytest.raises(BadInput, match="expected finished runs, got run0, which is unfinished"):
    verdicts.judge(cut)


def test_five_runs_at_least_are_built_for_every_state_and_a_strange_one_is_refused(tmp_path):
  built = [config["panel"] for config in sweeps.load(str(verdicts.CONFIG))[1]]
  assert set(built) == set(verdicts.BUILDABLE)
  assert all(built.count(state) >= 5 for state in verdicts.BUILDABLE)
  (tmp_path / "c.py").write_text("def get_config():\n  return {'panel': 'stale'}\n")
  with pytest.raises(BadInput, match=r"unknown state .* 'stale'; did you mean 'stalled'\?"):
    verdicts.main(["--config", str(tmp_path / "c.py"), "--out", str(tmp_path / "out")])
  assert not (tmp_path / "out").exists()
