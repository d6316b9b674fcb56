"""The study `frozen_generator` at a size of seconds: what stands still, what is fresh, and which distribution is seen."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.frozen_generator import figure, gradients, study
from experiments.studies.frozen_generator.tails import standardised, tails
from gan_jax.core.errors import BadInput
from gan_jax.core.norms import flat
from gan_jax.game.state import initial_state
from gan_jax.metrics import Quality
from gan_jax.runner import grouping, population, restore
from gan_jax.runner import study as runner_study
from gan_jax.settings import sweeps
from tests.support.pages import undrawn

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
UNASKED = Quality(lambda draw, count, near: draw(jnp.arange(2)).mean(), dict, {}, {})
ARGUMENTS = [f"--config.{name}={value}" for name, value in SMALL.items()]


@pytest.fixture(scope="module", autouse=True)
def without_pages():
  """With a fifth of the coordinates, each of which is fitted by two families of distributions; networks of one layer."""
  base = study.base

  def shallow(config, dataset):
    found = base(config, dataset)
    return found | {"model_options": found["model_options"] | ({"depth": 1} if found["model"] == "mlp" else {})}

  with pytest.MonkeyPatch.context() as patch, undrawn():
    patch.setattr(gradients, "COORDINATES", 8)
    patch.setattr(study, "base", shallow)
    yield


@pytest.fixture(scope="module")
def config():
  return study.checked(sweeps.read(str(study.CONFIG), ARGUMENTS))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """The directory of one small study."""
  out = tmp_path_factory.mktemp("frozen") / "out"
  study.main([*ARGUMENTS, "--out", str(out)])
  return out


@pytest.fixture(scope="module")
def generators(written):
  """Of both stages and both seeds, stage by stage: leaves [4, ...]."""
  found = [restore.group(written / study.GENERATORS, f"group-{i}") for i in (0, 1)]
  assert [one.group.spec.steps for one in found] == [2, 4]
  return jax.tree.map(lambda *x: np.concatenate(x), *(one.state.gen_params for one in found))


@pytest.fixture(scope="module")
def phases(written, config):
  """(the group of the long runs at its end, its program, the state that it begins with)."""
  end = restore.group(written / figure.DISCRIMINATORS, "group-0")
  program = population.compile_group(end.group, end.game, end.dataset, UNASKED)
  program = runner_study._begun(program, study.begin(config, written, end.group))
  start = jax.device_get(program.init(program.hypers))
  return end, program, jax.tree.map(lambda x: x[: program.members], start)


def leaves(tree):
  return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_the_frozen_generator_does_not_change_by_a_bit(phases, generators):
  end, _, start = phases
  for tree in (start.gen_params, end.state.gen_params, end.state.gen_ema):
    assert all((a == b).all() for a, b in zip(leaves(generators), leaves(tree), strict=True))
  assert (end.state.counts.generator_updates == 0).all()
  assert (end.state.counts.discriminator_updates == 150).all()
  pairs = zip(leaves(start.disc_params), leaves(end.state.disc_params), strict=True)
  assert not any((a == b).all() for a, b in pairs)


def test_the_stages_are_stages_of_one_training(written, generators):
  """What the shorter run ends with is what the longer one has at that step: training knows nothing of its length."""
  first = leaves(generators)[-1]
  assert first.shape[0] == 4  # stages * seeds
  assert not (first[:2] == first[2:]).all()
  short, long = (restore.group(written / study.GENERATORS, f"group-{i}") for i in (0, 1))
  program = population.compile_group(long.group, long.game, long.dataset, UNASKED)
  state, _ = program.advance(program.hypers, program.init(program.hypers), program.data, 1, 2)
  for a, b in zip(leaves(short.state.gen_params), leaves(state.gen_params), strict=True):
    np.testing.assert_allclose(a, b[:2], rtol=1e-4, atol=1e-6)


def test_the_discriminator_is_fresh(phases, config):
  """It is its own seed's initial one, the same against every stage, with an empty memory, and not the generators' own."""
  end, _, start = phases
  init = jax.jit(lambda hypers: initial_state(hypers, end.game))
  before = grouping.group(study.generator_runs(config))[0]
  member = lambda hypers, i: jax.tree.map(lambda x: jnp.asarray(x[i]), hypers)  # noqa: E731
  for i in range(4):
    expected, of_generator = (jax.device_get(init(member(h, i % 2))) for h in (end.group.hypers, before.hypers))
    got = jax.tree.map(lambda x, i=i: x[i], (start.disc_params, start.disc_opt))
    want = (expected.disc_params, expected.disc_opt)
    assert all((a == b).all() for a, b in zip(leaves(got), leaves(want), strict=True))
    assert not (flat(got[0]) == flat(of_generator.disc_params)).all()


def test_the_runs_are_those_of_the_production_program_from_that_state(phases):
  """To the bit: the runner began where `begin` says, and nowhere else."""
  end, program, _ = phases
  state, _ = program.advance(program.hypers, program.init(program.hypers), program.data, 3, 50)
  for a, b in zip(leaves(end.state), leaves(state), strict=True):
    np.testing.assert_array_equal(a, b[: program.members])


def test_files_and_findings(written, capsys):
  assert (written / "frozen_generator.png").read_bytes().startswith(b"\x89PNG")
  text = (written / "table.md").read_text()
  assert len([line for line in text.splitlines() if line.startswith("| ring |")]) == 2
  assert "| `wasserstein` |" in text
  stages = figure.read(written)
  assert [stage.title for stage in stages] == ["generator of 2 steps", "generator of 4 steps"]
  assert stages[0].values.shape == (2, 2, 12, gradients.COORDINATES)
  run = stages[0].runs[0]
  assert list(run.rows.steps) == [*range(0, 100, 2), 100]
  # One loss, in use and through the lens.
  np.testing.assert_allclose(run.rows.columns["gen/grad_norm"], run.rows.columns["lens/norm/non_saturating"], rtol=1e-4)
  # The same command again only draws.
  study.main([*ARGUMENTS, "--out", str(written)])
  assert capsys.readouterr().out.count("is complete") == 2


def test_a_study_that_was_stopped_goes_on(written, tmp_path):
  """The discriminators' checkpoints are gone, and half of their rows: they are trained again, to the same bits."""
  out = tmp_path / "out"
  shutil.copytree(written, out)
  there = out / figure.DISCRIMINATORS
  before = restore.group(there, "group-0").state
  shutil.rmtree(there / "checkpoints" / "group-0")
  (there / "status.json").unlink()
  (there / "status.copy.json").unlink()
  (there / "gradients" / "ring.npz").unlink()
  study.main([*ARGUMENTS, "--out", str(out)])
  after = restore.group(there, "group-0").state
  assert all((a == b).all() for a, b in zip(leaves(before), leaves(after), strict=True))
  assert not (there / "set_aside").exists()  # what was computed again is what was there
  old, new = (dict(np.load(o / figure.DISCRIMINATORS / "gradients" / "ring.npz")) for o in (written, out))
  assert all((old[name] == new[name]).all() for name in old)


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
    ("--config.datasets=images", "'images' expected --config.pictures"),
  ],
)
def test_refused(argument, says):
  with pytest.raises(BadInput, match=says):
    study.checked(sweeps.read(str(study.CONFIG), ["--config.datasets=ring", argument]))


def test_without_the_files_of_mnist_the_others_remain(tmp_path, capsys):
  arguments = ["--config.datasets=mnist,ring", f"--config.mnist_dir={tmp_path}"]
  assert study.checked(sweeps.read(str(study.CONFIG), arguments))["datasets"] == ["ring"]
  assert "without MNIST" in capsys.readouterr().out


def test_pictures_are_a_further_dataset_with_convolutional_players(tmp_path):
  config = study.checked(sweeps.read(str(study.CONFIG), ["--config.datasets=ring", f"--config.pictures={tmp_path}"]))
  assert config["datasets"] == ["ring", "images"]
  runs = {run["dataset"]: run for run in study.generator_runs(config)}
  assert {name: run["model"] for name, run in runs.items()} == {"ring": "mlp", "images": "dcgan"}
  assert runs["images"]["dataset_options"]["path"] == str(tmp_path)
