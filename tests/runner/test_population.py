"""Groups, plans and compiled populations."""

import itertools
import os
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest

from gan_jax import data, game, metrics, settings
from gan_jax.core import types
from gan_jax.core.errors import BadInput
from gan_jax.data.dataset import decode_bytes
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.metrics import Quality
from gan_jax.metrics.chunks import in_chunks
from gan_jax.runner import blocks, evaluation, grouping, population
from gan_jax.runs import plan
from tests.conftest import ROOT

SMALL = {
  "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
  "latent_size": 4,
  "batch_size": 16,
}
NO_QUALITY = Quality(lambda draw, count, near: draw(np.arange(4)).mean(), lambda found: {"mean": found}, {}, {})


def configs(*overrides):
  return [settings.resolve(SMALL, override) for override in overrides]


def test_only_static_fields_divide_a_sweep():
  traced = configs(
    {"seed": 1}, {"loss": "hinge"}, {"generator_rate": 1e-3}, {"optimizer_options": {"beta1": 0.0}},
    {"ema_decay": 0.9}, {"penalty_weight": 2.0},
    {"head_start": 5}, {"panel": "another"}, {"loss": "least_squares", "loss_options": {"target": 0.5}},
  )  # fmt: skip
  (one,) = grouping.group(traced)
  assert one.spec.losses == ("non_saturating", "hinge", "least_squares")
  assert one.hypers.loss_index.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 2]
  assert one.hypers.loss_options[2]["target"].tolist() == [1.0] * 8 + [0.5]
  groups = grouping.group(
    [*traced, *configs({"steps": 7}, {"penalty": "r1"}, {"n_critic": 2}, {"steps": 7, "seed": 3})]
  )
  assert [len(g.configs) for g in groups] == [9, 2, 1, 1]
  assert len({i for g in groups for i in g.ids}) == 13


@pytest.mark.parametrize(
  ("override", "words"),
  [
    ({"loss": "hing"}, "unknown loss 'hing'; did you mean 'hinge'?"),
    ({"penalty": "r11"}, "unknown penalty"),
    ({"model": "mpl"}, "unknown model 'mpl'; did you mean 'mlp'?"),
    ({"optimizer": "adma"}, "unknown optimizer 'adma'; did you mean 'adam'?"),
    ({"loss_options": {"target": 1.0}}, "has no options"),
  ],
)
def test_what_cannot_be_grouped(override, words):
  with pytest.raises(BadInput) as caught:
    grouping.group(configs(override))
  assert words in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_batch_larger_than_the_data_is_refused():
  (group,) = grouping.group(configs({"batch_size": 2000}))
  with pytest.raises(BadInput, match=r"at most the 1797 examples of dataset 'digits', got 2000"):
    game.build(group.spec, data.load("digits"))


def test_a_penalty_on_slopes_is_refused_where_the_batch_is_coupled():
  (group,) = grouping.group(configs({"model_options.discriminator_norm": "batch", "penalty": "r1"}))
  with pytest.raises(BadInput, match="'r1' is per sample, but the discriminator of model 'mlp' couples the examples"):
    game.build(group.spec, data.load("digits"))
  game.build(group.spec._replace(penalty="none", penalty_options=()), data.load("digits"))


@pytest.mark.parametrize("steps", [1, 2, 49, 50, 51, 120, 1000, 6000])
@pytest.mark.parametrize("probe", [1, 7, 50])
@pytest.mark.parametrize("cadence", [(1000, 1000), (100, 30), (1, 1), (250, 400)])
def test_a_plan_covers_every_step_once(steps, probe, cadence):
  (group,) = grouping.group(
    configs({"steps": steps, "probe_every": probe, "evaluate_every": cadence[0], "checkpoint_every": cadence[1]})
  )
  chunks = plan.of(group.configs[0])
  assert chunks[0].first == 0
  assert all(a.last == b.first for a, b in itertools.pairwise(chunks))
  assert chunks[-1].last == steps
  assert chunks[-1].evaluate
  assert chunks[-1].save
  assert all(c.first % min(probe, steps) == 0 for c in chunks)
  # Few shapes, because each is compiled: the usual chunk, a last shorter one, and the remainder.
  assert len({(c.windows, c.length) for c in chunks}) <= 3
  whole = -(-cadence[0] // min(probe, steps)) * min(probe, steps)
  assert [c.last for c in chunks if c.evaluate][:-1] == list(range(whole, steps, whole))


@pytest.fixture(scope="module")
def trained():
  """Five members (not a multiple of the four devices) for 6 steps in chunks of 2 windows of 3 steps.

  A device's two members are trained one after the other (see gan_jax/runner/blocks.py).
  """
  losses = ["minimax", "hinge", "wasserstein", "relativistic", "least_squares"]
  members = configs(*({"loss": loss, "seed": i, "steps": 6, "probe_every": 3} for i, loss in enumerate(losses)))
  (group,) = grouping.group(members)
  dataset = data.load("digits")
  built = game.build(group.spec, dataset)
  with mock.patch.object(blocks, "CACHE", 0):
    program = population.compile_group(group, built, dataset, NO_QUALITY)
  state = program.init(program.hypers)
  state, rows = program.advance(program.hypers, state, program.data, 2, 3)
  return group, built, dataset, program, state, rows


def test_members_are_divided_over_the_devices(trained):
  _, _, _, program, state, rows = trained
  assert (program.members, program.padded) == (5, 8)
  leaf = jax.tree.leaves(state.gen_params)[0]
  assert len(leaf.sharding.device_set) == 4
  assert rows["disc/auc"].shape == (2, 8)


def test_a_member_of_a_population_is_the_run_alone(trained):
  """To rounding: GAN training is chaotic, so a few steps and not thousands."""
  group, built, dataset, _, state, rows = trained
  step = jax.jit(build_resident_step(built))
  for i in range(5):
    h = jax.tree.map(lambda x, i=i: x[i], group.hypers)
    alone, losses = initial_state(h, built), []
    for _ in range(6):
      alone, trace = step(h, alone, dataset.data)
      losses.append(float(trace.discriminator.loss))
    np.testing.assert_allclose(np.asarray(rows["disc/loss"])[:, i], [losses[0], losses[3]], rtol=1e-3)
    jax.tree.map(
      lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=2e-2, atol=2e-3), state.gen_params, alone.gen_params
    )


def test_every_probed_value_is_finite_and_float32_and_counts_are_whole(trained):
  *_, rows = trained
  for name, values in rows.items():
    assert values.dtype == (np.uint32 if name.startswith("count/") else np.float32), name
    finite = np.isfinite(np.asarray(values)[:, :5])
    # Of the five losses only minimax makes a probability of sigmoid(logit), and two have no threshold of their own.
    known = [True, *[name != "disc/calibration_error"] * 4]
    if name in ("disc/accuracy_real", "disc/accuracy_fake"):
      known = [config["loss"] not in ("wasserstein", "relativistic") for config in trained[0].configs]
    assert (finite == [known]).all(), name
  assert np.asarray(rows["count/images"])[:, 0].tolist() == [16, 64]


IN_SEVERAL_WAYS = """
import jax, numpy as np
from gan_jax import data, game, settings; from gan_jax.runner import blocks, feeding, grouping, population

losses = ["minimax", "relativistic"]
small = {"steps": 6, "probe_every": 3, "batch_size": 16,
         "model_options": {"generator_width": 16, "discriminator_width": 16, "depth": 1}}
dataset = data.load("digits")

def end(windows, length, **asked):
  fields = [{"loss": loss, "seed": i} for i, loss in enumerate(losses)]
  (group,) = grouping.group([settings.resolve(small, asked, one) for one in fields])
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, None)
  state, rows = program.advance(program.hypers, program.init(program.hypers), program.data, windows, length)
  return jax.device_get(state), rows

blocks.CACHE = 0  # one member after the other
full, many = end(3, 2, lens="minimax+hinge", probes="layers+noise")

# From the host, in feeds of one step, stopped on the way, with the usual probes at other steps: the same bits.
feeding.LARGEST = 1
fields = [{"loss": loss, "seed": i, "data_memory": 0.0} for i, loss in enumerate(losses)]
(group,) = grouping.group([settings.resolve(small, one) for one in fields])
program = population.compile_group(group, game.build(group.spec, dataset), dataset, None)
assert program.data is None
half, first = program.advance(program.hypers, program.init(program.hypers), None, 1, 3)
kept = program.layout.cut(half)  # on the host, as in a checkpoint
whole, last = program.advance(program.hypers, program.place(kept), None, 1, 3)
jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[:2], y[:2]), full, jax.device_get(whole))
assert len(many) > len(first) + 10
for name in first:  # of the first step, which both measured
  np.testing.assert_allclose(first[name][0, :2], many[name][0, :2], rtol=1e-4, atol=1e-6, err_msg=name)
assert not np.array_equal(first["gen/loss"], last["gen/loss"])
"""


def test_neither_probing_nor_streaming_changes_a_bit_of_the_training():
  """Six steps probed three times in full, and twice with data on the host: the same state.

  Compiled as users compile, not as this suite does: that is what takes its time. Only a module's code is not split into
  parts, which would be optimised one by one.
  """
  whole = "--xla_cpu_parallel_codegen_split_count=1"
  environment = os.environ | {"XLA_FLAGS": whole if whole in os.environ["XLA_FLAGS"] else ""}
  done = subprocess.run(
    [sys.executable, "-c", IN_SEVERAL_WAYS],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr


def test_the_generator_itself_is_measured_beside_its_average(trained):
  """`raw/mean` is what the same evaluation finds where the average is replaced by the generator."""
  *_, program, state, _ = trained
  found = program.evaluate(program.hypers, state)
  bare = program.evaluate(program.hypers, state._replace(gen_ema=state.gen_params))
  np.testing.assert_array_equal(found["raw/mean"], bare["mean"])
  assert (found["mean"] != found["raw/mean"]).all()
  assert found.keys() == {"mean", "raw/mean"}


@pytest.mark.parametrize("neighbours", [False, True])
def test_one_program_measures_the_average_and_the_generator(neighbours):
  """Unless the measure searches for neighbours, which it does of the average alone."""
  traced = []
  quality = NO_QUALITY._replace(
    measure=lambda draw, count, near: (traced.append(near), draw(jax.numpy.arange(4)).mean())[1],
    finish=lambda value: {"mean": value},
    neighbours=neighbours,
  )
  (group,) = grouping.group(configs({"ema_decay": 0.9}))
  dataset = data.load("digits")
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, quality)
  found = program.evaluate(program.hypers, program.init(program.hypers))
  assert traced == ([True, False] if neighbours else [False])
  np.testing.assert_array_equal(found["mean"], found["raw/mean"])  # both start equal


@pytest.mark.parametrize(("decays", "measured"), [((0.0, 0.0), False), ((0.0, 0.9), True)])
def test_nothing_is_measured_twice_where_nothing_is_averaged(decays, measured):
  members = configs(*({"ema_decay": decay, "seed": i} for i, decay in enumerate(decays)))
  groups = grouping.group(members)
  dataset = data.load("digits")
  program = population.compile_group(groups[0], game.build(groups[0].spec, dataset), dataset, NO_QUALITY)
  found = program.evaluate(program.hypers, program.init(program.hypers))
  assert ("raw/mean" in found) == measured
  explained = evaluation.quality_explanations(NO_QUALITY._replace(explanations={"mean": "of pixels"}), groups)
  assert explained.keys() == found.keys()


@pytest.mark.parametrize("samples", [100, 777])
@pytest.mark.parametrize("shares", [(916, *[9] * 9), (0, 50, *[0] * 5, 50, 0, 0)])
def test_a_conditional_generator_is_asked_for_the_shares_of_the_data(shares, samples):
  """The labels that fakes are made for when they are judged, whatever the size of a chunk."""
  whole = data.load("digits")
  labels = np.repeat(np.arange(10, dtype=np.int32), shares)
  dataset = whole._replace(data=types.Data(whole.data.images[: len(labels)], jax.numpy.asarray(labels)))
  (group,) = grouping.group(configs({"conditional": True, "evaluation_samples": samples}))
  built = game.build(group.spec, dataset)
  said = lambda labels: jax.numpy.zeros((len(labels), 8, 8, 1)) + labels[:, None, None, None]  # noqa: E731
  spoken = lambda params, memory, noise, labels, train: (said(labels), memory)  # noqa: E731
  built = built._replace(generator=built.generator._replace(apply=spoken))
  heard = metrics.Quality(
    lambda draw, count, near: in_chunks(lambda i: draw(i)[:, 0, 0, 0], count), lambda x: {"label": x}, {}, {}
  )
  program = population.compile_group(group, built, dataset, heard)
  (found,) = program.evaluate(program.hypers, program.init(program.hypers))["label"]
  counts = np.bincount(found.astype(int), minlength=10)
  assert np.abs(counts - samples * np.asarray(shares) / sum(shares)).max() <= 3
  assert not counts[np.asarray(shares) == 0].any()


def test_datasets_that_explain_a_metric_differently_are_both_heard():
  one, two = (NO_QUALITY._replace(explanations={"mean": text, "same": "x"}) for text in ("of five", "of six"))
  groups = grouping.group(configs({"ema_decay": 0.0}))
  found = evaluation.all_explanations({("a", ""): one, ("b", ""): two}, groups)
  assert found == {"mean": "of a: of five; of b: of six", "same": "x"}


@pytest.mark.parametrize("stored", ["sorted", "in turn"])
def test_the_grid_of_real_examples_is_a_sample_of_the_data(stored):
  """Of 640 examples of ten classes every tenth is one class where they come in turn; a sample of 64 has nine or ten."""
  labels = np.arange(640) // 64 if stored == "sorted" else np.arange(640) % 10
  images = np.broadcast_to(25 * labels[:, None, None, None], (640, 4, 4, 1)).astype(np.uint8)
  dataset = data.Dataset(types.Data(images, labels.astype(np.int32)), decode_bytes, (4, 4, 1), 10, "images")
  grid = evaluation.real_examples(dataset)
  assert len(np.unique(grid[:, 0, 0, 0])) >= 9
  few = dataset._replace(data=types.Data(images[::64], labels[::64].astype(np.int32)))
  assert evaluation.real_examples(few).shape == (64, 4, 4, 1)


def test_evaluation_and_grids_drop_the_padding(trained):
  *_, program, state, _ = trained
  assert program.evaluate(program.hypers, state)["mean"].shape == (5,)
  grid = np.asarray(program.draw_grid(state))
  assert grid.shape == (8, 64, 8, 8, 1)
  assert grid.dtype == np.uint8
