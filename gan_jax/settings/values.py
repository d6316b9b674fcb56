"""Checks and converts the values of a config, and merges overrides into a full config. No jax import."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.core.registry import is_text
from gan_jax.settings.fields import FIELDS, LARGEST, Field, defaults, no_field
from gan_jax.settings.outside import REFERENCE


def plain(value: Any) -> Any:
  """Converts numbers, booleans and text of NumPy, JAX and others to Python's own types; returns anything else unchanged.

  A number of less than double precision becomes the float with the fewest digits that reads back to it, so that
  `np.float32(0.1)` becomes 0.1 and gives the same run id.

  >>> plain(np.float32(0.1)), plain(np.arange(3)[2]), plain(np.array(2.5)), plain(np.bool_(True))
  (0.1, 2, 2.5, True)
  """
  if type(value) in (bool, int, float, str):
    return value
  if getattr(value, "shape", None) == () and hasattr(value, "dtype") and not np.ma.is_masked(value):
    # A scalar, or an array without axes. A masked one has no value.
    value = np.asarray(value)[()]
  if isinstance(value, (bool, np.bool_)):
    return bool(value)
  if isinstance(value, (str, np.str_)):
    return str.__str__(value)
  if isinstance(value, numbers.Integral):
    return int(value)
  if isinstance(value, np.generic) and getattr(value.dtype, "kind", "") in "fV" and value.dtype.itemsize < 8:
    return float(str(value))  # float32, float16 and bfloat16
  return float(value) if isinstance(value, numbers.Real) else value


def coerce(name: str, value: Any) -> Any:
  """`value` converted to the type of field `name`.

  An int is accepted as a float, and a whole float (1e3) as an int; a bool as neither. A field whose default is None
  accepts None or a float. Options must be numbers, bools or text; the registry checks the rest.

  Raises:
    BadInput: unknown field, wrong type, out of range, or not among the choices.
  """
  if name not in FIELDS:
    raise no_field(name)
  field = FIELDS[name]
  expected = float if field.default is None else type(field.default)
  if field.kind == "code":
    raise BadInput(f"config field {name!r} is filled in from the files that a config names, and never given")
  if isinstance(value, Mapping) and field.kind in ("options", "schedules"):
    return _options(name, value, field.joined)
  if isinstance(value, Mapping) and expected is dict:
    return {_option(name, key): _number(f"{name!r}: {key!r}", plain(v), field) for key, v in value.items()}
  value = plain(value)
  if value is None and field.default is None:
    return None
  if expected is float and type(value) in (int, float):
    return _number(repr(name), value, field)
  if expected is int and type(value) is float and value.is_integer():
    value = int(value)
  if type(value) is not expected:
    default = f"default {field.default!r}"
    raise BadInput(
      f"config field {name!r} expected {expected.__name__} ({default}), got {type(value).__name__} {shown(value)}"
    )
  if expected is int and not field.low <= value <= field.high:
    raise BadInput(f"config field {name!r} expected {_bounds(field)}, got {shown(value)}")
  if isinstance(value, str) and not is_text(value):
    raise BadInput(f"config field {name!r} expected text that UTF-8 can hold, without NUL, got {shown(value)}")
  if field.choices and value not in field.choices:
    raise unknown(f"{name}", value, field.choices)
  return value


def _options(name: str, given: Mapping[Any, Any], joined: bool) -> dict[str, Any]:
  """The options of one entry, or of several, `{entry: {option: value}}`."""
  if not joined:
    return {_option(name, key): _value(f"{name!r}: {key!r}", plain(v)) for key, v in given.items()}
  found = {}
  for entry, own in given.items():
    if not isinstance(entry, str) or not is_text(entry) or not isinstance(own, Mapping):
      raise BadInput(f"config field {name!r} expected a dict of options for each name, got {shown({entry: own})}")
    found[entry] = _options(f"{name}.{entry}", own, joined=False)
  return {entry: own for entry, own in found.items() if own}


def _value(what: str, value: Any) -> Any:
  """`value`, after checking that an option can have it: a finite number, a bool or text."""
  if isinstance(value, float) and not math.isfinite(value):
    raise BadInput(f"config field {what} expected a finite number, got {value!r}")
  if isinstance(value, str) and not is_text(value):
    raise BadInput(f"config field {what} expected text that UTF-8 can hold, without NUL, got {shown(value)}")
  if isinstance(value, int) and abs(value) > LARGEST:
    raise BadInput(
      f"config field {what} expected a finite number (of float32: at most {LARGEST:g}), got {shown(value)}"
    )
  if value is not None and type(value) not in (bool, int, float, str):
    raise BadInput(f"config field {what} expected a number, a truth or text, got {shown(value)}")
  return value


def _option(name: str, key: Any) -> str:
  key = plain(key)
  if not (isinstance(key, str) and (key.isidentifier() or REFERENCE.fullmatch(key))):
    raise BadInput(f"config field {name!r} expected names as keys, got {shown(key)}")
  return key


def _number(name: str, value: Any, field: Field) -> float:
  """`value` as a float in the field's range; `name` is how messages call it."""
  if type(value) not in (int, float):
    raise BadInput(f"config field {name} expected a number, got {shown(value)}")
  if not field.low <= value <= field.high:  # NaN fails this too
    raise BadInput(f"config field {name} expected {_bounds(field)}, got {shown(value)}")
  try:
    value = float(value)
  except OverflowError:
    value = math.inf
  if not abs(value) <= LARGEST:
    raise BadInput(f"config field {name} expected a finite number (of float32: at most {LARGEST:g}), got {value!r}")
  return value


def _bounds(field: Field) -> str:
  low, high = (str(x) if isinstance(x, int) else f"{x:.8g}" for x in (field.low, field.high))
  return f"at least {low}" if field.high == math.inf else f"from {low} to {high}"


def resolve(*overrides: Mapping[str, Any]) -> dict[str, Any]:
  """The full config: the defaults, then each mapping in turn. Raises `BadInput` as `coerce` does.

  A name with a dot sets one entry of a field that is a dict and leaves the others: `model_options.depth`,
  `penalty_options.gradient_penalty.centre`. Options that are not given are not added here: their defaults are in the
  registries (`gan_jax.game.complete`).
  """
  config = defaults()
  for override in overrides:
    for name, value in override.items():
      root, inner = split(name)
      if not inner:
        config[root] = coerce(root, value)
        continue
      if root not in FIELDS or not isinstance(FIELDS[root].default, dict):
        raise no_field(name)
      if len(inner) != 1 + FIELDS[root].joined:
        place = f"{root}.name.option" if FIELDS[root].joined else f"{root}.name"
        raise BadInput(f"config field {root!r} expected {place}, got {shown(name)}")
      config[root] = merged(config[root], coerce(root, nested(inner, value)))
  return config


def split(name: str) -> tuple[str, list[str]]:
  """(field, [[entry,] option]) of a name with dots; an entry can contain dots: `penalty_options.mine.py:r1.centre`."""
  root, _, rest = name.partition(".")
  entry, _, option = rest.rpartition(".")
  return root, [part for part in (entry, option) if part] if rest else []


def nested(names: Sequence[str], value: Any) -> Any:
  """Nested dicts: (["a", "b"], 1) -> {"a": {"b": 1}}."""
  return {names[0]: nested(names[1:], value)} if names else value


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
  """The entries of both dicts, recursively; if both have an entry, that of `new`."""
  both = {k: merged(old[k], v) if isinstance(v, Mapping) and k in old else v for k, v in new.items()}
  return {**old, **both}
