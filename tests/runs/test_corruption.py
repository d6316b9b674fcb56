"""Directories that no study of ours would write: every reader says so in one sentence, soon, and runs nothing of them."""

import io
import json
import os
import shutil
import signal
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan_jax import report, runs, settings
from gan_jax.core import files
from gan_jax.core.errors import BadInput
from gan_jax.report.export import export
from gan_jax.runner import standing

MARK = Path(tempfile.gettempdir()) / "gan_jax_was_here"  # what code in a damaged file would leave

CASES = 200
STEPS, MEMBERS = 100, 2
ODD = (
  None, True, False, -1, 0, 7, 2**31, 10**30, 1.5, -1e300, 1e300, "", "x", "../../x", "/etc/passwd", "\ud800", "a\nb\x00",
  "x" * 5000,
  "<script>", [], [1], [[[]]], {}, {"a": 1}, {"": {"": None}}, [{}], [None], {"groups": []},
)  # fmt: skip
TEXTS = (
  b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe{\x00}\x00", b"\x00" * 100, b"[" * 200_000, b'{"a":' * 50_000, b"NaN",
  b'{"format": NaN}', b'{"format": 1e999}', b'{"format": ' + b"9" * 5000 + b"}", b"\xef\xbb\xbf{}", b'{"format": 1}',
  b'{"format": 2}',
  b'{"groups": {}}', b'{"format": 1, "format": 2}',
)  # fmt: skip


def configs():
  fixed = {"steps": STEPS, "probe_every": 10, "evaluate_every": 50, "checkpoint_every": 50}
  return [settings.resolve(fixed, {"seed": seed}) for seed in range(MEMBERS)]


def write_whole(path: Path, format: int) -> Path:
  """A complete study of two runs, by hand; format 1 is what an earlier version wrote."""
  rng = np.random.default_rng(0)
  members = [{"id": settings.identity(config), "config": config} for config in configs()]
  manifest = {
    "format": format,
    "study": "tiny",
    "layout": {"backend": "cpu", "device_kind": "cpu", "devices": 1, "cores": 1},
    "versions": {"jax": "0"},
    "metrics": {"gen/loss": "a loss"},
    "groups": [{"name": "group-0", "members": members}],
  }
  status = {"groups": {"group-0": {"step": STEPS, "seconds": 1.0, "diverged": {}, "complete": True, "notes": {"a": 1}}}}
  if format == 1:
    runs.write_json(path / "manifest.json", manifest)
    runs.write_json(path / "status.json", status)
  else:
    runs.write_manifest(path, manifest)
    runs.write_status(path, status)
  for first in (0, 50):
    column = rng.normal(size=(5, MEMBERS)).astype(np.float32)
    runs.append(
      path, "rows", "group-0", first, first + 50, runs.Table(np.arange(first, first + 50, 10), {"gen/loss": column})
    )
  for step in (0, 50, 100):
    column = rng.random((1, MEMBERS)).astype(np.float32)
    runs.append(path, "quality", "group-0", step, step + 1, runs.Table(np.array([step]), {"frechet/distance": column}))
    samples = rng.integers(0, 256, (MEMBERS, 4, 3, 3, 1)).astype(np.uint8)
    runs.write_arrays(path / "samples" / "group-0" / f"{step:09d}.npz", samples=samples)
  runs.write_arrays(path / "samples" / "group-0" / "real.npz", samples=samples[0])
  return path


# Ways to corrupt a directory: each takes (directory, generator) and says what it did


def replace_a_value(directory, rng):
  """Some value of the manifest or the status; digests and ids are made right again, so that only its kind is wrong."""
  name = ("manifest.json", "status.json")[rng.integers(2)]
  value = json.loads((directory / name).read_text())
  places = list(walk(value))
  holder, key = places[rng.integers(len(places))]
  odd = ODD[rng.integers(len(ODD))]
  if rng.random() < 0.2 and isinstance(holder, dict):
    del holder[key]
  elif rng.random() < 0.1 and isinstance(holder, dict):
    holder[str(odd)] = holder.pop(key)
  else:
    holder[key] = odd
  if rng.random() < 0.8:
    right_ids(value)
  if "sha256" in value and rng.random() < 0.9:
    value = files.seal(value)
  text = json.dumps(value)
  (directory / name).write_bytes(text.encode("utf-8", "surrogatepass"))
  (directory / runs.copy_of(name)).unlink(missing_ok=True)
  return f"{name}: {key!r} = {odd!r:.40}"


def walk(value):
  items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
  for key, inner in list(items):
    yield value, key
    yield from walk(inner)


def right_ids(value):
  try:
    for group in value["groups"]:
      for member in group["members"]:
        member["id"] = settings.identity(member["config"])
  except (TypeError, KeyError, ValueError, IndexError):
    pass


def replace_the_text(directory, rng):
  name = ("manifest.json", "status.json")[rng.integers(2)]
  path, text = directory / name, TEXTS[rng.integers(len(TEXTS))]
  if rng.random() < 0.3:
    content = path.read_bytes()
    text = content[: rng.integers(len(content))]
  path.write_bytes(text)
  if rng.random() < 0.7:
    (directory / runs.copy_of(name)).unlink(missing_ok=True)
  return f"{name}: {text[:30]!r}"


def replace_the_file(directory, rng):
  """By something that is no regular file."""
  path = some_file(directory, rng)
  path.unlink()
  kind = rng.integers(5)
  if kind == 0:
    path.mkdir()
  elif kind == 1:
    os.mkfifo(path)
  elif kind == 2:
    path.symlink_to("nowhere")
  elif kind == 3:
    path.symlink_to(path.name)
  else:
    path.symlink_to("/dev/zero")
  return f"{path.name}: kind {kind}"


def some_file(directory, rng, end=""):
  found = sorted(p for p in directory.rglob("*") if p.is_file() and p.name.endswith(end))
  return found[rng.integers(len(found))]


def flip_bits(directory, rng):
  path = some_file(directory, rng, ".npz")
  content = bytearray(path.read_bytes())
  for at in rng.integers(0, len(content), 8):
    content[at] ^= 1 << int(rng.integers(8))
  path.write_bytes(bytes(content))
  return f"{path.name}: flipped"


def cut_off(directory, rng):
  path = some_file(directory, rng, ".npz")
  content = path.read_bytes()
  path.write_bytes(content[: rng.integers(len(content))] + b"\x00" * int(rng.integers(3)))
  return f"{path.name}: cut"


class Payload:
  """What a pickle would run: it leaves a mark."""

  def __reduce__(self):
    return Path.touch, (MARK,)


def odd_arrays(rng):
  n = int(rng.integers(0, 7))
  good = np.arange(0, 50, 10)
  return {
    "no step": {"gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "nothing": {},
    "steps fall": {"step": good[::-1], "gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "steps twice": {"step": good * 0, "gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "steps elsewhere": {"step": good + 10**6, "gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "steps below zero": {"step": good - 100, "gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "steps of floats": {"step": good * np.nan, "gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "huge steps": {"step": good.astype(np.uint64) + np.uint64(2**63), "gen/loss": np.zeros((5, MEMBERS), np.float32)},
    "members": {"step": good, "gen/loss": np.zeros((5, n), np.float32)},
    "rows": {"step": good, "gen/loss": np.zeros((n, MEMBERS), np.float32)},
    "no depth": {"step": np.int64(3), "gen/loss": np.float32(1)},
    "depth": {"step": good, "gen/loss": np.zeros((5, MEMBERS, 1), np.float32)},
    "text": {"step": good, "gen/loss": np.full((5, MEMBERS), "x" * 1000)},
    "complex": {"step": good, "gen/loss": np.zeros((5, MEMBERS), complex)},
    "a record": {"step": good, "gen/loss": np.zeros(5, [("a", "f4"), ("b", "i4")])},
    "dates": {"step": good, "gen/loss": np.zeros((5, MEMBERS), "M8[s]")},
    "an object": {"step": good, "gen/loss": np.array([[Payload()] * MEMBERS] * 5, object)},
    "a name": {"step": good, "a\nb": np.zeros((5, MEMBERS), np.float32)},
    "infinite": {"step": good, "frechet/distance": np.full((5, MEMBERS), np.inf, np.float32)},
    "double": {"step": good, "gen/loss": np.full((5, MEMBERS), 1e300)},
    "a bomb": {"step": np.zeros(2**25, np.int64)},
    "samples": {"samples": np.zeros((MEMBERS, n, 3), np.uint8)},
    "samples of floats": {"samples": np.zeros((MEMBERS, 4, 3, 3, 1))},
    "samples of three": {"samples": np.full((MEMBERS, 4, 3), np.nan, np.float32)},
    "points": {"samples": np.full((MEMBERS, 4, 2), np.nan, np.float32)},
    "far points": {"samples": np.full((MEMBERS, 4, 2), 3e38, np.float32)},
    "many colours": {"samples": np.zeros((MEMBERS, 4, 3, 3, 7), np.uint8)},
    "no width": {"samples": np.zeros((MEMBERS, 4, 0, 3, 1), np.uint8)},
    "no members": {"samples": np.zeros((0, 4, 3, 3, 1), np.uint8)},
    "a picture": {"samples": np.zeros((MEMBERS, 1, 6000, 6000, 1), np.uint8)},
  }  # fmt: skip


def replace_the_arrays(directory, rng):
  path, arrays = some_file(directory, rng, ".npz"), odd_arrays(rng)
  name = sorted(arrays)[rng.integers(len(arrays))]
  buffer = io.BytesIO()
  np.savez_compressed(buffer, allow_pickle=True, **arrays[name])
  path.write_bytes(buffer.getvalue())
  return f"{path.name}: {name}"


HEADERS = (
  "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }",
  "{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 2), }",
  "{'descr': '<f4', 'fortran_order': False, 'shape': (5.0, 2), }",
  "{'descr': '|O', 'fortran_order': False, 'shape': (5, 2), }",
  "{'descr': '<f4', 'fortran_order': 3, 'shape': (5, 2), }",
  "{'descr': [('a', '<f4', (10, 10))], 'fortran_order': False, 'shape': (5, 2), }",
  "{'shape': (5, 2)}", "3", "", "[" * 9000, "-" * 9000 + "1", f"__import__('os').system('touch {MARK}')",
)  # fmt: skip


def replace_a_header(directory, rng):
  path, header = some_file(directory, rng, ".npz"), HEADERS[rng.integers(len(HEADERS))]
  text = header.encode() + b"\n"
  array = b"\x93NUMPY" + bytes([1, 0]) + struct.pack("<H", len(text)) + text + bytes(40)
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for name in ("step.npy", "gen/loss.npy", "samples.npy"):
      archive.writestr(name, array)
    if rng.random() < 0.3:
      archive.writestr("../../escape.txt", b"x")
  return f"{path.name}: {header[:40]}"


def add_a_part(directory, rng):
  name = (
    "000000000-000000100",
    "000000010-000000030",
    "999999999-000000000",
    "000000050-000000050",
    "000000000-999999999",
  )
  target = directory / ("rows", "quality")[rng.integers(2)] / "group-0" / f"{name[rng.integers(len(name))]}.npz"
  source = some_file(directory / "rows", rng, ".npz")
  shutil.copy(source, target)
  return f"{target.name} from {source.name}"


def delete_a_file(directory, rng):
  path = some_file(directory, rng)
  path.unlink()
  return f"{path.name}: deleted"


WAYS = (
  *[replace_a_value] * 4, replace_the_text, replace_the_file, flip_bits, cut_off, *[replace_the_arrays] * 2,
  replace_a_header, add_a_part, delete_a_file,
)  # fmt: skip


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
  folder = tmp_path_factory.mktemp("originals")
  return [write_whole(folder / f"format-{format}", format) for format in (1, 3)]


def read_everything(directory, case):
  """Every reader: (what it raised, if anything, by name)."""
  readers = {
    "summary": lambda: json.dumps(report.summary(directory), allow_nan=False),
    "table": lambda: report.terminal_table(directory).encode(),
    # One of an earlier version is never gone on with.
    "existing": lambda: (
      runs.read_manifest(directory)["format"] < runs.FORMAT or standing.existing(directory, configs())
    ),
    "csv": lambda: export(directory, "csv", directory / "out"),
    "jsonl": lambda: export(directory, "jsonl", directory / "out"),
  }
  if case % 8 == 0:
    readers["page"] = lambda: report.build(directory)
    readers["tensorboard"] = lambda: export(directory, "tensorboard", directory / "events")
  found = {}
  for name, reader in readers.items():
    try:
      reader()
    except BadInput as error:
      found[name] = str(error)
  assert not [sentence for sentence in found.values() if "\n" in sentence]
  return found


def corrupted(originals, seed, tmp_path):
  """(a corrupted copy, what was done to it)."""
  rng = np.random.default_rng(seed)
  directory = tmp_path / f"case-{seed}"
  shutil.copytree(originals[rng.integers(2)], directory)
  return directory, WAYS[rng.integers(len(WAYS))](directory, rng)


@pytest.fixture
def in_time():
  """A reader that waits for ever is stopped; no test depends on how fast the machine is."""

  def late(*_):
    raise AssertionError("a reader hangs")

  before = signal.signal(signal.SIGALRM, late)
  signal.alarm(240)
  yield
  signal.alarm(0)
  signal.signal(signal.SIGALRM, before)


def test_the_originals_are_read(originals):
  for directory in originals:
    assert read_everything(directory, 0) == {}
    assert report.summary(directory)["remarks"] == []
    assert {run["status"] for run in report.summary(directory)["runs"]} == {"done"}
    (directory / "report.html").unlink()
    shutil.rmtree(directory / "events")
    (directory / "out").unlink()


@pytest.mark.parametrize("first", range(0, CASES, 50))
def test_every_corrupted_directory_is_one_sentence_or_is_read(first, originals, tmp_path, in_time):
  refused = 0
  for seed in range(first, first + 50):
    directory, done = corrupted(originals, seed, tmp_path)
    try:
      refused += bool(read_everything(directory, seed))
    except BaseException as error:
      error.add_note(f"case {seed}: {done}")
      raise
    shutil.rmtree(directory)
  assert 0 < refused < 50  # neither is everything refused, nor is nothing
  assert not MARK.exists()
  assert {p.name for p in tmp_path.iterdir()} == set()
