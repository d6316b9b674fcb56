"""Players whose discriminator is an autoencoder: its logit is minus the error of its reconstruction (EBGAN, BEGAN)."""

from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.registry import Option
from gan_jax.core.types import Output, Player
from gan_jax.models import dcgan, mlp
from gan_jax.models.layers import DownConvolution
from gan_jax.models.linen import LEAKY_GAIN, LINEAR_GAIN, SLOPE, Norm, as_player, weights
from gan_jax.models.registry import (
  Convolution,
  Depth,
  DiscriminatorNorm,
  DiscriminatorWidth,
  GeneratorWidth,
  register,
)
from gan_jax.models.sizes import check_images, halvings
from gan_jax.settings import WIDEST


class Encoder(nn.Module):
  """[B, ...] -> `depth` leaky rectified layers of `width`, or with a `convolution` the layers of dcgan -> code [B, size]."""

  size: int
  width: int
  depth: int
  norm: str
  convolution: str

  @nn.compact
  def __call__(self, images: Array, train: bool) -> Array:
    x = images if self.convolution else images.reshape((len(images), -1))
    if self.convolution:
      for stage, features in enumerate(reversed(dcgan.channels(self.width, halvings(images.shape[1:])))):
        x = DownConvolution(features, self.convolution, LEAKY_GAIN)(x)
        x = nn.leaky_relu(Norm(self.norm if stage else "none")(x, train), SLOPE)
    else:
      for _ in range(self.depth):
        x = nn.Dense(self.width, kernel_init=weights(LEAKY_GAIN))(x)
        x = nn.leaky_relu(Norm(self.norm)(x, train), SLOPE)
    return nn.Dense(self.size, kernel_init=weights(LINEAR_GAIN))(x.reshape((len(x), -1)))


class Discriminator(nn.Module):
  """Images [B, ...] -> logits [B] = -mean |x - D(x)|^power over the values of x; D is decoder after encoder."""

  encoder: nn.Module
  decoder: nn.Module  # called as a generator is: (code, labels, train) -> images
  power: int

  def __call__(self, images: Array, labels: Array, train: bool) -> Output:
    again = self.decoder(self.encoder(images, train), labels, train)
    apart = at_least_float32(images) - at_least_float32(again)
    error = jnp.abs(apart) if self.power == 1 else jnp.square(apart)
    return Output(-error.mean(axis=tuple(range(1, images.ndim))))


@register()
def autoencoder(
  image_shape: tuple[int, ...],
  num_classes: int,
  latent_size: int,
  conditional: bool,
  *,
  network: Annotated[str, Option("fully connected, or for images convolutions", choices=("mlp", "dcgan"))] = "mlp",
  generator_width: GeneratorWidth = 128,
  discriminator_width: DiscriminatorWidth = 128,
  depth: Depth = 2,
  code_size: Annotated[int, Option("numbers between encoder and decoder", 1, WIDEST)] = 32,
  error: Annotated[
    str, Option("of a reconstruction: the mean over its values of |d|, or of d^2", choices=("absolute", "squared"))
  ] = "absolute",
  discriminator_norm: DiscriminatorNorm = "none",
  convolution: Convolution = "auto",
) -> tuple[Player, Player]:
  """(generator, discriminator): the generator of `mlp` or `dcgan`, and an autoencoder whose decoder is another such one.

  A logit is *minus* the reconstruction error, so it is at most 0 and a high logit means "real", as everywhere. The losses
  made for it are `energy_margin` (EBGAN, whose margin is in units of the error) and `began`. It gives no features: its
  logit is no linear function of the code. With a class the decoder is given it, embedded beside the code.

  `mlp`: `depth` layers in each of encoder and decoder. `dcgan`: their widest map has `discriminator_width` channels, and
  `depth` is not used; it needs sides that dcgan can halve.
  Sources: Zhao et al. 2017, arXiv:1609.03126; Berthelot et al. 2017, arXiv:1703.10717.

  Raises:
    BadInput: with `dcgan`, data of another shape, or a side that is not a multiple of 4.
  """
  if network == "dcgan":
    check_images("autoencoder", image_shape)

  def generator(width: int) -> nn.Module:
    if network == "dcgan":
      return dcgan.Generator(image_shape, width, conditional, num_classes, convolution)
    return mlp.Generator(image_shape, width, depth, conditional, num_classes)

  layers = convolution if network == "dcgan" else ""
  encoder = Encoder(code_size, discriminator_width, depth, discriminator_norm, layers)
  discriminator = Discriminator(encoder, generator(discriminator_width), 1 if error == "absolute" else 2)
  return as_player(generator(generator_width), (latent_size,)), as_player(discriminator, image_shape)
