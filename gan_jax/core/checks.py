"""Checks of shapes and dtypes. They run while JAX traces, so they cost nothing at run time."""

import jax.numpy as jnp
from jax import Array


def check_logits(real_logits: Array, fake_logits: Array, features: bool = False) -> tuple[Array, Array]:
  """Both logits in float32 (or float64, where they are), once they are known to be vectors of the same length.

  A `[B, 1]` array is refused: it would broadcast against `[B]` to `[B, B]`, silently a loss over all pairs. With
  `features`, arrays `[B, F]` with F >= 2 are accepted too.

  Raises:
    ValueError: another rank, unequal shapes, an empty batch, or a dtype that is not floating.
  """
  real_logits, fake_logits = jnp.asarray(real_logits), jnp.asarray(fake_logits)
  for name, logits in (("real_logits", real_logits), ("fake_logits", fake_logits)):
    vectors = features and logits.ndim == 2 and logits.shape[1] > 1
    if not (logits.ndim == 1 or vectors) or logits.shape[0] == 0:
      wanted = "[B] with B >= 1" + ", or [B, F] with F >= 2" * features
      raise ValueError(f"{name}: expected shape {wanted}, got {list(logits.shape)}")
    if not jnp.issubdtype(logits.dtype, jnp.floating):
      raise ValueError(f"{name}: expected a floating dtype, got {logits.dtype}")
  if real_logits.shape[1:] != fake_logits.shape[1:]:
    raise ValueError(
      f"expected reals and fakes of one shape, got {list(real_logits.shape)} and {list(fake_logits.shape)}"
    )
  if real_logits.shape != fake_logits.shape:
    raise ValueError(
      f"expected as many real as fake logits, got {real_logits.shape[0]} real and {fake_logits.shape[0]} fake"
    )
  return at_least_float32(real_logits), at_least_float32(fake_logits)


def at_least_float32(x: Array) -> Array:
  """`x` in float32, or in float64 where it already is: losses and norms never run in bfloat16."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))
