"""How a loss enters a gradient: as a cotangent on the logits, or on the features that a loss of features reads.

The loss may be chosen by a traced index.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Output, Params
from gan_jax.game.batches import PlayerName
from gan_jax.game.reading import no_features
from gan_jax.game.rules import Game
from gan_jax.settings.records import Hypers

MICRO_BATCHES = 8  # largest number of micro-batches


def read(game: Game, output: Output) -> Array:
  """What the run's losses are functions of: logits [B], or features [B, F]. Raises `BadInput` where there are none."""
  if game.reads == "logits":
    return output.logits
  if output.features is None:
    raise BadInput(no_features(game.spec.losses[0]))
  return at_least_float32(output.features)


def loss_slopes(game: Game, half: PlayerName, hypers: Hypers, real: Array, fake: Array) -> tuple[Array, Array, Array]:
  """(mean loss, its derivative by `real`, by `fake`) of the loss that `hypers.loss_index` chooses; see `read`.

  Under `vmap` over runs of different losses the switch computes all branches and selects one of the resulting vectors. An
  inf or NaN in a loss that was not chosen cannot reach this member, as it would through the gradient of a `where` over
  losses.
  """

  def branch(builder, options):
    loss = getattr(builder(**options), half)

    def value_and_cotangents(real, fake):
      value, pull = jax.vjp(lambda r, f: loss(r, f).mean(), real, fake)
      return value, *pull(jnp.ones_like(value))

    return value_and_cotangents

  branches = [branch(b, o) for b, o in zip(game.losses, hypers.loss_options, strict=True)]
  if len(branches) == 1:
    return branches[0](real, fake)
  return lax.switch(hypers.loss_index, branches, real, fake)


def undecided_logit(game: Game, hypers: Hypers) -> tuple[Array, Array]:
  """Of the loss in use: (the optimal logit where p = q, NaN if there is none; whether the optimal logit is log p/q)."""
  log_ratios = jnp.array([-1.0, 0.0, 2.0])

  def of(optimal, options):
    if optimal is None:
      return jnp.full((), jnp.nan), jnp.zeros((), bool)
    logits = optimal(log_ratios, **options)
    return logits[1], jnp.allclose(logits, log_ratios, atol=1e-4)

  found = [of(*pair) for pair in zip(game.optimal_logits, hypers.loss_options, strict=True)]
  logits, calibrated = (jnp.stack(column)[jnp.asarray(hypers.loss_index)] for column in zip(*found, strict=True))
  return logits, calibrated


def micro_gradients(pull: Callable[..., Params], cotangents: Any) -> Params:
  """[M, ...]: the gradients of M <= 8 equal parts of a batch, from the linear `pull`. Their mean is the batch's gradient."""
  leaves = jax.tree.leaves(cotangents)
  count = leaves[0].shape[0]
  parts = max(m for m in range(1, MICRO_BATCHES + 1) if count % m == 0)
  masks = parts * jnp.repeat(jnp.eye(parts, dtype=leaves[0].dtype), count // parts, axis=1)
  masked = lambda mask: jax.tree.map(lambda c: mask.reshape(-1, *[1] * (c.ndim - 1)) * c, cotangents)  # noqa: E731
  return jax.vmap(lambda mask: pull(masked(mask)))(masks)


def from_logits(output: Output, slopes: Array) -> Output:
  """A cotangent of an output: `slopes` by its logits, zero by the rest."""
  return jax.tree.map(jnp.zeros_like, output)._replace(logits=slopes)


def from_read(game: Game, output: Output, slopes: Array) -> Output:
  """A cotangent of an output: `slopes` by what the losses read, zero by the rest."""
  if game.reads == "logits":
    return from_logits(output, slopes)
  assert output.features is not None
  return jax.tree.map(jnp.zeros_like, output)._replace(features=slopes.astype(output.features.dtype))


def cotangents(game: Game, outputs: tuple[Output, Output], slopes: Sequence[Array]) -> tuple[Output, Output]:
  """Cotangents of the discriminator's outputs (of the reals, of the fakes): see `from_read`.

  Where the last layer is a direction d trained by itself, also those of mean <d, h(fake)> - mean <d, h(real)> by d: what
  Takida et al. 2024 (SAN, arXiv:2301.12811) add to the discriminator's loss, with weight 1. They weight the examples by
  the slope of the generator's loss, which is 1 under `wasserstein` and `hinge`. Here it is 1 under every loss.
  """

  def of(output: Output, slope: Array, sign: int) -> Output:
    found = from_read(game, output, slope)
    if output.direction is None:
      return found
    return found._replace(direction=jnp.full_like(output.direction, sign / len(output.direction)))

  real, fake = outputs
  return of(real, slopes[0], -1), of(fake, slopes[1], 1)


def class_gradient(of: Callable[[Any], Array], outputs: Any, weight: ArrayLike) -> tuple[Array, Any]:
  """(mean of a class loss, its derivative by the outputs times `weight`)."""
  value, slopes = jax.value_and_grad(lambda seen: of(seen).mean())(outputs)
  return value, jax.tree.map(lambda slope: weight * slope, slopes)


def hits(output: Output, labels: Array) -> Array:
  """The share of examples whose largest class logit is that of their class."""
  assert output.classes is not None
  return (jnp.argmax(output.classes, axis=1) == labels).mean()


def add(tree: Params, other: Params) -> Params:
  return jax.tree.map(jnp.add, tree, other)
