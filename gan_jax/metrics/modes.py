"""Modes of 2-D mixtures: how many are covered, how well, and how evenly. The protocol of PacGAN (Lin et al. 2018).

Other papers define "high quality" otherwise (an L-infinity box), count over all samples, or build their ring with a
double mode, so numbers of different protocols are not comparable. Even the data itself scores below 100 % high quality
(1 - exp(-4.5) = 98.9 %) and above zero divergence (about (K - 1) / 2N).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.metrics import shares, variety

RADIUS = 3.0  # standard deviations


@functools.partial(jax.jit, static_argnums=2, inline=True)  # one program, not ten, where it is called by itself
def members(points: Array, modes: Array, std: float) -> Array:
  """[N, K] one-hot: the nearest mode of each high-quality point, which is closer than 3 std to it; zeros for the others.

  points [N, 2]; modes [K, 2].
  """
  squared = jnp.sum(jnp.square(points[:, None, :] - modes[None, :, :]), axis=-1)
  good = jnp.min(squared, axis=1) < (RADIUS * std) ** 2
  return jax.nn.one_hot(jnp.argmin(squared, axis=1), modes.shape[0]) * good[:, None]


def mode_metrics(points: Array, modes: Array, std: float, own: np.ndarray | None = None) -> dict[str, Array]:
  """How many modes, how well and how evenly points [N, 2] cover, and how widely each mode is filled.

  `own` [K] is the number of data examples of each mode; None: equally many. The divergence is NaN where no point is of
  high quality (there is no distribution to compare), and the spread where no mode has two such points.
  """
  own = np.ones(len(modes)) if own is None else own
  mine = members(points, modes, std)
  counts = mine.sum(axis=0)
  total = counts.sum()
  share = counts / jnp.maximum(total, 1)
  present, due = shares.presence(share, own, points.shape[0])
  return {
    "modes/covered": jnp.sum(counts > 0).astype(jnp.float32),
    "modes/present": present,
    "modes/in_data": due,
    "modes/high_quality": total / points.shape[0],
    "modes/reverse_kl": jnp.where(total > 0, shares.divergence(share, own), jnp.nan),
    "samples/spread": jnp.sqrt(variety.within(points, mine)) / (std * KEPT),
  }


# Root mean square within R standard deviations, in those: sqrt(2 - R^2 q / (1 - q)) with q = exp(-R^2 / 2).
_Q = np.exp(-(RADIUS**2) / 2)
KEPT = float(np.sqrt(2 - RADIUS**2 * _Q / (1 - _Q)))

EXPLANATIONS = {
  "modes/covered": "modes with at least one high-quality sample (within 3 standard deviations of the mode)",
  "modes/present": "modes with at least a tenth of the share of high-quality samples that they have in the data",
  "modes/in_data": "modes of the data of which as many samples are expected to contain three or more",
  "modes/high_quality": "share of samples of high quality; the data itself scores 0.989",
  "modes/reverse_kl": "KL divergence of the modes of the high-quality samples from those of the data, in nats; 0: the "
  "data's own shares",
  "points/frechet": "Frechet distance of the samples from the data in the plane; it does not compare modes",
  "samples/spread": "root mean squared distance of high-quality samples from the mean of their mode, relative to the "
  "data's own; 1: as wide, 0: every mode is one point",
}
