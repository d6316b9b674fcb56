"""The registry of models: builders of two `Player`s, and the options that several of them share.

    (image_shape, num_classes, latent_size, conditional, *, options) -> (generator, discriminator)

`image_shape` is (H, W, C), or (2,) for points; with `packing` the discriminator is built for that many times the
channels.
"""

from typing import Annotated

from gan_jax.core.registry import Option, Registry
from gan_jax.settings import WIDEST

MODELS = Registry("model", ("image_shape", "num_classes", "latent_size", "conditional"))
register = MODELS.register

GeneratorWidth = Annotated[int, Option("hidden units, or channels of the widest convolution", 1, WIDEST)]
DiscriminatorWidth = Annotated[int, Option("hidden units, or channels of the widest convolution", 1, WIDEST)]
Depth = Annotated[int, Option("hidden layers of each player", 1, 256)]
DiscriminatorNorm = Annotated[
  str, Option("normalisation; `batch` couples the examples of a batch", choices=("none", "layer", "batch"))
]
