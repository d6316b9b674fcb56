r"""Your own pictures: a folder or a zip of PNG, JPEG or WebP files, at any depth.

    ./launch.sh train CONFIG --config.dataset=images --config.dataset_options.path=photos \
      --config.dataset_options.resolution=32

They are decoded once and kept in the cache (see `decoded`). A zip that StyleGAN's dataset_tool made is read as it is.
"""

from typing import Annotated, Any

import jax.numpy as jnp

from gan_jax.core.errors import BadInput, plural
from gan_jax.core.registry import Option
from gan_jax.core.types import Data
from gan_jax.data import classes as classes_of
from gan_jax.data import decoded, pictures, sources
from gan_jax.data.dataset import Dataset, decode_bytes, register
from gan_jax.data.telling import say

FEW = 5  # names of classes that are listed


@register("images")
def load(
  *,
  path: Annotated[str, Option("folder or zip of PNG, JPEG or WebP files")] = "",
  resolution: Annotated[str, Option("0: as they are; N or HxW: centre cropped, then resized to it")] = "0",
  filter: Annotated[str, Option("of resizing", choices=tuple(pictures.FILTERS))] = "lanczos",
  colour: Annotated[str, Option("auto: all are gray or all are RGB", choices=tuple(pictures.COLOURS))] = "auto",
  alpha: Annotated[str, Option("transparency: refused, or laid over a colour", choices=pictures.ALPHAS)] = "refuse",
  classes: Annotated[str, Option("where classes come from", choices=classes_of.CHOICES)] = "auto",
) -> Dataset:
  """uint8 [N, H, W, C], C = 1 or 3, mapped from the cache; labels as `classes.of` says.

  Raises:
    BadInput: no path; nothing that can be read there, or a file among the pictures that cannot be used (see `sources`,
      `pictures`, `decoded`): the message names it.
    Failure: the cache of decoded pictures cannot be written.
  """
  if not path:
    raise BadInput(
      "dataset 'images' expected dataset_options.path, a folder or zip of PNG, JPEG or WebP files, got none"
    )
  rules = pictures.Rules(pictures.size_of(resolution), filter, colour, alpha)
  with sources.opened(path, "dataset_options.path") as source:
    labels, names = classes_of.of(source, classes)  # before decoding, which may take long
    pixels: Any = decoded.cached(source, rules)
  shape = tuple(int(side) for side in pixels.shape[1:])
  listed = ", ".join(names[:FEW]) + ", ..." * (len(names) > FEW)
  kind = f"{shape[0]} x {shape[1]} {'gray' if shape[2] == 1 else 'RGB'}"
  found = f"{plural(len(names), 'class', 'classes')} ({listed})" if len(names) > 1 else "one class"
  say(f"{path}: {plural(len(pixels), 'picture')}, {kind}, {found}")
  return Dataset(Data(pixels, jnp.asarray(labels)), decode_bytes, shape, len(names), "images")
