"""Models: pairs of generator and discriminator in Flax Linen.

A model is a registered builder of two `Player`s (see `registry`); configs, commands and tests iterate over `MODELS`.
"""

import functools
from typing import Any

from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Entry, import_modules
from gan_jax.core.types import Player

# isort: off
# The registry first: a file that registers may import it from this package while it is being imported itself.
from gan_jax.models.registry import MODELS, register

# isort: on
from gan_jax.models import coupling
from gan_jax.models.packing import packed
from gan_jax.settings.records import Spec, thawed

__all__ = ["MODELS", "build", "couples_batch", "get", "register"]

OF_PLAYERS = ("model", "model_options", "packing", "latent_size", "conditional")  # fields of a spec that `build` uses

import_modules(__name__, __path__)  # every file registers its models


def get(name: str) -> Entry:
  """The entry of that name; calling it calls its builder. Raises `BadInput` for an unknown name."""
  return MODELS.get(name)


def build(spec: Spec, image_shape: tuple[int, ...], num_classes: int, class_logits: int = 0) -> tuple[Player, Player]:
  """(generator, discriminator) of a spec; with `spec.packing` m the discriminator has one logit for m examples.

  With `class_logits` (see `registry.ClassLogits`) it has a second head, and is not given the class itself.

  Raises:
    BadInput: an unknown model or option, images of a size that it does not support, class logits of a model that has no
      option of that name, or class logits among the spec's options.
  """
  model, options = get(spec.model), thawed(spec.model_options)
  rest = (num_classes, spec.latent_size, spec.conditional)
  if options.get("class_logits") and model.options["class_logits"].default == 0:
    raise BadInput(
      f"option 'class_logits' of model {spec.model!r} is set by the field class_loss, and trains nothing without one; "
      f"expected it not to be given, got {options['class_logits']}"
    )
  generator, discriminator = model(image_shape, *rest, **options)
  if class_logits:
    if "class_logits" not in model.options:
      raise BadInput(f"a class loss expected a model with an option class_logits, got {spec.model!r}, which has none")
    own = options | {"class_logits": class_logits}
    _, discriminator = model(image_shape, num_classes, spec.latent_size, False, **own)
  if spec.packing > 1:
    _, judge = model((*image_shape[:-1], spec.packing * image_shape[-1]), *rest, **options)
    discriminator = packed(judge, spec.packing)
  return generator, discriminator


def couples_batch(spec: Spec, image_shape: tuple[int, ...], num_classes: int) -> bool:
  """Whether a logit of a spec's discriminator depends on other examples (or packs) of its batch; see `coupling`."""
  own = Spec._fields
  blank = spec._replace(**{name: None for name in own if name not in OF_PLAYERS})
  return _couples(get(spec.model).builder, blank, image_shape, num_classes)


@functools.cache
def _couples(builder: Any, spec: Spec, image_shape: tuple[int, ...], num_classes: int) -> bool:
  """The same, cached. The builder is an argument because a user's file may change without changing its name."""
  _, discriminator = build(spec, image_shape, num_classes)
  return coupling.couples_batch(discriminator, image_shape, spec.packing)
