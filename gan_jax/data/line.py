"""Data on a line in the plane. All densities off the line have the same, largest JS divergence from them.

After the experiment of Fedus et al. 2018, "Many paths to equilibrium" (arXiv:1710.08446), whose own numbers (offset,
density, widths) are not in its abstract and were not available: those here are ours.
"""

import jax.numpy as jnp
import numpy as np

from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, Line, decode_points, register

SAMPLES = 100_000
SAMPLING_SEED = 20_180_001  # fixed: runs of all seeds train on the same sample
OFFSET = 2.0  # of the line from the origin, where generators without a bias start


def the_line() -> Line:
  """The line through (-OFFSET, OFFSET) / sqrt(2) along (1, 1) / sqrt(2). It is parallel to neither axis."""
  direction = np.array([1.0, 1.0]) / np.sqrt(2.0)
  normal = np.array([-1.0, 1.0]) / np.sqrt(2.0)
  return Line((OFFSET * normal).astype(np.float32), direction.astype(np.float32))


@register("line")
def load() -> Dataset:
  """`SAMPLES` points x = centre + t direction, t ~ N(0, 1); one class."""
  line = the_line()
  t = np.random.Generator(np.random.PCG64(SAMPLING_SEED)).standard_normal((SAMPLES, 1))
  points = (line.centre + t * line.direction).astype(np.float32)
  data = Data(jnp.asarray(points), jnp.zeros(SAMPLES, jnp.int32))
  return Dataset(data, decode_points, (2,), 1, "points", line=line)
