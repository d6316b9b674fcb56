"""A study's directory: manifest, status, tables and samples, each file written whole and renamed into place. No jax import.

    runs/<study>/
      manifest.json            what was asked for, written once: every run's full config and id, versions, layout
      status.json              the step of each group, which runs diverged and when; replaced after each chunk
      rows/<group>/A-B.npz     diagnostics of steps [A, B): 'step' [rows] and one float32 [rows, members] per metric
      quality/<group>/A-B.npz  sample quality measured at step A, same columns
      samples/<group>/S.npz    'samples' [members, n, ...] from one fixed noise after S steps
      samples/<group>/real.npz 'samples' [n, ...] of the data, and 'points' or 'images' as 'kind'
      checkpoints/<group>/     Orbax; only `checkpoint.py` looks inside
      fork/<group>/            of a fork, the states with which its runs begin; see runner/forking.py
      best/<group>/<run>.npz   the generator with which the run measured best; see runner/best.py
      gallery/panel-N.npz      a closer look at the best run of a panel, for the report; see runner/gallery.py
      set_aside/<time>-<why>/  damaged or obsolete files, at their old paths below that folder; never deleted
      launch/                  what a launcher of several processes wrote; see gan_jax/launch
      lock, locks/<group>      who writes it; see lock.py
      stacks/<time>-<pid>.txt  where each thread of a process stood that hung; see runner/watchdog.py
      report.html

A reader never sees part of a row: a file is complete or absent, and reading verifies the CRC in an `.npz`. Manifest and
status contain the digest of their contents, and each has a copy (`manifest.copy.json`) that is read where the file is
damaged.
"""

import contextlib
import itertools
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput
from gan_jax.core.files import (
  SET_ASIDE,
  Damaged,
  read_arrays,
  read_json,
  seal,
  sealed,
  set_aside,
  write_arrays,
  write_atomic,
  write_json,
)
from gan_jax.core.table import Table
from gan_jax.runs import holders, lock, schema
from gan_jax.runs.tables import (
  Found,
  Gap,
  append,
  damaged_samples,
  parts,
  read_part,
  read_samples,
  read_table,
  row_gaps,
  sample_steps,
  step_gaps,
  survey,
  write_samples,
)

__all__ = ["SET_ASIDE", "Damaged", "Gap", "Table", "append", "parts", "read_arrays", "read_json", "read_part"]
__all__ += [
  "read_samples",
  "read_table",
  "sample_steps",
  "set_aside",
  "survey",
  "write_arrays",
  "write_atomic",
  "write_json",
  "write_samples",
]

FORMAT = 3  # format 1 had neither digests nor copies, format 2 no options; both can still be read
MANIFEST, STATUS = "manifest.json", "status.json"
TABLES = ("rows", "quality", "samples")
FORK = "fork"  # the states with which the runs of a fork begin; see runner/forking.py
STACKS = "stacks"
OUR_JSON = (MANIFEST, STATUS, "manifest.copy.json", "status.copy.json")
# Names that only a sweep or a report writes.
LOCKS = (holders.LOCK, holders.LOCKS, "status.lock")
OWN = (
  *OUR_JSON,
  *TABLES,
  *LOCKS,
  "checkpoints",
  "best",
  "gallery",
  STACKS,
  SET_ASIDE,
  "report.html",
  "error.txt",
  "launch",
)
# Temporary files that a killed process may leave; names without a process id are those of an earlier version.
SCRATCH = re.compile(
  rf"\.({'|'.join(map(re.escape, (*OUR_JSON, 'report.html')))})\.(\d+\.)?tmp|\.writable|\.\.writable\.tmp"
)
REPORTING = 60  # seconds; a report takes no lock, so its temporary page is removed only when it is older than this


def copy_of(name: str) -> str:
  """`manifest.json` -> `manifest.copy.json`."""
  return name.replace(".json", ".copy.json")


def is_study(study: Path) -> bool:
  """Whether there is a manifest, or the copy of one."""
  return any((study / name).exists() for name in (MANIFEST, copy_of(MANIFEST)))


def strangers(study: Path) -> list[str]:
  """The entries of a directory that were not left by a killed run of gan_jax."""
  ours = {*LOCKS, STACKS, SET_ASIDE, FORK, "launch"}
  return sorted(path.name for path in study.iterdir() if path.name not in ours and not SCRATCH.fullmatch(path.name))


def _checked(path: Path) -> dict[str, Any]:
  """One of our JSON files, its digest and structure verified. Raises `Damaged`, and as `read_json` does."""
  value = read_json(path)
  if not isinstance(value, dict):
    raise Damaged(path, f"expected a mapping, got {type(value).__name__}")
  manifest = path.name in (MANIFEST, copy_of(MANIFEST))
  if manifest and (type(value.get("format")) is not int or not 1 <= value["format"] <= FORMAT):
    raise Damaged(path, f"expected a gan_jax manifest of format 1 to {FORMAT}, got {str(value.get('format'))[:20]}")
  if ("sha256" in value or value.get("format", 1) != 1) and not sealed(value):
    raise Damaged(path, "its contents do not have the digest that it carries")
  found = (schema.wrong_manifest if manifest else schema.wrong_status)(value)
  if found:
    raise Damaged(path, found)
  return value


def read_checked(study: Path, name: str) -> tuple[dict[str, Any], str]:
  """(contents of `manifest.json` or `status.json`, a remark): of its copy where the file itself is damaged or missing."""
  try:
    return _checked(study / name), ""
  except BadInput as error:
    try:
      value = _checked(study / copy_of(name))
    except BadInput:
      raise error from None
    return value, f"{error}; {copy_of(name)} is intact and is read instead"


def _below(folder: Path, most: int = 6) -> str:
  """`; studies below it: runs/a, runs/b`, for a message."""
  try:
    found = sorted(str(path) for path in itertools.islice(folder.iterdir(), 1000) if is_study(path))
  except OSError:  # it, or what is in it, may not be read
    return ""
  return f"; studies below it: {', '.join(found[:most])}{', ...' * (len(found) > most)}" if found else ""


def read_manifest(study: Path) -> dict[str, Any]:
  """The manifest. Raises `BadInput` where there is no study, one of another format, or one with a damaged manifest."""
  if not study.is_dir():
    raise BadInput(f"{study} is not a study: expected a directory with a manifest.json, found no such directory")
  if not is_study(study):
    raise BadInput(
      f"{study} is not a study: expected a directory with a manifest.json, found none in it{_below(study)}"
    )
  return read_checked(study, MANIFEST)[0]


def read_status(study: Path) -> dict[str, Any]:
  """The status. Raises `BadInput` where it and its copy are damaged."""
  there = any(os.path.lexists(study / name) for name in (STATUS, copy_of(STATUS)))
  return read_checked(study, STATUS)[0] if there else {"groups": {}}


def write_manifest(study: Path, manifest: Mapping[str, Any]) -> None:
  _write_twice(study, MANIFEST, manifest)


def write_status(study: Path, status: Mapping[str, Any]) -> None:
  _write_twice(study, STATUS, {"format": FORMAT, **status})


def _write_twice(study: Path, name: str, value: Mapping[str, Any]) -> None:
  lock.fence(study)
  for file in (name, copy_of(name)):
    write_json(study / file, seal(value))


def mend(study: Path, say: Callable[[str], None]) -> None:
  """Repair the directory while the lock is held: remove temporary files, replace a damaged manifest or status by its copy.

  If a status and its copy are both damaged, both are set aside; the status is later derived from the checkpoints.
  """
  for path in [path for path in study.iterdir() if SCRATCH.fullmatch(path.name)]:
    with contextlib.suppress(FileNotFoundError):
      if not path.name.startswith(".report.html.") or time.time() - path.lstat().st_mtime > REPORTING:
        path.unlink()
  for table in (*TABLES, "best", "gallery"):
    for path in (study / table).glob("**/.*.npz.*tmp"):  # a part that was not written to its end
      path.unlink(missing_ok=True)
  for name in (MANIFEST, STATUS):
    found: dict[str, dict[str, Any]] = {}
    for file in (name, copy_of(name)):
      try:
        found[file] = _checked(study / file)
      except Damaged as error:
        say(f"{error}; set aside as {set_aside(study, study / file, 'damaged')}")
      except BadInput:
        if (study / file).exists():
          raise
    if len(found) == 1:
      ((intact, value),) = found.items()
      if value.get("format") == FORMAT:
        missing = copy_of(name) if intact == name else name
        write_json(study / missing, value)
        if missing == name:
          say(f"{study / name} is restored from {intact}")


def gaps(
  study: Path, group: Mapping[str, Any], status: Mapping[str, Any], found: Mapping[str, Found] | None = None
) -> list[Gap]:
  """Everything that a group should have at the step of its status and that is missing or damaged.

  Args:
    study: its directory.
    group: its part of the manifest.
    status: its part of the status.
    found: its tables by name, if they have been read already.
  """
  name, config, members = group["name"], group["members"][0]["config"], len(group["members"])
  wanted = group.get("tables") or [t for t in TABLES if (study / t / name).is_dir()]
  there = {t: (found or {}).get(t) or survey(study, t, name, members) for t in ("rows", "quality") if t in wanted}
  known = "step" in status
  done = int(status["step"]) if known else config["steps"]
  start = group.get("forked", {}).get("step", 0)
  missing: list[Gap] = []
  if "rows" in there:
    missing += row_gaps(name, there["rows"], done, bool(status.get("complete")), start)
  if "quality" in there and known:
    bad = {first: f"damaged ({path.name}: {why})" for first, _, path, why in there["quality"].damaged}
    missing += step_gaps(name, "quality", config, there["quality"].table.steps.tolist(), bad, done, start)
  if "samples" in wanted and known:
    wrong = damaged_samples(study, name, members)
    files = sample_steps(study, name)
    bad = {step: f"damaged ({path.name}: {wrong[path]})" for step, path in files if path in wrong}
    missing += step_gaps(name, "samples", config, [step for step, path in files if path not in wrong], bad, done, start)
    real = study / "samples" / name / "real.npz"
    if real in wrong or not real.exists():
      missing.append(Gap(name, "real", 0, 0, f"damaged ({wrong[real]})" if real in wrong else "missing"))
  return missing


def run_status(config: Mapping[str, Any], run_id: str, group_status: Mapping[str, Any]) -> tuple[str, int]:
  """(status, last step) of one run: `diverged` or `stopped` (by halving) at that step, `done`, `unfinished` or `waiting`."""
  diverged = group_status.get("diverged", {})
  step = int(group_status.get("step", 0))
  if run_id in diverged:
    return "diverged", int(diverged[run_id])
  if run_id in group_status.get("stopped", {}):
    return "stopped", int(group_status["stopped"][run_id])
  if step >= config["steps"] and group_status.get("complete"):
    return "done", step
  return ("unfinished" if step else "waiting"), step
