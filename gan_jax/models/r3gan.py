"""R3GAN: residual players of grouped convolutions, without any normalisation.

Source: Huang et al. 2024, "The GAN is dead; long live the GAN!" (arXiv:2501.05441), with the details of its code. It is
trained on the loss `relativistic` with the penalty `r1_r2`.
"""

import math
from typing import Annotated

import flax.linen as nn
from jax import Array
from jax.nn.initializers import Initializer

from gan_jax.core.errors import BadInput, shown
from gan_jax.core.registry import Option
from gan_jax.core.types import Output, Player
from gan_jax.models.layers import CONVOLUTIONS, NHWC
from gan_jax.models.linen import LEAKY_GAIN, LINEAR_GAIN, SLOPE, LatentInput, LogitHead, as_player, weights
from gan_jax.models.registry import ClassLogits, Convolution, DiscriminatorWidth, GeneratorWidth, LastLayer, register
from gan_jax.models.resampling import smooth_down, smooth_up
from gan_jax.models.spectral import Linear
from gan_jax.settings import WIDEST

SMALLEST = 4  # of the smaller side: the maps that both players have a learned basis for
EXPANSION = 2  # channels between the 1 x 1 convolutions of a block, by those outside
SAME = ((1, 1), (1, 1))  # padding with which a convolution with kernel 3 keeps the size


def stage_widths(image_shape: tuple[int, ...], width: int, wide_until: int) -> list[int]:
  """Channels from the smallest map to the largest: `width` up to a smaller side of `wide_until`, then halved each time."""
  sides = [SMALLEST << stage for stage in range(stages(image_shape))]
  return [max(1, width * wide_until // max(side, wide_until)) for side in sides]


def stages(image_shape: tuple[int, ...]) -> int:
  return int(math.log2(min(image_shape[:2]) // SMALLEST)) + 1


class Block(nn.Module):
  """x + conv 1 (a(conv 3 in groups (a(conv 1 (x))))), a(h) = LReLU(h + b); the inner width is twice that of x.

  Weights start at He's scale, times L^(-1/4) for L blocks in the network (`blocks`), and the last ones at zero.
  """

  group_size: int  # channels of a group
  blocks: int
  convolution: str

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width = x.shape[-1]
    inner, init = EXPANSION * width, weights(LEAKY_GAIN * self.blocks**-0.5)
    size = min(inner, self.group_size)
    down = CONVOLUTIONS[self.convolution].down
    h = self.activated(pointwise(inner, init)(x, False), "bias")
    kernel = self.param("kernel", init, (3, 3, size, inner))
    h = down(h, kernel, (1, 1), SAME, dimension_numbers=NHWC, feature_group_count=inner // size)
    return x + pointwise(width, nn.initializers.zeros)(self.activated(h, "grouped_bias"), False)

  def activated(self, x: Array, name: str) -> Array:
    bias = self.param(name, nn.initializers.zeros, (x.shape[-1],))
    return nn.leaky_relu(x + bias.reshape(1, 1, 1, -1), SLOPE)


def pointwise(features: int, init: Initializer | None = None) -> Linear:
  """A 1 x 1 convolution without bias."""
  return Linear(features, init or weights(LINEAR_GAIN), use_bias=False)


class Generator(nn.Module):
  """Noise [B, Z] (beside a class) -> a basis of maps times a linear function of it -> stages of blocks -> images.

  The images are not bounded: they are what the last 1 x 1 convolution gives.
  """

  image_shape: tuple[int, ...]
  widths: tuple[int, ...]  # from the smallest map to the largest
  blocks: int  # per stage
  group_size: int
  conditional: bool
  num_classes: int
  convolution: str

  @nn.compact
  def __call__(self, noise: Array, labels: Array, train: bool) -> Array:
    total = self.blocks * len(self.widths)
    height, width = (side >> (len(self.widths) - 1) for side in self.image_shape[:2])
    x = LatentInput(self.conditional, self.num_classes, max(1, self.num_classes) ** -0.5)(noise, labels)
    basis = self.param("basis", weights(1.0, fan_in=1), (1, height, width, self.widths[0]))
    x = basis * pointwise(self.widths[0])(x, train).reshape(x.shape[0], 1, 1, -1)
    for stage, features in enumerate(self.widths):
      if stage:
        x = smooth_up(x if x.shape[-1] == features else pointwise(features)(x, train))
      for _ in range(self.blocks):
        x = Block(self.group_size, total, self.convolution)(x)
    return pointwise(self.image_shape[2])(x, train)


class Discriminator(nn.Module):
  """Images [B, H, W, C] -> stages of blocks -> the inner product of each channel with a learned map -> logits [B]."""

  widths: tuple[int, ...]  # from the largest map to the smallest
  blocks: int
  group_size: int
  conditional: bool
  num_classes: int
  class_logits: int
  last_layer: str
  convolution: str

  @nn.compact
  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    total = self.blocks * len(self.widths)
    x = pointwise(self.widths[0])(images, train)
    for stage, features in enumerate(self.widths):
      if stage:
        x = smooth_down(x)
        x = x if x.shape[-1] == features else pointwise(features)(x, train)
      for _ in range(self.blocks):
        x = Block(self.group_size, total, self.convolution)(x)
    _, height, width, channels = x.shape
    basis = self.param("basis", weights(1.0, fan_in=height * width), (1, height, width, channels))
    seen = (x * basis).sum((1, 2))
    if self.conditional:
      seen = pointwise(channels)(seen, train)
    gain = 1 / max(1, self.num_classes)
    head = LogitHead(
      self.conditional,
      self.num_classes,
      class_logits=self.class_logits,
      last_layer=self.last_layer,
      bias=False,
      class_only=True,
      embed_gain=gain,
    )
    return head(seen, labels, train)


@register()
def r3gan(
  image_shape: tuple[int, ...],
  num_classes: int,
  latent_size: int,
  conditional: bool,
  *,
  generator_width: GeneratorWidth = 768,
  discriminator_width: DiscriminatorWidth = 768,
  wide_until: Annotated[int, Option("largest smaller side of a map with the full width", 4, WIDEST)] = 32,
  blocks: Annotated[int, Option("residual blocks at each size", 1, 64)] = 2,
  group_size: Annotated[int, Option("channels of a group of the 3 x 3 convolutions", 1, WIDEST)] = 16,
  class_logits: ClassLogits = 0,
  last_layer: LastLayer = "linear",
  convolution: Convolution = "auto",
) -> tuple[Player, Player]:
  """(generator, discriminator) of R3GAN, for images whose sides are powers of two from 8 on.

  With width W (published: 768, groups of 16 channels, so 96 groups; noise of 64), at 32 x 32 x 3:

  | generator | | discriminator | |
  |---|---|---|---|
  | basis times linear | 4 x 4 x W | conv 1 | 32 x 32 x W |
  | 2 blocks, doubled | 8 x 8 x W | 2 blocks, halved | 16 x 16 x W |
  | 2 blocks, doubled | 16 x 16 x W | 2 blocks, halved | 8 x 8 x W |
  | 2 blocks, doubled | 32 x 32 x W | 2 blocks, halved | 4 x 4 x W |
  | 2 blocks, conv 1 | 32 x 32 x 3 | 2 blocks, basis, linear | 1 |

  A block is [conv 1 to 2W, bias, LReLU .2, conv 3 in groups, bias, LReLU .2, conv 1 to W] beside the identity. Larger
  images have further stages of W/2 (64), W/4 (128), ... channels, with a conv 1 before doubling and after halving.
  Doubling and halving filter by [1, 2, 1] (`resampling.smooth_up`). A class is embedded beside the noise, and the
  discriminator's W features are projected on its vector (no other logit, no bias).

  Parameters (generator, discriminator): 32 x 32 x 3 20.73M, 20.68M; with 10 classes 20.78M, 21.28M; 64 x 64 22.43M,
  22.38M; 256 x 256 23.06M, 23.01M. ImageNet-32 has width 1536 and groups of 32.

  Raises:
    BadInput: data of another shape, or a stage whose inner width is not a whole number of groups.
  """
  check(image_shape)
  generator_widths, discriminator_widths = (
    stage_widths(image_shape, width, wide_until) for width in (generator_width, discriminator_width)
  )
  for width in {*generator_widths, *discriminator_widths}:
    if EXPANSION * width > group_size and EXPANSION * width % group_size:
      raise BadInput(
        f"model 'r3gan' expected twice the width of each stage, {sorted({*generator_widths, *discriminator_widths})}, "
        f"to be a multiple of group_size={group_size}, or smaller, got {EXPANSION * width}"
      )
  generator = Generator(image_shape, tuple(generator_widths), blocks, group_size, conditional, num_classes, convolution)
  discriminator = Discriminator(
    tuple(discriminator_widths[::-1]),
    blocks,
    group_size,
    conditional,
    num_classes,
    class_logits,
    last_layer,
    convolution,
  )
  return as_player(generator, (latent_size,)), as_player(discriminator, image_shape)


def check(image_shape: tuple[int, ...]) -> None:
  """Raises `BadInput` for examples that are not images, or a side that is not a power of two from 8 on."""
  if len(image_shape) != 3:
    raise BadInput(f"model 'r3gan' expected images [H, W, C], got examples of shape {shown(tuple(image_shape))}")
  sides = image_shape[:2]
  if all(side >= 2 * SMALLEST and side & (side - 1) == 0 for side in sides):
    return
  below = [max(2 * SMALLEST, 1 << (side.bit_length() - 1)) for side in sides]
  above = [max(2 * SMALLEST, 1 << (side - 1).bit_length()) for side in sides]
  choices = dict.fromkeys("x".join(map(str, sides)) for sides in (below, above))
  raise BadInput(
    f"model 'r3gan' expected images whose sides are powers of two from {2 * SMALLEST} on, got "
    f"{'x'.join(map(str, sides))}; the nearest sizes are {' and '.join(choices)}"
  )
