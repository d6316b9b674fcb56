"""Mixtures of Gaussians in the plane. Their modes are known, so the modes that a generator misses can be counted.

Protocol of PacGAN (Lin et al. 2018, arXiv:1712.04086): 100,000 fixed samples, equal weights. The points are not
rescaled for the networks: the published thresholds, learning rates and penalty weights all refer to these units.
"""

import jax.numpy as jnp
import numpy as np

from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, decode_points, register

SAMPLES = 100_000
SAMPLING_SEED = 20_180_000  # fixed: runs of all seeds train on the same sample


def ring_modes() -> np.ndarray:
  """[8, 2]: the angles 2 pi k / 8 on the unit circle.

  The last angle is 7/8 of a turn. `linspace(0, 2 pi, 8)` includes both ends, which would put two modes on one point.
  """
  angles = 2.0 * np.pi * np.arange(8) / 8
  return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def grid_modes() -> np.ndarray:
  """[25, 2]: {-4, -2, 0, 2, 4} squared, the first coordinate running slowest."""
  axis = np.arange(-4.0, 5.0, 2.0)
  return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(25, 2).astype(np.float32)


def mixture(modes: np.ndarray, std: float) -> Dataset:
  """`SAMPLES` points x = modes[y] + std * N(0, I), each mode exactly as often as any other; the label y is the mode."""
  labels = np.repeat(np.arange(len(modes), dtype=np.int32), SAMPLES // len(modes))
  noise = np.random.Generator(np.random.PCG64(SAMPLING_SEED)).standard_normal((len(labels), modes.shape[1]))
  points = (modes[labels] + std * noise).astype(np.float32)
  data = Data(jnp.asarray(points), jnp.asarray(labels))
  return Dataset(data, decode_points, (modes.shape[1],), len(modes), "points", modes, std)


@register("ring")
def load_ring() -> Dataset:
  """Eight modes on the unit circle, standard deviation 0.01."""
  return mixture(ring_modes(), 0.01)


@register("grid")
def load_grid() -> Dataset:
  """25 modes on a square lattice of pitch 2, standard deviation 0.05."""
  return mixture(grid_modes(), 0.05)
