"""What the losses of a run read of the discriminator's output, logits or features, and what that rules out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax import losses, penalties, probes
from gan_jax.core.errors import BadInput, blamed
from gan_jax.core.types import Loss, Player
from gan_jax.settings.records import Spec


def reads(spec: Spec) -> str:
  """'logits' or 'features'; see losses.reads."""
  return losses.reads(spec.losses[0]) if spec.losses else "logits"


def no_features(loss: str) -> str:
  """What a person is told whose discriminator gives a loss nothing to read."""
  return f"loss {loss!r} expected a discriminator with Output.features, got none"


def check(spec: Spec) -> None:
  """Whether everything that reads logits has some; raises `BadInput`. A loss of features trains none."""
  if len({losses.reads(name) for name in spec.losses}) > 1:
    raise BadInput(f"losses expected all on logits, or all on features, got {', '.join(spec.losses)}")
  if reads(spec) == "logits":
    return
  name = spec.losses[0]
  if spec.lens != "none":
    raise BadInput(f"lens expected 'none' with loss {name!r}, which does not train logits, got {spec.lens!r}")
  if "gap" in probes.requested(spec.probes):
    raise BadInput(
      f"probes expected none of 'gap', which is a value of logits, with loss {name!r}, which does not train any"
    )
  if spec.gradient_normalisation:
    raise BadInput(f"gradient_normalisation is of logits, which loss {name!r} does not train; expected False")
  of_logits = [p.name for p in penalties.of_discriminator(spec.penalty) if p.kind != "parameters"]
  if of_logits:
    raise BadInput(
      f"penalty {of_logits[0]!r} is of logits, which loss {name!r} does not train; expected penalty none, or a "
      "weight_constraint"
    )


def check_own(name: str, loss: Loss, batch: int) -> None:
  """Raises `BadInput` where a loss of the user's code cannot be computed of logits [batch]. Only shapes are computed."""
  if ":" not in name or losses.reads(name) != "logits":
    return
  logits = jax.ShapeDtypeStruct((batch,), jnp.float32)
  for player, half in loss._asdict().items():
    with blamed(f"loss {name!r} of the {player} cannot be computed of logits [{batch}]"):
      jax.eval_shape(half, logits, logits)


def check_output(spec: Spec, discriminator: Player, image_shape: tuple[int, ...]) -> None:
  """Raises `BadInput` where a loss of features is given a discriminator without any, or a class that reaches only logits.

  Only shapes are computed.
  """
  if reads(spec) == "logits":
    return
  params, memory = jax.eval_shape(discriminator.init, jax.random.key(0))
  images = jax.ShapeDtypeStruct((spec.packing, *image_shape), jnp.float32)
  labels = jax.ShapeDtypeStruct((spec.packing,), jnp.int32)
  judge = lambda params, memory, images, labels: discriminator.apply(params, memory, images, labels, True)[0]  # noqa: E731
  found = jax.eval_shape(judge, params, memory, images, labels)
  if found.features is None:
    raise BadInput(no_features(spec.losses[0]))
  if found.direction is not None:
    raise BadInput(
      f"loss {spec.losses[0]!r} does not train logits, so it has no use for a last layer that is a direction; expected "
      "model_options.last_layer 'linear'"
    )
  features = lambda *inputs: judge(*inputs).features  # noqa: E731
  if spec.conditional and spec.class_loss == "none" and not told(features, params, memory, images, labels):
    raise BadInput(
      f"conditional=True expected a class_loss with loss {spec.losses[0]!r}: the features of this discriminator do not "
      "depend on the class, so that nothing would train the generator to follow it"
    )


def told(function: Callable[..., Array], *inputs: Any) -> bool:
  """Whether the last input can change the value, as far as the operations say through which it passes."""
  traced = jax.make_jaxpr(function)(*inputs).jaxpr
  reached = {id(traced.invars[-1])}
  for equation in traced.eqns:
    if any(id(x) in reached for x in equation.invars):
      reached |= {id(x) for x in equation.outvars}
  return any(id(x) in reached for x in traced.outvars)
