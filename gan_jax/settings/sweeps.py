"""Sweeps: a sweep is a list of dicts of overrides, and five functions compose it. No jax import but in `every`.

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
import math
import re
import stat
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import settings
from gan_jax.core.errors import BadInput, shown, unknown
from gan_jax.settings import effects, labels

Sweep = list[dict[str, Any]]
MOST_RUNS = 100_000  # of a study: what asks for more, or does not end, is a mistake


def param(name: str, values: Iterable[Any]) -> Sweep:
  """One field, each of its values in turn. Raises `BadInput` for text or a single value, for none, or without an end."""
  if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
    raise BadInput(f"a sweep over {name!r} expected a list of values, got {shown(values)}")
  found = [{name: value} for value in itertools.islice(values, MOST_RUNS + 1)]
  if not found:
    raise BadInput(f"a sweep over {name!r} expected at least one value, got none")
  return _few(found, f"a sweep over {name!r}")


def fixed(**fields: Any) -> Sweep:
  """Several fields, one value each."""
  return [fields]


def every(field: str) -> list[str]:
  """The registered names that a field may take, as in `s.param("loss", s.every("loss"))`. Imports the registry, and jax.

  Raises:
    BadInput: a field other than `loss`, `penalty`, `generator_penalty`, `optimizer`, `dataset` and `model`.
  """
  from gan_jax import data, losses, models, penalties
  from gan_jax.game import optimizers

  registered = penalties.PENALTIES.values()
  names = {
    "loss": list(losses.LOSSES),
    "penalty": [p.name for p in registered if p.kind != "generator"],
    "generator_penalty": [p.name for p in registered if p.kind in penalties.registry.GENERATOR_KINDS],
    "optimizer": list(optimizers.OPTIMIZERS),
    "dataset": list(data.DATASETS),
    "model": list(models.MODELS),
  }
  if field not in names:
    raise unknown("field of registered names", field, names)
  return names[field]


def _few(sweep: Sweep, what: str) -> Sweep:
  if len(sweep) > MOST_RUNS:
    raise BadInput(f"{what} expected at most {MOST_RUNS:,} runs, got more")
  return sweep


def _join(overrides: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  joined: dict[str, Any] = {}
  for override in overrides:
    twice = sorted(joined.keys() & override.keys())
    if twice:
      raise BadInput(f"a sweep sets {twice[0]!r} twice in one run: give each field to one of the joined sweeps")
    joined |= override
  return joined


def product(*sweeps: Sweep) -> Sweep:
  """Every combination, the last sweep running fastest. Raises `BadInput` for a field set twice, or too many runs."""
  if math.prod(len(s) for s in sweeps) > MOST_RUNS:
    raise BadInput(f"a product of sweeps expected at most {MOST_RUNS:,} runs, got lengths {[len(s) for s in sweeps]}")
  return [_join(combination) for combination in itertools.product(*sweeps)]


def zipit(*sweeps: Sweep) -> Sweep:
  """The first of each joined, the second of each, ... Raises `BadInput` for unequal lengths."""
  if len({len(s) for s in sweeps}) > 1:
    raise BadInput(f"zipit expected sweeps of one length, got lengths {[len(s) for s in sweeps]}")
  return [_join(combination) for combination in zip(*sweeps, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
  """One sweep after the other."""
  return _few([dict(override) for s in sweeps for override in s], "a chain of sweeps")


def expand(base: Mapping[str, Any], sweep: Sweep, pinned: Mapping[str, Any]) -> list[dict[str, Any]]:
  """The full config of every run, equal ones once, in order; fields without effect at their defaults.

  `pinned` fields (those given on the command line) win over the sweep's: `--config.seed=3` reduces a sweep over five
  seeds to one, `--config.steps=100` shortens all its runs. So do runs that differ only in what has no effect: without a
  penalty, all its weights are one run.

  Raises:
    BadInput: an unknown field, or a value of the wrong type or out of range.
  """
  configs = [effects.settled(settings.resolve(base, override, pinned)) for override in sweep]
  return list({settings.identity(config): config for config in configs}.values())


def load(
  path: str, arguments: Iterable[str] = (), single: bool | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """Read a config file and the `--config.field=value` arguments: (the single run, the runs of its sweep).

  A config file has `get_config() -> ConfigDict | dict`, and, for a study, `sweep(s) -> list[dict]` (`s` is this module;
  a `sweep()` that imports it is as good). Without `sweep`, the study is the single run.

  Args:
    path: of the config file.
    arguments: `--config.field=value`.
    single: whether the single run is asked for, or the sweep; None: either. What is given in `arguments` must have an
      effect there.

  Raises:
    BadInput: no such file, no `get_config` in it, an unknown field, a value of the wrong type, or a field without effect
      (see `effects`).
  """
  base, sweep = _execute(path)
  alone = settings.resolve(base)
  # A field that may be None may be given as that, whatever the file says.
  pinned = overrides(
    {name: None if settings.FIELDS[name].default is None else v for name, v in alone.items()}, arguments
  )
  file_runs = [alone, *(settings.resolve(base, override) for override in sweep)]
  effects.check(effects.changed(file_runs), file_runs)
  runs = [settings.resolve(base, override, pinned) for override in sweep]
  asked = [settings.resolve(base, pinned)] * (single is not False) + runs * (single is not True)
  effects.check(pinned, asked)
  effects.check_sizes(asked)
  swept = expand(base, sweep, pinned)
  _check_baselines(swept, lambda: expand(base, sweep, {k: v for k, v in pinned.items() if k == "baseline"}))
  return expand(base, [{}], pinned), swept


def _check_baselines(configs: Sequence[Mapping[str, Any]], whole: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
  """A baseline that the command line's other fields take out of the study is no mistake: the report says it is not there."""
  try:
    labels.check_baselines(configs)
  except BadInput:
    labels.check_baselines([*configs, *whole()])


def read(path: str, arguments: Iterable[str] = ()) -> dict[str, Any]:
  """The config of a study that trains nothing: the file's own fields, overridden by `--config.field=value`.

  The fields are the keys of the dict that `get_config()` returns, their types those of its values.

  Raises:
    BadInput: no such file, no `get_config` in it, an unknown field, or a value of the wrong type.
  """
  base, _ = _execute(path)
  base = {name: [settings.plain(v) for v in value] if _is_list(value) else value for name, value in base.items()}
  return {**base, **overrides(base, arguments)}


def _is_list(value: Any) -> bool:
  return isinstance(value, Iterable) and not isinstance(value, (str, Mapping)) and getattr(value, "shape", None) != ()


def _execute(path: str) -> tuple[dict[str, Any], Sweep]:
  """What a config file's `get_config` and `sweep` return: plain values by name, and at least one override."""
  module = types.ModuleType("gan_jax_config")
  module.__file__ = path
  source = _source(path)
  try:
    exec(compile(importlib.util.decode_source(source), path, "exec"), module.__dict__)
    if not hasattr(module, "get_config"):
      raise BadInput(f"config {path} expected a function get_config(), found none")
    base = _fields(module.get_config(), f"get_config() of {path}")
    return base, _runs(_call(module.sweep), path) if hasattr(module, "sweep") else [{}]
  except BadInput:
    raise
  except SystemExit as error:
    raise BadInput(f"config {path} cannot be read: it ends the program, with sys.exit({error.code!r})") from error
  except Exception as error:  # the user's file: whatever it raises, say where
    raise BadInput(f"config {path} cannot be read: {type(error).__name__}: {error}") from error


def _source(path: str) -> bytes:
  """The text of a config file as it is stored; Python finds its encoding."""
  file = Path(path)
  try:
    kind = file.stat().st_mode
    if stat.S_ISREG(kind) and file.suffix == ".py":
      return file.read_bytes()
  except FileNotFoundError:
    raise BadInput(_no_config(path, file.parent if file.parent.is_dir() else Path("configs"))) from None
  except (OSError, ValueError) as error:
    raise BadInput(f"config {shown(path)} cannot be read: {getattr(error, 'strerror', None) or error}") from error
  is_what = "a directory" if stat.S_ISDIR(kind) else "no regular file" if not stat.S_ISREG(kind) else "another file"
  raise BadInput(f"config {path} expected a Python file (.py), got {is_what}")


def _fields(value: Any, what: str) -> dict[str, Any]:
  """A dict or ConfigDict of fields by name, with plain values."""
  value = value.to_dict() if hasattr(value, "to_dict") else value
  if not isinstance(value, Mapping):
    raise BadInput(f"{what} expected a dict of fields, got {type(value).__name__} {shown(value)}")
  strange = [key for key in value if not isinstance(key, str)]
  if strange:
    raise BadInput(f"{what} expected names of fields as keys, got {shown(strange[0])}")
  return {key: settings.plain(v) for key, v in value.items()}


def _runs(value: Any, path: str) -> Sweep:
  """What `sweep` returned or yields, as a list."""
  if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
    raise BadInput(f"sweep() of {path} expected a list of dicts, got {type(value).__name__} {shown(value)}")
  found = [_fields(run, f"a run of sweep() of {path}") for run in itertools.islice(value, MOST_RUNS + 1)]
  if not found:
    raise BadInput(f"sweep() of {path} expected at least one run, got none")
  return _few(found, f"sweep() of {path}")


def _call(sweep: Callable[..., Sweep]) -> Sweep:
  return sweep(sys.modules[__name__]) if inspect.signature(sweep).parameters else sweep()


def _no_config(path: str, folder: Path) -> str:
  there = sorted(str(folder / p.name) for p in folder.glob("*.py")) if folder.is_dir() else []
  return str(unknown("config file", path, there)) if there else f"no config file {path}"


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
  try:
    if isinstance(default, bool):
      return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
    if default is None and text.strip().lower() == "none":
      return None
    if isinstance(default, int):
      number = float(text) if re.search("[.eE]", text) else int(text)  # 1e4 is an int too
      return int(number) if number == int(number) else int(text)
    return float(text)
  except (KeyError, OverflowError, ValueError) as error:
    kind = "float" if default is None else type(default).__name__
    raise BadInput(f"config field {name!r} expected {kind} (as {default!r}), got {shown(text)}") from error
