"""The selftest against a stand-in for a study, a small program that survives everything, or that one thing is wrong with."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import selftest
from experiments.faults import bench, damage, hostile, stops
from tests.conftest import ROOT

STAND_IN = '''
import fcntl, html, json, os, re, signal, sys, time, zipfile
from pathlib import Path

BROKEN = os.environ.get("BROKEN", "")
MARK = "<script>alert('selftest')</script>"

def refuse(text):
  print("error: " + text, file=sys.stderr)
  sys.exit(2)

def put(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.with_suffix(".tmp").write_bytes(content)
  path.with_suffix(".tmp").rename(path)

def npz(values, shape):
  """As numpy writes float64, and the same bytes each time."""
  import io, struct
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

config, study = Path(sys.argv[2]).read_text(), Path(sys.argv[4])
if len(sys.argv) > 5 and BROKEN != "names":
  refuse("unknown loss")
asked = []
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
  signal.signal(number, signal.SIG_IGN if BROKEN == "signals" else lambda *_: asked.append(1))
resumed = study.exists()
study.mkdir(parents=True, exist_ok=True)
lock = (study / "lock").open("a")
try:
  BROKEN == "lock" or fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
  refuse("another process writes it")
if BROKEN == "code" and (study / "status.json").exists():
  found = re.search(r'apply:os.mkdir \\["(.*?)"', (study / "status.json").read_text())
  found and os.mkdir(found[1])
print("starting", flush=True)
diverges = "1e30" in config
state = {"groups": {"group-0": {"diverged": {"c": 1} if diverges else {}}}}
wanted = {name: json.dumps(state).encode() for name in ("manifest.json", "status.json", "status.copy.json")}
for i in range(1, 7):
  healthy = [i + (BROKEN == "members" and diverges), i * i]
  values = [*healthy, float("nan") if diverges else i]
  wanted.update({f"{table}/group-0/{i:09}.npz": npz(values, (1, 3)) for table in ("rows", "quality")})
  wanted[f"samples/group-0/{i:09}.npz"] = npz(values, (3, 1))
  wanted[f"checkpoints/group-0/{i}00/meta/metadata"] = json.dumps({"leaves": {"w": i}}).encode()
for name, content in wanted.items():
  path = study / name
  if path.exists() and path.read_bytes() != content:
    put(study / "set_aside" / name, path.read_bytes()) if BROKEN != "damage" else None
    path.unlink()
for name, content in wanted.items():
  if not (study / name).exists():
    if name.startswith("checkpoints"):
      (study / "checkpoints" / "group-0" / "0.tmp").mkdir(parents=True, exist_ok=True)
      time.sleep(0.03)
    wrong = BROKEN == "rows" and resumed and name.startswith("rows")
    put(study / name, npz([7, 7, 7], (1, 3)) if wrong else content)
    (study / "checkpoints" / "group-0" / "0.tmp").exists() and (study / "checkpoints" / "group-0" / "0.tmp").rmdir()
  if asked:
    sys.exit(75)
time.sleep(0.05)
sys.exit(75 if asked else 0)
'''

FAULTS = {  # what can be wrong with the stand-in: what must notice
  "rows": lambda made: stops.kills(made, 2),
  "damage": lambda made: damage.damages(made, 0, 1)[1:3],
  "lock": lambda made: stops.twice(made, 1),
  "signals": lambda made: stops.signals(made, 2)[:1],
  "members": lambda made: hostile.diverging(made, made.config.with_name("diverging.py"), 2),
  "code": lambda made: hostile.code(made, 1),
  "names": hostile.refused,
  "page": hostile.escaped,
}


def stand_in(folder: Path, broken: str = "") -> bench.Program:
  called = [sys.executable, "-S", "-s", str(folder / "stand_in.py")]
  environment = {"BROKEN": broken, "PATH": os.environ["PATH"]}
  return bench.Program([*called, "sweep"], [*called, "report"], environment, lambda study: "a table")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  folder = tmp_path_factory.mktemp("selftest")
  (folder / "stand_in.py").write_text(STAND_IN)
  return selftest.prepared(stand_in(folder), folder, lambda line: None)


@pytest.fixture
def made(prepared, tmp_path):
  """The prepared studies, disturbed in a folder of the test's own."""
  return prepared._replace(folder=tmp_path / "here", random=random.Random(1))


@pytest.fixture(autouse=True)
def short(monkeypatch):
  monkeypatch.setattr(stops, "GRACE", 1.0)
  monkeypatch.setattr(stops, "ATTEMPTS", 2)


@pytest.mark.parametrize("broken", FAULTS)
def test_what_is_wrong_is_noticed_and_what_is_right_is_not(broken, made, prepared):
  """The same fault twice: it holds for a program that survives, and fails for one with this one thing wrong."""
  made.folder.mkdir()
  rows = FAULTS[broken](made)
  assert rows
  assert all(row.holds for row in rows), rows
  assert [path.name for path in made.folder.iterdir()] == []
  harmed = made._replace(program=stand_in(prepared.folder, broken))
  rows = FAULTS[broken](harmed)
  assert not any(row.holds for row in rows), rows
  assert "FAILED" in selftest.table(rows)
  assert list(made.folder.iterdir()), "what failed is kept"


def test_flipped_bits_are_noticed_in_what_is_not_mended(made):
  """A study whose launch mends nothing: the flipped file is as it was, so the table it belongs to is wrong."""
  made.folder.mkdir()
  ignoring = [sys.executable, "-S", "-s", "-c", "pass"]
  (row,) = damage.damages(made._replace(program=made.program._replace(sweep=ignoring)), 1, 0)[:1]
  assert (row.tried, row.survived) == (1, 0)


def test_what_was_not_tried_does_not_hold():
  assert not bench.Row("a fault", 0, 0, "").holds
  assert not bench.Row("a fault", 2, 1, "").holds
  assert bench.Row("a fault", 2, 2, "").holds


CALL = """
import sys
from pathlib import Path
from experiments import command, selftest
from experiments.faults import hostile
from tests.experiments import test_selftest
selftest.program = lambda folder, found=Path(sys.argv.pop()): test_selftest.stand_in(found, BROKEN)
selftest.trials = lambda made, kills: [lambda: hostile.escaped(made)]
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
    str(prepared.folder),
  ]
  done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
  assert done.returncode == code, done.stderr
  assert ("FAILED" in done.stdout, (tmp_path / "new").exists()) == (code == 1, code == 1)
  assert done.stderr == (f"error: not everything survived; what did not is in {tmp_path / 'new'}\n" if code else "")


def test_every_fault_is_in_the_command(made):
  """Each function of FAULTS, and no trial that it lacks."""
  assert len(selftest.trials(made, 5)) == len(FAULTS)
