"""Packing, and the players of PacGAN: what a pack is, what its gradient is, how large the networks are, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game, losses, models, probes, settings
from gan_jax.core.errors import BadInput
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, decode_points
from gan_jax.data.order import example_indices
from gan_jax.game.state import initial_state
from gan_jax.models.packing import pack, packed
from gan_jax.runner import grouping
from gan_jax.settings.records import Spec
from tests.support.networks import pure
from tests.support.steps import bare, compiled_step

SMALL = {"latent_size": 2, "batch_size": 8}
WIDTHS = {"generator_width": 6, "discriminator_width": 5}
BIG = {"generator_width": 400, "discriminator_width": 200, "depth": 4}


def group_of(model_options=None, **fields):
  sizes = {"model_options": WIDTHS | (model_options or {})}
  return grouping.group([settings.resolve({"dataset": "ring"}, SMALL, sizes, fields)])[0]


def spec_of(**fields) -> Spec:
  return group_of(**fields).spec


def points(size, seed=0, width=2):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(size, width)), jnp.float32)


def labels(size):
  return jnp.zeros(size, jnp.int32)


def test_a_pack_has_its_members_side_by_side():
  np.testing.assert_array_equal(pack(jnp.arange(12.0).reshape(6, 2), 3), [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
  images = points(4 * 3 * 3, width=2).reshape(4, 3, 3, 2)
  joined = pack(images, 2)
  assert joined.shape == (2, 3, 3, 4)
  np.testing.assert_array_equal(joined[1, ..., :2], images[2])
  np.testing.assert_array_equal(joined[1, ..., 2:], images[3])
  with pytest.raises(ValueError, match="expected a multiple of packing=3, got 4"):
    pack(images, 3)


@pytest.mark.parametrize(("model", "shape"), [("mlp", (2,)), ("pacgan", (2,)), ("dcgan", (8, 8, 1))])
def test_a_logit_depends_on_its_own_pack_and_on_all_of_it(model, shape):
  _, discriminator = map(
    pure, models.build(spec_of(model=model, packing=4, model_options={"discriminator_width": 8}), shape, 1)
  )
  params = jax.tree.map(
    lambda x: x + 0.3 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), jax.jit(discriminator.init)(jax.random.key(0))
  )
  images = points(8 * int(np.prod(shape)), width=1).reshape(8, *shape)
  slopes = jax.jit(jax.jacrev(lambda x: discriminator.apply(params, x, labels(8))))(images)
  assert slopes.shape == (2, 8, *shape)
  depends = np.abs(slopes.reshape(2, 8, -1)).max(axis=-1) > 0
  np.testing.assert_array_equal(depends, np.kron(np.eye(2), np.ones(4)) > 0)


def test_packs_may_change_places_and_members_may_not():
  _, discriminator = map(pure, models.build(spec_of(packing=2), (2,), 1))
  params, x = jax.jit(discriminator.init)(jax.random.key(0)), points(8)
  logits = discriminator.apply(params, x, labels(8))
  swapped = discriminator.apply(params, x[jnp.array([4, 5, 2, 3, 0, 1, 6, 7])], labels(8))
  np.testing.assert_array_equal(swapped, logits[jnp.array([2, 1, 0, 3])])
  turned = discriminator.apply(params, x[jnp.array([1, 0, 2, 3, 4, 5, 6, 7])], labels(8))
  assert turned[0] != logits[0]
  np.testing.assert_array_equal(turned[1:], logits[1:])


def test_a_pack_of_one_is_the_player_itself():
  """The same functions, so the same bits: `build` with packing=1 adds nothing between batch and discriminator."""
  spec = spec_of()
  generator, discriminator = models.build(spec, (2,), 1)
  assert packed(discriminator, 1) is discriminator
  for ours, plain in zip(
    (generator, discriminator), models.get("mlp")((2,), 1, 2, False, **dict(spec.model_options)), strict=True
  ):
    players = pure(ours), pure(plain)
    programs = [str(jax.make_jaxpr(p.apply)(p.init(jax.random.key(0)), points(8), labels(8))) for p in players]
    assert programs[0] == programs[1]


def played(**fields):
  """(spec, game, hypers, data, state) of a small game on random points."""
  group = group_of(**fields)
  data = Data(points(40, seed=3), labels(40))
  dataset = Dataset(data, decode_points, (2,), 1, "points")
  built, hypers = game.build(group.spec, dataset), jax.tree.map(lambda x: jnp.asarray(x[0]), group.hypers)
  return group.spec, built, hypers, data, jax.jit(lambda h: initial_state(h, built))(hypers)


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_both_players_follow_the_gradient_of_the_packed_objective(loss):
  """Against the objective written out: the discriminator on [B/m, 2m] rows, differentiated in one piece."""
  spec, built, hypers, data, state = played(packing=2, loss=loss, order="simultaneous", hold_out=4)
  _, trace = compiled_step(built, bare)(hypers, state, data)
  assert (
    trace.generator.real_logits.shape
    == trace.generator.fake_logits.shape
    == trace.generator.held_out_logits.shape
    == (4,)
  )
  from gan_jax.data.order import split_sizes, training_index

  trained, _ = split_sizes(40, 4)
  real = data.images[training_index(example_indices(0, 0, 8, trained), 4, 40)]
  judge = models.get("mlp")((4,), 1, 2, False, **dict(spec.model_options))[1]
  judge = pure(judge).apply  # of a pack as one row of four numbers

  def objective(half, gen_params, disc_params, purpose):
    noise = jax.random.normal(derive_key(0, 0, purpose, 0), (8, 2))
    fake = pure(built.generator).apply(gen_params, noise, labels(8))
    logits = [judge(disc_params, x.reshape(4, 4), labels(4)) for x in (real, fake)]
    return getattr(losses.get(loss), half)(*logits).mean()

  of_disc = jax.grad(lambda p: objective("discriminator", state.gen_params, p, Purpose.DISCRIMINATOR_NOISE))
  of_gen = jax.grad(lambda p: objective("generator", p, state.disc_params, Purpose.GENERATOR_NOISE))
  for found, expected in (
    (trace.discriminator.grads, jax.jit(of_disc)(state.disc_params)),
    (trace.generator.grads, jax.jit(of_gen)(state.gen_params)),
  ):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)


def test_slopes_and_factors_of_packs():
  """The slope of a pack's logit has a part for each member, and the three factors still multiply to the gradient."""
  _spec, built, hypers, data, state = played(packing=4, lens="minimax+hinge")
  _, trace = compiled_step(built)(hypers, state, data)
  assert trace.generator.logit_cotangent.shape == (2,)
  assert trace.generator.logit_slope.shape == trace.generator.image_cotangent.shape == (8, 2)
  weights = np.repeat(trace.generator.logit_cotangent, 4)[:, None]
  np.testing.assert_allclose(trace.generator.image_cotangent, weights * trace.generator.logit_slope, rtol=1e-5)
  row = jax.jit(probes.measure)(trace)
  product = row["factor/loss"] * row["factor/critic"] * row["factor/generator"]
  np.testing.assert_allclose(product, row["gen/grad_norm"], rtol=1e-5)
  assert all(np.isfinite(row[f"lens/norm/{name}"]) for name in ("minimax", "hinge"))
  assert row["lens/effective_samples/hinge"] == pytest.approx(2)  # packs, whose slopes under hinge are equal


@pytest.mark.parametrize(
  "fields",
  [
    {"penalty": "lecam"},
    {"penalty": "zcr"},
    {"penalty": "orthogonal", "penalty_every": 2},
    {"model_options": {"discriminator_norm": "batch"}},
    {"unroll_steps": 2},
    {"weight_constraint": "spectral"},
  ],
)
def test_what_goes_with_packing(fields):
  _spec, built, hypers, data, state = played(packing=2, penalty_weight=0.1, **fields)
  step = compiled_step(built, lambda trace: (trace.alive, trace.discriminator.loss))
  _, (alive, loss) = step(hypers, state, data)
  assert bool(alive)
  assert np.isfinite(loss)


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"packing": 3}, "packing expected a divisor of batch_size=8, got 3"),
    (
      {"packing": 2, "penalty": "lecam+r1"},
      "penalty 'r1' is per sample, but packing=2 gives several samples one logit",
    ),
    ({"packing": 2, "conditional": True}, "a pack has no class; expected conditional=False"),
    ({"packing": 0}, "config field 'packing' expected from 1 to"),
  ],
)
def test_what_does_not_go_with_packing(fields, message):
  with pytest.raises(BadInput, match=message):
    game.check(spec_of(**fields))


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("packing", [1, 4])
def test_the_published_networks_by_their_numbers(packing):
  """Weights of every layer, batch norm's scale and shift, biases where they have any (arXiv:1712.04086, section 4.1)."""
  generator, discriminator = map(
    pure, models.build(spec_of(model="pacgan", model_options=BIG, packing=packing), (2,), 1)
  )
  g, d = (jax.eval_shape(p.init, jax.random.key(0)) for p in (generator, discriminator))
  assert count(g) == 2 * 400 + 3 * 400 * 400 + 4 * 2 * 400 + 400 * 2 + 2
  assert count(d) == (2 * packing + 1) * 1000 + 2 * (200 + 1) * 1000 + 200 + 1


def test_the_published_scale_of_the_weights_and_what_stands_for_it_at_other_widths():
  for sizes, factor in ((BIG, 1.0), (BIG | {"generator_width": 100, "discriminator_width": 50}, 2.0)):
    for player in map(pure, models.build(spec_of(model="pacgan", model_options=sizes), (2,), 1)):
      kernels = jax.tree_util.tree_leaves_with_path(jax.jit(player.init)(jax.random.key(0)))
      draws = np.concatenate([np.ravel(leaf) for path, leaf in kernels if path[-1].key == "kernel"])
      assert draws.std() == pytest.approx(0.02 * factor, rel=0.02)


def test_a_maxout_unit_is_the_largest_of_its_pieces():
  discriminator = pure(
    models.build(spec_of(model="pacgan", model_options={"depth": 1, "discriminator_width": 3}), (2,), 1)[1]
  )
  params, x = jax.jit(discriminator.init)(jax.random.key(0)), points(4)
  first, head = params["Dense_0"], params["LogitHead_0"]["linear"]
  pieces = np.asarray(x @ first["kernel"] + first["bias"][None]).reshape(4, 5, 3)
  expected = pieces.max(axis=1) @ head["kernel"][:, 0] + head["bias"][0]
  np.testing.assert_allclose(discriminator.apply(params, x, labels(4)), expected, rtol=1e-5)


def test_the_generator_is_normalised_by_its_batch():
  """A shift and a scale of the noise are taken off again, and a point depends on those beside it."""
  generator = pure(models.build(spec_of(model="pacgan", model_options={"generator_width": 20}), (2,), 1)[0])
  params, noise = jax.jit(generator.init)(jax.random.key(0)), points(200)
  made = generator.apply(params, noise, labels(200))
  np.testing.assert_allclose(generator.apply(params, 3 * noise + 1, labels(200)), made, rtol=0.02, atol=0.01)
  assert np.abs(generator.apply(params, noise[:100], labels(100)) - made[:100]).max() > 1e-3
