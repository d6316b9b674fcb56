"""Checkpoints of a population, with Orbax. Imported here and nowhere else.

What Orbax does not do is done here: it has no checksum over array contents (a flipped bit loads silently), it casts a
wrong dtype silently, and after a failed asynchronous save its `latest_step` names a step that is not on disk. So a digest
of every leaf is stored beside the state and verified on restore, a damaged checkpoint gives way to the one before it,
and saves are synchronous: one that returned is on disk.
"""

import concurrent.futures
import functools
import hashlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

KEEP = 3
# What Orbax and TensorStore print of a failed save, from threads of their own, beside raising it. The last comes once for
# every write that was under way, also while the program leaves.
ECHOES = ("_SignalingThread.run() raised an exception", "Task exception was never retrieved", "Event loop is closed")


class SaveFailed(OSError):
  """The newest checkpoint could not be written; the ones before it are untouched."""


def digests(state: Any) -> dict[str, str]:
  """sha256 of each leaf, its dtype and its shape, by path."""
  found = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    array = np.ascontiguousarray(jax.device_get(leaf))
    hasher = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    hasher.update(array.tobytes())
    found[jax.tree_util.keystr(path)] = hasher.hexdigest()
  return found


def _manager(directory: Path) -> ocp.CheckpointManager:
  options = ocp.CheckpointManagerOptions(
    max_to_keep=KEEP, enable_async_checkpointing=False, cleanup_tmp_directories=True
  )
  return ocp.CheckpointManager(directory.resolve(), options=options, item_names=("state", "meta"))


def save(directory: Path, step: int, state: Any, meta: dict[str, Any]) -> None:
  """Write the state after `step` steps; on disk when this returns.

  Raises:
    SaveFailed: it could not be written (a full disk, say).
  """
  try:
    with _manager(directory) as manager:
      manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave({**meta, "digests": digests(state)})
        ),
      )
  # TensorStore reports a full disk as a ValueError; a part of Orbax that waited for the one that failed is cancelled.
  except (OSError, ValueError, RuntimeError, concurrent.futures.CancelledError) as error:
    raise SaveFailed(f"checkpoint of step {step} could not be written to {directory}: {_first_line(error)}") from error


def restore(
  directory: Path, template: Any, meta: dict[str, Any], newest: int, say: Callable[[str], None]
) -> tuple[int, Any] | None:
  """The newest intact (step, state) of at most `newest` steps, with the shapes, dtypes and shardings of `template`.

  A checkpoint that cannot be read, whose digests do not match, or whose `meta` differs is passed over, and `say` is told.
  None where no intact one is left.
  """
  if not directory.is_dir():
    return None
  with _manager(directory) as manager:
    for step in sorted((s for s in manager.all_steps() if s <= newest), reverse=True):
      try:
        found = manager.restore(
          step, args=ocp.args.Composite(state=ocp.args.StandardRestore(template), meta=ocp.args.JsonRestore())
        )
        stored = dict(found.meta)
        expected = stored.pop("digests")
        if stored != meta:
          raise ValueError(f"it belongs to {stored}, not to {meta}")
        damaged = [path for path, digest in digests(found.state).items() if expected.get(path) != digest]
        if damaged:
          raise ValueError(f"contents differ from what was saved at {damaged[0]}")
      except Exception as error:  # whatever a damaged file makes Orbax raise: an older checkpoint will do
        say(f"checkpoint {directory / str(step)} is damaged and passed over: {_first_line(error)}")
        continue
      return step, found.state
  return None


def drop_after(directory: Path, step: int) -> None:
  """Remove checkpoints newer than `step`, so that the run may write them again."""
  if directory.is_dir():
    with _manager(directory) as manager:
      for newer in [s for s in manager.all_steps() if s > step]:
        manager.delete(newer)


def quiet() -> None:
  """Keep off a person's terminal what Orbax says of its progress, and its `ECHOES`; warnings still come through."""
  logging.getLogger("absl").setLevel(logging.WARNING)
  for name in ("absl", "asyncio"):
    logging.getLogger(name).addFilter(_no_echo)
  hook = sys.unraisablehook  # where an exception goes that nobody can catch: in a thread of TensorStore's
  if getattr(hook, "func", None) is not _unless_echo:
    sys.unraisablehook = functools.partial(_unless_echo, hook)


def _no_echo(record: logging.LogRecord) -> bool:
  return not any(echo in record.getMessage() for echo in ECHOES)


def _unless_echo(hook: Callable[[Any], object], unraisable: Any) -> None:
  if not any(echo in str(unraisable.exc_value) for echo in ECHOES):
    hook(unraisable)


def _first_line(error: Exception) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
