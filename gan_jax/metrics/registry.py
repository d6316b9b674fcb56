"""The registry of metrics of sample quality, and the combination of several.

A metric is a function `(dataset, cache, *, options) -> Quality`, registered with the conditions that a dataset must
meet; `cache` is the folder of trained classifiers. A config's `metrics` joins several by `+`, or is `auto`: the first
metric that suits the data.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput, blamed, shown
from gan_jax.core.registry import Builder, Registry
from gan_jax.data import Dataset
from gan_jax.metrics.chunks import in_chunks
from gan_jax.metrics.networks import Network, Seen, look


class Quality(NamedTuple):
  """A metric bound to one dataset. A metric of a network's features is made by `of_features`."""

  # On the device, for one generator: (draw: indices [B] -> samples [B, ...], number of samples, whether to search for
  # nearest neighbours) -> small statistics
  measure: Callable[[Callable[[Array], Array], int, bool], Any]
  finish: Callable[[Any], dict[str, np.ndarray]]  # on the host: statistics with a leading axis [P] -> metrics [P]
  explanations: dict[str, str]
  notes: dict[str, Any]  # facts for the report
  network: Network | None = None  # in whose features samples are compared; None: in none
  judge: Callable[[Seen, bool], Any] | None = None  # what `measure` makes of the features: (seen, near) -> statistics
  neighbours: bool = True  # whether `measure` depends on its last argument: if not, one program measures all generators


# Metrics that need a search for nearest neighbours, about half the cost of an evaluation.
OF_NEIGHBOURS = ("samples/duplicates", "samples/nearest_real")


class Facts(NamedTuple):
  """Which data a metric is for."""

  kind: Callable[[Dataset], bool]  # whether `auto` chooses it
  missing: Callable[[Dataset], str]  # why it cannot measure a dataset, as "expected ..., got ..."; "": it can
  least: Callable[[Mapping[str, Any]], int]  # fewest samples that it can be computed of, by its options
  # (dataset, options): raises `BadInput` where it cannot be built; nothing is trained or written to find out
  ready: Callable[[Dataset, Mapping[str, Any]], object]
  # (dataset, options) -> the columns by which the report can rank runs; None: not known before it is built
  ranks: Callable[[Dataset, Mapping[str, Any]], tuple[str, ...]] | None


MEANINGS = {  # what metrics are called elsewhere
  "fid": "frechet with metric_options.frechet.features=inception",
  "is": "inception_score",
  **dict.fromkeys(("precision", "recall", "precision_recall", "density", "coverage"), "prdc"),
}
METRICS = Registry("metric", ("dataset", "cache"), meanings=MEANINGS)


def register(
  name: str,
  kind: Callable[[Dataset], bool],
  missing: Callable[[Dataset], str] = lambda dataset: "",
  least: Callable[[Mapping[str, Any]], int] = lambda options: 1,
  ready: Callable[[Dataset, Mapping[str, Any]], object] = lambda dataset, options: None,
  ranks: Callable[[Dataset, Mapping[str, Any]], tuple[str, ...]] | None = None,
) -> Callable[[Builder], Builder]:
  """Decorator: register a metric; see `Facts`."""
  return METRICS.register(name, Facts(kind, missing, least, ready, ranks))


def names(text: str) -> tuple[str, ...]:
  """'auto' -> (); 'images + mine' -> those. Raises `BadInput` for an unknown or a repeated name."""
  if text == "auto":
    return ()
  found = tuple(part.strip() for part in text.split("+"))
  if len(set(found)) < len(found):
    raise BadInput(f"metrics expected 'auto', or different names joined by '+', got {text!r}")
  return tuple(METRICS.get(name).name for name in found)


def chosen(name: str, dataset: Dataset, text: str) -> tuple[str, ...]:
  """The metrics for a dataset, which messages call `name`. Raises `BadInput` for a metric that does not suit it."""
  found = names(text) or tuple(n for n, entry in METRICS.items() if entry.facts and entry.facts.kind(dataset))[:1]
  if not found:
    raise BadInput(
      f"dataset {name!r} of points expected `modes` and `std`, or `line`, to compare samples with; got neither"
    )
  for metric in found:
    facts = METRICS[metric].facts
    wrong = facts.missing(dataset) if facts else ""
    if wrong:
      raise BadInput(f"dataset {name!r} {wrong}")
  return found


def ready(dataset: Dataset, text: str, options: Mapping[str, Mapping[str, Any]]) -> None:
  """Raises `BadInput` where a metric of a config cannot be built, as far as that is known without training anything."""
  for entry in (METRICS[name] for name in chosen("given", dataset, text)):
    if entry.facts:
      entry.facts.ready(dataset, entry.complete(options.get(entry.name, {})))


def ranks(dataset: Dataset, text: str, options: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...] | None:
  """The columns of a config's metrics by which the report can rank runs; None: not known before they are built."""
  found: list[str] = []
  for entry in (METRICS[name] for name in chosen("given", dataset, text)):
    if entry.facts is None or entry.facts.ranks is None:
      return None
    found += entry.facts.ranks(dataset, entry.complete(options.get(entry.name, {})))
  return tuple(found)


def build(
  dataset: Dataset, cache: Path, text: str = "auto", options: Mapping[str, Mapping[str, Any]] | None = None
) -> Quality:
  """The metrics of a config, bound to a dataset; `options` is a dict of options for each name.

  Raises `BadInput` as `chosen` does, and for an unknown option.
  """
  given = options or {}
  entries = [METRICS[name] for name in chosen("given", dataset, text)]
  return together([e(dataset, cache, **e.complete(given.get(e.name, {}))) for e in entries])


def together(parts: list[Quality]) -> Quality:
  """Several metrics as one; those of one network share its features.

  If two have a column of the same name, the later one's is kept.
  """
  if len(parts) == 1:
    return parts[0]

  def measure(draw: Callable[[Array], Array], count: int, near: bool) -> tuple[Any, ...]:
    seen = look([part.network for part in parts if part.network], draw, count)
    return tuple(
      part.judge(seen[part.network.key], near) if part.network and part.judge else part.measure(draw, count, near)
      for part in parts
    )

  def finish(found: tuple[Any, ...]) -> dict[str, np.ndarray]:
    each = [part.finish(one) for part, one in zip(parts, found, strict=True)]
    return {name: column for columns in each for name, column in columns.items()}

  explained = {name: text for part in parts for name, text in part.explanations.items()}
  notes = {name: fact for part in parts for name, fact in part.notes.items()}
  return Quality(measure, finish, explained, notes, neighbours=any(part.neighbours for part in parts))


def of_features(
  network: Network,
  judge: Callable[[Seen, bool], Any],
  finish: Callable[[Any], dict[str, np.ndarray]],
  explanations: dict[str, str],
  notes: dict[str, Any],
  neighbours: bool = False,
) -> Quality:
  """A metric of what a network makes of the samples; see `Quality`."""

  def measure(draw: Callable[[Array], Array], count: int, near: bool) -> Any:
    return judge(look([network], draw, count)[network.key], near)

  return Quality(measure, finish, explanations, notes, network, judge, neighbours)


def enough(metrics: Iterable[str], options: Mapping[str, Mapping[str, Any]], samples: int) -> None:
  """Raises `BadInput` where `samples` are fewer than one of these metrics needs with its options."""
  for entry in (METRICS[name] for name in metrics):
    least = entry.facts.least(entry.complete(options.get(entry.name, {}))) if entry.facts else 1
    if samples < least:
      raise BadInput(
        f"config field 'evaluation_samples' expected at least {least:,}, for metric {entry.name!r} with these options, got "
        f"{samples:,}{'; metric kid can be computed of any number' if entry.name == 'frechet' else ''}"
      )


def of_samples(function: Callable[..., dict[str, Array]], name: str) -> tuple[Callable[..., Quality], Facts]:
  """(builder, facts) of a metric from a function (samples [N, ...], dataset, *, options) -> {column: number}.

  All samples are in memory at once. The first line of the function's docstring explains its columns in the report.
  """

  @functools.wraps(function)
  def build(dataset: Dataset, cache: Path, **options: Any) -> Quality:
    def measure(draw: Callable[[Array], Array], count: int, near: bool) -> dict[str, Array]:
      return {
        column: jnp.asarray(value, jnp.float32)
        for column, value in function(in_chunks(draw, count), dataset, **options).items()
      }

    trial = jax.ShapeDtypeStruct((4, *dataset.image_shape), jnp.float32)
    with blamed(f"metric {name!r} cannot be measured"):
      found = jax.eval_shape(lambda samples: function(samples, dataset, **options), trial)
    if not isinstance(found, dict) or any(value.shape != () for value in found.values()):
      raise BadInput(f"metric {name!r} expected to return {{column: number}}, got {shown(found)}")
    meaning = (inspect.getdoc(function) or name).split("\n")[0]
    return Quality(measure, lambda columns: columns, dict.fromkeys(found, meaning), {}, neighbours=False)

  signature = inspect.signature(function)
  own = [p for p in signature.parameters.values() if p.name not in ("samples", "dataset")]
  first = [inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in METRICS.protocol]
  build.__signature__ = signature.replace(parameters=[*first, *own])  # type: ignore[attr-defined]
  tried = lambda dataset, options: build(dataset, Path(), **options)  # noqa: E731
  columns = lambda dataset, options: tuple(tried(dataset, options).explanations)  # noqa: E731
  return build, Facts(lambda dataset: False, lambda dataset: "", lambda options: 1, tried, columns)
