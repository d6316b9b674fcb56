"""Image augmentations: functions `(images [B, ...], key) -> images`."""

import functools
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option, Registry
from gan_jax.core.types import Key

Augmentation = Callable[..., Array]  # (images [B, ...], key, **options) -> images

AUGMENTATIONS = Registry("augmentation", ("images", "key"))


def register(of_images: bool = False) -> Callable[[Augmentation], Augmentation]:
  """Decorator: register an augmentation under its own name; `of_images`: it needs images [B, H, W, C], not points."""
  return AUGMENTATIONS.register(facts=of_images)


def get(name: str, image_shape: tuple[int, ...] | None = None, **options: Any) -> Augmentation:
  """The augmentation of that name, with its options bound.

  Raises `BadInput` for an unknown name or option, or for an augmentation of images if the data are points.
  """
  entry = AUGMENTATIONS.get(name)
  bound = entry.complete(options)
  if entry.facts and image_shape is not None and len(image_shape) != 3:
    raise BadInput(f"augmentation {name!r} expected images [H, W, C], got examples of shape {list(image_shape)}")
  return functools.partial(entry.builder, **bound) if bound else entry.builder


@register()
def none(images: Array, key: Key) -> Array:
  """The images as they are."""
  del key
  return images


@register()
def jitter(
  images: Array, key: Key, *, scale: Annotated[float, Option("standard deviation of the noise", 0)] = 0.1
) -> Array:
  """x + s e, e ~ N(0, I), s = `scale`: for points, and for images a little noise."""
  return images + scale * jax.random.normal(key, images.shape, images.dtype)


@register(of_images=True)
def flip(images: Array, key: Key) -> Array:
  """Mirrors each image left to right with probability 1/2."""
  chosen = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
  return jnp.where(chosen, images[:, :, ::-1], images)


@register(of_images=True)
def shift(images: Array, key: Key) -> Array:
  """Moves each image by up to an eighth of its side (rounded up) in each direction, edges repeated (4 of 32, as CR-GAN)."""
  limits = jnp.array([-(-images.shape[1] // 8), -(-images.shape[2] // 8)])
  offsets = jax.random.randint(key, (len(images), 2), -limits[None], limits[None] + 1)

  def one(image: Array, offset: Array) -> Array:
    rows = jnp.clip(jnp.arange(image.shape[0]) + offset[0], 0, image.shape[0] - 1)
    columns = jnp.clip(jnp.arange(image.shape[1]) + offset[1], 0, image.shape[1] - 1)
    # Products with one-hot matrices, not indexing: the gradient of indexing is a scatter, whose order varies on a GPU.
    # Full precision, or an accelerator would round the moved pixels and the penalty would act on that difference.
    to_rows, to_columns = (
      jax.nn.one_hot(indices, size, dtype=image.dtype)
      for indices, size in zip((rows, columns), image.shape[:2], strict=True)
    )
    moved = jnp.einsum("ij,jkc->ikc", to_rows, image, precision="highest")
    return jnp.einsum("ij,kjc->kic", to_columns, moved, precision="highest")

  return jax.vmap(one)(images, offsets)


@register(of_images=True)
def cutout(images: Array, key: Key) -> Array:
  """Sets a square of half the side, anywhere on each image, to 0, the middle of the range (DeVries and Taylor 2017)."""
  height, width = images.shape[1:3]
  centres = jax.random.uniform(key, (len(images), 2, 1))
  rows = jnp.abs((jnp.arange(height)[None] + 0.5) / height - centres[:, 0]) < 0.25
  columns = jnp.abs((jnp.arange(width)[None] + 0.5) / width - centres[:, 1]) < 0.25
  hole = rows[:, :, None, None] & columns[:, None, :, None]
  return jnp.where(hole, jnp.zeros((), images.dtype), images)
