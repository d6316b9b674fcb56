"""Generator and discriminator pairs in Flax Linen, each a builder of two `Player`s.

A model is one registered builder (see `registry`); configs, commands and tests iterate `MODELS`.
"""

import functools
from typing import Any

from gan_jax.core.registry import Entry
from gan_jax.core.types import Player

# isort: off
# The registry first: a model may import it from this package while it is being imported itself.
from gan_jax.models.registry import MODELS, register

# isort: on
from gan_jax.models import constraints, coupling, dcgan, mlp, pacgan
from gan_jax.models.packing import packed
from gan_jax.settings.records import Spec, thawed

__all__ = ["MODELS", "build", "constraints", "couples_batch", "dcgan", "get", "mlp", "pacgan", "register"]

OF_PLAYERS = ("model", "model_options", "packing", "latent_size", "conditional")  # what `build` reads of a spec


def get(name: str) -> Entry:
  """The entry of that name, which is called as its builder is. Raises `BadInput` for an unknown one."""
  return MODELS.get(name)


def build(spec: Spec, image_shape: tuple[int, ...], num_classes: int) -> tuple[Player, Player]:
  """(generator, discriminator) of a spec; the discriminator judges packs of `spec.packing` examples.

  Raises:
    BadInput: an unknown model or option, or images that it cannot make.
  """
  model, options = get(spec.model), thawed(spec.model_options)
  rest = (num_classes, spec.latent_size, spec.conditional)
  generator, discriminator = model(image_shape, *rest, **options)
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
  """The same, found once in a process; the builder is there because a file from outside may change under its name."""
  _, discriminator = build(spec, image_shape, num_classes)
  return coupling.couples_batch(discriminator, image_shape, spec.packing)
