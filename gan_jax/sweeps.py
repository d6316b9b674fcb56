"""Sweeps: a sweep is a list of dicts of overrides, and five functions compose it. No jax import.

def sweep(s):  # s is this module, so that a config file imports nothing
  losses = s.param("loss", ["minimax", "non_saturating", "hinge"])
  return s.chain(
    s.product(losses, s.param("seed", range(5))),
    s.product(s.fixed(panel="strong discriminator", n_critic=5), losses, s.param("seed", range(5))),
  )
"""

import importlib.util
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import labels, settings
from gan_jax.errors import BadInput, unknown

Sweep = list[dict[str, Any]]


def param(name: str, values: Iterable[Any]) -> Sweep:
  """One field, each of its values in turn."""
  return [{name: value} for value in values]


def fixed(**fields: Any) -> Sweep:
  """Several fields, one value each."""
  return [fields]


def _join(overrides: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  joined: dict[str, Any] = {}
  for override in overrides:
    twice = sorted(joined.keys() & override.keys())
    if twice:
      raise BadInput(f"a sweep sets {twice[0]!r} twice in one run: give each field to one of the joined sweeps")
    joined |= override
  return joined


def product(*sweeps: Sweep) -> Sweep:
  """Every combination, the last sweep running fastest."""
  return [_join(combination) for combination in itertools.product(*sweeps)]


def zipit(*sweeps: Sweep) -> Sweep:
  """The first of each joined, the second of each, ... Raises `BadInput` for unequal lengths."""
  if len({len(s) for s in sweeps}) > 1:
    raise BadInput(f"zipit expected sweeps of one length, got lengths {[len(s) for s in sweeps]}")
  return [_join(combination) for combination in zip(*sweeps, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
  """One sweep after the other."""
  return [dict(override) for s in sweeps for override in s]


def expand(base: Mapping[str, Any], sweep: Sweep, pinned: Mapping[str, Any]) -> list[dict[str, Any]]:
  """The full config of every run, equal ones once, in order.

  `pinned` fields (those given on the command line) win over the sweep's: `--config.seed=3` reduces a sweep over five
  seeds to one, `--config.steps=100` shortens all its runs.

  Raises:
    BadInput: an unknown field, or a value of the wrong type or out of range.
  """
  configs = [settings.resolve(base, override, pinned) for override in sweep]
  return list({settings.identity(config): config for config in configs}.values())


def load(path: str, arguments: Iterable[str] = ()) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """Read a config file and the `--config.field=value` arguments: (the single run, the runs of its sweep).

  A config file has `get_config() -> ConfigDict | dict`, and, for a study, `sweep(s) -> list[dict]` (`s` is this module;
  a `sweep()` that imports it is as good). Without `sweep`, the study is the single run.

  Raises:
    BadInput: no such file, no `get_config` in it, an unknown field, or a value of the wrong type.
  """
  base, sweep = _execute(path)
  pinned = overrides(settings.resolve(base), arguments)
  swept = expand(base, sweep, pinned)
  _check_baselines(swept, lambda: expand(base, sweep, {k: v for k, v in pinned.items() if k == "baseline"}))
  return [settings.resolve(base, pinned)], swept


def _check_baselines(configs: Sequence[Mapping[str, Any]], whole: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
  """A baseline that the command line's other fields take out of the study is no mistake: the report says it is not there."""
  try:
    labels.check_baselines(configs)
  except BadInput:
    labels.check_baselines([*configs, *whole()])


def read(path: str, arguments: Iterable[str] = ()) -> dict[str, Any]:
  """The config of a study that trains nothing: the file's own fields, overridden by `--config.field=value`.

  The fields are the keys of the dict that `get_config()` returns, their types those of its values. In a list, whose
  entries have the type of its first one (of text, where it is empty), values are separated by commas.

  Raises:
    BadInput: no such file, no `get_config` in it, an unknown field, or a value of the wrong type.
  """
  base, _ = _execute(path)
  return {**base, **overrides(base, arguments)}


def _execute(path: str) -> tuple[dict[str, Any], Sweep]:
  """What a config file's `get_config` and `sweep` return."""
  file = Path(path)
  if not file.is_file():
    beside = file.parent if file.parent.is_dir() else Path("configs")
    raise BadInput(_no_config(path, beside))
  spec = importlib.util.spec_from_file_location(f"gan_jax_config_{file.stem}", file)
  if spec is None or spec.loader is None:
    raise BadInput(f"config {path} expected a Python file (.py)")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
      raise BadInput(f"config {path} expected a function get_config(), found none")
    base = module.get_config()
    base = base.to_dict() if hasattr(base, "to_dict") else dict(base)
    return base, _call(module.sweep) if hasattr(module, "sweep") else [{}]
  except BadInput:
    raise
  except Exception as error:  # the user's file: whatever it raises, say where
    raise BadInput(f"config {path} cannot be read: {type(error).__name__}: {error}") from error


def _call(sweep: Callable[..., Sweep]) -> Sweep:
  return sweep(sys.modules[__name__]) if inspect.signature(sweep).parameters else sweep()


def _no_config(path: str, folder: Path) -> str:
  there = sorted(str(folder / p.name) for p in folder.glob("*.py")) if folder.is_dir() else []
  return str(unknown("config file", path, there)) if there else f"no config file {path}"


def overrides(config: Mapping[str, Any], arguments: Iterable[str]) -> dict[str, Any]:
  """The fields that `--config.field=value` arguments set, as the types of `config`, whose keys are the fields.

  Into a dict by its keys, `--config.loss_options.x=1`, also by one that the config leaves at its default: a number.

  Raises:
    BadInput: an argument of another form, an unknown field, or text that is not of the field's type.
  """
  # Here and not above: 0.2 s that a listing without overrides need not wait for.
  from absl import flags
  from ml_collections import config_dict, config_flags

  prefix = "--config."
  texts: dict[str, str] = {}
  lists: dict[str, list[Any]] = {}
  for argument in arguments:
    if not argument.startswith(prefix) or "=" not in argument:
      raise BadInput(f"expected --config.field=value, got {argument!r}")
    name, text = argument.removeprefix(prefix).split("=", 1)
    root, _, key = name.partition(".")
    if root not in config or (key and not isinstance(config[root], Mapping)):
      raise unknown("config field", name, config)
    if isinstance(config[root], list):
      lists[name] = _entries(name, config[root], text)
      continue
    texts[name] = text
    if key and key not in config[root]:
      config = {**config, root: {**config[root], key: 0.0}}
  values = flags.FlagValues()
  argv = [sys.argv[0], *(f"{prefix}{name}={text}" for name, text in texts.items())]
  flag = config_flags.DEFINE_config_dict(
    "config", config_dict.ConfigDict(dict(config)), flag_values=values, sys_argv=argv
  )
  try:
    values(argv)
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
    name, text = _culprit(texts, str(error))
    default = config.get(name)
    raise BadInput(f"config field {name!r} expected {type(default).__name__} (as {default!r}), got {text!r}") from error
  parsed = flag.value.to_dict()
  return {root: parsed[root] for root in dict.fromkeys(name.split(".")[0] for name in texts)} | lists


def _entries(name: str, default: list[Any], text: str) -> list[Any]:
  """The entries of a list: `a,b`, also in brackets."""
  entry = type(default[0]) if default else str
  texts = [part.strip() for part in text.strip(" []()").split(",")]
  try:
    return [entry(part) for part in texts] if texts != [""] else []
  except ValueError as error:
    raise BadInput(
      f"config field {name!r} expected a list of {entry.__name__} (as {default!r}), got {text!r}"
    ) from error


def _culprit(texts: Mapping[str, str], message: str) -> tuple[str, str]:
  return next(((name, text) for name, text in texts.items() if f"config.{name}" in message), next(iter(texts.items())))
