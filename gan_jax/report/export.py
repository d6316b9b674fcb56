"""Exports of a study for other tools: one CSV, one file of JSON lines, or TensorBoard's event files. No jax import."""

import csv
import datetime
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput, unknown
from gan_jax.report import events, records
from gan_jax.report.records import Study

HEAD = ("study", "panel", "variant", "id", "group", "status", "table", "step", "bit_exact")
RUN_FOLDER = r".*-seed\d+-\w+"  # as `events.folder_name`
HEADS = re.compile(  # how the files begin that `export`, `report` and `tables` write; only such a file is replaced
  rb"study,panel,variant,|panel,variant|\{\"study\": |% needs \\usepackage|@software\{gan_jax,|## [^\n]*\n\n\| variant "
  rb"|<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\""
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet computes a text cell that begins so


def export(study: Path | Study, format: str, out: Path | None = None) -> Path:
  """Write the rows and the quality of every run in another format, and return where.

  `csv` and `jsonl` are wide: one record per run, table and step, with the columns `study`, `panel`, `variant`, `id`,
  `group`, `status`, `table` ('rows' or 'quality'), `step`, `bit_exact`, then every config field, then every
  metric of the study. So

      frame = pandas.read_csv(path)
      frame[frame.table == "quality"].groupby(["loss", "step"])["frechet/distance"].mean()

  needs no joins. The two tables are not merged: a row is measured during a step, quality before it. Counts are
  integers; other numbers are the shortest text that reads back to the same float32. NaN and missing values are empty in
  CSV and `null` in JSON, where infinity is `null` too. A text cell of the CSV that a spreadsheet would take for a
  formula starts with `'`.

  `tensorboard` is a folder with one run folder per member, `LABEL-seedN-ID`; all its events carry the study's date.
  TensorBoard's plain scalars are float32, which has no 16,777,217: counts are scalars in double precision.

  Args:
    study: its directory.
    format: 'csv', 'jsonl' or 'tensorboard'.
    out: file, or folder for tensorboard; by default `export.csv`, `export.jsonl` or `tensorboard/` in the study.

  Raises:
    BadInput: an unknown format, no study, a damaged file, or an `out` of the wrong kind.
    OSError: it cannot be written.
  """
  path_in = default_name(format)
  write = FORMATS[format][1]
  read = records.opened(study)
  path = read.path / path_in if out is None else out
  what = f"export to {format}"
  write(read, new_folder(path, what, RUN_FOLDER) if format == "tensorboard" else new_file(path, what))
  return path


def default_name(format: str) -> str:
  """What an export is called in a study's directory. Raises `BadInput` for an unknown format."""
  if format not in FORMATS:
    raise unknown("export format", format, FORMATS)
  return FORMATS[format][0]


def new_file(path: Path, what: str) -> Path:
  """The path without symbolic links, where a file may be written; one that such a command wrote is replaced.

  Raises:
    BadInput: a folder, a device or a pipe, a file of the user's, or one that a sweep or a report writes; `what` is how
      messages begin.
  """
  if path.exists() and not path.is_file():  # a device or a pipe would be replaced by the file
    raise BadInput(f"{what} expected a file, got {'the folder' if path.is_dir() else 'no regular file:'} {path}")
  place = _not_of_a_study(path)
  if path.is_file():
    with path.open("rb") as file:
      head = file.read(2000)
    if head and not HEADS.match(head):
      raise BadInput(f"{what} expected a new file, or one that such a command wrote, got another file: {path}")
  return place


def new_folder(path: Path, what: str, own: str) -> Path:
  """As `new_file`, for a folder: a new one, or one with nothing in it but entries whose names match the pattern `own`."""
  if path.exists() and not path.is_dir():
    raise BadInput(f"{what} expected a folder, got the file {path}")
  place = _not_of_a_study(path)
  there = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
  strange = [name for name in there if not re.fullmatch(rf"{own}|\..*\.tmp", name)]
  if strange:
    raise BadInput(
      f"{what} expected a new folder, or one with its own files only, got {path}, in which there is {strange[0]}"
    )
  return place


def _not_of_a_study(path: Path) -> Path:
  target = path.resolve()  # a symbolic link is kept
  for folder in (target, *target.parents):
    inside = target.relative_to(folder).parts
    if runs.is_study(folder) and (not inside or inside[0] in runs.OWN):
      raise BadInput(f"export expected a place for a new file, got {path}, which is of the study {folder} itself")
  return target


def names(study: Study) -> list[str]:
  """The columns of `csv` and `jsonl`."""
  fields = dict.fromkeys(name for run in study.runs for name in run.config)
  return list(dict.fromkeys([*HEAD, *fields, *records.metrics(study)]))


def table(study: Study) -> Iterator[list[Any]]:
  """The records of `csv` and `jsonl`, one value per column; numbers as `number` makes them."""
  columns = names(study)
  for panel in study.panels:
    for variant in panel.variants:
      for run in variant.runs:
        head = (study.manifest["study"], panel.title, variant.label, run.id, run.group, run.status)
        for name, rows in (("rows", run.rows), ("quality", run.quality)):
          for index, step in enumerate(rows.steps):
            values = {metric: number(column[index]) for metric, column in rows.columns.items()}
            record = {**run.config, **values, **dict(zip(HEAD, (*head, name, int(step), run.bit_exact), strict=True))}
            yield [record.get(column) for column in columns]


def number(x: np.generic) -> int | float | None:
  """A count as int, a measured number by `shortest`."""
  return int(x) if isinstance(x, np.integer) else shortest(x)


def shortest(x: np.generic) -> float | None:
  """The float with the fewest digits that reads back to the same float32; None for NaN.

  >>> shortest(np.float32(0.1)), float(np.float32(0.1))
  (0.1, 0.10000000149011612)
  """
  return None if np.isnan(x) else float(str(np.float32(x)))


def _csv(study: Study, path: Path) -> None:
  buffer = io.StringIO(newline="")
  writer = csv.writer(buffer, lineterminator="\n")
  for record in (names(study), *table(study)):
    writer.writerow(_cell(value) for value in record)
  runs.write_atomic(path, buffer.getvalue().encode("utf-8", "backslashreplace"))


def _cell(value: Any) -> Any:
  """The value of a CSV cell: a mapping as JSON, and a quote before text that a spreadsheet would compute."""
  if isinstance(value, (dict, list)):
    return json.dumps(value, sort_keys=True)
  return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _jsonl(study: Study, path: Path) -> None:
  def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

  columns = names(study)
  found = (dict(zip(columns, map(finite, record), strict=True)) for record in table(study))
  lines = [json.dumps(record, allow_nan=False) + "\n" for record in found]
  runs.write_atomic(path, "".join(lines).encode())


def _tensorboard(study: Study, path: Path) -> None:
  live = next(path.glob(f"*/{events.PREFIX}*{events.LIVE}"), None)
  if live is not None:  # TensorBoard would draw every curve twice
    raise BadInput(
      f"export expected a folder without what --log=tensorboard wrote, found {live}; choose another with --out"
    )
  try:
    created = datetime.datetime.fromisoformat(study.manifest["created"]).timestamp()
  except (KeyError, TypeError, ValueError):
    created = 0.0
  for panel in study.panels:
    for variant in panel.variants:
      for run in variant.runs:
        records_of_run = [events.head(created)]
        for rows in (run.rows, run.quality):
          for index, step in enumerate(rows.steps):
            values = [(name, column[index]) for name, column in rows.columns.items()]
            records_of_run.append(events.scalars(created, int(step), values))
        folder = path / events.folder_name(variant.label, run.seed, run.id)
        file = folder / f"{events.PREFIX}{int(created)}.gan_jax"
        runs.write_atomic(file, b"".join(records_of_run))
        for old in folder.glob(f"{events.PREFIX}*"):  # of an earlier export: TensorBoard would draw both
          if old != file:
            old.unlink()


FORMATS: dict[str, tuple[str, Callable[[Study, Path], None]]] = {
  "csv": ("export.csv", _csv),
  "jsonl": ("export.jsonl", _jsonl),
  "tensorboard": ("tensorboard", _tensorboard),
}
