"""A small classifier of the dataset, whose features and predictions measure the generated images.

Trained once per dataset and cached, with its accuracy on examples it has not seen. Distances in its features are
comparable with one another on the same data, and with nothing else; they are not FID.

Data of one class, or without labels, give a classifier nothing to learn. There it is trained to tell along which axes
an image was mirrored: none, the first, the second or both (as Gidaris et al. 2018, arXiv:1803.07728, learn features
from rotations).

Small gray images have a fully connected network. Images in colour, and larger ones, have a convolutional one (`convnet`),
which is refused as a judge where it is hardly better than chance (`check`).
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_arrays, write_arrays
from gan_jax.core.paths import private
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Data, Params
from gan_jax.data import Dataset
from gan_jax.data.order import example_indices, scattered
from gan_jax.metrics import convnet, networks

HIDDEN, FEATURES, BATCH = 256, 64, 128
STEPS, RATE = 2000, 1e-3
CONVOLUTIONAL_STEPS, CONVOLUTIONAL_RATE = 800, 3e-3
LARGE = 32  # a side from which gray images have the convolutional network too
MOST = 100_000  # examples of a mapped file that it is trained on
HELD_OUT = 5  # one in five is not trained on
FLIPS = 4  # none, upside down, left to right, both
VERSION = 2  # of this recipe: raise it when a change makes other features
CHANCES, WAY, WAY_OF_FLIPS = 3.0, 0.2, 0.1  # see `least_accuracy`


class Classifier(NamedTuple):
  params: Params
  by_class: bool  # trained to tell classes apart, not how an image was mirrored
  accuracy: float  # on the held-out fifth
  cached: bool
  chance: float = 0.0  # accuracy of one who always names the most frequent class
  convolutional: bool = False


class Network(nn.Module):
  num_classes: int

  @nn.compact
  def __call__(self, images: Array) -> tuple[Array, Array]:
    hidden = nn.relu(nn.Dense(HIDDEN)(images.reshape(images.shape[0], -1)))
    features = nn.relu(nn.Dense(FEATURES)(hidden))
    return features, nn.Dense(self.num_classes)(features)


class Task(NamedTuple):
  """What is trained for a dataset, and how."""

  network: Any  # images [B, H, W, C] in [-1, 1] -> (features [B, 64], logits [B, classes]), a Flax module
  by_class: bool
  classes: int
  steps: int
  rate: float
  chance: float
  recipe: str  # everything that its parameters depend on, but the data


def task(dataset: Dataset, convolutional: bool | None = None) -> Task:
  """The network and the recipe for a dataset; which network may be given."""
  by_class = tells_classes(dataset)
  classes = dataset.num_classes if by_class else FLIPS
  labels = np.asarray(dataset.judged.labels)
  chance = float(np.bincount(labels).max() / len(labels)) if by_class else 1 / FLIPS
  height, width, channels = dataset.image_shape
  small = channels == 1 and max(height, width) < LARGE
  if not (not small if convolutional is None else convolutional):
    recipe = f"{VERSION} {HIDDEN} {FEATURES} {STEPS} {BATCH} {RATE}"
    return Task(Network(classes), by_class, classes, STEPS, RATE, chance, recipe)
  steps, rate = CONVOLUTIONAL_STEPS, CONVOLUTIONAL_RATE
  recipe = f"{VERSION} convolutional {convnet.WIDTHS} {convnet.SIDE} {FEATURES} {steps} {BATCH} {rate}"
  return Task(convnet.ConvNet(FEATURES, classes), by_class, classes, steps, rate, chance, recipe)


def tells_classes(dataset: Dataset) -> bool:
  """Whether the data have several classes. If not, the classifier tells apart `FLIPS` ways of mirroring an image."""
  return len(np.unique(dataset.judged.labels)) > 1


def flip(images: Array, how: Array) -> Array:
  """images [B, H, W, C], each mirrored along the first axis where `how` [B] is odd, and the second where it is above 1."""
  images = jnp.where((how % 2 == 1)[:, None, None, None], jnp.flip(images, 1), images)
  return jnp.where((how > 1)[:, None, None, None], jnp.flip(images, 2), images)


def train(dataset: Dataset, convolutional: bool | None = None) -> Classifier:
  """Fit by Adam on four fifths of the data, whatever their order; deterministic on one machine."""
  stored = dataset.judged
  if isinstance(stored.images, np.ndarray):  # a mapped file, which may be larger than memory
    some = np.sort(np.asarray(scattered(jnp.arange(min(len(stored.images), MOST)), len(stored.images))))
    stored = Data(stored.images[some], jnp.asarray(stored.labels)[some])
  images = stored.images
  order = scattered(jnp.arange(len(images)), len(images))
  held = max(len(images) // HELD_OUT, 1)
  plan = task(dataset, convolutional)
  params = plan.network.init(derive_key(0, 0, Purpose.CLASSIFIER), dataset.decode(images[:1]))
  optimizer = optax.adam(optax.cosine_decay_schedule(plan.rate, plan.steps))

  def examples(data: Data, chosen: Array) -> tuple[Array, Array]:
    """(images, targets)."""
    batch = dataset.decode(data.images[chosen])
    if plan.by_class:
      return batch, data.labels[chosen]
    how = jnp.arange(len(chosen), dtype=jnp.int32) % FLIPS
    return flip(batch, how), how

  def loss(params, batch, targets):
    logits = plan.network.apply(params, batch)[1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

  @jax.jit  # the data are an argument: were they a constant, XLA would decode them while it compiles
  def fit(params, data, trained, unseen):
    def step(carry, index):
      params, state = carry
      chosen = trained[example_indices(0, index * BATCH, BATCH, len(trained))]
      grads = jax.grad(loss)(params, *examples(data, chosen))
      updates, state = optimizer.update(grads, state, params)
      return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(plan.steps, dtype=jnp.uint32))
    shown, targets = examples(data, unseen)
    return params, (plan.network.apply(params, shown)[1].argmax(-1) == targets).mean()

  params, accuracy = fit(params, stored, order[held:], order[:held])
  return judge(plan, jax.device_get(params), float(accuracy), cached=False)


def judge(plan: Task, params: Params, accuracy: float, cached: bool) -> Classifier:
  """The record of a trained network."""
  return Classifier(params, plan.by_class, accuracy, cached, plan.chance, isinstance(plan.network, convnet.ConvNet))


def least_accuracy(chance: float, by_class: bool) -> float:
  """The held-out accuracy below which a classifier is no judge: three times chance, or a fifth of the way from chance to 1.

  The smaller of the two: 28 % of ten even classes, 3 % of a hundred, 60 % of two. Of mirrored images a tenth of the way,
  32.5 %: much in the world is the same from left to right (CIFAR-10's images give 41 %, without their labels).
  """
  return min(CHANCES * chance, chance + (WAY if by_class else WAY_OF_FLIPS) * (1 - chance))


def weakness(trained: Classifier) -> str:
  """Why a classifier is too poor to compare samples by its features; '' where it is not.

  One that tells classes apart is then refused: labels may be wrong. Of images without labels the features are used all
  the same, with this sentence as a warning: a study of one's own pictures should not need another network.
  """
  least = least_accuracy(trained.chance, trained.by_class)
  if trained.accuracy >= least:
    return ""
  advice = ", or check that the labels are right" if trained.by_class else ""
  return (
    f"the small classifier of this data expected an accuracy of at least {least:.1%} on held-out examples to judge samples "
    f"(chance is {trained.chance:.1%}), got {trained.accuracy:.1%}: measure in the features of a network that was trained "
    f"on other images, such as metrics=kid with metric_options.kid.features=lite0{advice}"
  )


def check(trained: Classifier) -> None:
  """Raises `BadInput` where a classifier is too poor; see `weakness`."""
  if found := weakness(trained):
    raise BadInput(found)


def network(trained: Classifier, dataset: Dataset) -> networks.Network:
  """The classifier as the network `classifier`, in whose features samples are compared."""
  plan = task(dataset, trained.convolutional)
  digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(trained.params)))
  taught = "the classes of this data" if trained.by_class else "how this data was mirrored"
  protocol = (
    f"a small classifier of {taught} (weights {digest.hexdigest()[:12]}, {trained.accuracy:.1%} accurate on held-out "
    "examples), images as they are"
  )
  see = lambda images: networks.Seen(*plan.network.apply(trained.params, images))  # noqa: E731
  return networks.Network("classifier", f"classifier {digest.hexdigest()}", FEATURES, see, protocol, costly=False)


def load_or_train(dataset: Dataset, cache: Path, convolutional: bool | None = None) -> Classifier:
  """The classifier of exactly these data from `cache`; where there is none, or a damaged file, one is trained and saved."""
  plan = task(dataset, convolutional)
  digest = hashlib.sha256(plan.recipe.encode())
  for array in dataset.judged:
    digest.update(np.ascontiguousarray(array).data)  # without a copy: it may be a mapped file
  path = private(cache) / f"classifier-{digest.hexdigest()[:16]}.npz"
  template = jax.eval_shape(
    plan.network.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32)
  )
  leaves, structure = jax.tree.flatten(template)
  try:
    saved = read_arrays(path)
    found = [saved[f"leaf_{i}"] for i in range(len(leaves))]
    if [leaf.shape for leaf in found] == [leaf.shape for leaf in leaves]:
      return judge(plan, jax.tree.unflatten(structure, found), float(saved["accuracy"]), cached=True)
  except (BadInput, KeyError):
    pass  # absent or damaged: train it again
  fresh = train(dataset, convolutional)
  arrays = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(fresh.params))}
  write_arrays(path, accuracy=np.asarray(fresh.accuracy), **arrays)
  return fresh
