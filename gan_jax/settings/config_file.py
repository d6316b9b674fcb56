"""Runs a config file, checks what it returns, and converts it to plain values. No jax import."""

import difflib
import importlib.util
import inspect
import itertools
import stat
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gan_jax import settings
from gan_jax.core import installation
from gan_jax.core.errors import BadInput, shown

MOST_RUNS = 100_000  # of a study; a sweep with more runs, or an endless one, is refused as a mistake


def few(sweep: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
  """`sweep` as it is; raises `BadInput` where it has more than `MOST_RUNS` runs."""
  if len(sweep) > MOST_RUNS:
    raise BadInput(f"{what} expected at most {MOST_RUNS:,} runs, got more")
  return sweep


def execute(path: str, composers: Any) -> tuple[dict[str, Any], list[dict[str, Any]], Any, Any]:
  """Runs a config file: (fields of `get_config()`, overrides of `sweep(composers)`, at least one, `roles()`, `halving()`).

  What the last two return is not checked here; None where there is no such function.

  Raises:
    BadInput: the file cannot be read or run, or returns something else.
  """
  module = types.ModuleType("gan_jax_config")
  module.__file__ = path
  source = _source(path)
  try:
    exec(compile(importlib.util.decode_source(source), path, "exec"), module.__dict__)
    if not hasattr(module, "get_config"):
      raise BadInput(f"config {path} expected a function get_config(), found none")
    base = fields(module.get_config(), f"get_config() of {path}")
    swept = runs(_call(module.sweep, composers), f"sweep() of {path}") if hasattr(module, "sweep") else [{}]
    roles, halving = (getattr(module, name)() if hasattr(module, name) else None for name in ("roles", "halving"))
    return base, swept, roles, halving
  except BadInput:
    raise
  except SystemExit as error:
    raise BadInput(f"config {path} cannot be read: it ends the program, with sys.exit({shown(error.code)})") from error
  except KeyboardInterrupt:
    raise
  except BaseException as error:  # the user's file can raise anything; the message says in which file
    raise BadInput(f"config {path} cannot be read: {type(error).__name__}: {_text(error)}") from error


def _text(error: BaseException) -> str:
  try:
    return str(error)
  except Exception:
    return "without a text that can be read"


def _source(path: str) -> bytes:
  """The bytes of a config file; Python determines their encoding."""
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


def fields(value: Any, what: str) -> dict[str, Any]:
  """A dict or ConfigDict as a dict of plain values by field name."""
  value = value.to_dict() if hasattr(value, "to_dict") else value
  if not isinstance(value, Mapping):
    raise BadInput(f"{what} expected a dict of fields, got {type(value).__name__} {shown(value)}")
  strange = [key for key in value if not isinstance(key, str)]
  if strange:
    raise BadInput(f"{what} expected names of fields as keys, got {shown(strange[0])}")
  return {key: settings.plain(v) for key, v in value.items()}


def runs(value: Any, what: str) -> list[dict[str, Any]]:
  """The overrides of every run, from a list or iterator of dicts; `what` is how messages call it."""
  if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
    raise BadInput(f"{what} expected a list of dicts, got {type(value).__name__} {shown(value)}")
  found = [fields(run, f"a run of {what}") for run in itertools.islice(value, MOST_RUNS + 1)]
  if not found:
    raise BadInput(f"{what} expected at least one run, got none")
  return few(found, what)


def _call(sweep: Callable[..., Any], composers: Any) -> Any:
  return sweep(composers) if inspect.signature(sweep).parameters else sweep()


def _no_config(path: str, folder: Path) -> str:
  there = {str(folder / p.name) for p in folder.glob("*.py") if p.exists()} if folder.is_dir() else set()
  if path.removesuffix(".py").isidentifier():  # a name instead of a path: also look among the configs of the package
    there |= {p.stem for p in installation.folder("configs").glob("*.py")}
  if not there:
    return f"no config file {path}"
  # By their names alone: all have one ending, and most one folder, which would make any two alike.
  stems = {Path(name).stem: name for name in sorted(there)}
  near = difflib.get_close_matches(Path(path).stem, list(stems), n=1, cutoff=0.6)
  hint = f" did you mean {stems[near[0]]!r}?" if near else ""
  return f"unknown config file {shown(path)};{hint} known: {', '.join(sorted(there))}"
