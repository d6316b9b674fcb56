"""The verdict: synthetic runs built to be in each state, over time and at the end; borders, holes, few rows, thresholds."""

import numpy as np
import pytest

from gan_jax import game, settings, verdict
from gan_jax.core.errors import BadInput
from gan_jax.runner import grouping
from gan_jax.runs.directory import Table
from gan_jax.verdict.signs import decades, turning_points

ROWS, EVERY = 100, 50
STEPS = np.arange(ROWS) * EVERY
TIME = np.linspace(0, 1, ROWS)


def run(auc=0.7, loss=0.0, critic=0.0, generator=0.0, pace=1e-3, noise=0.03, logits=1.0, **more):
  """Rows of a run: AUC, each factor's decades since the start, the generator's pace; scalars or [ROWS]."""
  rng = np.random.default_rng(0)
  factors = {"loss": loss, "critic": critic, "generator": generator}
  columns = {f"factor/{name}": 10.0 ** (x + np.zeros(ROWS)) for name, x in factors.items()}
  columns["gen/grad_norm"] = np.prod(list(columns.values()), axis=0)
  columns["disc/auc"] = np.clip(auc + rng.normal(0, noise, ROWS), 0, 1)
  columns["gen/update_ratio"] = pace + np.zeros(ROWS)
  columns["logits/real_mean"], columns["logits/fake_mean"] = logits + np.zeros(ROWS), -logits + np.zeros(ROWS)
  return Table(STEPS, {name: np.asarray(x, np.float32) for name, x in (columns | more).items()})


def images(distance, classes=10.0):
  """Eleven evaluations of an image run of ten classes."""
  columns = {"frechet/distance": np.asarray(distance) + np.zeros(11), "classes/entropy": np.log(classes) + np.zeros(11)}
  columns |= {f"classes/share_{k}": np.full(11, 0.1) for k in range(10)}
  return Table(np.arange(11) * 500, {name: np.asarray(x, np.float32) for name, x in columns.items()})


def mixture(share, effective=1.0):
  """Eleven evaluations of a mixture: share of high quality, and effective modes as a share of all."""
  with np.errstate(divide="ignore"):
    columns = {"modes/high_quality": share + np.zeros(11), "modes/reverse_kl": -np.log(effective + np.zeros(11))}
  return Table(np.arange(11) * 500, {name: np.asarray(x, np.float32) for name, x in columns.items()})


def more(table, columns):
  """The table with further columns."""
  return Table(
    table.steps, table.columns | {name: np.asarray(x + np.zeros(11), np.float32) for name, x in columns.items()}
  )


def of_the_data(divergence, present, due):
  """What is measured of classes relative to the data's own: divergence, and how many are there of how many."""
  return {"classes/divergence": divergence, "classes/present": present, "classes/in_data": due}


def on_a_line(distance, variance=1.0):
  return more(Table(np.arange(11) * 500, {}), {"line/wasserstein": np.asarray(distance), "line/variance": variance})


LEARNT = np.geomspace(500, 5, 11)
GROWN = np.linspace(0, 0.9, 11)
NEVER = np.full(11, 480.0)
NO_CLASSES = {"classes/entropy": np.nan, "classes/present": np.nan}
HALF = np.where(np.arange(11) < 1, 500.0, 250.0)
NOTHING = Table(np.zeros(0, np.int64), {})
FALL = -4.0 * np.clip(3 * TIME, 0, 1)
PACE = 1e-3 * 10 ** (2 * FALL)
SWING = 0.5 + 0.4 * np.sin(2 * np.pi * 6 * TIME)

CASES = {
  "healthy image run": (run(), images(LEARNT), "healthy", ""),
  "healthy mixture": (run(), mixture(GROWN), "healthy", ""),
  "nothing but an AUC": (Table(STEPS, {"disc/auc": np.full(ROWS, 0.7)}), NOTHING, "unknown", ""),
  "a critic that ranks well, and a living gradient": (run(auc=0.99, noise=0.003, logits=40), images(LEARNT), "healthy", ""),
  "the same at its end": (run(auc=0.99, noise=0.003), images([1175, 100, *[17] * 9]), "healthy", ""),
  "good samples, AUC at one half": (run(auc=0.5), images(LEARNT), "healthy", ""),
  "good samples of a game that circles": (run(auc=SWING), images(LEARNT), "healthy", ""),
  "loss died": (run(auc=1.0, loss=FALL, critic=0.5), images(NEVER), "discriminator_dominates", "loss"),
  "critic died": (run(auc=1.0, critic=FALL), images(NEVER), "discriminator_dominates", "critic"),
  "generator died": (run(auc=1.0, generator=FALL), mixture(0.0), "discriminator_dominates", "generator"),
  "dead, so it cannot move": (run(auc=1.0, loss=2 * FALL, pace=PACE), images(NEVER), "discriminator_dominates", "loss"),
  "held, and then also dead": (run(auc=1.0, loss=2 * FALL, pace=1e-9), images(NEVER), "stalled", ""),
  "beaten by one class": (run(auc=0.02), images(np.where(np.arange(11) < 1, 500.0, 400.0), 1.0), "generator_dominates", ""),
  "ahead, and nothing is learnt": (run(auc=0.96, noise=0.01), mixture(0.01), "discriminator_dominates", "none"),
  "ahead of a generator that learns": (run(auc=0.96, noise=0.01), mixture(GROWN / 4), "healthy", ""),
  "gradient alive": (run(auc=1.0, critic=0.5), images(HALF), "discriminator_dominates", "none"),
  "gradient alive, nothing learnt": (run(auc=1.0), images(np.linspace(500, 620, 11)), "discriminator_dominates", "none"),
  "data out of reach": (run(auc=1.0, critic=0.5), images(np.linspace(151_730, 151_600, 11)), "stalled", ""),
  "one image of each class": (run(), more(images(LEARNT), {"samples/spread": 0.02}), "mode_collapse", ""),
  "ten images": (run(auc=0.99, noise=0.003), more(images(LEARNT), {"samples/duplicates": 0.9}), "mode_collapse", ""),
  "noise is as narrow": (run(), more(images(NEVER), {"samples/spread": 0.02, "samples/duplicates": 0.9}), "stalled", ""),
  "eight spots": (run(), more(mixture(GROWN), {"samples/spread": 0.05}), "mode_collapse", ""),
  "ones and sevens": (run(), more(images(LEARNT, 2), of_the_data(0.0, 2, 2)), "healthy", ""),
  "ones of ones and sevens": (run(), more(images(LEARNT, 1), of_the_data(np.log(2), 1, 2)), "mode_collapse", ""),
  "nine zeros of ten": (run(), more(images(LEARNT, 1.6), of_the_data(0.0, 10, 10)), "healthy", ""),
  "zeros alone": (run(), more(images(LEARNT, 1), of_the_data(-np.log(0.916), 1, 10)), "mode_collapse", ""),
  "one class is all there is": (run(), more(images(LEARNT), NO_CLASSES), "healthy", ""),
  "learns a line": (run(), on_a_line(np.geomspace(2, 0.1, 11)), "healthy", ""),
  "does not learn a line": (run(), on_a_line(2.0), "stalled", ""),
  "one point of a line": (run(), on_a_line([2, *[1.0] * 10], 0.001), "mode_collapse", ""),
  "weak discriminator": (run(auc=0.05), images(np.linspace(500, 600, 11)), "generator_dominates", ""),
  "weak discriminator, no quality": (run(auc=0.05), NOTHING, "generator_dominates", ""),
  "AUC swings": (run(auc=SWING), mixture(0.0), "oscillating", ""),
  "quality swings": (run(), mixture(0.5 + 0.4 * np.array([1, -1] * 5 + [1])), "oscillating", ""),
  "one mode of eight": (run(auc=0.9), mixture(0.8, np.linspace(0.9, 0.13, 11)), "mode_collapse", ""),
  "one class of ten": (run(auc=0.7), images(np.full(11, 100.0) + 300 * (np.arange(11) < 2), 1.0), "mode_collapse", ""),
  "one perfect digit": (run(), images(np.where(np.arange(11) < 1, 500.0, 400.0), 1.0), "mode_collapse", ""),
  "one class, and seen through": (run(auc=1.0), images(np.where(np.arange(11) < 1, 500.0, 250.0), 1.0), "mode_collapse", ""),
  "learnt and lost": (run(auc=1.0), images([500, 100, 50, 40, *[450.0] * 7], [10.0] * 4 + [1.0] * 7), "mode_collapse", ""),
  "one class, no gradient": (run(auc=1.0, loss=FALL), images(LEARNT * 20, 1.0), "discriminator_dominates", "loss"),
  "hops from mode to mode": (run(auc=SWING), mixture(0.8, 0.13), "mode_collapse", ""),
  "logits without end": (run(logits=10.0 ** (10 * TIME)), images(NEVER), "diverged", ""),
  "frozen generator": (run(auc=1.0, pace=1e-8), images(NEVER), "stalled", ""),
  "no gradient from the start": (run(loss=-np.inf, pace=0.0), images(NEVER), "stalled", ""),
  "stray samples on more and more modes": (run(), mixture(0.002, np.linspace(0.1, 0.6, 11)), "stalled", ""),
  "learns nothing, nobody wins": (run(), images(NEVER), "stalled", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_runs_built_to_end_in_each_state(name):
  rows, quality, state, factor = CASES[name]
  found = verdict.judge(rows, quality)
  assert (found.final, found.factor) == (state, factor), found.evidence
  assert len(found.states) == ROWS
  assert set(found.states) <= set(verdict.STATES)
  assert found.evidence
  assert "nan" not in found.evidence


def test_every_state_is_built_by_some_case():
  assert {case[2] for case in CASES.values()} == set(verdict.STATES)


def test_evidence_of_a_collapse_does_not_call_one_class_of_two_none():
  found = verdict.judge(run(), more(images(LEARNT, 1), of_the_data(np.log(2), 1, 2)))
  assert "0% of the variety of the data's modes or classes, where a single one counts as 0%" in found.evidence
  assert "effective number" not in found.evidence


def test_evidence_names_the_step_and_takes_the_fall_apart():
  auc = np.where(STEPS < 1240, 0.7, 1.0)
  loss = np.where(STEPS < 1240, 0, -3.9)
  rows = run(auc=auc, noise=0, loss=loss, critic=loss / 3.9 * 0.2, generator=-loss / 3.9 * 0.1)
  found = verdict.judge(rows, images(NEVER))
  # The median of five follows a jump two rows late: 1,250 is the first row of the new level.
  assert found.evidence.startswith("AUC above 0.98 since step 1,350; generator gradient −4.0 decades since its start (")
  assert "(loss −3.9, discriminator −0.2, generator +0.1)" in found.evidence
  columns = found.columns
  assert columns["auc/steps_since_level"][-1] == STEPS[-1] - 1300  # the last row that was below
  assert columns["decades/loss"][-1] == pytest.approx(-3.9, abs=1e-6)
  assert columns["share/loss"][-1] == pytest.approx(3.9 / 4.0, abs=1e-6)
  parts = sum(columns[f"decades/{name}"] for name in verdict.FACTORS)
  np.testing.assert_allclose(parts, columns["decades/total"], atol=1e-6)


def test_a_run_can_be_dominated_and_recover():
  early = (STEPS >= 500) & (STEPS < 2000)
  found = verdict.judge(run(auc=np.where(early, 1.0, 0.7), loss=np.where(early, -4.0, 0)), images(LEARNT))
  assert found.final == "healthy"
  assert found.states[20] == found.states[35] == "discriminator_dominates"
  assert (found.states[5], found.states[60]) == ("unknown", "healthy")  # before and after quality was measured twice


def test_a_row_is_not_called_healthy_while_the_samples_get_worse():
  """A verdict of 'stalled' beside a strip of healthy rows would contradict itself."""
  found = verdict.judge(run(), images(np.linspace(480, 700, 11)))
  assert found.final == "stalled"
  assert "healthy" not in found.states


def test_a_state_at_a_row_knows_nothing_of_later_rows():
  rows, quality, *_ = CASES["loss died"]
  fixed = {"long_rows": 30, "long_share": 0.01}  # otherwise a share of all rows
  whole = verdict.judge(rows, quality, thresholds=fixed)
  cut = Table(STEPS[:60], {name: x[:60] for name, x in rows.columns.items()})
  early = Table(quality.steps[:6], {name: x[:6] for name, x in quality.columns.items()})
  assert verdict.judge(cut, early, thresholds=fixed).states == whole.states[:60]


def test_divergence_is_dated_and_overrides():
  rows = run()
  rows.columns["disc/auc"][60:] = np.nan
  found = verdict.judge(rows, images(LEARNT), diverged=2990)
  assert found.states[59] == "healthy"
  assert found.states[60:] == ("diverged",) * 40
  assert found.final == "diverged"
  assert found.evidence == "an update was not finite at step 2,990"
  logits = np.ones(ROWS)
  logits[70:] = np.nan
  found = verdict.judge(run(logits=logits), images(LEARNT))
  assert found.final == "diverged"
  assert found.evidence == "mean logits that are not finite, beyond 1e+06 first at step 3,500"


def test_an_oscillation_that_dies_away_has_settled():
  fading = 0.7 + 0.3 * np.exp(-8 * TIME) * np.sin(2 * np.pi * 12 * TIME)
  found = verdict.judge(run(auc=fading, noise=0.02), mixture(0.1 + GROWN / 10))
  assert found.final != "oscillating"


def test_an_oscillation_ends_when_its_turns_are_long_past():
  fast = 0.5 + 0.4 * np.sin(2 * np.pi * 15 * TIME)
  found = verdict.judge(run(auc=np.where(TIME < 0.7, fast, 0.7)), mixture(0.0))
  assert found.states[72] == "oscillating"
  assert found.states[90] != "oscillating"  # its window still has four turns, none in the later half


def test_few_turns_must_be_wide():
  rows = run(auc=0.75 + 0.16 * np.sin(2 * np.pi * 4.5 * TIME), noise=0)  # three turns of 0.32 in a third of the run
  judge = lambda **thresholds: verdict.judge(rows, mixture(0.0), thresholds=thresholds).final  # noqa: E731
  assert (judge(), judge(path=3)) == ("stalled", "oscillating")


@pytest.mark.parametrize("batch", [32, 64, 256])
def test_noise_of_a_batch_is_no_oscillation(batch):
  deviation = np.sqrt((2 * batch + 1) / (12 * batch * batch))  # of an AUC at one half, Mann and Whitney 1947
  found = verdict.judge(run(auc=0.7, noise=deviation), mixture(GROWN / 4))
  assert "oscillating" not in found.states


def test_a_zigzag_finds_the_turns_and_not_the_noise():
  time = np.linspace(0, 1, 401)
  turns = turning_points(np.sin(2 * np.pi * 3 * time) + 0.05 * np.sin(700 * time), 0.5)
  np.testing.assert_allclose(time[turns][-6:], (np.arange(6) * 2 + 1) / 12, atol=0.02)
  assert turning_points(np.array([np.nan, 1.0, np.nan]), 0.5).size == 0


@pytest.mark.parametrize(("name", "below", "above", "state"), [
  ("auc_dominated", 0.97, 0.99, "discriminator_dominates"),
  ("swing", 0.5, 0.05, "oscillating"),
])  # fmt: skip
def test_borders(name, below, above, state):
  """A run on either side of a threshold; the threshold moved to either side of a run."""
  if name == "swing":
    rows = run(auc=0.5 + 0.15 * np.sin(2 * np.pi * 6 * TIME), noise=0)  # from 0.35 to 0.65
    judge = lambda x: verdict.judge(rows, mixture(0.0), thresholds={name: x}).final  # noqa: E731
    assert (judge(0.31), judge(0.28)) == ("generator_dominates", state)
    return
  judge = lambda x, **limits: verdict.judge(run(auc=x, loss=FALL, noise=0), images(LEARNT), thresholds=limits).final  # noqa: E731
  assert (judge(below), judge(above)) == ("healthy", state)
  assert judge(above, auc_dominated=1.0) == "healthy"


def test_a_gradient_is_lost_from_two_decades():
  def factor(fall, **thresholds):
    loss = np.where(STEPS > 0, fall, 0)
    return verdict.judge(run(auc=1.0, noise=0, loss=loss), images(HALF), thresholds=thresholds).factor

  assert (factor(-1.95), factor(-2.05), factor(-2.05, vanished=3)) == ("none", "loss", "none")


def test_a_head_start_is_dominance_and_no_stall():
  early = STEPS < 2000
  rows = run(auc=np.where(early, 1.0, 0.7), pace=np.where(early, 0.0, 1e-3))
  rows.columns["count/generator_updates"] = np.maximum(STEPS - 2000, 0).astype(np.float32)
  found = verdict.judge(rows, images([*[500] * 5, *np.geomspace(400, 5, 6)]))
  assert found.states[20] == "discriminator_dominates"
  assert "stalled" not in found.states
  assert found.final == "healthy"


def test_holes_and_few_rows():
  rng = np.random.default_rng(1)
  rows, quality, state, factor = CASES["loss died"]
  gone = rng.random(ROWS) < 0.3
  gone[0] = False  # changes are measured from the first row
  holes = {name: np.where(gone, np.nan, x) for name, x in rows.columns.items() if not name.startswith("logits")}
  found = verdict.judge(Table(STEPS, holes), quality)
  assert (found.final, found.factor) == (state, factor)
  for count in range(8):
    dead = run(auc=1.0, noise=0, loss=np.where(STEPS > 0, -4, 0))
    few = Table(STEPS[:count], {name: x[:count] for name, x in dead.columns.items()})
    found = verdict.judge(few, NOTHING)
    assert len(found.states) == len(found.columns["decades/total"]) == count
    assert found.final == ("discriminator_dominates" if count >= 3 else "unknown")
  assert verdict.judge(Table(STEPS[:1], {}), NOTHING, diverged=0).final == "diverged"
  assert verdict.judge(NOTHING, NOTHING).evidence == "0 rows, but a verdict needs 3"
  assert verdict.judge(Table(STEPS, {}), NOTHING).final == "unknown"
  assert verdict.judge(NOTHING, images(NEVER)).final == "unknown"


def test_zeros_count_as_the_smallest_float():
  columns = {name: np.array([1.0, 0.0, 0.0], np.float32) for name in ("gen/grad_norm", "factor/loss")}
  total, factors = decades(Table(np.arange(3), columns), 1)
  assert total[-1] == factors["loss"][-1] == pytest.approx(-37.93, abs=0.01)
  assert np.isnan(factors["critic"]).all()
  late = {name: np.array([0.0, 1.0, 0.1], np.float32) for name in ("gen/grad_norm", "factor/loss")}
  np.testing.assert_allclose(decades(Table(np.arange(3), late), 1)[0], [np.nan, 0, -1], atol=1e-6)


def test_thresholds_are_checked_where_configs_are():
  with pytest.raises(BadInput, match=r"unknown threshold of verdict 'auc_dominate'; did you mean 'auc_dominated'\?"):
    verdict.check({"auc_dominate": 0.9})
  with pytest.raises(BadInput, match=r"'auc_dominated' of verdict expected 0.5 to 1, got 1.5"):
    verdict.judge(run(), NOTHING, thresholds={"auc_dominated": 1.5})
  config = game.complete(settings.resolve({"verdict": {"swing": 0.4}}))
  grouping.check_member(config)
  for wrong in ({"swing": float("nan")}, {"swung": 1}):
    with pytest.raises(BadInput, match="of verdict"):
      grouping.check_member(settings.resolve({"verdict": wrong}) if "swung" in wrong else config | {"verdict": wrong})
  for name, threshold in verdict.THRESHOLDS.items():
    assert threshold.low <= threshold.default <= threshold.high, name


@pytest.mark.parametrize("rows", [3, 6, 12, 100])
@pytest.mark.parametrize("auc", [0.02, 0.5, 0.7, 0.9, 0.96, 0.99, 1.0])
@pytest.mark.parametrize(
  "distance", [np.full(11, 151_730.0), np.linspace(151_730, 145_000, 11), np.linspace(500, 900, 11)]
)
def test_where_nothing_was_learnt_nothing_is_healthy(rows, auc, distance):
  """However short the run, and whoever is ahead."""
  table = run(auc=auc, noise=0.001)
  few = Table(STEPS[:rows], {name: x[:rows] for name, x in table.columns.items()})
  quality = images(distance)
  steps = np.linspace(0, STEPS[rows - 1], 11).astype(int)
  for evaluations in (2, 5, 11):
    at = np.linspace(0, 10, evaluations).astype(int)
    found = verdict.judge(few, Table(steps[at], {name: x[at] for name, x in quality.columns.items()}))
    assert found.final in ("stalled", "generator_dominates", "discriminator_dominates"), found
    if found.final == "stalled":
      assert "nothing was learnt" in found.evidence
    assert "by more than -" not in found.evidence


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.99])
@pytest.mark.parametrize("quality", [
  NOTHING, Table(np.zeros(1, int), {"frechet/distance": np.array([500.0])}), images(np.nan), mixture(np.nan),
  images([500, *[np.nan] * 10]),
])  # fmt: skip
def test_what_was_not_measured_is_not_healthy(auc, quality):
  found = verdict.judge(run(auc=auc), quality)
  assert found.final == "unknown"
  assert "no two measurements of quality" in found.evidence
  assert "nan" not in found.evidence


@pytest.mark.parametrize(("name", "column", "low", "high"), [
  ("narrow", "samples/spread", 0.29, 0.31), ("copies", "samples/duplicates", 0.31, 0.29),
])  # fmt: skip
def test_borders_of_variety(name, column, low, high):
  judge = lambda x, **limits: verdict.judge(run(), more(images(LEARNT), {column: x}), thresholds=limits).final  # noqa: E731
  assert (judge(low), judge(high)) == ("mode_collapse", "healthy")
  assert judge(low, **{name: 0.0 if name == "narrow" else 1.0}) == "healthy"


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.99])
@pytest.mark.parametrize("lost", [1, 8])
def test_a_last_distance_that_is_not_finite_is_said_to_be_what_is_missing(auc, lost):
  found = verdict.judge(run(auc=auc), images([*LEARNT[:-lost], *[np.nan] * lost]))
  assert found.final == "unknown"
  assert found.evidence.startswith("no sign of a failure, but the Frechet distance of step 5,000 is not finite")


def test_samples_that_come_nearer_in_the_plane_are_not_stalled_before_one_is_of_high_quality():
  """As measured of a ring GAN in its first 200 steps: distance 1.01, 1.71, 0.50, 0.03, 0.04. At one distance it stalls."""
  rng = np.random.default_rng(0)
  nearer = np.geomspace(1, 0.03, 11)
  arrived = np.r_[1.0, 0.5 * rng.lognormal(0, 0.2, 10)]  # up and down by chance ever since
  same = rng.lognormal(0, 0.02, 11)
  found = {
    name: verdict.judge(run(), more(mixture(0.0), {"points/frechet": x}))
    for name, x in (("nearer", nearer), ("arrived", arrived), ("same", same))
  }
  assert {name: one.final for name, one in found.items()} == {
    "nearer": "healthy",
    "arrived": "stalled",
    "same": "stalled",
  }
  assert "distance from the data in the plane 0.03 at step 5,000, 1 at first" in found["nearer"].evidence
  good = verdict.judge(run(), more(mixture(GROWN), {"points/frechet": nearer}))  # then the samples themselves say it
  assert (good.final, "in the plane" in good.evidence) == ("healthy", False)
