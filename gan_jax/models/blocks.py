"""Residual blocks of SNGAN and its descendants (SAGAN, BigGAN), and the normalisation that knows the class."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer

from gan_jax.models.initial import initial
from gan_jax.models.layers import Conv
from gan_jax.models.linen import LogitHead, Norm
from gan_jax.models.resampling import UPSAMPLE, mean_pool
from gan_jax.models.spectral import Linear

INNER_GAIN = 2**0.5  # of `glorot` for 3 x 3 convolutions inside a block: they follow a ReLU (SNGAN)


class Form(NamedTuple):
  """How the layers of one player are made."""

  convolution: str = "auto"
  initial: str = "glorot"
  spectral: bool = False
  norm: str = "none"
  upsampling: str = "nearest"

  def init(self, gain: float = 1.0) -> Initializer:
    return initial(self.initial, gain)

  def conv(self, features: int, sampling: str = "none", gain: float = INNER_GAIN) -> Conv:
    return Conv(features, self.init(gain), self.convolution, sampling, self.spectral)

  def linear(self, features: int, use_bias: bool = True, name: str | None = None) -> Linear:
    """A matrix over channels: of vectors, or of images as a 1 x 1 convolution."""
    return Linear(features, self.init(), use_bias, self.spectral, name=name)

  def head(self, conditional: bool, num_classes: int, class_logits: int, last_layer: str) -> LogitHead:
    head = LogitHead(conditional, num_classes, class_logits=class_logits, last_layer=last_layer)
    return head.clone(kernel_init=self.init(), spectral=self.spectral)


class ConditionalNorm(nn.Module):
  """Normalisation of x [B, H, W, C] whose scale and shift depend on a condition c [B, K]: (1 + c S) x^ + c T.

  x^ is `Norm` without its own scale and shift. With one-hot c and S = T = 0 at the start this is a scale and a shift
  per class (Dumoulin et al. 2017, arXiv:1610.07629); with a learned c, BigGAN's (Brock et al. 2019, arXiv:1809.11096).
  Without a condition it is `Norm`.
  """

  form: Form
  start_at_zero: bool = True  # S and T; else they start as all weights do

  @nn.compact
  def __call__(self, x: Array, condition: Array | None, train: bool) -> Array:
    if condition is None or self.form.norm == "none":
      return Norm(self.form.norm)(x, train)
    init = nn.initializers.zeros if self.start_at_zero else self.form.init()
    x = Norm(self.form.norm, affine=False)(x, train)
    scale, shift = (
      Linear(x.shape[-1], init, False, self.form.spectral, name=name)(condition, train).reshape(x.shape[0], 1, 1, -1)
      for name in ("scale", "shift")
    )
    return (1 + scale) * x + shift


class UpBlock(nn.Module):
  """Norm, ReLU, doubled, conv 3, norm, ReLU, conv 3, plus the doubled input through 1 x 1: [B, 2H, 2W, features]."""

  features: int
  form: Form
  start_at_zero: bool = True  # see `ConditionalNorm`

  @nn.compact
  def __call__(self, x: Array, condition: Array | None, train: bool) -> Array:
    form, up = self.form, UPSAMPLE[self.form.upsampling]
    norm = lambda h: nn.relu(ConditionalNorm(form, self.start_at_zero)(h, condition, train))  # noqa: E731
    h = norm(x)
    if form.upsampling == "bilinear":
      h = form.conv(self.features)(up(h), train)
    else:
      h = form.conv(self.features, form.upsampling)(h, train)
    h = form.conv(self.features)(norm(h), train)
    # Interpolation commutes with a 1 x 1 convolution, and comes after it where that is cheaper; zeros would get a bias.
    beside = form.linear(self.features, name="shortcut")
    return h + (beside(up(x), train) if form.upsampling == "zero_insertion" else up(beside(x, train)))


class DownBlock(nn.Module):
  """Norm, ReLU, conv 3, norm, ReLU, conv 3 and, where `pool`, the mean of 2 x 2 pixels, plus the pooled input.

  The input beside it goes through 1 x 1 where the block pools or widens. The `first` block sees the image: it begins
  with its convolution, without norm and ReLU (SNGAN's `OptimizedBlock`).
  """

  features: int
  form: Form
  pool: bool = True
  first: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    form = self.form
    norm = lambda h: nn.relu(Norm(form.norm)(h, train))  # noqa: E731
    h = form.conv(self.features)(x if self.first else norm(x), train)
    h = form.conv(self.features, "mean_pool" if self.pool else "none")(norm(h), train)
    beside = mean_pool(x) if self.pool else x
    if self.pool or x.shape[-1] != self.features:
      beside = form.linear(self.features, name="shortcut")(beside, train)
    return h + beside


class ToImage(nn.Module):
  """Norm, ReLU, conv 3, tanh: [B, H, W, C] -> images [B, H, W, colours] in [-1, 1]."""

  colours: int
  form: Form

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = nn.relu(Norm(self.form.norm)(x, train))
    return jnp.tanh(self.form.conv(self.colours, gain=1.0)(x, train))


def summed(x: Array, pooling: str) -> Array:
  """ReLU, then the sum or the mean of all pixels: [B, H, W, C] -> features [B, C]."""
  x = nn.relu(x)
  return x.sum((1, 2)) if pooling == "sum" else x.mean((1, 2))
