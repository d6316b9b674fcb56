"""Modes of stacked MNIST: of a thousand known ones, how many the samples have, and how evenly.

Three digits are the channels of an image, and its mode is the number that they form. Each channel of a sample is given to
a classifier of single digits; a mode is covered by one sample or more. The protocol of VEEGAN (Srivastava et al. 2017,
arXiv:1705.07761) and PacGAN (Lin et al. 2018, arXiv:1712.04086) counts in 26,000 samples: `evaluation_samples`.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.errors import BadInput
from gan_jax.core.types import Data
from gan_jax.data import Dataset
from gan_jax.data.order import scattered
from gan_jax.metrics import classifier, shares
from gan_jax.metrics.networks import Network, Seen
from gan_jax.metrics.registry import Quality, of_features, register

PLACES = np.array([100, 10, 1])  # of the digits in the number of a mode
MODES, DIGITS = 1000, 10
TAUGHT = 20_000  # images whose channels the classifier learns from
LEAST = 0.9  # accuracy of the classifier of single digits


def _not_stacked(dataset: Dataset) -> str:
  if dataset.kind == "images" and dataset.image_shape[-1] == len(PLACES) and dataset.num_classes == MODES:
    return ""
  return (
    "expected digits as three channels, of 1,000 classes, as 'stacked_mnist', for metric 'stacked_modes', got another"
  )


def digits_of(dataset: Dataset) -> Dataset:
  """The different digits [n, H, W, 1] in a sample of the stacked images, and which they are.

  One digit is in many images. Each is taken once: a copy of a held-out digit would otherwise be trained on.
  """
  size = len(dataset.judged.images)
  chosen = np.asarray(scattered(jnp.arange(min(size, TAUGHT)), size))
  images = np.moveaxis(np.asarray(dataset.judged.images)[chosen], -1, 0)
  labels = np.asarray(dataset.judged.labels)[chosen] // PLACES[:, None] % DIGITS
  shape = (*dataset.image_shape[:2], 1)
  rows = np.ascontiguousarray(images.reshape(labels.size, -1))
  _, first = np.unique(rows.view(f"V{rows[0].nbytes}"), return_index=True)
  data = Data(jnp.asarray(rows[first].reshape(-1, *shape)), jnp.asarray(labels.ravel()[first], jnp.int32))
  return dataset._replace(data=data, image_shape=shape, num_classes=DIGITS, reference=None)


def network(dataset: Dataset, cache: Path) -> Network:
  """A network of stacked images whose logits [B, 30] are those of a classifier of digits, channel by channel.

  Raises:
    BadInput: less than 90 % of the held-out digits are recognised, so modes cannot be counted.
  """
  single = digits_of(dataset)
  trained = classifier.load_or_train(single, cache, convolutional=True)
  if trained.accuracy < LEAST:
    raise BadInput(
      f"metric 'stacked_modes' expected digits of which {LEAST:.0%} are recognised, got {trained.accuracy:.1%}: are the "
      "channels digits, and the classes 100 a + 10 b + c of the digits (a, b, c)?"
    )
  look = classifier.network(trained, single)

  def see(images: Array) -> Seen:
    channels = jnp.moveaxis(images, -1, 1)[..., None]
    found = look.see(channels.reshape(-1, *single.image_shape))
    return Seen(*(x.reshape(len(images), -1) for x in found))

  protocol = f"a convolutional classifier of single digits ({trained.accuracy:.1%} accurate on held-out digits)"
  return Network("digits", f"stacked {look.key}", len(PLACES) * look.size, see, protocol, costly=False)


def modes_of(logits: Array) -> Array:
  """The mode [N] of each sample from the logits [N, 30] of its digits."""
  digits = logits.reshape(len(logits), len(PLACES), DIGITS).argmax(axis=-1)
  return digits @ jnp.asarray(PLACES, digits.dtype)


def count(modes: Array, own: np.ndarray) -> dict[str, Array]:
  """The columns, of the modes [N] of samples and the numbers [1000] of the data's examples of each mode."""
  share = jnp.zeros(MODES).at[modes].add(1.0) / len(modes)
  present, due = shares.presence(share, own, len(modes))
  return {
    "modes/covered": jnp.sum(share > 0).astype(jnp.float32),
    "modes/present": present,
    "modes/in_data": due,
    "modes/reverse_kl": shares.divergence(share, np.ones(MODES)),
  }


@register(
  "stacked_modes",
  lambda dataset: False,
  _not_stacked,
  ranks=lambda dataset, options: ("modes/covered", "modes/reverse_kl"),
)
def build(dataset: Dataset, cache: Path) -> Quality:
  """Modes of stacked MNIST: how many of the 1,000 are covered, and the KL divergence from even shares."""
  digits = network(dataset, cache)
  own = np.bincount(np.asarray(dataset.judged.labels), minlength=MODES)

  def judge(seen: Seen, near: bool) -> dict[str, Array]:
    found = count(modes_of(seen.logits), own)
    sound = jnp.isfinite(seen.logits).all()
    return {name: jnp.where(sound, value, jnp.nan) for name, value in found.items()}

  def finish(found: dict[str, Array]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in found.items()}

  explained = {
    "modes/covered": f"modes of 1,000 with at least one of evaluation_samples samples, by {digits.protocol}; of N samples of "
    "the data 1,000 (1 - exp(-N / 1,000)): 865 of 2,000, and all of 26,000, the published protocol's number",
    "modes/present": "modes with at least a tenth of the share of samples that they have in the data",
    "modes/in_data": "modes of the data of which as many samples are expected to contain three or more",
    "modes/reverse_kl": "KL divergence of the samples' modes from even shares, in nats; of N samples of the data about "
    "500 / N, if N is several thousand",
  }
  return of_features(digits, judge, finish, explained, {"stacked_modes_classifier": digits.protocol})
