"""Registers the functions of user code that configs name, such as `my_models.py:small_resnet`.

A function takes the arguments below by name, and only those that it needs. Every further parameter must have a default
and is an option, as for gan_jax's own entries:

    model      (image_shape, num_classes, latent_size, conditional) -> (generator, discriminator), two `Player`s
    dataset    () -> a `data.Dataset`, or arrays: images, or (images, labels); see `data.arrays`
    loss       () -> a `losses.Loss`
    penalty    one of the signatures in `penalties.registry.KINDS`: the names of its parameters determine its kind
    optimizer  (rate) -> optax.GradientTransformation
    metrics    (dataset, cache) -> metrics.Quality, or (samples, dataset) -> {name: number}
    probes     (trace) -> {name: number}
    others     the protocol of their registry

A function that is decorated like gan_jax's own (`@of_critic(weight=1.0)`) is registered as its decorator says.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gan_jax import data, losses, metrics, models, penalties, probes
from gan_jax.core.errors import BadInput, blamed
from gan_jax.core.registry import Entry, Registry
from gan_jax.core.types import Loss
from gan_jax.game.optimizers import OPTIMIZERS
from gan_jax.game.registries import REGISTRIES
from gan_jax.losses.registry import CARDS, LOSSES
from gan_jax.models.players.trial import check_pair
from gan_jax.penalties.registry import KINDS
from gan_jax.penalties.registry import Facts as PenaltyFacts
from gan_jax.settings import outside

_decorated: dict[Callable[..., Any], Entry] = {}  # entries that user files registered by decorators when they were run


def enter(configs: Iterable[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
  """Registers the user code that the configs name; returns the configs with its digests. `folder`: the config file's.

  Raises:
    BadInput: as `settings.outside` raises, or a function that does not fit its field.
  """
  stamped = [outside.stamped(config, folder) for config in configs]
  asked = dict.fromkeys(pair for config in stamped for pair in outside.named(config))
  for field, reference in asked:
    registry = REGISTRIES["loss" if field == "lens" else field]
    function = _loaded(reference, folder)
    if (
      reference in registry and getattr(registry[reference].builder, "outside", registry[reference].builder) is function
    ):
      continue
    registry.pop(reference, None)  # the entry of an earlier version of the file
    if function in _decorated:
      _adopt(registry, reference, _decorated[function])
    else:
      ENTER.get(registry.kind, _plain)(registry, reference, function)
  return stamped


def _loaded(reference: str, folder: Path) -> Callable[..., Any]:
  """The function. Entries that its file registers by decorators are moved from the registries to `_decorated`."""
  registries = {id(registry): registry for registry in REGISTRIES.values()}.values()
  before = [dict(registry) for registry in registries]
  try:
    return outside.function(reference, folder)
  finally:
    for registry, known in zip(registries, before, strict=True):
      for name in [name for name in registry if name not in known]:
        entry = registry.pop(name)
        CARDS.pop(name, None) if registry is LOSSES else None
        _decorated[entry.builder] = entry


def _adopt(registry: Registry, reference: str, entry: Entry) -> None:
  if entry.kind != registry.kind:
    raise BadInput(
      f"{registry.kind} {reference!r} expected a {registry.kind}, got a function decorated as a {entry.kind}"
    )
  registry[reference] = entry._replace(name=reference)
  if registry is LOSSES and entry.facts is not None:
    CARDS[reference] = entry.facts
  if registry is probes.GROUPS:
    probes.EXPLANATIONS[reference] = dict(entry.facts.explanations)


def by_name(function: Callable[..., Any], protocol: tuple[str, ...]) -> Callable[..., Any]:
  """A builder that accepts the whole protocol and passes to `function`, by name, the arguments that it takes."""
  signature = inspect.signature(function)
  taken = [name for name in protocol if name in signature.parameters]
  options = [p.replace(kind=p.KEYWORD_ONLY) for p in signature.parameters.values() if p.name not in protocol]
  first = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in protocol]

  @functools.wraps(function)
  def builder(*given: Any, **chosen: Any) -> Any:
    known = dict(zip(protocol, given, strict=True))
    return function(**{name: known[name] for name in taken}, **chosen)

  builder.outside = function  # type: ignore[attr-defined]
  builder.__signature__ = signature.replace(parameters=[*first, *options])  # type: ignore[attr-defined]
  return builder


def _finished(builder: Callable[..., Any], finish: Callable[..., Any]) -> Callable[..., Any]:
  """The builder followed by `finish(result, *protocol)`."""

  @functools.wraps(builder)
  def finished(*given: Any, **chosen: Any) -> Any:
    return finish(builder(*given, **chosen), *given)

  return finished


def _plain(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  registry.enter(reference, by_name(function, registry.protocol))


def _model(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  own = by_name(function, registry.protocol)

  @functools.wraps(own)
  def build(image_shape: tuple[int, ...], num_classes: int, latent_size: int, conditional: bool, **options: Any) -> Any:
    with blamed(f"model {reference!r} cannot be built for examples of shape {list(image_shape)}"):
      made = own(image_shape, num_classes, latent_size, conditional, **options)
    return check_pair(made, reference, image_shape, latent_size)

  registry.enter(reference, build)


def _dataset(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  own = by_name(function, registry.protocol)

  @functools.wraps(own)
  def load(**options: Any) -> data.Dataset:
    with blamed(f"dataset {reference!r} cannot be loaded"):
      return data.arrays.as_dataset(own(**options), reference)

  registry.enter(reference, load)


def _loss(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  own = by_name(function, registry.protocol)

  @functools.wraps(own)
  def build(**options: Any) -> Loss:
    with blamed(f"loss {reference!r} cannot be made"):
      made = own(**options)
    if not isinstance(made, Loss):
      raise BadInput(f"loss {reference!r} expected to return a Loss, got {type(made).__name__}")
    return losses.halves(made.discriminator, made.generator)

  registry.enter(reference, build)


def _optimizer(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  own = by_name(function, registry.protocol)

  @functools.wraps(own)
  def build(*given: Any, **options: Any) -> Any:
    with blamed(f"optimizer {reference!r} cannot be made"):
      made = own(*given, **options)
    if not all(callable(getattr(made, name, None)) for name in ("init", "update")):
      raise BadInput(
        f"optimizer {reference!r} expected to return an optax.GradientTransformation, got {type(made).__name__}"
      )
    return made

  registry.enter(reference, build)


def _penalty(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  names = tuple(inspect.signature(function).parameters)
  kind = next((kind for kind, protocol in KINDS.items() if names[: len(protocol)] == protocol), None)
  if kind is None:
    forms = " or ".join(f"({', '.join(protocol)})" for protocol in KINDS.values())
    raise BadInput(
      f"penalty {reference!r} expected a function of {forms}, and of options, got one of ({', '.join(names)})"
    )
  registry.enter(reference, function, PenaltyFacts(kind, None), KINDS[kind])


def _metric(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  if "samples" not in inspect.signature(function).parameters:
    return _plain(registry, reference, function)
  own = by_name(function, ("samples", "dataset"))
  build, facts = metrics.of_samples(own, reference)
  build.outside = function  # type: ignore[attr-defined]
  registry.enter(reference, build, facts)
  return None


def _probe(registry: Registry, reference: str, function: Callable[..., Any]) -> None:
  raise BadInput(
    f"probe {reference!r} expected a function decorated with gan_jax.probes.probe({{column: meaning}}, group=name), which "
    "says what its columns mean, got one without"
  )


ENTER: dict[str, Callable[[Registry, str, Callable[..., Any]], None]] = {
  models.MODELS.kind: _model,
  data.DATASETS.kind: _dataset,
  LOSSES.kind: _loss,
  OPTIMIZERS.kind: _optimizer,
  penalties.PENALTIES.kind: _penalty,
  metrics.METRICS.kind: _metric,
  probes.GROUPS.kind: _probe,
}
