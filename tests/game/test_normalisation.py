"""Gradient normalisation of the discriminator: its closed form for a linear one, and what it promises of any other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game, losses
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Output
from gan_jax.data import augmentations
from gan_jax.data.arrays import from_arrays
from gan_jax.game import discriminator, generator
from gan_jax.game.batches import resident_batch
from gan_jax.game.discriminator import gradient_normalised, of
from gan_jax.game.state import initial_state
from gan_jax.models.players import plain
from tests.support.records import fitted, hypers_of, spec_of

SHAPE = (2, 3, 1)
PIXELS = 6


def linear(params, images, labels=None):
  """A linear logit, and logits of two classes."""
  x = images.reshape(len(images), -1)
  return Output(x @ params["w"] + params["b"][0], x, x @ params["c"])


def closed(params, images):
  """The linear discriminator normalised: its gradient by the image is w, everywhere."""
  logits = linear(params, images).logits
  return logits / (jnp.sqrt((params["w"] ** 2).sum()) + jnp.abs(logits))


def networks():
  make = lambda key: {"w": 0.5 * jax.random.normal(key, (3, PIXELS))}  # noqa: E731
  draw = lambda key, *shape: 0.3 * jax.random.normal(key, shape)  # noqa: E731
  see = lambda key: {"w": draw(key, PIXELS), "b": jnp.full(1, 0.2), "c": draw(key, PIXELS, 2)}  # noqa: E731
  image_of = lambda params, noise, labels: jnp.tanh(noise @ params["w"]).reshape(-1, *SHAPE)  # noqa: E731
  return plain(make, image_of), plain(see, linear, discriminator=True)


def case(traced=None, **fields):
  """(game, hypers, state, data) with the linear discriminator."""
  spec = spec_of(("non_saturating",), batch_size=8, latent_size=3, gradient_normalisation=True, **fields)
  rng = np.random.default_rng(0)
  dataset = from_arrays(rng.integers(0, 256, (40, *SHAPE)).astype(np.uint8), np.arange(40) % 2)
  played = game.assemble(spec, dataset, *networks())
  h = fitted(hypers_of(("non_saturating",), **(traced or {})), spec)
  return played, h, initial_state(h, played), dataset.data


def wide(params, x):
  """Two layers of leaky rectifiers: linear in pieces."""
  h = jax.nn.leaky_relu(x @ params["a"] + params["b"][None], 0.2)
  return jax.nn.leaky_relu(h @ params["c"], 0.2) @ params["d"]


def drawn(scale=1.0):
  rng = np.random.default_rng(3)
  shapes = {"a": (4, 16), "b": (16,), "c": (16, 16), "d": (16,)}
  params = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
  return params | {"d": scale * params["d"]}, jnp.asarray(rng.normal(size=(64, 4)), jnp.float32)


def normalised(params, x):
  return gradient_normalised(lambda images: (Output(wide(params, images)), ()), x)[0].logits


def test_gradients_are_those_of_the_closed_form():
  """Logits, R1 and both players' gradients, with a class loss, of a linear discriminator of augmented images."""
  fields = {"penalty": "r1", "class_loss": "ac", "conditional": True, "discriminator_augmentation": "contrast"}
  played, h, state, data = case({"penalty_weight": 0.7, "class_weight": 0.4}, **fields)
  loss, extra = losses.get("non_saturating"), losses.CLASS_LOSSES["ac"]()
  augment = augmentations.joined("contrast", SHAPE)
  point = (state.gen_params, state.disc_params)
  made = lambda params, batch: played.generator.apply(params, (), batch.noise, batch.labels, True)[0]  # noqa: E731
  batch, gen = (resident_batch(played, h, state.step, data, player, 0) for player in ("discriminator", "generator"))

  def of_discriminator(params):
    both = augment(jnp.concatenate([batch.real, made(state.gen_params, batch)]), of("both", batch), 1.0)
    (real, fake), seen = jnp.split(closed(params, both), 2), linear(params, both)
    outputs = [Output(*parts) for parts in zip(*(jnp.split(v, 2) for v in seen if v is not None), strict=True)]
    critic = lambda x: closed(params, augment(x, of("penalty", batch), 1.0)).sum()  # noqa: E731
    r1 = 0.5 * (jax.grad(critic)(batch.real) ** 2).sum((1, 2, 3))
    terms = loss.discriminator(real, fake) + 0.4 * extra.discriminator(*outputs, batch.labels)
    return (terms + 0.7 * r1).mean(), (real, r1.mean())

  def of_generator(params):
    fake = augment(made(params, gen), of("fake", gen), 1.0)
    logits, seen = closed(state.disc_params, fake), linear(state.disc_params, fake)
    return (loss.generator(logits, logits) + 0.4 * extra.generator(seen, gen.labels)).mean()

  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # noqa: E731
  found, seen = jax.jit(lambda p: discriminator.gradient(played, h, p, state.memory, batch))(point)
  expected, (real, r1) = jax.jit(jax.grad(of_discriminator, has_aux=True))(state.disc_params)
  jax.tree.map(close, found, expected)
  close(seen.view.real_logits, real)
  close(seen.view.penalty, r1)
  found = jax.jit(lambda p: generator.gradient(played, h, p, state.memory, gen)[0])(point)
  jax.tree.map(close, found, jax.jit(jax.grad(of_generator))(state.gen_params))


def test_bfloat16_is_the_same_to_its_rounding():
  found = {}
  for precision in ("float32", "bfloat16"):
    played, h, state, data = case(precision=precision)
    batch = resident_batch(played, h, state.step, data, "generator", 0)
    of_it = lambda p, game_=played, h=h, m=state.memory, b=batch: generator.gradient(game_, h, p, m, b)  # noqa: E731
    _, seen = jax.jit(of_it)((state.gen_params, state.disc_params))
    found[precision] = seen.view
  low, full = found["bfloat16"], found["float32"]
  assert low.fake_logits.dtype == np.float32
  for name in ("fake_logits", "logit_slope", "image_cotangent"):
    size = float(jnp.abs(getattr(full, name)).max())
    assert 0 < float(jnp.abs(getattr(low, name) - getattr(full, name)).max()) < 0.03 * size


def test_the_slope_is_at_most_one_and_as_stated():
  """By differences within the pieces of a network of rectifiers; the derivative of a logit by the image is the same."""
  with jax.enable_x64(True):
    params, x = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), drawn())
    f, found = wide(params, x), normalised(params, x)
    assert (np.abs(found) < 1).all()
    np.testing.assert_array_equal(np.sign(found), np.sign(f))
    step = 1e-6 * np.eye(4)
    shifted = lambda g, sign: np.stack([g(params, x + sign * s) for s in step[:, None]], axis=1)  # noqa: E731
    rises = (shifted(normalised, 1) - shifted(normalised, -1)) / 2e-6
    slopes = (shifted(wide, 1) - shifted(wide, -1)) / 2e-6
    norm = np.linalg.norm(slopes, axis=1)
    np.testing.assert_allclose(np.linalg.norm(rises, axis=1), (norm / (norm + np.abs(f))) ** 2, rtol=1e-5)
    assert (np.linalg.norm(rises, axis=1) <= 1).all()
    np.testing.assert_allclose(jax.grad(lambda v: normalised(params, v).sum())(x), rises, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e15])
def test_a_positive_factor_changes_nothing(scale):
  """Neither a logit nor what the weights below the last layer learn, however small or large it is."""
  whole = jax.jit(jax.value_and_grad(lambda p, x: jnp.sin(normalised(p, x)).sum()))
  (params, x), (scaled, _) = drawn(), drawn(scale)
  (value, grads), (same, other) = whole(params, x), whole(scaled, x)
  assert float(same) == pytest.approx(float(value), rel=1e-5)
  for name in ("a", "b", "c"):
    np.testing.assert_allclose(other[name], grads[name], rtol=1e-3, atol=1e-5)
  # By the last layer it is homogeneous of degree 0: the derivative falls as the factor rises, and is orthogonal to it.
  np.testing.assert_allclose(scale * other["d"], grads["d"], rtol=1e-3, atol=1e-5)
  assert abs(float(grads["d"] @ params["d"])) < 1e-4


def test_where_logit_and_slope_are_zero_it_is_zero():
  params, x = drawn(0.0)
  value, grads = jax.jit(jax.value_and_grad(lambda p: normalised(p, x).sum()))(params)
  assert float(value) == 0
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    ({"packing": 2}, "gradient_normalisation is per sample, but packing=2 gives several samples one logit"),
    ({"model_options": {"discriminator_norm": "batch"}}, "gradient_normalisation is per sample, but the discriminator"),
  ],
)
def test_what_couples_examples_is_refused(fields, words):
  from gan_jax import data

  spec = spec_of(("hinge",), gradient_normalisation=True, dataset="ring", latent_size=2, **fields)
  with pytest.raises(BadInput) as caught:
    game.build(spec, data.load("ring"))
  assert words in str(caught.value)
  assert "or gradient_normalisation=False" in str(caught.value)
