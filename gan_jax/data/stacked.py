"""Stacked MNIST: a data set whose 1,000 modes are known, so that lost ones can be counted.

Three digits of MNIST, drawn at random, are the red, green and blue channel of an image; the mode is the number that they
form. The protocol is that of Metz et al. 2017 (arXiv:1611.02163), Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761) and
Lin et al. 2018 (PacGAN, arXiv:1712.04086); the data are drawn once, so all seeds train on the same ones.
"""

from typing import Annotated

import jax.numpy as jnp
import numpy as np

from gan_jax.core import homes
from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.core.types import Data
from gan_jax.data import mnist
from gan_jax.data.dataset import Dataset, register

DIGITS = 10
SIDE = 28
SAMPLING_SEED = 20_180_002  # fixed: runs of all seeds train on the same sample


@register("stacked_mnist")
def load(
  *,
  data_dir: Annotated[str, Option("folder of the IDX files of MNIST; by default the one that `fetch` filled")] = "",
  count: Annotated[int, Option("images that are drawn", 1, 1_000_000)] = 60_000,
  resolution: Annotated[int, Option("28 as MNIST, or more, with a black border", SIDE, 256)] = SIDE,
) -> Dataset:
  """uint8 [count, H, W, 3], the digits (a, b, c) as (R, G, B), and their class 100 a + 10 b + c of 1,000.

  Raises:
    BadInput: no MNIST in `data_dir` (see `mnist`), without labels, or with other classes than ten digits.
  """
  data_dir = data_dir or homes.fetched("mnist")
  if not data_dir:
    raise BadInput(
      "dataset 'stacked_mnist' expected dataset_options.data_dir, the folder of MNIST's IDX files, got none"
      f"{homes.hint('mnist')}"
    )
  digits = mnist.load(data_dir=data_dir)
  if digits.num_classes != DIGITS or digits.image_shape != (SIDE, SIDE, 1):
    raise BadInput(
      f"{data_dir}: dataset 'stacked_mnist' expected 28 x 28 images of ten labelled classes, got "
      f"{digits.image_shape[0]} x {digits.image_shape[1]} of {digits.num_classes}"
    )
  images, labels = (np.asarray(array) for array in digits.data)
  drawn = np.random.Generator(np.random.PCG64(SAMPLING_SEED)).integers(len(labels), size=(count, 3))
  before, after = (resolution - SIDE) // 2, (resolution - SIDE + 1) // 2
  stacked = np.zeros((count, resolution, resolution, 3), np.uint8)
  for channel in range(3):
    stacked[:, before : resolution - after, before : resolution - after, channel] = images[drawn[:, channel], :, :, 0]
  modes = labels[drawn] @ np.array([100, 10, 1], np.int32)
  data = Data(jnp.asarray(stacked), jnp.asarray(modes, jnp.int32))
  return Dataset(data, digits.decode, stacked.shape[1:], DIGITS**3, "images")
