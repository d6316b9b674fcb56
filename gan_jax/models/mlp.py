"""Fully connected players: the simplest model, and the fastest one for training many at once."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Output, Player
from gan_jax.models.linen import (
  LEAKY_GAIN,
  LINEAR_GAIN,
  RELU_GAIN,
  SLOPE,
  LatentInput,
  LogitHead,
  Norm,
  as_player,
  weights,
)
from gan_jax.models.registry import (
  ClassLogits,
  Depth,
  DiscriminatorNorm,
  DiscriminatorWidth,
  GeneratorWidth,
  LastLayer,
  register,
)


class Generator(nn.Module):
  """Noise [B, Z] (and a class) -> `depth` rectified layers of `width` -> [B, *image_shape], images through tanh."""

  image_shape: tuple[int, ...]
  width: int
  depth: int
  conditional: bool
  num_classes: int

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    x = LatentInput(self.conditional, self.num_classes)(noise, labels)
    for _ in range(self.depth):
      x = nn.relu(nn.Dense(self.width, kernel_init=weights(RELU_GAIN))(x))
    x = nn.Dense(math.prod(self.image_shape), kernel_init=weights(LINEAR_GAIN))(x)
    x = x.reshape((x.shape[0], *self.image_shape))
    # Pixels lie in [-1, 1]; points can lie anywhere in the plane.
    return jnp.tanh(x) if len(self.image_shape) == 3 else x


class Discriminator(nn.Module):
  """[B, ...] flattened -> `depth` leaky rectified layers of `width` -> logits [B], projected on a given class."""

  width: int
  depth: int
  norm: str
  conditional: bool
  num_classes: int
  class_logits: int
  last_layer: str

  @nn.compact
  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    x = images.reshape((len(images), -1))
    for _ in range(self.depth):
      x = nn.Dense(self.width, kernel_init=weights(LEAKY_GAIN))(x)
      x = nn.leaky_relu(Norm(self.norm)(x, train), SLOPE)
    return LogitHead(self.conditional, self.num_classes, class_logits=self.class_logits, last_layer=self.last_layer)(
      x, labels
    )


@register()
def mlp(
  image_shape: tuple[int, ...],
  num_classes: int,
  latent_size: int,
  conditional: bool,
  *,
  generator_width: GeneratorWidth = 128,
  discriminator_width: DiscriminatorWidth = 128,
  depth: Depth = 2,
  discriminator_norm: DiscriminatorNorm = "none",
  class_logits: ClassLogits = 0,
  last_layer: LastLayer = "linear",
) -> tuple[Player, Player]:
  """(generator, discriminator), fully connected: for points and for images of any size."""
  generator = Generator(image_shape, generator_width, depth, conditional, num_classes)
  discriminator = Discriminator(
    discriminator_width, depth, discriminator_norm, conditional, num_classes, class_logits, last_layer
  )
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)
