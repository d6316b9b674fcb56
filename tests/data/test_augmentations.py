"""Augmentations: a contract for all, and for each what exactly it may do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from gan_jax.core.errors import BadInput
from gan_jax.data import augmentations

KEY = jax.random.key(0)
NAMES = sorted(augmentations.AUGMENTATIONS)


def shifts(length):
  """[offsets, length]: the indices that a side is read at, for each offset of up to an eighth."""
  reach = -(-length // 8)
  return np.clip(np.arange(length)[None] + np.arange(-reach, reach + 1)[:, None], 0, length - 1)


def uncut(length):
  """[length]: the chance of each pixel of a side to be within the hole's half."""
  centres = (np.arange(length) + 0.5) / length
  return np.minimum(centres + 0.25, 1) - np.maximum(centres - 0.25, 0)


def moves(length):
  """[length, length]: the mean of the matrices that move a side by up to an eighth (rounded), zeros moving in."""
  reach = int(length / 8 + 0.5)
  return np.mean([np.eye(length, k=k) for k in range(-reach, reach + 1)], axis=0)


def mean_of_maps(image, draws=20_000):
  """Of ADA's affine maps, by draws and by an interpolation of SciPy's."""
  rng = np.random.default_rng(5)
  height, width, _ = image.shape
  turn = lambda t: np.moveaxis(np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]), 2, 0)  # noqa: E731
  s, a = 2 ** (0.2 * rng.normal(size=(2, draws)))
  maps = s[:, None, None] * turn(rng.uniform(-np.pi, np.pi, draws)) * np.stack([1 / a, a], 1)[:, None]
  maps = maps @ turn(rng.uniform(-np.pi, np.pi, draws))
  centre = np.array([height - 1, width - 1]) / 2
  pixels = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2) - centre
  moved = pixels[None] - 0.125 * rng.normal(size=(draws, 1, 2)) * [height, width]
  at = np.einsum("nij,npj->inp", np.linalg.inv(maps), moved) + centre[:, None, None]
  read = [ndimage.map_coordinates(image[..., c], at, order=1, mode="mirror").mean(0) for c in range(image.shape[2])]
  return np.stack(read, -1).reshape(image.shape)


# Of one image [H, W, C], the mean of its copies over the key; a new augmentation needs a row.
MEANS = {
  "affine": lambda x: mean_of_maps(x),
  "none": lambda x: x,
  "jitter": lambda x: x,
  "flip": lambda x: (x + x[:, ::-1]) / 2,
  "shift": lambda x: x[shifts(len(x))].mean(0)[:, shifts(x.shape[1])].mean(1),
  "translation": lambda x: np.einsum("ij,kl,jlc->ikc", moves(len(x)), moves(x.shape[1]), x),
  "brightness": lambda x: x,
  "saturation": lambda x: x,
  "contrast": lambda x: x,
  "color": lambda x: x,
  "rotation": lambda x: (x + x[::-1, ::-1]) / 2,
  "cutout": lambda x: x * (1 - np.outer(uncut(len(x)), uncut(x.shape[1])))[..., None],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_over_the_key(name):
  assert name in MEANS, f"add to MEANS what augmentation {name!r} makes of an image on average"
  image = np.random.default_rng(0).normal(size=(8, 12, 2)).astype(np.float32)
  found = np.asarray(jax.jit(augmentations.get(name))(jnp.tile(image, (4000, 1, 1, 1)), KEY), np.float64)
  error = found.std(0) / 4000**0.5
  assert (np.abs(found.mean(0) - MEANS[name](image)) <= 5 * error + 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(16, 8, 12, 2), (16, 2)], ids=["images", "points"])
def test_contract(name, shape):
  """Shape and dtype kept; a function of the key, different per example; a gradient that reaches the images."""
  if len(shape) == 2 and augmentations.AUGMENTATIONS[name].facts.of_images:
    with pytest.raises(
      BadInput, match=rf"augmentation '{name}' expected images \[H, W, C\], got examples of shape \[2\]"
    ):
      augmentations.get(name, shape[1:])
    with pytest.raises((IndexError, TypeError, ValueError)):  # nor could it
      augmentations.AUGMENTATIONS[name](jnp.zeros(shape), KEY)
    return
  augment, rng = jax.jit(augmentations.get(name, shape[1:])), np.random.default_rng(0)
  images = jnp.asarray(np.tile(rng.normal(size=(1, *shape[1:])), (16, *[1] * (len(shape) - 1))), jnp.float32)
  one, again, other = augment(images, KEY), augment(images, KEY), augment(images, jax.random.key(1))
  assert one.shape == images.shape
  assert one.dtype == images.dtype
  assert jax.eval_shape(augment, images.astype(jnp.bfloat16), KEY).dtype == jnp.bfloat16
  np.testing.assert_array_equal(one, again)
  if name == "none":
    np.testing.assert_array_equal(one, images)
  else:
    assert not np.array_equal(one, other)
    assert len(np.unique(np.asarray(one).reshape(16, -1), axis=0)) > 1
  weights = rng.normal(size=shape)
  gradient = jax.grad(lambda x: (weights * augment(x, KEY)).sum())(images)
  assert np.isfinite(gradient).all()
  assert (np.abs(gradient).reshape(16, -1).max(1) > 0).all()


def test_unknown_augmentation_names_the_choices():
  with pytest.raises(BadInput, match="unknown augmentation 'flop'; did you mean 'flip'"):
    augmentations.get("flop")


def test_jitter_adds_a_tenth():
  moved = augmentations.jitter(jnp.full((5000, 2), 4.0), KEY) - 4
  assert float(moved.std()) == pytest.approx(0.1, rel=0.05)
  assert float(moved.mean()) == pytest.approx(0, abs=0.005)


def test_flip_mirrors_half_of_the_images():
  """Each is its own or its mirror image, half of them each, and twice by one key is the image itself."""
  images = jax.random.normal(KEY, (1000, 3, 4, 1))
  flipped = augmentations.flip(images, KEY)
  mirrored = (np.asarray(flipped) == np.asarray(images)[:, :, ::-1]).all((1, 2, 3))
  kept = (np.asarray(flipped) == np.asarray(images)).all((1, 2, 3))
  assert (mirrored ^ kept).all()
  assert mirrored.mean() == pytest.approx(0.5, abs=0.08)
  np.testing.assert_array_equal(augmentations.flip(flipped, KEY), images)


def test_shift_repeats_edges():
  """Each image is an indexing with clipped rows and columns; all offsets to an eighth (rounded up), and no others."""
  height, width = 9, 17
  image = np.random.default_rng(0).normal(size=(height, width, 2)).astype(np.float32)  # not exact in 10 bits
  shifted = np.asarray(jax.jit(augmentations.shift)(jnp.tile(image, (400, 1, 1, 1)), KEY))
  candidates = {
    (i, j): image[np.clip(np.arange(height) + i, 0, height - 1)][:, np.clip(np.arange(width) + j, 0, width - 1)]
    for i in range(-3, 4)
    for j in range(-5, 6)
  }
  found = {offset: (shifted == moved).all((1, 2, 3)).sum() for offset, moved in candidates.items()}
  assert sum(found.values()) == 400
  assert {offset for offset, count in found.items() if count} == {(i, j) for i in range(-2, 3) for j in range(-3, 4)}


def test_cutout_zeroes_a_quarter_at_most():
  """A pixel at y (of height 1) is in the hole with the length of [y - 1/4, y + 1/4] within [0, 1], each side alone."""
  height, width, draws = 4, 6, 16_000
  cut = np.asarray(jax.jit(augmentations.cutout)(jnp.full((draws, height, width, 2), 3.0), KEY))
  assert set(np.unique(cut)) == {0.0, 3.0}
  np.testing.assert_array_equal(cut[..., 0], cut[..., 1])
  hole = cut[..., 0] == 0
  np.testing.assert_array_equal(hole, hole.any(2)[:, :, None] & hole.any(1)[:, None])  # a rectangle
  assert hole.sum((1, 2)).max() == height * width // 4
  chances = [
    np.minimum(centres + 0.25, 1) - np.maximum(centres - 0.25, 0)
    for centres in ((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width)
  ]
  np.testing.assert_allclose(hole.mean(0), np.outer(*chances), atol=5 * 0.5 / draws**0.5)


def test_translation_moves_zeros_in():
  """Each image is one of the moves of up to an eighth, its borders zero; all of them occur, and no others."""
  image = np.random.default_rng(0).normal(size=(8, 16, 1)).astype(np.float32)
  found = np.asarray(jax.jit(augmentations.translation)(jnp.tile(image, (300, 1, 1, 1)), KEY))
  candidates = [
    np.eye(8, k=i, dtype=np.float32) @ image[..., 0] @ np.eye(16, k=j, dtype=np.float32)
    for i in range(-1, 2)
    for j in range(-2, 3)
  ]
  hits = [(found[..., 0] == moved).all((1, 2)).sum() for moved in candidates]
  assert sum(hits) == 300
  assert min(hits) > 0


def test_colours_are_moved_by_the_published_amounts():
  """Brightness keeps differences, saturation the mean of a pixel, contrast that of an image; all as wide as published."""
  images = jnp.tile(jax.random.normal(KEY, (1, 4, 4, 3)), (2000, 1, 1, 1))
  pixel = lambda x: x - x.mean(-1, keepdims=True)  # noqa: E731
  whole = lambda x: x - x.mean((1, 2, 3), keepdims=True)  # noqa: E731
  shift = np.asarray(augmentations.brightness(images, KEY) - images)
  np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1, :1], shift.shape), atol=1e-6)
  for augment, centred, low, high in (
    (augmentations.saturation, pixel, 0, 2),
    (augmentations.contrast, whole, 0.5, 1.5),
  ):
    moved = augment(images, KEY)
    np.testing.assert_allclose(moved - centred(moved), images - centred(images), atol=1e-5)
    factor = np.asarray(centred(moved) / centred(images))
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1, :1, :1], factor.shape), rtol=1e-3, atol=1e-3)
    assert low <= factor.min() < low + 0.01
    assert high - 0.01 < factor.max() <= high + 1e-3
  assert -0.5 <= shift.min() < -0.499
  assert 0.499 < shift.max() <= 0.5


def test_rotation_has_all_four_turns():
  image = np.random.default_rng(0).normal(size=(4, 4, 2)).astype(np.float32)
  found = np.asarray(augmentations.rotation(jnp.tile(image, (400, 1, 1, 1)), KEY))
  hits = [(found == np.rot90(image, k)).all((1, 2, 3)).mean() for k in range(4)]
  np.testing.assert_allclose(hits, 0.25, atol=0.08)


def test_joined_augmentations_are_each_applied_with_their_probability():
  """Of flip and cutout, drawn alone for each example: both, one or none of them."""
  augment = jax.jit(augmentations.joined("flip + cutout", (4, 6, 1)))
  images = jnp.tile(jnp.arange(1.0, 25.0).reshape(1, 4, 6, 1), (4000, 1, 1, 1))
  np.testing.assert_array_equal(augment(images, KEY, 0.0), images)
  for strength in (0.3, 1.0):
    found = np.asarray(augment(images, KEY, strength))
    cut = (found == 0).any((1, 2, 3))
    kept = np.where(found > 0, found, 0)
    mirrored = ((kept == np.asarray(images)[:, :, ::-1]) | (found == 0)).all((1, 2, 3)) & (found != 0).any((1, 2, 3))
    assert cut.mean() == pytest.approx(strength, abs=0.03)
    assert mirrored.mean() == pytest.approx(strength / 2, abs=0.03)
    assert (cut & mirrored).mean() == pytest.approx(strength * strength / 2, abs=0.03)
  assert augmentations.joined("none") is None
  for text, words in {
    "flip + flip": "different names",
    "flip +": "different names",
    "flop": "did you mean 'flip'",
  }.items():
    with pytest.raises(BadInput, match=words):
      augmentations.joined(text)
