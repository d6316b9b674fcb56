"""The registry of models: builders of two `Player`s, and the options that several of them share.

    (image_shape, num_classes, latent_size, conditional, *, options) -> (generator, discriminator)

`image_shape` is (H, W, C), or (2,) for points; with `packing` the discriminator is built for that many times the
channels.
"""

from typing import Annotated

from gan_jax.core.registry import Option, Registry
from gan_jax.settings import WIDEST

MEANINGS = {  # what models are called elsewhere
  "sngan": "resnet (or sndcgan)",
  "sagan": "resnet with model_options.attention=16",
  "wgan": "dcgan with loss=wasserstein",
  "wgan_gp": "resnet with loss=wasserstein and penalty=gradient_penalty",
}
MODELS = Registry("model", ("image_shape", "num_classes", "latent_size", "conditional"), meanings=MEANINGS)
register = MODELS.register

GeneratorWidth = Annotated[int, Option("hidden units, or channels of the widest convolution", 1, WIDEST)]
DiscriminatorWidth = Annotated[int, Option("hidden units, or channels of the widest convolution", 1, WIDEST)]
Depth = Annotated[int, Option("hidden layers of each player", 1, 256)]
DiscriminatorNorm = Annotated[
  str, Option("normalisation; `batch` couples the examples of a batch", choices=("none", "layer", "batch"))
]
ClassLogits = Annotated[
  int,
  Option(
    "outputs of a second head, for losses on classes; 0: none; -k: k cosines of the features with a vector each",
    -WIDEST,
    WIDEST,
  ),
]
LastLayer = Annotated[
  str,
  Option(
    "`san`: it has length one and is trained by a term of its own; see models/linen.py", choices=("linear", "san")
  ),
]
Convolution = Annotated[str, Option("`auto` is `matmul`; see models/layers.py", choices=("auto", "matmul", "lax"))]
PublishedWidth = Annotated[int, Option("channels of the widest convolution; 0: as published", 0, WIDEST)]
GeneratorNorm = Annotated[
  str,
  Option(
    "normalisation; of `layer` and `batch`, scale and shift depend on the class", choices=("none", "layer", "batch")
  ),
]
Spectral = Annotated[
  str,
  Option("whose layers are spectrally normalised, by themselves", choices=("none", "discriminator", "both")),
]
Attention = Annotated[str, Option("sides of the maps with self-attention, such as `16` or `16+32`, or none")]
