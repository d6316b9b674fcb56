"""A small classifier of the dataset, whose features and predictions measure the generated images.

Trained once per dataset and cached, with its accuracy on examples it has not seen. Distances in its features are
comparable with one another on the same data, and with nothing else; they are not FID.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from gan_jax import runs
from gan_jax.data import Dataset
from gan_jax.data.order import example_indices
from gan_jax.errors import BadInput
from gan_jax.randomness import Purpose, derive_key
from gan_jax.types import Params

HIDDEN, FEATURES, STEPS, BATCH, RATE = 256, 64, 2000, 128, 1e-3
HELD_OUT = 5  # every fifth example is not trained on
VERSION = 1  # of this recipe: raise it when a change makes other features


class Classifier(NamedTuple):
  params: Params
  accuracy: float  # on the held-out fifth
  cached: bool


class Network(nn.Module):
  num_classes: int

  @nn.compact
  def __call__(self, images: Array) -> tuple[Array, Array]:
    hidden = nn.relu(nn.Dense(HIDDEN)(images.reshape(images.shape[0], -1)))
    features = nn.relu(nn.Dense(FEATURES)(hidden))
    return features, nn.Dense(self.num_classes)(features)


def apply(params: Params, images: Array, num_classes: int) -> tuple[Array, Array]:
  """images [B, ...] in [-1, 1] -> (features [B, 64], class logits [B, num_classes])."""
  outputs: tuple[Array, Array] = Network(num_classes).apply(params, images)  # type: ignore[assignment]
  return outputs


def train(dataset: Dataset) -> Classifier:
  """Fit by Adam on four fifths of the data; deterministic on one machine."""
  size = dataset.data.images.shape[0]
  unseen = np.arange(size) % HELD_OUT == 0
  images, labels = dataset.data.images, dataset.data.labels
  train_images, train_labels = images[~unseen], labels[~unseen]
  params = Network(dataset.num_classes).init(derive_key(0, 0, Purpose.CLASSIFIER), dataset.decode(images[:1]))
  optimizer = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

  def loss(params, batch, targets):
    logits = apply(params, batch, dataset.num_classes)[1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

  def step(carry, index):
    params, state = carry
    chosen = example_indices(0, index * BATCH, BATCH, train_images.shape[0])
    grads = jax.grad(loss)(params, dataset.decode(train_images[chosen]), train_labels[chosen])
    updates, state = optimizer.update(grads, state, params)
    return (optax.apply_updates(params, updates), state), None

  @jax.jit
  def fit(params):
    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(STEPS, dtype=jnp.uint32))
    right = apply(params, dataset.decode(images[unseen]), dataset.num_classes)[1].argmax(-1) == labels[unseen]
    return params, right.mean()

  params, accuracy = fit(params)
  return Classifier(jax.device_get(params), float(accuracy), cached=False)


def load_or_train(dataset: Dataset, cache: Path) -> Classifier:
  """The classifier of this very data from `cache`, or a fresh one, written there. A damaged file is trained again."""
  digest = hashlib.sha256(f"{VERSION} {HIDDEN} {FEATURES} {STEPS} {BATCH} {RATE}".encode())
  for array in (dataset.data.images, dataset.data.labels):
    digest.update(np.asarray(array).tobytes())
  path = cache / f"classifier-{digest.hexdigest()[:16]}.npz"
  template = jax.eval_shape(
    Network(dataset.num_classes).init, jax.random.key(0), jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32)
  )
  leaves, structure = jax.tree.flatten(template)
  try:
    saved = runs.read_arrays(path)
    found = [saved[f"leaf_{i}"] for i in range(len(leaves))]
    if [leaf.shape for leaf in found] == [leaf.shape for leaf in leaves]:
      return Classifier(jax.tree.unflatten(structure, found), float(saved["accuracy"]), cached=True)
  except (BadInput, KeyError):
    pass  # absent or damaged: train it again
  fresh = train(dataset)
  arrays = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(fresh.params))}
  runs.write_arrays(path, accuracy=np.asarray(fresh.accuracy), **arrays)
  return fresh
