"""The registry of penalties: what each kind of penalty is a function of.

A kind is a signature, and a penalty is one function decorated by its kind:

    critic       (critic, real, fake, key) -> [B]         functions of the critic, images -> logits
    logits       (real_logits, fake_logits, means) -> [B] functions of the logits; their slopes join the loss's, for free
    consistency  (critic, images: Moved) -> [B]           what the critic says of an example and of its transformed copy
    parameters   (params) -> scalar                       functions of the weights, of either player
    generator    (generate, noise, key) -> [B]            functions of the generator, noise -> images

The step takes the mean over the batch and multiplies it by the penalty's weight; several are joined by `+` in the config.
Its decorator has the weight that the penalty's source trained with, which a config gets that gives none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from gan_jax.core.errors import BadInput, unknown
from gan_jax.core.types import Critic, Key, LogitMeans, Params

OfCritic = Callable[[Critic, Array, Array, Key], Array]
OfParameters = Callable[[Params], Array]
OfGenerator = Callable[[Callable[[Array], Array], Array, Key], Array]


class Moved(NamedTuple):
  """Examples and their transformed copies, all [B, ...]."""

  real: Array
  fake: Array
  real_augmented: Array  # T(x)
  fake_augmented: Array  # T(G(z))
  fake_shifted: Array  # G(z + s e): the generator's image of noise nearby


OfLogits = Callable[[Array, Array, LogitMeans], Array]
OfConsistency = Callable[[Critic, Moved], Array]


class Penalty(NamedTuple):
  name: str
  kind: str
  function: Callable[..., Any]
  default_weight: float | None  # of its source, in this function's convention; None: no source has one


PENALTIES: dict[str, Penalty] = {}
GENERATOR_KINDS = ("parameters", "generator")  # what the generator may be given; the discriminator, all but the last


def _register(kind: str, weight: float | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
  def enter(function: Callable[..., Any]) -> Callable[..., Any]:
    name = function.__name__
    if name in PENALTIES:
      raise ValueError(f"the penalty {name!r} is registered twice")
    PENALTIES[name] = Penalty(name, kind, function, weight)
    return function

  return enter


def of_critic(weight: float | None) -> Callable[[OfCritic], OfCritic]:
  return _register("critic", weight)


def of_logits(weight: float | None) -> Callable[[OfLogits], OfLogits]:
  return _register("logits", weight)


def of_consistency(weight: float | None) -> Callable[[OfConsistency], OfConsistency]:
  return _register("consistency", weight)


def of_parameters(weight: float | None) -> Callable[[OfParameters], OfParameters]:
  return _register("parameters", weight)


def of_generator(weight: float | None) -> Callable[[OfGenerator], OfGenerator]:
  return _register("generator", weight)


def weight(name: str, given: float | None, field: str = "penalty_weight") -> float:
  """`given`, or where that is None the weight of the penalty's source. Raises `BadInput` where its source has none."""
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


def get(name: str) -> Penalty:
  """The penalty of that name. Raises `BadInput` for an unknown one."""
  if name not in PENALTIES:
    raise unknown("penalty", name, ["none", *PENALTIES])
  return PENALTIES[name]


def of_discriminator(text: str) -> tuple[Penalty, ...]:
  """The penalties of a config's `penalty`. Raises `BadInput` for what is unknown or the generator's."""
  found = tuple(get(name) for name in names(text))
  _refuse([p for p in found if p.kind == "generator"], "discriminator", lambda p: p.kind != "generator")
  return found


def of_the_generator(text: str) -> tuple[Penalty, ...]:
  """The penalties of a config's `generator_penalty`. Raises `BadInput` for what is unknown or the discriminator's."""
  found = tuple(get(name) for name in names(text))
  _refuse([p for p in found if p.kind not in GENERATOR_KINDS], "generator", lambda p: p.kind in GENERATOR_KINDS)
  return found


def _refuse(strangers: list[Penalty], player: str, fits: Callable[[Penalty], bool]) -> None:
  if strangers:
    choices = ", ".join(["none", *(p.name for p in PENALTIES.values() if fits(p))])
    raise BadInput(f"penalty {strangers[0].name!r} is not one of the {player}'s; known: {choices}")
