"""The gradient of each player at one point of the game, the generator's taken apart on the way.

The derivative is taken in stages, parameters -> images -> logits, and the loss enters at one point: as a cotangent on
the logits. So any loss plugs in there, the loss may be a traced index, and the three factors of the generator's
gradient (the loss's, the critic's, the generator's) lie open in what is returned.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax import probes
from gan_jax.core.norms import unit
from gan_jax.core.types import Hypers, Params, Spec
from gan_jax.game.batches import Batch, PlayerName
from gan_jax.game.rules import Game
from gan_jax.models import constraints
from gan_jax.penalties import Moved
from gan_jax.penalties.consistency import shift_latent
from gan_jax.probes import lens

MICRO_BATCHES = 8  # at most


class Critical(NamedTuple):
  """The parts of the discriminator that do not learn by gradient, from the state of the run."""

  logit_means: Any
  spectral: Any


class DiscriminatorView(NamedTuple):
  """What the discriminator saw when its gradient was taken."""

  loss: Array
  penalty: Array  # the sum of all, weights not included
  real_logits: Array
  fake_logits: Array
  parts: Params  # of the loss alone, by micro-batch; see `micro_gradients`; None unless `Spec.probes` asks for `noise`
  grads: Params


class GeneratorView(NamedTuple):
  """What the generator saw when its gradient was taken: see `types.Trace`."""

  loss: Array
  penalty: Array
  real_logits: Array
  fake_logits: Array
  held_out_logits: Array | None
  logit_cotangent: Array
  logit_slope: Array
  real_slope: Array
  between_slope: Array
  image_cotangent: Array
  image_motion: Array
  lens: dict[str, lens.View]
  parts: Params  # as of the discriminator
  grads: Params  # of the loss alone


class Gradients(NamedTuple):
  """Functions of (hypers, (gen_params, disc_params), critical, batch)."""

  discriminator: Callable[..., tuple[Params, DiscriminatorView]]  # of loss and penalties
  discriminator_loss: Callable[..., tuple[Params, DiscriminatorView]]  # without the penalties that `lazy` has
  lazy: Callable[..., tuple[Params, Array]]  # of the penalties that cost a pass of their own, and their value
  generator: Callable[..., tuple[Params, GeneratorView]]


def logit_cotangents(
  game: Game, half: PlayerName, hypers: Hypers, real_logits: Array, fake_logits: Array
) -> tuple[Array, Array, Array]:
  """(mean loss, its derivative by real_logits [B], by fake_logits [B]) of the loss that `hypers.loss_index` chooses.

  Under `vmap` the switch computes all branches and selects among finished vectors: an inf or NaN in a loss that was not
  chosen cannot reach this member, as it would through the gradient of a `where` over losses.
  """

  def branch(builder, options):
    loss = getattr(builder(**options), half)

    def value_and_cotangents(real, fake):
      value, pull = jax.vjp(lambda r, f: loss(r, f).mean(), real, fake)
      return value, *pull(jnp.ones_like(value))

    return value_and_cotangents

  branches = [branch(b, o) for b, o in zip(game.losses, hypers.loss_options, strict=True)]
  if len(branches) == 1:
    return branches[0](real_logits, fake_logits)
  return lax.switch(hypers.loss_index, branches, real_logits, fake_logits)


def undecided_logit(game: Game, hypers: Hypers) -> tuple[Array, Array]:
  """Of the loss in use: (the best discriminator's logit where p = q, NaN without one; whether that logit is log p/q)."""
  log_ratios = jnp.array([-1.0, 0.0, 2.0])

  def of(optimal, options):
    if optimal is None:
      return jnp.full((), jnp.nan), jnp.zeros((), bool)
    logits = optimal(log_ratios, **options)
    return logits[1], jnp.allclose(logits, log_ratios, atol=1e-4)

  found = [of(*pair) for pair in zip(game.optimal_logits, hypers.loss_options, strict=True)]
  logits, calibrated = (jnp.stack(column)[jnp.asarray(hypers.loss_index)] for column in zip(*found, strict=True))
  return logits, calibrated


def micro_gradients(pull: Callable[..., Params], cotangents: tuple[Array, ...]) -> Params:
  """[M, ...]: the gradient of each of M <= 8 equal parts of a batch, from the linear `pull`; their mean is the batch's."""
  count = cotangents[0].shape[0]
  parts = max(m for m in range(1, MICRO_BATCHES + 1) if count % m == 0)
  masks = parts * jnp.repeat(jnp.eye(parts, dtype=cotangents[0].dtype), count // parts, axis=1)
  return jax.vmap(lambda mask: pull(tuple(mask * c for c in cotangents)))(masks)


def add(tree: Params, other: Params) -> Params:
  return jax.tree.map(jnp.add, tree, other)


def build_gradients(spec: Spec, game: Game) -> Gradients:
  """The gradients of both players; `spec` and `game` are static, everything in `Hypers` may be traced."""
  generate = game.generator.apply
  of_logits = [(i, p.function) for i, p in enumerate(game.penalties) if p.kind == "logits"]
  through_lens = lens.names(spec.lens)
  in_parts = "noise" in probes.requested(spec.probes)
  costly = [(i, p) for i, p in enumerate(game.penalties) if p.kind != "logits"]

  def judge(params: Params, critical: Critical, images: Array, labels: Array) -> Array:
    weights = constraints.normalise(params, critical.spectral) if spec.weight_constraint == "spectral" else params
    return game.discriminator.apply(weights, images, labels)

  def judge_both(params: Params, critical: Critical, batch: Batch, fake: Array) -> tuple[Array, Array]:
    if game.couples_batch:  # each side's statistics are its own
      return judge(params, critical, batch.real, batch.labels), judge(params, critical, fake, batch.labels)
    images, labels = jnp.concatenate([batch.real, fake]), jnp.concatenate([batch.labels, batch.labels])
    logits = judge(params, critical, images, labels)
    half = len(logits) // 2  # not len(fake): a pack of examples has one logit
    return logits[:half], logits[half:]

  def shown(images: Array, batch: Batch) -> Array:
    return images if batch.blur is None else images + batch.blur

  def costly_penalties(params: Params, gen_params: Params, hypers: Hypers, critical: Critical, batch: Batch):
    """(weighted sum, sum) of the penalties that are functions of the critic or of its weights."""
    critic = lambda images: judge(params, critical, images, batch.labels)  # noqa: E731
    fake = shown(generate(gen_params, batch.noise, batch.labels), batch)
    weighted, total = jnp.zeros(()), jnp.zeros(())
    for i, penalty in costly:
      if penalty.kind == "parameters":
        value = penalty.function(params)
      elif penalty.kind == "critic":
        value = penalty.function(critic, batch.real, fake, batch.key).mean()
      else:
        keys = jax.random.split(batch.key, 3)
        nearby = generate(gen_params, shift_latent(batch.noise, keys[2]), batch.labels)
        moved = (game.augment(batch.real, keys[0]), game.augment(fake, keys[1]), shown(nearby, batch))
        value = penalty.function(critic, Moved(batch.real, fake, *moved)).mean()
      weighted += hypers.penalty_weights[i] * value
      total += value
    return weighted, total

  def discriminator_loss(hypers: Hypers, point, critical: Critical, batch: Batch):
    gen_params, disc_params = point
    fake = shown(generate(gen_params, batch.noise, batch.labels), batch)
    logits, pull = jax.vjp(lambda params: judge_both(params, critical, batch, fake), disc_params)
    loss, *cotangents = logit_cotangents(game, "discriminator", hypers, *logits)
    parts = micro_gradients(lambda c: pull(c)[0], tuple(cotangents)) if in_parts else None
    total = jnp.zeros_like(loss)
    for i, penalty in of_logits:
      value, slopes = jax.value_and_grad(lambda pair: penalty(*pair, critical.logit_means).mean())(logits)  # noqa: B023
      cotangents = [c + hypers.penalty_weights[i] * s for c, s in zip(cotangents, slopes, strict=True)]
      total += value
    (grads,) = pull(tuple(cotangents))
    return grads, DiscriminatorView(loss, total, *logits, parts, grads)

  def lazy(hypers: Hypers, point, critical: Critical, batch: Batch):
    gen_params, disc_params = point
    grads, total = jax.grad(costly_penalties, has_aux=True)(disc_params, gen_params, hypers, critical, batch)
    return grads, total

  def discriminator(hypers: Hypers, point, critical: Critical, batch: Batch):
    grads, view = discriminator_loss(hypers, point, critical, batch)
    if costly:
      more, total = lazy(hypers, point, critical, batch)
      grads = add(grads, more)
      view = view._replace(penalty=view.penalty + total, grads=grads)
    return grads, view

  def unroll(gen_params: Params, disc_params: Params, hypers: Hypers, critical: Critical, batch: Batch) -> Params:
    """The discriminator after `unroll_steps` steps of gradient descent (Metz et al. 2017, arXiv:1611.02163, eq. 3-5)."""

    def descend(params, _):
      grads, _ = discriminator(hypers, (gen_params, params), critical, batch)
      return jax.tree.map(lambda p, g: p - hypers.unroll_rate * g, params, grads), None

    return lax.scan(descend, disc_params, None, length=spec.unroll_steps)[0]

  def generator_penalties(params: Params, hypers: Hypers, batch: Batch):
    make = lambda noise: generate(params, noise, batch.labels)  # noqa: E731
    total = jnp.zeros(())
    for penalty in game.generator_penalties:
      if penalty.kind == "parameters":
        total += penalty.function(params)
      else:
        total += penalty.function(make, batch.noise, batch.key).mean()
    return hypers.generator_penalty_weight * total, total

  def generator(hypers: Hypers, point, critical: Critical, batch: Batch):
    gen_params, disc_params = point
    through = spec.unroll_steps and spec.unroll_gradient == "through"
    reply = lambda params: unroll(params, disc_params, hypers, critical, batch)  # noqa: E731
    if through:
      disc_params, pull_to_reply = jax.vjp(reply, gen_params)
    elif spec.unroll_steps:
      disc_params = reply(gen_params)
    images, pull_to_params = jax.vjp(lambda params: generate(params, batch.noise, batch.labels), gen_params)
    see = lambda x: judge(disc_params, critical, shown(x, batch), batch.labels)  # noqa: E731
    fake_logits, pull_to_images = jax.vjp(see, images)
    see_real = lambda x: judge(disc_params, critical, x, batch.labels)  # noqa: E731
    real_logits, pull_to_real = jax.vjp(see_real, batch.real)
    loss, *cotangents = logit_cotangents(game, "generator", hypers, real_logits, fake_logits)
    (image_cotangent,) = pull_to_images(cotangents[1])
    (grads,) = pull_to_params(image_cotangent)
    _, motion = jax.jvp(lambda params: generate(params, batch.noise, batch.labels), (gen_params,), (unit(grads),))
    if through:
      _, pull_to_critic = jax.vjp(lambda params: judge_both(params, critical, batch, shown(images, batch)), disc_params)
      grads = add(grads, *pull_to_reply(*pull_to_critic(tuple(cotangents))))
    ones = jnp.ones_like(fake_logits)
    share = jax.random.uniform(jax.random.fold_in(batch.key, 1), (len(images), *[1] * (images.ndim - 1)))
    _, pull_to_between = jax.vjp(see_real, batch.real + share * (shown(images, batch) - batch.real))
    slope, real_slope, between_slope = (f(ones)[0] for f in (pull_to_images, pull_to_real, pull_to_between))
    penalty, total = jnp.zeros_like(loss), grads
    if game.generator_penalties:
      more, penalty = jax.grad(generator_penalties, has_aux=True)(gen_params, hypers, batch)
      total = add(grads, more)

    def pull(weights: Array) -> Params:
      """Logit cotangents -> gradient; where each example has a logit of its own, by way of the slopes at hand."""
      if game.couples_batch or spec.packing > 1:
        return pull_to_params(*pull_to_images(weights))[0]
      return pull_to_params(slope * weights.reshape((-1, *[1] * (slope.ndim - 1))))[0]

    seen = lens.look(through_lens, pull, grads, real_logits, fake_logits) if through_lens else {}
    held_out = None if batch.unseen is None else judge(disc_params, critical, *batch.unseen)
    logits = (real_logits, fake_logits, held_out)
    parts = micro_gradients(lambda c: pull(c[0]), (cotangents[1],)) if in_parts else None
    slopes = (slope, real_slope, between_slope)
    view = GeneratorView(loss, penalty, *logits, cotangents[1], *slopes, image_cotangent, motion, seen, parts, grads)
    return total, view

  return Gradients(discriminator, discriminator_loss, lazy, generator)
