"""Inception's features, in which the Frechet distance is called FID: the network of 2015-12-05 with 2,048 features.

Szegedy et al. 2016 (arXiv:1512.00567, table 1 and figures 4 to 7), as TensorFlow released it on 2015-12-05 with 1,008
outputs. Published FIDs are made with these weights. Average pools leave out the padding, and the last block has a maximum
pool. torchvision's `inception_v3_google` is another network with other weights.

| layers | output |
|---|---|
| image, pixels less 128 and over 128 | 299 x 299 x 3 |
| convolutions 3 (stride 2), 3, 3; maximum pool 3 (stride 2) | 73 x 73 x 64 |
| convolutions 1, 3; maximum pool 3 (stride 2) | 35 x 35 x 192 |
| A x 3: 1; 5 x 5; two 3 x 3; average pool | 35 x 35 x 288 |
| B: 3 x 3 and two 3 x 3 (stride 2); maximum pool | 17 x 17 x 768 |
| C x 4: 1; 7 x 7 as two of 1 x 7 and 7 x 1; the same twice; average pool | 17 x 17 x 768 |
| D: 3 x 3 and 7 x 7 with 3 x 3 (stride 2); maximum pool | 8 x 8 x 1,280 |
| E x 2: 1; 1 x 3 beside 3 x 1; 3 x 3 and the same; average, then maximum pool | 8 x 8 x 2,048 |
| mean over the image; linear | 2,048 features; 1,008 logits |
"""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax.core.errors import BadInput
from gan_jax.metrics import weights
from gan_jax.metrics.convolving import Layer, convolve, folded, resample, tensorflow_bilinear, to_bytes
from gan_jax.metrics.networks import Network, Seen, by_batches

SIDE, FEATURES, OUTPUTS = 299, 2048, 1008
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
RIGHT = (
  f"the Inception weights of 2015-12-05, pt_inception-2015-12-05-6726825d.pth (sha256 {SHA256[:12]}...), which "
  "pytorch-fid and torch-fidelity download, or the same tensors as safetensors"
)
OTHERS = {  # beginnings of the sha256 of files that people have beside the right one
  "f58cb9b6ec323ed63459aa4fb441fe75": "NVIDIA's TorchScript program of this network",
  "4e030efa5bccac3222d975f658d1884f": "jax-fid's pickle of this network",
  "1a9a5a14": "torchvision's inception_v3_google, which is another network with other weights",
}
BATCH = 10  # images at once: 100 MB for each member


def shapes() -> dict[str, tuple[int, ...]]:
  """Names and shapes of all weights, as PyTorch stores them."""
  found: dict[str, tuple[int, ...]] = {}
  for name, (outputs, inputs, height, width) in convolutions().items():
    found[f"{name}.conv.weight"] = (outputs, inputs, height, width)
    found.update({f"{name}.bn.{part}": (outputs,) for part in ("weight", "bias", "running_mean", "running_var")})
  return found | {"fc.weight": (OUTPUTS, FEATURES), "fc.bias": (OUTPUTS,)}


def convolutions() -> dict[str, tuple[int, int, int, int]]:
  """(outputs, inputs, height, width) of each of the 94 convolutions by its name."""
  found = {
    "Conv2d_1a_3x3": (32, 3, 3, 3),
    "Conv2d_2a_3x3": (32, 32, 3, 3),
    "Conv2d_2b_3x3": (64, 32, 3, 3),
    "Conv2d_3b_1x1": (80, 64, 1, 1),
    "Conv2d_4a_3x3": (192, 80, 3, 3),
  }

  def block(name: str, inputs: int, **layers: tuple[int, ...]) -> None:
    """Layers (outputs, height, width[, inputs]); a name that ends in _2 or beyond continues the one before."""
    before = inputs
    for layer, (outputs, height, width, *given) in layers.items():
      first = layer.startswith("branch") and layer[-2:] not in ("_2", "_3", "_4", "_5", "2a", "2b", "3a", "3b")
      takes = given[0] if given else inputs if first else before
      found[f"{name}.{layer}"] = (outputs, takes, height, width)
      before = outputs

  for name, inputs, pool in (("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)):
    block(name, inputs, branch1x1=(64, 1, 1), branch5x5_1=(48, 1, 1), branch5x5_2=(64, 5, 5))
    block(name, inputs, branch3x3dbl_1=(64, 1, 1), branch3x3dbl_2=(96, 3, 3), branch3x3dbl_3=(96, 3, 3))
    block(name, inputs, branch_pool=(pool, 1, 1))
  block("Mixed_6a", 288, branch3x3=(384, 3, 3))
  block("Mixed_6a", 288, branch3x3dbl_1=(64, 1, 1), branch3x3dbl_2=(96, 3, 3), branch3x3dbl_3=(96, 3, 3))
  for name, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
    block(name, 768, branch1x1=(192, 1, 1), branch_pool=(192, 1, 1))
    block(name, 768, branch7x7_1=(c, 1, 1), branch7x7_2=(c, 1, 7), branch7x7_3=(192, 7, 1))
    block(name, 768, branch7x7dbl_1=(c, 1, 1), branch7x7dbl_2=(c, 7, 1), branch7x7dbl_3=(c, 1, 7))
    block(name, c, branch7x7dbl_4=(c, 7, 1, c), branch7x7dbl_5=(192, 1, 7, c))
  block("Mixed_7a", 768, branch3x3_1=(192, 1, 1), branch3x3_2=(320, 3, 3))
  block("Mixed_7a", 768, branch7x7x3_1=(192, 1, 1), branch7x7x3_2=(192, 1, 7), branch7x7x3_3=(192, 7, 1))
  block("Mixed_7a", 192, branch7x7x3_4=(192, 3, 3))
  for name, inputs in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
    block(name, inputs, branch1x1=(320, 1, 1), branch3x3_1=(384, 1, 1), branch_pool=(192, 1, 1))
    block(name, 384, branch3x3_2a=(384, 1, 3, 384), branch3x3_2b=(384, 3, 1, 384))
    block(name, inputs, branch3x3dbl_1=(448, 1, 1), branch3x3dbl_2=(384, 3, 3))
    block(name, 384, branch3x3dbl_3a=(384, 1, 3, 384), branch3x3dbl_3b=(384, 3, 1, 384))
  return found


def parameters(tensors: Mapping[str, np.ndarray]) -> dict[str, Layer]:
  """Every convolution by its name, batch normalisation folded in, and the last layer as `fc`."""
  found = {name: folded(tensors, f"{name}.conv", f"{name}.bn") for name in convolutions()}
  return found | {"fc": (jnp.asarray(tensors["fc.weight"], jnp.float32), jnp.asarray(tensors["fc.bias"], jnp.float32))}


def apply(params: Mapping[str, Layer], images: Array) -> Seen:
  """Pixels [B, 299, 299, 3] less 128 and over 128 -> features [B, 2048], and logits [B, 1008] without the bias."""

  def layer(name: str, x: Array, stride: int = 1, same: bool = True) -> Array:
    return jnp.maximum(convolve(x, params[name], stride, "SAME" if same else "VALID"), 0)

  x = layer("Conv2d_1a_3x3", images, 2, same=False)
  x = layer("Conv2d_2a_3x3", x, same=False)
  x = most(layer("Conv2d_2b_3x3", x))
  x = layer("Conv2d_4a_3x3", layer("Conv2d_3b_1x1", x), same=False)
  x = most(x)

  def chain(name: str, x: Array, *layers: str) -> Array:
    for one in layers:
      x = layer(f"{name}.{one}", x)
    return x

  def joined(*parts: Array) -> Array:
    return jnp.concatenate(parts, axis=-1)

  for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
    x = joined(
      chain(name, x, "branch1x1"),
      chain(name, x, "branch5x5_1", "branch5x5_2"),
      chain(name, x, *(f"branch3x3dbl_{i}" for i in (1, 2, 3))),
      chain(name, average(x), "branch_pool"),
    )
  double = chain("Mixed_6a", x, "branch3x3dbl_1", "branch3x3dbl_2")
  down = layer("Mixed_6a.branch3x3", x, 2, same=False)
  x = joined(down, layer("Mixed_6a.branch3x3dbl_3", double, 2, same=False), most(x))
  for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
    x = joined(
      chain(name, x, "branch1x1"),
      chain(name, x, *(f"branch7x7_{i}" for i in (1, 2, 3))),
      chain(name, x, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))),
      chain(name, average(x), "branch_pool"),
    )
  three = layer("Mixed_7a.branch3x3_2", chain("Mixed_7a", x, "branch3x3_1"), 2, same=False)
  seven = chain("Mixed_7a", x, *(f"branch7x7x3_{i}" for i in (1, 2, 3)))
  x = joined(three, layer("Mixed_7a.branch7x7x3_4", seven, 2, same=False), most(x))
  for name, pool in (("Mixed_7b", average), ("Mixed_7c", lambda x: most(x, 1, "SAME"))):
    one, double = chain(name, x, "branch3x3_1"), chain(name, x, "branch3x3dbl_1", "branch3x3dbl_2")
    x = joined(
      chain(name, x, "branch1x1"),
      *(chain(name, one, f"branch3x3_2{side}") for side in "ab"),
      *(chain(name, double, f"branch3x3dbl_3{side}") for side in "ab"),
      chain(name, pool(x), "branch_pool"),
    )
  features = x.mean(axis=(1, 2))
  return Seen(features, jnp.dot(features, params["fc"][0].T, precision="highest"))


def most(x: Array, stride: int = 2, padding: str = "VALID") -> Array:
  """Maximum over windows of 3 x 3."""
  return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def average(x: Array) -> Array:
  """Mean over windows of 3 x 3 about each pixel, of those pixels that are in the image."""
  window = lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")  # noqa: E731
  return window(x) / window(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


def read(path: str) -> weights.Weights:
  """The weights of a file.

  Raises:
    BadInput: no file is named, or another one than the right one, which the message names.
  """
  if not path:
    raise BadInput(f"features=inception expected the option `weights`, the path of {RIGHT}; got none")
  try:
    found = weights.read(Path(path).expanduser(), OTHERS)
    weights.expect(found.tensors, shapes())
  except BadInput as error:
    raise BadInput(f"features=inception expected {RIGHT}; {error}") from error
  return found


def network(path: str) -> Network:
  """The network `inception`, with the weights of a file. Raises as `read`."""
  found = read(path)
  return bound(parameters(found.tensors), found.sha256)


def prepared(images: Array) -> Array:
  """Images [B, H, W, C] in [-1, 1] -> [B, 299, 299, 3], what `apply` takes."""
  rows, columns = (tensorflow_bilinear(size, SIDE) for size in images.shape[1:3])
  return (resample(to_bytes(images), rows, columns) - 128) / 128


def bound(params: Mapping[str, Layer], sha256: str) -> Network:
  """The network with these weights."""

  def see(images: Array) -> Seen:
    return by_batches(lambda some: apply(params, prepared(some)), images, BATCH)

  published = "the published file" if sha256 == SHA256 else "not the published file, or another container of it"
  protocol = (
    f"Inception of 2015-12-05 (weights {sha256[:12]}, {published}), images as bytes, resized to {SIDE} x {SIDE} as "
    "TensorFlow 1 does, logits without bias"
  )
  return Network("inception", f"inception {sha256}", FEATURES, see, protocol)
