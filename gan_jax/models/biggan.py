"""BigGAN for small images: residual players whose generator is given its noise and the class at every block.

Sources: Brock et al. 2019, "Large scale GAN training" (arXiv:1809.11096, appendix B), in the form for CIFAR-10 of
StudioGAN's `big_resnet`, whose parameters it has. The discriminator is that of models/resnet.py.
"""

import itertools
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import one_hot

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.core.types import Player
from gan_jax.models.attention import SelfAttention, attended
from gan_jax.models.blocks import Form, ToImage, UpBlock
from gan_jax.models.initial import INITIALS
from gan_jax.models.linen import as_player
from gan_jax.models.registry import (
  Attention,
  ClassLogits,
  Convolution,
  DiscriminatorNorm,
  LastLayer,
  PublishedWidth,
  Spectral,
  register,
)
from gan_jax.models.resnet import Discriminator, common_maps, discriminator_channels, generator_channels, poolings
from gan_jax.models.sizes import base, check_images
from gan_jax.settings import WIDEST

WIDTH = 96  # channels of the discriminator's first block at 64 pixels and more
SMALL_WIDTHS = (4 * WIDTH, 2 * WIDTH)  # of generator and discriminator at less than 48 pixels
HALF = "half"  # attention on the maps of half the image's sides


def chunks(noise: Array, count: int) -> list[Array]:
  """[B, Z] -> `count` parts of Z / count columns; where that is no whole number, the first ones have one more."""
  size, more = divmod(noise.shape[-1], count)
  ends = [part * size + min(part, more) for part in range(count + 1)]
  return [noise[:, start:end] for start, end in itertools.pairwise(ends)]


class Generator(nn.Module):
  """Noise in parts: the first makes a small map, each other one, beside the class, the scales and shifts of a block."""

  image_shape: tuple[int, ...]
  channels: tuple[int, ...]
  attention: frozenset[int]
  form: Form
  embedding: int
  conditional: bool
  num_classes: int

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    blocks = len(self.channels) - 1
    height, width = base(self.image_shape, blocks)
    first, *parts = chunks(noise, blocks + 1)
    if self.conditional:  # not normalised, and the same for all blocks
      table = self.form._replace(spectral=False).linear(self.embedding, use_bias=False, name="embed")
      shared = table(one_hot(labels, self.num_classes, dtype=noise.dtype), train)
      parts = [jnp.concatenate([shared, part], axis=-1) for part in parts]
    x = self.form.linear(height * width * self.channels[0], name="first")(first, train)
    x = x.reshape(x.shape[0], height, width, self.channels[0])
    for features, part in zip(self.channels[1:], parts, strict=True):
      x = UpBlock(features, self.form, start_at_zero=False)(x, part, train)
      if min(x.shape[1:3]) in self.attention:
        x = SelfAttention(self.form.initial, self.form.spectral)(x, train)
    return ToImage(self.image_shape[2], self.form)(x, train)


@register()
def biggan(
  image_shape: tuple[int, ...],
  num_classes: int,
  latent_size: int,
  conditional: bool,
  *,
  generator_width: PublishedWidth = 0,
  discriminator_width: PublishedWidth = 0,
  discriminator_norm: DiscriminatorNorm = "none",
  spectral: Spectral = "both",
  attention: Attention = HALF,
  embedding: Annotated[int, Option("width of the class vector that all blocks share", 1, WIDEST)] = 128,
  initial: Annotated[str, Option("weights at the start; see models/initial.py", choices=INITIALS)] = "orthogonal",
  class_logits: ClassLogits = 0,
  last_layer: LastLayer = "linear",
  convolution: Convolution = "auto",
) -> tuple[Player, Player]:
  """(generator, discriminator) of BigGAN, for images of any size that can be halved twice.

  The noise is cut into one part for the first map and one for each block. A block's batch norms have a scale 1 + c S and
  a shift c T, where c is the block's part and, if there are classes, a vector of the class that all blocks share.
  "up C", "down C", "plain C" and "attention" are `blocks.UpBlock`, `blocks.DownBlock` and `attention.SelfAttention`.
  With 0 for the widths, and noise of 80:

  | | 32 x 32 | 64 x 64 |
  |---|---|---|
  | generator: linear to | 4 x 4 x 384 | 4 x 4 x 1536 |
  | up | 384, 384, attention, 384 | 768, 384, 192, attention, 96 |
  | then | batch norm, ReLU, conv 3, tanh | the same |
  | discriminator: down | 192, attention, 192 | 96, attention, 192, 384, 768 |
  | plain | 192, 192 | 1536 |
  | then | ReLU, sum, linear and projection | the same |

  Parameters at 32 x 32 x 3 with 10 classes: generator 9.42M, discriminator 2.42M.

  Raises:
    BadInput: data of another shape, a side that is not a multiple of 4, `attention` at a side of no map, or noise with
      fewer entries than there are parts.
  """
  check_images("biggan", image_shape)
  channels = generator_channels(image_shape, generator_width, SMALL_WIDTHS[0], WIDTH)
  if latent_size < len(channels):
    raise BadInput(
      f"model 'biggan' expected latent_size of at least {len(channels)}, a part for the first map and for each of "
      f"{len(channels) - 1} blocks, got {latent_size}"
    )
  maps = common_maps(image_shape)
  at = attended(str(min(maps[0])) if attention == HALF else attention, "biggan", maps)
  of_generator = Form(convolution, initial, spectral == "both", "batch")
  of_discriminator = Form(convolution, initial, spectral != "none", discriminator_norm)
  generator = Generator(image_shape, tuple(channels), at, of_generator, embedding, conditional, num_classes)
  head = of_discriminator.head(conditional, num_classes, class_logits, last_layer)
  widths = tuple(discriminator_channels(image_shape, discriminator_width, SMALL_WIDTHS[1], WIDTH))
  discriminator = Discriminator(poolings(image_shape), widths, at, "sum", of_discriminator, head)
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)
