"""The loss lens: the generator gradient that every other loss would have given at the same step of a run.

Only the logit weights w_i = d loss / d logit_i depend on the loss; the map from them to the parameters' gradient is
linear and the same for all. So one vmapped vector-Jacobian product through the discriminator and the generator gives
the gradients of all losses at the same parameters, images and noise. Runs trained with different losses cannot be
compared in this way: their parameters differ.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax import losses
from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput
from gan_jax.core.norms import inner, largest_entry
from gan_jax.core.types import Params, Trace
from gan_jax.probes.registry import probe


class View(NamedTuple):
  """What the lens measures of a loss, at its default hyperparameters."""

  norm: Array  # of the gradient of the generator's mean loss
  cosine_in_use: Array  # with the gradient of the loss in use; NaN where either is zero
  cosine_non_saturating: Array
  effective_samples: Array  # (sum |w|)^2 / sum w^2 of its logit weights: how many of the B fakes carry the gradient


REFERENCE = "non_saturating"


def names(text: str) -> tuple[str, ...]:
  """'none' -> (); 'all' -> every registered loss; 'minimax + hinge' -> those. Raises `BadInput` for an unknown name."""
  if text == "none":
    return ()
  if text == "all":
    return tuple(losses.LOSSES.own)
  found = tuple(part.strip() for part in text.split("+"))
  if len(set(found)) < len(found):
    raise BadInput(f"lens expected 'none', 'all', or different losses joined by '+', got {text!r}")
  for name in found:
    losses.get(name)
    if losses.reads(name) == "features":
      raise BadInput(f"lens expected losses on logits, whose gradients can be compared, got {name!r}")
  return found


def alike(chosen: tuple[str, ...]) -> dict[str, str]:
  """For each loss the first of `chosen` whose card has the same generator slope: one product serves both."""
  firsts: dict[Any, str] = {}

  def slope(name: str) -> Any:
    if name not in losses.CARDS:  # code from outside, or a transformed loss
      return name
    card = losses.card(name)
    options = losses.default_options(name)  # only those that the formula of the slope names matter
    return card.slope, card.pairing, tuple(o for o in options.items() if re.search(rf"\b{o[0]}\b", card.slope))

  return {name: firsts.setdefault(slope(name), name) for name in chosen}


def weights(name: str, real_logits: Array, fake_logits: Array) -> Array:
  """[B]: d mean(generator loss) / d fake_logits."""
  loss = losses.get(name)
  return jax.grad(lambda fake: loss.generator(real_logits, fake).mean())(fake_logits)


def look(
  chosen: tuple[str, ...], pull: Callable[[Array], Params], in_use: Params, real_logits: Array, fake_logits: Array
) -> dict[str, View]:
  """The `View` of each chosen loss, by name.

  Args:
    chosen: names of losses.
    pull: logit cotangents [B] -> gradient of the generator's parameters; linear.
    in_use: the gradient of the loss in use.
    real_logits, fake_logits: [B], at the generator's update.
  """
  shared = alike((REFERENCE, *chosen))
  pulled = list(dict.fromkeys(shared.values()))  # the reference first
  rows = [weights(name, real_logits, fake_logits) for name in pulled]
  stacked = jnp.stack([at_least_float32(row) for row in rows])
  # The map is linear, so weights are scaled to at most 1 before it: 1e-30 does not underflow.
  largest = jnp.max(jnp.abs(stacked), axis=1)
  unit = stacked / jnp.where(largest > 0, largest, 1)[:, None]
  gradients = jax.vmap(lambda w: pull(w.astype(fake_logits.dtype)))(unit)
  lengths = jax.vmap(lambda g: jnp.sqrt(inner(g, g)))(gradients)

  def cosines(other: Params) -> Array:
    scale = largest_entry(other)
    other = jax.tree.map(lambda x: x / jnp.where(scale > 0, scale, 1), other)
    product = lengths * jnp.sqrt(inner(other, other))
    along = jax.vmap(lambda g: inner(g, other))(gradients)
    return jnp.where(product > 0, along / jnp.where(product > 0, product, 1), jnp.nan)

  reference = jax.tree.map(lambda leaf: leaf[0], gradients)
  in_use_cosines, reference_cosines = cosines(in_use), cosines(reference)
  sizes = jnp.abs(unit)
  squares = jnp.sum(jnp.square(sizes), axis=1)
  effective = jnp.square(jnp.sum(sizes, axis=1)) / jnp.where(squares > 0, squares, 1)
  columns = (largest * lengths, in_use_cosines, reference_cosines, effective)
  views = {name: View(*(column[i] for column in columns)) for i, name in enumerate(pulled)}
  return {name: views[shared[name]] for name in chosen}


LENS = {
  "norm": "norm of the generator gradient that {} would have given at this step",
  "cosine_in_use": "cosine of that gradient with the one in use",
  "cosine_non_saturating": "cosine of that gradient with non_saturating's",
  "effective_samples": "(sum |w|)^2 / sum w^2 of {}'s logit weights: how many fakes carry its gradient",
}


@probe({})
def through_lens(trace: Trace) -> dict[str, Array]:
  return {f"lens/{what}/{name}": getattr(view, what) for name, view in trace.generator.lens.items() for what in LENS}
