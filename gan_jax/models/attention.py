"""Self-attention over the pixels of a map, as in SAGAN, and which maps of a network have it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput, shown
from gan_jax.core.norms import largest
from gan_jax.models.initial import initial
from gan_jax.models.resampling import blocks_of
from gan_jax.models.spectral import Linear

NONE = "none"


class SelfAttention(nn.Module):
  """x [B, H, W, C] -> x + g o(sum_m a_nm v_m), a = softmax_m <q_n, k_m>, for the pixels n of x.

  All maps are 1 x 1 convolutions without bias: queries q and keys k to C/8 channels, values v to C/2, o back to C. Keys
  and values are max-pooled by 2, so H and W are even. The scalar g starts at 0. Source: Zhang et al. 2019 (SAGAN,
  arXiv:1805.08318, section 3), with the pooling of its code and of BigGAN's.
  """

  initial: str
  spectral: bool

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    batch, height, width, channels = x.shape
    few, half = max(1, channels // 8), max(1, channels // 2)

    def to(features: int, name: str, y: Array) -> Array:
      return Linear(features, initial(self.initial), False, self.spectral, name=name)(y, train)

    queries = to(few, "query", x).reshape(batch, height * width, few)
    keys = max_pool(to(few, "key", x)).reshape(batch, -1, few)
    values = max_pool(to(half, "value", x)).reshape(batch, -1, half)
    scores = jnp.einsum("bnc,bmc->bnm", queries, keys)
    shares = jax.nn.softmax(at_least_float32(scores), axis=-1).astype(x.dtype)
    found = jnp.einsum("bnm,bmc->bnc", shares, values).reshape(batch, height, width, half)
    gate = self.param("gate", nn.initializers.zeros, ())
    return x + gate * to(channels, "output", found)


def max_pool(x: Array) -> Array:
  """[B, H, W, C] -> [B, H/2, W/2, C]; of equal pixels the first one of a block has the derivative (`norms.largest`)."""
  batch, height, width, channels = x.shape
  blocks = blocks_of(x).transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 2, width // 2, 4, channels)
  return largest(blocks, axis=3)


def attended(text: str, model: str, maps: list[tuple[int, int]]) -> frozenset[int]:
  """The smaller sides of the maps with self-attention, from an option such as '16' or '16+32'.

  Args:
    text: the option; 'none' for no map.
    model: its name, for a message.
    maps: (height, width) of the maps that both players have and that can have it.

  Raises:
    BadInput: a side that is no whole number, or that is of none of the maps.
  """
  if text == NONE:
    return frozenset()
  sides = sorted({min(sizes) for sizes in maps if all(side % 2 == 0 for side in sizes)})
  parts = [part.strip() for part in text.split("+")]
  if not all(part.isdecimal() and int(part) in sides for part in parts):
    choices = ", ".join([NONE, *map(str, sides)])
    raise BadInput(
      f"option 'attention' of model {model!r} expected sides of its maps, several joined by '+', among {choices}, got "
      f"{shown(text)}"
    )
  return frozenset(map(int, parts))
