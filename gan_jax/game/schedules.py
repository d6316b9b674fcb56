"""Schedules: hyperparameters that change during a run, from the value of their field to another, and then stay there.

    "schedules": {
      "generator_rate": {"to": 5e-5, "shape": "cosine", "images": 20_000_000},
      "penalty_weights.r1": {"to": 0.005, "steps": 10_000},
    }

A schedule is given for a traced field, or for one traced option or weight by its name with dots. `shape` is `linear`
(the default) or `cosine`; it lasts `steps` steps or `images` real images, by default the whole run. The end values are
traced, like the fields themselves: a sweep over them costs no compilation.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax import penalties
from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.game.rules import real_batches
from gan_jax.settings import FIELDS, split
from gan_jax.settings.records import Hypers, Spec, thawed

SHAPES: dict[str, Callable[[Array], Array]] = {
  "linear": lambda share: share,
  "cosine": lambda share: (1 - jnp.cos(math.pi * share)) / 2,
}
PARTS = ("to", "shape", "steps", "images")


def check(name: str, given: Mapping[str, Any]) -> None:
  """Raises `BadInput` for a schedule of this form that cannot be: unknown parts, no end, two lengths, a length of zero."""
  what, root = f"schedule of {name!r}", split(name)[0]
  field = FIELDS.get(root)
  for part in given:
    if part not in PARTS:
      raise unknown(f"part of the {what}:", part, PARTS)
  whole = field is not None and (field.kind == "label" or isinstance(field.default, (int, str)))
  if whole or root == "loss_options":
    raise BadInput(f"schedules expected fields that are traced numbers, such as generator_rate, got {name!r}")
  if type(given.get("to")) not in (int, float):
    raise BadInput(f"the {what} expected a number `to`, its last value, got {shown(given.get('to'))}")
  if given.get("shape", "linear") not in SHAPES:
    raise unknown(f"shape of the {what}:", given["shape"], SHAPES)
  lengths = [given[part] for part in ("steps", "images") if part in given]
  if len(lengths) > 1 or any(type(x) not in (int, float) or not x > 0 for x in lengths):
    raise BadInput(f"the {what} expected steps or images above 0, or neither: the whole run, got {shown(dict(given))}")


def length(spec: Spec, given: Mapping[str, Any]) -> float:
  """Steps that a schedule lasts."""
  if "images" in given:
    return given["images"] / (real_batches(spec) * spec.batch_size)
  return given.get("steps", spec.steps)


def current(spec: Spec, hypers: Hypers, step: Array) -> Hypers:
  """The hyperparameters at a step: with s(t) the shape at the share t of the schedule's length, v + s(t) (to - v)."""
  for name, given in thawed(spec.schedules).items():
    share = jnp.clip(step / length(spec, given), 0, 1)
    way = SHAPES[given.get("shape", "linear")](share)
    mix = between if name != "ema_decay" else between_half_lives
    hypers = changed(spec, hypers, name, functools.partial(mix, hypers.schedules[name], way))
  return hypers


def between(end: ArrayLike, share: Array, value: ArrayLike) -> Array:
  return jnp.asarray(value) + share * (jnp.asarray(end) - jnp.asarray(value))


def between_half_lives(end: ArrayLike, share: Array, decay: ArrayLike) -> Array:
  """The decay whose half-life -1 / log2(decay) lies between those of two decays: decays near 1 differ in their digits."""
  steps = between(_half_life(end), share, _half_life(decay))
  return jnp.where(steps > 0, jnp.exp2(-1 / jnp.maximum(steps, 1e-12)), 0.0)


def _half_life(decay: ArrayLike) -> Array:
  safe = jnp.maximum(jnp.asarray(decay, jnp.float32), 1e-30)
  return jnp.where(jnp.asarray(decay) > 0, -1 / jnp.log2(safe), 0.0)


def changed(spec: Spec, hypers: Hypers, name: str, change: Callable[[Any], Array]) -> Hypers:
  """The hyperparameters with one value changed, found by the name of its field or option."""
  root, inner = split(name)
  if root in ("penalty_weight", "penalty_weights"):
    own = penalties.names(spec.penalty)
    chosen = own if root == "penalty_weight" else inner
    weights = zip(own, hypers.penalty_weights, strict=True)
    return hypers._replace(penalty_weights=tuple(change(w) if n in chosen else w for n, w in weights))
  return hypers._replace(**{root: _within(getattr(hypers, root), inner, change)})


def _within(tree: Any, keys: list[str], change: Callable[[Any], Array]) -> Any:
  return {**tree, keys[0]: _within(tree[keys[0]], keys[1:], change)} if keys else change(tree)
