"""A study's directory: manifest, rows, samples, status. Plain files, written whole and renamed into place. No jax import.

    runs/<study>/
      manifest.json                 what was asked for, written once: every member's full config and id, versions, layout
      status.json                   how far each group is, which members diverged and where; replaced after each chunk
      rows/<group>/A-B.npz          diagnostics of steps [A, B): 'step' [rows] and one float32 [rows, members] per metric
      quality/<group>/A-B.npz       sample quality measured at step A, same columns
      samples/<group>/S.npz         'samples' [members, n, ...] from one fixed noise after S steps
      samples/<group>/real.npz      'samples' [n, ...] of the data, and 'points' or 'images' as 'kind'
      checkpoints/<group>/          Orbax; only `checkpoint.py` looks inside
      report.html

A reader never sees half a row: a part is complete or absent, and `.npz` carries a CRC that reading verifies.
"""

import contextlib
import fcntl
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.errors import BadInput, Failure

FORMAT = 1
PART = re.compile(r"(\d{9})-(\d{9})\.npz")


class Table(NamedTuple):
  """Columns of one group: `steps` [rows], and per metric float32 [rows, members]; NaN where there was nothing."""

  steps: np.ndarray
  columns: dict[str, np.ndarray]


def write_atomic(path: Path, content: bytes) -> None:
  """Replace `path` by `content`, all or nothing, durable before it returns."""
  path.parent.mkdir(parents=True, exist_ok=True)
  scratch = path.with_name(f".{path.name}.tmp")
  try:
    with open(scratch, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(scratch, path)
  except OSError:
    scratch.unlink(missing_ok=True)
    raise
  folder = os.open(path.parent, os.O_RDONLY)
  try:
    os.fsync(folder)
  finally:
    os.close(folder)


def write_json(path: Path, value: Any) -> None:
  write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
  """Raises `BadInput` naming the file where it is missing or damaged."""
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise BadInput(f"cannot read {path}: {error}") from error


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
  buffer = io.BytesIO()
  np.savez_compressed(buffer, allow_pickle=False, **arrays)
  write_atomic(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
  """Raises `BadInput` naming the file where it is missing or damaged (each array's CRC is verified)."""
  try:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      return {name: archive[name] for name in archive.files}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError) as error:
    raise BadInput(f"cannot read {path}: {error}") from error
  except Exception as error:  # zlib.error and whatever else a flipped bit makes of a zip header
    raise BadInput(f"cannot read {path}: {type(error).__name__}: {error}") from error


def read_manifest(study: Path) -> dict[str, Any]:
  """Raises `BadInput` where `study` is no study directory, or one of another format."""
  if not study.is_dir():
    raise BadInput(f"{study} is not a study: expected a directory with a manifest.json, found no such directory")
  if not (study / "manifest.json").exists():
    raise BadInput(f"{study} is not a study: expected a directory with a manifest.json, found none in it")
  manifest = read_json(study / "manifest.json")
  if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
    raise BadInput(f"{study / 'manifest.json'}: expected a gan_jax manifest of format {FORMAT}")
  return manifest


def read_status(study: Path) -> dict[str, Any]:
  path = study / "status.json"
  return read_json(path) if path.exists() else {"groups": {}}


def append(study: Path, table: str, group: str, first: int, last: int, rows: Table) -> None:
  """Write the rows of steps [first, last) as one part. Writing the same part again replaces it."""
  write_arrays(study / table / group / f"{first:09d}-{last:09d}.npz", step=rows.steps, **rows.columns)


def parts(study: Path, table: str, group: str) -> list[tuple[int, int, Path]]:
  """The parts (first, last, path) of a table, in order of their steps."""
  folder = study / table / group
  found = [(PART.fullmatch(path.name), path) for path in folder.glob("*.npz")] if folder.is_dir() else []
  return sorted((int(m[1]), int(m[2]), path) for m, path in found if m)


def read_table(study: Path, table: str, group: str) -> Table:
  """All rows of one table of one group. Raises `BadInput` naming a damaged part."""
  read = [read_arrays(path) for _, _, path in parts(study, table, group)]
  if not read:
    return Table(np.zeros(0, np.int64), {})
  names = [name for name in read[0] if name != "step"]
  return Table(
    np.concatenate([part["step"] for part in read]),
    {name: np.concatenate([part[name] for part in read]) for name in names},
  )


def complete_until(study: Path, group: str) -> int:
  """The step up to which every row is there and everything is readable: what a resumed run may build on."""
  end = 0
  for first, last, path in parts(study, "rows", group):
    if first != end or not readable(path):
      break
    end = last
  damaged = [first for first, _, path in parts(study, "quality", group) if not readable(path)]
  return min([end, *(max(first - 1, 0) for first in damaged)])


def readable(path: Path) -> bool:
  try:
    read_arrays(path)
  except BadInput:
    return False
  return True


def truncate(study: Path, group: str, step: int) -> None:
  """Drop what lies beyond `step`: it will be written again, and no row may stand twice.

  Rows of [A, B) belong to the state after B steps; quality at A is measured before the checkpoint of A is written.
  """
  for first, _, path in parts(study, "rows", group):
    if first >= step:
      path.unlink()
  for first, _, path in parts(study, "quality", group):
    if first > step:
      path.unlink()


@contextlib.contextmanager
def writer_lock(study: Path) -> Iterator[None]:
  """Hold the study for writing; released by the kernel even after SIGKILL.

  Raises:
    BadInput: another process holds it; the message says which.
  """
  study.mkdir(parents=True, exist_ok=True)
  with open(study / "lock", "a+") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise BadInput(f"{study} is being written by another process ({file.read().strip() or 'unknown'})") from None
    file.seek(0)
    file.truncate()
    file.write(f"host {os.uname().nodename}, pid {os.getpid()}")
    file.flush()
    yield


def still_there(study: Path) -> Callable[[], None]:
  """A check that `study` is the directory that it is now; to be called before each write, which would make a new one.

  The check raises `Failure` where the directory was removed, moved or replaced meanwhile.
  """
  before = os.stat(study)

  def check() -> None:
    try:
      now = os.stat(study)
    except OSError:
      raise Failure(f"{study} was removed or moved while it was being written; nothing more was written") from None
    if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
      raise Failure(f"{study} was replaced by another directory while it was being written; nothing more was written")

  return check


def run_status(config: Mapping[str, Any], run_id: str, group_status: Mapping[str, Any]) -> tuple[str, int]:
  """(status, last step) of one run: `diverged` at that step, `done`, `unfinished` or `waiting`."""
  diverged = group_status.get("diverged", {})
  step = int(group_status.get("step", 0))
  if run_id in diverged:
    return "diverged", int(diverged[run_id])
  if step >= config["steps"] and group_status.get("complete"):
    return "done", step
  return ("unfinished" if step else "waiting"), step
