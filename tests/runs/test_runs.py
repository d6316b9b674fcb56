"""A study's directory: a reader never sees half a row, and damage is named."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.runs import plan, tables
from tests.conftest import ROOT


def table(first, last, members=3):
  steps = np.arange(first, last, 10)
  return runs.Table(steps, {"gen/loss": np.outer(steps, np.ones(members, np.float32)).astype(np.float32)})


def test_parts_join_to_one_table(tmp_path):
  for first, last in ((20, 40), (0, 20)):
    runs.append(tmp_path, "rows", "g", first, last, table(first, last))
  read = runs.read_table(tmp_path, "rows", "g")
  assert read.steps.tolist() == [0, 10, 20, 30]
  assert read.columns["gen/loss"].shape == (4, 3)
  assert read.columns["gen/loss"].dtype == np.float32
  runs.append(tmp_path, "rows", "g", 20, 40, table(20, 40))  # the same part again is the same part
  assert runs.read_table(tmp_path, "rows", "g").steps.tolist() == [0, 10, 20, 30]
  assert runs.read_table(tmp_path, "rows", "other").steps.tolist() == []


def test_every_flipped_bit_is_noticed(tmp_path):
  runs.append(tmp_path, "rows", "g", 0, 200, table(0, 200))
  ((_, _, path),) = runs.parts(tmp_path, "rows", "g")
  good = path.read_bytes()
  want = runs.read_arrays(path)
  rng = np.random.default_rng(0)
  silent = noticed = 0
  for position in rng.choice(len(good), 100, replace=False):
    damaged = bytearray(good)
    damaged[position] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(damaged))
    # A flip in a field of the zip header that nothing depends on (a time stamp, say) is harmless; wrong numbers are not.
    try:
      found = runs.read_arrays(path)
      silent += not (found.keys() == want.keys() and all(np.array_equal(found[k], want[k]) for k in want))
    except runs.Damaged:
      noticed += 1
  assert silent == 0
  assert noticed > 50
  path.write_bytes(good[:40])
  with pytest.raises(BadInput, match=str(path)):
    runs.read_arrays(path)


def test_damage_and_gaps_have_names(tmp_path):
  for first in (0, 20, 40, 80):
    runs.append(tmp_path, "rows", "g", first, first + 20, table(first, first + 20))
  path = runs.parts(tmp_path, "rows", "g")[1][2]
  path.write_bytes(path.read_bytes()[:-30])
  found = runs.survey(tmp_path, "rows", "g", 3)
  assert found.held == [(0, 20), (40, 60), (80, 100)]
  assert [damaged[:3] for damaged in found.damaged] == [(20, 40, path)]
  assert found.table.steps.tolist() == [0, 10, 40, 50, 80, 90]
  with pytest.raises(runs.Damaged, match=path.name):
    runs.read_table(tmp_path, "rows", "g")

  def gaps(done, complete):
    return [(gap.first, gap.last, gap.why.split()[0]) for gap in tables.row_gaps("g", found, done, complete)]

  assert gaps(120, True) == [(20, 40, "damaged"), (60, 80, "missing"), (100, 120, "missing")]
  assert gaps(120, False) == [(20, 40, "damaged"), (60, 80, "missing")]  # what is newest may be under way
  assert gaps(30, False) == [(20, 30, "damaged")]


def test_evaluations_that_are_missing_have_names():
  config = {"steps": 95, "probe_every": 10, "evaluate_every": 20, "checkpoint_every": 40}
  assert plan.evaluations(config) == [0, 20, 40, 60, 80, 95]

  def gaps(there, damaged=(), done=95):
    found = tables.step_gaps("g", "quality", config, there, dict.fromkeys(damaged, "damaged"), done)
    return [(gap.first, gap.last, gap.why) for gap in found]

  assert gaps([0, 20, 40, 60, 80, 95]) == []
  assert gaps([]) == [(0, 95, "missing")]
  assert gaps([0, 60, 95]) == [(20, 40, "missing"), (80, 80, "missing")]
  assert gaps([0, 20], done=40) == [(40, 40, "missing")]
  assert gaps([0, 20], done=39) == []
  assert gaps([0, 80], [40], 90) == [(20, 20, "missing"), (40, 40, "damaged"), (60, 60, "missing")]
  assert gaps([0, 20, 40, 60, 80], [95]) == [(95, 95, "damaged")]
  assert gaps([7, 0, 20, 33, 40, 60, 80, 95]) == []  # what nobody asked for is nobody's gap


def test_evaluations_are_those_of_the_chunks():
  for cadence in (
    (60, 5, 20, 10),
    (61, 5, 20, 10),
    (7, 10, 100, 50),
    (100, 7, 30, 50),
    (20, 10, 1000, 1000),
    (9, 3, 1, 1),
  ):
    config = dict(zip(("steps", "probe_every", "evaluate_every", "checkpoint_every"), cadence, strict=True))
    assert plan.evaluations(config) == [0, *(chunk.last for chunk in plan.of(config) if chunk.evaluate)]
    saved = [chunk.last for chunk in plan.of(config) if chunk.save]
    assert saved[:-1] == [plan.saving_period(config) * n for n in range(1, len(saved))]


def test_nothing_that_was_written_is_replaced(tmp_path):
  assert runs.append(tmp_path, "rows", "g", 0, 20, table(0, 20)) is None
  path = runs.parts(tmp_path, "rows", "g")[0][2]
  before = path.stat().st_mtime_ns, path.read_bytes()
  assert runs.append(tmp_path, "rows", "g", 0, 20, table(0, 20))
  assert (path.stat().st_mtime_ns, path.read_bytes()) == before
  other = table(0, 20)
  other.columns["gen/loss"][1, 2] = np.nextafter(other.columns["gen/loss"][1, 2], np.float32(1e9))
  assert runs.append(tmp_path, "rows", "g", 0, 20, other) is False
  path.write_bytes(b"")
  assert runs.append(tmp_path, "rows", "g", 0, 20, other) is None  # damage is no difference
  kept = sorted(p.read_bytes() for p in (tmp_path / "set_aside").glob("*/rows/g/*.npz"))
  assert kept == sorted([before[1], b""])


def test_two_things_set_aside_at_once_do_not_meet(tmp_path):
  for content in ("a", "b", "c"):
    (tmp_path / "x").write_text(content)
    runs.set_aside(tmp_path, tmp_path / "x", "damaged")
  assert sorted(p.read_text() for p in (tmp_path / "set_aside").rglob("x")) == ["a", "b", "c"]


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path):
  value = {"format": 2, "groups": {"g": {"step": 5, "seconds": 1.5, "diverged": {"ab": 3}, "complete": False}}}
  runs.write_status(tmp_path, value)
  path = tmp_path / "status.json"
  good, want = path.read_bytes(), runs.read_status(tmp_path)
  (tmp_path / "status.copy.json").unlink()
  noticed = 0
  for position in range(0, len(good), 2):
    for bit in (0, 2, 5):
      damaged = bytearray(good)
      damaged[position] ^= 1 << bit
      path.write_bytes(bytes(damaged))
      try:
        assert runs.read_status(tmp_path) == want  # white space, or a digit more of a number that is the same float
      except runs.Damaged:
        noticed += 1
  assert noticed > len(good)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "status.json"
  runs.write_json(path, {"step": 1})

  def full(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr("os.fsync", full)
  with pytest.raises(OSError, match="No space"):
    runs.write_json(path, {"step": 2})
  monkeypatch.undo()
  assert runs.read_json(path) == {"step": 1}
  assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_a_directory_that_is_no_study(tmp_path):
  with pytest.raises(BadInput, match=r"no such directory"):
    runs.read_manifest(tmp_path / "nothing")
  with pytest.raises(BadInput, match=r"expected a directory with a manifest.json"):
    runs.read_manifest(tmp_path)
  for text, said in (
    ("[]", "a mapping"),
    ('{"format": 1}', "'study'"),
    ("{", "manifest.json is damaged"),
    ("[" * 10**6, "deep"),
  ):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BadInput, match=said):
      runs.read_manifest(tmp_path)


def test_two_that_write_one_file_at_once_both_succeed_and_a_reader_sees_one_of_them(tmp_path, monkeypatch):
  """Two reports of one study take no lock: the second begins while the first has written and not yet renamed."""
  path, sync = tmp_path / "report.html", os.fsync

  def meanwhile(descriptor):
    monkeypatch.setattr(os, "fsync", sync)
    code = f"from pathlib import Path; from gan_jax import runs; runs.write_atomic(Path({str(path)!r}), b'second')"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # not a fork: jax has threads here
    assert path.read_bytes() == b"second"

  monkeypatch.setattr(os, "fsync", meanwhile)
  runs.write_atomic(path, b"first")
  assert path.read_bytes() == b"first"
  assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_setting_aside_from_another_disk_copies(tmp_path, monkeypatch):
  (tmp_path / "rows").mkdir()
  (tmp_path / "rows" / "part").write_text("kept")

  def rename(source, target):
    raise OSError(errno.EXDEV, "Invalid cross-device link")

  monkeypatch.setattr(os, "rename", rename)
  assert runs.set_aside(tmp_path, tmp_path / "rows" / "part", "damaged").read_text() == "kept"
  assert not (tmp_path / "rows" / "part").exists()
