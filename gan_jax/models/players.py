"""Networks as `Player`s: pairs of pure functions over parameters and memory."""

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Key, Memory, Output, Params, Player


def plain(init: Callable[[Key], Params], apply: Callable[[Params, Array, Array], Any], judges: bool = False) -> Player:
  """The player of two pure functions without a memory: init(key) -> params, apply(params, inputs, labels) -> outputs.

  Args:
    init: fresh parameters.
    apply: of a generator, to images [B, ...]; of a discriminator, to logits [B] or an `Output`.
    judges: whether it is a discriminator.
  """

  def with_memory(params: Params, memory: Memory, inputs: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    del train
    outputs = apply(params, inputs, labels)
    return (as_output(outputs) if judges else outputs), memory

  return Player(lambda key: (init(key), ()), with_memory)


def as_output(outputs: Any) -> Output:
  """An `Output` of logits [B], or the `Output` that it is."""
  return outputs if isinstance(outputs, Output) else Output(outputs)


def from_linen(module: nn.Module, input_shape: tuple[int, ...], judges: bool = False) -> Player:
  """The player of a Linen module that is called with (inputs [B, *input_shape], labels [B]) and `train` if it takes it.

  Collections other than `params` are its memory.
  """
  takes_train = "train" in inspect.signature(module.__call__).parameters

  def init(key: Key) -> tuple[Params, Memory]:
    more: dict[str, Any] = {"train": False} if takes_train else {}
    variables = module.init(key, jnp.zeros((1, *input_shape)), jnp.zeros((1,), jnp.int32), **more)
    return variables["params"], {name: tree for name, tree in variables.items() if name != "params"}

  def apply(params: Params, memory: Memory, inputs: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    more: dict[str, Any] = {"train": train} if takes_train else {}
    moving = list(memory) if train else []
    found: Any = module.apply({"params": params, **memory}, inputs, labels, mutable=moving, **more)
    outputs, moved = found
    return (as_output(outputs) if judges else outputs), {**memory, **moved}

  return Player(init, apply)
