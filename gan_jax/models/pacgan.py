"""The players of PacGAN's experiments on mixtures in the plane: a batch-normalised generator, a maxout discriminator.

At `depth` 4, `generator_width` 400, `discriminator_width` 200 they are those of Lin et al. 2018 (arXiv:1712.04086,
section 4.1) as their code builds them.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer

from gan_jax.core.norms import largest
from gan_jax.core.types import Output, Player
from gan_jax.models.linen import LatentInput, LogitHead, Norm, as_player, weights
from gan_jax.models.registry import (
  ClassLogits,
  Depth,
  DiscriminatorNorm,
  DiscriminatorWidth,
  GeneratorWidth,
  LastLayer,
  register,
)

PIECES = 5  # linear functions of which a maxout unit takes the largest (Goodfellow et al. 2013, arXiv:1302.4389)
STD, GENERATOR_WIDTH, DISCRIMINATOR_WIDTH = 0.02, 400, 200  # as published: N(0, STD^2) for every weight


def variance(width: int, published: int) -> float:
  """The variance v of the weights: STD^2 at the published width; at any other, the same gain (width * v) of a layer."""
  return STD**2 * published / width


def kernels(width: int, published: int) -> Initializer:
  return weights(variance(width, published), fan_in=1)


class Generator(nn.Module):
  """Noise [B, Z] (and a class) -> `depth` x (linear, batch norm, rectifier) of `width` -> [B, *image_shape].

  The linear maps before a batch norm have no bias, which it would subtract. Images go through tanh.
  """

  image_shape: tuple[int, ...]
  width: int
  depth: int
  conditional: bool
  num_classes: int

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    init = kernels(self.width, GENERATOR_WIDTH)
    x = LatentInput(self.conditional, self.num_classes)(noise, labels)
    for _ in range(self.depth):
      x = nn.relu(Norm("batch")(nn.Dense(self.width, use_bias=False, kernel_init=init)(x), train))
    x = nn.Dense(math.prod(self.image_shape), kernel_init=init)(x)
    x = x.reshape((x.shape[0], *self.image_shape))
    return jnp.tanh(x) if len(self.image_shape) == 3 else x


class Discriminator(nn.Module):
  """[B, ...] flattened -> `layers` of `width` maxout units, max over k of (w_k.x + b_k) -> logits [B]."""

  width: int
  layers: int
  norm: str
  conditional: bool
  num_classes: int
  class_logits: int
  last_layer: str

  @nn.compact
  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    x = images.reshape((len(images), -1))
    for _ in range(self.layers):
      x = nn.Dense(PIECES * self.width, kernel_init=kernels(self.width, DISCRIMINATOR_WIDTH))(x)
      x = Norm(self.norm)(largest(x.reshape((len(x), PIECES, self.width)), axis=1), train)
    gain = self.width * variance(self.width, DISCRIMINATOR_WIDTH)
    return LogitHead(self.conditional, self.num_classes, gain, self.class_logits, self.last_layer)(x, labels)


@register()
def pacgan(
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
  """(generator of `depth` hidden layers, discriminator of one fewer but at least one): for points and for images."""
  generator = Generator(image_shape, generator_width, depth, conditional, num_classes)
  discriminator = Discriminator(
    discriminator_width, max(depth - 1, 1), discriminator_norm, conditional, num_classes, class_logits, last_layer
  )
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)
