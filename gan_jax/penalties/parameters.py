"""Penalties on the weights of a player. Signature: `(params) -> scalar`; a kernel is any leaf of two or more axes.

Its last axis indexes the columns: the outputs of a dense layer or a convolution, the features of an embedding, and for
a transposed convolution the inputs (the outputs of the convolution that it transposes).
"""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.types import Params
from gan_jax.penalties.registry import of_parameters


def kernels(params: Params) -> list[Array]:
  """Every kernel as a matrix [rest, last axis], in float32 or better."""
  return [at_least_float32(x).reshape(-1, x.shape[-1]) for x in jax.tree.leaves(params) if x.ndim >= 2]


@of_parameters(1e-4)  # Brock et al. 2019, section 3.1
def orthogonal(params: Params) -> Array:
  """sum_W |W^T W * (1 - I)|_F^2: zero where the columns are orthogonal, whatever their lengths.

  Source: Brock et al. 2019, "Large scale GAN training" (arXiv:1809.11096), eq. 3.
  """
  grams = [w.T @ w for w in kernels(params)]
  # The diagonal is masked, not subtracted: with long columns, small overlaps would be lost to rounding.
  return sum((jnp.sum(jnp.square(g * (1 - jnp.eye(len(g), dtype=g.dtype)))) for g in grams), jnp.zeros(()))


@of_parameters(1e-4)  # the weight of `orthogonal`; Brock et al. 2017 use it for the sum of absolute values
def orthonormal(params: Params) -> Array:
  """sum_W |W^T W - I|_F^2: zero where the columns are orthogonal and of length 1.

  Source: Brock et al. 2019 (arXiv:1809.11096), eq. 2; Brock et al. 2017 (arXiv:1609.07093) sum absolute values instead.
  """
  grams = [w.T @ w for w in kernels(params)]
  return sum((jnp.sum(jnp.square(g - jnp.eye(len(g), dtype=g.dtype))) for g in grams), jnp.zeros(()))


@of_parameters(None)  # papers differ
def weight_decay(params: Params) -> Array:
  """0.5 |params|^2 over all weights and biases, with the factor 1/2: gradient descent shrinks each by rate * weight."""
  return 0.5 * sum((jnp.sum(jnp.square(at_least_float32(x))) for x in jax.tree.leaves(params)), jnp.zeros(()))
