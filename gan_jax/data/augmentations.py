"""Image augmentations: functions `(images [B, ...], key) -> images`, different for each example. See also affine.py.

They have two uses: a penalty compares the logits of an example and of its augmented copy (`bcr`), or the discriminator
is shown augmented examples only, real and fake (`joined`; Zhao et al. 2020, "Differentiable augmentation for
data-efficient GAN training", arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option, Registry
from gan_jax.core.types import Key

Augmentation = Callable[..., Array]  # (images [B, ...], key, **options) -> images

AUGMENTATIONS = Registry("augmentation", ("images", "key"))


class Facts(NamedTuple):
  of_images: bool  # it needs images [B, H, W, C], not points
  has_strength: (
    bool  # its third argument is `strength`, with a default: it has several parts, each with that probability
  )


def register(of_images: bool = False, has_strength: bool = False) -> Callable[[Augmentation], Augmentation]:
  """Decorator: register an augmentation under its own name, with its `Facts`."""

  def decorate(function: Augmentation) -> Augmentation:
    protocol = (*AUGMENTATIONS.protocol, *["strength"] * has_strength)
    AUGMENTATIONS.enter(function.__name__, function, Facts(of_images, has_strength), protocol)
    return function

  return decorate


def get(name: str, image_shape: tuple[int, ...] | None = None, **options: Any) -> Augmentation:
  """The augmentation of that name, with its options bound.

  Raises `BadInput` for an unknown name or option, or for an augmentation of images if the data are points.
  """
  entry = AUGMENTATIONS.get(name)
  bound = entry.complete(options)
  if entry.facts.of_images and image_shape is not None and len(image_shape) != 3:
    raise BadInput(f"augmentation {name!r} expected images [H, W, C], got examples of shape {list(image_shape)}")
  return functools.partial(entry.builder, **bound) if bound else entry.builder


def names(text: str) -> tuple[str, ...]:
  """'color + cutout' -> ('color', 'cutout'); 'none' -> (). Raises `BadInput` for an empty or a repeated name."""
  found = tuple(part.strip() for part in text.split("+"))
  if found == ("none",):
    return ()
  if "none" in found or "" in found or len(set(found)) < len(found):
    raise BadInput(f"augmentation expected 'none', or different names joined by '+', got {text!r}")
  return found


def joined(
  text: str, image_shape: tuple[int, ...] | None = None, options: Mapping[str, Mapping[str, Any]] | None = None
) -> Augmentation | None:
  """`(images, key, strength) -> images`: the named augmentations in turn, each applied to an example with probability
  `strength` (of `affine` each part is); None for 'none'. Raises `BadInput` as `names` and `get` do.
  """
  chosen = names(text)
  parts = [get(name, image_shape, **(options or {}).get(name, {})) for name in chosen]

  def augment(images: Array, key: Key, strength: ArrayLike) -> Array:
    for index, (name, part) in enumerate(zip(chosen, parts, strict=True)):
      own, coin = jax.random.split(jax.random.fold_in(key, index))
      if AUGMENTATIONS[name].facts.has_strength:
        images = part(images, own, strength)
        continue
      heads = jax.random.uniform(coin, (len(images), *[1] * (images.ndim - 1))) < strength
      images = jnp.where(heads, part(images, own), images)
    return images

  return augment if parts else None


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
  return moved(images, key, (-(-images.shape[1] // 8), -(-images.shape[2] // 8)), repeat=True)


@register(of_images=True)
def translation(
  images: Array, key: Key, *, share: Annotated[float, Option("largest move, as a share of the side", 0, 1)] = 0.125
) -> Array:
  """Moves each image by up to `share` of its side (rounded) in each direction; what moves in is 0, the middle of the range.

  Source: Zhao et al. 2020 (arXiv:2006.10738), "translation".
  """
  return moved(images, key, (int(images.shape[1] * share + 0.5), int(images.shape[2] * share + 0.5)), repeat=False)


def moved(images: Array, key: Key, reach: tuple[int, int], repeat: bool) -> Array:
  """Images moved by up to `reach` (rows, columns) in each direction, each by its own draw.

  What moves in from outside repeats the edge, or is 0.
  """
  limits = jnp.array(reach)
  offsets = jax.random.randint(key, (len(images), 2), -limits[None], limits[None] + 1)

  def one(image: Array, offset: Array) -> Array:
    rows = jnp.arange(image.shape[0]) + offset[0]
    columns = jnp.arange(image.shape[1]) + offset[1]
    if repeat:
      rows, columns = jnp.clip(rows, 0, image.shape[0] - 1), jnp.clip(columns, 0, image.shape[1] - 1)
    # Products with one-hot matrices, not indexing: the gradient of indexing is a scatter, whose order varies on a GPU.
    # Full precision, or an accelerator would round the moved pixels and the penalty would act on that difference.
    # The row of an index outside the image is zero.
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


def _each(key: Key, images: Array, low: float, high: float) -> Array:
  """A uniform draw for each image, [B, 1, 1, 1]."""
  return jax.random.uniform(key, (len(images), 1, 1, 1), minval=low, maxval=high).astype(images.dtype)


@register(of_images=True)
def brightness(images: Array, key: Key) -> Array:
  """x + b, b ~ U(-1/2, 1/2), where images lie in [-1, 1] (Zhao et al. 2020, arXiv:2006.10738, as the next two)."""
  return images + _each(key, images, -0.5, 0.5)


@register(of_images=True)
def saturation(images: Array, key: Key) -> Array:
  """m + s (x - m), m the mean over the channels of a pixel, s ~ U(0, 2). It leaves gray images as they are."""
  mean = images.mean(axis=-1, keepdims=True)
  return mean + _each(key, images, 0, 2) * (images - mean)


@register(of_images=True)
def contrast(images: Array, key: Key) -> Array:
  """m + c (x - m), m the mean of an image, c ~ U(1/2, 3/2)."""
  mean = images.mean(axis=(1, 2, 3), keepdims=True)
  return mean + _each(key, images, 0.5, 1.5) * (images - mean)


@register(of_images=True)
def color(images: Array, key: Key) -> Array:
  """`brightness`, `saturation` and `contrast` in turn: the policy that Zhao et al. call "color"."""
  for part, own in zip((brightness, saturation, contrast), jax.random.split(key, 3), strict=True):
    images = part(images, own)
  return images


@register(of_images=True)
def rotation(images: Array, key: Key) -> Array:
  """Turns each image by 0, 90, 180 or 270 degrees; one that is not square by 0 or 180 (of ADA's "blit", with `flip`)."""
  turned = images[:, ::-1, ::-1]
  halves, quarters = jax.random.bernoulli(key, 0.5, (2, len(images), 1, 1, 1))
  images = jnp.where(halves, turned, images)
  square = images.shape[1] == images.shape[2]
  return jnp.where(quarters, jnp.swapaxes(images, 1, 2)[:, ::-1], images) if square else images
