"""Class losses: added to a loss on logits, they make a conditional discriminator tell the classes of what it is shown.

A class loss is two functions of the discriminator's `Output`, one for each player, both minimised. It uses the logits
of classes c of a second head, or the features h before the logit. In the formulas y is the class of an example (a fake
is drawn for it), CE(c, y) = -log softmax(c)_y, and in C and E the features have length one. With a class loss the
discriminator itself is not given the class: it has to find it.

    name         D, for a real x and a fake x'                    G, for a fake x'           class logits
    ac           CE(c(x), y) + CE(c(x'), y)                       CE(c(x'), y)               K
    tac          CE(c(x), y) + CE(m(x'), y)                       CE(c(x'), y) - CE(m(x'), y)   K of c, K of m
    adc          CE(c(x), y) + CE(c(x'), K + y)                   CE(c(x'), y) - CE(c(x'), K + y)   2 K
    multi_hinge  H(c(x), y) + H(c(x'), K)                         H(c(x'), y)                K + 1
    contrastive  C(x, y)                                          C(x', y)                   K, cosines
    d2d_ce       E(x, y)                                          E(x', y)                   K, cosines
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput
from gan_jax.core.norms import directions, largest
from gan_jax.core.registry import Entry, Option, Registry
from gan_jax.core.types import Output


class ClassLoss(NamedTuple):
  """Both functions give a term for each example, [B]; labels are int32 [B]."""

  discriminator: Callable[[Output, Output, Array], Array]  # (real, fake, labels)
  generator: Callable[[Output, Array], Array]  # (fake, labels)


class Head(NamedTuple):
  """The second head that a class loss needs."""

  width: Callable[[int], int]  # number of classes -> number of class logits
  cosine: bool = False  # they are cosines of the features with a vector for each class


CLASS_LOSSES = Registry("class_loss", (), traced="may")
Temperature = Annotated[ArrayLike, Option("divides all cosines", above=0, traced=True)]


@CLASS_LOSSES.register("none", facts=Head(lambda classes: 0))
def none() -> None:
  """No class loss."""


def get(name: str) -> Entry:
  """The entry of that name. Raises `BadInput` for an unknown name."""
  return CLASS_LOSSES.get(name)


def select(logits: Array, labels: Array) -> Array:
  """[B]: the logit of each example's label. A product with one-hot rows: the gradient of indexing is a scatter."""
  return jnp.sum(logits * jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype), axis=1)


def cross_entropy(logits: Array, labels: Array) -> Array:
  """CE(c, y) = log sum_k exp c_k - c_y of logits [B, K], [B]."""
  logits = at_least_float32(logits)
  return jax.nn.logsumexp(logits, axis=1) - select(logits, labels)


def margin(logits: Array, labels: Array) -> Array:
  """H(c, y) = max(0, 1 - c_y + max_{k != y} c_k), the hinge of several classes (Crammer and Singer 2001)."""
  logits = at_least_float32(logits)
  others = jnp.where(jax.nn.one_hot(labels, logits.shape[1], dtype=bool), -jnp.inf, logits)
  return jax.nn.relu(1 - select(logits, labels) + largest(others, axis=1))


def classes(output: Output) -> Array:
  """The class logits. Raises `BadInput` where the discriminator gives none."""
  if output.classes is None:
    raise BadInput("a class loss expected a discriminator with Output.classes, logits of classes, got none")
  return at_least_float32(output.classes)


def units(output: Output) -> Array:
  """The features of unit length, [B, F]. Raises `BadInput` where there are none."""
  if output.features is None:
    raise BadInput("a class loss expected a discriminator with Output.features, got none")
  return directions(output.features, axis=1)


@CLASS_LOSSES.register("ac", facts=Head(lambda classes: classes))
def auxiliary_classifier(
  *, fakes: Annotated[bool, Option("the discriminator learns the classes of fakes too, as published")] = True
) -> ClassLoss:
  """Auxiliary classifier GAN (Odena et al. 2017, arXiv:1610.09585, eq. 3); most later code has fakes=False."""

  def discriminator(real: Output, fake: Output, labels: Array) -> Array:
    own = cross_entropy(classes(real), labels)
    return own + cross_entropy(classes(fake), labels) if fakes else own

  return ClassLoss(discriminator, lambda fake, labels: cross_entropy(classes(fake), labels))


@CLASS_LOSSES.register("tac", facts=Head(lambda classes: 2 * classes))
def twin() -> ClassLoss:
  """Twin auxiliary classifiers (Gong et al. 2019, arXiv:1907.02690): the twin m learns the classes of fakes, and the
  generator makes them hard for it, which cancels AC's preference for fakes that are easy to classify.

  c learns from real examples only, as in later code; the paper's eq. 5 also shows it fakes.
  """

  def split(output: Output) -> tuple[Array, Array]:
    both = classes(output)
    return both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]

  def generator(fake: Output, labels: Array) -> Array:
    own, twins = split(fake)
    return cross_entropy(own, labels) - cross_entropy(twins, labels)

  return ClassLoss(
    lambda real, fake, labels: cross_entropy(split(real)[0], labels) + cross_entropy(split(fake)[1], labels), generator
  )


@CLASS_LOSSES.register("adc", facts=Head(lambda classes: 2 * classes))
def discriminative_classifier() -> ClassLoss:
  """Discriminative classifier (Hou et al. 2022, "Conditional GANs with auxiliary discriminative classifier",
  arXiv:2107.10060): one classifier of 2 K classes, real ones first, then fake ones.
  """

  def fakes(output: Output, labels: Array) -> Array:
    return labels + classes(output).shape[1] // 2

  return ClassLoss(
    lambda real, fake, labels: cross_entropy(classes(real), labels) + cross_entropy(classes(fake), fakes(fake, labels)),
    lambda fake, labels: cross_entropy(classes(fake), labels) - cross_entropy(classes(fake), fakes(fake, labels)),
  )


@CLASS_LOSSES.register("multi_hinge", facts=Head(lambda classes: classes + 1))
def multi_hinge() -> ClassLoss:
  """Hinge of K + 1 classes, the last one of all fakes (Kavalerov et al. 2021, arXiv:1912.04216)."""

  def discriminator(real: Output, fake: Output, labels: Array) -> Array:
    last = jnp.full_like(labels, classes(fake).shape[1] - 1)
    return margin(classes(real), labels) + margin(classes(fake), last)

  return ClassLoss(discriminator, lambda fake, labels: margin(classes(fake), labels))


def alike(labels: Array) -> tuple[Array, Array]:
  """bool [B, B]: (different examples of one class, examples of different classes)."""
  same = labels[:, None] == labels[None, :]
  return same & ~jnp.eye(len(labels), dtype=bool), ~same


def log_sum(own: Array, others: Array, chosen: Array) -> Array:
  """log(exp(own_i) + sum of exp(others_ij) over the chosen j), [B]."""
  masked = jnp.where(chosen, others, -jnp.inf)
  return jax.nn.logsumexp(jnp.concatenate([own[:, None], masked], axis=1), axis=1)


@CLASS_LOSSES.register("contrastive", facts=Head(lambda classes: classes, cosine=True))
def contrastive(*, temperature: Temperature = 1.0) -> ClassLoss:
  """The 2C loss (Kang and Park 2020, "ContraGAN", arXiv:2006.12681, eq. 9), with cosines divided by t, `temperature`:

  C(x_i, y_i) = -log [exp(c_{y_i}) + sum_{j != i, y_j = y_i} exp(h_i . h_j)] / [exp(c_{y_i}) + sum_{j != i} exp(h_i . h_j)].
  """

  def term(output: Output, labels: Array) -> Array:
    h = units(output)
    own, pairs = select(classes(output), labels) / temperature, h @ h.T / temperature
    same, other = alike(labels)
    return log_sum(own, pairs, same | other) - log_sum(own, pairs, same)

  return ClassLoss(lambda real, fake, labels: term(real, labels), term)


@CLASS_LOSSES.register("d2d_ce", facts=Head(lambda classes: classes, cosine=True))
def data_to_data(
  *,
  temperature: Temperature = 0.5,
  margin: Annotated[ArrayLike, Option("m: cosines above it are near enough", 0, 1, traced=True)] = 0.98,
) -> ClassLoss:
  """Data-to-data cross-entropy (Kang et al. 2021, "ReACGAN", arXiv:2111.01118, eq. 10), with all divided by `temperature`:

  E(x_i, y_i) = -p + log[exp(p) + sum_{y_j != y_i} exp(n_ij)], p = min(c_{y_i} - m, 0), n_ij = max(h_i . h_j - (1 - m), 0).
  """

  def term(output: Output, labels: Array) -> Array:
    h = units(output)
    near = jnp.minimum(select(classes(output), labels) - margin, 0) / temperature
    far = jnp.maximum(h @ h.T - (1 - jnp.asarray(margin)), 0) / temperature
    return log_sum(near, far, alike(labels)[1]) - near

  return ClassLoss(lambda real, fake, labels: term(real, labels), term)
