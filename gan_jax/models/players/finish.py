"""What all adapters end with: outputs held to what a `Player` returns, convolutions replaced, and one trial on shapes."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.errors import BadInput, blamed
from gan_jax.core.types import Key, Memory, Params, Player
from gan_jax.models.convolutions import as_products, remaining, remark
from gan_jax.models.layers import CONVOLUTIONS, MATMUL
from gan_jax.models.players.calls import as_images, as_output

Shape = tuple[int, ...]
TRIAL = 4  # examples


def finished(
  init: Callable[[Key], tuple[Params, Memory]],
  call: Callable[[Params, Memory, Array, Array, bool], tuple[Any, Memory]],
  what: str,
  input_shape: Shape,
  makes: Shape | None,
  convolution: str,
) -> Player:
  """The player of a call that returns whatever the module does; see `calls` for what that may be.

  Raises:
    BadInput: the call fails, returns something else, or changes the shape of its memory.
  """

  def checked(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    value, after = call(params, memory, x, labels, train)
    return as_output(value, len(x), what) if makes is None else as_images(value, len(x), makes, what), after

  def apply(params: Params, memory: Memory, x: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    function = as_products(lambda p, m, inputs, y: checked(p, m, inputs, y, train), convolution)
    return function(params, memory, x, labels)

  role = "discriminator" if makes is None else "generator"
  batch = jax.ShapeDtypeStruct((TRIAL, *input_shape), jnp.float32), jax.ShapeDtypeStruct((TRIAL,), jnp.int32)
  slow = 0
  with blamed(f"{role} {what} cannot be called with inputs {list(batch[0].shape)} and labels {list(batch[1].shape)}"):
    params, memory = jax.eval_shape(init, jax.random.key(0))
    for train in (True, False):
      trial = jax.make_jaxpr(lambda p, m, x, y, t=train: checked(p, m, x, y, t), return_shape=True)
      program, (_, after) = trial(params, memory, *batch)
      slow = max(slow, remaining(program))
      _check_memory(memory, after, f"{role} {what}")
  if slow and CONVOLUTIONS[convolution] is MATMUL and jax.default_backend() == "cpu":
    print(remark(slow, f"{role} {what}"), file=sys.stderr)
  return Player(init, apply)


def _check_memory(before: Memory, after: Memory, what: str) -> None:
  """Raises `BadInput` where a call returned a memory of another form: nothing of it could be carried on."""
  forms = [jax.tree.map(lambda leaf: f"{leaf.dtype} {list(leaf.shape)}", tree) for tree in (before, after)]
  if forms[0] != forms[1]:
    raise BadInput(f"{what} expected to leave its memory in the form that it had, {forms[0]}, got {forms[1]}")
