"""Random affine maps of images, as one resampling: the "general geometric transformations" of ADA.

Source: Karras et al. 2020, "Training generative adversarial networks with limited data" (arXiv:2006.06676), appendix B.
Their four draws are multiplied to one map, and the image is read once, between pixels, beyond its edges as in mirrors.
They read it at twice the resolution, between two low-pass filters; here it is read at its own, so that a small image
may show jagged edges, and an enlarged one is as sharp as linear interpolation.
"""

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.checks import at_least_float32
from gan_jax.core.registry import Option
from gan_jax.core.types import Key
from gan_jax.data.augmentations import register


@register(of_images=True, has_strength=True)
def affine(
  images: Array,
  key: Key,
  strength: ArrayLike = 1.0,
  *,
  scale: Annotated[float, Option("standard deviation of log2 of the size; 0: it stays", 0, 8)] = 0.2,
  rotation: Annotated[float, Option("largest angle, as a share of half a turn; 0: none", 0, 1)] = 1.0,
  stretch: Annotated[float, Option("standard deviation of half the log2 of width : height; 0: none", 0, 8)] = 0.2,
  translation: Annotated[float, Option("standard deviation of the move, as a share of the side", 0, 8)] = 0.125,
) -> Array:
  """Scales, turns, stretches, turns again and moves each image, each with probability `strength`: see `drawn`.

  The defaults are ADA's. An image that nothing is done to is returned bit for bit.
  """
  inverse, move = drawn(key, len(images), strength, scale, rotation, stretch, translation)
  found = resampled(images, inverse, move * jnp.array(images.shape[1:3], move.dtype)[None])
  same = (inverse == jnp.eye(2)[None]).all((1, 2)) & (move == 0).all(1)
  return jnp.where(same.reshape(-1, 1, 1, 1), images, found)


def drawn(
  key: Key, count: int, strength: ArrayLike, scale: float, rotation: float, stretch: float, translation: float
) -> tuple[Array, Array]:
  """(the inverse of each map's matrix [N, 2, 2], its move [N, 2] as a share of (height, width)).

  The map is x -> R' A R S x + move on positions (row, column) from the centre, with S = s I, s = 2^(scale N(0, 1));
  A = diag(1 / a, a), a = 2^(stretch N(0, 1)); R and R' by angles U(-1, 1) rotation pi; move = translation N(0, I). S, A
  and the move are there with probability `strength` each; R and R' each with 1 - sqrt(1 - strength), so that an image
  is turned with probability `strength`.
  """
  of_normals, of_uniforms = jax.random.split(key)  # two draws in all, because each takes long to compile
  normals = jax.random.normal(of_normals, (count, 4)).T
  angles, coins = jnp.split(jax.random.uniform(of_uniforms, (count, 7)).T, [2])
  turns = 1 - jnp.sqrt(1 - jnp.asarray(strength))
  size = jnp.exp2(jnp.where(coins[0] < strength, scale * normals[0], 0))
  ratio = jnp.exp2(jnp.where(coins[1] < strength, stretch * normals[1], 0))
  before, after = rotations(jnp.where(coins[2:4] < turns, rotation * math.pi * (2 * angles - 1), 0))
  move = jnp.where(coins[4][:, None] < strength, translation * normals[2:].T, 0)
  back = jnp.stack([ratio, 1 / ratio], axis=1)[:, :, None]  # the inverse of A
  inverse = jnp.matmul(jnp.swapaxes(before, 1, 2), back * jnp.swapaxes(after, 1, 2), precision="highest")
  return inverse / size[:, None, None], move


def rotations(angles: Array) -> Array:
  """[...] -> [..., 2, 2]: the matrices that turn (row, column) by that angle from the rows' axis to the columns'."""
  cos, sin = jnp.cos(angles), jnp.sin(angles)
  return jnp.stack([jnp.stack([cos, -sin], axis=-1), jnp.stack([sin, cos], axis=-1)], axis=-2)


def resampled(images: Array, inverse: Array, move: Array) -> Array:
  """Each image [H, W, C] read at `inverse (p - move)` for each pixel p, by linear interpolation between 2 x 2 pixels.

  Positions are (row, column) in pixels from the centre. Beyond its edges an image goes on mirrored, in the centres of
  its outer pixels, as often as is needed. It is linear in the image, so it has derivatives of all orders; on a GPU the
  order in which its gradient is added up may vary, and with it the last bits.

  Args:
    images: [B, H, W, C].
    inverse: [B, 2, 2].
    move: [B, 2].
  """
  batch, height, width, channels = images.shape
  pixels = jnp.stack(jnp.meshgrid(*(jnp.arange(n) - (n - 1) / 2 for n in (height, width)), indexing="ij"), axis=-1)
  # Written out: the precision of a matrix product would depend on the machine.
  at = pixels.reshape(1, height * width, 2) - move[:, None]
  places, weights = [], []
  for axis, size in enumerate((height, width)):
    position = at[..., 0] * inverse[:, axis, :1] + at[..., 1] * inverse[:, axis, 1:] + (size - 1) / 2
    position = mirrored(position, size)
    first = jnp.clip(jnp.floor(position), 0, max(size - 2, 0))
    places.append([first.astype(jnp.int32), jnp.minimum(first.astype(jnp.int32) + 1, size - 1)])
    weights.append([1 - (position - first), position - first])
  flat = at_least_float32(images).reshape(batch, height * width, channels)
  total = jnp.zeros_like(flat)
  for row, of_row in zip(places[0], weights[0], strict=True):
    for column, of_column in zip(places[1], weights[1], strict=True):
      read = jnp.take_along_axis(flat, (row * width + column)[..., None], axis=1, mode="clip")
      total += (of_row * of_column)[..., None].astype(flat.dtype) * read
  return total.reshape(images.shape).astype(images.dtype)


def mirrored(position: Array, size: int) -> Array:
  """A position on the line as one in [0, size - 1], between mirrors at its ends."""
  if size == 1:
    return jnp.zeros_like(position)
  last = size - 1
  return last - jnp.abs(jnp.mod(jnp.abs(position), 2 * last) - last)
