"""The values of a config's `loss`: a registered name, or one with transformations, `top_k(matched_gain(hinge))`.

`loss_options` gives the options of the loss and of its transformations.
"""

import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.core.registry import Entry, Option, Registry
from gan_jax.core.types import Loss
from gan_jax.losses import registry, transforms
from gan_jax.losses.registry import CARDS, LOSSES, Builder


class Demand(NamedTuple):
  """Which losses a transformation accepts."""

  losses: int = 1
  suits: Callable[[str], bool] = lambda name: True  # (registered loss) -> whether it is accepted
  needs: str = ""  # completes "expected ..." in the message for a loss that is not


SMOOTHABLE = ("minimax", "non_saturating", "hinge", "wasserstein", "least_squares_probabilities", "alpha_loss")


def enters_average(name: str) -> bool:
  """Whether a fake has no term of its own."""
  return name in CARDS and CARDS[name].pairing == "average"


def symmetric(name: str) -> bool:
  """Whether the loss is the same for logits of opposite sign."""
  return name in CARDS and CARDS[name].symmetric


TRANSFORMATIONS = Registry("loss transformation", ("loss",), traced="always")
TRANSFORMATIONS.enter(
  "label_smoothing",
  transforms.label_smoothing,
  Demand(
    suits=lambda name: name in SMOOTHABLE,
    needs=f"a loss whose two terms agree at logit 0: one of {', '.join(SMOOTHABLE)}",
  ),
)
TRANSFORMATIONS.enter(
  "matched_gain",
  transforms.matched_gain,
  Demand(
    suits=lambda name: not symmetric(name),
    needs="a loss with a slope where all logits are 0: any but those that are the same for logits of opposite sign",
  ),
)
TRANSFORMATIONS["mix"] = Entry(  # the only one of two losses
  TRANSFORMATIONS.kind, "mix", transforms.mix, {}, (transforms.mix.__doc__ or "").split("\n")[0], Demand(2)
)
TRANSFORMATIONS.enter(
  "on_features",
  transforms.on_features,
  Demand(
    suits=lambda name: name in CARDS and CARDS[name].of_features,
    needs="a distance between batches: one of those whose card says of_features, such as energy or mmd_repulsive",
  ),
)
TRANSFORMATIONS.enter("temperature", transforms.temperature, Demand())
TRANSFORMATIONS.enter(
  "top_k",
  transforms.top_k,
  Demand(
    suits=lambda name: not enters_average(name),
    needs="a loss with a separate term for each fake: any but those with batch averages",
  ),
)
DEEPEST = 16  # transformations in one name


class Composed(NamedTuple):
  build: Builder
  options: Mapping[str, Option]
  base: str  # the registered loss of the generator's half
  judge: str  # the registered loss of the discriminator's half
  # (log p/q, **options) -> the optimal discriminator's logit; None: no closed form, or defined up to a constant only.
  optimal_logit: Callable[..., Array] | None
  reads: str = "logits"  # or "features": what of the discriminator's output the functions are given

  @property
  def defaults(self) -> dict[str, Any]:
    return {name: option.default for name, option in self.options.items()}


def parse(name: str) -> Composed:
  """The builder, options and facts of a config's `loss`.

  Raises:
    BadInput: an unknown loss or transformation, a loss that the transformation does not accept, or another syntax.
  """
  name = name.strip()
  if name in LOSSES:
    about = CARDS.get(name)
    optimal = about.optimal_logit_at if about and about.pairing == "none" else None
    return Composed(LOSSES[name].builder, LOSSES[name].options, name, name, optimal)
  if name.count("(") > DEEPEST:
    raise BadInput(f"loss expected at most {DEEPEST} transformations, got {name.count('(')} in {shown(name)}")
  match = re.fullmatch(r"(\w+)\((.*)\)", name)
  if match is None:
    raise unknown("loss", name, LOSSES, registry.MEANINGS)
  return _transformed(name, TRANSFORMATIONS.get(match[1]), [parse(part) for part in _split(match[2])])


def _transformed(name: str, transformation: Entry, inner: list[Composed]) -> Composed:
  """`parse` of a transformation applied to parsed losses."""
  made, wanted = transformation.name, transformation.facts.losses
  if len(inner) != wanted:
    raise BadInput(f"loss transformation {made!r} expected {wanted} loss{'es' * (wanted > 1)}, got {name!r}")
  if any(part.reads == "features" for part in inner):
    raise BadInput(
      f"loss transformation 'on_features' is applied last, as in on_features(mix(energy, mmd)); got {name!r}"
    )
  of = inner[0].judge if made == "label_smoothing" else inner[-1].base  # the half that is transformed
  if not transformation.facts.suits(of):
    raise BadInput(f"loss transformation {made!r} expected {transformation.facts.needs}; got {of!r}")
  if len({symmetric(inner[0].judge), symmetric(inner[-1].base)}) == 2:
    raise BadInput(
      f"loss transformation 'mix' expected two losses for which a high logit means 'real', or two for which its sign "
      f"means nothing; got {inner[0].judge!r} and {inner[-1].base!r}"
    )
  sources = [transformation.options, *(part.options for part in inner)]
  options = {key: value for source in sources for key, value in source.items()}
  if len(options) < sum(map(len, sources)):
    raise BadInput(f"loss {name!r}: two of its parts have an option of the same name, among {list(options)}")

  def build(**given: Any) -> Loss:
    own = {key: given[key] for key in transformation.options if key in given}
    parts = [part.build(**{key: given[key] for key in part.options if key in given}) for part in inner]
    return transformation(*parts, **own)

  # These keep the discriminator's loss (`mix`: that of its first loss), or only scale its logits.
  kept = inner[0].optimal_logit if made in ("matched_gain", "mix", "temperature", "top_k") else None

  def optimal_logit(log_ratio: Array, **given: Any) -> Array:
    assert kept is not None
    best = kept(log_ratio, **{key: given[key] for key in inner[0].options if key in given})
    return given.get("temperature", options["temperature"].default) * best if made == "temperature" else best

  reads = "features" if made == "on_features" else "logits"
  return Composed(build, options, inner[-1].base, inner[0].judge, optimal_logit if kept is not None else None, reads)


def _split(text: str) -> list[str]:
  """Splits a text at the commas outside parentheses."""
  parts, depth = [""], 0
  for character in text:
    depth += {"(": 1, ")": -1}.get(character, 0)
    if character == "," and depth == 0:
      parts.append("")
    else:
      parts[-1] += character
  return parts


def entry(name: str) -> Entry:
  """The entry of a loss, transformed or not. Raises `BadInput` as `parse` does."""
  composed = parse(name)
  text = LOSSES[name].text if name in LOSSES else ""
  return Entry(LOSSES.kind, name, composed.build, composed.options, text, CARDS.get(name))


LOSSES.compose = entry


def builder(name: str) -> Builder:
  """The builder of a loss, transformed or not. Raises `BadInput` as `parse` does."""
  return parse(name).build


def default_options(name: str) -> dict[str, float]:
  """The options of a loss with their defaults. Raises `BadInput` as `parse` does."""
  return parse(name).defaults


def get(name: str, **options: Any) -> Loss:
  """The loss of that name. An option may be a traced scalar; Python numbers are held to their range.

  Raises:
    BadInput: unknown loss, transformation or option, parts that do not fit, a number outside its range, or options
      by which the optimal discriminator would not give real examples the higher logit.
  """
  found = entry(name)
  found.complete(options)
  _check_sign(name, parse(name), options)
  return found(**options)


def _check_sign(name: str, composed: Composed, given: Mapping[str, Any]) -> None:
  """Refuse hyperparameters that reverse the meaning of a logit, as least squares with `fake` above `real`.

  Every measurement takes a high logit to mean "real".
  """
  options = {**composed.defaults, **given}
  if composed.optimal_logit is None or not all(isinstance(value, numbers.Real) for value in options.values()):
    return
  with jax.ensure_compile_time_eval():
    ends = jnp.asarray(np.array([-1.0, 1.0], jnp.result_type(float)))
    fake, real = np.asarray(composed.optimal_logit(ends, **options)).tolist()
  if fake >= real:
    raise BadInput(
      f"loss {name!r} expected options by which the best discriminator gives reals the higher logit, got "
      f"{', '.join(f'{key}={value:g}' for key, value in options.items())}"
    )


def optimal_logit(name: str) -> Callable[..., Array] | None:
  """(log p/q, **options) -> the optimal logit; None: no closed form, or defined up to a constant only."""
  return parse(name).optimal_logit


def reads(name: str) -> str:
  """'logits', or 'features': what of the discriminator's output a loss is a function of. Raises `BadInput` as `parse`."""
  return parse(name).reads


def judge(name: str) -> str:
  """The registered loss of the discriminator's half of a loss, transformed or not. Raises `BadInput` as `parse`."""
  return parse(name).judge


def controller(name: str) -> registry.Controller | None:
  """What moves an option of the discriminator's loss while a run trains; None: nothing. Raises `BadInput` as `parse`."""
  return CARDS[judge(name)].controller if judge(name) in CARDS else None


def once(name: str) -> bool:
  """Whether the derivative of a loss, transformed or not, must not be differentiated again: its card says `once`."""
  composed = parse(name)
  return any(part in CARDS and CARDS[part].once for part in (composed.base, composed.judge))


def signed(name: str) -> bool:
  """Whether a high logit means "real" where the game is level, to the discriminator of a loss, transformed or not.

  It does not if the card is `symmetric`, nor if a controller holds the fakes ahead, as BEGAN's does.
  """
  return not symmetric(judge(name)) and controller(name) is None


def zero_sum(name: str) -> bool:
  """Whether `name` is a registered zero-sum loss. False for a transformed one: one half only may have changed."""
  return name in CARDS and CARDS[name].zero_sum
