"""Members of a device that are trained at the same moment: how many, and of which losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, settings
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.metrics import Quality
from gan_jax.runner import blocks, grouping, mesh, population, study

SMALL = {
  "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
  "latent_size": 4,
  "batch_size": 16,
  "steps": 6,
  "probe_every": 3,
}
NO_QUALITY = Quality(lambda draw, count, near: draw(np.arange(4)).mean(), lambda found: {"mean": found}, {}, {})
LOSSES = ["minimax", "hinge", "wasserstein", "relativistic", "least_squares", "energy", "f_gan_kl", "dual_contrastive"]


def layout_of(members):
  layout = mesh.Layout(jax.sharding.Mesh(np.array(jax.devices()[:4]).reshape(4, 1), ("members", "batch")), members, 0)
  return layout._replace(padded=-(-members // 4) * 4)


@pytest.mark.parametrize(("blocks_of", "axis"), [(1, 0), (2, 1), (6, 1)])
def test_blocks_in_turn_are_all_members_at_once(blocks_of, axis):
  """Of a function whose members do not mix: states, feeds and rows keep their places."""

  def function(scale, state, feed):
    assert len(state) == blocks_of
    rows = {"sum": feed.sum(0), "first": feed[0]}  # [members]
    return state * scale + feed.sum(0), rows if axis == 0 else {name: jnp.stack([x, -x]) for name, x in rows.items()}

  scale, state, feed = jnp.arange(6.0), jnp.arange(6.0) + 10, jnp.arange(18.0).reshape(3, 6)
  found, rows = jax.jit(blocks.in_turn(function, blocks_of, axis))(scale, state, feed)
  total = np.arange(18.0).reshape(3, 6).sum(0)
  np.testing.assert_array_equal(found, np.arange(6.0) * (np.arange(6.0) + 10) + total)
  expected = total if axis == 0 else np.stack([total, -total])
  np.testing.assert_array_equal(rows["sum"], expected)
  np.testing.assert_array_equal(rows["first"], np.arange(6.0) if axis == 0 else [np.arange(6.0), -np.arange(6.0)])


@pytest.mark.parametrize(
  ("members", "bytes_each", "expected"),
  [(1, 2**30, 1), (8, 2**30, 1), (72, 2**20, 2), (72, 800_000, 3), (72, 1, 18), (68, 2**20, 1), (5, 100, 2)],
)
def test_a_block_divides_the_members_of_a_device_and_fits_the_cache(members, bytes_each, expected):
  assert blocks.size(layout_of(members), jax.ShapeDtypeStruct((bytes_each,), np.uint8)) == expected


@pytest.mark.parametrize(
  ("losses", "expected"),
  [
    (np.repeat(np.arange(8), 8), 8),  # two losses of eight on each device
    (np.repeat(np.arange(16), 6), 6),
    (np.repeat(np.arange(8), 6), 6),  # a device has 12
    (np.repeat(np.arange(8), 3), 3),
    (np.tile(np.arange(8), 8), 1),  # neighbours differ
    (np.append(np.repeat(np.arange(8), 8), [8, 8]), 1),  # 66, padded to 68: 17 a device
    (np.repeat(np.arange(7), 8), 14),  # too few losses to divide them
    (np.zeros(64), 16),
    ((), 16),
  ],
)
def test_a_block_is_of_one_loss_where_there_are_many(losses, expected):
  layout = layout_of(len(losses) or 64)
  size = blocks.size(layout, jax.ShapeDtypeStruct((1,), np.uint8), losses)
  assert size == expected
  assert blocks.of_one_loss(layout, size, losses) == (len(set(losses)) >= 8)


@pytest.mark.parametrize("data_memory", [0.25, 0.0])  # on the devices, and streamed from the host
def test_members_in_blocks_of_one_loss_are_the_runs_alone(monkeypatch, data_memory):
  """To rounding, with two seeds of each loss in a block and two blocks on a device."""
  fields = SMALL | {"data_memory": data_memory}
  losses = np.repeat(LOSSES, 2)
  members = [settings.resolve(fields, {"loss": str(loss), "seed": seed}) for seed, loss in enumerate(losses)]
  (group,) = grouping.group(members)
  dataset = data.load("digits")
  built = game.build(group.spec, dataset)
  taken = []
  monkeypatch.setattr(
    blocks, "in_turn", lambda f, size, axis=1, real=blocks.in_turn: taken.append(size) or real(f, size, axis)
  )
  program = population.compile_group(group, built, dataset, NO_QUALITY, layout_of(len(members)))
  state = program.init(program.hypers)
  state, rows = program.advance(program.hypers, state, program.data, 2, 3)
  assert set(taken) == {2}
  assert (program.data is None) == (data_memory == 0)
  step = jax.jit(build_resident_step(built))
  for i in range(len(members)):
    h = jax.tree.map(lambda x, i=i: x[i], group.hypers)
    alone, found = initial_state(h, built), []
    for _ in range(6):
      alone, trace = step(h, alone, dataset.data)
      found.append(float(trace.generator.loss))
    np.testing.assert_allclose(np.asarray(rows["gen/loss"])[:, i], [found[0], found[3]], rtol=2e-3, atol=1e-4)
    jax.tree.map(
      lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=2e-2, atol=2e-3), state.gen_params, alone.gen_params
    )


def test_of_one_loss_the_others_are_not_computed():
  """A branch on a loss of all members stays a branch; one on each member's own becomes a choice among computed losses."""
  members = [settings.resolve(SMALL, {"loss": loss}) for loss in LOSSES]
  (group,) = grouping.group(members)
  dataset = data.load("digits")
  built = game.build(group.spec, dataset)
  hypers = jax.tree.map(jnp.asarray, group.hypers)
  state = jax.eval_shape(jax.vmap(lambda h: initial_state(h, built)), hypers)
  batches = jax.eval_shape(
    jax.vmap(lambda h: game.batches.draw(built.spec, h.seed, jnp.int32(0), dataset.data)), hypers
  )

  def branches(one_loss):
    traced = jax.make_jaxpr(lambda h, s, b: population.step_all(built._replace(one_loss=one_loss), h, s, b))
    return str(traced(hypers, state, batches)).count(" cond[")

  assert branches(True) > branches(False)


@pytest.mark.parametrize(
  ("order", "shared"),
  [
    (np.roll(np.arange(16), 2), True),  # each block is of one loss, though of another than the other part's
    (np.roll(np.arange(16), 1), False),  # each block would be of two
  ],
)
def test_a_program_trains_another_part_only_where_its_losses_lie_in_blocks_alike(order, shared):
  """Also a part that is trained first in one process and second in another must have the same bits."""
  members = [settings.resolve(SMALL, {"loss": loss, "seed": seed}) for loss in LOSSES for seed in range(2)]
  (first,) = grouping.group(members)
  second = grouping.part(first, order)
  dataset = data.load("digits")
  for one, other in ((first, second), (second, first)):
    program = population.compile_group(one, game.build(one.spec, dataset), dataset, NO_QUALITY)
    assert study._shared((one, program), other) == shared
    assert study._shared((one, program), one)
