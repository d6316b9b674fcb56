"""Residual players of SNGAN, with the variants of its descendants as options.

Sources: Miyato et al. 2018, "Spectral normalization for GANs" (arXiv:1802.05957, tables 4 to 6 of the appendix) for 32,
48 and 128; Miyato and Koyama 2018 (arXiv:1802.05637) for the class; Zhang et al. 2019, SAGAN (arXiv:1805.08318) for
attention and spectral normalisation of the generator; Kurach et al. 2019 (arXiv:1807.04720, `compare_gan`) for zero
insertion, mean pooling and N(0, 0.02^2). Images are in [-1, 1], through tanh, in all variants.
"""

from typing import Annotated

import flax.linen as nn
from jax import Array
from jax.nn import one_hot

from gan_jax.core.registry import Option
from gan_jax.core.types import Output, Player
from gan_jax.models.attention import NONE, SelfAttention, attended
from gan_jax.models.blocks import DownBlock, Form, ToImage, UpBlock, summed
from gan_jax.models.initial import INITIALS
from gan_jax.models.linen import LatentInput, LogitHead, as_player
from gan_jax.models.registry import (
  Attention,
  ClassLogits,
  Convolution,
  DiscriminatorNorm,
  GeneratorNorm,
  LastLayer,
  PublishedWidth,
  Spectral,
  register,
)
from gan_jax.models.resampling import UPSAMPLINGS
from gan_jax.models.sizes import base, check_images, halvings

SMALL = 48  # a smaller side below this: the form for 32 x 32, whose maps all have the same width
NARROWEST, RANGE = 64, 4  # of larger ones: 64 channels at full size, doubled up to 64 * 2^4 = 1024
SMALL_WIDTHS = (256, 128)  # of generator and discriminator


def is_small(image_shape: tuple[int, ...]) -> bool:
  return min(image_shape[:2]) < SMALL


def poolings(image_shape: tuple[int, ...]) -> int:
  """How often the discriminator halves an image: twice if it is small, else while the smaller side stays at least 3."""
  return 2 if is_small(image_shape) else halvings(image_shape, smallest=3)


def generator_channels(
  image_shape: tuple[int, ...], width: int, small: int = SMALL_WIDTHS[0], narrowest: int = NARROWEST
) -> list[int]:
  """Channels of the first map and of the output of each block.

  Args:
    image_shape: (H, W, C).
    width: of the widest; 0: as published, which is `small` for small images, else up from `narrowest`.
    small: see `width`.
    narrowest: see `width`.
  """
  stages = halvings(image_shape)
  if is_small(image_shape):
    return [width or small] * (stages + 1)
  width = width or min(narrowest << stages, narrowest << RANGE)
  return [max(1, width >> max(0, stage - max(0, stages - RANGE))) for stage in range(stages + 1)]


def discriminator_channels(
  image_shape: tuple[int, ...], width: int, small: int = SMALL_WIDTHS[1], narrowest: int = NARROWEST
) -> list[int]:
  """Channels of the output of each block, of which `poolings` halve their input; arguments as of the generator."""
  pools = poolings(image_shape)
  if is_small(image_shape):
    return [width or small] * (pools + 2)
  width = width or min(narrowest << pools, narrowest << RANGE)
  return [max(1, width >> max(0, min(pools, RANGE) - stage)) for stage in range(pools + 1)]


def common_maps(image_shape: tuple[int, ...]) -> list[tuple[int, int]]:
  """(height, width) of the maps between blocks that both players have."""
  return [base(image_shape, stage) for stage in range(1, min(halvings(image_shape) - 1, poolings(image_shape)) + 1)]


class Generator(nn.Module):
  """Noise [B, Z] (and a class) -> a small map, doubled by residual blocks -> norm, ReLU, conv 3, tanh -> images."""

  image_shape: tuple[int, ...]
  channels: tuple[int, ...]
  attention: frozenset[int]
  form: Form
  conditional: bool
  num_classes: int

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    height, width = base(self.image_shape, len(self.channels) - 1)
    normed = self.form.norm != "none"
    condition = one_hot(labels, self.num_classes, dtype=noise.dtype) if self.conditional and normed else None
    x = LatentInput(self.conditional and not normed, self.num_classes)(noise, labels)
    x = self.form.linear(height * width * self.channels[0], name="first")(x, train)
    x = x.reshape(x.shape[0], height, width, self.channels[0])
    for features in self.channels[1:]:
      x = UpBlock(features, self.form)(x, condition, train)
      if min(x.shape[1:3]) in self.attention:
        x = SelfAttention(self.form.initial, self.form.spectral)(x, train)
    return ToImage(self.image_shape[2], self.form)(x, train)


class Discriminator(nn.Module):
  """Images [B, H, W, C] -> residual blocks -> ReLU, sum (or mean) over all pixels -> logits [B], projected on a class."""

  pools: int
  channels: tuple[int, ...]
  attention: frozenset[int]
  pooling: str
  form: Form
  head: LogitHead

  @nn.compact
  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    x = images
    for stage, features in enumerate(self.channels):
      x = DownBlock(features, self.form, pool=stage < self.pools, first=stage == 0)(x, train)
      if stage < self.pools and min(x.shape[1:3]) in self.attention:
        x = SelfAttention(self.form.initial, self.form.spectral)(x, train)
    return self.head(summed(x, self.pooling), labels, train)


@register()
def resnet(
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
  attention: Attention = NONE,
  upsampling: Annotated[str, Option("of the generator's blocks", choices=UPSAMPLINGS)] = "nearest",
  pooling: Annotated[str, Option("of the discriminator's last map", choices=("sum", "mean"))] = "sum",
  initial: Annotated[str, Option("weights at the start; see models/initial.py", choices=INITIALS)] = "glorot",
  class_logits: ClassLogits = 0,
  last_layer: LastLayer = "linear",
  convolution: Convolution = "auto",
) -> tuple[Player, Player]:
  """(generator, discriminator) of SNGAN: residual blocks, for images of any size that can be halved twice.

  "up C" is `blocks.UpBlock`, "down C" and "plain C" are `blocks.DownBlock` with and without pooling. With 0 for the
  widths, and noise of 128, these are the published tables; other sizes follow the same rules.

  | | 32 x 32 | 48 x 48 | 64 x 64 | 128 x 128 |
  |---|---|---|---|---|
  | generator: linear to | 4 x 4 x 256 | 6 x 6 x 512 | 4 x 4 x 1024 | 4 x 4 x 1024 |
  | up | 256, 256, 256 | 256, 128, 64 | 512, 256, 128, 64 | 1024, 512, 256, 128, 64 |
  | then | norm, ReLU, conv 3, tanh | the same | the same | the same |
  | discriminator: down | 128, 128 | 64, 128, 256, 512 | 64, 128, 256, 512 | 64, 128, 256, 512, 1024 |
  | plain | 128, 128 | 1024 | 1024 | 1024 |
  | then | ReLU, sum, linear | the same | the same | the same |

  Parameters at 32 x 32 x 3: generator 4.277M, with 10 classes 4.304M (a scale and a shift per class in each block);
  discriminator 1.054M, with the projection on 10 classes 1.055M. 64 is as in StudioGAN, which is not in the paper.

  Raises:
    BadInput: data of another shape, a side that is not a multiple of 4, or `attention` at a side of no map.
  """
  check_images("resnet", image_shape)
  channels = generator_channels(image_shape, generator_width)
  at = attended(attention, "resnet", common_maps(image_shape))
  of_generator = Form(convolution, initial, spectral == "both", generator_norm, upsampling)
  of_discriminator = Form(convolution, initial, spectral != "none", discriminator_norm)
  head = of_discriminator.head(conditional, num_classes, class_logits, last_layer)
  generator = Generator(image_shape, tuple(channels), at, of_generator, conditional, num_classes)
  widths = tuple(discriminator_channels(image_shape, discriminator_width))
  discriminator = Discriminator(poolings(image_shape), widths, at, pooling, of_discriminator, head)
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)
