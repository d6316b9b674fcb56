"""The report: its statistics against closed forms and scipy, its page against hostile names, holes and divergence."""

import base64
import html.parser
import io
import itertools
import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from experiments.studies.coverage import study as coverage
from gan_jax import runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.report import (
  build,
  canvas,
  charts,
  curves,
  factors,
  figures,
  film,
  frames,
  lens_map,
  lines,
  phase,
  pictures,
  records,
  search,
  selection,
  statistics,
  summary,
  terminal_table,
  timeline,
  verdicts,
  wording,
)  # fmt: skip
from gan_jax.report.comparison import QUALITIES, compare
from gan_jax.settings import sweeps
from tests.conftest import ROOT

LOSSES = (
  "minimax",
  "non_saturating",
  "least_squares",
  "wasserstein",
  "hinge",
  "relativistic",
  "relativistic_average",
)
LENS = ("minimax", "non_saturating", "hinge", "wasserstein")  # the last two have one gradient
EXPLANATIONS = {
  "disc/loss": "discriminator loss, mean over the batch",
  "gen/loss": "generator loss, mean over the batch",
  "disc/auc": "chance that a real example scores above a generated one",
  "disc/accuracy_real": "share of real examples with a logit above 0",
  "disc/accuracy_fake": "share of generated examples with a logit below 0",
  "gen/grad_norm": "norm of the generator's gradient; exactly the product of the three factors",
  "factor/loss": "the loss's factor",
  "factor/critic": "the critic's factor",
  "factor/generator": "the generator's factor",
  "frechet/distance": "Frechet distance in the features of a small classifier",
  "classes/present": "classes with at least 1 % of the samples",
  "modes/covered": "modes with at least 20 samples within three deviations",
  "modes/high_quality": "share of samples within three deviations of a mode",
  "modes/reverse_kl": "KL of the generated modes from the true ones, nats",
}


def configs():
  """Seven losses x five seeds; two losses x five seeds with a head start; two losses x three seeds in the plane."""
  common = {"steps": 6000, "probe_every": 50}
  yield [settings.resolve(common, {"loss": loss, "seed": seed}) for loss in LOSSES for seed in range(5)]
  strong = {"panel": "a discriminator with a head start", "head_start": 2000, "lens": "+".join(LENS)}
  yield [settings.resolve(common, strong, {"loss": x, "seed": s}) for x in LOSSES[:2] for s in range(5)]
  ring = {"panel": "eight modes on a ring", "dataset": "ring", "batch_size": 256}
  yield [settings.resolve(common, ring, {"loss": x, "seed": s}) for x in LOSSES[:2] for s in range(3)]


def write_study(path, groups=None, until=6000, diverged=(("wasserstein", 3),), images=None, name="compare losses"):
  """A study as a finished (or interrupted) sweep leaves it, with plausible numbers. Returns its path."""
  rng = np.random.default_rng(0)
  groups = list(configs() if groups is None else groups)
  manifest = {
    "format": 1,
    "study": name,
    "description": "Seven losses, five seeds each, on the 8x8 digits: which one learns, and where does it stop?",
    "created": "2026-01-02T03:04:05+00:00",
    "commit": "0123456789abcdef",
    "versions": {"jax": "0.10.2", "numpy": "2.4.6", "python": "3.11.9"},
    "layout": {"backend": "cpu", "device_kind": "cpu", "devices": 2, "cores": 2},
    "metrics": EXPLANATIONS,
    "groups": [
      {"name": f"group-{g}", "members": [{"id": settings.identity(c), "config": c} for c in group]}
      for g, group in enumerate(groups)
    ],
  }
  runs.write_json(path / "manifest.json", manifest)
  status = {}
  for g, group in enumerate(groups):
    gone = {settings.identity(c): 2350 for c in group if (c["loss"], c["seed"]) in diverged and not c["panel"]}
    done = until >= group[0]["steps"]
    notes = {"classifier_accuracy": 0.97} if group[0]["dataset"] == "digits" else {}
    status[f"group-{g}"] = {"step": until, "complete": done, "seconds": 41.5, "diverged": gone, "notes": notes}
    if until:
      _write_group(path, f"group-{g}", group, until, gone, rng, images)
  runs.write_json(path / "status.json", {"groups": status})
  return path


def _write_group(path, name, group, until, gone, rng, images):
  members = len(group)
  steps = np.arange(0, until, 50)
  wobble = np.cumsum(rng.normal(0, 0.04, (len(steps), members)), 0)
  fate = np.array([[3.9 if c["loss"] == "minimax" and c["head_start"] else 0.5 for c in group]])
  time = (steps / max(c["steps"] for c in group))[:, None]
  factors = {
    "factor/loss": 10 ** (-fate * np.minimum(1, 3 * time) + wobble),
    "factor/critic": 10 ** (0.4 * time - wobble * 0.3),
    "factor/generator": 3 * 10 ** (0.2 * wobble),
  }
  auc = np.clip(0.5 + 0.45 * (1 - np.exp(-4 * time)) * np.minimum(fate, 1.05) + wobble * 0.1, 0, 1)
  columns = {
    "disc/loss": 1.4 - auc,
    "gen/loss": 0.7 + auc,
    "disc/auc": auc,
    "disc/accuracy_real": np.clip(auc + 0.05, 0, 1),
    "disc/accuracy_fake": np.clip(auc - 0.05 + wobble * 0.1, 0, 1),
    **factors,
    "gen/grad_norm": np.prod(list(factors.values()), axis=0),
    "extra/unheard_of": np.ones_like(auc),
  }
  if group[0]["lens"] != "none":
    for loss in LENS:
      fall = factors["factor/loss"] if loss == "minimax" else 1.5 + 0 * auc
      columns[f"lens/norm/{loss}"] = fall * factors["factor/critic"] * factors["factor/generator"]
      columns[f"lens/cosine_in_use/{loss}"] = columns[f"lens/cosine_non_saturating/{loss}"] = (
        0.9 - 0.5 * time * (loss == "minimax") + 0 * auc
      )
  for member, config in enumerate(group):
    if settings.identity(config) in gone:
      for column in columns.values():
        column[steps >= 2350, member] = np.nan
  columns = {metric: column.astype(np.float32) for metric, column in columns.items()}
  half = len(steps) // 2
  for first, last in ((0, half), (half, len(steps))):
    if last > first:
      part = runs.Table(steps[first:last], {metric: column[first:last] for metric, column in columns.items()})
      runs.append(path, "rows", name, first * 50, last * 50, part)
  planar = group[0]["dataset"] == "ring"
  for step in range(0, until + 1, 1000):
    level = {"minimax": 0.9, "wasserstein": 40, "non_saturating": 1.6}
    goal = np.array(
      [level.get(c["loss"], 0.7) * (40 if c["loss"] == "minimax" and c["head_start"] else 1) for c in group]
    )
    value = (goal + 134 * np.exp(-step / 400)) * np.exp(rng.normal(0, 0.15, members))
    measured = (
      {
        "modes/reverse_kl": value / 10,
        "modes/covered": np.full(members, min(8, step // 600)),
        "modes/high_quality": 1 / (1 + value / 9),
      }
      if planar
      else {"frechet/distance": value, "classes/present": np.full(members, min(10, 3 + step // 500))}
    )
    table = {metric: np.asarray(column, np.float32)[None] for metric, column in measured.items()}
    runs.append(path, "quality", name, step, step + 1, runs.Table(np.array([step]), table))
  if planar:
    angle = rng.integers(0, 8, (members, 300)) * np.pi / 4
    points = np.stack([np.cos(angle), np.sin(angle)], -1) + rng.normal(0, 0.06, (members, 300, 2))
    samples, real = points.astype(np.float32), points[0].astype(np.float32)
  else:
    real = rng.integers(0, 256, (64, 8, 8)).astype(np.uint8) if images is None else images
    noise = rng.normal(0, 25, (members, *real.shape))
    samples = np.clip(real[None] + noise, 0, 255).astype(np.uint8)
  runs.write_arrays(path / "samples" / name / f"{until:09d}.npz", samples=samples)
  runs.write_arrays(path / "samples" / name / "real.npz", samples=real, kind=np.array("points" if planar else "images"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
  return write_study(tmp_path_factory.mktemp("runs") / "compare")


@pytest.fixture(scope="module")
def page(study):
  return build(study).read_text()


# Statistics


def test_the_interval_of_a_mean_is_students():
  e = statistics.estimate([1.0, 2.0, 3.0, 4.0])
  # t(0.975, 3) = 3.182446 (any table), s = 1.290994, s / sqrt(4) = 0.645497
  assert e.mean == 2.5
  assert e.high - e.mean == pytest.approx(3.182446 * 0.645497, rel=1e-6)
  assert e.low + e.high == pytest.approx(5)
  x = [0.3, 1.7, -2.0, 5.5, 0.01]
  low, high = stats.t.interval(0.95, 4, np.mean(x), stats.sem(x))
  assert statistics.estimate(x)[1:3] == pytest.approx((low, high), rel=1e-12)


def test_an_interval_ends_where_no_mean_can_be():
  """Of an AUC of two seeds Student's interval is wider than [0, 1]; cut there it holds the mean as often."""
  wide = statistics.estimate([0.7, 0.9])
  assert (wide.low < 0, wide.high > 1) == (True, True)
  e = statistics.estimate([0.7, 0.9], within=(0.0, 1.0))
  assert (e.mean, e.low, e.high) == (pytest.approx(0.8), 0.0, 1.0)
  assert wording.plus_minus(e) == "0.800 [0, 1.00]"
  assert wording.plus_minus(statistics.estimate([0.7, 0.72, 0.71], within=(0.0, 1.0))) == "0.710 ± 0.025"
  rng = np.random.default_rng(0)
  held = [[a.low <= 0.95 <= a.high for a in (statistics.estimate(x, within=w) for w in ((0.0, 1.0), statistics.ALL))]
          for x in rng.beta(19, 1, (500, 3))]  # fmt: skip
  assert all(cut == whole for cut, whole in held)


def test_one_run_has_a_mean_and_no_interval_and_what_is_missing_is_counted():
  one = statistics.estimate([3.0, math.nan])
  assert (one.mean, one.n, one.missing) == (3.0, 1, 1)
  assert math.isnan(one.low)
  assert math.isnan(one.high)
  none = statistics.estimate([math.inf])
  assert math.isnan(none.mean)
  assert (none.n, none.missing) == (0, 1)
  assert "1 run" in wording.plus_minus(one)
  assert "n = 2" in wording.plus_minus(statistics.estimate([1.0, 2.0, math.nan]))


def test_the_paired_difference_is_the_paired_t_test_over_common_seeds():
  ours = {0: 1.0, 1: 2.5, 2: 2.0, 3: 4.0, 9: 100.0}
  theirs = {0: 2.0, 1: 3.0, 2: 4.0, 3: 4.5, 7: -100.0}
  found = statistics.paired(ours, theirs)
  seeds = [0, 1, 2, 3]
  expected = stats.ttest_rel([ours[s] for s in seeds], [theirs[s] for s in seeds])
  interval = expected.confidence_interval(0.95)
  assert found[:5] == pytest.approx((-1.0, interval.low, interval.high, expected.pvalue, 4), rel=1e-10)
  assert not found.certain  # 0.0663 > 0.05, and the interval holds zero
  assert statistics.paired({0: 1.0}, {1: 1.0}) is None
  assert statistics.paired({0: math.nan}, {0: 1.0}) is None


def test_the_paired_ratio_is_the_test_of_logarithms():
  ours, theirs = {0: 2.0, 1: 8.0, 2: -1.0}, {0: 1.0, 1: 2.0, 2: 1.0}
  found = statistics.paired_ratio(ours, theirs)
  assert found.mean == pytest.approx(math.sqrt(2 * 4))
  assert found.n == 2  # the negative value has no logarithm
  assert found.p == pytest.approx(stats.ttest_1samp(np.log([2.0, 4.0]), 0).pvalue)


def test_a_positive_quantity_has_students_interval_of_its_logarithms():
  x = [0.5, 2.0, 8.0]
  e = statistics.estimate(x, log=True)
  low, high = stats.t.interval(0.95, 2, np.mean(np.log(x)), stats.sem(np.log(x)))
  assert e[:5] == pytest.approx((2.0, math.exp(low), math.exp(high), 3, 0))
  assert e.log
  assert not statistics.estimate([0.0, 1.0], log=True).log  # zero has no logarithm
  assert wording.plus_minus(statistics.Estimate(2.0, 0.5, 8.0, 3, 0, True)) == "2.00 [0.500, 8.00]"


@pytest.mark.parametrize("kind", coverage.KINDS)
def test_intervals_of_five_seeds_hold_what_they_say_they_hold(kind):
  """2,000 studies: four standard errors below 0.95 is 0.93. The mean on the plain scale, used before, is what fails."""
  repeats = 2000
  error = math.sqrt(0.95 * 0.05 / repeats)
  found = coverage.coverage(kind, seeds=5, repeats=repeats, seed=1)
  assert found["median"] > 0.95 - 4 * error
  assert found["ratio"] > 0.95 - 4 * error
  if kind != "normal":
    assert found["mean"] < 0.95 - 4 * error
  if kind == "one in ten fails":  # no interval of the mean of all seeds covers, and the page says so
    assert found["geometric mean"] < 0.75


def test_a_family_without_differences_is_called_certain_in_one_study_of_twenty_at_most():
  repeats = 400
  found = coverage.false_alarms("normal", seeds=5, repeats=repeats, seed=2)
  assert found["Holm"] < 0.05 + 4 * math.sqrt(0.05 * 0.95 / repeats)
  assert found["uncorrected"] > 0.15


def test_holms_correction_is_that_of_its_paper():
  # By hand: 0.01 * 4, 0.02 * 3, then max(0.06, 0.03 * 2), then max(0.06, 0.04).
  assert statistics.adjust([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
  assert statistics.adjust([0.9, 0.8]) == [1.0, 1.0]
  one = statistics.Paired(1, 0, 2, 0.03, 5)
  assert one.certain
  untested = one._replace(n=1, p=math.nan)
  found = statistics.holm([one, None, untested, one._replace(p=0.2)])
  assert [x and x.family for x in found] == [2, None, 1, 2]
  assert found[0].adjusted == pytest.approx(0.06)
  assert not found[0].certain  # it was, alone
  assert not found[2].certain
  assert wording.p_value(found[0]) == "p = 0.06 (Holm, of 2), n = 5"


def test_equal_differences_are_tested_by_their_signs():
  assert statistics.paired({0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0}).p == 0.5  # as likely as two heads or two tails
  assert statistics.paired({0: 1.0, 1: 1.0}, {0: 1.0, 1: 1.0}).p == 1


def test_bands_never_average_over_fewer_runs_than_they_say():
  values = np.array([[1.0, 2.0, 1e-4], [100.0, np.nan, 0.0]])
  centre, low, high = statistics.band(values, log=True)
  assert centre[0] == pytest.approx(10)  # the geometric mean
  assert (low[0], high[0]) == (1, 100)
  assert np.isnan(centre[1])
  assert low[2] == np.finfo(np.float32).tiny  # zero is drawn at the smallest normal number, not dropped
  assert statistics.band(values[:, :1], log=False)[0] == 50.5


def test_decades_add_up_and_name_the_factor():
  rows = 40
  decay = 10.0 ** -np.linspace(0, 4, rows)
  columns = {
    "factor/loss": decay,
    "factor/critic": np.full(rows, 2.0),
    "factor/generator": 10 ** np.linspace(0, 0.5, rows),
  }
  columns["gen/grad_norm"] = np.prod(list(columns.values()), axis=0)
  columns = {name: np.concatenate([[np.nan], column]) for name, column in columns.items()}  # no gradient at first
  found = statistics.decades(np.arange(0, 41 * 50, 50), columns)
  # The median of the last five rows is the third from the end: 37 of 39 intervals.
  assert found.total == pytest.approx(-3.5 * 37 / 39)
  assert found.factors == pytest.approx({"loss": -4 * 37 / 39, "critic": 0, "generator": 0.5 * 37 / 39})
  assert sum(found.factors.values()) == pytest.approx(found.total)
  assert found.end == found.total
  assert (found.first, found.lowest) == (50, 1900)
  text = wording.decades_sentence(found)
  parts = "(loss −3.8, discriminator 0.0, generator +0.5) and −3.3 at the end"
  assert text == f"generator gradient −3.3 decades at its lowest {parts}"


def test_a_gradient_that_came_back_is_told_by_its_lowest_point_and_its_end():
  norm = np.array([1.0, *([1e-3] * 6), *([10.0] * 6)])
  norm[9] = 1e-9  # one row alone is noise
  columns = {"gen/grad_norm": norm, "factor/loss": norm, "factor/critic": norm**0, "factor/generator": norm**0}
  found = statistics.decades(np.arange(13) * 50, columns)
  assert (found.total, found.end) == pytest.approx((-3, 1))
  assert 50 <= found.lowest <= 300
  assert wording.decades_sentence(found).endswith(
    "−3.0 decades at its lowest (loss −3.0, discriminator 0.0, generator 0.0) and +1.0 at the end"
  )
  columns = {name: 1 / column[:9] for name, column in columns.items()}
  rising = statistics.decades(np.arange(9) * 50, columns | {"gen/grad_norm": np.array([1.0] + [5.0] * 8)})
  assert wording.decades_sentence(rising) == "generator gradient never below its start, +0.7 decades at the end"


def test_a_gradient_that_underflows_fell_at_least_so_far():
  columns = {name: np.array([1.0, 0.0]) for name in ("gen/grad_norm", "factor/loss")}
  columns |= {name: np.array([1.0, np.nan]) for name in ("factor/critic", "factor/generator")}
  found = statistics.decades(np.array([0, 50]), columns)
  assert found.total == pytest.approx(math.log10(np.finfo(np.float32).tiny))
  assert "−37.9 decades or more at its lowest (loss −37.9, discriminator –" in wording.decades_sentence(found)
  assert statistics.decades(np.array([0]), {name: column[:1] for name, column in columns.items()}) is None
  assert statistics.decades(np.array([0, 50]), {}) is None


def test_numbers_are_readable_and_keep_their_magnitude():
  assert [wording.number(x) for x in (0.0, 999.9, 1234.5, -0.0123, 1.234e-9, math.nan)] == [
    "0", "1,000", "1,234", "−0.0123", "1.23e-09", "–",
  ]  # fmt: skip
  assert wording.plus_minus(statistics.Estimate(1.234, 0.777, 1.691, 5, 0)) == "1.23 ± 0.46"
  assert wording.interval(statistics.Paired(-1.2, -2.0, -0.4, 0.01, 5)) == "−1.20 [−2.00, −0.40]"


# Records


def test_labels_say_what_varies_and_nothing_else(study):
  panels = records.read(study).panels
  assert [panel.title for panel in panels] == [
    "compare losses",
    "a discriminator with a head start",
    "eight modes on a ring",
  ]
  assert [variant.label for variant in panels[0].variants] == list(LOSSES)
  assert [[run.seed for run in variant.runs] for variant in panels[1].variants] == [list(range(5))] * 2


@pytest.mark.parametrize(
  ("changes", "labels"),
  [
    ([{"head_start": 0}, {"head_start": 2000}], ["head_start=0", "head_start=2000"]),
    (
      [{}, {"loss": "hinge", "head_start": 9}],
      ["non_saturating, head_start=0", "hinge, head_start=9"],
    ),
    ([{"loss": "hinge", "loss_options": {"a": 2}}, {"loss": "minimax"}], ["hinge, a=2", "minimax"]),
    ([{}], ["non_saturating"]),
  ],
)
def test_labels(tmp_path, changes, labels):
  group = [settings.resolve({"steps": 100}, change) for change in changes]
  found = [v.label for v in records.read(write_study(tmp_path / "s", [group], until=0)).panels[0].variants]
  assert found == labels


def test_the_baseline_differs_in_its_loss_alone(tmp_path):
  group = [
    settings.resolve({"steps": 100, "loss": loss, "head_start": start})
    for loss in ("minimax", "non_saturating")
    for start in (0, 50)
  ] + [settings.resolve({"steps": 100, "loss": "hinge", "head_start": 7})]
  panel = records.read(write_study(tmp_path / "s", [group], until=0)).panels[0]
  assert [v and v.label for v in records.baselines(panel)] == [
    "minimax, head_start=0", "minimax, head_start=50", "minimax, head_start=0", "minimax, head_start=50",
    "minimax, head_start=0",
  ]  # fmt: skip


def test_a_loss_of_a_users_file_is_compared_with_the_baseline_that_differs_in_its_loss_alone(tmp_path):
  """Its config has the digest of that file, which the baseline's has not."""
  own = {"loss": "mine.py:twice", "code": {"mine.py": "0123456789ab"}}
  group = [
    {**settings.resolve({"steps": 100, "loss": "minimax", "head_start": start}), **changes}
    for changes in ({}, own)
    for start in (0, 50)
  ]
  panel = records.read(write_study(tmp_path / "s", [group], until=0)).panels[0]
  assert [v and v.label for v in records.baselines(panel)] == ["minimax, head_start=0", "minimax, head_start=50"] * 2


def test_labels_that_would_be_cut_to_the_same_text_have_lines_of_their_own(tmp_path):
  other = {"generator_rate": 0.001, "discriminator_rate": 0.001, "ema_decay": 0.9, "head_start": 9}
  group = [settings.resolve({"steps": 100} | change) for change in ({}, {"head_start": 5}, other)]
  lines = terminal_table(write_study(tmp_path / "s", [group], until=100)).splitlines()
  for start in (0, 5):
    label = f"generator_rate=0.0005, discriminator_rate=0.0005, ema_decay=0.999, head_start={start}"
    assert "1/1" in lines[lines.index(label) + 1]
  assert max(map(len, lines)) <= 120


def test_what_nothing_is_compared_with_is_no_baseline(tmp_path):
  """Of the minimax rows only the first is a baseline: hinge has its batch size; the others stand for themselves."""
  sizes = [("minimax", 32), ("minimax", 64), ("minimax", 128), ("hinge", 32)]
  group = [settings.resolve({"steps": 100, "loss": loss, "batch_size": size}) for loss, size in sizes]
  panel = records.read(write_study(tmp_path / "s", [group], until=100)).panels[0]
  rows = {row.variant.label: row for row in compare(panel).rows}
  assert [label for label, row in rows.items() if row.is_baseline] == ["minimax, batch_size=32"]
  assert rows["hinge, batch_size=32"].baseline is rows["minimax, batch_size=32"].variant


def test_the_baseline_is_what_the_study_names(tmp_path):
  def found(name, changes, **fields):
    group = [settings.resolve({"steps": 100}, fields, change) for change in changes]
    panel = records.read(write_study(tmp_path / name, [group], until=0)).panels[0]
    return [v and v.label for v in records.baselines(panel)]

  losses = [{"loss": x} for x in ("minimax", "hinge")]
  assert found("a", losses) == ["minimax"] * 2
  assert found("b", losses, baseline="hinge") == ["hinge"] * 2
  assert found("c", losses, baseline="wasserstein") == [None] * 2
  rates = [{"discriminator_rate": x} for x in (0.1, 0.2)]
  assert found("d", rates) == ["discriminator_rate=0.1"] * 2  # of one loss, the first
  assert found("e", rates, baseline="discriminator_rate=0.2") == ["discriminator_rate=0.2"] * 2
  assert found("f", rates, baseline="non_saturating") == ["discriminator_rate=0.1"] * 2


def test_a_study_without_non_saturating_is_compared_and_no_text_names_it(tmp_path):
  group = [settings.resolve({"steps": 6000, "loss": x, "seed": s}) for x in ("minimax", "hinge") for s in range(5)]
  path = write_study(tmp_path / "s", [group])
  rows = {row.variant.label: row for row in compare(records.read(path).panels[0]).rows}
  assert rows["hinge"].versus.n == 5
  page, text = build(path).read_text(), terminal_table(path)
  body = Skeleton(page[page.index("<main>") : page.index('id="words"')]).text
  assert "non_saturating" not in body.replace("lens/cosine_non_saturating", "")
  assert "ratio to minimax, by seed" in body
  assert "baseline: minimax, compared seed by seed" in text


def test_a_baseline_that_is_not_there_is_refused_or_said(tmp_path):
  config = tmp_path / "c.py"
  config.write_text(
    "def get_config():\n  return {'baseline': 'hinge', 'steps': 100}\n"
    "def sweep(s):\n  return s.product(s.param('loss', ['minimax', 'hinge']), s.param('seed', [0, 1]))\n"
  )
  assert len(sweeps.load(str(config))[1]) == 4
  with pytest.raises(BadInput, match="unknown baseline 'hing'; did you mean 'hinge'"):
    sweeps.load(str(config), ["--config.baseline=hing"])
  assert len(sweeps.load(str(config), ["--config.loss=minimax"])[1]) == 2  # taken out by the command line
  group = [settings.resolve({"steps": 100, "baseline": "gone", "loss": x}) for x in ("minimax", "hinge")]
  path = write_study(tmp_path / "s", [group], until=100, diverged=())
  assert "the baseline gone is not in this panel" in Skeleton(build(path).read_text()).text
  assert "baseline: gone is not in this panel" in terminal_table(path)


def test_runs_that_learnt_nothing_are_counted_and_in_no_average(tmp_path):
  group = [settings.resolve({"steps": 6000, "loss": x, "seed": s}) for x in LOSSES[:2] for s in range(5)]
  path = write_study(tmp_path / "s", [group], diverged=())
  *_, (first, last, part) = runs.parts(path, "quality", "group-0")
  table = runs.read_table(path, "quality", "group-0")
  columns = {name: x[-1:].copy() for name, x in table.columns.items()}
  columns["frechet/distance"][0, 3] = 0.6 * table.columns["frechet/distance"][0, 3]  # of minimax, seed 3: not halved
  part.unlink()
  runs.append(path, "quality", "group-0", first, last, runs.Table(table.steps[-1:], columns))
  rows = {row.variant.label: row for row in compare(records.read(path).panels[0]).rows}
  kept = [float(columns["frechet/distance"][0, i]) for i in (0, 1, 2, 4)]
  assert rows["minimax"].failed == 1
  assert rows["minimax"].finals["frechet/distance"].mean == pytest.approx(np.exp(np.mean(np.log(kept))))
  assert rows["non_saturating"].versus.n == 4
  assert wording.counts(rows["minimax"]) == "5/5 runs, 1 did not halve the distance"
  assert "runs that did not halve their distance: 1 of 5 of minimax" in terminal_table(path)


def test_names_stay_as_they_are_written_at_the_start_of_a_sentence_too(study, tmp_path):
  remarks = ("f2: this study is a fork", "hinge: group-0 is not bit exact", "group-0 is not bit exact")
  page = build(records.read(study)._replace(remarks=remarks), tmp_path / "page.html").read_text()
  for remark in remarks:
    assert f"<p>Note: {remark}.</p>" in page


@pytest.mark.parametrize("start", [0, 1000])
def test_of_a_last_value_that_is_not_finite_nothing_else_is_said(start, tmp_path):
  """Also of a fork, whose distance need not halve, since it begins with a trained state."""
  path = write_study(
    tmp_path / "s", [[settings.resolve({"steps": 6000, "loss": "hinge", "seed": s}) for s in range(3)]]
  )
  study = records.read(path)
  (variant,) = study.panels[0].variants

  def ended(run, last):
    columns = {name: np.append(x[:-1], last).astype(x.dtype) for name, x in run.quality.columns.items()}
    return run._replace(quality=runs.Table(run.quality.steps + start, columns))

  members = tuple(ended(run, last) for run, last in zip(variant.runs, (1.0, np.inf, np.nan), strict=True))
  (row,) = compare(study.panels[0]._replace(variants=(variant._replace(runs=members),))).rows
  assert (row.failed, row.lost) == (2, 2)
  assert wording.counts(row) == "3/3 runs, 2 with a last value that is not finite"
  panels = (study.panels[0]._replace(variants=(variant._replace(runs=members),)),)
  told = " ".join(terminal_table(study._replace(panels=panels, runs=members)).split())
  assert "runs whose last value is not finite: 2 of 3 of hinge (left out of its mean)" in told
  assert "did not halve" not in told


def test_diverged_runs_are_counted_and_in_no_mean(study):
  panel = records.read(study).panels[0]
  row = next(row for row in compare(panel).rows if row.variant.label == "wasserstein")
  assert wording.counts(row) == "4/5 runs, 1 diverged"
  kept = [records.final(run, "frechet/distance") for run in row.variant.runs if run.seed != 3]
  assert row.finals["frechet/distance"].mean == pytest.approx(np.exp(np.mean(np.log(kept))))
  assert row.finals["frechet/distance"].n == row.versus.n == 4


def test_the_table_is_ranked_and_paired_by_seed(study):
  comparison = compare(records.read(study).panels[0])
  means = [row.finals["frechet/distance"].mean for row in comparison.rows]
  assert means == sorted(means)
  by_label = {row.variant.label: row for row in comparison.rows}
  ours, theirs = (
    np.log([records.final(run, "frechet/distance") for run in by_label[x].variant.runs]) for x in ("hinge", "minimax")
  )
  expected = stats.ttest_rel(ours, theirs)
  assert by_label["hinge"].versus.p == pytest.approx(expected.pvalue)
  assert by_label["hinge"].versus.mean == pytest.approx(np.exp(np.mean(ours - theirs)))
  assert by_label["minimax"].is_baseline  # the study's first
  assert by_label["minimax"].versus is None


def test_runs_measured_at_different_steps_are_not_paired(tmp_path):
  groups = [[settings.resolve({"loss": x, "seed": s}) for s in range(3)] for x in ("minimax", "non_saturating")]
  path = write_study(tmp_path / "s", groups, until=2000)
  assert compare(records.read(path).panels[0]).rows[-1].versus is not None
  for _, _, part in runs.parts(path, "quality", "group-1")[-1:]:
    part.unlink()
  assert all(row.versus is None for row in compare(records.read(path).panels[0]).rows)


# Random searches


def draws(losses=12, count=16, seed=0, shared=False):
  """A search as one would write it: log-uniform rates, beta1 and weight, one seed each."""
  rng = np.random.default_rng(seed)
  names = [*LOSSES, "tilted_gan_a", "x1", "x2", "x3", "x4", "x5"][:losses]
  drawn = [
    {
      "generator_rate": float(10 ** rng.uniform(-4, -2)),
      "discriminator_rate": float(10 ** rng.uniform(-4, -2)),
      "optimizer_options.beta1": float(rng.uniform(0, 0.9)),
      "penalty_weight": float(10 ** rng.uniform(-2, 1)),
    }
    for _ in range(count if shared else losses * count)
  ]
  return [
    settings.resolve({"steps": 6000, "penalty": "r1", "loss": name, "seed": i}, drawn[i if shared else count * k + i])
    for k, name in enumerate(names)
    for i in range(count)
  ]


@pytest.mark.parametrize("shared", [False, True])
def test_a_random_search_compares_losses_over_its_draws(tmp_path, shared):
  path = write_study(tmp_path / "s", [draws(shared=shared)], diverged=())
  table = runs.read_table(path, "quality", "group-0").columns["frechet/distance"]
  found = search.search(records.read(path).panels[0])
  assert set(found.drawn) == {"generator_rate", "discriminator_rate", "optimizer_options.beta1", "penalty_weight"}
  assert found.compared == ("loss",)
  assert found.baseline == "minimax"
  assert len(found.entries) == 12
  by_label = {entry.label: entry for entry in found.entries}
  for k, name in enumerate(LOSSES):
    final, first = np.sort(table[-1, 16 * k : 16 * k + 16].astype(float)), table[0, 16 * k : 16 * k + 16]
    entry = by_label[name]
    np.testing.assert_allclose(entry.values, final)
    assert entry.quartiles == pytest.approx(np.quantile(final, (0.25, 0.5, 0.75)))
    assert (entry.learnt, entry.runs) == ((table[-1, 16 * k : 16 * k + 16] <= first / 2).sum(), 16)
    assert entry.expected[0] == pytest.approx(np.exp(np.log(final).mean()))
    assert entry.expected[-1] == pytest.approx(final[0])
  wasserstein = by_label["wasserstein"]
  reference = stats.mannwhitneyu(by_label["minimax"].values, wasserstein.values)
  assert wasserstein.wins == pytest.approx(reference.statistic / 256)
  assert wasserstein.certain  # forty times as far from the data
  assert found.entries[-1].label == "wasserstein"


def test_a_search_has_a_line_a_loss_on_the_page_the_terminal_and_in_the_object(tmp_path):
  path = write_study(tmp_path / "s", [draws(losses=4)], diverged=(("hinge", 2), ("least_squares", 3)))
  text, page = terminal_table(path), build(path).read_text()
  lines = text.splitlines()
  assert [sum(line.startswith(name + " ") for line in lines) for name in LOSSES[:4]] == [1] * 4
  assert max(map(len, lines)) <= 120
  assert "16 " in next(line for line in lines if line.startswith("minimax"))
  assert "diverged, left out of every mean: least_squares" in text
  body = page[page.index("<main>") :]
  assert "Comparison over the draws" in body
  assert body.count('<th scope="row">') == 3 * 4  # over the draws, the best draw of each, and its gradient
  (found,) = summary(path)["searches"]
  assert [len(entry["expected_best"]) for entry in found["entries"]] == [16] * 4
  assert {entry["label"]: entry["draws"] for entry in found["entries"]} == dict.fromkeys(LOSSES[:4], 16)
  gone = next(entry for entry in found["entries"] if entry["label"] == "least_squares")
  assert gone["learnt"] == 15
  assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("until", [0, 50])
def test_a_search_that_has_measured_nothing_or_little_has_a_page(tmp_path, until):
  path = write_study(tmp_path / "s", [draws(losses=3)], until=until, diverged=())
  if until:
    for first, last, part in runs.parts(path, "quality", "group-0"):
      table = runs.read_arrays(part)
      steps = table.pop("step")
      columns = {name: np.full_like(column, np.nan) for name, column in table.items()}
      runs.append(path, "quality", "group-0", first, last, runs.Table(steps, columns))
  assert "not finished" in build(path).read_text()
  assert terminal_table(path)
  assert summary(path)["searches"] == []


def test_the_expected_best_is_the_mean_over_all_choices():
  from itertools import combinations

  values = np.array([1.0, 2.0, 5.0, 30.0, 31.0])
  low, high = (next(q for q in QUALITIES if q.metric == m) for m in ("frechet/distance", "modes/covered"))
  for k in range(1, 6):
    best = [min(choice) for choice in combinations(values, k)]
    assert search.expected_best(values, low)[k - 1] == pytest.approx(np.exp(np.mean(np.log(best))))
    best = [max(choice) for choice in combinations(values, k)]
    assert search.expected_best(values[::-1], high)[k - 1] == pytest.approx(np.mean(best))
  assert np.isfinite(search.expected_best(np.geomspace(1, 9, 2000), low)).all()


def grid(**fields):
  names, values = zip(*fields.items(), strict=True)
  return [dict(zip(names, one, strict=True)) for one in itertools.product(*values)]


@pytest.mark.parametrize(
  ("configs", "runs_each", "drawn"),
  [
    (grid(loss=["a", "b"], rate=[1, 2, 3, 4, 5, 6, 7, 8]), 1, []),  # an axis that all share
    (grid(loss=["a", "b"], rate=[1, 2, 3, 4], beta=[0, 0.5]), 1, []),  # a product
    (grid(loss=list("abcdefg")), 5, []),
    ([{"rate": 0.1 * i} for i in range(8)], 1, []),  # one loss along one axis
    ([{"loss": x, "rate": 0.1 * i, "beta": 0.01 * i} for x in "ab" for i in range(3)], 1, []),  # too few
    ([{"loss": x, "rate": 0.1 * i, "beta": 0.01 * i} for x in "ab" for i in range(5)], 5, []),  # few, seeds each
    ([{"loss": x, "rate": 0.1 * i, "beta": 0.01 * i} for x in "ab" for i in range(5)], 1, ["rate", "beta"]),
    ([{"loss": x, "rate": i + 20 * (x == "b")} for x in "ab" for i in range(8)], 1, ["rate"]),  # each its own
    ([{"loss": x, "rate": 0.1 * i, "beta": 0.1 * i, "critic": c} for x in "ab" for c in (1, 5) for i in range(9)], 1,
     []),  # values twice: not drawn
    ([{"loss": x, "rate": i + 9 * c, "beta": i + 7.5 * c, "critic": c} for x in "ab" for c in (1, 5) for i in range(9)],
     1, ["rate", "beta"]),  # discriminator steps are compared: as many draws of each
    ([{"loss": x, "rate": i, "beta": i / 7, "critic": 1 + (i % 7) // 3} for x in "ab" for i in range(16)], 1,
     ["rate", "beta", "critic"]),
    ([{"loss": x, "rate": i, "beta": i / 7} | ({"options.margin": i / 3} if x == "b" else {}) for x in "ab"
      for i in range(9)], 1, ["rate", "beta", "options.margin"]),
  ],
)  # fmt: skip
def test_what_was_drawn_is_told_from_a_grid(configs, runs_each, drawn):
  assert search.drawn_fields(configs, runs_each) == drawn


# Many variants


def test_each_groups_samples_are_read_once_and_few_are_kept(tmp_path, monkeypatch):
  group = [settings.resolve({"steps": 100, "dataset_options.data_dir": f"d{i}"}) for i in range(70)]
  path = write_study(tmp_path / "s", [group[:35], group[35:]], until=100, diverged=())
  opened = []
  read = runs.read_arrays
  monkeypatch.setattr(runs, "read_arrays", lambda file: opened.append(file) or read(file))
  text = build(path).read_text()
  samples = [file for file in opened if file.parent.parent.name == "samples" and file.stem.isdigit()]
  assert len(samples) == len(set(samples)) <= 2
  assert text.count("data:image/png;base64,") <= selection.MOST + 1
  assert "58 are left out of the pictures" in text
  chosen = pictures.latest(records.read(path).runs[:3])
  assert all(x.base is None for _, x in chosen.values())  # a view would keep the whole group in memory


def test_a_page_of_many_variants_does_not_grow_with_them(tmp_path):
  def size(count):
    group = [settings.resolve({"steps": 300, "dataset_options.data_dir": f"d{i}"}) for i in range(count)]
    return len(build(write_study(tmp_path / str(count), [group], until=300, diverged=())).read_text())

  few, many = size(130), size(390)
  assert many < 1.05 * few


def test_the_best_the_middle_and_the_worst_are_shown():
  assert selection.shown(range(12)) == list(range(12))
  assert selection.shown(range(100)) == [0, 1, 2, 3, 48, 49, 50, 51, 96, 97, 98, 99]
  first, last = selection.ends(range(1000))
  assert len(first) + len(last) == selection.LINES
  assert (first[0], last[-1]) == (0, 999)
  assert selection.named(["a", "b"]) == "a, b"
  assert selection.named([str(i) for i in range(20)], 4) == "0, 1 and 18 others"


# The page


class Skeleton(html.parser.HTMLParser):
  """The tags and attribute names of a page, and its text as it is read: without the explanations of words."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.words, self.loose, self.ids = [], [], [], []
    self.tip = False
    self.feed(text)
    self.close()

  def handle_starttag(self, tag, attributes):
    if tag != "wbr":  # where a name may be broken
      self.tags.append((tag, tuple(name for name, _ in attributes)))
    self.ids += [value for name, value in attributes if name == "id"]
    self.loose += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
    self.tip = self.tip or tag in ("script", "style") or ("class", "tip") in attributes

  def handle_endtag(self, tag):
    self.tip = self.tip and tag not in ("span", "script", "style")

  def handle_data(self, data):
    if not self.tip:
      self.words.append(data)

  @property
  def text(self):
    return " ".join("".join(self.words).split())


def test_the_page_shows_what_was_found(page):
  text = Skeleton(page).text
  for said in (
    "4/5 runs",
    "1 diverged",
    "; the loss's factor fell most",
    "times the baseline minimax, paired by seed",
    "surely different",
    "p with Holm's correction for 6",
    "(Holm, of 6), n = 5",
    "AUC of real against fake logits",
    "extra/unheard_of",
    "not explained in the manifest",
    "norm of the generator's gradient",
    "2,350",
    "classifier accuracy 0.97",
    "discriminator dominates: the loss's factor vanished (4 of 5 runs)",
    "AUC above 0.98 since step",
    "Which factor of the gradient fell, and when",
    "The generator gradient under every loss",
    "hinge = wasserstein",
  ):
    assert said in text, said
  assert "nan" not in re.findall(r"[a-z]+", text.lower())
  assert "not finished" not in text


def test_the_page_is_self_contained_small_and_the_same_again(study, page):
  skeleton = Skeleton(page)
  assert len(page) < 2_000_000
  assert all(link.startswith(("#", "data:image/png;base64,")) for link in skeleton.loose)
  assert "url(http" not in page
  assert "default-src 'none'" in page
  assert len(skeleton.ids) == len(set(skeleton.ids))
  first = page[page.index('id="panel-1"') : page.index('id="panel-2"')]
  assert first.count('class="word" tabindex="0"') < 25 < first.count('class="word"')  # few stops of the tab key
  assert page.count("<script") == 1  # its own, which the policy names by its digest: see test_browser
  assert page.count("<style") == 1  # a figure's own style sheet would restyle the whole page
  assert {tag for tag, _ in skeleton.tags} >= {"svg", "img", "table", "figure", "details"}
  assert build(study).read_text() == page


def test_every_figure_is_drawn_and_downsampled(study):
  panel = records.read(study).panels[0]
  variants = [(variant, canvas.style(i)) for i, variant in enumerate(panel.variants)]
  svg = figures.curves(curves.plot(variants, "disc/auc"), "a")
  for index in range(len(LOSSES)):
    assert canvas.style(index).colour.lower() in svg
  assert curves.plot(variants, "no/such") is None
  steps = np.arange(10_000)
  values = np.where(steps == 5001, 100.0, 1.0)
  at, centre, _, high = curves.thin(curves.Course(steps, values, values, values))
  assert len(at) == len(centre) == curves.POINTS
  assert high.max() == 100  # a spike between two drawn points still shows in the band
  assert at[-1] == 9999


HOSTILE = "<script>alert(1)</script>\"' onload=x %s {{ 7*7 }} &amp; \n\t\u202egnp\u2067 \ud800 ]]> $\\frac$ <!--"


def test_hostile_names_add_no_tag_and_no_attribute(tmp_path):
  def skeleton(name, folder):
    field = name.replace("\ud800", "")  # which no config may hold
    group = [
      settings.resolve({"loss": x, "panel": field, "dataset_options.data_dir": field + x, "steps": 100})
      for x in LOSSES[:2]
    ]
    path = write_study(tmp_path / folder, [group], until=100, diverged=(), name=name)
    manifest = runs.read_json(path / "manifest.json")
    manifest |= {"description": name, "commit": name, "layout": {name: name}, "metrics": {name: name, **EXPLANATIONS}}
    runs.write_json(path / "manifest.json", manifest)
    assert all(c.isprintable() or c == "\n" for c in terminal_table(path))
    return Skeleton(build(path).read_text())

  plain, hostile = skeleton("harmless", "a"), skeleton(HOSTILE, "b")
  assert hostile.tags == plain.tags
  text = "".join(hostile.words)
  assert "<script>alert(1)</script>" in text  # shown as what it is
  assert "{{ 7*7 }}" in text


def test_the_page_has_each_loss_with_its_formulas_and_what_is_known_of_others(tmp_path):
  """A loss with a card, a transformation, somebody's own without a card, and a card that is no formula."""
  from gan_jax.losses import table

  path = write_study(tmp_path / "s", [next(configs())[:10]], until=1000, diverged=())
  manifest = runs.read_json(path / "manifest.json")
  odd = {"title": HOSTILE, "generator": HOSTILE, "slope": HOSTILE}
  told = {
    **table.facts(["minimax", "matched_gain(hinge)"]),
    "mine.py:soft": {"title": "My loss."},
    "odd": odd,
    "bare": {},
  }
  runs.write_json(path / "manifest.json", manifest | {"losses": told})
  text = build(path).read_text()
  section = text[text.index('id="losses"') : text.index('id="words"')]
  assert section.count("<article>") == 6
  assert section.count('class="push"') == 2  # of minimax and hinge
  read = Skeleton(section).text
  for said in (
    "softplus(-r) + softplus(f)",
    "-softplus(f)",
    "relu(1 - r) + relu(1 + f)",
    "My loss.",
    "arXiv:1406.2661",
  ):
    assert said in read
  assert "<script>alert" not in section


@pytest.mark.parametrize("until", [0, 50, 2000])
def test_unfinished_studies_have_a_page_that_says_so(tmp_path, until):
  path = write_study(tmp_path / "s", [next(configs())[:6]], until=until, diverged=())
  text = build(path).read_text()
  assert "This study is not finished." in text
  assert f"step {until:,} of 6,000" in text
  assert "not finished" in terminal_table(path)
  status = {run["status"] for run in summary(path)["runs"]}
  assert status == {"unfinished" if until else "waiting"}


def test_a_study_without_status_quality_or_samples_has_a_page(tmp_path):
  path = write_study(tmp_path / "s", list(configs())[1:2], until=2000)
  for file in [*path.glob("quality/*/*"), *path.glob("samples/*/*"), path / "status.json"]:
    file.unlink()
  assert "0/5 runs" in build(path).read_text()
  assert "frechet/distance" not in summary(path)["runs"][0]["metrics"]
  assert terminal_table(path)


def test_a_study_of_an_installed_package_names_no_commit(tmp_path):
  path = write_study(tmp_path / "study", [next(configs())[:2]], until=500)
  manifest = json.loads((path / "manifest.json").read_text())
  for name in ("manifest.json", "manifest.copy.json"):
    (path / name).write_text(json.dumps(manifest | {"commit": None}))
  assert "commit" not in Skeleton(build(path).read_text()).words


def test_all_runs_diverged(tmp_path):
  group = [settings.resolve({"loss": x, "steps": 6000}) for x in LOSSES[:2]]
  path = write_study(tmp_path / "s", [group], diverged=((LOSSES[0], 0), (LOSSES[1], 0)))
  text = build(path).read_text()
  assert text.count("1 diverged") >= 2
  assert "0/1" in terminal_table(path)


# Verdicts and the pictures that need more than curves


def test_the_table_the_terminal_and_the_object_say_one_verdict(study, page):
  panels = records.read(study).panels
  ahead = {row.variant.label: verdicts.majority(row.verdicts) for row in compare(panels[1]).rows}
  assert (ahead["minimax"].state, ahead["minimax"].factor) == ("discriminator_dominates", "loss")
  assert ahead["non_saturating"].state == "healthy"
  assert verdicts.short(ahead["minimax"]) == "D wins: loss 4/5"
  assert "D wins: loss 4/5" in terminal_table(study)
  found = {run["id"]: run for run in summary(study)["runs"]}
  gone = [run for run in found.values() if run["status"] == "diverged"]
  assert [run["verdict"]["state"] for run in gone] == ["diverged"]
  assert gone[0]["verdict"]["periods"][-1] == [2350, "diverged"]
  some = next(run for run in found.values() if run["panel"] == panels[1].title and run["config"]["loss"] == "minimax")
  assert some["verdict"]["factor"] == "loss"
  assert some["verdict"]["evidence"] in page.replace("&#39;", "'")
  assert any(sentence.startswith("Verdicts: ") for sentence in wording.findings(compare(panels[1])))


def test_a_threshold_of_the_config_moves_the_verdict(tmp_path):
  group = [settings.resolve({"steps": 6000, "head_start": 9, "loss": "minimax", "verdict": {"auc_dominated": 1.0}})]
  run = records.read(write_study(tmp_path / "s", [group])).runs[0]
  assert verdicts.of(run).final != "discriminator_dominates"


def test_the_majority_of_runs_and_its_share():
  ends = [verdicts.verdict.Verdict((), (), s, f, e, {}) for s, f, e in (
    ("healthy", "", "a"), ("discriminator_dominates", "none", "b"), ("discriminator_dominates", "loss", "c"),
    ("discriminator_dominates", "loss", "d"),
  )]  # fmt: skip
  found = verdicts.majority(ends)
  assert found == ("discriminator_dominates", "loss", 3, 4, "c")
  assert verdicts.short(found) == "D wins: loss 3/4"
  assert verdicts.words(found) == "discriminator dominates: the loss's factor vanished"
  assert verdicts.majority(ends[:2]).state == "healthy"  # a tie goes to the earlier run


def test_strips_cover_the_steps_that_were_measured():
  found = verdicts.verdict.Verdict(np.array([0, 50, 100]), ("healthy", "healthy", "stalled"), "stalled", "", "", {})
  svg = timeline.strips([found], 200, "a")
  spans = re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)" height="12" fill="(#\w+)"', svg)
  # 200 steps are 1000 units: healthy from 0 to 100, stalled for one row more, and nothing beyond.
  assert spans == [
    ("0.0", "500.0", verdicts.LOOKS["healthy"].colour), ("500.0", "250.0", verdicts.LOOKS["stalled"].colour),
  ]  # fmt: skip
  assert "<rect" not in timeline.strips([found._replace(steps=np.zeros(0, int), states=())], 200, "a")


def test_no_state_and_no_factor_has_the_colour_of_a_variant():
  """Nor one that is hard to tell from it: in CIELAB, where a distance of 2 is just seen, all are at least 15 apart."""

  def lab(colour):
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    c = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ c
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

  sheet = (ROOT / "gan_jax" / "report" / "page.css").read_text()
  themes = [dict(re.findall(r"--(f-loss|f-generator|ink): (#\w{6})", part)) for part in sheet.split("@media")[:2]]
  assert [len(theme) for theme in themes] == [3, 3]
  others = [look.colour for look in verdicts.LOOKS.values()]
  others += [colour for theme in themes for colour in theme.values()]
  for one, other in itertools.product(canvas.COLOURS, others):
    assert np.linalg.norm(lab(one) - lab(other)) > 15, (one, other)
  for one, other in itertools.combinations(canvas.COLOURS, 2):
    assert np.linalg.norm(lab(one) - lab(other)) > 15, (one, other)
  assert len({tuple(line.get("dashes", ())) for line in factors.LINES.values()}) >= 3  # told apart without colour too


@pytest.mark.parametrize("draw", [lines, figures])
def test_seven_ranges_are_drawn_one_by_one_and_three_together(study, draw):
  """On the page and in files."""
  band = 'class="band"' if draw is lines else "opacity: 0.16"
  panel = records.read(study).panels[0]
  variants = [(variant, canvas.style(i, f"loss-{i}")) for i, variant in enumerate(panel.variants)]
  seven, three = (curves.plot(variants[:count], "disc/auc") for count in (7, 3))
  assert (seven.bands, three.bands) == (False, True)
  assert not curves.plot(variants[:3], "disc/auc", crowd=panel.variants).bands
  assert band not in draw.curves(seven, "a")
  assert draw.curves(three, "a").count(band) == 3
  each = draw.each(seven, "a")
  assert len(re.findall(band if draw is lines else r"opacity: 0\.3\b", each)) == len(LOSSES)
  for name in LOSSES:
    assert f">{name}<" in each.replace("<wbr>", "")
    assert f">{name[:20]}" in draw.curves(seven, "a")  # at the end of its line
  thin = 'class="raw"' if draw is lines else "stroke-dasharray: 3.2,1.6"
  raw = seven._replace(curves=tuple(curve._replace(raw=curve.course) for curve in seven.curves))
  for kind in (draw.curves, draw.each):
    assert kind(raw, "a").count(thin) == kind(seven, "a").count(thin) + len(LOSSES)


def test_a_plot_puts_values_where_its_ticks_say(study):
  """Each line's first point, read back from its pixels by the ticks' text and places, is the mean over seeds."""
  variant = records.read(study).panels[0].variants[0]
  for metric, log in (("disc/auc", False), ("gen/grad_norm", True)):
    svg = lines.curves(curves.plot([(variant, canvas.style(0))], metric, curves.Scale(log)), "a")
    ticks = re.findall(r'<text x="38" y="([\d.]+)" text-anchor="end">([^<]+)<', svg)
    at = np.array([float(y) - 3.5 for y, _ in ticks])
    value = np.array([labelled_value(text) for _, text in ticks])
    assert len(ticks) >= 2
    slope, start = np.polyfit(at, np.log10(value) if log else value, 1)
    x, y = map(float, re.search(r'class="mean" d="M([\d.]+) ([\d.]+)', svg).groups())
    found = 10 ** (start + slope * y) if log else start + slope * y
    first = np.array([run.rows.columns[metric][0] for run in variant.runs], float)
    assert found == pytest.approx(np.exp(np.log(first).mean()) if log else first.mean(), rel=0.02)
    assert x == 42  # the left end of the axis
    assert ">step 0<" in svg
    assert ">4,000<" in svg


def test_a_gap_interrupts_a_line_and_its_band():
  frame = frames.Frame(
    frames.Box(100, 100, 0, 0, 0, 0), frames.steps(0, 4), frames.levels(np.array([0.0, 1.0]), False, 1, (0, 1))
  )
  values = np.array([0.0, 1.0, np.nan, 1.0, 0.0])
  assert frame.path(np.arange(5), values) == "M0.0 100.0L25.0 0.0M75.0 0.0L100.0 100.0"
  assert frame.band(np.arange(5), 0 * values, values).count("Z") == 2
  assert curves.apart([50, 50.0, 51], 10, 0, 100) == [50, 60, 70]
  assert curves.apart([99, 99, 99], 10, 0, 100) == [80, 90, 100]
  assert curves.apart([0.0] * 30, 10, 0, 100)[-1] <= 100


def test_the_generator_without_averaging_is_a_column_and_a_thin_line(tmp_path):
  group = [settings.resolve({"steps": 6000, "loss": x, "seed": s}) for x in LOSSES[:2] for s in range(3)]
  path = write_study(tmp_path / "s", [group], diverged=())
  for first, last, part in runs.parts(path, "quality", "group-0"):
    table = runs.read_arrays(part)
    steps = table.pop("step")
    table["raw/frechet/distance"] = 3 * table["frechet/distance"]
    runs.append(path, "quality", "group-0", first, last, runs.Table(steps, table))
  comparison = compare(records.read(path).panels[0])
  for row in comparison.rows:
    three = row.finals["raw/frechet/distance"].mean / row.finals["frechet/distance"].mean
    assert three == pytest.approx(3, rel=1e-5)
  assert comparison.columns[0][0] == "raw/frechet/distance"
  assert " raw " in terminal_table(path)
  text = build(path).read_text()
  assert "raw: weights not averaged" in text
  assert "thin dashed line: the generator without averaging" in text


def test_a_lens_of_two_losses_has_a_colour_bar_whose_numbers_do_not_touch(study):
  variant = records.read(study).panels[1].variants[0]
  found = lens_map.look(variant.counted)
  assert len(found.groups) == 2
  svg = lens_map.norm_figure(found, "a")
  places = sorted(
    float(y) for y in re.findall(r'text-anchor: start[^"]*" x="[^"]*" y="([^"]*)"[^>]*>[×÷][\d.,]+<', svg)
  )
  assert len(places) == 3
  assert min(np.diff(places)) > 8.5  # the size of the letters


def test_the_course_of_the_factors_adds_up(study):
  variant = records.read(study).panels[1].variants[0]
  course = factors.course(variant.counted)
  assert course.steps[0] == 0
  total = sum(course.changes[name] for name in statistics.FACTORS)
  np.testing.assert_allclose(course.changes["gradient"], total, atol=1e-4)
  expected = np.mean(
    [np.log10(r.rows.columns["factor/loss"][-1] / r.rows.columns["factor/loss"][0]) for r in variant.runs]
  )
  assert course.changes["loss"][-1] == pytest.approx(expected, abs=1e-6)
  low, high = factors.limits([course])
  assert low < course.changes["gradient"].min()
  assert high > 0
  assert factors.course(()) is None


def test_losses_with_one_gradient_share_a_line(study):
  variant = records.read(study).panels[1].variants[0]
  found = lens_map.look(variant.counted)
  assert {frozenset(group) for group in found.groups} == {
    frozenset(["minimax"]), frozenset(["non_saturating", "hinge", "wasserstein"]),
  }  # fmt: skip
  assert found.groups[0][0] != "minimax"  # the longest gradient comes first
  assert found.norms.shape == found.cosines.shape == (2, len(found.steps))
  np.testing.assert_allclose(found.norms[1], 0, atol=1e-6)  # minimax is what trains: as long as itself
  np.testing.assert_allclose(found.cosines[0], 0.9, atol=1e-6)
  assert lens_map.label(("hinge", "wasserstein", "a", "b")) == "hinge, wasserstein + 2"
  assert lens_map.look(records.read(study).panels[0].variants[0].counted) is None


def test_a_lens_whose_every_gradient_is_zero_has_a_map(study):
  variant = records.read(study).panels[1].variants[0]
  blank = [
    run._replace(rows=runs.Table(run.rows.steps, {n: 0 * x for n, x in run.rows.columns.items()}))
    for run in variant.runs
  ]
  found = lens_map.look(tuple(blank))
  assert np.isnan(found.norms).all()
  assert "<svg" in lens_map.norm_figure(found, "a")


def test_a_panel_of_two_fields_is_a_phase_diagram(tmp_path):
  group = [
    settings.resolve({"loss": loss, "discriminator_rate": rate, "seed": seed, "steps": 6000})
    for loss in LOSSES[:2] for rate in (1e-2, 1e-3) for seed in range(2)
  ]  # fmt: skip
  path = write_study(tmp_path / "s", [group])
  chart = charts.phase_diagram(compare(records.read(path).panels[0]), "a")
  assert chart.caption == "Verdicts by loss and discriminator_rate"
  for said in ("minimax", "non_saturating", "0.01", "0.001", "healthy"):
    assert f">{said}<" in chart.svg, said
  assert chart.svg.index(">0.001<") < chart.svg.index(">0.01<")
  assert "Verdicts by" in build(path).read_text()
  assert charts.phase_diagram(compare(records.read(path).panels[0])._replace(rows=()), "a") is None


def test_a_phase_diagram_of_plain_data_shows_its_holes_and_escapes():
  cells = [phase.Cell("1", "a", "healthy", "0.1"), phase.Cell("2", "<b>&", "stalled", "0.2", "3/5")]
  svg = phase.figure(cells, "ratio", "loss", "a")
  assert svg == phase.figure(cells, "ratio", "loss", "a")
  for state, there in (("healthy", True), ("stalled", True), ("oscillating", False)):
    assert (verdicts.LOOKS[state].colour.lower() in svg.lower()) is there
  assert "<b>" not in svg
  assert ">stalled 3/5<" in svg


SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def labelled_value(text):
  """The number that a tick label says: `2·10⁴` is 20,000."""
  mantissa, _, power = text.rpartition("·") if "10" in text and text[-1] in "⁰¹²³⁴⁵⁶⁷⁸⁹" else (text, "", "")
  return float(mantissa or 1) * 10.0 ** float(power[2:].translate(SUPERSCRIPTS) or 0)


def test_every_level_of_a_log_axis_is_labelled_as_what_it_is():
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  for y in (m * 10.0**e for m in (1, 2, 5) for e in range(-39, 39)):
    assert labelled_value(canvas.level_text(y)) == pytest.approx(y, rel=1e-9), y
  for low, high in ((3e3, 2.5e4), (4e4, 3e5), (2e-4, 9e-4), (1e-3, 2.0), (1e-9, 1e9), (9.9e3, 1.01e4)):
    drawing = Figure()
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    axes.plot([0, 1], [low, high])
    axes.set_yscale("log")
    canvas.log_axis(axes, 1.0)
    drawing.canvas.draw()
    bottom, top = axes.get_ylim()
    ticks = [(y, label.get_text()) for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)]
    shown = [(y, text) for y, text in ticks if bottom <= y <= top]
    assert len(shown) >= 2
    assert len({text for _, text in shown}) == len(shown)
    for y, text in shown:
      assert labelled_value(text) == pytest.approx(y, rel=1e-9)


def test_what_a_study_says_is_harmless_inside_a_figure():
  assert canvas.plain("$x$ <script>") == "?x? ?script?"
  assert canvas.plain("a" * 50, 10) == "a" * 9 + "…"


# Terminal and JSON


def test_the_terminal_table_fits_and_is_plain(study):
  text = terminal_table(study)
  assert max(map(len, text.splitlines())) <= 120
  assert text.isascii()
  for said in ("compare losses", "eight modes on a ring", "4/5", "wasserstein, seed 3, at step 2,350", "baseline"):
    assert said in text


def test_the_summary_is_strict_json_with_every_metric(study):
  found = summary(study)
  assert json.loads(json.dumps(found, allow_nan=False)) == found
  assert len(found["runs"]) == 51
  gone = next(run for run in found["runs"] if run["status"] == "diverged")
  assert gone["last_step"] == 2350
  assert gone["metrics"]["disc/auc"] is None  # NaN since it diverged
  rows, quality = (runs.read_table(study, table, "group-1") for table in ("rows", "quality"))
  run = next(r for r in found["runs"] if r["id"] == settings.identity(list(configs())[1][4]))
  assert run["metrics"]["gen/grad_norm"] == float(rows.columns["gen/grad_norm"][-1, 4])
  assert run["metrics"]["frechet/distance"] == float(quality.columns["frechet/distance"][-1, 4])
  assert run["metrics"]["modes/covered"] is None
  assert run["metrics"]["extra/unheard_of"] == 1
  assert run["panel"] == "a discriminator with a head start"
  assert {run["status"] for run in found["runs"]} == {"done", "diverged"}


# Pictures and bad input


def test_a_sheet_holds_the_images_pixel_by_pixel():
  from PIL import Image

  images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 1)).astype(np.uint8)
  png, shape = pictures.sheet(images)
  got = np.asarray(Image.open(io.BytesIO(png)))
  assert got.shape == shape == (2 * 4 - 1, 3 * 5 - 1)
  assert (got[4:7, 5:9] == images[4, ..., 0]).all()  # the fifth: second row, second column
  assert pictures.sheet(images.repeat(3, -1))[1] == shape
  with pytest.raises(BadInput, match=r"uint8 samples .* got float64"):
    pictures.sheet(np.zeros((2, 3, 4)))


def test_points_outside_of_the_box_are_counted():
  svg, outside = pictures.scatter(np.array([[0, 0], [9, 0], [np.nan, 0], [1, 1]]), np.array([0, 0, 1.0]), "red")
  assert outside == 2
  assert "M100.0 100.0" in svg
  assert "M200.0 0.0" in svg  # up is up


def test_bad_studies_are_refused_by_name(tmp_path, study):
  for read in (build, terminal_table, summary):
    with pytest.raises(BadInput, match="not a study"):
      read(tmp_path)
  assert not list(tmp_path.iterdir())
  path = write_study(tmp_path / "s", list(configs())[2:], until=1000)
  part = runs.parts(path, "rows", "group-0")[0][2]
  content = bytearray(part.read_bytes())
  content[len(content) // 3] ^= 1
  part.write_bytes(content)
  for text in (build(path).read_text(), terminal_table(path), json.dumps(summary(path)["remarks"])):
    assert f"damaged ({part.name}: " in text


def test_findings_say_of_how_many_runs_they_speak(tmp_path):
  """One seed of five never learns, one has no last value: the best is not the mean of five, nor do all end alike."""
  group = [settings.resolve({"steps": 500, "loss": loss, "seed": s}) for loss in LOSSES[:2] for s in range(5)]
  path = write_study(tmp_path / "s", [group], until=500, diverged=())
  for _, _, part in runs.parts(path, "quality", "group-0"):
    part.unlink()
  last = np.array([30, 31, 32, 33, 34, 10, 11, 495, 12, np.nan], np.float32)
  columns = {"frechet/distance": np.stack([np.full(10, 500, np.float32), np.full(10, 100, np.float32), last])}
  runs.append(path, "quality", "group-0", 0, 501, runs.Table(np.array([0, 250, 500]), columns))
  (panel,) = records.read(path).panels
  best, *others = wording.findings(compare(panel))
  assert best.startswith(
    "non_saturating has the lowest final Fréchet distance: 11.0 [8.75, 13.8] (5/5 runs, 1 did not halve the distance, "
    "1 with a last value that is not finite)"
  )
  ends = next(s for s in others if s.startswith("Verdict"))
  assert "every variant" not in ends
  assert "non_saturating (3 of 5 runs)" in ends


# The film


def test_a_film_shows_best_and_worst_seed_from_the_first_step_to_the_last(tmp_path):
  from PIL import Image

  group = [settings.resolve({"steps": 6000, "conditional": True, "loss": LOSSES[0], "seed": s}) for s in range(4)]
  path = write_study(tmp_path / "s", [group], diverged=((LOSSES[0], 2),))
  steps = range(0, 6001, 500)
  for step in steps:  # sample i of run m at this step: a grey of its own
    grey = step // 100 + 60 * np.arange(4)[:, None] + np.arange(64) % 10
    runs.write_arrays(
      path / "samples" / "group-0" / f"{step:09d}.npz",
      samples=np.broadcast_to(grey[..., None, None], (4, 64, 8, 8)).astype(np.uint8),
    )
  study = records.read(path)
  comparison = compare(study.panels[0])
  (row,) = comparison.rows
  distance = {run.seed: records.final(run, "frechet/distance") for run in row.variant.counted}
  picked = film.chosen(comparison, {row.place: canvas.style(0)})
  assert [run.seed for *_, run in picked] == [min(distance, key=distance.get), max(distance, key=distance.get)]
  frames = pictures.frames([run for *_, run in picked], film.FRAMES)
  best, worst = film.reels(picked, frames, {"group-0": 10}, None)
  assert best.steps == worst.steps
  assert (best.steps[0], best.steps[-1], len(best.steps)) == (0, 6000, film.FRAMES)
  assert set(best.steps) <= set(steps)
  assert best.note == f"best of 4 seeds, seed {picked[0][-1].seed}"
  picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(worst.uri.partition(",")[2]))))[..., 0]
  height, width = picture.shape[0], picture.shape[1] // film.FRAMES
  assert (height, width) == (10 * 9, 4 * 9)  # a row for each class, an edge after each image
  assert worst.width_per_height == width / height
  for frame, step in enumerate(worst.steps):
    for kind in range(10):
      cells = picture[9 * kind : 9 * kind + 8, frame * width : frame * width + 8]
      assert (cells == step // 100 + 60 * picked[1][-1].seed + kind).all()
  text = build(path).read_text()
  assert text.count('class="reel"') == 2
  assert "Each row of a frame is a class" not in text  # the manifest does not say how many classes there are


def test_a_damaged_frame_is_left_out_and_the_last_good_one_ends_the_film(tmp_path):
  path = write_study(tmp_path / "s", [next(configs())[:2]], until=6000, diverged=())
  for step in (0, 3000, 9000):
    runs.write_arrays(path / "samples" / "group-0" / f"{step:09d}.npz", samples=np.zeros((2, 64, 8, 8), np.uint8))
  for step in (3000, 9000):
    (path / "samples" / "group-0" / f"{step:09d}.npz").write_bytes(b"no")
  members = records.read(path).runs
  assert [step for step, _ in pictures.frames(members, 6)[members[1].id]] == [0, 6000]
  assert pictures.latest(members)[members[0].id][0] == 6000
  assert pictures.by_class(64, 10).tolist()[:7] == [0, 10, 20, 30, 40, 50, 1]


@pytest.mark.parametrize(("status", "end", "steps"), [("stopped", 4000, (0, 2000, 4000)), ("diverged", 30, (0, 30))])
def test_the_film_of_a_run_that_ended_early_ends_with_it(tmp_path, status, end, steps):
  """The files go on, because its group does; what it draws does not change."""
  path = write_study(tmp_path / "s", [next(configs())[:2]], until=6000, diverged=())
  for step in range(0, 6000, 2000):
    runs.write_arrays(path / "samples" / "group-0" / f"{step:09d}.npz", samples=np.zeros((2, 64, 8, 8), np.uint8))
  whole, other = records.read(path).runs
  early = other._replace(status=status, last_step=end)
  found = pictures.frames([whole, early], 6)
  assert tuple(step for step, _ in found[early.id]) == steps
  assert [step for step, _ in found[whole.id]] == [0, 2000, 4000, 6000]
  row = compare(records.read(path).panels[0]).rows[0]
  (reel,) = film.reels([(row, canvas.style(0), "", early)], found, {}, None)
  assert (reel.note, reel.steps) == (f"seed {early.seed}, {status}", steps)
  _, tile = pictures.pictures([(row.variant, early, "", canvas.style(0))], found, {})
  assert tile.note == f"seed {early.seed}, step {end:,}, {status}"


def test_of_the_runs_that_ended_early_those_that_went_farthest_come_first(tmp_path):
  group = next(configs())[:6]
  path = write_study(tmp_path / "s", [group], diverged=())
  ends = dict(zip(map(settings.identity, group), (300, 5, 5000, 40), strict=False))
  status = runs.read_status(path)
  status["groups"]["group-0"]["diverged"] = ends
  runs.write_json(path / "status.json", status)
  text = build(path).read_text()
  table = text[text.index('<section id="diverged">') :]
  found = re.findall(r"<tr><td><code>(\w+)</code>.*?<td>([\d,]+)</td></tr>", table)
  assert found == [(id, f"{end:,}") for id, end in sorted(ends.items(), key=lambda one: -one[1])]


def test_points_are_a_film_of_brightness():
  box = np.array([0.0, 0.0, 1.0])
  picture = film._points(np.array([[-0.99, 0.99], [-0.99, 0.99], [0.5, -0.5], [5, 5], [np.nan, 0]], np.float32), box)
  side = film.GRID
  assert picture[0, 0] > picture[int(0.75 * side), int(0.75 * side)] > 0  # up is up, and two are brighter than one
  assert np.count_nonzero(picture[:-1, :-1]) == 2
