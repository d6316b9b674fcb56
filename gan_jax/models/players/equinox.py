"""An Equinox module as a `Player`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.errors import BadInput, blamed
from gan_jax.core.types import Key, Memory, Params, Player
from gan_jax.models.players.calls import callable_of, name_of, read
from gan_jax.models.players.draws import drawn_from, needs_key, turned
from gan_jax.models.players.finish import Shape, finished
from gan_jax.models.players.naming import naming


def from_equinox(
  create: Callable[[Key], Any],
  input_shape: Shape,
  discriminator: bool = False,
  convolution: str = "auto",
  channels_first: bool = False,
) -> Player:
  """An Equinox module, made by `create(key)`, or with its `eqx.nn.State` by `eqx.nn.make_with_state`.

      class Discriminator(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.BatchNorm
        head: eqx.nn.Linear

        def __init__(self, key):
          one, two = jax.random.split(key)
          self.conv = eqx.nn.Conv2d(1, 64, 4, stride=2, padding=1, key=one)
          self.norm = eqx.nn.BatchNorm(64, axis_name="batch", mode="batch")
          self.head = eqx.nn.Linear(64 * 14 * 14, "scalar", key=two)

        def __call__(self, image, state):
          x, state = self.norm(self.conv(image), state)
          return self.head(jax.nn.leaky_relu(x, 0.2).ravel()), state

      create = eqx.nn.make_with_state(Discriminator)
      discriminator = players.from_equinox(create, (28, 28, 1), discriminator=True, channels_first=True)

  As usual in Equinox, the module takes one example; it is mapped over the batch with `vmap`, with the axis name of its
  batch norms. Dropout and batch norms are put into evaluation by `eqx.nn.inference_mode`.

  Args:
    channels_first: whether the module's images are [C, H, W], which Equinox's convolutions take; else [H, W, C].

  Raises:
    BadInput: Equinox is not installed, or the module cannot be called in this way.
  """
  try:
    import equinox as eqx
  except ImportError as error:
    raise BadInput("players.from_equinox expected Equinox to be installed: pip install 'gan_jax[equinox]'") from error
  found: dict[str, Any] = {}

  def divided(key: Key) -> tuple[Any, Any]:
    """(the trained arrays, all other arrays of the module and its state)"""
    made = create(key)
    module, state = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    found["what"] = what = type(module).__name__
    found["call"] = read(callable_of(module, what), what, keys=("key",), states=("state",) if state is not None else ())
    arrays, found["static"] = eqx.partition(module, eqx.is_array)
    params, constants = eqx.partition(arrays, eqx.is_inexact_array)
    return params, {"constants": constants, "state": state}

  with blamed(f"the Equinox module of {name_of(create)} cannot be made"):
    shapes = jax.eval_shape(divided, jax.random.key(0))
  weights, kept = (naming(part) for part in shapes)
  call, static = found["call"], found["static"]
  axis = axis_name(eqx, static, found["what"])

  def run(key: Key | None, learnt: Any, others: Any, x: Array, labels: Array, train: bool) -> tuple[Any, Any]:
    """(what the module returned for each example, its state afterwards)"""
    module = eqx.nn.inference_mode(eqx.combine(learnt, others["constants"], static), value=not train)
    keys = None if key is None else jax.random.split(key, x.shape[0])

    def one(example: Array, label: Array, own_key: Key | None) -> Any:
      given = call.arguments(label, train)
      given |= {call.key: own_key} if call.key and own_key is not None else {}
      given |= {call.state: others["state"]} if call.state else {}
      value = module(jnp.moveaxis(example, -1, 0) if channels_first and example.ndim == 3 else example, **given)
      return value if call.state else (value, others["state"])

    places = (0, 0, None if keys is None else 0)
    value, state = jax.vmap(one, places, (0, None), axis_name=axis)(x, labels, keys)
    if channels_first and not discriminator and getattr(value, "ndim", 0) == 4:
      value = jnp.moveaxis(value, 1, -1)
    return value, {**others, "state": state}

  empty = (jnp.zeros((2, *input_shape)), jnp.zeros(2, jnp.int32))
  draws = call.key is not None and needs_key(lambda key, p, m: run(key, p, m, *empty, True), shapes)

  def init(key: Key) -> tuple[Params, Memory]:
    params, others = divided(key)
    return weights.named(params), kept.named(others) | drawn_from(key, draws)

  def apply(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    key, following = turned(memory)
    value, after = run(key if train else None, weights.restored(params), kept.restored(memory), x, labels, train)
    return value, kept.named(after) | following if train else memory

  return finished(init, apply, found["what"], discriminator, convolution)


def axis_name(eqx: Any, module: Any, what: str) -> Any:
  """The axis name of a module's batch norms; None without any. Raises `BadInput` for two different names."""
  is_norm = lambda part: isinstance(part, eqx.nn.BatchNorm)  # noqa: E731
  names = {part.axis_name for part in jax.tree.leaves(module, is_leaf=is_norm) if is_norm(part)}
  if len(names) > 1:
    raise BadInput(f"{what} expected one axis_name in all its batch norms, got {', '.join(sorted(map(repr, names)))}")
  return names.pop() if names else None
