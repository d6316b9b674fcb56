"""Metrics of generated images, in the features and predicted classes of a small classifier, relative to the data."""

import functools
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.metrics import classifier, frechet, shares, variety
from gan_jax.metrics.networks import Seen, see_examples
from gan_jax.metrics.registry import Quality, of_features, register

MOST = 100  # classes whose shares have columns of their own


class Statistics(NamedTuple):
  """Statistics of a generator's samples, on the device; on the host with a leading axis [P] for several generators."""

  gaussian: frechet.Gaussian
  share: Any  # [K], share of the samples by class; [1] where the data have one class
  present: Any
  in_data: Any
  divergence: Any
  within: Any
  neighbour: Any  # [n], distance of each of some samples to the nearest other one; None: not searched for
  to_real: Any  # [n], distance to the nearest training example; None: not searched for


def _too_few(dataset: Dataset) -> str:
  size = dataset.judged.images.shape[0]
  if dataset.kind != "images":
    return f"expected images, for metric 'images', got {dataset.kind}"
  if size > classifier.FEATURES:
    return ""
  return (
    f"expected more than {classifier.FEATURES} images, for the covariance of {classifier.FEATURES} features in which "
    f"samples are compared, got {size}; metric kid can be computed of any number"
  )


@register(
  "images",
  lambda dataset: dataset.kind == "images",
  _too_few,
  ranks=lambda dataset, options: ("frechet/distance",),
)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  reference: Annotated[
    int, Option("largest number of real examples with which samples are compared", classifier.FEATURES + 1)
  ] = 10_000,
  check_accuracy: Annotated[
    bool,
    Option("refuse a convolutional classifier of classes that is hardly better than chance; see classifier.weakness"),
  ] = True,
) -> Quality:
  """Frechet distance, spread, duplicates, nearest real example and classes, by the features of a small classifier."""
  trained = classifier.load_or_train(dataset, cache)
  warning = classifier.weakness(trained)
  if check_accuracy and warning and trained.by_class and trained.convolutional:
    raise BadInput(warning)
  network = classifier.network(trained, dataset)
  classes = dataset.num_classes if trained.by_class else 1
  real = see_examples(network, dataset, dataset.judged.images, reference)
  taught = real if dataset.reference is None else see_examples(network, dataset, dataset.data.images, reference)
  gaussian = jax.device_get(frechet.fit(real.features))
  members = predicted(real, classes)
  counts = np.asarray(members.sum(axis=0))
  own_within = variety.resolved(float(variety.within(real.features, members)), real.features)

  neighbours = variety.neighbours(real.features)

  @functools.lru_cache
  def own_to_real() -> float:
    same = dataset.reference is None
    found = jax.jit(variety.nearest, static_argnums=2)(real.features, taught.features, same)
    return float(np.median(np.asarray(found)))

  def judge(found: Seen, near: bool) -> Statistics:
    members = predicted(found, classes)
    share = members.mean(axis=0)
    some = found.features[: min(variety.SAMPLES, len(real.features))]
    return Statistics(
      frechet.fit(found.features),
      share,
      *shares.presence(share, counts, len(found.features)),
      shares.divergence(share, counts),
      variety.within(found.features, members),
      neighbours.measure(found.features) if near else None,
      variety.nearest(some, taught.features, False) if near else None,
    )

  def finish(found: Statistics) -> dict[str, np.ndarray]:
    columns = {
      "frechet/distance": frechet.frechet_distance(found.gaussian, gaussian),
      "samples/spread": np.sqrt(variety.ratio(found.within, own_within)),
    }
    if found.neighbour is not None:
      columns["samples/duplicates"] = neighbours.share(found.neighbour)
      columns["samples/nearest_real"] = variety.ratio(np.median(found.to_real, axis=-1), own_to_real())
    return columns | (by_class(found) if classes > 1 else {})

  notes: dict[str, Any] = {"classifier_accuracy": trained.accuracy, "classifier_cached": trained.cached}
  notes |= {"warning": warning} if warning else {}
  return of_features(network, judge, finish, explanations(trained, counts, len(real.features)), notes, True)


def by_class(found: Statistics) -> dict[str, np.ndarray]:
  """The columns about classes, of statistics with a leading axis [P]."""
  return {
    "classes/present": found.present,
    "classes/in_data": found.in_data,
    "classes/entropy": -(found.share * np.log(np.where(found.share > 0, found.share, 1.0))).sum(-1),
    "classes/divergence": found.divergence,
    **{f"classes/share_{k}": found.share[:, k] for k in range(found.share.shape[-1]) if found.share.shape[-1] <= MOST},
  }


def predicted(seen: Seen, classes: int) -> Array:
  """The predicted classes [N, K] of what the classifier saw, one-hot; a single class where the data have one."""
  return jax.nn.one_hot(seen.logits.argmax(-1) if classes > 1 else jnp.zeros(len(seen.logits), int), classes)


def explanations(trained: classifier.Classifier, counts: np.ndarray, size: int) -> dict[str, str]:
  """`counts` [K]: how many of the `size` real examples are predicted to be of each class."""
  eye = (
    "a small classifier of this data"
    if trained.by_class
    else "a small network that classifies how this data was mirrored"
  )
  right = f"{trained.accuracy:.1%} accurate on held-out examples"
  some = f"of up to {variety.SAMPLES} samples"
  found = {
    "frechet/distance": f"Frechet distance to {size:,} real examples in the {classifier.FEATURES} features of {eye} "
    f"({right}); it is not FID",
    "samples/spread": "root mean squared distance of samples from the mean of their class, in those features, relative "
    "to the data's own; 1: as wide, 0: each class is one image",
    "samples/duplicates": f"share {some} with another one within {variety.ALIKE:g} of the data's median distance between "
    "nearest examples, beyond the same share of the data",
    "samples/nearest_real": f"median distance {some} to the nearest training example, relative to the same of real "
    "examples; 0: copies of what it was trained on",
  }
  if len(counts) == 1:
    return found
  share = counts / counts.sum()
  entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum()
  return found | {
    "classes/present": "classes predicted for at least a tenth as large a share of the samples as of the data, by a "
    f"classifier that is {right}: a weak one finds classes in blotches too",
    "classes/in_data": f"classes of the data of which as many samples are expected to contain {shares.EXPECTED} or more",
    "classes/entropy": f"entropy of the class histogram in nats; the data's own: {entropy:.3f}",
    "classes/divergence": "KL divergence of the samples' class histogram from the data's, in nats; 0: the data's own shares",
    **{
      f"classes/share_{k}": f"share of samples classified as class {k}; the data's: {x:.3f}"
      for k, x in enumerate(share)
      if len(share) <= MOST
    },
  }
