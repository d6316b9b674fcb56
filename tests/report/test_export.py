"""Exports: what another tool reads back is, bit for bit, what the study holds."""

import csv
import decimal
import errno
import json
import math
import os
import struct

import numpy as np
import pytest

from experiments import export as export_command
from experiments import report as report_command
from experiments import tables as tables_command
from gan_jax import report, runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.report import records
from gan_jax.report.export import export, shortest
from tests.report.test_report import LOSSES, write_study

SPECIAL = [0.1, np.nan, np.inf, -np.inf, 1e-45, 1.1754944e-38, 3.4028235e38, -0.0, 1 / 3, 16777217.0]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
  """Two losses, two seeds, a name that a spreadsheet would compute, and the hardest float32 in its rows."""
  group = [
    settings.resolve(
      {"steps": 500, "panel": "=1+1", "loss": loss, "seed": seed, "loss_options": {"a": 0.1} if seed else {}}
    )
    for loss in LOSSES[:2]
    for seed in range(2)
  ]
  path = write_study(tmp_path_factory.mktemp("runs") / "s", [group], until=500)
  values = np.array([SPECIAL] * 4, np.float32).T
  rows = runs.read_table(path, "rows", "group-0")
  for _, _, part in runs.parts(path, "rows", "group-0"):
    part.unlink()
  runs.append(path, "rows", "group-0", 0, 500, rows._replace(columns={**rows.columns, "hard/values": values}))
  return path


def expected(study):
  """{(id, table, step, metric): float32} of everything that is a number."""
  found = {}
  for run in records.read(study).runs:
    for name, rows in (("rows", run.rows), ("quality", run.quality)):
      for metric, column in rows.columns.items():
        for step, value in zip(rows.steps, column, strict=True):
          if not np.isnan(value):
            found[run.id, name, int(step), metric] = value
  return found


def same(got, wanted):
  assert got.keys() == wanted.keys()
  bits = [[np.float32(v).view(np.uint32) for v in (got[key], wanted[key])] for key in wanted]
  assert all(a == b for a, b in bits)


def test_shortest_reads_back_to_the_same_bits():
  bits = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
  for x in bits.view(np.float32):
    if np.isfinite(x):
      assert np.float32(shortest(x)).view(np.uint32) == x.view(np.uint32)
      assert len(decimal.Decimal(repr(shortest(x))).normalize().as_tuple().digits) <= 9
  assert shortest(np.float32(0.1)) == 0.1
  assert shortest(np.float32("nan")) is None


def test_csv_reads_back_exactly(study):
  path = export(study, "csv", None)
  assert path == study / "export.csv"
  with open(path, newline="") as file:
    table = list(csv.DictReader(file))
  got = {
    (row["id"], row["table"], int(row["step"]), metric): float(text)
    for row in table
    for metric, text in row.items()
    if "/" in metric and text
  }
  same(got, expected(study))
  assert len(table) == 4 * (10 + 1)
  assert {row["panel"] for row in table} == {"'=1+1"}
  assert {row["loss_options"] for row in table} == {"{}", '{"a": 0.1}'}
  assert {row["loss"] for row in table} == set(LOSSES[:2])
  assert {row["variant"] for row in table} == {"minimax", "non_saturating", "minimax, a=0.1", "non_saturating, a=0.1"}


def test_jsonl_reads_back_exactly_and_is_strict(study, tmp_path):
  path = export(study, "jsonl", tmp_path / "deep" / "rows.jsonl")

  def refuse(constant):
    raise AssertionError(constant)

  table = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
  got = {
    (row["id"], row["table"], row["step"], metric): value
    for row in table
    for metric, value in row.items()
    if "/" in metric and value is not None
  }
  same(got, {key: value for key, value in expected(study).items() if math.isfinite(value)})
  assert len({tuple(row) for row in table}) == 1  # the same keys in every line
  assert {row["panel"] for row in table} == {"=1+1"}


def events(path):
  """The payloads of an event file: length, its CRC, data, its CRC."""
  content = path.read_bytes()
  while content:
    (length,) = struct.unpack("<Q", content[:8])
    yield content[12 : 12 + length]
    content = content[16 + length :]


def test_event_files_read_back_exactly_and_twice_is_once(study, tmp_path):
  from tensorboardX.proto.event_pb2 import Event

  for folder in export(study, "tensorboard", tmp_path / "tb").iterdir():
    (file,) = folder.iterdir()
    file.rename(folder / "events.out.tfevents.1.earlier")
  out = export(study, "tensorboard", tmp_path / "tb")
  got = {}
  by_id = {run.id: run for run in records.read(study).runs}
  for folder in out.iterdir():
    run = by_id[folder.name.rsplit("-", 1)[1]]
    assert run.config["loss"] in folder.name
    assert f"seed{run.seed}" in folder.name
    (file,) = folder.iterdir()
    for data in events(file):
      event = Event.FromString(data)
      for value in event.summary.value:
        table = "quality" if value.tag in run.quality.columns else "rows"
        key = (run.id, table, event.step, value.tag)
        assert key not in got
        got[key] = value.simple_value
  same(got, expected(study))


def test_no_label_leaves_the_folder_and_no_run_is_lost(tmp_path):
  group = [
    settings.resolve({"steps": 50, "dataset_options.data_dir": name})
    for name in ("../../x", "/etc", "..", "a\nb", "a b", "ä")
  ]
  out = export(write_study(tmp_path / "s", [group], until=50), "tensorboard")
  assert out == tmp_path / "s" / "tensorboard"
  assert len(list(out.iterdir())) == len(group)
  assert {p.name for p in tmp_path.iterdir()} == {"s"}


@pytest.mark.parametrize("format", ["csv", "jsonl", "tensorboard"])
def test_a_study_that_has_no_rows_yet_exports_nothing(tmp_path, format):
  path = write_study(tmp_path / "s", [[settings.resolve()]], until=0)
  assert export(path, format, tmp_path / "out") == tmp_path / "out"
  if format == "csv":
    assert (
      (tmp_path / "out")
      .read_text()
      .startswith("study,panel,variant,id,group,status,table,step,bit_exact,baseline,seed,loss")
    )


def test_bad_requests_are_refused(study, tmp_path):
  with pytest.raises(
    BadInput, match=r"unknown export format 'jsnl'; did you mean 'jsonl'\? known: csv, jsonl, tensorb"
  ):
    export(study, "jsnl", None)
  with pytest.raises(BadInput, match="not a study"):
    export(tmp_path, "csv", None)
  with pytest.raises(BadInput, match="expected a file, got the folder"):
    export(study, "csv", tmp_path)
  (tmp_path / "file").write_text("mine")
  with pytest.raises(BadInput, match="expected a folder, got the file"):
    export(study, "tensorboard", tmp_path / "file")
  assert (tmp_path / "file").read_text() == "mine"


COUNTS = [2**24 + 1, 2**24 + 3, 2**31 + 1, 2**32 - 1]  # float32 has none of them


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
  """One run whose counters are beyond float32, as the device counts them: uint32."""
  path = write_study(tmp_path_factory.mktemp("runs") / "s", [[settings.resolve({"steps": 400})]], until=400)
  for _, _, part in runs.parts(path, "rows", "group-0"):
    part.unlink()
  columns = {"count/images": np.array(COUNTS, np.uint32)[:, None], "gen/loss": np.full((4, 1), 0.1, np.float32)}
  runs.append(path, "rows", "group-0", 0, 400, runs.Table(100 * np.arange(4), columns))
  return path


def test_counts_are_exact_in_every_export(counted, tmp_path):
  from tensorboardX.proto.event_pb2 import Event

  with open(export(counted, "csv", tmp_path / "a.csv"), newline="") as file:
    assert [row["count/images"] for row in csv.DictReader(file) if row["table"] == "rows"] == [str(n) for n in COUNTS]
  lines = export(counted, "jsonl", tmp_path / "a.jsonl").read_text().splitlines()
  lines = [line for line in lines if json.loads(line)["table"] == "rows"]
  assert [json.loads(line)["count/images"] for line in lines] == COUNTS
  assert all(
    f'"count/images": {n},' in line or f'"count/images": {n}}}' in line for n, line in zip(COUNTS, lines, strict=True)
  )
  (folder,) = export(counted, "tensorboard", tmp_path / "tb").iterdir()
  values = [v for data in events(next(folder.iterdir())) for v in Event.FromString(data).summary.value]
  exact = [v for v in values if v.tag == "count/images"]
  assert [v.tensor.double_val[0] for v in exact] == COUNTS
  assert {v.metadata.plugin_data.plugin_name for v in exact} == {"scalars"}
  assert [v.simple_value for v in values if v.tag == "gen/loss"] == [np.float32(0.1)] * 4


def test_counts_are_exact_in_the_summary(counted):
  assert '"count/images": 4294967295,' in json.dumps(report.summary(counted))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_device_or_a_pipe_is_not_replaced_by_a_file_and_a_link_stays_one(study, tmp_path, format):
  pipe, link, there = tmp_path / "pipe", tmp_path / "link", tmp_path / "there"
  os.mkfifo(pipe)
  with pytest.raises(BadInput, match="expected a file, got no regular file"):
    export(study, format, pipe)
  assert pipe.is_fifo()
  export(study, format, there)
  there.write_bytes(there.read_bytes()[:-9])
  link.symlink_to(there)
  export(study, format, link)
  assert link.is_symlink()
  assert there.read_bytes() == export(study, format, tmp_path / "new").read_bytes()


@pytest.mark.parametrize(
  ("command", "arguments"),
  [
    (export_command, ["--format=csv"]),
    (export_command, ["--format=jsonl"]),
    (report_command, []),
    (tables_command, ["--format=latex"]),
    (tables_command, ["--format=markdown"]),
    (tables_command, ["--format=csv"]),
    (tables_command, ["--cite"]),
  ],
)
def test_a_file_of_the_user_is_not_replaced_and_an_earlier_one_of_a_command_is(
  command, arguments, study, tmp_path, capsys
):
  own = tmp_path / "my_study.py"
  own.write_text("def get_config():\n  return {}\n")
  with pytest.raises(
    BadInput, match=r"expected a new file, or one that such a command wrote, got another file: .*my_study"
  ):
    command.main([str(study), *arguments, "--out", str(own)])
  assert own.read_text() == "def get_config():\n  return {}\n"
  for _ in range(2):
    command.main([str(study), *arguments, "--out", str(tmp_path / "made")])


@pytest.mark.parametrize(
  "place", ["manifest.json", "status.copy.json", "rows/group-0/000000000-000000500.npz", "lock", "samples/new", ""]
)
@pytest.mark.parametrize("format", ["csv", "tensorboard"])
def test_an_export_never_replaces_what_a_run_wrote(study, tmp_path, place, format):
  before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
  (tmp_path / "link").symlink_to(study)
  for way in (study, tmp_path / "link"):
    with pytest.raises(BadInput, match="expected"):
      export(study, format, way / place)
  assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before


def test_event_files_on_a_full_disk_are_an_error_and_the_earlier_ones_stay(study, tmp_path, monkeypatch):
  out = export(study, "tensorboard", tmp_path / "tb")
  before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

  def full(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match="No space left"):
    export(study, "tensorboard", out)
  assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
