"""A game: the names of a `Spec`, looked up. Everything static that a step needs, as one record."""

from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from gan_jax import losses, models, optim, penalties
from gan_jax.data import Dataset
from gan_jax.errors import BadInput
from gan_jax.types import Loss, Penalty, Player, Spec


class Game(NamedTuple):
  generator: Player
  discriminator: Player
  losses: tuple[Callable[..., Loss], ...]  # builders; `Hypers.loss_index` chooses
  penalty: Penalty | None  # None costs nothing, not even the double backward of a zero
  optimizer: optim.OptimizerBuilder
  decode: Callable[[Array], Array]  # a stored batch -> float32 images
  image_shape: tuple[int, ...]  # (H, W, C), or (2,)
  num_classes: int
  couples_batch: bool = False  # the discriminator's logits depend on the whole batch


def check(spec: Spec) -> None:
  """Everything about a spec that can be refused before any data is read.

  Raises:
    BadInput: an unknown name, or a per-sample penalty with a discriminator that couples the examples of a batch.
  """
  models.get(spec.model)
  penalties.get(spec.penalty)
  optim.get(spec.optimizer)
  for name in spec.losses:
    losses.get(name)
  if spec.penalty != "none" and models.couples_batch(spec):
    raise BadInput(
      f"penalty {spec.penalty!r} is per sample, but discriminator_norm={spec.discriminator_norm!r} couples the examples "
      "of a batch, so a sample has no gradient of its own; expected discriminator_norm none or layer, or penalty none"
    )


def build(spec: Spec, dataset: Dataset) -> Game:
  """Raises `BadInput` as `check` does, for a batch larger than the data, or for images that the model cannot make."""
  check(spec)
  size = dataset.data.images.shape[0]
  if spec.batch_size > size:
    raise BadInput(
      f"batch_size expected at most the {size} examples of dataset {spec.dataset!r}, got {spec.batch_size}"
    )
  if spec.steps * spec.n_critic * spec.batch_size >= 2**32:
    raise BadInput(
      f"steps * n_critic * batch_size expected below 2**32, got {spec.steps} * {spec.n_critic} * {spec.batch_size}"
    )
  generator, discriminator = models.get(spec.model)(spec, dataset.image_shape, dataset.num_classes)
  return Game(
    generator=generator,
    discriminator=discriminator,
    losses=tuple(losses.LOSSES[name] for name in spec.losses),
    penalty=None if spec.penalty == "none" else penalties.get(spec.penalty),
    optimizer=optim.get(spec.optimizer),
    decode=dataset.decode,
    image_shape=dataset.image_shape,
    num_classes=dataset.num_classes,
    couples_batch=models.couples_batch(spec),
  )
