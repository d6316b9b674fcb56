"""User code that a config names: `my_models.py:small_resnet`, or `package.module:function`. No jax import.

A path is relative to the config file's folder; a module is searched there first and then as Python does. Such a name is
accepted wherever a config names a registry entry: `model`, `dataset`, `loss` (also `top_k(mine.py:loss)`), `penalty`
(joined by `+`), `optimizer`, `metrics`, `probes`, ... The arguments and results of the functions are in
`game/outside.py`.

The digest of a file and of the files beside it that it imports is part of a run's id: after a change of the code, the
runs are other runs.
"""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput, blamed, shown, unknown
from gan_jax.settings.fields import FIELDS

NAME = re.compile(r"[^\s+(),]+")  # one of the names of a field; a text of any length is read in one pass
REFERENCE = re.compile(r"([^:]+\.py|[A-Za-z_]\w*(?:\.\w+)*):([A-Za-z_]\w*)")
NAMING = ("lens", *dict.fromkeys(field.of for field in FIELDS.values() if field.of))  # fields that name entries

_loaded: dict[Path, tuple[str, Any]] = {}  # (digest, module) of every file that was loaded


def references(text: str) -> list[str]:
  """The references to user code in the value of a field.

  >>> references("top_k(losses/mine.py:soft) + r1 + lab.penalties:curl")
  ['losses/mine.py:soft', 'lab.penalties:curl']
  """
  return [name for name in NAME.findall(text) if ":" in name and REFERENCE.fullmatch(name)]


def named(config: Mapping[str, Any]) -> list[tuple[str, str]]:
  """(field, reference) of all user code that a config names."""
  return [(field, reference) for field in NAMING for reference in references(config[field])]


def stamped(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
  """The config with the digests of the user code that it names, in its field `code`: {file or module: digest}.

  Raises:
    BadInput: a file or module that does not exist or cannot be read.
  """
  places = dict.fromkeys(reference.partition(":")[0] for _, reference in named(config))
  return {**config, "code": {place: digest(located(place, folder)) for place in places}}


def located(place: str, folder: Path) -> Path:
  """The file of a path (relative to the config) or of a module. Raises `BadInput` if there is none."""
  if place.endswith(".py"):
    path = folder / Path(place).expanduser()
    if path.is_file():
      return path.resolve()
    there = sorted(str(p.relative_to(folder)) for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
    raise unknown(f"file of code beside the config, in {shown(str(folder))}:", place, there)
  with _importable(folder), blamed(f"the module {place!r} that a config names cannot be found"):
    found = importlib.util.find_spec(place)
  if found is None or not found.origin or not found.origin.endswith(".py"):
    raise BadInput(f"the module {place!r} that a config names expected one beside the config or installed, found none")
  return Path(found.origin).resolve()


def digest(path: Path) -> str:
  """A hash, twelve hexadecimal digits, of a file and of the files beside it that it imports, directly or indirectly."""
  hasher = hashlib.sha256()
  for file in sources(path):
    hasher.update(f"{file.name}\0".encode() + file.read_bytes())
  return hasher.hexdigest()[:12]


def sources(path: Path) -> list[Path]:
  """The file and the files in its folder that it imports, directly or indirectly."""
  found, waiting = [], [path]
  while waiting:
    file = waiting.pop()
    if file not in found:
      found.append(file)
      waiting += sorted(set(_neighbours(file)))
  return [found[0], *sorted(found[1:])]


def _neighbours(path: Path) -> Iterator[Path]:
  try:
    tree = ast.parse(path.read_bytes())
  except (OSError, SyntaxError, ValueError) as error:
    raise BadInput(f"{path} cannot be read: {error} (line {getattr(error, 'lineno', None) or 1})") from error
  for node in ast.walk(tree):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
    for name in names:
      file = path.parent.joinpath(*name.split("."))
      yield from (p for p in (file.with_suffix(".py"), file / "__init__.py") if p.is_file())


def function(reference: str, folder: Path) -> Callable[..., Any]:
  """The function of that name. Its file is run once, and again after it has changed.

  Raises:
    BadInput: no such file, module or function; or the file raised an error, which is quoted with its line.
  """
  place, _, name = reference.partition(":")
  path = located(place, folder)
  now = digest(path)
  if path not in _loaded or _loaded[path][0] != now:
    _loaded[path] = now, _run(place, path, folder)
  module = _loaded[path][1]
  if not callable(getattr(module, name, None)):
    own = [
      n for n, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module.__name__
    ]
    raise unknown(f"function of {place}:", name, [n for n in own if not n.startswith("_")])
  found: Callable[..., Any] = getattr(module, name)
  return found


def _run(place: str, path: Path, folder: Path) -> Any:
  """Runs a file anew as a module, with its folder importable."""
  neighbours = {str(file) for file in sources(path)}
  for name, module in list(sys.modules.items()):
    if getattr(module, "__file__", None) in neighbours:
      del sys.modules[name]
  with _importable(folder, path.parent), blamed(f"{place}, which a config names, cannot be run"):
    if not place.endswith(".py"):
      return importlib.import_module(place)
    found = importlib.util.spec_from_file_location(f"gan_jax_outside_{path.stem}_{digest(path)}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # as an import does; dataclasses and annotations need it
    try:
      found.loader.exec_module(module)
    except BadInput as error:  # raised by a decorator of gan_jax
      raise BadInput(f"{place}, which a config names, cannot be run: {error}") from error
    return module


class _importable:
  """A context in which Python searches these folders first for modules."""

  def __init__(self, *folders: Path):
    self.folders = [str(folder.resolve()) for folder in folders]

  def __enter__(self) -> None:
    self.before = list(sys.path)
    sys.path[:0] = self.folders
    importlib.invalidate_caches()

  def __exit__(self, *exception: Any) -> None:
    sys.path[:] = self.before
