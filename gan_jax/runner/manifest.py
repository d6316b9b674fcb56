"""A study's manifest: everything that was asked for, and the software and hardware that compute it. No jax import.

Software and hardware affect results to the bit: they are recorded when a study begins and compared when it resumes.
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


def description(config: str) -> str:
  """The first paragraph of a config file's docstring, as one line; '' where there is none."""
  text = inspect.cleandoc(ast_docstring(Path(config)) or "")
  return text.split("\n\n")[0].replace("\n", " ")


def describe(
  description: str,
  name: str,
  groups: Sequence[Any],
  meanings: Mapping[str, str],
  data: Mapping[str, Mapping[str, Any]] | None = None,
  tables: Sequence[str] = runs.TABLES,
  defaults: Mapping[str, Any] | None = None,
  roles: Mapping[str, list[str]] | None = None,
  halving: Any = None,
  losses: Mapping[str, Mapping[str, str]] | None = None,
  classes: Mapping[str, int] | None = None,
) -> dict[str, Any]:
  """The manifest of a new study.

  Args:
    description: what the study is about, in a sentence.
    name: of the study.
    groups: `grouping.Group`s.
    meanings: one line of explanation for each metric, by name.
    data: of each group's dataset, by the group's name, its digest `sha256` and the `shape` of an example; without them, data
      are not compared on resuming.
    tables: the tables of `runs.TABLES` that a complete group has.
    defaults: of the options of what the configs name, `{field: {entry: {option: default}}}`; labels leave them out.
    roles: what the varying fields are for, `{"compared": [field, ...], "drawn", "repeated"}`; {}: the config does not say.
    halving: its `halving.Rules`, or None.
    losses: the texts of each loss's card, by name; the report prints them.
    classes: the number of classes of each group's dataset, by the group's name: of n samples in a grid, the i-th of a
      conditional generator has class i modulo that number.
  """
  return {
    "format": runs.FORMAT,
    "study": name,
    "description": description,
    "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    **platform_facts(),
    "metrics": dict(meanings),
    "defaults": dict(defaults or {}),
    "roles": dict(roles or {}),
    **({"halving": halving.written()} if halving else {}),
    "losses": {name: dict(facts) for name, facts in (losses or {}).items()},
    "groups": [
      {
        "name": group.name,
        "tables": list(tables),
        **({"classes": classes[group.name]} if classes else {}),
        **({"data": dict(data[group.name])} if data else {}),
        "members": [{"id": i, "config": dict(c)} for i, c in zip(group.ids, group.configs, strict=True)],
      }
      for group in groups
    ],
  }


def platform_facts() -> dict[str, Any]:
  """The software and hardware of a study: commit, digest of our own source, versions, layout."""
  return {
    "commit": commit(),
    "source": source(),
    "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
    "layout": devices.layout(),
  }


def changes(manifest: Mapping[str, Any] | None, here: Mapping[str, Any]) -> list[str]:
  """What differs from when a study began, one sentence per field; empty for a new study."""
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
    found += [
      "begun with other code of gan_jax than this" if what == "source" else f"begun with {what} {a}, continued with {b}"
      for what, a, b in pairs
      if a != b
    ]
  return found


@functools.cache
def source() -> str:
  """A digest of the package's own files, which also detects a changed working tree.

  It is the same in a clone and in an installed package, where `experiments` and `configs`, which do not affect a run,
  lie within the package.
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

  None as well for a package installed inside another project's checkout: git must track this file.
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
