"""Draws: their distributions, how even a Sobol sequence is, and that the same arguments give the same draws."""

import json

import numpy as np
import pytest
from scipy import stats

from gan_jax import runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.runner import standing
from gan_jax.settings import draws, roles, sweeps

BETA = "optimizer_options.beta1"
BOTH = (draws.random, draws.sobol)


def column(sweep, name):
  return np.array([draw[name] for draw in sweep])


@pytest.mark.parametrize("draw", BOTH, ids=lambda f: f.__name__)
def test_each_draw_has_the_distribution_that_it_names(draw):
  made = draw(
    4096,
    {BETA: draws.uniform(-0.5, 0.9)},
    generator_rate=draws.log_uniform(1e-4, 1e-2),
    n_critic=draws.choice([1, 2, 5]),
    seed=3,
  )
  assert stats.kstest(column(made, BETA), stats.uniform(-0.5, 1.4).cdf).pvalue > 1e-3
  assert stats.kstest(column(made, "generator_rate"), stats.loguniform(1e-4, 1e-2).cdf).pvalue > 1e-3
  counts = np.unique(column(made, "n_critic"), return_counts=True)
  assert counts[0].tolist() == [1, 2, 5]
  assert stats.chisquare(counts[1]).pvalue > 1e-3
  ranks = [stats.spearmanr(column(made, BETA), column(made, name))[0] for name in ("generator_rate", "n_critic")]
  assert np.abs(ranks).max() < 0.06  # fields are independent: four standard errors
  assert column(made, "generator_rate").min() >= 1e-4
  assert column(made, "generator_rate").max() <= 1e-2


@pytest.mark.parametrize("n", [16, 64])
def test_a_sobol_sequence_has_one_draw_in_each_of_n_intervals_of_every_field(n):
  """Its first 2^m points are a net: every interval [i, i + 1) / 2^m of every coordinate holds exactly one (Sobol' 1967)."""
  made = draws.sobol(n, {f"f{i}": draws.uniform(0, n) for i in range(6)}, seed=11)
  for i in range(6):
    assert sorted(np.minimum(column(made, f"f{i}"), n - 1e-3).astype(int)) == list(range(n))
  random = draws.random(n, {"f0": draws.uniform(0, n)}, seed=11)
  assert len({int(x) for x in column(random, "f0")}) < n  # independent draws leave about a third of them empty


@pytest.mark.parametrize("draw", BOTH, ids=lambda f: f.__name__)
def test_draws_depend_on_the_arguments_alone_and_a_study_that_grows_keeps_its_draws(draw):
  fields = {"generator_rate": draws.log_uniform(1e-4, 1e-2), BETA: draws.uniform(0, 1)}
  made = draw(20, fields, seed=5)
  assert draw(20, fields, seed=5) == made
  assert draw(70, fields, seed=5)[:20] == made
  assert draw(20, fields, seed=6) != made
  assert len({json.dumps(one) for one in made}) == 20


def test_a_random_fields_draws_do_not_depend_on_the_other_fields():
  rate, beta = draws.log_uniform(1e-4, 1e-2), draws.uniform(0, 1)
  alone = draws.random(9, generator_rate=rate, seed=1)
  with_beta = draws.random(9, {BETA: beta}, generator_rate=rate, seed=1)
  assert column(alone, "generator_rate").tolist() == column(with_beta, "generator_rate").tolist()


def test_every_loss_gets_the_same_draws_and_each_draw_seeds_of_its_own():
  s = sweeps.composers(sweeps.no_names)
  made = s.sobol(4, generator_rate=s.log_uniform(1e-4, 1e-2), runs=2)
  assert column(made, "seed").tolist() == list(range(8))
  assert column(made, "generator_rate")[::2].tolist() == column(made, "generator_rate")[1::2].tolist()
  swept = sweeps.expand({}, s.product(s.param("loss", ["minimax", "hinge"]), made), {})
  by_loss = {
    loss: [(c["seed"], c["generator_rate"]) for c in swept if c["loss"] == loss] for loss in ("minimax", "hinge")
  }
  assert len(swept) == 16
  assert by_loss["minimax"] == by_loss["hinge"]


def test_a_drawn_number_is_the_number_that_a_page_shows():
  for draw in draws.random(50, a=draws.log_uniform(1e-7, 1e3), b=draws.uniform(0.9, 0.999)):
    assert float(f"{draw['a']:.5g}") == draw["a"]
    assert round(draw["b"], 8) == draw["b"]


RATE = draws.uniform(0, 1)


@pytest.mark.parametrize(
  ("call", "words"),
  [
    (lambda: draws.uniform(1, 1), "uniform expected finite numbers, the lower one first, got 1 and 1"),
    (lambda: draws.uniform("a", 1), "uniform expected two numbers, got 'a' and 1"),
    (lambda: draws.uniform("1", "2"), "uniform expected two numbers, got '1' and '2'"),
    (lambda: draws.log_uniform(False, True), "log_uniform expected two numbers, got False and True"),
    (lambda: draws.uniform(1, 1 + 1e-9), "expected ends that differ, and are finite, in single precision"),
    (lambda: draws.log_uniform(1e-60, 1e-50), "expected ends that differ, and are finite, in single precision"),
    (lambda: draws.uniform(0, 1e39), "expected ends that differ, and are finite, in single precision"),
    (lambda: draws.uniform(0, float("inf")), "uniform expected finite numbers"),
    (lambda: draws.uniform(-1e308, 1e308), "uniform expected finite numbers"),
    (lambda: draws.log_uniform(0, 1), "log_uniform expected numbers above 0, got 0"),
    (lambda: draws.choice("minimax"), "choice expected a list of values, got 'minimax'"),
    (lambda: draws.choice({"hinge", "minimax"}), "choice expected a list of values, got {"),
    (
      lambda: draws.sobol(4, {"a.b": draws.uniform(0, 1), "a": draws.choice([{"b": 1}])}),
      "sobol expected each field once, by its name, got 'a'",
    ),
    (lambda: draws.choice([]), "choice expected 1 to 100,000 values, got none"),
    (lambda: draws.random(0, a=RATE), "random expected n to be a whole number from 1 to 100,000, got 0"),
    (lambda: draws.random(2.0, a=RATE), "random expected n to be a whole number"),
    (lambda: draws.sobol(100_001, a=RATE), "sobol expected n to be a whole number from 1 to 100,000, got 100001"),
    (lambda: draws.sobol(60_000, a=RATE, runs=2), "sobol expected at most 100,000 runs, got 60,000 draws of 2 runs"),
    (lambda: draws.random(4, a=RATE, seed=RATE), "the training's seeds are given by runs"),
    (lambda: draws.random(4, a=RATE, seed=-1), "random expected seed to be a whole number from 0"),
    (lambda: draws.random(4), "random expected at least one field to draw, got none"),
    (lambda: draws.random(4, [1]), "random expected a dict of fields and how each is drawn, got [1]"),
    (lambda: draws.random(4, {"a": RATE}, a=RATE), "random expected each field once, by its name, got 'a'"),
    (lambda: draws.random(4, {"seed": RATE}, runs=2), "random expected each field once"),
    (lambda: draws.random(4, a=(0, 1)), "random expected a to be s.uniform(low, high), s.log_uniform"),
  ],
)
def test_what_cannot_be_drawn_is_said_in_one_sentence(call, words):
  with pytest.raises(BadInput) as caught:
    call()
  assert words in str(caught.value)


# What the varying fields are for

STUDY = """
def get_config():
  return {"penalty": "r1"}

def sweep(s):
  draws = s.random(3, generator_rate=s.log_uniform(1e-4, 1e-2), penalty_weight=s.uniform(0, 1), runs=2)
  return s.product(s.param("loss", ["minimax", "hinge"]), draws)

def roles():
  return ROLES
"""


def planned(tmp_path, said, *arguments):
  (tmp_path / "study.py").write_text(STUDY.replace("ROLES", repr(said)))
  return sweeps.plan(str(tmp_path / "study.py"), arguments)


def test_a_config_says_what_its_fields_are_for(tmp_path):
  said = {"compared": ["loss"], "drawn": ["generator_rate", "penalty_weight"]}
  assert planned(tmp_path, said).roles == {**said, "repeated": ["seed"]}
  assert planned(tmp_path, said, "--config.loss=hinge").roles == {**said, "repeated": ["seed"]}  # the file's own runs
  assert len(planned(tmp_path, said).swept) == 12
  (tmp_path / "plain.py").write_text("def get_config():\n  return {}\n")
  assert sweeps.plan(str(tmp_path / "plain.py")).roles == {}


@pytest.mark.parametrize(
  ("said", "words"),
  [
    (["loss"], "expected a dict of lists of fields, got ['loss']"),
    ({"varied": ["loss"]}, "unknown role of fields 'varied'"),
    ({"drawn": "generator_rate"}, "expected a list of names of fields as 'drawn', got 'generator_rate'"),
    ({"drawn": ["generator_rat"]}, "did you mean 'generator_rate'?"),
    (
      {"drawn": ["steps"]},
      "expected fields in which the runs differ (loss, penalty_weight, generator_rate), got 'steps'",
    ),
    ({"drawn": ["loss"], "compared": ["loss"]}, "got 'loss' as drawn and as compared"),
    ({"drawn": ["generator_rate", "seed"]}, "expected the seed to be repeated, which it always is, got it as drawn"),
    (
      {"drawn": ["generator_rate"], "repeated": ["loss"]},
      "expected the loss to be compared or drawn, since losses are not averaged, got it as repeated",
    ),
    ({"compared": ["loss"]}, "expected at least one drawn field, got none"),
  ],
)
def test_roles_that_cannot_be(tmp_path, said, words):
  with pytest.raises(BadInput) as caught:
    planned(tmp_path, said)
  assert words in str(caught.value)


def test_roles_are_in_the_manifest_and_may_be_changed_later(tmp_path):
  config = settings.resolve({})
  member = {"id": settings.identity(config), "config": config}
  first = {"format": runs.FORMAT, "study": "s", "roles": {}, "groups": [{"name": "group-0", "members": [member]}]}
  runs.write_manifest(tmp_path, first)
  said = roles.checked({"drawn": ["loss"]}, "roles()", [config, settings.resolve({"loss": "hinge"})])
  standing.with_roles(tmp_path, runs.read_manifest(tmp_path), said)
  assert runs.read_manifest(tmp_path)["roles"] == {"compared": [], "drawn": ["loss"], "repeated": ["seed"]}
  runs.write_manifest(tmp_path, {**first, "roles": {"drawn": [1]}})
  with pytest.raises(BadInput, match="roles"):
    runs.read_manifest(tmp_path)
