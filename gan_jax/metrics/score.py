"""Inception score: how sure Inception is of each sample's class, and how many classes it sees in all samples.

    exp(mean_x KL(p(class | x) || p(class)))

Salimans et al. 2016 (arXiv:1606.03498, section 4), with p(class) the mean over one of ten parts of the samples: the mean
and the standard deviation over the parts. It sees no real example, so copies of them have a high one. Logits are taken
without the last layer's bias, as published scores are.
"""

import itertools
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import features as named
from gan_jax.metrics.networks import Seen
from gan_jax.metrics.registry import Quality, of_features, register

SHUFFLE = 2020  # the seed with which torch-fidelity shuffles the samples


def scores(logits: Array, splits: int) -> Array:
  """[splits]: the score of each part of logits [N, K], shuffled as torch-fidelity shuffles them."""
  count = len(logits)
  shuffled = logits[np.random.RandomState(SHUFFLE).permutation(count)]

  def score(part: Array) -> Array:
    sure, mean = jax.nn.log_softmax(part, axis=-1), jax.nn.softmax(part, axis=-1).mean(axis=0)
    spread = jnp.sum(mean * jnp.log(jnp.where(mean > 0, mean, 1.0)))
    return jnp.exp(jnp.mean(jnp.sum(jnp.exp(sure) * sure, axis=-1)) - spread)

  ends = [i * count // splits for i in range(splits + 1)]
  return jnp.stack([score(shuffled[begin:end]) for begin, end in itertools.pairwise(ends)])


@register(
  "inception_score",
  lambda dataset: False,
  lambda dataset: named.not_images("inception_score", dataset),
  lambda options: options["splits"],
  ready=named.ready,
  ranks=lambda dataset, options: (),
)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  weights: named.Weights = "",
  splits: Annotated[int, Option("number of parts of the samples, whose scores are averaged", 1)] = 10,
) -> Quality:
  """Inception score of the samples, which are compared with no data; of Inception's weights of 2015-12-05 only."""
  network = named.network("inception", dataset, cache, weights)

  def judge(seen: Seen, near: bool) -> Array:
    return scores(seen.logits, splits)

  def finish(found: Array) -> dict[str, np.ndarray]:
    values = np.asarray(found, np.float64)
    return {"inception/score": values.mean(-1), "inception/score_std": values.std(-1)}

  explained = {
    "inception/score": f"Inception score, mean over {splits} parts of evaluation_samples samples, of {network.protocol}",
    "inception/score_std": f"standard deviation of inception/score over its {splits} parts",
  }
  return of_features(network, judge, finish, explained, {"inception_score_features": network.protocol})
