"""Adapters that make a `Player` of your own network: a Linen, NNX or Equinox module, or a pair of pure functions.

Every adapter reads from the module's signature whether it takes labels, and whether it takes a training flag (see
`calls.LABELS` and `calls.FLAGS`). Inputs are [B, *input_shape]. A generator returns images [B, H, W, C] in [-1, 1]; a
discriminator, made with `discriminator=True`, logits [B] or [B, 1], or (logits, features [B, F]), or a `core.types.Output`.

Parameters are the arrays that are trained by gradient; all other arrays of a module (running statistics,
power-iteration vectors, counts, the key of its dropout) are its memory. Both are nested dicts of arrays. Convolutions
run as matrix products (`convolutions`), unless `convolution='lax'`.
"""

from gan_jax.models.players.equinox import from_equinox
from gan_jax.models.players.functions import plain
from gan_jax.models.players.linen import from_linen
from gan_jax.models.players.nnx import from_nnx

__all__ = ["from_equinox", "from_linen", "from_nnx", "plain"]
