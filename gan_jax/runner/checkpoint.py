"""Checkpoints of a population, with Orbax, which only this file imports.

Orbax has no checksum of array contents (a flipped bit loads silently), it silently casts a wrong dtype, and after a
failed asynchronous save its `latest_step` names a step that is not on disk. So a checkpoint also contains a `meta` with
its own digest: whose state it is (`facts`), and dtype, shape and digest of every leaf. It is read first, and
distinguishes three cases:

- the checkpoint belongs to other runs, other data or another program: `BadInput`, and nothing is changed;
- it is damaged: the one before it is used, and the caller sets the damaged one aside;
- the machine failed to read it: reading is tried again, and raises `OSError` if it keeps failing.

When `save` returns, the checkpoint is on disk. It may be called from any thread, one at a time.

Of several processes only the first saves and restores: it is given whole arrays on the host, and tells the others what
it restores. So a checkpoint does not depend on how many processes and devices wrote it, and any number can go on from it.
"""

import concurrent.futures
import errno
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from gan_jax.core import files
from gan_jax.core.errors import BadInput
from gan_jax.runner import differences
from gan_jax.runner.differences import Leaves, Unfit

KEEP, STAYS = 3, 10  # the newest checkpoints that are kept, and besides them every tenth
FORMAT = 2  # of `meta`; format 1 had no digest
OS_ERROR = re.compile(r"OS error (\d+)")  # how TensorStore's messages give an errno


class SaveFailed(OSError):
  """A checkpoint could not be written; earlier ones are unchanged."""


def leaves(state: Any, digests: bool = True) -> Leaves:
  """dtype, shape and, with `digests`, sha256 of each leaf, by path."""
  found: Leaves = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    entry: dict[str, Any] = {"dtype": str(leaf.dtype), "shape": list(leaf.shape)}
    if digests:
      entry["sha256"] = hashlib.sha256(np.ascontiguousarray(jax.device_get(leaf)).tobytes()).hexdigest()
    found[jax.tree_util.keystr(path)] = entry
  return found


def steps(directory: Path) -> list[int]:
  """The steps of all committed checkpoints, oldest first, as found on disk."""
  if not directory.is_dir():
    return []
  return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())


def held(saves: int) -> int:
  """How many checkpoints a group has at most while the last one of so many is written."""
  return min(saves, KEEP + 1 + saves // STAYS)


def save(
  directory: Path, step: int, state: Any, facts: Mapping[str, Any], origin: Mapping[str, Any], period: int | None = None
) -> None:
  """Write the state after `step` steps; it is on disk when this returns.

  Args:
    directory: that of the group's checkpoints.
    step: the checkpoint's name. Of more than `KEEP` checkpoints the oldest is removed, unless it is one that stays.
    state: a pytree of arrays.
    facts: whose state it is, as JSON; `restore` requires the same.
    origin: what computed it (versions, hardware), as JSON; it is recorded and not compared.
    period: steps between checkpoints, of which every `STAYS`th stays: rows lost in the middle can be computed again from it.

  Raises:
    SaveFailed: it could not be written, for example because the disk is full.
  """
  alone = _alone()
  if alone.active_processes:  # then Orbax does not make it
    directory.mkdir(parents=True, exist_ok=True)
  options = ocp.CheckpointManagerOptions(
    max_to_keep=KEEP,
    keep_period=period and STAYS * period,
    enable_async_checkpointing=False,
    cleanup_tmp_directories=True,
    multiprocessing_options=alone,
    create=not alone.active_processes,
  )
  meta = files.seal(
    {"format": FORMAT, "step": step, "facts": dict(facts), "origin": dict(origin), "leaves": leaves(state)}
  )
  try:
    with ocp.CheckpointManager(directory.resolve(), options=options, item_names=("state", "meta")) as manager:
      manager.save(
        step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)), force=True
      )
  # TensorStore reports a full disk as a ValueError; tasks of Orbax that waited for the failed one are cancelled.
  except (OSError, ValueError, RuntimeError, concurrent.futures.CancelledError) as error:
    raise SaveFailed(f"checkpoint of step {step} could not be written to {directory}: {_first_line(error)}") from error


def _alone() -> ocp.options.MultiprocessingOptions:
  """Orbax is not to wait for other processes, which do not call it."""
  if jax.process_count() == 1:
    return ocp.options.MultiprocessingOptions()
  return ocp.options.MultiprocessingOptions(active_processes={0}, barrier_sync_key_prefix="first")


def check(directory: Path, template: Any, facts: Mapping[str, Any]) -> int:
  """The step of the newest checkpoint whose `meta` is intact; 0 where there is none.

  Raises:
    BadInput: its facts or its program differ.
    OSError: the machine could not read it, several times in a row.
  """
  for step in reversed(steps(directory)):
    try:
      _read_meta(directory / str(step), template, facts)
    except files.Damaged:
      continue
    return step
  return 0


def restore(
  directory: Path,
  template: Any,
  facts: Mapping[str, Any],
  newest: int,
  damaged: Callable[[Path, str], object],
) -> tuple[int, Any] | None:
  """The newest intact (step, state) of at most `newest` steps, with the shapes, dtypes and shardings of `template`.

  `damaged` is called for each damaged checkpoint, with the reason. None where no intact one is left.

  Raises:
    BadInput: a checkpoint has other facts, or a state with other leaves, dtypes or shapes.
    OSError: the machine could not read one, several times in a row.
  """
  for step in reversed(steps(directory)):
    if step <= newest:
      try:
        return step, restore_step(directory, step, template, facts)
      except files.Damaged as error:
        damaged(directory / str(step), error.reason)
  return None


def restore_step(directory: Path, step: int, template: Any, facts: Mapping[str, Any]) -> Any:
  """The state of one checkpoint. Raises `files.Damaged`; `BadInput` and `OSError` as `restore`."""
  path = directory / str(step)
  stored = _read_meta(path, template, facts)["leaves"]
  return _verified(path, _load(path, "state", ocp.args.StandardRestore(template)), stored)


def restore_part(directory: Path, step: int, template: Any, facts: Mapping[str, Any]) -> Any:
  """Some leaves of one checkpoint, as numpy arrays; only they are read and verified. Raises as `restore_step`.

  `template` has named tuples with some of the state's fields in the place of the state's own.
  """
  path = directory / str(step)
  stored = _read_meta(path, template, facts, whole=False)["leaves"]
  as_numpy = jax.tree.map(lambda leaf: ocp.RestoreArgs(restore_type=np.ndarray), template)
  part = ocp.args.PyTreeRestore(item=template, restore_args=as_numpy, partial_restore=True)
  return _verified(path, _load(path, "state", part), {name: stored[name] for name in leaves(template, digests=False)})


def _verified(path: Path, state: Any, stored: Leaves) -> Any:
  """The state, if its leaves are those that were `stored`. Raises `files.Damaged`."""
  found = leaves(state)
  wrong = [leaf for leaf in stored if found.get(leaf) != stored[leaf]]
  if wrong:
    raise files.Damaged(path, f"contents differ from what was saved at {wrong[0]}")
  return state


def origin(directory: Path, step: int, template: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
  """The `origin` that `save` recorded in one checkpoint. Raises as `restore_step`."""
  found: dict[str, Any] = _read_meta(directory / str(step), template, facts)["origin"]
  return found


def _read_meta(path: Path, template: Any, facts: Mapping[str, Any], whole: bool = True) -> dict[str, Any]:
  """The `meta` of a checkpoint. Raises `files.Damaged`, and `BadInput` where it is not the expected one.

  Without `whole` the state may have leaves that the template has not.
  """
  meta = _load(path, "meta", ocp.args.JsonRestore())
  if isinstance(meta, dict) and "digests" in meta and "format" not in meta:
    raise BadInput(f"checkpoint {path} is of format 1, of an earlier version: expected format {FORMAT}; see --out")
  if not files.sealed(meta) or meta.get("step") != int(path.name):
    raise files.Damaged(path, "its meta does not have the digest that it carries")
  if meta.get("format") != FORMAT:
    raise BadInput(f"checkpoint {path} is of format {meta.get('format')}: expected format {FORMAT}; see --out")
  here = leaves(template, digests=False)
  there = {name: leaf for name, leaf in meta["leaves"].items() if whole or name in here}
  found = differences.of_facts(meta["facts"], facts) or differences.of_leaves(there, here)
  if found:
    raise Unfit(path, found)
  return meta


def _load(path: Path, item: str, arguments: Any) -> Any:
  """One item of a checkpoint. Raises `files.Damaged` where the files can be read but Orbax cannot load them."""

  def load() -> Any:
    options = ocp.CompositeOptions(multiprocessing_options=_alone())
    handler = ocp.CompositeCheckpointHandler("state", "meta", composite_options=options)
    with ocp.Checkpointer(handler, multiprocessing_options=_alone()) as reader:
      return reader.restore(path.resolve(), args=ocp.args.Composite(**{item: arguments}))[item]

  def attempt() -> Any:
    try:
      return load()
    except Exception as error:
      number = _machine_failed(error)
      if number is not None:
        raise OSError(number, f"{os.strerror(number)} while reading checkpoint", str(path)) from error
      for file in path.rglob("*"):  # a file that cannot be read raises `OSError` here: it is not known to be damaged
        if file.is_file():
          with open(file, "rb") as opened:
            while opened.read(2**24):
              pass
      raise

  for file in path.rglob("*"):  # reading a pipe would never end
    if not (file.is_file() or file.is_dir()):
      raise files.Damaged(path, f"{file.name} is no regular file")
  for last in (False, True):  # a damaged file fails twice
    try:
      return files.patiently(attempt)
    except MemoryError:
      raise
    except Exception as error:  # a damaged file can make Orbax raise anything
      if isinstance(error, OSError) and error.errno in files.TRANSIENT | {errno.EACCES, errno.EPERM}:
        raise
      if last:
        raise files.Damaged(path, f"{item} cannot be read: {_first_line(error)}") from error
  return None


def _machine_failed(error: BaseException) -> int | None:
  """The errno of a failure of the machine, also in a wrapped exception; None for damaged contents."""
  seen: set[int] = set()
  while error is not None and id(error) not in seen:
    seen.add(id(error))
    said = OS_ERROR.search(str(error))
    number = error.errno if isinstance(error, OSError) and error.errno else int(said[1]) if said else None
    if number in files.TRANSIENT:
      return number
    error = error.__cause__ or error.__context__  # type: ignore[assignment]
  return None


def _first_line(error: Exception) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
