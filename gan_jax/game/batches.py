"""The inputs of one update: real examples, which come from outside the step, and noise, derived from (seed, step).

`draw` takes the real examples of a step from data on the device; `runner/feeding.py` also takes them from the host, by
the same indices. `deal` makes the batch of one update of one player: a pure function of (seed, step, which update).

The config's `fakes` says which fakes the updates of one step use. `fresh`: each update has its own noise. `same_noise`:
all have the same noise, passed through the current generator. `same_images`: all have the same images, from the
generator as it was before the step. (Tutorials that compute the fakes once and use them for both players do the last.)
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Batches, Data, Key
from gan_jax.data.augmentations import flip
from gan_jax.data.order import example_indices, held_out_index, split_sizes, training_index
from gan_jax.game import methods
from gan_jax.game.rules import Game, real_batches
from gan_jax.settings.records import Hypers, Spec

PlayerName = Literal["discriminator", "generator"]


class Batch(NamedTuple):
  """The inputs of one update of one player."""

  real: Array  # [B, ...], decoded; instance noise added
  labels: Array  # [B], class labels, shared by real[i] and fake[i]
  held_out: tuple[Array, Array] | None  # as many held-out examples and their classes, without instance noise
  noise: Array  # [B, Z], the generator's input
  blur: Array | None  # [B, ...], instance noise of the fakes; None without it
  key: Key  # of the penalties
  view: Key  # of the augmentation of what the discriminator is shown


class Examples(NamedTuple):
  """Which examples of the data a step uses, int32."""

  trained: Array  # [R, B], R = `rules.real_batches`
  held_out: Array | None  # [B]


def examples(spec: Spec, seed: ArrayLike, step: Array, size: int) -> Examples:
  """The examples of a step, of `size`: the same whether their pixels are on the device or come from the host."""
  trained, held = split_sizes(size, spec.hold_out)
  batches, number = real_batches(spec), step.astype(jnp.uint32)
  first = number * batches * spec.batch_size
  indices = example_indices(jnp.asarray(seed), first, batches * spec.batch_size, trained)
  indices = training_index(indices, spec.hold_out, size).reshape(batches, spec.batch_size)
  if not spec.hold_out:
    return Examples(indices, None)
  apart = example_indices(jnp.asarray(seed), number * spec.batch_size, spec.batch_size, held)
  return Examples(indices, held_out_index(apart, spec.hold_out, size))


def take(data: Data, chosen: Examples) -> Batches:
  """Those examples, from arrays on the device or on the host."""
  apart = chosen.held_out
  held_out = None if apart is None else Data(data.images[apart], data.labels[apart])
  return Batches(data.images[chosen.trained], data.labels[chosen.trained], held_out)


def draw(spec: Spec, seed: ArrayLike, step: Array, data: Data) -> Batches:
  """The real examples of a step."""
  return take(data, examples(spec, seed, step, data.images.shape[0]))


def place(spec: Spec, player: PlayerName, index: int) -> int:
  """The index of the batch of real examples, among those of the step, that an update uses.

  The generator uses those of the discriminator update next to its own; relativistic losses compare its fakes with them.
  """
  if spec.fakes != "fresh" and methods.facts(spec.method).evaluations > 1:
    return 0
  if player == "discriminator" or spec.order == "simultaneous":
    return index
  return spec.n_critic - 1 if spec.order == "discriminator_first" else 0


def blur(game: Game, hypers: Hypers, step: Array, key: Key) -> Array:
  """[B, ...]: instance noise of a step, whose scale falls linearly to 0 (Sonderby et al. 2017, arXiv:1610.04490)."""
  length = jnp.asarray(hypers.instance_noise_steps)
  left = jnp.where(length > 0, jnp.maximum(0.0, 1 - step / jnp.maximum(length, 1)), 1.0)
  noise = jax.random.normal(key, (game.spec.batch_size, *game.image_shape))
  return noise * hypers.instance_noise_scale * left


def deal(game: Game, hypers: Hypers, step: Array, batches: Batches, player: PlayerName, index: int) -> Batch:
  """The batch of the index-th update of a player in a step."""
  spec, which = game.spec, place(game.spec, player, index)
  real = game.spread(game.decode(batches.images[which]))
  if spec.flips:
    real = flip(real, derive_key(hypers.seed, step, Purpose.FLIP, which))
  held_out = None
  if batches.held_out is not None:
    held_out = (game.spread(game.decode(batches.held_out.images)), batches.held_out.labels)
  purpose, number = (Purpose.GENERATOR_NOISE if player == "generator" else Purpose.DISCRIMINATOR_NOISE), index
  if spec.fakes != "fresh":
    purpose, number = Purpose.DISCRIMINATOR_NOISE, 0
  key = derive_key(hypers.seed, step, purpose, number)
  noise = game.spread(jax.random.normal(key, (spec.batch_size, spec.latent_size)))
  blur_of_fakes = None
  if spec.instance_noise:
    real_key, fake_key = jax.random.split(jax.random.fold_in(key, Purpose.INSTANCE_NOISE))
    real = real + blur(game, hypers, step, real_key)
    blur_of_fakes = blur(game, hypers, step, fake_key)
  penalty = Purpose.PENALTY if player == "discriminator" else Purpose.GENERATOR_PENALTY
  keys = derive_key(hypers.seed, step, penalty, index)
  view = derive_key(hypers.seed, step, Purpose.AUGMENTATION, 2 * index + (player == "generator"))
  return Batch(real, game.spread(batches.labels[which]), held_out, noise, blur_of_fakes, keys, view)


def shown(images: Array, batch: Batch) -> Array:
  """Generated images as given to the discriminator, with instance noise."""
  return images if batch.blur is None else images + batch.blur


def resident_batch(game: Game, hypers: Hypers, step: Array, data: Data, player: PlayerName, index: int) -> Batch:
  """`deal` from data on the device."""
  return deal(game, hypers, step, draw(game.spec, hypers.seed, step, data), player, index)
