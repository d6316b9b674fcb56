"""Latents to draw samples from: of a normal or a truncated normal, or in rows that go from one to another."""

import math

import jax
import numpy as np

from gan_jax.core.errors import BadInput, shown

PARALLEL = 1e-6  # sine of an angle between two latents below which they are taken as parallel


def normal(key: int, count: int, size: int, truncation: float | None = None) -> np.ndarray:
  """float32 [count, size], independent standard normals: what a generator is trained and evaluated with.

  With `truncation` t they are those of a normal given |z| <= t, the distribution of values that are drawn again until
  they do not exceed t ("truncation trick": Brock et al. 2019, "Large scale GAN training for high fidelity natural image
  synthesis", arXiv:1809.11096, section 3.1). A smaller t gives more typical and less varied samples.

  Args:
    key: a whole number from 0 to 2^32 - 1; the same key gives the same latents.
    count, size: at least 1.
    truncation: above 0; None: none.

  Raises:
    BadInput: a truncation that is not a number above 0.
  """
  if truncation is None:
    return np.asarray(jax.random.normal(jax.random.key(key), (count, size)))
  if not truncation > 0:
    raise BadInput(f"truncation expected a number above 0, got {shown(truncation)}")
  return np.asarray(jax.random.truncated_normal(jax.random.key(key), -truncation, truncation, (count, size)))


def between(starts: np.ndarray, ends: np.ndarray, columns: int) -> np.ndarray:
  """Rows of latents from starts to ends, [rows, Z] and [rows, Z] -> float32 [rows, columns, Z]; both ends are exact.

  The direction moves along the great circle at equal angles, and the length linearly (spherical interpolation:
  Shoemake 1985, "Animating rotation with quaternion curves"; for GANs White 2016, arXiv:1609.04468, section 2.1). Of
  Gaussian latents nearly all are about sqrt(Z) long, and points on the straight line between two of them are shorter
  than any latent in training. Parallel and opposite latents, which have no one great circle, are joined by the line.

      sin((1 - t) w) / sin(w) * u m + sin(t w) / sin(w) * v m,   u = a / |a|, v = b / |b|, cos(w) = <u, v>,
      m = (1 - t) |a| + t |b|,   t = 0, 1 / (columns - 1), ..., 1

  Raises:
    BadInput: fewer than 2 columns.
  """
  if columns < 2:
    raise BadInput(f"an interpolation expected at least 2 columns, got {columns}")
  a, b = (np.asarray(x, np.float64)[:, None] for x in (starts, ends))
  t = (np.arange(columns) / (columns - 1))[None, :, None]
  lengths = [np.maximum(np.linalg.norm(x, axis=2, keepdims=True), np.finfo(np.float64).tiny) for x in (a, b)]
  cosine = np.clip(((a / lengths[0]) * (b / lengths[1])).sum(2, keepdims=True), -1, 1)
  angle = np.arccos(cosine)
  sine = np.sin(angle)
  length = (1 - t) * lengths[0] + t * lengths[1]
  parallel = sine < PARALLEL
  safe = np.where(parallel, 1.0, sine)
  first = np.where(parallel, 1 - t, np.sin((1 - t) * angle) / safe * (length / lengths[0]))
  second = np.where(parallel, t, np.sin(t * angle) / safe * (length / lengths[1]))
  return (first * a + second * b).astype(np.float32)


def across(count: int, kinds: int = 1) -> int:
  """Columns of a grid of `count`, about a square; of 2 to 32 classes in turn a multiple, so that a column is a class."""
  square = math.ceil(math.sqrt(count))
  return kinds * max(1, round(square / kinds)) if 2 <= kinds <= min(32, count) else square
