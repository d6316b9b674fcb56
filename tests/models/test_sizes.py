"""Images of any size: how often they are halved, what is refused, and the second head of a discriminator."""

import jax
import numpy as np
import pytest

from gan_jax import models
from gan_jax.core.errors import BadInput
from gan_jax.models.sizes import base, halvings
from tests.support.records import spec_of

MAPS = {  # image -> the smallest map
  (8, 8): (2, 2),
  (28, 28): (7, 7),
  (32, 32): (4, 4),
  (12, 12): (3, 3),
  (16, 16): (4, 4),
  (28, 32): (7, 8),
  (48, 64): (6, 8),
  (64, 48): (8, 6),
  (64, 64): (4, 4),
  (100, 100): (25, 25),
  (128, 128): (4, 4),
  (256, 512): (4, 8),
}


@pytest.mark.parametrize(("image", "smallest"), MAPS.items())
def test_images_are_halved_to_the_size_that_the_rule_says(image, smallest):
  assert base(image, halvings(image)) == smallest


@pytest.mark.parametrize("shape", [(48, 64, 3), (64, 64, 1), (128, 128, 4), (12, 8, 2), (28, 32, 1)])
@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_every_size_is_made_and_judged(model, shape):
  generator, discriminator = models.get(model)(shape, 1, 8, False, generator_width=16, discriminator_width=16)

  def play(key, noise, labels):
    images, _ = generator.apply(*generator.init(key), noise, labels, True)
    return images, discriminator.apply(*discriminator.init(key), images, labels, True)[0]

  images, output = jax.eval_shape(play, jax.random.key(0), np.zeros((3, 8), np.float32), np.zeros(3, np.int32))
  assert images.shape == (3, *shape)
  assert output.logits.shape == (3,)
  if model == "dcgan":
    (params, _) = jax.eval_shape(discriminator.init, jax.random.key(0))
    assert len([name for name in params if "DownConvolution" in name]) == halvings(shape)
    assert output.features.shape == (3, 16 * np.prod(base(shape, halvings(shape))))


@pytest.mark.parametrize(
  ("model", "shape"),
  [
    ("resnet", (48, 64, 3)),
    ("resnet", (28, 28, 1)),
    ("sndcgan", (48, 64, 3)),
    ("sndcgan", (28, 32, 4)),
    ("biggan", (64, 64, 3)),
    ("biggan", (12, 16, 1)),
    ("r3gan", (32, 16, 1)),
  ],
)
def test_published_networks_make_other_sizes_and_colours(model, shape):
  generator, discriminator = models.get(model)(shape, 3, 9, True, generator_width=16, discriminator_width=16)

  def play(key, noise, labels):
    images, _ = generator.apply(*generator.init(key), noise, labels, True)
    return images, discriminator.apply(*discriminator.init(key), images, labels, True)[0]

  images, output = jax.eval_shape(play, jax.random.key(0), np.zeros((2, 9), np.float32), np.zeros(2, np.int32))
  assert images.shape == (2, *shape)
  assert output.logits.shape == (2,)


@pytest.mark.parametrize(
  ("shape", "message"),
  [
    ((2,), r"expected images \[H, W, C\], got examples of shape \(2,\)"),
    ((28, 28), r"expected images \[H, W, C\]"),
    ((30, 32, 1), "multiples of 4 and at least 8, got 30x32; the nearest sizes are 28x32 and 32x32"),
    ((33, 47, 3), "got 33x47; the nearest sizes are 32x44 and 36x48"),
    ((4, 4, 1), "got 4x4; the nearest sizes are 8x8$"),
  ],
)
def test_other_sizes_are_refused_with_the_nearest_ones(shape, message):
  with pytest.raises(BadInput, match=message):
    models.get("dcgan")(shape, 1, 8, False)


@pytest.mark.parametrize("model", ["mlp", "dcgan", "pacgan"])
def test_a_second_head_is_linear_in_the_features_and_leaves_all_else_as_it_is(model):
  shape, sizes = (8, 8, 1), {"generator_width": 8, "discriminator_width": 8}
  one, two = (models.get(model)(shape, 3, 4, True, class_logits=k, **sizes)[1] for k in (0, 5))
  images = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype(np.float32)
  labels = np.arange(4, dtype=np.int32) % 3

  @jax.jit
  def play(key):
    return [(params := p.init(key), p.apply(*params, images, labels, True)[0]) for p in (one, two)]

  ((plain, _), without), ((params, _), output) = play(jax.random.key(0))
  head = params["LogitHead_0"]
  assert without.classes is None
  assert jax.tree.structure(plain) == jax.tree.structure(
    {**params, "LogitHead_0": {name: leaf for name, leaf in head.items() if name != "classes"}}
  )
  np.testing.assert_array_equal(plain["LogitHead_0"]["linear"]["kernel"], head["linear"]["kernel"])
  np.testing.assert_allclose(output.logits, without.logits, rtol=1e-5)
  expected = np.asarray(output.features) @ np.asarray(head["classes"]["kernel"]) + np.asarray(head["classes"]["bias"])
  np.testing.assert_allclose(output.classes, expected, rtol=1e-4, atol=1e-5)
  assert (output.classes.shape, output.classes.dtype) == ((4, 5), np.float32)
  assert np.ptp(output.classes, axis=1).min() > 1e-6


def test_the_second_head_is_not_an_option_to_be_given():
  """The class loss determines it; given beside one it was overridden, and without one it was a head that never learns."""
  with pytest.raises(BadInput, match="'class_logits' of model 'mlp' is set by the field class_loss"):
    models.build(spec_of(model_options={"class_logits": 5}), (8, 8, 1), 3)
