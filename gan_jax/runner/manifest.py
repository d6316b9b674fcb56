"""A study's manifest: all that was asked for, and what it is computed by. No jax import.

What it is computed by decides the bits of a run: it is recorded when a study begins, and compared when it goes on.
"""

import ast
import datetime
import functools
import hashlib
import importlib.metadata
import inspect
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import runs
from gan_jax.core import installation
from gan_jax.runner import devices

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")


def describe(
  config: str,
  name: str,
  groups: Sequence[Any],
  meanings: Mapping[str, str],
  digests: Mapping[str, str] | None = None,
  tables: Sequence[str] = runs.TABLES,
  defaults: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """The manifest: all that was asked for, and what it runs on.

  Args:
    config: path of the config file.
    name: of the study.
    groups: `grouping.Group`s.
    meanings: what each metric is, by name.
    digests: of each group's dataset, by the group's name; without them data are not compared when it is resumed.
    tables: what a complete group has of `runs.TABLES`.
    defaults: of the options of what the configs name, `{field: {entry: {option: default}}}`: a label leaves them out.
  """
  text = inspect.cleandoc(ast_docstring(Path(config)) or "")
  return {
    "format": runs.FORMAT,
    "study": name,
    "description": text.split("\n\n")[0].replace("\n", " "),
    "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    **platform_facts(),
    "metrics": dict(meanings),
    "defaults": dict(defaults or {}),
    "groups": [
      {
        "name": group.name,
        "tables": list(tables),
        **({"data": {"sha256": digests[group.name]}} if digests else {}),
        "members": [{"id": i, "config": dict(c)} for i, c in zip(group.ids, group.configs, strict=True)],
      }
      for group in groups
    ],
  }


def platform_facts() -> dict[str, Any]:
  """What a study is computed by: commit, digest of our own source, versions, layout."""
  return {
    "commit": commit(),
    "source": source(),
    "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
    "layout": devices.layout(),
  }


def changes(manifest: Mapping[str, Any] | None, here: Mapping[str, Any]) -> list[str]:
  """What differs from when a study began, one sentence a field; empty for a new study."""
  if manifest is None:
    return []
  found = []
  for name, now in here.items():
    then = manifest.get(name)
    pairs = [(name, then, now)]
    if isinstance(now, dict):
      then = then if isinstance(then, dict) else {}
      pairs = [
        (f"{name} {key}".replace("versions ", ""), then.get(key), now.get(key)) for key in dict.fromkeys([*then, *now])
      ]
    found += [f"begun with {what} {a}, continued with {b}" for what, a, b in pairs if a != b]
  return found


@functools.cache
def source() -> str:
  """A digest of the package's own files: what a commit does not say of a changed working tree.

  The same in a clone and where it was installed: there `experiments` and `configs`, which compute nothing of a run, lie
  within the package.
  """
  hasher = hashlib.sha256()
  root = installation.PACKAGE
  for path in sorted(root.rglob("*.py")):
    name = path.relative_to(root)
    if name.parts[0] not in ("experiments", "configs"):
      hasher.update(name.as_posix().encode() + path.read_bytes())
  return hasher.hexdigest()[:12]


def ast_docstring(path: Path) -> str | None:
  return ast.get_docstring(ast.parse(path.read_bytes()))


def commit() -> str | None:
  """The git commit of this checkout, with `+changes` where the working tree differs; None outside git.

  A package that was installed in an environment within someone else's checkout is not of that checkout's commit: git must
  know this very file.
  """
  here = Path(__file__).resolve().parent
  try:
    known = ["git", "ls-files", "--error-unmatch", Path(__file__).name]
    subprocess.run(known, cwd=here, capture_output=True, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout
    dirty = subprocess.run(
      ["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True
    ).stdout
  except (OSError, subprocess.CalledProcessError):
    return None
  return head.strip() + ("+changes" if dirty.strip() else "")
