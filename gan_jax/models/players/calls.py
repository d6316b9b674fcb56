"""How a user's network is called, read from its signature, and checks of what it returns."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput, shown
from gan_jax.core.types import Output

LABELS = ("labels", "label", "y", "classes", "class_labels")
# Names of arguments that tell training from evaluation, and their value in training.
FLAGS = {
  "train": True,
  "training": True,
  "is_training": True,
  "deterministic": False,
  "inference": False,
  "use_running_average": False,
}


class Call(NamedTuple):
  """The names of a network's arguments other than its input; None where it has none."""

  labels: str | None
  flags: tuple[str, ...]
  key: str | None
  state: str | None

  def arguments(self, labels: Array, train: bool) -> dict[str, Any]:
    """The keyword arguments for the labels and the training flag."""
    flags = {name: FLAGS[name] == train for name in self.flags}
    return ({self.labels: labels} if self.labels else {}) | flags


def read(function: Callable[..., Any], what: str, keys: tuple[str, ...] = (), states: tuple[str, ...] = ()) -> Call:
  """How a network is called: with its input and, if its signature has them, labels, a training flag, a key and a state.

  The labels are an argument named as in `LABELS`, or else the second one, if it has no default. The flag is named as in
  `FLAGS`. All other arguments must have defaults.

  Args:
    function: the bound method.
    what: the network, for a message.
    keys: names under which the library passes a random key.
    states: names under which the library passes the memory.

  Raises:
    BadInput: no argument for the input, or an unknown argument without a default.
  """
  parameters = list(inspect.signature(function).parameters.values())
  named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)]
  if not named or named[0].kind is inspect.Parameter.KEYWORD_ONLY:
    raise BadInput(f"{what} expected a call whose first argument is its input, got {inspect.signature(function)}")
  rest = {p.name: p for p in named[1:]}
  known = {*FLAGS, *keys, *states}
  labels = next((name for name in rest if name in LABELS), None)
  for position, (name, parameter) in enumerate(rest.items()):
    if name in known or name == labels or parameter.default is not inspect.Parameter.empty:
      continue
    if position == 0 and labels is None:
      labels = name
      continue
    raise BadInput(
      f"{what} expected a call with its input, labels and one of {', '.join(FLAGS)}, got an argument {name!r} without a "
      f"default in {inspect.signature(function)}"
    )
  first = lambda names: next((name for name in rest if name in names), None)  # noqa: E731
  return Call(labels, tuple(name for name in rest if name in FLAGS), first(keys), first(states))


def as_images(value: Any, batch: int, what: str) -> Array:
  """A generator's return value as float32 [batch, ...]. Raises `BadInput` for anything else."""
  shape: tuple[int, ...] = getattr(value, "shape", ())
  if len(shape) < 2 or shape[0] != batch or not jnp.issubdtype(value.dtype, jnp.floating):
    raise BadInput(f"generator {what} expected to return floats of shape [{batch}, ...], got {described(value)}")
  return at_least_float32(value)


def as_output(value: Any, batch: int, what: str) -> Output:
  """A discriminator's return value as an `Output` with float32 logits [batch].

  The value may be logits [B] or [B, 1], an `Output`, or (logits, features [B, F]). Raises `BadInput` for anything else.
  A network that packs m examples by itself, as `packing` does, returns B/m of each.
  """
  if isinstance(value, Output):
    found = value
  elif isinstance(value, (tuple, list)) and len(value) == 2:
    found = Output(*value)
  else:
    found = Output(value)
  heads = [array for array in (found.features, found.classes) if array is not None]
  shape: tuple[int, ...] = getattr(found.logits, "shape", ())
  count = shape[0] if shape else 0
  fits = shape in ((count,), (count, 1)) and count > 0 and batch % count == 0
  fits &= all(getattr(array, "ndim", 0) == 2 and array.shape[0] == count for array in heads)
  fits &= found.direction is None or getattr(found.direction, "shape", ()) == shape
  if not fits or not all(jnp.issubdtype(array.dtype, jnp.floating) for array in (found.logits, *heads)):
    raise BadInput(
      f"discriminator {what} expected to return logits [{batch}] or [{batch}, 1], or (logits, features [{batch}, F]), "
      f"or an Output, got {described(value)}"
    )
  flat = {
    name: getattr(found, name).reshape(count) for name in ("logits", "direction") if getattr(found, name) is not None
  }
  return jax.tree.map(at_least_float32, found._replace(**flat))


def described(value: Any) -> str:
  """A returned value for a message, as shapes and dtypes: while tracing there are no numbers."""
  if hasattr(value, "shape") and hasattr(value, "dtype"):
    return f"{value.dtype} {list(value.shape)}"
  if isinstance(value, (tuple, list)):
    return f"{type(value).__name__} of ({', '.join(described(part) for part in value)})"
  return f"{type(value).__name__} {shown(value)}"


def callable_of(module: Any, what: str) -> Callable[..., Any]:
  """The bound call of a module. Raises `BadInput` where it has none."""
  if not callable(module):
    raise BadInput(f"{what} expected a module with __call__, got one without")
  return module.__call__


def name_of(function: Callable[..., Any]) -> str:
  """A function's name for a message."""
  return getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")
