"""The mesh of members and batches: which shape it takes, and that a divided run is the run on one device."""

import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from gan_jax import data, game, losses, models, settings
from gan_jax.core.errors import BadInput
from gan_jax.game.state import initial_state
from gan_jax.runner import feeding, grouping, mesh, population
from gan_jax.runner.mesh import DIVIDED, REPLICATED
from tests.conftest import ROOT

WIDTHS = {"generator_width": 8, "discriminator_width": 8, "depth": 1}
SMALL = {
  "dataset": "digits",
  "batch_size": 16,
  "latent_size": 4,
  "optimizer": "sgd",
  "seed": 3,
  "model_options": WIDTHS,
}
# Losses in which examples meet one another, and networks that are normalised by their batch.
AVERAGED = {"loss": "relativistic_average", "penalty": "r1", "penalty_weight": 0.1, "instance_noise": True}
ALL_PAIRS = {
  "loss": next(name for name, card in losses.CARDS.items() if card.pairing == "all_pairs"),
  "model": "pacgan",
  "model_options": {**SMALL["model_options"], "discriminator_norm": "batch"},
}


@pytest.mark.parametrize(
  ("devices", "members", "batch", "expected"),
  [
    (8, 1, 64, (1, 8)),  # one run: its batch over all
    (8, 8, 64, (8, 1)),  # as many runs as devices: one each
    (8, 35, 64, (8, 1)),  # more: rows of several, the last ones padded
    (8, 2, 64, (2, 4)),  # both at once
    (8, 3, 64, (4, 2)),  # three runs and a copy, two devices each
    (8, 5, 64, (8, 1)),
    (8, 1, 20, (2, 4)),  # 20 examples do not divide by 8
    (8, 1, 7, (8, 1)),
    (6, 1, 64, (3, 2)),
    (1, 5, 64, (1, 1)),
  ],
)
def test_members_come_first_and_batches_take_what_is_left(devices, members, batch, expected):
  assert mesh.shape(devices, members, batch) == expected


def test_every_shape_uses_all_devices_and_divides_the_batch():
  for devices in range(1, 17):
    for members in range(1, 20):
      rows, columns = mesh.shape(devices, members, 24)
      assert rows * columns == devices
      assert 24 % columns == 0
      assert columns == 1 or rows >= members
      more = [c for c in range(columns + 1, devices + 1) if devices % c == 0 and 24 % c == 0]
      assert not any(devices // c >= members for c in more)


def test_a_number_that_does_not_divide_is_refused():
  assert mesh.shape(8, 4, 64, asked=4) == (2, 4)
  with pytest.raises(
    BadInput, match=r"divisor of the 8 devices and of the batch \(12 examples or packs\), 1, 2, 4, got 3"
  ):
    mesh.shape(8, 4, 12, asked=3)


@pytest.mark.parametrize("batch", [7, 24, 64])
def test_cores_train_no_copies_and_share_a_batch_as_asked(batch):
  for devices in range(1, 13):
    for members in range(1, 16):
      for asked in (0, *(c for c in range(1, devices + 1) if batch % c == 0)):
        rows, columns = mesh.shape_of_cores(devices, members, batch, asked)
        assert columns == (asked or 1)
        assert rows == min(members, devices // columns)


def test_more_devices_than_there_are_is_refused_on_a_cpu():
  assert mesh.shape_of_cores(6, 1, 64, asked=4) == (1, 4)
  with pytest.raises(BadInput, match=r"at most the 6 devices, and a divisor of the batch \(64 .*\), 1, 2, 4, got 8"):
    mesh.shape_of_cores(6, 1, 64, asked=8)


WIDE = {"model": "dcgan", "model_options": {"generator_width": 64, "discriminator_width": 64}, "batch_size": 64}


@pytest.mark.parametrize(
  ("fields", "members", "pixels", "expected"),
  [
    (WIDE, 1, 28, (1, 4)),
    (WIDE, 2, 28, (2, 2)),
    (WIDE, 3, 28, (3, 1)),
    (WIDE, 9, 28, (4, 1)),
    (WIDE | {"packing": 2}, 1, 28, (1, 4)),
    (WIDE | {"batch_size": 51}, 1, 28, (1, 3)),  # divides by 3, not by 4
    (WIDE | {"batch_size": 53}, 1, 28, (1, 1)),
    (WIDE | {"batch_size": 16}, 1, 28, (1, 2)),  # too little for more
    (WIDE | {"batch_devices": 1}, 1, 28, (1, 1)),  # as asked
    (WIDE, 1, 8, (1, 1)),  # too small
    ({"model": "mlp", "model_options": {"generator_width": 1024, "discriminator_width": 1024}}, 1, 28, (1, 1)),
  ],
)
def test_cores_share_batches_of_large_convolutional_networks(fields, members, pixels, expected):
  assert len(jax.devices()) == 4
  configs = [settings.resolve({"dataset": "digits", **fields, "seed": seed}) for seed in range(members)]
  (group,) = grouping.group(configs)
  shape = (pixels, pixels, 1)
  spec = mesh.settled(group.spec, members, models.build(group.spec, shape, 10), shape)
  assert mesh.build(spec, members).mesh.devices.shape == expected


def played(configs, devices, columns, steps=3):
  """(losses and logits of each step, parameters and memories at the end, compiled text) on so many devices."""
  (group,) = grouping.group([settings.resolve(SMALL, config) for config in configs])
  dataset = data.load("digits")
  layout = mesh.build(group.spec._replace(batch_devices=columns), len(configs), jax.devices()[:devices])
  built = game.build(group.spec, dataset)._replace(spread=layout.spread)

  def step(hypers, state, examples):
    feed = feeding.draw_feed(built, hypers, state.step[0], 1, examples)
    state, trace = population.step_all(built, hypers, state, jax.tree.map(lambda x: x[0], feed))
    return state, (
      trace.generator.loss,
      trace.discriminator.loss,
      trace.generator.fake_logits,
      trace.discriminator.grads,
    )

  program = jax.jit(layout.divide(step, (DIVIDED, DIVIDED, REPLICATED), (DIVIDED, DIVIDED)))
  init = jax.jit(layout.divide(jax.vmap(lambda h: initial_state(h, built)), (DIVIDED,), DIVIDED))
  hypers, examples, seen = layout.place(group.hypers), layout.put(dataset.data, REPLICATED), []
  state = init(hypers)
  compiled = program.lower(hypers, state, examples).compile()
  for _ in range(steps):
    state, trace = compiled(hypers, state, examples)
    seen.append(layout.cut(trace))
  return seen, layout.cut((state.gen_params, state.gen_ema, state.disc_params, state.memory)), compiled.as_text()


def same(one, other, tolerance=2e-4):
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=jax.tree_util.keystr(path))


def test_one_run_over_four_devices_is_the_run_on_one():
  """Every real example meets every fake, and both players are normalised by their batch."""
  seen, found, text = played([ALL_PAIRS], 4, 4)
  alone_seen, alone, alone_text = played([ALL_PAIRS], 1, 1)
  same(seen, alone_seen)
  same(found, alone)
  assert "all-reduce" in text
  assert "all-reduce" not in alone_text
  # What a device computes is a quarter of the batch of 16.
  assert re.search(r"f32\[(1,)?4,(8,8,1|64|8)\]", text)


def test_members_and_batches_at_once():
  """Three runs on two rows of two devices: the fourth place is a copy."""
  members = [{"seed": seed, "loss": loss} for seed, loss in ((1, "hinge"), (2, "minimax"), (3, "minimax"))]
  seen, found, _ = played(members, 4, 2)
  alone_seen, alone, _ = played(members, 1, 1)
  same(seen, alone_seen)
  same(found, alone)


def test_a_convolutional_run_over_two_devices_is_the_run_on_one():
  """With a penalty on slopes, so that convolutions are differentiated twice."""
  convolutions = {"model": "dcgan", "model_options": {"generator_width": 4, "discriminator_width": 4}, "penalty": "r1"}
  found = [played([convolutions], 2, columns)[1] for columns in (2, 1)]
  same(*found)


EIGHT = """
import tests.conftest, jax
jax.config.update("jax_num_cpu_devices", 8)
from tests.runner.test_mesh import AVERAGED, played, same
assert len(jax.devices()) == 8
same(played([AVERAGED], 8, 8)[1], played([AVERAGED], 1, 1)[1])
"""


def test_one_run_over_eight_devices_is_the_run_on_one():
  """Relativistic to the batch's average, with a penalty on slopes and noise on the images."""
  done = subprocess.run([sys.executable, "-c", EIGHT], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


def test_the_devices_of_a_cpu_share_one_copy_of_the_data():
  """With a copy for each core, data of a gigabyte would take as many gigabytes as there are cores."""
  layout = mesh.Layout(jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 2), ("members", "batch")), 4, 4)
  given = {"images": np.arange(3000, dtype=np.uint8).reshape(3, 1000), "labels": np.arange(3)}
  held = layout.replicate(given)
  assert held["images"].sharding.is_fully_replicated
  places = {shard.data.unsafe_buffer_pointer() for shard in held["images"].addressable_shards}
  assert (len(held["images"].addressable_shards), len(places)) == (4, 1)
  jax.tree.map(np.testing.assert_array_equal, held, given)
  read = jax.jit(layout.divide(lambda x: x["images"].astype(int) + x["labels"][:, None], (REPLICATED,), REPLICATED))
  np.testing.assert_array_equal(read(held), given["images"].astype(int) + given["labels"][:, None])
