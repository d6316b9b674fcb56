"""A study's directory: a reader never sees half a row, and damage is named."""

import numpy as np
import pytest

from gan_jax import runs
from gan_jax.errors import BadInput


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
  runs.append(tmp_path, "rows", "g", 20, 40, table(20, 40))  # the same part again replaces it
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
    if runs.readable(path):
      found = runs.read_arrays(path)
      silent += not (found.keys() == want.keys() and all(np.array_equal(found[k], want[k]) for k in want))
    else:
      noticed += 1
  assert silent == 0
  assert noticed > 50
  path.write_bytes(good[:40])
  with pytest.raises(BadInput, match=str(path)):
    runs.read_arrays(path)


def test_complete_until_stops_at_a_gap_and_at_damage(tmp_path):
  for first in (0, 20, 40, 80):
    runs.append(tmp_path, "rows", "g", first, first + 20, table(first, first + 20))
  assert runs.complete_until(tmp_path, "g") == 60
  path = runs.parts(tmp_path, "rows", "g")[1][2]
  path.write_bytes(path.read_bytes()[:-30])
  assert runs.complete_until(tmp_path, "g") == 20


def test_truncate_drops_what_will_be_written_again(tmp_path):
  for first in (0, 20, 40):
    runs.append(tmp_path, "rows", "g", first, first + 20, table(first, first + 20))
    runs.append(tmp_path, "quality", "g", first, first + 1, table(first, first + 1))
  runs.truncate(tmp_path, "g", 20)
  assert runs.read_table(tmp_path, "rows", "g").steps.tolist() == [0, 10]
  assert runs.read_table(tmp_path, "quality", "g").steps.tolist() == [0, 20]  # measured before the checkpoint of 20


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "status.json"
  runs.write_json(path, {"step": 1})

  def full(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(runs.os, "fsync", full)
  with pytest.raises(OSError, match="No space"):
    runs.write_json(path, {"step": 2})
  monkeypatch.undo()
  assert runs.read_json(path) == {"step": 1}
  assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_one_writer(tmp_path):
  with (
    runs.writer_lock(tmp_path),
    pytest.raises(BadInput, match=r"being written by another process \(host .*pid \d+"),
    runs.writer_lock(tmp_path),
  ):
    pass
  with runs.writer_lock(tmp_path):
    pass


def test_a_directory_that_is_no_study(tmp_path):
  with pytest.raises(BadInput, match=r"no such directory"):
    runs.read_manifest(tmp_path / "nothing")
  with pytest.raises(BadInput, match=r"expected a directory with a manifest.json"):
    runs.read_manifest(tmp_path)
  (tmp_path / "manifest.json").write_text("[]")
  with pytest.raises(BadInput, match="format"):
    runs.read_manifest(tmp_path)
  (tmp_path / "manifest.json").write_text("{")
  with pytest.raises(BadInput, match=r"cannot read .*manifest.json"):
    runs.read_manifest(tmp_path)
