"""Converts any pytree of arrays to nested dicts with names as keys, as checkpoints and tables need, and back.

The structure of an NNX state or an Equinox module is a Python object of that library; a `Player`'s parameters and
memory are plain dicts of arrays. Random keys become their integer data.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gan_jax.core.types import Params


class Naming(NamedTuple):
  """The names of the leaves of one structure."""

  structure: Any  # of the tree
  names: tuple[tuple[str, ...], ...]  # of each leaf, in order: the keys of the nested dicts
  paths: tuple[tuple[Any, ...], ...]  # of each leaf in the tree
  random: tuple[Any, ...]  # of each leaf: the implementation of its random keys, None for numbers

  def named(self, tree: Any) -> dict[str, Any]:
    """The nested dicts of a tree; leaves that the structure did not have are left out."""
    there = dict(jax.tree_util.tree_flatten_with_path(tree)[0])
    nested: dict[str, Any] = {}
    for names, path, kind in zip(self.names, self.paths, self.random, strict=True):
      inner = nested
      for name in names[:-1]:
        inner = inner.setdefault(name, {})
      leaf = there[path] if kind is None else jax.random.key_data(there[path])
      inner[names[-1]] = jnp.asarray(leaf, leaf.dtype)  # a weak type could change from one step to the next
    return nested

  def restored(self, nested: Params) -> Any:
    """The tree of nested dicts."""
    leaves = []
    for names, kind in zip(self.names, self.random, strict=True):
      leaf = nested
      for name in names:
        leaf = leaf[name]
      leaves.append(leaf if kind is None else jax.random.wrap_key_data(leaf, impl=kind))
    return jax.tree.unflatten(self.structure, leaves)


def naming(tree: Any) -> Naming:
  """The naming of a tree of arrays, or of their shapes. If names would collide, leaves are numbered instead."""
  found, structure = jax.tree_util.tree_flatten_with_path(tree)
  paths = tuple(path for path, _ in found)
  names = tuple(tuple(word(key) for key in path if word(key) != "value") or ("value",) for path in paths)
  prefixes = {name[:end] for name in names for end in range(1, len(name))}
  if len(set(names)) < len(names) or prefixes & set(names):
    names = tuple((f"{number:04d}",) for number in range(len(names)))
  random = tuple(implementation(leaf) for _, leaf in found)
  return Naming(structure, names, paths, random)


def implementation(leaf: Any) -> str | None:
  """The name of a random key's implementation; None for numbers."""
  if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    return None
  names: list[str] = []
  jax.eval_shape(lambda key: names.append(str(jax.random.key_impl(key))), leaf)
  return names[0]


def word(key: Any) -> str:
  """A key of a path as text, without dots: Orbax reads a dot as a level, so `a.b` and `a/b` would be the same."""
  for attribute in ("key", "name", "idx"):
    if hasattr(key, attribute):
      return str(getattr(key, attribute)).replace(".", "_")
  return str(key).strip(".[]'").replace(".", "_")
