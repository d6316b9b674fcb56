"""Spectral normalisation as a layer: its power-iteration vector is in the player's memory.

A kernel W, as a matrix [inputs, outputs], is divided by s = u^T W v, its largest singular value once v has converged. A
pass with `train` makes one iteration, uses the new vectors, and stores v; a pass without it makes the same iteration and
stores nothing. The gradient takes u and v as constants (Miyato et al. 2018, "Spectral normalization for GANs",
arXiv:1802.05957, algorithm 1 and eq. 12), so second derivatives in the *weights* are not those of the game, while those
in the images, such as R1's, are.

The other way is the constraint `spectral` (models/constraints.py), which normalises every kernel of any discriminator
from outside. This one also works in a generator, and the model says which of its layers are normalised.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import Initializer

from gan_jax.core.checks import at_least_float32
from gan_jax.core.spectra import matrix, power_iteration, unit

COLLECTION = "spectral"  # of the variables, beside `params`
SQUARINGS = 4  # of W^T W at the start: as many as 2^4 = 16 iterations of the power method


def normalised(module: nn.Module, kernel: Array, train: bool, name: str = "vector") -> Array:
  """kernel / s, with a vector [outputs] of that name among the module's variables; for a compact `__call__`."""
  wide = at_least_float32(kernel)  # in mixed precision too; the result is rounded once
  held = module.variable(COLLECTION, name, lambda: first_vector(wide))
  u, v = power_iteration(wide, held.value)
  if train and not module.is_initializing():
    # A power method cannot leave the zero vector, into which a kernel of zeros would lead it.
    held.value = jnp.where(jnp.any(v != 0), v, held.value)
  scale = u @ matrix(wide) @ v
  return (wide / jnp.where(scale > 0, scale, 1)).astype(kernel.dtype)


def first_vector(kernel: Array) -> Array:
  """(W^T W)^16 x / |.| for a fixed x: a unit vector close to the leading one, by a few products and no loop to compile.

  The kernel is random, so x need not be; a draw would take most of the time of compiling the initialisation.
  """
  start = unit(jnp.cos(jnp.arange(kernel.shape[-1], dtype=kernel.dtype)))
  w = lax.stop_gradient(matrix(kernel))
  power = w.T @ w
  for _ in range(SQUARINGS):
    largest = jnp.max(jnp.abs(power))
    power = power / jnp.where(largest > 0, largest, 1)
    power = power @ power
  found = unit(power @ start)
  return jnp.where(jnp.any(found != 0), found, start)


class Linear(nn.Module):
  """x [B, I] -> x W + b [B, features]; W is spectrally normalised if `spectral` says so. Parameters as of `nn.Dense`."""

  features: int
  kernel_init: Initializer
  use_bias: bool = True
  spectral: bool = False

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
    y = x @ (normalised(self, kernel, train) if self.spectral else kernel)
    if self.use_bias:
      y += self.param("bias", nn.initializers.zeros, (self.features,)).reshape(*[1] * (y.ndim - 1), -1)
    return y
