"""Shared by the Linen models: the scale of initial weights, normalisation, and class inputs."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import Initializer

from gan_jax.core.checks import at_least_float32
from gan_jax.core.norms import directions
from gan_jax.core.types import Key, Memory, Output, Params, Player
from gan_jax.models.spectral import Linear

SLOPE = 0.2  # of the discriminators' leaky ReLUs below zero (Radford et al. 2016, DCGAN)


def weights(gain: float, fan_in: int | None = None) -> Initializer:
  """N(0, gain / fan_in) for a kernel whose last axis is the output; `fan_in` is the product of the others if not given."""

  def init(key: Key, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
    # Drawn flat and reshaped: on CPU XLA takes seconds to compile a four-dimensional draw, and far less for a flat one.
    draws = jax.random.normal(key, (math.prod(shape),), dtype)
    return ((gain / (fan_in or math.prod(shape[:-1]))) ** 0.5 * draws).reshape(shape)

  return init


# The scale that preserves the second moment of a signal from layer to layer (He et al. 2015): variance 2 / fan_in
# before a ReLU, 2 / (1 + slope^2) / fan_in before a leaky ReLU, 1 / fan_in before a linear output.
RELU_GAIN, LEAKY_GAIN, LINEAR_GAIN = 2.0, 2.0 / (1.0 + SLOPE**2), 1.0


def as_player(module: nn.Module, input_shape: tuple[int, ...]) -> Player:
  """A `Player` made of a module of this package, called with (inputs [B, *input_shape], labels [B], train).

  Collections other than `params` are its memory. For other modules see `players.from_linen`.
  """

  def init(key: Key) -> tuple[Params, Memory]:
    variables = module.init(key, jnp.zeros((1, *input_shape)), jnp.zeros((1,), jnp.int32), False)
    return variables["params"], {name: tree for name, tree in variables.items() if name != "params"}

  def apply(params: Params, memory: Memory, inputs: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    moving = list(memory) if train else []
    found: Any = module.apply({"params": params, **memory}, inputs, labels, train, mutable=moving)
    outputs, moved = found
    return outputs, {**memory, **moved}

  return Player(init, apply)


class Norm(nn.Module):
  """(x - mean) / sqrt(variance + 1e-5), then a learned scale and shift per channel: eps as in PyTorch, not Flax's 1e-6.

  'none' does nothing. 'layer' takes the statistics over all axes of one example (Ba et al. 2016). 'batch' takes them
  over batch and space, per channel (Ioffe and Szegedy 2015): those of the current batch in training, running averages
  (decay 0.9 per pass) in evaluation. Without `affine` there is no learned scale and shift.
  """

  kind: str
  affine: bool = True

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:  # [B, ..., C]
    # The two-pass variance: E[x^2] - E[x]^2 loses digits where the mean is large, and twice as many when
    # differentiated.
    learned: dict[str, Any] = {"use_scale": self.affine, "use_bias": self.affine}
    if self.kind == "layer":
      axes = tuple(range(1, x.ndim))
      norm = nn.LayerNorm(reduction_axes=axes, feature_axes=-1, epsilon=1e-5, use_fast_variance=False, **learned)
      return norm(x)
    if self.kind == "batch":
      return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, use_fast_variance=False, **learned)(x)
    return x


def class_vectors(labels: Array, num_classes: int, features: int, stddev: float, name: str, dtype: Any) -> Array:
  """A learned vector per class: labels [B] -> [B, features], initialised as N(0, stddev^2).

  It is a product with a one-hot matrix, not indexing: the gradient of indexing is a scatter-add, whose order on a GPU
  varies (so do the bits), and which does not batch over a population as a matrix product does.
  """
  table = nn.Dense(features, use_bias=False, kernel_init=weights(stddev**2, fan_in=1), name=name)
  return table(jax.nn.one_hot(labels, num_classes, dtype=dtype))


class LatentInput(nn.Module):
  """The generator's input: noise [B, Z]; with a class [noise, embed(y)] of width 2Z, both halves of unit variance."""

  conditional: bool
  num_classes: int
  stddev: float = 1.0  # of the embedding at the start

  @nn.compact
  def __call__(self, noise: Array, labels: Array) -> Array:
    if not self.conditional:
      return noise
    vectors = class_vectors(labels, self.num_classes, noise.shape[-1], self.stddev, "embed", noise.dtype)
    return jnp.concatenate([noise, vectors], axis=-1)


class LogitHead(nn.Module):
  """Features h [B, F] -> float32 logits [B]: `w.h + b`, and with a class the projection `+ <embed(y), h>`.

  With `class_logits` K a second head gives K logits of classes, `V h + c` [B, K], with -K the cosines of h with the K
  columns of V (a zero vector has cosine 0 with all); losses on classes read them.
  Source: Miyato and Koyama 2018, "cGANs with projection discriminator" (arXiv:1802.05637).

  With `last_layer` 'san' the logit is `<d, h> + b` with the direction d = v / |v|, where v is w, or with a class w +
  embed(y). The logit has no derivative by d; `Output.direction` is the same number, with a derivative by d alone. So the
  loss trains h and b, and a term of its own trains d (`game.objective.cotangents`). v is not spectrally normalised: only
  its direction counts.
  Source: Takida et al. 2024, "SAN: inducing metrizability of GAN with discriminative normalized linear layer"
  (arXiv:2301.12811).
  """

  conditional: bool
  num_classes: int
  gain: float = LINEAR_GAIN
  class_logits: int = 0
  last_layer: str = "linear"
  kernel_init: Initializer | None = None  # of all weights; None: `weights`, with `gain` for w
  spectral: bool = False  # w, embed and V are spectrally normalised
  bias: bool = True  # b
  class_only: bool = False  # with a class the logit is <embed(y), h> alone
  embed_gain: float = 1.0  # variance of embed at the start, times F

  @nn.compact
  def __call__(self, features: Array, labels: Array, train: bool = False) -> Output:
    # In mixed precision too: rounded to 8 bits, a logit f of -20 would be wrong by up to 0.06, and with it e^f by 6 %.
    features = at_least_float32(features)
    width = features.shape[-1]

    def linear(name: str, size: int, init: Initializer, x: Array, bias: bool = True) -> Array:
      return Linear(size, self.kernel_init or init, bias, self.spectral, name=name)(x, train)

    classes, direction = None, None
    if self.last_layer == "san":
      logits, direction = self.along_a_direction(features, labels)
    else:
      logits = jnp.zeros((), features.dtype)
      if not (self.conditional and self.class_only):
        logits = linear("linear", 1, weights(self.gain), features, self.bias)[:, 0]
      if self.conditional:
        logits += (linear("embed", width, *self.of_class(labels, features), bias=False) * features).sum(-1)
    if self.class_logits < 0:
      vectors = self.param("classes", weights(LINEAR_GAIN), (width, -self.class_logits))
      classes = directions(features, axis=1) @ directions(vectors, axis=0)
    elif self.class_logits:
      classes = linear("classes", self.class_logits, weights(LINEAR_GAIN), features)
    return Output(logits, features, classes, direction)

  def of_class(self, labels: Array, features: Array) -> tuple[Initializer, Array]:
    """(initial weights of `embed`, one-hot classes [B, K], with which it is multiplied: see `class_vectors`)."""
    init = weights(self.embed_gain * (features.shape[-1] ** -0.5) ** 2, fan_in=1)
    return init, jax.nn.one_hot(labels, self.num_classes, dtype=features.dtype)

  def along_a_direction(self, features: Array, labels: Array) -> tuple[Array, Array]:
    """The logits [B] twice: with a derivative by features and bias, and with one by the direction."""
    width, vector = features.shape[-1], jnp.zeros((1, 1))
    if not (self.conditional and self.class_only):
      init = self.kernel_init or weights(self.gain, fan_in=width)
      vector = Linear(width, init, use_bias=False, name="direction")(jnp.ones((1, 1), features.dtype), False)
    if self.conditional:
      init, chosen = self.of_class(labels, features)
      vector = vector + Linear(width, self.kernel_init or init, use_bias=False, name="embed")(chosen, False)
    along, held = directions(vector, axis=1), at_least_float32(features)
    bias = self.param("bias", nn.initializers.zeros, (1,)) if self.bias else jnp.zeros(1)
    bias = at_least_float32(bias)
    logits = (lax.stop_gradient(along) * held).sum(1) + bias
    return logits, (along * lax.stop_gradient(held)).sum(1) + lax.stop_gradient(bias)
