"""Affine maps of images: closed forms, the group, the mirrors, and how often and how far images are mapped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import augmentations
from gan_jax.data.affine import drawn, resampled, rotations

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
read = jax.jit(resampled)
STILL = np.zeros((1, 2), np.float32)


def ramp(height, width):
  """[1, H, W, 2]: linear in the position from the centre, and the two slopes of each channel."""
  rows, columns = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
  return np.stack([2 * rows - 3 * columns + 1, rows + 0.5 * columns], -1)[None].astype(np.float32)


def ramp_at(inverse, move, height, width):
  """The same ramp read at `inverse (p - move)`, in closed form."""
  pixels = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) - [
    (height - 1) / 2,
    (width - 1) / 2,
  ]
  y, x = np.moveaxis((pixels - np.asarray(move)) @ np.asarray(inverse).T, -1, 0)
  return np.stack([2 * y - 3 * x + 1, y + 0.5 * x], -1)


def test_strength_zero_returns_the_bits():
  """Negative zeros too; the strength is an argument of one compiled program, and at 1 images do change."""
  images = jnp.asarray(RNG.normal(size=(4, 8, 6, 2)), jnp.float32).at[0, 0, 0, 0].set(-0.0)
  augment = jax.jit(augmentations.joined("affine", (8, 6, 2)))
  bits = lambda x: np.asarray(x).view(np.uint32)  # noqa: E731
  np.testing.assert_array_equal(bits(augment(images, KEY, 0.0)), bits(images))
  assert (np.asarray(augment(images, KEY, 1.0)) != np.asarray(images)).any((1, 2, 3)).all()
  some = (np.asarray(augment(images, KEY, 0.05)) == np.asarray(images)).all((1, 2, 3))
  assert some.any()
  assert augment._cache_size() == 1


def test_a_quarter_turn_is_rot90():
  image = RNG.normal(size=(1, 8, 8, 2)).astype(np.float32)
  quarter = jnp.array([[[0.0, -1.0], [1.0, 0.0]]])
  np.testing.assert_allclose(rotations(jnp.array([np.pi / 2])), quarter, atol=1e-6)
  turned = read(image, quarter, STILL)
  np.testing.assert_array_equal(turned, np.rot90(image, -1, (1, 2)))
  np.testing.assert_array_equal(read(turned, quarter, STILL), image[:, ::-1, ::-1])
  np.testing.assert_array_equal(read(image, jnp.diag(jnp.array([1.0, -1.0]))[None], STILL), image[:, :, ::-1])


def test_a_ramp_is_mapped_in_closed_form():
  """Twice as large, by a general map, and by two maps one after the other, which is one map by their product."""
  height, width = 8, 12
  turn = lambda angle: np.asarray(rotations(jnp.array([angle])))[0]  # noqa: E731
  first, second = 0.45 * turn(0.4) @ np.diag([0.9, 1.1]), 0.5 * turn(-1.2)
  move, then = np.array([0.4, -0.7]), np.array([-0.3, 0.6])
  for inverse, by in ((0.5 * np.eye(2), np.zeros(2)), (first, move), (second, then)):
    found = read(ramp(height, width), jnp.asarray(inverse[None], jnp.float32), jnp.asarray(by[None], jnp.float32))
    np.testing.assert_allclose(found[0], ramp_at(inverse, by, height, width), atol=2e-5)
  once = read(ramp(height, width), jnp.asarray(first[None], jnp.float32), jnp.asarray(move[None], jnp.float32))
  twice = read(once, jnp.asarray(second[None], jnp.float32), jnp.asarray(then[None], jnp.float32))
  # image(first (second (p - then) - move)) = image(first second (p - then - second^-1 move))
  product, together = first @ second, then + np.linalg.solve(second, move)
  np.testing.assert_allclose(twice[0], ramp_at(product, together, height, width), atol=1e-4)


def test_outside_is_mirrored_as_by_numpy():
  """Moved by whole pixels, up to three times its size."""
  image = RNG.normal(size=(1, 4, 5, 1)).astype(np.float32)
  wide = np.pad(image[0], [(12, 12), (12, 12), (0, 0)], mode="reflect")
  for down, right in ((1, 0), (-3, 2), (11, -12)):
    found = read(image, jnp.eye(2)[None], jnp.array([[down, right]], jnp.float32))
    np.testing.assert_array_equal(found[0], wide[12 - down : 16 - down, 12 - right : 17 - right])
  np.testing.assert_array_equal(resampled(image[:, :1], jnp.eye(2)[None], jnp.array([[7.0, 0.0]])), image[:, :1])


def test_the_derivative_is_the_adjoint():
  """The map is linear in the image: its matrix, made of unit images, transposed, is its derivative."""
  inverse, move = (x[:1] for x in drawn(KEY, 4, 1.0, 0.2, 1.0, 0.2, 0.1))
  units = np.eye(20, dtype=np.float32).reshape(20, 4, 5, 1)
  same = lambda x, count=20: jnp.broadcast_to(x, (count, *x.shape[1:]))  # noqa: E731
  matrix = np.asarray(read(units, same(inverse), same(4 * move))).reshape(20, 20).T
  np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)  # weights of a mean
  image, weights = RNG.normal(size=(2, 1, 4, 5, 1)).astype(np.float32)
  value, pull = jax.vjp(lambda x: resampled(x, inverse, 4 * move), image)
  np.testing.assert_allclose(value.ravel(), matrix @ image.ravel(), atol=1e-5)
  np.testing.assert_allclose(pull(weights)[0].ravel(), matrix.T @ weights.ravel(), atol=1e-5)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_each_part_has_its_chance_and_its_size(strength):
  count = 20_000
  draw = jax.jit(drawn, static_argnums=1)
  near = lambda a, b: np.testing.assert_allclose(a, b, rtol=0.05, atol=0.015)  # noqa: E731

  def of(**parts):
    sizes = dict.fromkeys(("scale", "rotation", "stretch", "translation"), 0.0) | parts
    inverse, move = draw(KEY, count, strength, *sizes.values())
    return np.linalg.inv(np.asarray(inverse, np.float64)), np.asarray(move)

  maps, move = of(scale=0.2)
  assert (move == 0).all()
  np.testing.assert_allclose(maps, maps[:, :1, :1] * np.eye(2), atol=1e-6)
  logs = np.log2(maps[:, 0, 0])
  near((logs != 0).mean(), strength)
  near(logs[logs != 0].std(), 0.2)
  maps, _ = of(stretch=0.3)
  np.testing.assert_allclose(maps[:, 0, 0] * maps[:, 1, 1], 1, atol=1e-5)
  logs = np.log2(maps[:, 1, 1])
  near((logs != 0).mean(), strength)
  near(logs[logs != 0].std(), 0.3)
  maps, _ = of(rotation=0.5)
  np.testing.assert_allclose(maps @ maps.swapaxes(1, 2), np.broadcast_to(np.eye(2), maps.shape), atol=1e-5)
  angles = np.arctan2(maps[:, 1, 0], maps[:, 0, 0])
  near((angles != 0).mean(), strength)  # before or after
  assert np.abs(angles).max() <= np.pi + 1e-6
  assert np.abs(angles).max() > np.pi / 2  # two turns of up to a right angle
  _, move = of(translation=0.125)
  moved = (move != 0).all(1)
  near(moved.mean(), strength)
  near(move[moved].std(0), [0.125, 0.125])
  assert (move[~moved] == 0).all()
  maps, _ = of(scale=0.2, rotation=1.0, stretch=0.2)  # all together: the area by the scale, the shape by the stretch
  areas = 0.5 * np.log2(np.linalg.det(maps))
  near((np.abs(areas) > 1e-5).mean(), strength)
  ratios = np.divide(*np.linalg.svd(maps, compute_uv=False).T)
  stretched = ratios > 1 + 1e-5
  near(stretched.mean(), strength)
  near(np.sqrt((0.25 * np.log2(ratios[stretched]) ** 2).mean()), 0.2)
