"""Generator and discriminator pairs in Flax Linen, each a builder of two `Player`s.

A model is one builder and its name in `MODELS`; configs, commands and tests iterate that.
"""

from collections.abc import Callable

from gan_jax.core.errors import unknown
from gan_jax.core.types import Player, Spec
from gan_jax.models.dcgan import dcgan
from gan_jax.models.mlp import mlp
from gan_jax.models.pacgan import pacgan
from gan_jax.models.packing import packed

__all__ = ["MODELS", "Builder", "build", "couples_batch", "get"]

Builder = Callable[[Spec, tuple[int, ...], int], tuple[Player, Player]]
# (spec, image_shape, num_classes) -> (generator, discriminator)

MODELS: dict[str, Builder] = {"dcgan": dcgan, "mlp": mlp, "pacgan": pacgan}


def get(name: str) -> Builder:
  """The builder of that name. Raises `BadInput` for an unknown one."""
  if name not in MODELS:
    raise unknown("model", name, MODELS)
  return MODELS[name]


def build(spec: Spec, image_shape: tuple[int, ...], num_classes: int) -> tuple[Player, Player]:
  """(generator, discriminator) of a spec; the discriminator judges packs of `spec.packing` examples.

  Raises:
    BadInput: an unknown model, or images that it cannot make.
  """
  model = get(spec.model)
  generator, discriminator = model(spec, image_shape, num_classes)
  if spec.packing > 1:
    _, judge = model(spec, (*image_shape[:-1], spec.packing * image_shape[-1]), num_classes)
    discriminator = packed(judge, spec.packing)
  return generator, discriminator


def couples_batch(spec: Spec) -> bool:
  """Whether a logit depends on the other examples of its batch; a per-sample penalty then means nothing."""
  return spec.discriminator_norm == "batch"
