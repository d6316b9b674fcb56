"""Sample quality: what is measured on generated examples, chosen by the kind of data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data import Dataset
from gan_jax.metrics import classifier, frechet, line, modes

CHUNK = 250  # samples through the networks at once: bounds the memory of a population


class Quality(NamedTuple):
  """A measurement bound to one dataset."""

  # On the device, for one generator: (draw: indices [B] -> samples [B, ...], how many samples) -> small statistics
  measure: Callable[[Callable[[Array], Array], int], Any]
  finish: Callable[[Any], dict[str, np.ndarray]]  # on the host: statistics with a leading axis [P] -> metrics [P]
  explanations: dict[str, str]
  notes: dict[str, Any]  # facts for the report


def in_chunks(function: Callable[[Array], Any], count: int) -> Any:
  """function(indices [CHUNK]) for all indices below `count`, results joined; the overhang is cut off."""
  chunks = -(-count // CHUNK)
  stacked = jax.lax.map(function, jnp.arange(chunks * CHUNK).reshape(chunks, CHUNK))
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], stacked)


def mixture_quality(dataset: Dataset) -> Quality:
  assert dataset.modes is not None
  assert dataset.std is not None
  centres, std = jnp.asarray(dataset.modes), dataset.std
  return Quality(
    measure=lambda draw, count: modes.mode_metrics(in_chunks(draw, count), centres, std),
    finish=lambda metrics: metrics,
    explanations=modes.EXPLANATIONS,
    notes={"modes": len(centres), "mode_std": float(std)},
  )


def line_quality(dataset: Dataset) -> Quality:
  assert dataset.line is not None
  where = dataset.line
  return Quality(
    measure=lambda draw, count: line.line_metrics(in_chunks(draw, count), where),
    finish=lambda metrics: metrics,
    explanations=line.EXPLANATIONS,
    notes={},
  )


def image_quality(dataset: Dataset, cache: Path) -> Quality:
  """Frechet distance and class histogram by a small classifier of the same data."""
  trained = classifier.load_or_train(dataset, cache)
  size, classes = dataset.data.images.shape[0], dataset.num_classes
  reference_size = min(size, 10_000)

  @jax.jit
  def reference() -> frechet.Gaussian:
    def features(indices):
      # The overhang of the last chunk is cut off again; until then it must index something.
      images = dataset.decode(dataset.data.images[jnp.minimum(indices, size - 1)])
      return classifier.apply(trained.params, images, classes)[0]

    return frechet.fit(in_chunks(features, reference_size))

  real = jax.device_get(reference())

  def measure(draw: Callable[[Array], Array], count: int) -> tuple[frechet.Gaussian, Array]:
    features, logits = in_chunks(lambda i: classifier.apply(trained.params, draw(i), classes), count)
    return frechet.fit(features), jax.nn.one_hot(logits.argmax(-1), classes).mean(axis=0)

  def finish(statistics: tuple[frechet.Gaussian, np.ndarray]) -> dict[str, np.ndarray]:
    generated, share = statistics
    return {
      "frechet/distance": frechet.frechet_distance(generated, real),
      "classes/present": (share >= 0.1 / classes).sum(-1),
      "classes/entropy": -(share * np.log(np.where(share > 0, share, 1.0))).sum(-1),
      **{f"classes/share_{k}": share[:, k] for k in range(classes)},
    }

  return Quality(
    measure,
    finish,
    {
      "frechet/distance": f"Frechet distance to {reference_size:,} real examples in the {classifier.FEATURES} features of a "
      f"small classifier of this data ({trained.accuracy:.1%} accurate on held-out examples); it is not FID",
      "classes/present": f"classes (of {classes}) that have at least a tenth of an even share of the samples, by its eye",
      "classes/entropy": f"entropy of the class histogram in nats; even classes: {np.log(classes):.3f}",
      **{f"classes/share_{k}": f"share of samples classified as class {k}" for k in range(classes)},
    },
    {"classifier_accuracy": trained.accuracy, "classifier_cached": trained.cached},
  )


def build(dataset: Dataset, cache: Path) -> Quality:
  """The measurement for a dataset; `cache` is where trained classifiers are kept."""
  if dataset.line is not None:
    return line_quality(dataset)
  return mixture_quality(dataset) if dataset.kind == "points" else image_quality(dataset, cache)
