"""What a config's `loss` may be: a registered name, or one wrapped in transformations, `top_k(matched_gain(hinge))`.

`loss_options` gives the hyperparameters of the loss and of its transformations.
"""

import inspect
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.core.types import Loss
from gan_jax.losses import registry, transforms
from gan_jax.losses.registry import CARDS, LOSSES, POSITIVE, PROBABILITY, Builder, Range


class Transformation(NamedTuple):
  apply: Callable[..., Loss]  # (loss, **options); of `mix`, (loss, loss)
  defaults: Mapping[str, float] = {}
  ranges: Mapping[str, Range] = {}
  suits: Callable[[str], bool] = lambda name: True  # does it fit a registered loss?
  needs: str = ""  # completes "expected ..." where it does not


SMOOTHABLE = ("minimax", "non_saturating", "hinge", "wasserstein", "least_squares_probabilities", "alpha_loss")

TRANSFORMATIONS: dict[str, Transformation] = {
  "label_smoothing": Transformation(
    transforms.label_smoothing,
    {"real_target": 0.9, "fake_target": 0.0},
    {"real_target": PROBABILITY, "fake_target": PROBABILITY},
    lambda name: name in SMOOTHABLE,
    f"a loss whose two terms agree at logit 0: one of {', '.join(SMOOTHABLE)}",
  ),
  "matched_gain": Transformation(transforms.matched_gain),
  "mix": Transformation(transforms.mix),
  "temperature": Transformation(transforms.temperature, {"temperature": 1.0}, {"temperature": POSITIVE}),
  "top_k": Transformation(
    transforms.top_k,
    {"fraction": 0.5},
    {"fraction": Range("a number above 0 and up to 1", lambda x: 0 < x <= 1)},
    lambda name: CARDS[name].pairing != "average",
    "a loss in which a fake has a term of its own: any but the averages",
  ),
}


DEEPEST = 16  # transformations in one name


class Composed(NamedTuple):
  build: Builder
  defaults: Mapping[str, float]
  ranges: Mapping[str, Range]
  base: str  # the registered loss of the generator's half
  judge: str  # the registered loss of the discriminator's half
  # (log p/q, **options) -> the optimal discriminator's logit; None: no closed form, or defined up to a constant only.
  optimal_logit: Callable[..., Array] | None


def parse(name: str) -> Composed:
  """What a config's `loss` means.

  Raises:
    BadInput: an unknown loss or transformation, one that does not fit, or text of another form.
  """
  name = name.strip()
  if name.count("(") > DEEPEST:
    raise BadInput(f"loss expected at most {DEEPEST} transformations, got {name.count('(')} in {shown(name)}")
  match = re.fullmatch(r"(\w+)\((.*)\)", name)
  if match is None:
    if name not in LOSSES:
      raise unknown("loss", name, LOSSES, registry.MEANINGS)
    optimal = CARDS[name].optimal_logit_at if CARDS[name].pairing == "none" else None
    return Composed(LOSSES[name], registry.default_options(name), CARDS[name].ranges, name, name, optimal)
  if match[1] not in TRANSFORMATIONS:
    raise unknown("loss transformation", match[1], TRANSFORMATIONS)
  transformation, inner = TRANSFORMATIONS[match[1]], [parse(part) for part in _split(match[2])]
  wanted = 2 if match[1] == "mix" else 1
  if len(inner) != wanted:
    raise BadInput(f"loss transformation {match[1]!r} expected {wanted} loss{'es' * (wanted > 1)}, got {name!r}")
  of = inner[0].judge if match[1] == "label_smoothing" else inner[-1].base  # the half that is transformed
  if not transformation.suits(of):
    raise BadInput(f"loss transformation {match[1]!r} expected {transformation.needs}; got {of!r}")
  sources = [transformation.defaults, *(part.defaults for part in inner)]
  options = {key: value for source in sources for key, value in source.items()}
  if len(options) < sum(map(len, sources)):
    raise BadInput(f"loss {name!r}: two of its parts have a hyperparameter of the same name, among {list(options)}")

  def build(**given: Any) -> Loss:
    own = {key: given.get(key, value) for key, value in transformation.defaults.items()}
    parts = [part.build(**{key: given[key] for key in part.defaults if key in given}) for part in inner]
    return transformation.apply(*parts, **own)

  ranges = dict(transformation.ranges)
  for part in inner:
    ranges.update(part.ranges)
  # These keep the discriminator's half (`mix`: that of the first loss), or only scale its logits.
  kept = inner[0] if match[1] in ("matched_gain", "mix", "temperature", "top_k") else None

  def optimal_logit(log_ratio: Array, **given: Any) -> Array:
    assert kept is not None
    assert kept.optimal_logit is not None
    best = kept.optimal_logit(log_ratio, **{key: given[key] for key in kept.defaults if key in given})
    return given.get("temperature", transformation.defaults["temperature"]) * best if scaled else best

  known, scaled = kept is not None and kept.optimal_logit is not None, match[1] == "temperature"
  return Composed(build, options, ranges, inner[-1].base, inner[0].judge, optimal_logit if known else None)


def _split(text: str) -> list[str]:
  """At the commas outside parentheses."""
  parts, depth = [""], 0
  for character in text:
    depth += {"(": 1, ")": -1}.get(character, 0)
    if character == "," and depth == 0:
      parts.append("")
    else:
      parts[-1] += character
  return parts


def builder(name: str) -> Builder:
  """The builder of a loss, transformed or not. Raises `BadInput` as `parse` does."""
  return parse(name).build


def default_options(name: str) -> dict[str, float]:
  """The hyperparameters of a loss with their defaults. Raises `BadInput` as `parse` does."""
  return dict(parse(name).defaults)


def get(name: str, **hyperparameters: Any) -> Loss:
  """The loss of that name. A hyperparameter may be a traced scalar; Python numbers are held to their range.

  Raises:
    BadInput: unknown loss, transformation or hyperparameter, parts that do not fit, a number outside its range, or
      hyperparameters by which the optimal discriminator would not give real examples the higher logit.
  """
  composed = parse(name)
  registry.check_options(name, hyperparameters, composed.defaults, composed.ranges)
  _check_sign(name, composed, hyperparameters)
  return composed.build(**hyperparameters)


def _check_sign(name: str, composed: Composed, given: Mapping[str, Any]) -> None:
  """Refuse hyperparameters that reverse the meaning of a logit, as least squares with `fake` above `real`.

  Every measurement takes a high logit to mean "real".
  """
  options = {**composed.defaults, **given}
  if composed.optimal_logit is None or not all(isinstance(value, numbers.Real) for value in options.values()):
    return
  with jax.ensure_compile_time_eval():
    fake, real = (float(x) for x in composed.optimal_logit(jnp.array([-1.0, 1.0]), **options))
  if fake >= real:
    raise BadInput(
      f"loss {name!r} expected hyperparameters by which the best discriminator gives reals the higher logit, got "
      f"{', '.join(f'{key}={value:g}' for key, value in options.items())}"
    )


def optimal_logit(name: str) -> Callable[..., Array] | None:
  """(log p/q, **options) -> the optimal logit; None: no closed form, or defined up to a constant only."""
  return parse(name).optimal_logit


def zero_sum(name: str) -> bool:
  """Whether `name` is a registered zero-sum loss. False for a transformed one: one half only may have changed."""
  return name in CARDS and CARDS[name].zero_sum


assert all(set(t.defaults) <= set(inspect.signature(t.apply).parameters) for t in TRANSFORMATIONS.values())
