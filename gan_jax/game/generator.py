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
from gan_jax.core.types import GeneratorView, Memories, Memory, Params
from gan_jax.game import discriminator
from gan_jax.game.batches import Batch, shown
from gan_jax.game.discriminator import Seen, generate, judge, judge_both
from gan_jax.game.objective import add, logit_cotangents, micro_gradients
from gan_jax.game.rules import Game
from gan_jax.probes import lens
from gan_jax.settings.records import Hypers

Pull = Callable[[Array], Params]  # logit cotangents [B] -> gradient


class Chain(NamedTuple):
  """The generator's forward pass in three stages, each with its vector-Jacobian product."""

  images: Array  # [B, ...]
  real_logits: Array
  fake_logits: Array
  pull_to_params: Callable  # image cotangents -> (params,)
  pull_to_images: Callable  # fake logit cotangents -> (images,)
  pull_to_real: Callable  # real logit cotangents -> (real images,)
  pull_to_between: Callable
  motion: Callable[[Params], Array]  # a direction of the parameters -> the derivative of the images along it
  memory: Memory  # the generator's, after the pass


def chain(game: Game, hypers: Hypers, point: Any, memory: Memories, batch: Batch) -> Chain:
  gen_params, disc_params = point
  make = lambda params: generate(game, params, memory, batch.noise, batch.labels)  # noqa: E731
  see_real = lambda x: judge(game, hypers, disc_params, memory, x, batch.labels)[0].logits  # noqa: E731
  images, pull_to_params, after = jax.vjp(make, gen_params, has_aux=True)
  fake_logits, pull_to_images = jax.vjp(lambda x: see_real(shown(x, batch)), images)
  real_logits, pull_to_real = jax.vjp(see_real, batch.real)
  share = jax.random.uniform(jax.random.fold_in(batch.key, 1), (len(images), *[1] * (images.ndim - 1)))
  _, pull_to_between = jax.vjp(see_real, batch.real + share * (shown(images, batch) - batch.real))
  motion = lambda direction: jax.jvp(lambda p: make(p)[0], (gen_params,), (direction,))[1]  # noqa: E731
  pulls = (pull_to_params, pull_to_images, pull_to_real, pull_to_between)
  return Chain(images, real_logits, fake_logits, *pulls, motion, after)


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
  loss, *cotangents = logit_cotangents(game, "generator", hypers, links.real_logits, links.fake_logits)
  (image_cotangent,) = links.pull_to_images(cotangents[1])
  (grads,) = links.pull_to_params(image_cotangent)
  motion = links.motion(unit(grads))
  if pull_to_reply:
    see = lambda params: judge_both(game, hypers, params, memory, batch, shown(links.images, batch))[0]  # noqa: E731
    _, pull_to_critic = jax.vjp(see, disc_params)
    grads = add(grads, *pull_to_reply(*pull_to_critic(tuple(cotangents))))
  penalty, total = jnp.zeros_like(loss), grads
  if game.generator_penalties:
    objective = lambda params: penalties(game, params, hypers, memory, batch)  # noqa: E731
    more, penalty = jax.grad(objective, has_aux=True)(gen_params)
    total = add(grads, more)
  ones = jnp.ones_like(links.fake_logits)
  slopes = [f(ones)[0] for f in (links.pull_to_images, links.pull_to_real, links.pull_to_between)]
  pull = pull_back(game, links, slopes[0])
  view = GeneratorView(
    loss=loss,
    penalty=penalty,
    real_logits=links.real_logits,
    fake_logits=links.fake_logits,
    held_out_logits=held_out_logits(game, hypers, disc_params, memory, batch),
    logit_cotangent=cotangents[1],
    logit_slope=slopes[0],
    real_slope=slopes[1],
    between_slope=slopes[2],
    image_cotangent=image_cotangent,
    image_motion=motion,
    lens=through_lens(game, pull, grads, links),
    parts=micro_gradients(lambda c: pull(c[0]), (cotangents[1],)) if in_parts(game) else None,
    grads=grads,
    params=gen_params,
  )
  return total, Seen(view, links.memory)


def in_parts(game: Game) -> bool:
  return "noise" in probes.requested(game.spec.probes)


def pull_back(game: Game, links: Chain, slope: Array) -> Pull:
  """Logit cotangents -> gradient. If each example has a logit of its own, the known slopes d logit / d image are used."""
  if game.couples_batch or game.spec.packing > 1:
    return lambda weights: links.pull_to_params(*links.pull_to_images(weights))[0]
  return lambda weights: links.pull_to_params(slope * weights.reshape((-1, *[1] * (slope.ndim - 1))))[0]


def through_lens(game: Game, pull: Pull, in_use: Params, links: Chain) -> dict[str, lens.View]:
  chosen = lens.names(game.spec.lens)
  return lens.look(chosen, pull, in_use, links.real_logits, links.fake_logits) if chosen else {}


def held_out_logits(game: Game, hypers: Hypers, params: Params, memory: Memories, batch: Batch) -> Array | None:
  if batch.held_out is None:
    return None
  return judge(game, hypers, params, memory, *batch.held_out)[0].logits
