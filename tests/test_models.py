"""Every model of the registry: shapes, populations, the class, what depends on what, and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import models, settings
from gan_jax.errors import BadInput
from gan_jax.types import Player, Spec

CLASSES = 5
SHAPES = {"mlp": [(2,), (8, 8, 1), (5, 6, 3)], "dcgan": [(8, 8, 1), (28, 28, 1), (32, 32, 3)]}
PAIRS = [(name, shape) for name, shapes in SHAPES.items() for shape in shapes]
SMALL = [("mlp", (2,)), ("mlp", (8, 8, 1)), ("dcgan", (8, 8, 2))]  # one of each kind, for what does not depend on size


def make_spec(**fields) -> Spec:
  small = {"generator_width": 16, "discriminator_width": 16, "latent_size": 6}
  config = settings.resolve(small, fields)
  return Spec(losses=("minimax",), **{name: config[name] for name in Spec._fields if name != "losses"})


def build(model, shape, **fields):
  """(generator, discriminator), compiled: an initialisation done eagerly compiles each of its operations by itself."""
  players = models.get(model)(make_spec(model=model, **fields), shape, CLASSES)
  return tuple(Player(jax.jit(player.init), jax.jit(player.apply)) for player in players)


def batch(shape, size=4, seed=0):
  keys = jax.random.split(jax.random.key(seed), 2)
  noise = jax.random.normal(keys[0], (size, 6))
  images = jax.random.uniform(keys[1], (size, *shape), minval=-1.0)
  return noise, images, jnp.arange(size, dtype=jnp.int32) % CLASSES


def test_every_model_is_tested():
  assert set(SHAPES) == set(models.MODELS)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("model", "shape"), PAIRS)
def test_shapes_dtypes_and_range(model, shape, conditional):
  generator, discriminator = build(model, shape, conditional=conditional)
  noise, images, labels = batch(shape)
  fakes = generator.apply(generator.init(jax.random.key(0)), 100.0 * noise, labels)
  logits = discriminator.apply(discriminator.init(jax.random.key(1)), images, labels)
  assert (fakes.shape, fakes.dtype) == ((4, *shape), jnp.float32)
  assert (logits.shape, logits.dtype) == ((4,), jnp.float32)
  # Images are bounded by tanh; points are not bounded at all.
  assert (float(jnp.abs(fakes).max()) <= 1.0) == (len(shape) == 3)


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_a_population_equals_its_members(model, shape):
  noise, images, labels = batch(shape)
  for player, x in zip(build(model, shape, conditional=True), (noise, images), strict=True):
    keys = jax.random.split(jax.random.key(7), 3)
    together = jax.jit(jax.vmap(player.init))(keys)
    outputs = jax.jit(jax.vmap(player.apply, in_axes=(0, None, None)))(together, x, labels)
    for member, key in enumerate(keys):
      alone = player.init(key)
      jax.tree.map(lambda a, b, m=member: np.testing.assert_allclose(a[m], b, rtol=1e-6), together, alone)
      np.testing.assert_allclose(outputs[member], player.apply(alone, x, labels), rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(outputs[0] - outputs[1]).max()) > 0.01


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_the_class_counts_if_and_only_if_conditional(model, shape, conditional):
  noise, images, labels = batch(shape)
  for player, x in zip(build(model, shape, conditional=conditional), (noise, images), strict=True):
    params = player.init(jax.random.key(0))
    one, other = (player.apply(params, x, y) for y in (labels, (labels + 1) % CLASSES))
    changed = jnp.abs(one - other).reshape(len(x), -1).max(axis=1)
    assert bool((changed > 1e-4).all()) if conditional else float(changed.max()) == 0.0


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_the_discriminator_is_a_projection_discriminator(model, shape):
  """logit = w.h + b + <embed(y), h>: affine in the table, one row of which reads one class, and equal rows add to w."""
  _, discriminator = build(model, shape, conditional=True)
  _, images, labels = batch(shape)
  params = discriminator.init(jax.random.key(0))
  table = params["LogitHead_0"]["embed"]["kernel"]
  weight = params["LogitHead_0"]["linear"]["kernel"][:, 0]

  def logits(rows, w=weight):
    head = {**params["LogitHead_0"], "embed": {"kernel": rows}}
    head["linear"] = {**head["linear"], "kernel": w[:, None]}
    return discriminator.apply({**params, "LogitHead_0": head}, images, labels)

  base = logits(0.0 * table)
  np.testing.assert_allclose(logits(3.0 * table) - base, 3.0 * (logits(table) - base), rtol=1e-4, atol=1e-5)
  shifted = logits(table.at[2].add(1.0)) - logits(table)
  assert [bool(s) for s in jnp.abs(shifted) > 1e-4] == [y == 2 for y in labels.tolist()]
  direction = jnp.cos(jnp.arange(weight.size, dtype=jnp.float32))
  np.testing.assert_allclose(
    logits(table + direction.reshape(1, -1)), logits(table, weight + direction), rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize("norm", settings.FIELDS["discriminator_norm"].choices)
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_batches_are_coupled_exactly_where_couples_batch_says_so(model, shape, norm):
  noise, images, labels = batch(shape)
  generator, discriminator = build(model, shape, discriminator_norm=norm)
  params = discriminator.init(jax.random.key(0))
  before, after = (discriminator.apply(params, x, labels) for x in (images, images.at[0].multiply(-0.5)))
  assert abs(float(before[0] - after[0])) > 1e-4
  coupled = float(jnp.abs(before[1:] - after[1:]).max()) > 1e-4
  assert coupled == models.couples_batch(make_spec(discriminator_norm=norm)) == (norm == "batch")
  if not coupled:
    np.testing.assert_allclose(before[1:], after[1:], rtol=1e-6, atol=1e-6)
  params = generator.init(jax.random.key(0))
  before, after = (generator.apply(params, z, labels) for z in (noise, noise.at[0].multiply(-0.5)))
  np.testing.assert_allclose(before[1:], after[1:], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_normalisation_forgets_the_scale_of_the_weights_before_it(model, shape, norm):
  _, discriminator = build(model, shape, discriminator_norm=norm)
  _, images, labels = batch(shape)
  params = discriminator.init(jax.random.key(0))
  scaled_layer = {"mlp": "Dense_1", "dcgan": "DownConvolution_1"}[model]
  scaled = {**params, scaled_layer: jax.tree.map(lambda leaf: 10.0 * leaf, params[scaled_layer])}
  one, other = (discriminator.apply(p, images, labels) for p in (params, scaled))
  np.testing.assert_allclose(one, other, rtol=0.02, atol=0.002)


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_r1_has_the_gradient_of_its_finite_differences_and_a_finite_one_on_blank_images(model, shape, norm):
  _, discriminator = build(model, shape, conditional=True, discriminator_norm=norm)
  _, images, labels = batch(shape)

  @jax.jit
  def r1(params, images):
    slope = jax.grad(lambda x: discriminator.apply(params, x, labels).sum())(images)
    return (slope**2).sum()

  params = discriminator.init(jax.random.key(0))
  gradient = jax.jit(jax.value_and_grad(r1))
  assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient(params, 0.0 * images)))
  value, grads = gradient(params, images)
  assert float(value) > 0.0
  # Against a finite difference along the gradient: d/dt r1(params + t g) = |g|^2.
  norm2 = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(grads))
  step = 1e-3 * float(value) / norm2
  ahead, behind = (r1(jax.tree.map(lambda p, g, s=s: p + s * step * g, params, grads), images) for s in (1.0, -1.0))
  assert float(ahead - behind) / (2 * step) == pytest.approx(norm2, rel=0.05)


@pytest.mark.parametrize("shape", SHAPES["dcgan"])
def test_dcgan_is_the_same_network_under_either_convolution(shape):
  noise, images, labels = batch(shape)
  matmul, lax = (build("dcgan", shape, convolution=name) for name in ("matmul", "lax"))
  for player, other, x in zip(matmul, lax, (noise, images), strict=True):
    params = player.init(jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, params, other.init(jax.random.key(3)))
    np.testing.assert_allclose(player.apply(params, x, labels), other.apply(params, x, labels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "shape"), PAIRS)
def test_players_start_level_at_the_default_widths(model, shape):
  """Comparable in size, and the logit's slope in the image near one: neither starts ahead, or without signal."""
  generator, discriminator = build(model, shape, generator_width=128, discriminator_width=128, latent_size=32)
  gen_params, disc_params = generator.init(jax.random.key(0)), discriminator.init(jax.random.key(1))
  sizes = [sum(leaf.size for leaf in jax.tree.leaves(params)) for params in (gen_params, disc_params)]
  assert max(sizes) < 3 * min(sizes)
  labels = jnp.zeros(16, jnp.int32)
  fakes = generator.apply(gen_params, jax.random.normal(jax.random.key(2), (16, 32)), labels)
  slopes = jax.jit(jax.grad(lambda x: discriminator.apply(disc_params, x, labels).sum()))(fakes)
  norms = jnp.sqrt((slopes.reshape(16, -1) ** 2).sum(axis=1))
  assert 1 / 3 < float(norms.mean()) < 3
  assert 0.1 < float(fakes.std()) < 3


@pytest.mark.parametrize("shape", [(2,), (16, 16, 1), (28, 32, 1), (28, 28)])
def test_dcgan_names_the_sizes_that_it_supports(shape):
  with pytest.raises(BadInput, match=r"8x8, 28x28, 32x32, got .*shape \("):
    build("dcgan", shape)


def test_an_unknown_model_is_refused_with_the_choices():
  with pytest.raises(BadInput, match="unknown model 'dcgn'; did you mean 'dcgan'"):
    models.get("dcgn")
