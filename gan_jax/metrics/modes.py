"""Modes of 2-D mixtures: how many are covered, how well, and how evenly. The protocol of PacGAN (Lin et al. 2018).

Other papers define "high quality" otherwise (an L-infinity box), count over all samples, or build their ring with a double
mode: numbers of different protocols do not compare. Even the data itself scores below 100 % high quality
(1 - exp(-4.5) = 98.9 %) and above zero divergence (about (K - 1) / 2N).
"""

import jax
import jax.numpy as jnp
from jax import Array

RADIUS = 3.0  # standard deviations


def mode_counts(points: Array, modes: Array, std: float) -> Array:
  """[K]: high-quality points by nearest mode. A point is of high quality if closer than 3 std to its nearest mode.

  points [N, 2]; modes [K, 2].
  """
  squared = jnp.sum(jnp.square(points[:, None, :] - modes[None, :, :]), axis=-1)
  nearest = jnp.argmin(squared, axis=1)
  good = jnp.min(squared, axis=1) < (RADIUS * std) ** 2
  return jnp.sum(jax.nn.one_hot(nearest, modes.shape[0]) * good[:, None], axis=0)


def mode_metrics(points: Array, modes: Array, std: float) -> dict[str, Array]:
  """Modes with at least one high-quality point; share of such points; KL(generated modes || uniform) over them, in nats.

  The divergence of a generator without a single high-quality point is NaN: there is no distribution to compare.
  """
  counts = mode_counts(points, modes, std)
  total = counts.sum()
  share = counts / jnp.maximum(total, 1)
  logs = jnp.log(jnp.where(share > 0, share, 1.0) * modes.shape[0])
  return {
    "modes/covered": jnp.sum(counts > 0).astype(jnp.float32),
    "modes/high_quality": total / points.shape[0],
    "modes/reverse_kl": jnp.where(total > 0, jnp.sum(share * logs), jnp.nan),
  }


EXPLANATIONS = {
  "modes/covered": "modes with at least one high-quality sample (within 3 standard deviations of the mode)",
  "modes/high_quality": "share of samples of high quality; the data itself scores 0.989",
  "modes/reverse_kl": "KL divergence from uniform of the modes of the high-quality samples, in nats; 0 is even",
}
