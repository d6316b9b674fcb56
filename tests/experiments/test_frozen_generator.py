"""The study `frozen_generator` at a size of seconds: what stands still, what is fresh, and which distribution is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.frozen_generator import figure as frozen
from experiments.studies.frozen_generator import study as study
from gan_jax import data, game
from gan_jax.core.errors import BadInput
from gan_jax.core.norms import flat
from gan_jax.game.state import initial_state
from gan_jax.report import records
from gan_jax.report.tails import standardised, tails
from gan_jax.runner import grouping
from gan_jax.settings import sweeps

SMALL = {
  "datasets": "ring",
  "stages": "2,4",
  "retraining": "150",
  "seeds": "2",
  "width": "8",
  "batch_size": "8",
  "lens": "minimax+non_saturating+wasserstein",
  "batches": "12",
}
ARGUMENTS = [f"--config.{name}={value}" for name, value in SMALL.items()]


@pytest.fixture(scope="module")
def config():
  return study.checked(sweeps.read(str(study.CONFIG), ARGUMENTS))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """(directory, what the second phase was given, began with and ended at) of one small study."""
  seen, retrain, out = {}, study.retrain, tmp_path_factory.mktemp("frozen") / "out"

  def watched(program, frozen, group, directory):
    seen["start"] = jax.device_get(study.start(program, frozen))
    state = retrain(program, frozen, group, directory)
    seen.update(group=group, generators=frozen, end=jax.device_get(state))
    return state

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(study, "retrain", watched)
    study.main([*ARGUMENTS, "--out", str(out)])
  return out, seen


@pytest.fixture(scope="module")
def phases(written):
  return tuple(written[1][key] for key in ("group", "generators", "start", "end"))


def leaves(tree):
  return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_the_frozen_generator_does_not_change_by_a_bit(phases):
  _, generators, start, end = phases
  for tree in (start.gen_params, end.gen_params, end.gen_ema):
    assert all((a == b).all() for a, b in zip(leaves(generators), leaves(tree), strict=True))
  assert (end.counts.generator_updates == 0).all()
  assert (end.counts.discriminator_updates == 150).all()
  assert not any((a == b).all() for a, b in zip(leaves(start.disc_params), leaves(end.disc_params), strict=True))


def test_the_stages_are_stages_of_one_training(phases, config):
  _, generators, _, _ = phases
  first = leaves(generators)[-1]
  assert first.shape[0] == 4  # stages * seeds
  assert not (first[:2] == first[2:]).all()


def test_the_retrained_discriminator_is_fresh(phases, config):
  """It is its own seed's initial one, the same against every stage, with an empty memory, and not the first phase's."""
  group, _, start, _ = phases
  dataset = data.load("ring")
  built = game.build(group.spec, dataset)
  member = lambda hypers, i: jax.tree.map(lambda x: jnp.asarray(x[i]), hypers)  # noqa: E731
  init = jax.jit(lambda hypers: initial_state(hypers, built))
  (before,) = grouping.group(study.generator_runs(config, "ring"))
  for i in range(4):
    expected, first_phase = (jax.device_get(init(member(h, i % 2))) for h in (group.hypers, before.hypers))
    got = jax.tree.map(lambda x, i=i: x[i], (start.disc_params, start.disc_opt))
    want = (expected.disc_params, expected.disc_opt)
    assert all((a == b).all() for a, b in zip(leaves(got), leaves(want), strict=True))
    assert not (flat(got[0]) == flat(first_phase.disc_params)).all()


def test_files_and_findings(written):
  out, _ = written
  assert (out / "frozen_generator.png").read_bytes().startswith(b"\x89PNG")
  text = (out / "table.md").read_text()
  assert len([line for line in text.splitlines() if line.startswith("| ring |")]) == 2
  assert "| `wasserstein` |" in text
  stages = frozen.read(out)
  assert [stage.title for stage in stages] == ["generator of 2 steps", "generator of 4 steps"]
  assert stages[0].values.shape == (2, 2, 12, study.COORDINATES)
  run = records.read(out).runs[0]
  assert list(run.rows.steps[:3]) == [0, 2, 4]
  # One loss, in use and through the lens.
  np.testing.assert_allclose(run.rows.columns["gen/grad_norm"], run.rows.columns["lens/norm/non_saturating"], rtol=1e-4)
  # The same command again only draws.
  study.main([*ARGUMENTS, "--out", str(out)])


def test_the_comparison_recognises_a_cauchy_and_a_gaussian_sample():
  random = np.random.default_rng(0)
  gaussian, cauchy = 3 + 0.01 * random.standard_normal(2000), -1 + 1e-6 * random.standard_cauchy(2000)
  told = tails(gaussian)
  assert told.advantage == pytest.approx(-0.1825, abs=0.03)
  assert told.gaussian < 0.03 < 0.06 < told.cauchy
  told = tails(cauchy)
  assert told.advantage > 1
  assert told.cauchy < 0.03 < 0.2 < told.gaussian
  with pytest.raises(ValueError, match="at least 10 values"):
    tails(np.zeros(20))


def test_the_theorem_by_its_own_assumptions_gives_a_cauchy():
  """Theorem 2.6: -slope / value with independent centred Gaussian slope and value is Cauchy distributed."""
  random = np.random.default_rng(1)
  ratio = -random.standard_normal(2000) / random.standard_normal(2000)
  told = tails(ratio)
  assert told.advantage > 1
  assert told.cauchy < 0.03


def test_standardised_columns_have_unit_quartiles():
  x = np.random.default_rng(2).standard_normal((1001, 3)) * [1.0, 10.0, 1e-6] + 5
  np.testing.assert_allclose(np.percentile(standardised(x), (25, 50, 75), axis=0)[1], 0, atol=1e-9)
  np.testing.assert_allclose(np.diff(np.percentile(standardised(x), (25, 75), axis=0), axis=0), 2, rtol=1e-9)


@pytest.mark.parametrize(
  ("argument", "says"),
  [
    ("--config.stages=4,2", "stages expected rising"),
    ("--config.retraining=120", "retraining expected 100 steps"),
    ("--config.lens=hinge", "lens expected 'all'"),
    ("--config.seeds=0", "seeds expected at least 1"),
  ],
)
def test_refused(argument, says):
  with pytest.raises(BadInput, match=says):
    study.checked(sweeps.read(str(study.CONFIG), ["--config.datasets=ring", argument]))


def test_without_the_files_of_mnist_the_others_remain(tmp_path, capsys):
  arguments = ["--config.datasets=mnist,ring", f"--config.mnist_dir={tmp_path}"]
  assert study.checked(sweeps.read(str(study.CONFIG), arguments))["datasets"] == ["ring"]
  assert "without MNIST" in capsys.readouterr().out
