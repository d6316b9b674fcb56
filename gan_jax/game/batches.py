"""What the players see in one update: a pure function of (seed, step, which update of the step).

The updates of one step may see different fakes, the config's `fakes`: `fresh`, each update its own noise; `same_noise`,
one noise for all of them, through the generator as it then is; `same_images`, the very images too, as the generator made
them before the step. (A tutorial that computes the fakes once and uses them for both players does the last.)
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Data, Hypers, Key, Spec
from gan_jax.data.order import example_indices, held_out_index, split_sizes, training_index
from gan_jax.game.rules import Game, real_batches

PlayerName = Literal["discriminator", "generator"]
Draw = Callable[[Hypers, Array, Data, PlayerName, int], "Batch"]


class Batch(NamedTuple):
  real: Array  # [B, ...], decoded; instance noise added
  labels: Array  # [B], of the real examples; the fake beside each has the same class, so that a penalty sees one critic
  unseen: tuple[Array, Array] | None  # as many examples that are held out, and their classes; no noise on them
  noise: Array  # [B, Z]
  blur: Array | None  # [B, ...], the instance noise that fakes get; None without it
  key: Key  # of the penalties


def build_draw(spec: Spec, game: Game) -> Draw:
  """`draw(hypers, step, data, player, index)`: the batch of the index-th update of that player in a step."""
  shape = (spec.batch_size, *game.image_shape)

  def blur_of(hypers: Hypers, step: Array, key: Key) -> Array:
    length = jnp.asarray(hypers.instance_noise_steps)
    left = jnp.where(length > 0, jnp.maximum(0.0, 1 - step / jnp.maximum(length, 1)), 1.0)
    return jax.random.normal(key, shape) * hypers.instance_noise_scale * left

  def draw(hypers: Hypers, step: Array, data: Data, player: PlayerName, index: int) -> Batch:
    # The generator's real examples, which relativistic losses compare with, are those of the update beside its own.
    beside = index if player == "discriminator" or spec.order == "simultaneous" else 0
    if player == "generator" and spec.order == "discriminator_first":
      beside = spec.n_critic - 1
    if spec.fakes != "fresh" and spec.method == "extragradient":
      beside = 0
    first = (step.astype(jnp.uint32) * real_batches(spec) + beside) * spec.batch_size
    size = data.images.shape[0]
    trained, held = split_sizes(size, spec.hold_out)
    indices = example_indices(jnp.asarray(hypers.seed), first, spec.batch_size, trained)
    indices = training_index(indices, spec.hold_out, size)
    real = game.decode(data.images[indices])
    unseen = None
    if spec.hold_out:
      apart = example_indices(
        jnp.asarray(hypers.seed), step.astype(jnp.uint32) * spec.batch_size, spec.batch_size, held
      )
      apart = held_out_index(apart, spec.hold_out, size)
      unseen = (game.decode(data.images[apart]), data.labels[apart])

    purpose = Purpose.GENERATOR_NOISE if player == "generator" else Purpose.DISCRIMINATOR_NOISE
    number = index
    if spec.fakes != "fresh":
      purpose, number = Purpose.DISCRIMINATOR_NOISE, 0
    key = derive_key(hypers.seed, step, purpose, number)
    noise = jax.random.normal(key, (spec.batch_size, spec.latent_size))
    blur = None
    if spec.instance_noise:
      real_key, fake_key = jax.random.split(jax.random.fold_in(key, Purpose.INSTANCE_NOISE))
      real = real + blur_of(hypers, step, real_key)
      blur = blur_of(hypers, step, fake_key)
    penalty = Purpose.PENALTY if player == "discriminator" else Purpose.GENERATOR_PENALTY
    return Batch(real, data.labels[indices], unseen, noise, blur, derive_key(hypers.seed, step, penalty, index))

  return draw
