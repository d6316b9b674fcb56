"""Packing: a discriminator that gets several examples at once and gives them one logit.

A single sample cannot show that a generator has lost modes; several can, because they are alike. Source: Lin et al.
2018, "PacGAN" (arXiv:1712.04086).
"""

import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Memory, Output, Params, Player


def pack(images: Array, packing: int) -> Array:
  """[B, ..., C] -> [B/m, ..., m C]: each m successive examples joined along their last axis, m = `packing`.

  Raises:
    ValueError: m does not divide B.
  """
  if len(images) % packing:
    raise ValueError(f"images: expected a multiple of packing={packing}, got {len(images)}")
  packs = images.reshape((-1, packing, *images.shape[1:]))
  packs = jnp.moveaxis(packs, 1, -2)  # the examples of a pack next to their channels
  return packs.reshape((*packs.shape[:-2], packing * images.shape[-1]))


def packed(discriminator: Player, packing: int) -> Player:
  """A discriminator of packs of m = `packing` examples, from one that takes [..., m C]: images [B, ..., C] -> logits [B/m].

  A pack is m successive examples of the batch. The discriminator must ignore labels. With m = 1 it is returned
  unchanged.
  """
  if packing == 1:
    return discriminator

  def apply(params: Params, memory: Memory, images: Array, labels: Array, train: bool) -> tuple[Output, Memory]:
    return discriminator.apply(params, memory, pack(images, packing), labels[::packing], train)

  return Player(discriminator.init, apply)
