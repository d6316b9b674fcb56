"""Cross-entropy, entropy and divergences of discrete distributions.

Distributions lie along the last axis. Values are in nats, or in bits with `base=2`. A probability of zero contributes 0
log 0 = 0, in the value and in the gradient; a divergence that is not finite (mass where the other distribution has
none) is inf.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import softplus
from jax.typing import ArrayLike

from gan_jax.core.checks import at_least_float32


def binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
  """-y log s(x) - (1 - y) log(1 - s(x)) = y softplus(-x) + (1 - y) softplus(x), element by element, in nats.

  Args:
    logits: x, any shape.
    labels: y in [0, 1], of the same shape.

  Raises:
    ValueError: the shapes differ.
  """
  x, y = _pair("logits", logits, "labels", labels)
  return y * softplus(-x) + (1 - y) * softplus(x)


def binary_cross_entropy_from_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> Array:
  """-y log p - (1 - y) log(1 - p), element by element, in nats; a spam mail given p = 0.9 costs 0.105361.

  If logits are available use `binary_cross_entropy`: a float near 1 has lost the digits of its distance from 1.

  Raises:
    ValueError: the shapes differ, or (outside of jit) a probability is not in [0, 1].
  """
  p, y = _pair("probabilities", probabilities, "labels", labels)
  if _is_concrete(p) and not bool(np.all((np.asarray(p) >= 0) & (np.asarray(p) <= 1))):
    raise ValueError(f"probabilities: expected numbers from 0 to 1, got {np.asarray(p)}")
  return -_times_log(y, p) - _times_log1p(1 - y, -p)


def entropy(p: ArrayLike, base: float | None = None) -> Array:
  """H(p) = -sum p log p >= 0. H(0.5, 0.5) is one bit.

  Args:
    p: probabilities, shape [..., K].
    base: of the logarithm; None: e.

  Raises:
    ValueError: outside of jit, where `p` is negative somewhere or does not sum to 1.
  """
  p = _distribution("p", p)
  return _in_base(-jnp.sum(_times_log(p, p), axis=-1), base)


def cross_entropy(p: ArrayLike, q: ArrayLike, base: float | None = None) -> Array:
  """H(p, q) = -sum p log q: the mean cost of coding events of distribution p with a forecast q; inf where p > 0 = q.

  Shapes [..., K], equal. Raises as `entropy` does, and for unequal shapes.
  """
  p, q = _two(p, q)
  return _in_base(-jnp.sum(_times_log(p, q), axis=-1), base)


def kl_divergence(p: ArrayLike, q: ArrayLike, base: float | None = None) -> Array:
  """KL(p||q) = sum p log(p/q) = H(p, q) - H(p) >= 0; inf where p > 0 = q.

  Shapes [..., K], equal. Raises as `entropy` does, and for unequal shapes.
  """
  p, q = _two(p, q)
  return _in_base(_kl(p, q), base)


def js_divergence(p: ArrayLike, q: ArrayLike, base: float | None = None) -> Array:
  """JSD = (KL(p||m) + KL(q||m)) / 2 with m = (p + q) / 2: from 0 to log 2, which disjoint distributions reach.

  Shapes [..., K], equal. Raises as `entropy` does, and for unequal shapes.
  """
  p, q = _two(p, q)
  m = (p + q) / 2
  return _in_base((_kl(p, m) + _kl(q, m)) / 2, base)


def optimal_discriminator(p: ArrayLike, q: ArrayLike) -> Array:
  """D* = p / (p + q) for densities p of the data and q of the model; 1/2 where both are 0.

  Source: Goodfellow et al. 2014, arXiv:1406.2661, proposition 1.
  """
  p, q = _pair("p", p, "q", q)
  total = p + q
  return jnp.where(total > 0, p / jnp.where(total > 0, total, 1), 0.5)


def optimal_logit(log_p: ArrayLike, log_q: ArrayLike) -> Array:
  """log p - log q, of which `optimal_discriminator` is the sigmoid: from log densities, so that no tail underflows."""
  log_p, log_q = _pair("log_p", log_p, "log_q", log_q)
  return log_p - log_q


def _times_log(x: Array, y: Array) -> Array:
  """x log y with 0 log y = 0, value and slope: an outcome of probability 0 does not contribute."""
  there = x > 0
  return jnp.where(there, x * jnp.log(jnp.where(there, y, 1)), 0)


def _times_log1p(x: Array, y: Array) -> Array:
  there = x > 0
  return jnp.where(there, x * jnp.log1p(jnp.where(there, y, 0)), 0)


def _kl(p: Array, q: Array) -> Array:
  return jnp.sum(_times_log(p, p) - _times_log(p, q), axis=-1)


def _in_base(nats: Array, base: float | None) -> Array:
  if base is None:
    return nats
  if not (base > 0 and base != 1):
    raise ValueError(f"base: expected a number above 0 other than 1, got {base}")
  return nats / np.log(base).astype(nats.dtype)


def _is_concrete(x: Array) -> bool:
  return not isinstance(x, jax.core.Tracer)


def _pair(name_x: str, x: ArrayLike, name_y: str, y: ArrayLike) -> tuple[Array, Array]:
  x, y = at_least_float32(jnp.asarray(x)), at_least_float32(jnp.asarray(y))
  if x.shape != y.shape:
    raise ValueError(f"expected {name_x} and {name_y} of one shape, got {list(x.shape)} and {list(y.shape)}")
  return x, y


def _distribution(name: str, p: ArrayLike) -> Array:
  p = at_least_float32(jnp.asarray(p))
  if p.ndim == 0:
    raise ValueError(f"{name}: expected probabilities of shape [..., K], got a scalar")
  if _is_concrete(p):
    values = np.asarray(p, np.float64)
    total = values.sum(axis=-1)
    # float32 rounds a sum of K probabilities by less than K units in the last place; 1e-5 is ten thousand classes.
    if not (np.all(values >= 0) and np.allclose(total, 1, rtol=0, atol=1e-5)):
      raise ValueError(
        f"{name}: expected probabilities that sum to 1 along the last axis, got sums from {total.min():g} to "
        f"{total.max():g} and a least value of {values.min():g}"
      )
  return p


def _two(p: ArrayLike, q: ArrayLike) -> tuple[Array, Array]:
  p, q = _distribution("p", p), _distribution("q", q)
  if p.shape != q.shape:
    raise ValueError(f"expected p and q of one shape, got {list(p.shape)} and {list(q.shape)}")
  return p, q
