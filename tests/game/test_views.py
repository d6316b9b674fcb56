"""What the discriminator is shown: flipped reals, augmented reals and fakes, and an adapting strength; and class losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game, losses, penalties
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Output
from gan_jax.data import augmentations
from gan_jax.data.arrays import from_arrays
from gan_jax.game.batches import draw, resident_batch
from gan_jax.game.discriminator import of
from gan_jax.game.state import initial_state
from gan_jax.models.players import plain
from tests.support.records import fitted, hypers_of, spec_of
from tests.support.steps import bare, compiled_step

SHAPE, FEATURES = (4, 4, 1), 5


def data():
  rng = np.random.default_rng(0)
  return from_arrays(rng.integers(0, 256, (40, *SHAPE)).astype(np.uint8), np.arange(40) % 2)


def image_of(params, noise, labels):
  return jnp.tanh(noise @ params["w"] + params["class"][labels]).reshape(-1, *SHAPE)


def output_of(params, images, labels=None):
  h = jnp.tanh(images.reshape(len(images), -1) @ params["w"])
  return Output(h @ params["v"], h, h @ params["c"])


def networks():
  """A generator and a discriminator with features and two classes, small enough to write out."""
  draw_ = lambda key, *shape: 0.5 * jax.random.normal(key, shape)  # noqa: E731
  make = lambda key: {"w": draw_(key, 3, 16), "class": draw_(key, 2, 16)}  # noqa: E731
  see = lambda key: {"w": draw_(key, 16, FEATURES), "v": draw_(key, FEATURES), "c": draw_(key, FEATURES, 2)}  # noqa: E731
  return plain(make, image_of), plain(see, output_of, discriminator=True)


def case(names=("non_saturating",), traced=None, look=bare, **fields):
  """(game, hypers, step, state, data)."""
  spec, dataset = spec_of(names, batch_size=8, latent_size=3, **fields), data()
  played = game.assemble(spec, dataset, *networks())
  h = fitted(hypers_of(names, **(traced or {})), spec)
  return played, h, compiled_step(played, look), initial_state(h, played), dataset.data


def test_flips_mirror_half_of_the_reals():
  played, h, _, _, stored = case(flips=True)
  mirrored = []
  for step in range(20):
    at = jnp.asarray(step)
    plainly = played.decode(draw(played.spec, h.seed, at, stored).images[0])
    seen = resident_batch(played, h, at, stored, "discriminator", 0).real
    same, turned = (
      (np.asarray(seen) == x).all((1, 2, 3)) for x in (np.asarray(plainly), np.asarray(plainly)[:, :, ::-1])
    )
    assert (same | turned).all()
    np.testing.assert_array_equal(seen, resident_batch(played, h, at, stored, "generator", 0).real)
    mirrored += [turned.mean()]
  assert np.mean(mirrored) == pytest.approx(0.5, abs=0.12)


def test_reals_fakes_and_penalties_are_augmented():
  """The loss is of D(T(x)), and R1 the slope of D(T(x)) by x: both written out from the batch."""
  names = "brightness + contrast"
  traced = {"penalty_weight": 1.0, "augmentation_strength": 1.0}
  slope = lambda trace: bare(trace)._replace(generator=trace.generator._replace(image_motion=None))  # noqa: E731
  played, h, step, state, stored = case(traced=traced, look=slope, discriminator_augmentation=names, penalty="r1")
  batch = resident_batch(played, h, state.step, stored, "discriminator", 0)
  _, trace = step(h, state, stored)
  augment = augmentations.joined(names, SHAPE)
  fake = image_of(state.gen_params, batch.noise, batch.labels)
  both = augment(jnp.concatenate([batch.real, fake]), of("both", batch), 1.0)
  real_logits, fake_logits = jnp.split(output_of(state.disc_params, both).logits, 2)
  np.testing.assert_allclose(trace.discriminator.real_logits, real_logits, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(trace.discriminator.fake_logits, fake_logits, rtol=1e-5, atol=1e-6)
  critic = lambda x: output_of(state.disc_params, augment(x, of("penalty", batch), 1.0)).logits  # noqa: E731
  r1 = penalties.get("r1").function(critic, batch.real, fake, batch.key).mean()
  assert float(trace.discriminator.penalty) == pytest.approx(float(r1), rel=1e-5)
  # The generator's factors are those of the augmented discriminator, too.
  gen = resident_batch(played, h, state.step, stored, "generator", 0)
  params = jax.tree.map(lambda p, u: p + u, trace.discriminator.params, trace.discriminator.updates)
  seen = lambda x: output_of(params, augment(x, of("fake", gen), 1.0)).logits.sum()  # noqa: E731
  slope = jax.grad(seen)(image_of(state.gen_params, gen.noise, gen.labels))
  np.testing.assert_allclose(trace.generator.logit_slope, slope, rtol=1e-4, atol=1e-6)


def test_strength_zero_is_no_augmentation():
  _, h, plain_step, state, stored = case()
  _, off, step, same, _ = case(traced={"augmentation_strength": 0.0}, discriminator_augmentation="color")
  (_, one), (_, other) = plain_step(h, state, stored), step(off, same, stored)
  np.testing.assert_allclose(one.generator.fake_logits, other.generator.fake_logits, rtol=1e-6)
  np.testing.assert_allclose(one.discriminator.real_logits, other.discriminator.real_logits, rtol=1e-6)


def test_the_strength_is_that_of_the_state():
  """It moves by batch / images an update, after two updates of a step by twice as much; a fixed one stays."""
  traced = {"augmentation_strength": 0.3, "augmentation_target": 0.999, "augmentation_images": 400.0}
  _, h, step, state, stored = case(traced=traced, discriminator_augmentation="brightness", n_critic=2)
  for number in (1, 2):
    state, trace = step(h, state, stored)
    assert abs(np.sign(trace.discriminator.real_logits).mean()) < 0.999
    assert float(state.memory.strength) == pytest.approx(0.3 - number * 2 * 8 / 400, abs=1e-6)
  state, _ = step(h._replace(augmentation_target=0.0), state, stored)
  assert float(state.memory.strength) == pytest.approx(0.3)


def test_one_update_of_the_strength():
  """Of the logits 3 positive, 1 negative (mean sign 1/2) with a batch of 8: up by 8/400 below the target, else down."""
  from gan_jax.game.updates import adapted

  played, h, *_ = case(discriminator_augmentation="brightness")
  logits = jnp.array([3.0, 0.1, 2.0, -5.0])
  for target, start, expected in (
    (0.4, 0.5, 0.52),
    (0.6, 0.5, 0.48),
    (0.5, 0.5, 0.5),
    (0.4, 0.99, 1.0),
    (0.6, 0.01, 0.0),
  ):
    found = adapted(
      played, h._replace(augmentation_target=target, augmentation_images=400.0), jnp.asarray(start), logits
    )
    assert float(found) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["ac", "multi_hinge"])
def test_class_losses_enter_both_gradients(name):
  """The players' updates are those of loss + weight * class loss, differentiated as a whole."""
  fields = {"class_loss": name, "conditional": True, "optimizer": "sgd", "order": "simultaneous"}
  traced = {"class_weight": 0.7, "generator_rate": 1.0, "discriminator_rate": 1.0}
  if name == "multi_hinge":  # of K + 1 classes: with two logits, one class
    played, h, step, state, stored = case(traced=traced, **fields)
    stored = stored._replace(labels=0 * stored.labels)
  else:
    played, h, step, state, stored = case(traced=traced, **fields)
  moved, trace = step(h, state, stored)
  loss, extra = losses.get("non_saturating"), losses.CLASS_LOSSES[name]()
  batch = resident_batch(played, h, state.step, stored, "discriminator", 0)

  def of_discriminator(params):
    fake = image_of(state.gen_params, batch.noise, batch.labels)
    real, made = output_of(params, batch.real), output_of(params, fake)
    terms = extra.discriminator(real, made, batch.labels)
    return (loss.discriminator(real.logits, made.logits) + 0.7 * terms).mean(), terms.mean()

  gen = resident_batch(played, h, state.step, stored, "generator", 0)

  def of_generator(params):
    made = output_of(state.disc_params, image_of(params, gen.noise, gen.labels))
    terms = extra.generator(made, gen.labels)
    return (loss.generator(made.logits, made.logits) + 0.7 * terms).mean(), terms.mean()

  for old, new, whole, view in (
    (state.disc_params, moved.disc_params, of_discriminator, trace.discriminator),
    (state.gen_params, moved.gen_params, of_generator, trace.generator),
  ):
    grads, value = jax.jit(jax.grad(whole, has_aux=True))(old)
    jax.tree.map(lambda a, b, g: np.testing.assert_allclose(b, a - g, rtol=1e-4, atol=1e-5), old, new, grads)
    assert float(view.class_loss) == pytest.approx(float(value), rel=1e-5)
    assert 0 <= float(view.class_accuracy) <= 1


def test_class_losses_need_classes():
  with pytest.raises(BadInput, match=r"class_loss 'ac' expected conditional=True"):
    game.check(spec_of(("hinge",), class_loss="ac"))
