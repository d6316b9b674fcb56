"""The published networks at a small width: every gradient, R1, populations, the coupling of a batch, the second head."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import models
from gan_jax.models import coupling
from gan_jax.models.precision import in_bfloat16

SHAPE, CLASSES = (8, 8, 3), 3
WIDTHS = {"generator_width": 4, "discriminator_width": 4}
MODELS = {
  "resnet": WIDTHS | {"attention": "4", "upsampling": "bilinear", "pooling": "mean"},
  "sndcgan": WIDTHS,
  "biggan": WIDTHS | {"embedding": 4, "initial": "normal"},  # orthogonal weights take long to compile
  "r3gan": WIDTHS | {"group_size": 4},
}


@functools.cache
def players(model, **options):
  return models.get(model)(SHAPE, CLASSES, 8, True, **MODELS[model] | options)


def drawn(player):
  """Parameters and a memory of two members, as they might be after some training: what starts at zero hides much."""
  rng = np.random.default_rng(1)
  params, memory = jax.eval_shape(player.init, jax.random.key(0))
  two = lambda value: np.stack([value(), value()])  # noqa: E731
  params = jax.tree.map(lambda leaf: two(lambda: coupling.weight(rng, leaf, positive=True)), params)
  return params, jax.tree.map(lambda leaf: two(lambda: coupling.statistic(rng, leaf)), memory)


@pytest.mark.parametrize("model", MODELS)
def test_gradients_of_a_population_are_finite_and_reach_every_parameter(model):
  """Of -D(G(z)), the squared logits of classes and R1, by both players, for two members in one program.

  R1 not of biggan, whose discriminator is resnet's.
  """
  generator, discriminator = players(model, class_logits=5)
  rng = np.random.default_rng(0)
  noise, real = (rng.uniform(-1, 1, (2, *shape)).astype(np.float32) for shape in ((8,), SHAPE))
  labels = np.arange(2, dtype=np.int32)

  def member(params, memory):
    def judge(images):
      return discriminator.apply(params[1], memory[1], images, labels, True)[0]

    fakes = generator.apply(params[0], memory[0], noise, labels, True)[0]
    output = judge(fakes)
    assert output.classes.shape == (2, 5)
    value = (output.classes**2).sum() - output.logits.sum()
    slope = jax.grad(lambda x: judge(x).logits.sum())(real) if model != "biggan" else jnp.zeros(())
    return value + (slope**2).sum()

  params, memory = zip(*map(drawn, (generator, discriminator)), strict=True)
  values, grads = jax.jit(jax.vmap(jax.value_and_grad(member)))(params, memory)
  assert np.isfinite(values).all()
  assert abs(values[0] - values[1]) > 1e-6
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(leaf).all()
    assert np.abs(leaf).reshape(2, -1).max(1).min() > 0, path


@pytest.mark.parametrize("model", MODELS)
def test_the_batch_is_coupled_by_batch_normalisation_alone(model):
  assert not coupling.couples_batch(players(model)[1], SHAPE)
  if model in ("resnet", "sndcgan"):  # biggan's is resnet's, r3gan's has none
    assert coupling.couples_batch(players(model, discriminator_norm="batch")[1], SHAPE)


@pytest.mark.parametrize("model", ["resnet", "r3gan"])
def test_in_mixed_precision_every_product_of_images_is_in_bfloat16(model):
  """Also after classes, vectors of spectral normalisation and attention, which are float32 by themselves."""
  labels = np.zeros(2, np.int32)
  for player, shape in zip(map(in_bfloat16, players(model)), ((8,), SHAPE), strict=True):
    state = jax.eval_shape(player.init, jax.random.key(0))
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    program = str(jax.make_jaxpr(lambda s, x, p=player: p.apply(*s, x, labels, True))(state, inputs))
    products = re.findall(r"(\w+)\[(\d+(?:,\d+)+)\] = dot_general", program)
    assert len(products) > 5
    # The discriminator's last layer: with a projection it makes a vector of features for each class.
    last = {"2,1", "2,4"} if shape == SHAPE else set()
    assert {size for dtype, size in products if dtype != "bf16"} <= last
