"""Precision, recall, density and coverage: whether samples lie where the data do, and whether they are everywhere there.

The neighbourhood of a point is the ball that reaches to its k-th nearest other point of its own set.

    precision = share of samples in the neighbourhood (k = 3) of a real example
    recall    = share of real examples in the neighbourhood (k = 3) of a sample
    density   = mean number of the real examples' neighbourhoods (k = 5) that a sample is in, over k
    coverage  = share of real examples with a sample in their neighbourhood (k = 5)

Precision and recall: Kynkaanniemi et al. 2019 (arXiv:1904.06991, eq. 1 and 2), balls with their surface. Density and
coverage: Naeem et al. 2020 (arXiv:2002.09797, eq. 3 and 4), balls without it. All depend on the number of points, so
equally many samples and real examples are compared, and two numbers are comparable where those are.

Precision and density are no measures of quality by themselves: features of an image without content lie in the middle of
the data's, within most neighbourhoods. Of uniform noise against 100 of CIFAR-10's images, precision is 1 and density 6.3
in `lite0`'s features (0.96 and 1.2 in those of a classifier), and recall is 0. Read them beside recall and a distance.
"""

from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import features as named
from gan_jax.metrics.chunks import in_chunks
from gan_jax.metrics.networks import REFERENCE, Seen, compared, finite, real_features
from gan_jax.metrics.registry import Quality, of_features, register

ROWS = 50  # points whose distances to all others are held at once: 2 MB for each member, of 10,000 others
MANIFOLD, DENSITY = 3, 5  # k of precision and recall, and of density and coverage
FEWEST = DENSITY + 1


def squared_distances(x: Array, y: Array) -> Array:
  """[N, D], [M, D] -> [N, M], |x|^2 + |y|^2 - 2 x.y; rounding may leave a distance of nothing a little off zero."""
  lengths = [jnp.sum(jnp.square(points), axis=1) for points in (x, y)]
  return lengths[0][:, None] + lengths[1][None, :] - 2 * jnp.matmul(x, y.T, precision="highest")


def radii(points: Array, most: int) -> Array:
  """[N, most]: squared distances of each of points [N, D] to its nearest other points, the nearest first."""

  def rows(indices: Array) -> Array:
    apart = squared_distances(points[jnp.minimum(indices, len(points) - 1)], points)
    apart = jnp.where(indices[:, None] == jnp.arange(len(points))[None, :], jnp.inf, apart)
    return -jax.lax.top_k(-apart, most)[0]

  return in_chunks(rows, len(points), min(ROWS, len(points)))


def measure(samples: Array, real: Array) -> dict[str, Array]:
  """The four numbers of samples [N, D] and real examples [M, D]; both N and M at least `FEWEST`."""
  centre = real.mean(axis=0)[None, :]  # distances of centred points lose fewer digits
  samples, real = samples - centre, real - centre
  around_real, around_samples = radii(real, DENSITY), radii(samples, MANIFOLD)[:, MANIFOLD - 1]

  def of_samples(indices: Array) -> tuple[Array, Array]:
    apart = squared_distances(samples[jnp.minimum(indices, len(samples) - 1)], real)
    inside = (apart < around_real[None, :, DENSITY - 1]).sum(axis=1) / DENSITY
    return (apart <= around_real[None, :, MANIFOLD - 1]).any(axis=1), inside

  def of_real(indices: Array) -> tuple[Array, Array]:
    rows = jnp.minimum(indices, len(real) - 1)
    apart = squared_distances(real[rows], samples)
    return (apart <= around_samples[None, :]).any(axis=1), apart.min(axis=1) < around_real[rows, DENSITY - 1]

  precise, inside = in_chunks(of_samples, len(samples), min(ROWS, len(samples)))
  recalled, covered = in_chunks(of_real, len(real), min(ROWS, len(real)))
  found = {"precision": precise, "recall": recalled, "density": inside, "coverage": covered}
  return finite(samples, {name: values.mean(dtype=jnp.float32) for name, values in found.items()})


@register(
  "prdc",
  lambda dataset: False,
  lambda dataset: named.not_images("prdc", dataset, FEWEST),
  ready=named.ready,
  ranks=lambda dataset, options: (),
)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  features: named.Features = "classifier",
  weights: named.Weights = "",
  reference: Annotated[
    int, Option("largest number of real examples with which samples are compared", FEWEST)
  ] = REFERENCE,
) -> Quality:
  """Precision, recall, density and coverage in the features of a network: fidelity and variety, told apart."""
  network = named.network(features, dataset, cache, weights)
  real = real_features(network, dataset, cache, reference)

  def judge(seen: Seen, near: bool) -> dict[str, Array]:
    found = measure(seen.features[: len(real)], real[: len(seen.features)])
    return {f"{features}/{name}": value for name, value in found.items()}

  meanings = {
    "precision": f"share of samples within the distance of a real example to its neighbour {MANIFOLD} (fidelity); "
    "noise can have 1, so read it beside a distance",
    "recall": f"share of real examples within the distance of a sample to its neighbour {MANIFOLD} (variety)",
    "density": f"mean number of real examples to which a sample is nearer than their neighbour {DENSITY}, over {DENSITY}; "
    "about 1 for other examples of the data",
    "coverage": f"share of real examples to which a sample is nearer than their neighbour {DENSITY}; at most about "
    f"{1 - 0.5**DENSITY:.2f} for other examples of the data",
  }
  how = f"equally many of both, {compared(network, len(real))}"
  explained = {f"{features}/{name}": f"{meaning}; {how}" for name, meaning in meanings.items()}
  finish = lambda found: {name: np.asarray(value) for name, value in found.items()}  # noqa: E731
  return of_features(network, judge, finish, explained, {"prdc_features": network.protocol})
