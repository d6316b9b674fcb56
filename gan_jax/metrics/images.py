"""Metrics of generated images, in the features and predicted classes of a small classifier, relative to the data."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.data.order import scattered
from gan_jax.metrics import classifier, frechet, shares, variety
from gan_jax.metrics.chunks import in_chunks
from gan_jax.metrics.registry import Quality, register


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


class Seen(NamedTuple):
  """Features [M, D] of some examples and their predicted classes, [M, K] one-hot."""

  features: Array
  members: Array


def _too_few(dataset: Dataset) -> str:
  size = dataset.judged.images.shape[0]
  if dataset.kind != "images":
    return f"expected images, for metric 'images', got {dataset.kind}"
  if size > classifier.FEATURES:
    return ""
  return (
    f"expected more than {classifier.FEATURES} images, for the covariance of {classifier.FEATURES} features in which "
    f"samples are compared, got {size}"
  )


@register("images", lambda dataset: dataset.kind == "images", _too_few)
def build(
  dataset: Dataset,
  cache: Path,
  *,
  reference: Annotated[
    int, Option("largest number of real examples with which samples are compared", classifier.FEATURES + 1)
  ] = 10_000,
) -> Quality:
  """Frechet distance, spread, duplicates, nearest real example and classes, by the features of a small classifier."""
  trained = classifier.load_or_train(dataset, cache)
  classes = dataset.num_classes if trained.by_class else 1
  look = functools.partial(see, trained, classes)

  @jax.jit
  def seen(images: Array, order: Array) -> Seen:
    # The last chunk's surplus is cut off later; until then its indices must be valid.
    chosen = lambda indices: images[order[jnp.minimum(indices, len(order) - 1)]]  # noqa: E731
    return in_chunks(lambda indices: look(dataset.decode(chosen(indices))), len(order))

  def examples(images: Array) -> Seen:
    """Features and classes of a sample of the examples, whatever the order in which they are stored."""
    size = images.shape[0]
    return seen(images, scattered(jnp.arange(min(size, reference)), size))

  real = examples(dataset.judged.images)
  taught = real if dataset.reference is None else examples(dataset.data.images)
  gaussian = jax.device_get(frechet.fit(real.features))
  counts = np.asarray(real.members.sum(axis=0))
  own_within = variety.resolved(float(variety.within(*real)), real.features)

  neighbours = variety.neighbours(real.features)

  @functools.lru_cache
  def own_to_real() -> float:
    same = dataset.reference is None
    found = jax.jit(variety.nearest, static_argnums=2)(real.features, taught.features, same)
    return float(np.median(np.asarray(found)))

  def measure(draw: Callable[[Array], Array], count: int, near: bool) -> Statistics:
    found = in_chunks(lambda indices: look(draw(indices)), count)
    share = found.members.mean(axis=0)
    some = found.features[: min(variety.SAMPLES, len(real.features))]
    return Statistics(
      frechet.fit(found.features),
      share,
      *shares.presence(share, counts, count),
      shares.divergence(share, counts),
      variety.within(*found),
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

  notes = {"classifier_accuracy": trained.accuracy, "classifier_cached": trained.cached}
  return Quality(measure, finish, explanations(trained, counts, len(real.features)), notes)


def by_class(found: Statistics) -> dict[str, np.ndarray]:
  """The columns about classes, of statistics with a leading axis [P]."""
  return {
    "classes/present": found.present,
    "classes/in_data": found.in_data,
    "classes/entropy": -(found.share * np.log(np.where(found.share > 0, found.share, 1.0))).sum(-1),
    "classes/divergence": found.divergence,
    **{f"classes/share_{k}": found.share[:, k] for k in range(found.share.shape[-1])},
  }


def see(trained: classifier.Classifier, classes: int, images: Array) -> Seen:
  """Features of images [B, H, W, C], and their classes; a single class where the data have one."""
  outputs = classes if trained.by_class else classifier.FLIPS
  features, logits = classifier.apply(trained.params, images, outputs)
  return Seen(features, jax.nn.one_hot(logits.argmax(-1) if trained.by_class else jnp.zeros(len(images), int), classes))


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
    "classes/present": "classes predicted for at least a tenth as large a share of the samples as of the data",
    "classes/in_data": f"classes of the data of which as many samples are expected to contain {shares.EXPECTED} or more",
    "classes/entropy": f"entropy of the class histogram in nats; the data's own: {entropy:.3f}",
    "classes/divergence": "KL divergence of the samples' class histogram from the data's, in nats; 0: the data's own shares",
    **{
      f"classes/share_{k}": f"share of samples classified as class {k}; the data's: {x:.3f}"
      for k, x in enumerate(share)
    },
  }
