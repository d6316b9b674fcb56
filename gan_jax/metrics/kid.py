"""Kernel inception distance: an unbiased squared distance between two sets of features, whatever their number.

The squared maximum mean discrepancy with the kernel k(x, y) = (x.y / D + 1)^3 (Binkowski et al. 2018, arXiv:1801.01401,
eq. 4 and section 4; Gretton et al. 2012, JMLR 13, lemma 6). It may be slightly negative where the sets are alike.
"""

from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import features as named
from gan_jax.metrics.chunks import in_chunks
from gan_jax.metrics.networks import REFERENCE, Reference, Seen, compared, real_features
from gan_jax.metrics.registry import Quality, of_features, register

ROWS = 50  # samples whose kernels with all others are held at once: 2 MB for each member, of 10,000 others
TERMS = 250  # kernels added up in a row: sums of sums lose fewer digits in float32
DRAW = 2020  # the seed with which torch-fidelity draws its subsets


def kernel(x: Array, y: Array) -> Array:
  """[N, D], [M, D] -> (x.y / D + 1)^3 [N, M], in float32 also where the accelerator would round its inputs."""
  return (jnp.matmul(x, y.T, precision="highest") / x.shape[1] + 1.0) ** 3


def means(x: Array, y: Array, same: bool) -> Array:
  """[N]: the mean kernel of each of x [N, D] with all of y [M, D]; `same`: x is y, and with all but itself."""
  others = jnp.arange(y.shape[0])

  def rows(indices: Array) -> Array:
    found = kernel(x[jnp.minimum(indices, len(x) - 1)], y)
    if same:
      found = jnp.where(indices[:, None] == others[None, :], 0.0, found)
    padded = jnp.pad(found, ((0, 0), (0, -len(y) % TERMS)))
    return padded.reshape(len(indices), -1, TERMS).sum(-1).sum(-1) / (len(y) - same)

  return in_chunks(rows, len(x), min(ROWS, len(x)))


def squared_distance(x: Any, y: Any, xy: Any, yx: Any) -> tuple[np.ndarray, np.ndarray]:
  """The unbiased estimate of the squared distance, and its standard error, in float64.

  mean(x) + mean(y) - 2 mean(xy). By the first term of Hoeffding's decomposition (Hoeffding 1948) the estimate varies as
  the means of 2 (x_i - xy_i) over the samples and of 2 (y_j - yx_j) over the real examples. Where the two distributions
  are equal these are noise, and the error is that of the noise: too large rather than too small.

  Args:
    x: [..., N], mean kernel of each sample with the others.
    y: [M], of each real example with the others.
    xy: [..., N], of each sample with all real examples.
    yx: [..., M], of each real example with all samples.
  """
  x, y, xy, yx = (np.asarray(each, np.float64) for each in (x, y, xy, yx))
  distance = x.mean(-1) + y.mean(-1) - 2 * xy.mean(-1)
  variance = sum(4 * (own - cross).var(-1, ddof=1) / own.shape[-1] for own, cross in ((x, xy), (y, yx)))
  return distance, np.sqrt(variance)


def subset_distances(x: Array, y: Array, subsets: int, size: int) -> Array:
  """[subsets]: the unbiased estimate of `size` of x [N, D] and `size` of y [M, D], drawn anew for each subset.

  They are drawn as torch-fidelity draws them, the samples x before the real examples y.
  """
  draws = np.random.RandomState(DRAW)
  chosen = [[draws.choice(len(points), size, replace=False) for points in (x, y)] for _ in range(subsets)]

  def one(indices: Array) -> Array:
    mine, real = x[indices[0]], y[indices[1]]
    return means(mine, mine, True).mean() + means(real, real, True).mean() - 2 * means(mine, real, False).mean()

  return jax.lax.map(one, jnp.asarray(chosen, jnp.int32))


@register(
  "kid",
  lambda dataset: False,
  lambda dataset: named.not_images("kid", dataset),
  ready=named.ready,
  ranks=lambda dataset, options: (f"{options['features']}/kid",),
)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  features: named.Features = "classifier",
  weights: named.Weights = "",
  reference: Reference = REFERENCE,
  subsets: Annotated[
    int, Option("number of subsets over which the distance is averaged; 0: all samples at once, the least variance", 0)
  ] = 0,
  subset_size: Annotated[int, Option("samples and real examples in each subset", 2)] = 1000,
) -> Quality:
  """Kernel inception distance (KID) to the data in the features of a network, and its standard error."""
  network = named.network(features, dataset, cache, weights)
  real = real_features(network, dataset, cache, reference)
  own = None if subsets else np.asarray(jax.jit(means, static_argnums=2)(real, real, True))
  size = min(subset_size, len(real))

  def judge(seen: Seen, near: bool) -> Any:
    found = seen.features
    if subsets:
      return subset_distances(found, real, subsets, min(size, len(found)))
    return means(found, found, True), means(found, real, False), means(real, found, False)

  def finish(found: Any) -> dict[str, np.ndarray]:
    if subsets:
      values = np.asarray(found, np.float64)
      distance, error = values.mean(-1), values.std(-1)
    else:
      x, xy, yx = found
      distance, error = squared_distance(x, own, xy, yx)
    return {f"{features}/kid": distance, f"{features}/kid_error": error}

  how = f"mean over {subsets:,} subsets of up to {size:,}" if subsets else "of all samples at once"
  of_error = (
    f"standard deviation over the subsets of {features}/kid" if subsets else f"standard error of {features}/kid"
  )
  explained = {
    f"{features}/kid": f"kernel inception distance, unbiased, kernel (x.y/D + 1)^3, {how}, {compared(network, len(real))}",
    f"{features}/kid_error": of_error,
  }
  return of_features(network, judge, finish, explained, {"kid_features": network.protocol})
