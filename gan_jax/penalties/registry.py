"""The registry of penalties: the kinds of penalties, and their lookup by name.

A penalty is one function, registered by the decorator of its kind. A kind is a signature:

    kind         signature                                what it is a function of
    critic       (critic, real, fake, key) -> [B]         the critic, images -> logits
    logits       (real_logits, fake_logits, means) -> [B] the logits; its slopes are added to the loss's, at no cost
    consistency  (critic, images: Moved) -> [B]           the logits of an example and of its transformed copy
    parameters   (params) -> scalar                       the weights of either player
    generator    (generate, noise, key) -> [B]            the generator, noise -> images

The step takes the mean over the batch and multiplies it by the penalty's weight. A config joins several by `+`. The
decorator states the weight of the penalty's paper, which is used if a config gives none.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Entry, Registry

Function = TypeVar("Function", bound=Callable[..., Any])


class Moved(NamedTuple):
  """Examples and their transformed copies, all [B, ...]."""

  real: Array
  fake: Array
  real_augmented: Array  # T(x)
  fake_augmented: Array  # T(G(z))
  shifted: Callable[[ArrayLike], Array]  # s -> G(z + s e): the generator's images of perturbed noise


KINDS = {  # arguments of the penalties of each kind
  "critic": ("critic", "real", "fake", "key"),
  "logits": ("real_logits", "fake_logits", "means"),
  "consistency": ("critic", "images"),
  "parameters": ("params",),
  "generator": ("generate", "noise", "key"),
}


class Facts(NamedTuple):
  """Facts about a registered penalty."""

  kind: str  # one of KINDS
  default_weight: float | None  # of its paper, in this function's convention; None: no paper states one
  augments: bool = False  # it uses augmented examples, so it needs an augmentation


class Penalty(NamedTuple):
  """A penalty named in a run's config, with its static options bound."""

  name: str
  kind: str
  function: Callable[..., Any]
  default_weight: float | None
  augments: bool = False


PENALTIES = Registry("penalty", (), traced="may")
PENALTIES.also = ("none",)
GENERATOR_KINDS = ("parameters", "generator")  # for the generator; the discriminator accepts all but the last


def suits_discriminator(entry: Entry) -> bool:
  return entry.facts.kind != "generator"


def suits_generator(entry: Entry) -> bool:
  return entry.facts.kind in GENERATOR_KINDS


def _register(kind: str, weight: float | None, augments: bool = False) -> Callable[[Function], Function]:
  def enter(function: Function) -> Function:
    PENALTIES.enter(function.__name__, function, Facts(kind, weight, augments), KINDS[kind])
    return function

  return enter


def of_critic(weight: float | None) -> Callable[[Function], Function]:
  return _register("critic", weight)


def of_logits(weight: float | None) -> Callable[[Function], Function]:
  return _register("logits", weight)


def of_consistency(weight: float | None, augments: bool = False) -> Callable[[Function], Function]:
  return _register("consistency", weight, augments)


def of_parameters(weight: float | None) -> Callable[[Function], Function]:
  return _register("parameters", weight)


def of_generator(weight: float | None) -> Callable[[Function], Function]:
  return _register("generator", weight)


def weight(name: str, given: float | None, field: str = "penalty_weight") -> float:
  """`given`, or if that is None the weight of the penalty's paper. Raises `BadInput` if there is none."""
  default = get(name).default_weight
  if given is None and default is None:
    raise BadInput(f"penalty {name!r} has no published weight to take: expected {field}, a number above 0, got none")
  return float(given if given is not None else default)  # type: ignore[arg-type]


def names(text: str) -> tuple[str, ...]:
  """'r1 + lecam' -> ('r1', 'lecam'); 'none' -> (). Raises `BadInput` for an empty or a repeated name."""
  found = tuple(part.strip() for part in text.split("+"))
  if found == ("none",):
    return ()
  if "none" in found or "" in found or len(set(found)) < len(found):
    raise BadInput(f"penalty expected 'none', or different names joined by '+', got {text!r}")
  return found


def get(name: str, **options: Any) -> Penalty:
  """The penalty of that name, with these options bound. Raises `BadInput` for an unknown name or option."""
  entry = PENALTIES.get(name)
  entry.complete(options)
  function = functools.partial(entry.builder, **options) if options else entry.builder
  return Penalty(name, entry.facts.kind, function, entry.facts.default_weight, entry.facts.augments)


def of_discriminator(text: str, options: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Penalty, ...]:
  """The penalties in a config's `penalty`; `options` is a dict of options for each name.

  Raises `BadInput` for an unknown name or option, or a penalty that is for the generator only.
  """
  return _chosen(text, "discriminator", suits_discriminator, options or {})


def of_the_generator(text: str, options: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Penalty, ...]:
  """The penalties in a config's `generator_penalty`. Raises `BadInput` for others."""
  return _chosen(text, "generator", suits_generator, options or {})


def _chosen(
  text: str, player: str, suits: Callable[[Entry], bool], options: Mapping[str, Mapping[str, Any]]
) -> tuple[Penalty, ...]:
  found = [PENALTIES.get(name) for name in names(text)]
  strangers = [entry.name for entry in found if not suits(entry)]
  if strangers:
    choices = ", ".join(["none", *(name for name, entry in PENALTIES.items() if suits(entry))])
    raise BadInput(f"penalty {strangers[0]!r} is not one of the {player}'s; known: {choices}")
  return tuple(get(entry.name, **options.get(entry.name, {})) for entry in found)
