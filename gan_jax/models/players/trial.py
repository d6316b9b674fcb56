"""Checks two players of a user's model on shapes, before anything is compiled or trained; errors are one sentence."""

import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.core.errors import BadInput, blamed
from gan_jax.core.types import Memory, Output, Player
from gan_jax.models.convolutions import remaining, remark
from gan_jax.models.players.calls import described

TRIAL = 4  # examples


def check_pair(made: Any, what: str, image_shape: tuple[int, ...], latent_size: int) -> tuple[Player, Player]:
  """(generator, discriminator) returned by a builder, after checking them. Prints a note if convolutions stay slow.

  Raises:
    BadInput: they are not two players, or a call fails, returns another shape, or changes the form of its memory.
  """
  if not (isinstance(made, tuple) and len(made) == 2 and all(isinstance(player, Player) for player in made)):
    raise BadInput(f"model {what!r} expected to return (generator, discriminator), two Players, got {described(made)}")
  for role, player, shape in zip(("generator", "discriminator"), made, ((latent_size,), image_shape), strict=True):
    _check(player, role, f"{role} of model {what!r}", shape, image_shape)
  return made


def _check(player: Player, role: str, what: str, input_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
  batch = jax.ShapeDtypeStruct((TRIAL, *input_shape), jnp.float32), jax.ShapeDtypeStruct((TRIAL,), jnp.int32)
  slow = 0
  with blamed(f"the {what} cannot be called with inputs {list(batch[0].shape)} and labels {list(batch[1].shape)}"):
    params, memory = jax.eval_shape(player.init, jax.random.key(0))
    for train in (True, False):
      call = jax.make_jaxpr(lambda p, m, x, y, t=train: player.apply(p, m, x, y, t), return_shape=True)
      program, (value, after) = call(params, memory, *batch)
      slow = max(slow, remaining(program))
      _check_memory(memory, after, what)
      _check_value(value, role, what, image_shape)
  if slow and jax.default_backend() == "cpu":
    say(remark(slow, f"the {what}"))


@functools.cache
def say(text: str) -> None:
  """Print a line to stderr, but each text only once per process."""
  print(text, file=sys.stderr)


def _check_value(value: Any, role: str, what: str, image_shape: tuple[int, ...]) -> None:
  if role == "discriminator":
    fits = isinstance(value, Output) and value.logits.shape == (TRIAL,) and value.logits.dtype == jnp.float32
    expected = f"an Output with float32 logits [{TRIAL}] (with discriminator=True, the adapters see to it)"
  else:
    fits = getattr(value, "shape", None) == (TRIAL, *image_shape) and value.dtype == jnp.float32
    expected = f"float32 images {[TRIAL, *image_shape]}"
  if not fits:
    raise BadInput(f"the {what} expected to return {expected}, got {described(value)}")


def _check_memory(before: Memory, after: Memory, what: str) -> None:
  """Raises `BadInput` where a call returns a memory of another form, which could not be passed to the next call."""
  forms = [jax.tree.map(lambda leaf: f"{leaf.dtype} {list(leaf.shape)}", tree) for tree in (before, after)]
  if forms[0] != forms[1]:
    raise BadInput(f"the {what} expected to leave its memory in the form that it had, {forms[0]}, got {forms[1]}")
