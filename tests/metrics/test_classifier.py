"""The convolutional classifier: its product is XLA's convolution, what it learns, and when it is refused as a judge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, metrics
from gan_jax.core.errors import BadInput
from gan_jax.metrics import classifier, convnet


@pytest.mark.parametrize(
  ("size", "kernel", "stride", "padding"), [(8, 3, 2, "SAME"), (7, 3, 2, "SAME"), (5, 2, 1, "VALID")]
)
def test_columns_are_the_convolution(size, kernel, stride, padding):
  x, k = (
    jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(2, size, size + 1, 3), (kernel, kernel, 3, 4)])
  )
  expected = jax.lax.conv_general_dilated(
    x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
  )
  np.testing.assert_allclose(convnet.by_columns(x, k, (stride, stride), padding), expected, atol=1e-5)


def test_large_images_are_shrunk_to_means_of_blocks():
  """64 x 97 pixels: blocks of 3 x 3, and what is left of them at the edges is cut off."""
  image = jnp.arange(64 * 97, dtype=jnp.float32).reshape(1, 64, 97, 1)
  found = np.asarray(convnet.shrunk(image))
  assert found.shape == (1, 21, 32, 1)
  assert found[0, 1, 2, 0] == np.asarray(image)[0, 3:6, 6:9, 0].mean()
  assert convnet.shrunk(jnp.zeros((1, 32, 32, 3))).shape == (1, 32, 32, 3)


def test_colour_is_what_it_is_for(tmp_path, monkeypatch):
  """Digits of ten colours whose class is digit and colour alike; learnt, cached, and as good when it is read again."""
  monkeypatch.setattr(classifier, "CONVOLUTIONAL_STEPS", 200)
  digits = data.load("digits")
  gray = np.asarray(digits.data.images)[:1000].astype(np.float32)
  gray, labels = 255 * gray / gray.max(), np.asarray(digits.data.labels)[:1000]
  hue = np.random.default_rng(0).integers(0, 2, 1000)
  tint = np.array([[1.0, 0.5, 0.2], [0.2, 0.6, 1.0]])[hue][:, None, None, :]
  dataset = data.from_arrays(np.round(gray * tint).astype(np.uint8), (labels % 2 + 2 * hue).astype(np.int32))
  first = classifier.load_or_train(dataset, tmp_path)
  assert first.convolutional
  assert first.accuracy > 0.9
  assert 0.25 < first.chance < 0.35
  classifier.check(first)
  again = classifier.load_or_train(dataset, tmp_path)
  assert again.cached
  assert again._replace(params=None, cached=False) == first._replace(params=None)
  jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
  assert f"{first.accuracy:.1%} accurate" in classifier.network(first, dataset).protocol


def test_which_network_is_for_which_images():
  """Small gray images keep the fully connected one, so that their figures stay."""
  for shape, convolutional in (((8, 8, 1), False), ((28, 28, 1), False), ((32, 32, 1), True), ((8, 8, 3), True)):
    dataset = data.from_arrays(np.zeros((4, *shape), np.uint8), np.arange(4, dtype=np.int32) % 2)
    assert isinstance(classifier.task(dataset).network, convnet.ConvNet) == convolutional, shape


def test_the_least_accuracy_is_relative_to_chance():
  """Even classes: 60 % of two, 28 % of ten, 3 % of a hundred; and 93 % where nine in ten are of one class."""
  for chance, least in ((0.5, 0.6), (0.1, 0.28), (0.01, 0.03), (0.9, 0.92)):
    assert classifier.least_accuracy(chance, True) == pytest.approx(least)
    poor = classifier.Classifier({}, True, least - 0.001, False, chance, True)
    with pytest.raises(BadInput, match=rf"at least {least:.1%} .*chance is {chance:.1%}.*features=lite0"):
      classifier.check(poor)
    classifier.check(poor._replace(accuracy=least + 0.001))
  assert classifier.least_accuracy(0.25, False) == pytest.approx(0.325)


def test_pictures_without_labels_are_measured_with_a_warning(tmp_path, monkeypatch):
  """A poor convolutional judge of classes is refused; any other poor judge is said to be one, and used."""
  images = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 3)).astype(np.uint8)
  for labels, by_class in ((None, False), (np.arange(80) % 2, True)):
    dataset = data.from_arrays(images, labels)
    plan = classifier.task(dataset)
    params = plan.network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    poor = classifier.judge(plan, params, 0.2, cached=True)
    monkeypatch.setattr(classifier, "load_or_train", lambda *_, poor=poor: poor)
    if by_class:
      with pytest.raises(BadInput, match="check that the labels are right"):
        metrics.build(dataset, tmp_path, "images", {})
    else:
      notes = metrics.build(dataset, tmp_path, "images", {}).notes
      assert notes["warning"].startswith("the small classifier of this data expected an accuracy of at least 32.5%")
  gray = data.from_arrays(images[..., :1], np.arange(80) % 2)  # random labels, and a fully connected network
  plan = classifier.task(gray)
  params = plan.network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
  monkeypatch.setattr(classifier, "load_or_train", lambda *_: classifier.judge(plan, params, 0.2, cached=True))
  assert "at least 60.0%" in metrics.build(gray, tmp_path, "images", {}).notes["warning"]
