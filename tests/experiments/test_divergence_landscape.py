"""The divergence landscape: values and gradients at the optimal discriminators, held to closed forms; its command."""

import csv
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from experiments import command
from experiments.studies.divergence_landscape import study as study
from gan_jax import losses
from gan_jax.core.errors import BadInput
from gan_jax.losses import CARDS, LOSSES
from gan_jax.settings import sweeps
from gan_jax.theory import critics, optimum
from tests.theory.test_optimal_discriminators import AT_ONE, SEPARABLE, closed_form, overlap

H = 1e-3
MUS = (0.5, 1 - H, 1.0, 1 + H, 2.0, 2.5)
ONE = MUS.index(1.0)
MU, OVERLAP = np.asarray(MUS), np.asarray([overlap(mu) for mu in MUS])
GRADIENTS = {  # ground truth 2, and E_q (q/p)^a = e^(a (a + 1) mu^2 / 2) for the others
  "minimax": MU * OVERLAP,
  "non_saturating": MU * (1 - OVERLAP),
  "non_saturating_smoothed": MU * (1 - OVERLAP),
  "wasserstein": np.ones(len(MUS)),
  "cumulant": MU,
  "f_gan_kl": MU,
  "f_gan_kl_practical": MU,
  "f_gan_reverse_kl": MU,
  "f_gan_reverse_kl_practical": MU * np.exp(MU**2),
  "f_gan_pearson": 2 * MU * np.exp(MU**2),
  "f_gan_pearson_practical": 2 * MU,
  "f_gan_neyman": 2 * MU * np.exp(MU**2),
  "f_gan_neyman_practical": 2 * MU * np.exp(3 * MU**2),
  "f_gan_squared_hellinger": MU / 2 * np.exp(-(MU**2) / 8),
  "f_gan_squared_hellinger_practical": MU / 2 * np.exp(3 * MU**2 / 8),
  "f_gan_jeffreys": 2 * MU,
  "f_gan_jeffreys_practical": MU + MU * np.exp(MU**2),
  "f_gan_jensen_shannon": MU * OVERLAP,
  "f_gan_alpha_above_one": MU * np.exp(MU**2),
}
STEPS = {
  "hinge",
  "energy_margin",
  "relativistic_hinge",
  "relativistic_hinge_zero_sum",
  "f_gan_total_variation",
  "f_gan_total_variation_practical",
}


@pytest.fixture(scope="module")
def rows():
  return {row.name: row for row in study.compute(list(LOSSES), MUS)}


def test_every_loss_has_finite_values_or_a_named_reason(rows):
  assert rows.keys() == LOSSES.keys()
  for name, row in rows.items():
    assert row.critic
    if row.values is None:
      assert row.critic.startswith(("none: ", "not "))
    else:
      assert all(column.shape == MU.shape and np.isfinite(column).all() for column in row.values), name
      assert (row.values.gradient >= 0).all(), name  # at its own optimum no loss pushes away
  assert {name for name, row in rows.items() if row.verdict == "no slope"} >= STEPS
  assert {name for name, row in rows.items() if row.values is None} >= set(critics.NO_OPTIMUM)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(rows, name):
  np.testing.assert_allclose(rows[name].values.gradient, GRADIENTS[name], rtol=1e-9)


@pytest.mark.parametrize("name", SEPARABLE)
def test_the_discriminators_least_loss(rows, name):
  expected = [closed_form(name, mu, losses.default_options(name)) for mu in (MUS[0], 1.0)]
  np.testing.assert_allclose(rows[name].values.discriminator[[0, ONE]], expected, atol=2e-7)


def test_published_values_at_distance_one(rows):
  more = {
    "wasserstein": (-1, 1),
    "relativistic": (0.491801708975, 1.491801708975),
    "relativistic_all_pairs": (0.491801708975, 1.491801708975),
    "relativistic_zero_sum": (0.491801708975, -0.491801708975),
    "cumulant": (-0.5, 0.25),
  }
  for name, expected in (AT_ONE | more).items():
    values = rows[name].values
    assert (values.discriminator[ONE], values.generator[ONE]) == pytest.approx(expected, abs=1e-9), name
  assert rows["minimax"].values.gradient[ONE] == pytest.approx(0.39797286718, abs=1e-10)


def test_in_a_zero_sum_game_the_gradient_is_that_of_the_divergence(rows):
  """The envelope theorem: minus the derivative of the discriminator's least loss in mu."""
  checked = 0
  for name, row in rows.items():
    if CARDS[name].zero_sum and row.verdict != "no slope" and row.values is not None:
      least = row.values.discriminator
      slope = (least[ONE - 1] - least[ONE + 1]) / (2 * H)
      assert row.values.gradient[ONE] == pytest.approx(slope, rel=2e-5), name
      checked += 1
  assert checked >= 14


def cells(mu, count):
  """P and Q of intervals of the line, symmetric about mu/2."""
  edges = np.concatenate([[-np.inf], np.linspace(-3.5, mu + 3.5, count - 1), [np.inf]])
  return np.diff(special.ndtr(edges)), np.diff(special.ndtr(edges - mu))


@pytest.mark.parametrize(
  ("name", "factor"), [("relativistic_least_squares", 1), ("relativistic_average_least_squares", 2)]
)
def test_squares_against_a_discriminator_of_free_numbers(rows, name, factor):
  """0.5 (Var r + Var f + factor (R - F - 1)^2), a quadratic form in the logits of 600 intervals."""
  p, q = cells(1.0, 600)
  form = np.diag(p + q) - np.outer(p, p) - np.outer(q, q) + factor * np.outer(p - q, p - q)
  best = np.linalg.lstsq(form, factor * (p - q), rcond=None)[0]
  least = 0.5 * (factor - factor * (p - q) @ best)
  assert rows[name].values.discriminator[ONE] == pytest.approx(least, abs=1e-4)
  assert least > rows[name].values.discriminator[ONE]  # intervals can only be worse


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_the_hinge_of_pairs_against_a_linear_program(rows, mu):
  count = 40
  p, q = cells(mu, count)
  i, j = np.divmod(np.arange(count**2), count)
  differences = np.eye(count)[j] - np.eye(count)[i]
  program = optimize.linprog(
    np.concatenate([np.zeros(count), np.outer(p, q).ravel()]),  # logits, and relu(1 - r_i + f_j)
    A_ub=np.hstack([differences, -np.eye(count**2)]),
    b_ub=-np.ones(count**2),
    bounds=[(-9, 9)] * count + [(0, None)] * count**2,
  )
  reached = rows["relativistic_hinge"].values.discriminator[MUS.index(mu)]
  assert program.fun - 2e-3 < reached < program.fun + 1e-9


@pytest.mark.parametrize(
  ("phi", "lift"), [(lambda t: np.logaddexp(0, -t), 12.0), (lambda t: np.maximum(0, 1 - t), 2.0)]
)
def test_average_losses_have_no_optimum(phi, lift):
  """A logit of lift / P on reals beyond s, minus that on fakes beyond s: the loss falls towards 0 with s."""
  reached = []
  for s in (4, 8, 16, 30):
    own, other = special.ndtr(-s), special.ndtr(-s - 1)  # of the real tail under p and q, mirrored for the fakes
    logits = np.array([lift / own, 0, -lift / own])
    p = np.array([own, 1 - own - other, other])
    real = p @ logits
    reached.append(2 * (p @ phi(logits + real)))  # r - F with F = -R; the mirrored half is the same
  assert reached == sorted(reached, reverse=True)
  assert reached[-1] < 2e-5


@pytest.mark.parametrize("name", critics.POPULATIONS)
def test_formulas_of_populations_are_the_registered_losses_of_a_batch(name, x64):
  r, f = jnp.array([0.3, -1.2, 2.5, 0.9, 0.1]), jnp.array([-0.4, 1.6, -2.8, 0.7, 0.0])
  mean = lambda values: jnp.mean(values, axis=1, keepdims=True)  # noqa: E731
  discriminator, generator, slope = critics.POPULATIONS[name](r[None], f[None], mean, mean)
  loss = losses.get(name)
  assert float(discriminator[0, 0]) == pytest.approx(float(loss.discriminator(r, f).mean()), abs=1e-12)
  assert float(generator[0, 0]) == pytest.approx(float(loss.generator(r, f).mean()), abs=1e-12)
  expected = jax.grad(lambda fake: loss.generator(r, fake).sum())(f)
  np.testing.assert_allclose(slope(f[None])[0], expected, atol=1e-12)


@pytest.mark.parametrize("name", ["minimax", "f_gan_kl"])
def test_without_a_closed_form_the_optimum_is_found(name, rows, monkeypatch, x64):
  monkeypatch.setitem(CARDS, name, CARDS[name]._replace(optimal_logit_at=None))
  found = optimum.landscape(name, MUS)
  assert found.critic == "found by bisection"
  for column, expected in zip(found.values, rows[name].values, strict=True):
    np.testing.assert_allclose(column, expected, rtol=1e-8)


def test_without_an_optimum_the_reason_is_named(monkeypatch, x64):
  monkeypatch.delitem(critics.CRITICS, "wasserstein")
  assert "unbounded" in optimum.landscape("wasserstein", MUS).critic
  monkeypatch.delitem(critics.CRITICS, "relativistic_least_squares")
  assert "no closed form" in optimum.landscape("relativistic_least_squares", MUS).critic


@pytest.mark.parametrize(
  ("gradient", "verdict"),
  [
    (lambda mu: mu * np.exp(-(mu**2) / 8), "saturates"),
    (lambda mu: np.where(mu > 5, 0, 1.0), "saturates"),
    (lambda mu: 1 + 1 / mu, "bounded"),
    (lambda mu: mu**2, "grows"),
    (lambda mu: np.exp(mu), "explodes"),
    (lambda mu: 2 - mu, "wrong sign"),
    (lambda mu: 0 * mu, "no slope"),
  ],
)
def test_verdicts(gradient, verdict):
  mu = np.array([1.0, 4.0, 7.0, 8.0])
  assert study.judge(gradient(mu), mu)[1] == verdict


def test_the_verdicts_of_the_config():
  names, distances = study.checked(sweeps.read(str(study.CONFIG)))
  assert set(names) == set(LOSSES)
  found = {
    row.name: row for row in study.compute(["minimax", "non_saturating", "wasserstein", "f_gan_pearson"], distances)
  }
  assert [row.verdict for row in found.values()] == ["saturates", "grows", "bounded", "explodes"]
  assert found["f_gan_pearson"].seen_verdict == "saturates"  # its pull lives on fakes that no batch has


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    (["--config.losses=hing"], "unknown loss 'hing'; did you mean 'hinge'?"),
    (["--config.distances=0,1"], "expected numbers greater than 0 and at most 10, got 0.0"),
    (["--config.distances=1,inf"], "got inf"),
    (["--config.distances=1,nan"], "got nan"),
    (["--config.distances="], "at least two for a trend, got []"),
    (["--config.distances=1,x"], "'distances' expected a list of float"),
    (["--config.distance=1,2"], "unknown config field 'distance'; did you mean 'distances'?"),
    (["--config.losses.a=1"], "unknown config field 'losses.a'"),
    (["minimax"], "expected --config.field=value, got 'minimax'"),
    (["--out", "/dev/null/x"], "output directory /dev/null/x cannot be written"),
  ],
)
def test_bad_input_ends_in_one_sentence(arguments, words, monkeypatch, capsys):
  monkeypatch.setattr(study, "compute", lambda *_: pytest.fail("computed before the input was checked"))
  monkeypatch.setattr(sys, "argv", ["divergence_landscape", *arguments])
  with pytest.raises(SystemExit) as caught:
    command.run(study.main)
  error = capsys.readouterr().err
  assert caught.value.code == 2
  assert words in error
  assert error.count("\n") == 1


def test_the_command_writes_its_files(tmp_path, capsys):
  names = ["minimax", "hinge", "relativistic_average"]
  study.main([f"--config.losses={','.join(names)}", "--config.distances=2,1", "--out", str(tmp_path / "out")])
  printed = capsys.readouterr().out
  for file in ("table.md", "table.csv", "landscape.svg"):
    assert str(tmp_path / "out" / file) in printed
  with open(tmp_path / "out" / "table.csv") as file:
    read = list(csv.DictReader(file))
  assert [(row["loss"], row["distance"]) for row in read[:4]] == [(n, d) for n in names[:2] for d in ("1.0", "2.0")]
  assert float(read[0]["gradient"]) == pytest.approx(overlap(1.0), abs=1e-12)
  assert (read[0]["pull"], read[2]["pull"], read[4]["verdict"]) == ("towards", "none", "no optimum")
  markdown = (tmp_path / "out" / "table.md").read_text()
  assert all(f"| `{name}` |" in markdown for name in names)
  assert "![The landscape](landscape.svg)" in markdown
  assert "reason in the table: `relativistic_average`." in markdown
  figure = (tmp_path / "out" / "landscape.svg").read_text()
  assert "average: no optimum" in figure
  assert "hinge: 0" in figure


def test_a_config_of_another_schema_is_read(tmp_path):
  path = tmp_path / "theory.py"
  path.write_text("def get_config():\n  return {'rate': 0.5, 'names': [], 'sizes': [1, 2], 'weights': {'a': 1.0}}\n")
  read = sweeps.read(
    str(path), ["--config.rate=1", "--config.names=x, y", "--config.sizes=[3]", "--config.weights.b=2"]
  )
  assert read == {"rate": 1.0, "names": ["x", "y"], "sizes": [3], "weights": {"a": 1.0, "b": 2.0}}
  assert sweeps.read(str(path)) == {"rate": 0.5, "names": [], "sizes": [1, 2], "weights": {"a": 1.0}}
  with pytest.raises(BadInput, match=r"unknown config field 'rte'; did you mean 'rate'"):
    sweeps.read(str(path), ["--config.rte=1"])
  with pytest.raises(BadInput, match=r"'sizes' expected a list of int \(as \[1, 2\]\), got '1.5'"):
    sweeps.read(str(path), ["--config.sizes=1.5"])
