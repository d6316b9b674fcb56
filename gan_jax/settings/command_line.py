"""Reads `--config.field=value` arguments into values of the fields' types. No jax import."""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from gan_jax.core.errors import BadInput, shown
from gan_jax.settings.fields import FIELDS, no_field


def overrides(config: Mapping[str, Any], arguments: Iterable[str]) -> dict[str, Any]:
  """The fields that `--config.field=value` arguments set, with the types that they have in `config`.

  An entry of a dict is given by its key, `--config.model_options.depth=1`: a number, `true` or `false`, or text; in the
  result its name keeps the dots (`settings.resolve` accepts them). The values of a list are separated by commas and
  have the type of its first entry (text if it is empty). If a field is given twice, the last one counts.

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
      raise no_field(name, None if config.keys() <= FIELDS.keys() else config)
    if not isinstance(config[root], Mapping):
      given[root] = _parsed(name, config[root], text)
    elif not key.rpartition(".")[2].isidentifier() or key.rpartition(".")[2].startswith("__"):
      raise BadInput(f"config field {root!r} expected --config.{root}.name=value, got {argument!r}")
    else:
      given[name] = literal(text)
  return given


def literal(text: str) -> bool | int | float | str:
  """The number, bool or text that a text denotes. Whether an option accepts it is checked by its registry.

  >>> [literal(text) for text in ("3", "1e-3", "true", "batch", "007")]
  [3, 0.001, True, 'batch', '007']
  """
  word = text.strip()
  if word.lower() in ("true", "false"):
    return word.lower() == "true"
  if re.fullmatch(r"-?(0|[1-9]\d{0,400})", word):
    return int(word)
  number = re.fullmatch(r"[-+]?(\d+\.\d*|\.?\d+)(e[-+]?\d+)?|[-+]?(inf|nan)", word, re.IGNORECASE)
  return float(word) if number and not word.isdigit() else text


def _parsed(name: str, default: Any, text: str) -> Any:
  """`text` as a value of the type of `default`; as a float if that is None."""
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
