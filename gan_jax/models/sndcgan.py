"""SNDCGAN: DCGAN with spectral normalisation and a discriminator of seven convolutions.

Sources: Miyato et al. 2018 (arXiv:1802.05957, table 3), with the channels of Kurach et al. 2019 (arXiv:1807.04720,
`compare_gan`): the discriminator's strided convolutions double the channels, in the paper the plain ones do. Weights
start as N(0, 0.02^2), images are in [-1, 1], through tanh.
"""

from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import one_hot

from gan_jax.core.registry import Option
from gan_jax.core.types import Output, Player
from gan_jax.models.blocks import ConditionalNorm, Form
from gan_jax.models.initial import INITIALS
from gan_jax.models.linen import LatentInput, LogitHead, Norm, as_player
from gan_jax.models.registry import (
  ClassLogits,
  Convolution,
  DiscriminatorNorm,
  GeneratorNorm,
  LastLayer,
  PublishedWidth,
  Spectral,
  register,
)
from gan_jax.models.sizes import base, check_images, halvings

SLOPE = 0.1  # of the discriminator's leaky ReLUs below zero
WIDTH = 512  # channels of the smallest maps
STAGES = 3  # halvings at most


class Generator(nn.Module):
  """Noise [B, Z] (and a class) -> a map of H/8 x W/8, doubled three times -> conv 3, tanh -> images [B, H, W, C]."""

  image_shape: tuple[int, ...]
  width: int
  form: Form
  conditional: bool
  num_classes: int

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    stages = min(STAGES, halvings(self.image_shape))
    height, width = base(self.image_shape, stages)
    normed = self.form.norm != "none"
    condition = one_hot(labels, self.num_classes, dtype=noise.dtype) if self.conditional and normed else None
    norm = lambda x: nn.relu(ConditionalNorm(self.form)(x, condition, train))  # noqa: E731
    x = LatentInput(self.conditional and not normed, self.num_classes)(noise, labels)
    x = self.form.linear(height * width * self.width)(x, train)
    # Each unit of this layer has statistics of its own, as in compare_gan: it is normalised before it becomes a map.
    x = norm(x.reshape(x.shape[0], 1, 1, -1)).reshape(x.shape[0], height, width, self.width)
    for stage in range(1, stages + 1):
      x = norm(self.form.conv(max(1, self.width >> stage), "transposed", gain=1.0)(x, train))
    return jnp.tanh(self.form.conv(self.image_shape[2], gain=1.0)(x, train))


class Discriminator(nn.Module):
  """Images [B, H, W, C] -> conv 3 and conv 4 of stride 2 in turn, channels up to `width` -> flattened -> logits [B]."""

  width: int
  form: Form
  head: LogitHead

  @nn.compact
  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    stages = min(STAGES, halvings(images.shape[1:]))
    x, features = images, max(1, self.width >> stages)
    norm = lambda x, kind: nn.leaky_relu(Norm(kind)(x, train), SLOPE)  # noqa: E731
    x = norm(self.form.conv(features, gain=1.0)(x, train), "none")
    for stage in range(stages):
      features = max(1, self.width >> (stages - 1 - stage))
      for sampling in ("strided", "none"):
        x = norm(self.form.conv(features, sampling, gain=1.0)(x, train), self.form.norm)
    return self.head(x.reshape((len(x), -1)), labels, train)


@register()
def sndcgan(
  image_shape: tuple[int, ...],
  num_classes: int,
  latent_size: int,
  conditional: bool,
  *,
  generator_width: PublishedWidth = 0,
  discriminator_width: PublishedWidth = 0,
  generator_norm: GeneratorNorm = "batch",
  discriminator_norm: DiscriminatorNorm = "none",
  spectral: Spectral = "discriminator",
  initial: Annotated[str, Option("weights at the start; see models/initial.py", choices=INITIALS)] = "normal",
  class_logits: ClassLogits = 0,
  last_layer: LastLayer = "linear",
  convolution: Convolution = "auto",
) -> tuple[Player, Player]:
  """(generator, discriminator) of SNDCGAN, for images of any size that can be halved twice.

  At H x W x C with noise of 128 and the published width 512 (0):

  | generator | | discriminator | |
  |---|---|---|---|
  | linear, batch norm, ReLU | H/8 x W/8 x 512 | conv 3, LReLU .1 | H x W x 64 |
  | up-conv 4, batch norm, ReLU | H/4 x W/4 x 256 | conv 4, stride 2, LReLU; conv 3, LReLU | H/2 x W/2 x 128 |
  | up-conv 4, batch norm, ReLU | H/2 x W/2 x 128 | conv 4, stride 2, LReLU; conv 3, LReLU | H/4 x W/4 x 256 |
  | up-conv 4, batch norm, ReLU | H x W x 64 | conv 4, stride 2, LReLU; conv 3, LReLU | H/8 x W/8 x 512 |
  | conv 3, tanh | H x W x C | linear (and projection) | 1 |

  There are three halvings at every published size (32 and 48). Sizes that `sizes.halvings` halves only twice, such as
  28, have two, from 512 channels down to 128.

  Raises:
    BadInput: data of another shape, or a side that is not a multiple of 4.
  """
  check_images("sndcgan", image_shape)
  of_generator = Form(convolution, initial, spectral == "both", generator_norm)
  of_discriminator = Form(convolution, initial, spectral != "none", discriminator_norm)
  generator = Generator(image_shape, generator_width or WIDTH, of_generator, conditional, num_classes)
  head = of_discriminator.head(conditional, num_classes, class_logits, last_layer)
  discriminator = Discriminator(discriminator_width or WIDTH, of_discriminator, head)
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)
