"""Metrics of sample quality, by name; `auto` chooses one by the kind of data.

Of images: `images` (what `auto` chooses: distance, classes, spread, copies, in the features of a small classifier of the
data), `kid`, `frechet` (FID in Inception's features), `prdc` (precision, recall, density, coverage), `memorisation`,
`inception_score`, `stacked_modes`. Of points: `mixture`, `line`. A config joins several, and each has options:

    --config.metrics=images+kid --config.metric_options.kid.features=lite0

Features are those of `classifier` (a small network trained on the data themselves), of `lite0` (EfficientNet-Lite0, in the
extra `features`), or of `inception` (weights from a file: `metric_options.kid.features=inception` and
`metric_options.kid.weights=PATH`). A column is named by its features: `lite0/kid`. A metric that is not asked for costs
nothing, and several of one network share its features.
"""

from collections.abc import Mapping
from typing import Any

from gan_jax.core.registry import import_modules
from gan_jax.data import Dataset
from gan_jax.metrics.registry import (
  METRICS,
  OF_NEIGHBOURS,
  Quality,
  build,
  chosen,
  enough,
  names,
  of_samples,
  ranks,
  ready,
  register,
)

__all__ = [
  "METRICS",
  "OF_NEIGHBOURS",
  "Quality",
  "build",
  "check",
  "chosen",
  "enough",
  "names",
  "of_samples",
  "ranks",
  "ready",
  "register",
]

import_modules(__name__, __path__)  # every file registers its metrics


def check(
  name: str,
  dataset: Dataset,
  text: str = "auto",
  options: Mapping[str, Mapping[str, Any]] | None = None,
  samples: int | None = None,
) -> None:
  """Checks that these metrics can be computed for a dataset; called before anything is written.

  Args:
    name: the dataset, in messages.
    dataset: the dataset.
    text: a config's `metrics`.
    options: a config's `metric_options`.
    samples: a config's `evaluation_samples`; None: not checked.

  Raises:
    BadInput: too few images for the Frechet distance, points without known modes or line, a metric that does not
      suit the data, or one that needs more samples.
  """
  found = chosen(name, dataset, text)
  if samples is not None:
    enough(found, options or {}, samples)
