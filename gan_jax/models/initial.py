"""Initial weights as the papers on residual GANs draw them, by name: `glorot`, `orthogonal`, `normal`.

Draws are flat and reshaped: on CPU XLA takes seconds to compile a four-dimensional draw, and far less for a flat one.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import Initializer

from gan_jax.core.types import Key

INITIALS = ("glorot", "orthogonal", "normal")
STDDEV = 0.02  # of `normal`
ITERATIONS = 40  # of Newton and Schulz: 1.5^40 = 1e7 lifts the smallest singular value of a square Gaussian matrix to 1
MARGIN = 1.1  # by which a Gaussian matrix's largest singular value may exceed sqrt(rows) + sqrt(columns)


def initial(name: str, gain: float = 1.0) -> Initializer:
  """The initialiser of a kernel [..., inputs, outputs].

  - 'glorot': uniform with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010), in which a fan counts the
    taps of a convolution. SNGAN takes gain sqrt(2) for its 3 x 3 convolutions and 1 elsewhere.
  - 'orthogonal': the matrix [..., inputs] x [outputs] has orthonormal columns, or rows where it is wide, at every gain
    (Saxe et al. 2014; BigGAN).
  - 'normal': N(0, 0.02^2) at every gain (Radford et al. 2016).
  """
  return {"glorot": lambda: glorot(gain), "orthogonal": lambda: orthogonal, "normal": lambda: normal}[name]()


def glorot(gain: float) -> Initializer:
  def init(key: Key, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
    taps = math.prod(shape[:-2])
    limit = gain * math.sqrt(6 / (taps * (shape[-2] + shape[-1])))
    return jax.random.uniform(key, (math.prod(shape),), dtype, -limit, limit).reshape(shape)

  return init


def normal(key: Key, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
  return STDDEV * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def orthogonal(key: Key, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
  """The orthogonal factor of a Gaussian matrix's polar decomposition, by the iteration of Newton and Schulz.

  X <- (3 X - X X^T X) / 2 takes every singular value between 0 and sqrt(3) to 1, by matrix products alone. Not by a QR
  decomposition: inside a program over several CPU devices LAPACK's calls wait for one another for ever (jax 0.10.2).
  """
  rows, columns = math.prod(shape[:-1]), shape[-1]
  x = jax.random.normal(key, (rows * columns,), jnp.promote_types(dtype, jnp.float32)).reshape(rows, columns)
  x = x / (MARGIN * (math.sqrt(rows) + math.sqrt(columns)))
  tall = x if rows >= columns else x.T
  step = lambda _, y: 1.5 * y - 0.5 * y @ (y.T @ y)  # noqa: E731
  tall = lax.fori_loop(0, ITERATIONS, step, tall)
  return (tall if rows >= columns else tall.T).reshape(shape).astype(dtype)
