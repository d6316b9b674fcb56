"""The generator's gradient at one point of the game, and its three factors.

The derivative is taken in stages, parameters -> images -> logits, and the loss enters as a cotangent on the logits. So
the view contains the three factors of the generator's gradient: the loss's, the discriminator's and the generator's.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax import probes
from gan_jax.core.norms import unit
from gan_jax.core.types import GeneratorView, Memories, Memory, Output, Params
from gan_jax.game import discriminator
from gan_jax.game.batches import Batch, shown
from gan_jax.game.discriminator import Seen, generate, judge, judge_both, of, used
from gan_jax.game.objective import add, class_gradient, from_logits, from_read, hits, loss_slopes, micro_gradients, read
from gan_jax.game.rules import Game
from gan_jax.probes import lens
from gan_jax.settings.records import Hypers

Pull = Callable[[Array], Params]  # logit cotangents [B] -> gradient


class Chain(NamedTuple):
  """The generator's forward pass in three stages, each with its vector-Jacobian product."""

  images: Array  # [B, ...]
  real: Output
  fake: Output
  pull_to_params: Callable  # image cotangents -> (params,)
  pull_to_images: Callable  # cotangents of the fakes' output -> (images,)
  pull_to_real: Callable  # real logit cotangents -> (real images,)
  pull_to_between: Callable
  motion: Callable[[Params], Array]  # a direction of the parameters -> the derivative of the images along it
  memory: Memory  # the generator's, after the pass

  @property
  def fake_logits(self) -> Array:
    return self.fake.logits

  def to_images(self, weights: Array) -> Array:
    """Cotangents of the fake logits -> of the images."""
    return self.pull_to_images(from_logits(self.fake, weights))[0]


def chain(game: Game, hypers: Hypers, point: Any, memory: Memories, batch: Batch) -> Chain:
  gen_params, disc_params = point
  make = lambda params: generate(game, params, memory, batch.noise, batch.labels)  # noqa: E731

  def see(what: str, images: Array) -> Output:
    return used(game, judge(game, hypers, disc_params, memory, images, batch.labels, of(what, batch))[0])

  images, pull_to_params, after = jax.vjp(make, gen_params, has_aux=True)
  fake, pull_to_images = jax.vjp(lambda x: see("fake", shown(x, batch)), images)
  real_logits, pull_to_real, real = jax.vjp(lambda x: ((o := see("real", x)).logits, o), batch.real, has_aux=True)
  share = jax.random.uniform(jax.random.fold_in(batch.key, 1), (len(images), *[1] * (images.ndim - 1)))
  _, pull_to_between = jax.vjp(
    lambda x: see("between", x).logits, batch.real + share * (shown(images, batch) - batch.real)
  )
  motion = lambda direction: jax.jvp(lambda p: make(p)[0], (gen_params,), (direction,))[1]  # noqa: E731
  pulls = (pull_to_params, pull_to_images, pull_to_real, pull_to_between)
  return Chain(images, real._replace(logits=real_logits), fake, *pulls, motion, after)


def unroll(
  game: Game, gen_params: Params, disc_params: Params, hypers: Hypers, memory: Memories, batch: Batch
) -> Params:
  """The discriminator after `unroll_steps` steps of gradient descent (Metz et al. 2017, arXiv:1611.02163, eq. 3-5)."""

  def descend(params, _):
    grads, _ = discriminator.gradient(game, hypers, (gen_params, params), memory, batch)
    return jax.tree.map(lambda p, g: p - hypers.unroll_rate * g, params, grads), None

  return lax.scan(descend, disc_params, None, length=game.spec.unroll_steps)[0]


def penalties(game: Game, params: Params, hypers: Hypers, memory: Memories, batch: Batch) -> tuple[Array, Array]:
  """(weighted sum, sum) of the generator's penalties."""
  make = lambda noise: generate(game, params, memory, noise, batch.labels)[0]  # noqa: E731
  total: Array = jnp.zeros(())
  for penalty in game.generator_penalties:
    options = hypers.generator_penalty_options[penalty.name]
    if penalty.kind == "parameters":
      total += penalty.function(params, **options)
    else:
      total += penalty.function(make, batch.noise, batch.key, **options).mean()
  return jnp.asarray(hypers.generator_penalty_weight) * total, total


def gradient(game: Game, hypers: Hypers, point: Any, memory: Memories, batch: Batch) -> tuple[Params, Seen]:
  """The gradient of the loss and all penalties; the view has the gradient of the loss alone, and its factors."""
  gen_params, disc_params = point
  through, pull_to_reply = game.spec.unroll_steps and game.spec.unroll_gradient == "through", None
  reply = lambda params: unroll(game, params, disc_params, hypers, memory, batch)  # noqa: E731
  if through:
    disc_params, pull_to_reply = jax.vjp(reply, gen_params)
  elif game.spec.unroll_steps:
    disc_params = reply(gen_params)
  links = chain(game, hypers, (gen_params, disc_params), memory, batch)
  loss, *by = loss_slopes(game, "generator", hypers, read(game, links.real), read(game, links.fake))
  (image_cotangent,) = links.pull_to_images(from_read(game, links.fake, by[1]))
  (grads,) = links.pull_to_params(image_cotangent)
  motion = links.motion(unit(grads))
  if pull_to_reply:
    see = lambda params: judge_both(game, hypers, params, memory, batch, shown(links.images, batch))[0]  # noqa: E731
    outputs, pull_to_critic = jax.vjp(see, disc_params)
    seeds = tuple(from_read(game, *pair) for pair in zip(outputs, by, strict=True))
    grads = add(grads, *pull_to_reply(*pull_to_critic(seeds)))
  penalty, total, of_class = jnp.zeros_like(loss), grads, {}
  if class_loss := game.class_loss(**hypers.class_loss_options):
    of_output = lambda output: class_loss.generator(output, batch.labels)  # noqa: E731
    value, more = class_gradient(of_output, links.fake, hypers.class_weight)
    total = add(total, *links.pull_to_params(*links.pull_to_images(more)))
    of_class = {"class_loss": value, "class_accuracy": hits(links.fake, batch.labels)}
  if game.generator_penalties:
    objective = lambda params: penalties(game, params, hypers, memory, batch)  # noqa: E731
    more, penalty = jax.grad(objective, has_aux=True)(gen_params)
    total = add(total, more)
  ones = jnp.ones_like(links.fake_logits)
  slopes = [links.to_images(ones), links.pull_to_real(ones)[0], links.pull_to_between(ones)[0]]
  pull = pull_back(game, links, slopes[0])
  view = GeneratorView(
    loss=loss,
    penalty=penalty,
    real_logits=links.real.logits,
    fake_logits=links.fake.logits,
    held_out_logits=held_out_logits(game, hypers, disc_params, memory, batch),
    logit_cotangent=by[1],
    logit_slope=slopes[0],
    real_slope=slopes[1],
    between_slope=slopes[2],
    image_cotangent=image_cotangent,
    image_motion=motion,
    lens=through_lens(game, pull, grads, links),
    parts=micro_gradients(lambda c: pull(c[0]), (by[1],)) if in_parts(game) else None,
    grads=grads,
    params=gen_params,
    **of_class,
  )
  return total, Seen(view if game.reads == "logits" else without_logits(view), links.memory)


def without_logits(view: GeneratorView) -> GeneratorView:
  """The view with NaN in place of logits and their slopes: no loss trains them, so they say nothing."""
  of_logits = ("real_logits", "fake_logits", "held_out_logits", "logit_slope", "real_slope", "between_slope")
  kept = {name: getattr(view, name) for name in of_logits}
  return view._replace(**jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), kept))


def in_parts(game: Game) -> bool:
  return "noise" in probes.requested(game.spec.probes)


def pull_back(game: Game, links: Chain, slope: Array) -> Pull:
  """Cotangents of what the losses read -> gradient. If each example has a logit of its own, and that is read, the known
  slopes d logit / d image are used.
  """
  if game.reads == "features":
    return lambda weights: links.pull_to_params(*links.pull_to_images(from_read(game, links.fake, weights)))[0]
  if game.couples_batch or game.spec.packing > 1:
    return lambda weights: links.pull_to_params(links.to_images(weights))[0]
  return lambda weights: links.pull_to_params(slope * weights.reshape((-1, *[1] * (slope.ndim - 1))))[0]


def through_lens(game: Game, pull: Pull, in_use: Params, links: Chain) -> dict[str, lens.View]:
  chosen = lens.names(game.spec.lens)
  return lens.look(chosen, pull, in_use, links.real.logits, links.fake.logits) if chosen else {}


def held_out_logits(game: Game, hypers: Hypers, params: Params, memory: Memories, batch: Batch) -> Array | None:
  if batch.held_out is None:
    return None
  return judge(game, hypers, params, memory, *batch.held_out, of("held out", batch))[0].logits
