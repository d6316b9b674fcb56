"""The registry of metrics: what a measurement of sample quality is, and how several become one.

A metric is one function `(dataset, cache, *, options) -> Quality`, decorated with what keeps it from a dataset; `cache` is
where trained classifiers are kept. A config's `metrics` joins several by `+`, or is `auto`: the first that suits the data.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
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


class Quality(NamedTuple):
  """A measurement bound to one dataset."""

  # On the device, for one generator: (draw: indices [B] -> samples [B, ...], how many samples, whether to search for
  # nearest neighbours too) -> small statistics
  measure: Callable[[Callable[[Array], Array], int, bool], Any]
  finish: Callable[[Any], dict[str, np.ndarray]]  # on the host: statistics with a leading axis [P] -> metrics [P]
  explanations: dict[str, str]
  notes: dict[str, Any]  # facts for the report


# Metrics that need a search for nearest neighbours, about half the cost of an evaluation.
OF_NEIGHBOURS = ("samples/duplicates", "samples/nearest_real")


class Facts(NamedTuple):
  """Which data a metric is for."""

  kind: Callable[[Dataset], bool]  # whether `auto` takes it
  missing: Callable[[Dataset], str]  # what keeps it from a dataset, as "expected ..., got ..."; "": nothing


METRICS = Registry("metric", ("dataset", "cache"))


def register(
  name: str, kind: Callable[[Dataset], bool], missing: Callable[[Dataset], str] = lambda dataset: ""
) -> Callable[[Builder], Builder]:
  """Decorator: enter a metric; see `Facts`."""
  return METRICS.register(name, Facts(kind, missing))


def names(text: str) -> tuple[str, ...]:
  """'auto' -> (); 'images + mine' -> those. Raises `BadInput` for an unknown or a repeated name."""
  if text == "auto":
    return ()
  found = tuple(part.strip() for part in text.split("+"))
  if len(set(found)) < len(found):
    raise BadInput(f"metrics expected 'auto', or different names joined by '+', got {text!r}")
  return tuple(METRICS.get(name).name for name in found)


def chosen(name: str, dataset: Dataset, text: str) -> tuple[str, ...]:
  """The metrics of a dataset, whose name is `name` in messages. Raises `BadInput` for one that does not suit it."""
  found = names(text) or tuple(n for n, entry in METRICS.items() if entry.facts and entry.facts.kind(dataset))[:1]
  if not found:
    raise BadInput(
      f"dataset {name!r} of points expected `modes` and `std`, or `line`, to judge samples by; got neither"
    )
  for metric in found:
    facts = METRICS[metric].facts
    wrong = facts.missing(dataset) if facts else ""
    if wrong:
      raise BadInput(f"dataset {name!r} {wrong}")
  return found


def build(
  dataset: Dataset, cache: Path, text: str = "auto", options: Mapping[str, Mapping[str, Any]] | None = None
) -> Quality:
  """The measurement of a dataset by a config's `metrics`, `options` of each by its name.

  Raises `BadInput` as `chosen` does, and for an unknown option.
  """
  given = options or {}
  entries = [METRICS[name] for name in chosen("given", dataset, text)]
  return together([e(dataset, cache, **e.complete(given.get(e.name, {}))) for e in entries])


def together(parts: list[Quality]) -> Quality:
  """Several measurements as one. A column that two of them have is the later one's."""
  if len(parts) == 1:
    return parts[0]

  def measure(draw: Callable[[Array], Array], count: int, near: bool) -> tuple[Any, ...]:
    return tuple(part.measure(draw, count, near) for part in parts)

  def finish(found: tuple[Any, ...]) -> dict[str, np.ndarray]:
    each = [part.finish(one) for part, one in zip(parts, found, strict=True)]
    return {name: column for columns in each for name, column in columns.items()}

  explained = {name: text for part in parts for name, text in part.explanations.items()}
  return Quality(measure, finish, explained, {name: fact for part in parts for name, fact in part.notes.items()})


def of_samples(function: Callable[..., dict[str, Array]], name: str) -> Callable[..., Quality]:
  """The metric of a function (samples [N, ...], dataset, *, options) -> {column: number}.

  All samples are in memory at once. The first line of its docstring says what its columns are.
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
    return Quality(measure, lambda columns: columns, dict.fromkeys(found, meaning), {})

  signature = inspect.signature(function)
  own = [p for p in signature.parameters.values() if p.name not in ("samples", "dataset")]
  first = [inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in METRICS.protocol]
  build.__signature__ = signature.replace(parameters=[*first, *own])  # type: ignore[attr-defined]
  return build
