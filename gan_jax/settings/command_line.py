"""The command line's `--config.field=value`, as values of the fields' types. No jax import."""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from gan_jax.core.errors import BadInput, shown, unknown


def overrides(config: Mapping[str, Any], arguments: Iterable[str]) -> dict[str, Any]:
  """The fields that `--config.field=value` arguments set, as the types of `config`, whose keys are the fields.

  Into a dict by its keys, `--config.loss_options.x=1`, also by one that the config leaves at its default: a number. In a
  list, whose entries have the type of its first one (of text, where it is empty), values are separated by commas.
  Where a field is given twice the last one counts.

  Raises:
    BadInput: an argument of another form, an unknown field, or text that is not of the field's type.
  """
  prefix = "--config."
  given: dict[str, Any] = {}
  for argument in arguments:
    if not argument.startswith(prefix) or "=" not in argument:
      raise BadInput(f"expected --config.field=value, got {argument!r}")
    name, text = argument.removeprefix(prefix).split("=", 1)
    root, _, key = name.partition(".")
    if root not in config or ("." in name and not isinstance(config[root], Mapping)):
      raise unknown("config field", name, config)
    default = config[root]
    if not isinstance(default, Mapping):
      given[root] = _parsed(name, default, text)
    elif not key.isidentifier() or key.startswith("__"):
      raise BadInput(f"config field {root!r} expected --config.{root}.name=number, got {argument!r}")
    else:
      given[root] = {**given.get(root, default), key: _parsed(name, 0.0, text)}
  return given


def _parsed(name: str, default: Any, text: str) -> Any:
  """`text` as a value of the type of `default`; a number where that is None."""
  if isinstance(default, (list, tuple)):
    entry = default[0] if default else ""
    parts = [part.strip() for part in text.strip(" []()").split(",")]
    try:
      return [_parsed(name, entry, part) for part in parts] if parts != [""] else []
    except BadInput as error:
      kind = f"a list of {type(entry).__name__} (as {default!r})"
      raise BadInput(f"config field {name!r} expected {kind}, got {shown(text)}") from error
  if isinstance(default, str):
    return text
  if default is None and text.strip().lower() == "none":
    return None
  typed = 0.0 if default is None else default
  try:
    if type(typed) is int and re.search("[.eE]", text) and float(text).is_integer():
      return int(float(text))  # 1e4 is an int too
    return _by_flag(typed, text)
  except (flags.Error, OverflowError, TypeError, ValueError) as error:
    kind = type(typed).__name__
    raise BadInput(f"config field {name!r} expected {kind} (as {default!r}), got {shown(text)}") from error


def _by_flag(default: Any, text: str) -> Any:
  """`text` as ml_collections reads a flag of the type of `default`."""
  argument, values = [sys.argv[0], f"--config.value={text}"], flags.FlagValues()
  holder = config_dict.ConfigDict({"value": default})
  flag = config_flags.DEFINE_config_dict("config", holder, flag_values=values, sys_argv=argument)
  values(argument)
  return flag.value.value
