"""Memorisation: whether samples are nearer to the training examples than real examples are to one another.

    median over samples of min_j |f(x) - f(y_j)|  over  the same median of real examples

in the features f of a network, y the training examples. 0: copies. Where real examples are themselves the training ones,
an example is not compared with itself. It says nothing of quality, and a value somewhat below 1 is no sign of copies:
samples without content may lie in the middle of the data (0.6 for uniform noise against CIFAR-10 in `lite0`'s features).
"""

from pathlib import Path

import jax
import numpy as np
from jax import Array

from gan_jax.data import Dataset
from gan_jax.metrics import features as named
from gan_jax.metrics import variety
from gan_jax.metrics.networks import REFERENCE, Reference, Seen, compared, real_features
from gan_jax.metrics.registry import Quality, of_features, register


@register(
  "memorisation",
  lambda dataset: False,
  lambda dataset: named.not_images("memorisation", dataset),
  ready=named.ready,
  ranks=lambda dataset, options: (),
)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  features: named.Features = "classifier",
  weights: named.Weights = "",
  reference: Reference = REFERENCE,
) -> Quality:
  """Distance of samples to the nearest training example in the features of a network, relative to real examples'."""
  network = named.network(features, dataset, cache, weights)
  real = real_features(network, dataset, cache, reference)
  same = dataset.reference is None
  taught = real if same else real_features(network, dataset._replace(reference=None), cache, reference)
  own = float(np.median(np.asarray(jax.jit(variety.nearest, static_argnums=2)(real, taught, same))))
  column = f"{features}/nearest_real"

  def judge(seen: Seen, near: bool) -> Array:
    return variety.nearest(seen.features, taught, False)

  def finish(found: Array) -> dict[str, np.ndarray]:
    return {column: variety.ratio(np.median(np.asarray(found, np.float64), axis=-1), own)}

  text = (
    "median distance of samples to the nearest training example, relative to the same of real examples; 0: copies of what "
    f"was trained on; noise can be near too, so read it beside a distance; {compared(network, len(taught))}"
  )
  return of_features(network, judge, finish, {column: text}, {"memorisation_features": network.protocol})
