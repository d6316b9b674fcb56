"""The selftest against a stand-in for a study, a small program that survives everything, or that one thing is wrong with."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import selftest
from experiments.faults import bench, cluster, damage, disk, hostile, kills, launcher, members, rays, stops, writers
from gan_jax.core.errors import BadInput
from tests.conftest import ROOT

STAND_IN = """
import fcntl, html, json, os, re, shutil, signal, struct, sys, time, io, zipfile
from pathlib import Path

BROKEN = os.environ.get("BROKEN", "")
MARK = "<script>alert('selftest')</script>"

def refuse(text, code=2):
  print("error: " + text, file=sys.stderr)
  sys.exit(code)

def put(path, content):
  try:
    for parent in list(reversed(path.relative_to(study).parents))[BROKEN != "removed" :]:
      (study / parent).mkdir(exist_ok=True, parents=BROKEN == "removed")
    path.with_suffix(".tmp").write_bytes(content)
    path.with_suffix(".tmp").rename(path)
  except OSError as error:
    if BROKEN in ("disk", "readonly", "fence"):
      raise
    try:
      path.with_suffix(".tmp").unlink()
    except OSError:
      pass
    refuse(f"{study} cannot be written ({error}); 0 bytes are free", 1)

def npz(values, shape):
  "As numpy writes float64, and the same bytes each time."
  header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\\n"
  found = io.BytesIO()
  with zipfile.ZipFile(found, "w") as file:
    content = b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", 118) + header + struct.pack("<3d", *values)
    file.writestr(zipfile.ZipInfo("x.npy"), content)
  return found.getvalue()

if sys.argv[1] == "report":
  study = Path(sys.argv[2])
  text = MARK + study.name
  put(study / "report.html", (text if BROKEN == "page" else html.escape(text)).encode())
  sys.exit(0)

if sys.argv[1] == "cases":
  for case in json.loads(Path(sys.argv[2]).read_text()):
    result = {"code": 0 if BROKEN == "names" else 2, "error": "error: no", "ran": [], "grown": 0}
    with open(sys.argv[3], "a") as file:
      file.write(json.dumps(result) + "\\n")
  sys.exit(0)

if sys.argv[1] == "save":
  whole, study, step, at = *map(Path, sys.argv[2:4]), sys.argv[4], int(sys.argv[5])
  group, count = study / "checkpoints" / "group-0", 0
  target = group / (step if BROKEN == "save" else step + ".tmp") / "meta" / "metadata"
  def write():
    target.write_bytes((whole / "checkpoints" / "group-0" / step / "meta" / "metadata").read_bytes())
  make = lambda: target.parent.mkdir(parents=True, exist_ok=True)
  for act in (make, write, lambda: target.parents[1].rename(group / step)):
    count += 1
    count == at and os.kill(os.getpid(), signal.SIGKILL)
    act()
  print("operations:", count)
  sys.exit(0)

config, study = Path(sys.argv[2]).read_text(), Path(sys.argv[4])
asked = []
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
  signal.signal(number, signal.SIG_IGN if BROKEN == "signals" else lambda *_: asked.append(1))
resumed = study.exists()
try:
  study.mkdir(parents=True, exist_ok=True)
  lock = os.open(study / "lock", os.O_RDWR | os.O_CREAT)
except OSError as error:
  if BROKEN == "readonly":
    raise
  refuse(f"{study} cannot be written ({error})", 1)
try:
  BROKEN == "lock" or fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
  refuse("another process writes it: " + (study / "lock").read_text())
os.pwrite(lock, f"host x, pid {os.getpid()}, attempt 1".ljust(60).encode(), 0)

def fence():
  if not study.exists() and BROKEN != "removed":
    refuse(f"{study} was removed", 1)
  if study.exists() and (not (study / "lock").exists() or os.stat(study / "lock").st_ino != os.fstat(lock).st_ino):
    if BROKEN == "fence":
      raise RuntimeError("the lock is another")
    refuse(f"another process has taken the place of this one in {study}", 1)

if BROKEN == "code" and (study / "status.json").exists():
  found = re.search(r'apply:os.mkdir \\["(.*?)"', (study / "status.json").read_text())
  found and os.mkdir(found[1])
print("starting", flush=True)
poisoned = json.loads((study / "poison").read_text()) if (study / "poison").exists() else None
ids = ["a", "b", "c"]
group = {"diverged": {} if poisoned is None else {ids[poisoned]: 1}}
wanted = {name: json.dumps({"groups": {"group-0": group}}).encode() for name in ("status.json", "status.copy.json")}
wanted["manifest.json"] = json.dumps({"groups": [{"members": [{"id": one} for one in ids]}]}).encode()
for i in range(1, 7):
  values = [i + (BROKEN == "members" and poisoned is not None), i * i, i + 7.0]
  if poisoned is not None:
    values[poisoned] = float("nan")
  wanted.update({f"{table}/group-0/{i:09}.npz": npz(values, (1, 3)) for table in ("rows", "quality")})
  wanted[f"samples/group-0/{i:09}.npz"] = npz(values, (3, 1))
  wanted[f"checkpoints/group-0/{i}00/meta/metadata"] = json.dumps({"leaves": {"w": i}}).encode()
for name, content in wanted.items():
  path = study / name
  if path.exists() and path.read_bytes() != content:
    fence()
    put(study / "set_aside" / name, path.read_bytes()) if BROKEN != "damage" else None
    path.unlink()
for name, content in wanted.items():
  if not (study / name).exists():
    fence()
    if name.startswith("checkpoints"):
      time.sleep(0.03)
    other = {"rows": resumed, "launcher": "launcher-" in str(study)}.get(BROKEN, False)
    wrong = other and name.startswith("rows")
    put(study / name, npz([7, 7, 7], (1, 3)) if wrong else content)
  if asked:
    sys.exit(75)
time.sleep(0.05)
sys.exit(75 if asked else 0)
"""

FAULTS = {  # what can be wrong with the stand-in: what must notice
  "rows": lambda made: kills.kills([made], 2),
  "save": lambda made: kills.saves(made, 3),
  "damage": lambda made: damage.lost(made, 1)[:2],
  "lock": lambda made: writers.twice(made, 2),
  "frozen": lambda made: writers.frozen(made, 1),
  "fence": lambda made: writers.fenced(made, 1),
  "signals": lambda made: stops.signals(made, 2),
  "members": lambda made: members.diverging(made, 2),
  "launcher": lambda made: launcher.launchers(made, 2),
  "disk": lambda made: disk.full(made, 1),
  "readonly": lambda made: disk.fixed(made, 2),
  "removed": lambda made: disk.removed(made, 2),
  "code": lambda made: hostile.code(made, 1),
  "names": lambda made: hostile.names(made, 3),
  "page": hostile.escaped,
}
AS = {"frozen": "lock"}  # what is wrong, where its name is not the fault's


def reader(study: Path):
  """A file is noticed to be damaged if it has other bytes than when the reader was made."""
  known = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}

  def read(path: Path) -> str:
    path = path / "meta" / "metadata" if path.name.isdecimal() else path
    if not path.exists() or path.read_bytes() != known.get(path, path.read_bytes()):
      raise BadInput(f"{path} is damaged")
    return path.read_bytes().hex()

  return read


def blind(study: Path):
  """Notices nothing."""
  return lambda path: path.read_bytes().hex() if path.exists() else ""


def stand_in(folder: Path, broken: str = "") -> bench.Program:
  called = [sys.executable, "-S", "-s", str(folder / "stand_in.py")]
  environment = {"BROKEN": broken, "PATH": os.environ["PATH"]}
  return bench.Program(
    *([*called, name] for name in ("sweep", "report", "save", "cases")),
    environment=environment,
    table=lambda study: "0/1" if (study / "poison").exists() else "1/1",
    reader=reader,
    poison=lambda study, step, member, kind: (study / "poison").write_text(str(member)),
  )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  folder = tmp_path_factory.mktemp("selftest")
  (folder / "stand_in.py").write_text(STAND_IN)
  return selftest.prepared(stand_in(folder), folder, lambda line: None, "mixture", "")


@pytest.fixture
def made(prepared, tmp_path):
  """The prepared studies, disturbed in a folder of the test's own."""
  (tmp_path / "here").mkdir()
  return prepared._replace(folder=tmp_path / "here", random=random.Random(1))


@pytest.fixture(autouse=True)
def short(monkeypatch):
  monkeypatch.setattr(stops, "GRACE", 1.0)
  monkeypatch.setattr(disk, "GONE", 2.0)
  monkeypatch.setattr(disk, "SIZE", "4m")
  monkeypatch.setattr(kills, "traced", lambda: False)
  for module in (stops, kills, writers, launcher):
    # On a busy machine a study of a moment is often over before it is disturbed.
    monkeypatch.setattr(module, "ATTEMPTS", 5)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_noticed_and_what_is_right_is_not(fault, made, prepared):
  """The same fault twice: it holds for a program that survives, and fails for one with this one thing wrong."""
  rows = FAULTS[fault](made)
  assert rows
  if any(row.untried for row in rows):
    pytest.skip(rows[0].detail)
  assert all(row.holds for row in rows), rows
  assert {path.name for path in made.folder.iterdir()} <= {bench.OUTPUT, "probe", "names", "fleet-whole", "fleet.py"}
  harmed = made._replace(program=stand_in(prepared.folder, AS.get(fault, fault)))
  rows = FAULTS[fault](harmed)
  assert not any(row.holds for row in rows), rows
  assert "FAILED" in selftest.table(rows)
  if fault not in ("names", "code"):
    assert {path.name for path in made.folder.iterdir()} > {bench.OUTPUT, "probe"} - {"probe"}, "what failed is kept"


def test_bits_are_noticed_or_change_nothing(made):
  (row,) = damage.bits(made, 12)
  assert (row.tried, row.survived) == (12, 12)
  seeing = made.program._replace(reader=blind)
  (row,) = damage.bits(made._replace(program=seeing), 12)
  assert row.survived == 1, "only the one that was launched"


def test_flipped_bits_are_noticed_in_what_is_not_mended(made):
  """A study whose launch mends nothing: the flipped file is as it was, so the table it belongs to is wrong."""
  ignoring = [sys.executable, "-S", "-s", "-c", "pass"]
  (row,) = damage.bits(made._replace(program=made.program._replace(sweep=ignoring)), 1)
  assert (row.tried, row.survived) == (1, 0)


def test_errors_put_into_a_process(tmp_path):
  script = tmp_path / "script.py"
  writes = "open(f'{here}/{i}', 'w').write('x') and os.rename(f'{here}/{i}', f'{here}/{i}.x')"
  script.write_text(f"import os, sys\nhere = sys.argv[1]\nfor i in range(9): {writes}\n")
  (place := tmp_path / "place").mkdir()
  called = [sys.executable, "-S", "-s", "-c", disk.INJECT, "ENOSPC", "6", str(place), str(script), str(place)]
  ended = subprocess.run(called, capture_output=True, text=True, timeout=60, check=False)
  assert "No space left on device" in ended.stderr
  assert sorted(path.name for path in place.iterdir()) == ["0.x", "1.x", "2"]


def test_a_launcher_that_is_not_here_is_not_tried(made, monkeypatch):
  kinds = (launcher, cluster, rays)
  for kind in kinds:
    monkeypatch.setattr(kind, "refused", lambda: "none is here")
  assert selftest.launchers(made, 2) == [bench.Row(kind.FAULT, 0, 0, "none is here", True) for kind in kinds]


def test_what_was_not_tried_does_not_hold():
  assert not bench.Row("a fault", 0, 0, "").holds
  assert not bench.Row("a fault", 2, 1, "").holds
  assert bench.Row("a fault", 2, 2, "").holds
  (row,) = bench.not_tried("a fault", "no such thing here")
  assert not row.holds
  assert "not tried: no such thing here" in selftest.table([row])


CALL = """
import sys
from pathlib import Path
from experiments import command, selftest
from experiments.faults import hostile
from tests.experiments import test_selftest
selftest.program = lambda folder, found=Path(sys.argv.pop()): test_selftest.stand_in(found, BROKEN)
command.run(selftest.main)
"""


@pytest.mark.parametrize(("broken", "code"), [("", 0), ("page", 1)])
def test_exit_codes(broken, code, prepared, tmp_path):
  arguments = [
    sys.executable,
    "-c",
    f"BROKEN = {broken!r}\n{CALL}",
    "--folder",
    str(tmp_path / "new"),
    "--only=page",
    str(prepared.folder),
  ]
  done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
  assert done.returncode == code, done.stderr
  assert ("FAILED" in done.stdout, (tmp_path / "new").exists()) == (code == 1, code == 1)
  assert done.stderr == (f"error: not everything survived; what did not is in {tmp_path / 'new'}\n" if code else "")


def test_rows_are_chosen_by_name():
  assert selftest.rows_of("kills,page") == ["kills", "page"]
  with pytest.raises(BadInput, match=r"--only: expected rows of kills, .*, got 'kill'"):
    selftest.rows_of("kill")
  assert selftest.TRIALS["kills"].count(200) == 200
  assert selftest.TRIALS["bits"].count(1) == 2
