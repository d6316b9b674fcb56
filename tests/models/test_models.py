"""Every model of the registry: shapes, populations, the class, what depends on what, and derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import models
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Output
from tests.support.networks import Pure
from tests.support.records import spec_of

CLASSES = 5
SHAPES = {  # of examples that each model can make; a new model needs a row
  "dcgan": [(8, 8, 2), (28, 28, 1), (32, 32, 3)],
  "mlp": [(2,), (8, 8, 1)],
  "pacgan": [(8, 8, 1)],
  "autoencoder": [(8, 8, 1)],
  "resnet": [(8, 8, 2)],
  "sndcgan": [(8, 8, 2)],
  "biggan": [(8, 8, 2)],
  "r3gan": [(8, 8, 2)],
}
WIDTHS = {"generator_width": 8, "discriminator_width": 8}
NARROW = {  # options of models whose default widths are as published, too wide for a test
  "resnet": WIDTHS | {"attention": "4"},
  "sndcgan": WIDTHS,
  "biggan": WIDTHS | {"embedding": 4, "initial": "normal"},  # orthogonal weights take long to compile
  "r3gan": WIDTHS | {"group_size": 4},
}
# Whose weights start as published, not level, or whose logit is a mean over pixels, of the slope 1 / sqrt(pixels).
PUBLISHED = {"pacgan", "autoencoder", *NARROW}
UNBOUNDED = {"r3gan"}  # whose images are not bounded by tanh
PAIRS = [(name, shape) for name, shapes in SHAPES.items() for shape in shapes]
SMALL = [("mlp", (8, 8, 1)), ("dcgan", (8, 8, 2))]  # one of each, for what does not depend on the size
NORMS = models.MODELS["mlp"].options["discriminator_norm"].choices


@functools.cache
def build(model, shape, conditional=True, **fields):
  """(generator, discriminator) at the default widths, or at `NARROW` ones, compiled once for all tests."""
  players = models.get(model)(shape, CLASSES, 32, conditional, **NARROW.get(model, {}) | fields)
  return tuple(map(settled, players))


def settled(player):
  """`pure`, with a fresh memory that is computed once: what makes it takes longer to compile than a pass."""
  some = jax.tree.leaves(jax.eval_shape(player.init, jax.random.key(0))[1])
  memory = jax.jit(lambda key: player.init(key)[1])(jax.random.key(0)) if some else {}

  def apply(params, inputs, labels):
    outputs, _ = player.apply(params, memory, inputs, labels, True)
    return outputs.logits if isinstance(outputs, Output) else outputs

  return Pure(jax.jit(lambda key: player.init(key)[0]), jax.jit(apply))


@functools.cache
def start(model, shape):
  """The initial parameters of both players."""
  generator, discriminator = build(model, shape)
  return generator.init(jax.random.key(0)), discriminator.init(jax.random.key(1))


@functools.cache
def anywhere(model, shape, **fields):
  """Parameters of both players as they might be later, no bias zero; what holds for these does not hang on a start."""
  rng = np.random.default_rng(3)

  def draw(path, leaf):
    draws = rng.normal(size=leaf.shape).astype(np.float32)
    if path[-1].key == "kernel":
      return draws / np.sqrt(leaf.size / leaf.shape[-1], dtype=np.float32)
    return np.float32(path[-1].key == "scale") + np.float32(0.1) * draws

  shapes = tuple(jax.eval_shape(player.init, jax.random.key(0)) for player in build(model, shape, **fields))
  return jax.tree_util.tree_map_with_path(draw, shapes)


def batch(shape, size=4):
  rng = np.random.default_rng(0)
  noise, images = rng.normal(size=(size, 32)), rng.uniform(-1, 1, size=(size, *shape))
  return noise.astype(np.float32), images.astype(np.float32), np.arange(size, dtype=np.int32) % CLASSES


@pytest.mark.parametrize("model", models.MODELS)
def test_every_model_has_its_shapes(model):
  assert SHAPES.get(model), f"add to SHAPES examples that model {model!r} can make"


@pytest.mark.parametrize(("model", "shape"), PAIRS)
def test_shapes_dtypes_and_range(model, shape):
  (generator, discriminator), (gen_params, disc_params) = build(model, shape), start(model, shape)
  noise, images, labels = batch(shape)
  fakes = generator.apply(gen_params, 100 * noise, labels)
  logits = discriminator.apply(disc_params, images, labels)
  assert (fakes.shape, fakes.dtype) == ((4, *shape), jnp.float32)
  assert (logits.shape, logits.dtype) == ((4,), jnp.float32)
  # Images are bounded by tanh; points are not bounded at all.
  assert (np.abs(fakes).max() <= 1) == (len(shape) == 3 and model not in UNBOUNDED)


# Not as published: pacgan's weights, N(0, 0.02^2), give the discriminator next to no slope at the start.
@pytest.mark.parametrize(("model", "shape"), [pair for pair in PAIRS if pair[0] not in PUBLISHED])
def test_players_start_level(model, shape):
  """Comparable in size, and the logit's slope in the image near one: neither starts ahead, or without signal."""
  (generator, discriminator), params = build(model, shape), start(model, shape)
  sizes = [sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in params]
  assert max(sizes) < 4 * min(sizes)
  noise, _, labels = batch(shape)
  fakes = np.asarray(generator.apply(params[0], noise, labels))
  slopes = jax.jit(jax.grad(lambda x: discriminator.apply(params[1], x, labels).sum()))(fakes)
  norms = np.linalg.norm(np.asarray(slopes).reshape(len(fakes), -1), axis=1)
  assert 1 / 3 < norms.mean() < 3
  assert 0.1 < fakes.std() < 3


@pytest.mark.parametrize("shape", SHAPES["dcgan"])
def test_dcgan_is_the_same_network_under_either_convolution(shape):
  noise, images, labels = batch(shape)
  ours, other, params = build("dcgan", shape), build("dcgan", shape, convolution="lax"), anywhere("dcgan", shape)
  for player, lax_player, tree, x in zip(ours, other, params, (noise, images), strict=True):
    shapes = jax.tree.map(jnp.shape, tree), jax.tree.map(jnp.shape, jax.eval_shape(lax_player.init, jax.random.key(0)))
    assert shapes[0] == shapes[1]
    np.testing.assert_allclose(player.apply(tree, x, labels), lax_player.apply(tree, x, labels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_a_population_equals_its_members(model, shape):
  noise, images, labels = batch(shape)

  def trained(player, x):
    return lambda key: (params := player.init(key), player.apply(params, x, labels))

  for player, x in zip(build(model, shape), (noise, images), strict=True):
    keys = jax.random.split(jax.random.key(7), 3)
    together = jax.tree.map(np.asarray, jax.jit(jax.vmap(trained(player, x)))(keys))
    for member, key in enumerate(keys):
      alone = trained(player, x)(key)
      mine = jax.tree.map(lambda leaf, m=member: leaf[m], together)
      jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), mine, alone)
    assert np.abs(together[1][0] - together[1][1]).max() > 0.01


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_the_class_counts_if_and_only_if_conditional(model, shape, conditional):
  fields = {} if conditional else {"conditional": False}
  noise, images, labels = batch(shape)
  for player, params, x in zip(
    build(model, shape, **fields), anywhere(model, shape, **fields), (noise, images), strict=True
  ):
    one, other = (np.asarray(player.apply(params, x, y)) for y in (labels, (labels + 1) % CLASSES))
    changed = np.abs(one - other).reshape(len(x), -1).max(axis=1)
    assert (changed > 1e-4).all() if conditional else changed.max() == 0


@pytest.mark.parametrize("model", NARROW)
def test_the_class_counts_in_published_models(model):
  shape = SHAPES[model][0]
  noise, images, labels = batch(shape)
  for player, params, x in zip(build(model, shape), anywhere(model, shape), (noise, images), strict=True):
    one, other = (np.asarray(player.apply(params, x, y)) for y in (labels, (labels + 1) % CLASSES))
    assert (np.abs(one - other).reshape(len(x), -1).max(axis=1) > 1e-4).all()


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_the_discriminator_is_a_projection_discriminator(model, shape):
  """logit = w.h + b + <embed(y), h>: linear in the table, a row of which reads one class, and equal rows add to w."""
  (_, discriminator), (_, params) = build(model, shape), anywhere(model, shape)
  _, images, labels = batch(shape)
  table = params["LogitHead_0"]["embed"]["kernel"]
  weight = params["LogitHead_0"]["linear"]["kernel"][:, 0]

  def logits(rows, w=weight):
    head = {"embed": {"kernel": rows}, "linear": {**params["LogitHead_0"]["linear"], "kernel": w[:, None]}}
    return np.asarray(discriminator.apply({**params, "LogitHead_0": head}, images, labels))

  base = logits(0 * table)
  np.testing.assert_allclose(logits(3 * table) - base, 3 * (logits(table) - base), rtol=1e-4, atol=1e-5)
  changed = np.abs(logits(table + (np.arange(CLASSES) == 2)[:, None].astype(np.float32)) - logits(table)) > 1e-4
  np.testing.assert_array_equal(changed, labels == 2)
  direction = np.cos(np.arange(weight.size, dtype=np.float32))
  np.testing.assert_allclose(logits(table + direction), logits(table, weight + direction), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_logits_are_coupled_exactly_where_couples_batch_says_so(model, shape, norm):
  (_, discriminator), (_, params) = (f(model, shape, discriminator_norm=norm) for f in (build, anywhere))
  _, images, labels = batch(shape)
  perturbed = np.concatenate([-0.5 * images[:1], images[1:]])
  changed = np.abs(discriminator.apply(params, images, labels) - discriminator.apply(params, perturbed, labels))
  assert changed[0] > 1e-4
  spec = spec_of(model=model, conditional=True, model_options={"discriminator_norm": norm})
  assert models.couples_batch(spec, shape, CLASSES) == (norm == "batch")
  assert changed[1:].min() > 1e-4 if norm == "batch" else changed[1:].max() < 1e-5


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_generated_images_do_not_depend_on_one_another(model, shape):
  (generator, _), (params, _) = build(model, shape), anywhere(model, shape)
  noise, _, labels = batch(shape)
  perturbed = np.concatenate([-0.5 * noise[:1], noise[1:]])
  one, other = (np.asarray(generator.apply(params, z, labels)) for z in (noise, perturbed))
  assert np.abs(one[0] - other[0]).max() > 0.01
  np.testing.assert_allclose(one[1:], other[1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_normalisation_forgets_the_scale_of_the_weights_before_it(model, shape, norm):
  (_, discriminator), (_, params) = (f(model, shape, discriminator_norm=norm) for f in (build, anywhere))
  _, images, labels = batch(shape)
  layer = {"mlp": "Dense_1", "dcgan": "DownConvolution_1"}[model]
  scaled = {**params, layer: jax.tree.map(lambda leaf: 10 * leaf, params[layer])}
  one, other = (discriminator.apply(tree, images, labels) for tree in (params, scaled))
  np.testing.assert_allclose(one, other, rtol=0.01, atol=0.002)


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_r1_has_the_gradient_of_its_finite_differences_and_a_finite_one_on_blank_images(model, shape, norm):
  (_, discriminator), (_, params) = (f(model, shape, discriminator_norm=norm) for f in (build, anywhere))
  _, images, labels = batch(shape)

  def r1(params, images):
    slope = jax.grad(lambda x: discriminator.apply(params, x, labels).sum())(images)
    return (slope**2).sum()

  gradient = jax.jit(jax.value_and_grad(r1))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(params, 0 * images)))
  value, grads = jax.tree.map(np.asarray, gradient(params, images))
  assert value > 0
  # Against a finite difference along the gradient: d/dt r1(params + t g) = |g|^2.
  norm2 = sum((leaf**2).sum() for leaf in jax.tree.leaves(grads))
  step = 1e-3 * value / norm2
  ahead, behind = (
    gradient(jax.tree.map(lambda p, g, s=sign: p + s * step * g, params, grads), images)[0] for sign in (1, -1)
  )
  assert (ahead - behind) / (2 * step) == pytest.approx(norm2, rel=0.05)


def test_an_unknown_model_is_refused_with_the_choices():
  with pytest.raises(BadInput, match="unknown model 'dcgn'; did you mean 'dcgan'"):
    models.get("dcgn")


def test_the_second_head_gives_logits_or_cosines():
  """K logits of classes, or with -K the cosines of the features with K vectors; the first head does not change."""
  from gan_jax.models.linen import LogitHead

  features, labels = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), jnp.zeros(4, jnp.int32)
  features[1] = 0
  heads = {number: LogitHead(False, 3, class_logits=number) for number in (0, 3, -3)}
  found = {}
  for number, head in heads.items():
    variables = head.init(jax.random.key(0), features, labels)
    output = head.apply(variables, features, labels)
    found[number] = output.logits
    np.testing.assert_array_equal(output.features, features)
    if number > 0:
      held = jax.tree.map(np.asarray, variables["params"]["classes"])
      np.testing.assert_allclose(output.classes, features @ held["kernel"] + held["bias"], rtol=1e-5, atol=1e-6)
    elif number < 0:
      v = np.asarray(variables["params"]["classes"], np.float64)
      lengths = np.outer(np.linalg.norm(features, axis=1), np.linalg.norm(v, axis=0))
      np.testing.assert_allclose(output.classes, features @ v / np.where(lengths > 0, lengths, 1), atol=1e-6)
    else:
      assert output.classes is None
  np.testing.assert_array_equal(found[0], found[3])
  np.testing.assert_array_equal(found[0], found[-3])
