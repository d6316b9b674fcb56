"""The discriminator's gradient at one point of the game: that of its loss, and that of its penalties.

A point is (gen_params, disc_params); `memory` is the run's `Memories`. All static choices are in `game`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax import probes
from gan_jax.core.norms import norm_per_example
from gan_jax.core.types import DiscriminatorView, Key, Memories, Memory, Output, Params
from gan_jax.game import controllers
from gan_jax.game.batches import Batch, shown
from gan_jax.game.objective import (
  add,
  class_gradient,
  cotangents,
  from_logits,
  hits,
  loss_slopes,
  micro_gradients,
  read,
)
from gan_jax.game.rules import Game, constraint
from gan_jax.penalties import Moved
from gan_jax.penalties.consistency import shift_latent
from gan_jax.settings.records import Hypers

SHOWN = ("both", "real", "fake", "between", "held out", "penalty")  # each augmented by draws of its own


class Seen(NamedTuple):
  """What is returned with a player's gradient."""

  view: Any  # DiscriminatorView or GeneratorView
  memory: Memory  # the player's own, after these forward passes


def generate(game: Game, params: Params, memory: Memories, noise: Array, labels: Array) -> tuple[Array, Memory]:
  """(images, the generator's memory after this pass), as in training."""
  return game.generator.apply(params, memory.generator, noise, labels, True)


def judge(
  game: Game, hypers: Hypers, params: Params, memory: Memories, images: Array, labels: Array, key: Key
) -> tuple[Output, Memory]:
  """(the discriminator's output, its memory after this pass), as in training: of augmented images, with constrained
  weights and normalised logits. Penalties and slopes go through here as well, so they are those of this discriminator.
  """
  if game.disguise is not None:
    images = game.disguise(images, key, memory.strength)
  weights = constraint(game, hypers).bind(params, memory.constraint)
  see = lambda x: game.discriminator.apply(weights, memory.discriminator, x, labels, True)  # noqa: E731
  return gradient_normalised(see, images) if game.spec.gradient_normalisation else see(images)


def gradient_normalised(see: Callable[[Array], tuple[Output, Memory]], images: Array) -> tuple[Output, Memory]:
  """`see(images)` with each logit f(x) replaced by f(x) / (|grad_x f(x)| + |f(x)|), in [-1, 1]; 0 where both are 0.

  It is the same for c f, c > 0. Where f is linear, as in each piece of a network of rectifiers, its slope is
  (|grad f| / (|grad f| + |f|))^2 <= 1. Between two pieces |grad f| jumps and so does the normalised logit: the bound
  is one on slopes, not on differences. x is the image as the network sees it, augmented. Features and logits of classes
  are left as they are. A training step takes one derivative of this by the weights, so that spectral normalisation, whose
  first derivative is right, goes with it.

  Source: Wu et al. 2021, "Gradient normalization for generative adversarial networks" (arXiv:2109.02235).

  Args:
    see: a discriminator whose logit of an image depends on no other image.
  """
  output, pull, memory = jax.vjp(see, images, has_aux=True)
  logits = output.logits
  size = norm_per_example(pull(from_logits(output, jnp.ones_like(logits)))[0]) + jnp.abs(logits)
  # By a constant, or the derivative of the quotient would contain size^2, which a vanishing slope underflows.
  scale = lax.stop_gradient(jnp.where(size > 0, size, 1))
  return output._replace(logits=(logits / scale) / jnp.where(size > 0, size / scale, 1)), memory


def of(what: str, batch: Batch) -> Key:
  """The key by which some images of a batch are augmented."""
  return jax.random.fold_in(batch.view, SHOWN.index(what))


def used(game: Game, output: Output) -> Output:
  """The parts of an output that the run's losses use."""
  if game.spec.class_loss != "none":
    return output
  return Output(output.logits, output.features if game.reads == "features" else None, direction=output.direction)


def judge_both(
  game: Game, hypers: Hypers, params: Params, memory: Memories, batch: Batch, fake: Array
) -> tuple[tuple[Output, Output], Memory]:
  """((of the reals, of the fakes), the discriminator's memory after both); logits only where nothing else is used."""
  if game.couples_batch:  # reals and fakes are each normalised by their own statistics
    real, after = judge(game, hypers, params, memory, batch.real, batch.labels, of("real", batch))
    moved = memory._replace(discriminator=after)
    of_fake, after = judge(game, hypers, params, moved, fake, batch.labels, of("fake", batch))
    return (used(game, real), used(game, of_fake)), after
  images, labels = jnp.concatenate([batch.real, fake]), jnp.concatenate([batch.labels, batch.labels])
  output, after = judge(game, hypers, params, memory, images, labels, of("both", batch))
  half = len(output.logits) // 2  # not len(fake): a pack of examples has one logit
  output = used(game, output)
  return (jax.tree.map(lambda x: x[:half], output), jax.tree.map(lambda x: x[half:], output)), after


def loss_gradient(game: Game, hypers: Hypers, point: Any, memory: Memories, batch: Batch) -> tuple[Params, Seen]:
  """The gradient of the loss and the penalties on logits; their slopes are added to the loss's, so they need no pass."""
  gen_params, disc_params = point
  fake = shown(generate(game, gen_params, memory, batch.noise, batch.labels)[0], batch)
  see = lambda params: judge_both(game, hypers, params, memory, batch, fake)  # noqa: E731
  outputs, pull, after = jax.vjp(see, disc_params, has_aux=True)
  logits = tuple(output.logits for output in outputs)
  kept = controllers.bound(game, hypers, memory)
  loss, *slopes = loss_slopes(game, "discriminator", kept, *(read(game, output) for output in outputs))
  in_parts = "noise" in probes.requested(game.spec.probes)
  parts = micro_gradients(lambda c: pull(c)[0], cotangents(game, outputs, slopes)) if in_parts else None
  total = jnp.zeros_like(loss)
  for i, penalty in enumerate(game.penalties):
    if penalty.kind == "logits":
      options = hypers.penalty_options[penalty.name]
      of_logits = lambda pair, f=penalty.function, o=options: f(*pair, memory.logit_means, **o).mean()  # noqa: E731
      value, more = jax.value_and_grad(of_logits)(logits)
      slopes = [s + hypers.penalty_weights[i] * m for s, m in zip(slopes, more, strict=True)]
      total += value
  seeds, of_class = cotangents(game, outputs, slopes), {}
  if class_loss := game.class_loss(**hypers.class_loss_options):
    of_outputs = lambda pair: class_loss.discriminator(pair[0], pair[1], batch.labels)  # noqa: E731
    value, more = class_gradient(of_outputs, outputs, hypers.class_weight)
    seeds, of_class = add(seeds, more), {"class_loss": value, "class_accuracy": hits(outputs[0], batch.labels)}
  (grads,) = pull(seeds)
  view = DiscriminatorView(loss, total, logits[0], logits[1], parts, grads, disc_params)
  return grads, Seen(view._replace(**of_class, **controllers.seen(game, hypers, memory, *logits)), after)


def costly(game: Game) -> bool:
  """Whether any penalty needs a further pass through the discriminator, or its weights."""
  return any(penalty.kind != "logits" for penalty in game.penalties)


def penalties(
  game: Game, params: Params, gen_params: Params, hypers: Hypers, memory: Memories, batch: Batch
) -> tuple[Array, Array]:
  """(weighted sum, sum) of the penalties that are functions of the discriminator or of its weights."""
  key = of("penalty", batch)
  critic = lambda images: judge(game, hypers, params, memory, images, batch.labels, key)[0].logits  # noqa: E731
  make = lambda noise: shown(generate(game, gen_params, memory, noise, batch.labels)[0], batch)  # noqa: E731
  fake = make(batch.noise)
  weighted, total = jnp.zeros(()), jnp.zeros(())
  for i, penalty in enumerate(game.penalties):
    if penalty.kind == "logits":
      continue
    options = hypers.penalty_options[penalty.name]
    if penalty.kind == "parameters":
      value = penalty.function(params, **options)
    elif penalty.kind == "critic":
      value = penalty.function(critic, batch.real, fake, batch.key, **options).mean()
    else:
      keys = jax.random.split(batch.key, 3)
      nearby = lambda shift, key=keys[2]: make(shift_latent(batch.noise, key, shift))  # noqa: E731
      moved = (game.augment(batch.real, keys[0]), game.augment(fake, keys[1]), nearby)
      value = penalty.function(critic, Moved(batch.real, fake, *moved), **options).mean()
    weighted += hypers.penalty_weights[i] * value
    total += value
  return weighted, total


def penalty_gradient(game: Game, hypers: Hypers, point: Any, memory: Memories, batch: Batch) -> tuple[Params, Array]:
  """The gradient of `penalties`, and their sum without weights."""
  gen_params, disc_params = point
  objective = lambda params: penalties(game, params, gen_params, hypers, memory, batch)  # noqa: E731
  return jax.grad(objective, has_aux=True)(disc_params)


def gradient(game: Game, hypers: Hypers, point: Any, memory: Memories, batch: Batch) -> tuple[Params, Seen]:
  """The gradient of the loss and all penalties."""
  grads, seen = loss_gradient(game, hypers, point, memory, batch)
  if costly(game):
    more, total = penalty_gradient(game, hypers, point, memory, batch)
    grads = add(grads, more)
    seen = seen._replace(view=seen.view._replace(penalty=seen.view.penalty + total, grads=grads))
  return grads, seen
