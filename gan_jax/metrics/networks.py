"""Networks in whose features samples are compared: what a network is, and how several metrics share one.

A metric of features is a function of what a network makes of all samples (`Seen`). Two metrics that name the same
network share its features: samples are drawn once and seen once, whatever the number of metrics.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_arrays, write_arrays
from gan_jax.core.paths import private
from gan_jax.core.registry import Option
from gan_jax.data import Dataset
from gan_jax.data.order import scattered
from gan_jax.metrics.chunks import CHUNK, in_chunks

REFERENCE = 10_000  # real examples with which samples are compared, if a metric's option says nothing else
Reference = Annotated[int, Option("largest number of real examples with which samples are compared", 2)]


class Seen(NamedTuple):
  """What a network makes of N images."""

  features: Array  # [N, D] float32
  logits: Array  # [N, K] float32


class Network(NamedTuple):
  """A network with its weights, bound to the images of one dataset."""

  name: str  # of the features, as in a config
  key: str  # digest of everything that the features depend on: equal keys, equal features
  size: int  # D
  see: Callable[[Array], Seen]  # images [B, H, W, C] in [-1, 1]
  protocol: str  # one line: weights and their hash, resize
  costly: bool = True  # whether the features of the real examples are kept on disk


def look(networks: Sequence[Network], draw: Callable[[Array], Array], count: int) -> dict[str, Seen]:
  """What each network makes of the first `count` samples, by its key; every sample is drawn once and seen once by each.

  Args:
    networks: any number, repetitions allowed.
    draw: indices [B] -> samples [B, H, W, C].
    count: number of samples.
  """
  different = {network.key: network for network in networks}

  def chunk(indices: Array) -> dict[str, Seen]:
    images = draw(indices)
    return {key: network.see(images) for key, network in different.items()}

  return in_chunks(chunk, count, chunk_size(different.values(), count)) if different else {}


def chunk_size(networks: Iterable[Network], count: int) -> int:
  """How many samples are drawn at once. A last chunk is computed whole: for a costly network none is larger than `count`."""
  return min(CHUNK, count) if any(network.costly for network in networks) else CHUNK


def by_batches(look: Callable[[Array], Seen], images: Array, size: int) -> Seen:
  """`look` at images [B, H, W, C], at most `size` at once: bounds the memory of a large network."""
  count = len(images)
  if count <= size:
    return look(images)
  return in_chunks(lambda indices: look(images[jnp.minimum(indices, count - 1)]), count, size)


def see_examples(network: Network, dataset: Dataset, images: Array, most: int) -> Seen:
  """What a network makes of at most `most` of the stored `images`, whatever the order in which they are stored."""

  @jax.jit
  def seen(stored: Array, order: Array) -> Seen:
    # The last chunk's surplus is cut off later; until then its indices must be valid.
    chosen = lambda indices: stored[order[jnp.minimum(indices, len(order) - 1)]]  # noqa: E731
    size = chunk_size([network], len(order))
    return in_chunks(lambda indices: network.see(dataset.decode(chosen(indices))), len(order), size)

  size = images.shape[0]
  chosen = scattered(jnp.arange(min(size, most)), size)
  if isinstance(images, np.ndarray):  # a mapped file, which may be larger than memory
    return seen(jnp.asarray(images[np.asarray(chosen)]), jnp.arange(len(chosen)))
  return seen(images, chosen)


def real_features(network: Network, dataset: Dataset, cache: Path, most: int) -> Array:
  """Features [M, D] of at most `most` of the examples that samples are compared with.

  Those of a costly network are kept in `cache`, in a file named by the digest of the examples, the network and `most`.
  """
  images = dataset.judged.images
  if not network.costly:
    return see_examples(network, dataset, images, most).features
  digest = hashlib.sha256(f"{network.key} {most} {images.shape} {images.dtype}".encode())
  digest.update(np.ascontiguousarray(images).data)
  path, shape = private(cache) / f"features-{digest.hexdigest()[:16]}.npz", (min(len(images), most), network.size)
  try:
    saved = read_arrays(path)["features"]
    if saved.shape == shape:
      return jnp.asarray(saved)
  except (BadInput, KeyError):
    pass  # absent or damaged: see the examples again
  found = see_examples(network, dataset, images, most).features
  write_arrays(path, features=np.asarray(found))
  return found


def compared(network: Network, size: int) -> str:
  """The protocol of a comparison with `size` real examples, for explanations."""
  return (
    f"in the {network.size:,} features of {network.protocol}; {size:,} real examples against evaluation_samples samples"
  )


def finite(features: Array, values: Mapping[str, Any]) -> dict[str, Array]:
  """`values` as float32, NaN where a feature is not finite: comparisons with NaN are false, and would count as a finding."""
  sound = jnp.isfinite(features).all()
  return {name: jnp.where(sound, jnp.float32(value), jnp.nan) for name, value in values.items()}
