"""Convolutional players after DCGAN (Radford et al. 2016, arXiv:1511.06434): kernel 4, stride 2, no pooling.

Differences from the paper:
- No batch normalisation: it couples the examples of a batch, so per-sample penalties are not defined. The generator
  normalises each example separately (layer normalisation); the discriminator by default has no normalisation.
- Weights start at He's scale, not at N(0, 0.02). That fixed scale relies on batch normalisation to restore the signal:
  without it each layer shrinks the signal, and logits and their slopes in the image start near zero, where R1 (a slope
  squared) and the generator's gradient vanish together. He's scale starts the slope at order one, at every width.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Output, Player
from gan_jax.models.layers import DownConvolution, UpConvolution
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
  Convolution,
  DiscriminatorNorm,
  DiscriminatorWidth,
  GeneratorWidth,
  LastLayer,
  register,
)
from gan_jax.models.sizes import base, check_images, halvings


def channels(width: int, stages: int) -> list[int]:
  """Channels of the feature maps from the smallest to the largest: `width`, halved with each doubling of the side."""
  return [max(1, width >> stage) for stage in range(stages)]


class Generator(nn.Module):
  """Noise [B, Z] (and a class) -> a small map of `width` channels, doubled to full size -> tanh images [B, H, W, C]."""

  image_shape: tuple[int, ...]
  width: int
  conditional: bool
  num_classes: int
  convolution: str

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    stages = halvings(self.image_shape)
    height, width = base(self.image_shape, stages)
    x = LatentInput(self.conditional, self.num_classes)(noise, labels)
    x = nn.Dense(height * width * self.width, kernel_init=weights(RELU_GAIN))(x)
    x = x.reshape(x.shape[0], height, width, self.width)
    x = nn.relu(Norm("layer")(x, train))
    for features in channels(self.width, stages)[1:]:
      x = nn.relu(Norm("layer")(UpConvolution(features, self.convolution, RELU_GAIN)(x), train))
    return jnp.tanh(UpConvolution(self.image_shape[2], self.convolution, LINEAR_GAIN)(x))


class Discriminator(nn.Module):
  """Images [B, H, W, C] -> halved until small, channels up to `width` -> flattened -> logits [B]."""

  width: int
  norm: str
  conditional: bool
  num_classes: int
  class_logits: int
  last_layer: str
  convolution: str

  @nn.compact
  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    x = images
    for stage, features in enumerate(reversed(channels(self.width, halvings(images.shape[1:])))):
      x = DownConvolution(features, self.convolution, LEAKY_GAIN)(x)
      # The first map is left as it is (as in DCGAN): normalised, it would hide the contrast of the image.
      x = nn.leaky_relu(Norm(self.norm if stage else "none")(x, train), SLOPE)
    return LogitHead(self.conditional, self.num_classes, class_logits=self.class_logits, last_layer=self.last_layer)(
      x.reshape((len(x), -1)), labels
    )


@register()
def dcgan(
  image_shape: tuple[int, ...],
  num_classes: int,
  latent_size: int,
  conditional: bool,
  *,
  generator_width: GeneratorWidth = 128,
  discriminator_width: DiscriminatorWidth = 128,
  discriminator_norm: DiscriminatorNorm = "none",
  class_logits: ClassLogits = 0,
  last_layer: LastLayer = "linear",
  convolution: Convolution = "auto",
) -> tuple[Player, Player]:
  """(generator, discriminator) for images of any size that can be halved twice, with any number of channels.

  A map is halved, and its channels doubled, as `sizes.halvings` says. At 32 x 32 x 3 with width W:

  | generator | | discriminator | |
  |---|---|---|---|
  | linear, layer norm, ReLU | 4 x 4 x W | conv 4, stride 2, LReLU .2 | 16 x 16 x W/4 |
  | up-conv 4, layer norm, ReLU | 8 x 8 x W/2 | conv 4, stride 2, norm, LReLU .2 | 8 x 8 x W/2 |
  | up-conv 4, layer norm, ReLU | 16 x 16 x W/4 | conv 4, stride 2, norm, LReLU .2 | 4 x 4 x W |
  | up-conv 4, tanh | 32 x 32 x 3 | linear (and projection) | 1 |

  Raises:
    BadInput: data of another shape, or a side that is not a multiple of 4; the message names the nearest sizes.
  """
  check_images("dcgan", image_shape)
  generator = Generator(image_shape, generator_width, conditional, num_classes, convolution)
  discriminator = Discriminator(
    discriminator_width, discriminator_norm, conditional, num_classes, class_logits, last_layer, convolution
  )
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)
