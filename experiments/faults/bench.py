"""A study that is started as a process, stopped and judged: what all faults share.

A fault is done to a copy of a started study, and the same command then goes on. Its evidence is every table, picture and
best generator byte for byte, the digests of the last state, and the comparison table. It must be the undisturbed one's.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LIMIT = 600.0  # seconds after which a process counts as hung
PAUSE = 0.25  # seconds of waiting at a time
POLL = 0.002  # seconds between two looks
OUTPUT = "output"  # of all processes
TABLES = ("rows", "quality", "samples", "best")


class Program(NamedTuple):
  """How a study, a report and a single save are called, and how a study's files are read here."""

  sweep: Sequence[str]  # then CONFIG --out DIR
  report: Sequence[str]  # then DIR
  save: Sequence[str]  # then UNDISTURBED STUDY STEP: save the undisturbed study's last state again; see saver.py
  cases: Sequence[str]  # then CASES RESULTS: many calls of `sweep` in one process; see cases.py
  environment: Mapping[str, str]
  table: Callable[[Path], str]  # the comparison table of a study
  reader: Callable[[Path], Callable[[Path], str]]  # see states.py
  poison: Callable[[Path, int, int, str], None]  # (study, step, member, kind); see states.py


class Bench(NamedTuple):
  """What a fault is given."""

  program: Program
  folder: Path  # everything that is written lies below it
  config: Path
  whole: Path  # the undisturbed study
  started: Path  # one that was killed after its second checkpoint
  seconds: float  # that an undisturbed launch takes
  random: random.Random
  say: Callable[[str], None]  # prints a line
  done: Callable[[int, int, str], None]  # (trials done, of how many, what became of the last one) prints a line


class Row(NamedTuple):
  """One line of the table."""

  fault: str
  tried: int
  survived: int
  detail: str
  untried: bool = False  # it cannot be tried on this machine, for the reason that `detail` gives

  @property
  def holds(self) -> bool:
    return 0 < self.tried == self.survived


def not_tried(fault: str, reason: str) -> list[Row]:
  """The row of a fault that cannot be tried on this machine; it counts neither as held nor as failed."""
  return [Row(fault, 0, 0, reason, untried=True)]


class Code:
  """Unpickled, it makes a directory."""

  def __init__(self, path: Path):
    self._path = path

  def __reduce__(self) -> Any:
    return os.mkdir, (str(self._path),)


class Launch(NamedTuple):
  process: subprocess.Popen
  output: Path  # its two streams are OUTPUT.out and OUTPUT.err
  begun: float


class Ended(NamedTuple):
  code: int  # negative: killed by that signal
  said: str
  error: str
  seconds: float


def launch(bench: Bench, study: Path, *arguments: str, config: Path | None = None) -> Launch:
  """Start or continue `study`."""
  return start(bench, [*bench.program.sweep, str(config or bench.config), "--out", str(study), *arguments], study)


def start(bench: Bench, command: Sequence[str], study: Path) -> Launch:
  """Start a process that works on `study`; what it says is kept in the folder, which is on no disk that is filled."""
  study.parent.mkdir(parents=True, exist_ok=True)
  (folder := bench.folder / OUTPUT).mkdir(exist_ok=True)
  output = folder / f"{len(list(folder.glob('*.out')))}-{study.relative_to(bench.folder).parts[0]}"
  with output.with_suffix(".out").open("wb") as said, output.with_suffix(".err").open("wb") as error, hung_up():
    process = subprocess.Popen(
      command,
      stdin=subprocess.DEVNULL,
      stdout=said,
      stderr=error,
      env=dict(bench.program.environment),
      cwd=bench.folder,
    )
  return Launch(process, output, time.monotonic())


@contextlib.contextmanager
def hung_up() -> Iterator[None]:
  """Processes that start meanwhile get SIGHUP with its effect: `nohup` would hand down that it is ignored."""
  before = signal.getsignal(signal.SIGHUP)
  ignored = before is signal.SIG_IGN and threading.current_thread() is threading.main_thread()
  try:
    if ignored:
      signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
  finally:
    if ignored:
      signal.signal(signal.SIGHUP, before)


def finish(started: Launch, limit: float = LIMIT) -> Ended:
  """Wait for the end. A process that does not end within `limit` seconds is killed, which is its code.

  Seconds in which this process was itself stopped do not count, as when a laptop sleeps.
  """
  waited = 0.0
  try:
    while started.process.poll() is None and waited < limit:
      with contextlib.suppress(subprocess.TimeoutExpired):
        started.process.wait(PAUSE)
      waited += PAUSE
  finally:  # also if this process is interrupted
    started.process.kill()
    started.process.wait()
  said, error_text = (started.output.with_suffix(s).read_text("utf-8", "replace") for s in (".out", ".err"))
  return Ended(started.process.returncode, said, error_text, time.monotonic() - started.begun)


def until(started: Launch, condition: Callable[[], bool], limit: float = LIMIT) -> bool:
  """Wait until `condition` holds; False if the process ended before."""
  end = time.monotonic() + limit
  while started.process.poll() is None and time.monotonic() < end:
    if condition():
      return started.process.poll() is None
    time.sleep(POLL)
  return False


def restored(bench: Bench, study: Path, source: Path | None = None) -> None:
  """Make a copy what it was before a fault. It was made by this command."""
  if study.exists():
    shutil.rmtree(study)
  shutil.copytree(source or bench.started, study)


def written(study: Path) -> int:
  """How many files of rows there are."""
  return len(list(study.glob("rows/*/*.npz")))


def trains(started: Launch, study: Path, before: int) -> bool:
  """Wait until there are more files of rows than `before`; False if it ended before."""
  return until(started, lambda: written(study) > before)


def locked(started: Launch, study: Path) -> bool:
  """Wait until a process holds the lock of a study; False if it ended before."""
  lock, name = study / "lock", f"pid {started.process.pid},"
  return until(started, lambda: lock.is_file() and name in lock.read_text(errors="replace"))


def lasts(started: Launch, seconds: float) -> bool:
  """Whether a process still runs after so many seconds more."""
  at = time.monotonic() + seconds
  return until(started, lambda: time.monotonic() >= at)


def speaks(started: Launch) -> bool:
  """Wait for the first line of output: from then on it answers signals."""
  return until(started, lambda: started.output.with_suffix(".out").stat().st_size > 0)


def kill(started: Launch) -> Ended:
  """SIGKILL it, unless it is over."""
  started.process.kill()
  return finish(started)


def steps(study: Path) -> list[int]:
  """The steps of the checkpoints on disk."""
  return sorted(int(path.name) for path in study.glob("checkpoints/*/*") if path.name.isdecimal())


def copy(bench: Bench, name: str, source: Path | None = None) -> Path:
  """A copy of the started study in a folder of its own. All copies have the same name, which their tables show."""
  shutil.copytree(source or bench.started, study := bench.folder / name / "study")
  return study


def clear(bench: Bench, study: Path, holds: bool) -> None:
  """Remove a copy, unless it is wanted as evidence of what went wrong. It was made by this command."""
  if holds:
    shutil.rmtree(bench.folder / study.relative_to(bench.folder).parts[0])


def contents(study: Path) -> dict[str, str]:
  """The digest of every regular file, by its path in the study."""
  found = (path for path in sorted(study.rglob("*")) if path.is_file())
  return {str(path.relative_to(study)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def arrays(path: Path) -> str:
  """A digest of what an `.npz` holds. Some bits of a zip file are of no consequence, such as its time stamps."""
  found = hashlib.sha256()
  with np.load(path, allow_pickle=False) as file:
    for name in file.files:
      found.update(f"{name} {file[name].dtype} {file[name].shape} ".encode() + file[name].tobytes())
  return found.hexdigest()


def evidence(bench: Bench, study: Path, exact: bool) -> dict[str, str]:
  """What must be equal to the bit, by name: of tables the bytes of the files (`exact`), or of the arrays in them."""
  named = {name: digest for name, digest in contents(study).items() if name.split(os.sep)[0] in TABLES}
  found = named if exact else {name: arrays(study / name) for name in named}
  for group in sorted(study.glob("checkpoints/*")):
    last = max((int(path.name) for path in group.iterdir() if path.name.isdecimal()), default=0)
    meta = json.loads((group / str(last) / "meta" / "metadata").read_text())
    found[f"state of {group.name} after {last} steps"] = json.dumps(meta["leaves"], sort_keys=True)
  return found | {"the comparison table": bench.program.table(study)}


def wrong(bench: Bench, study: Path, ended: Ended, exact: bool = True) -> str:
  """Why a study that should be whole is not the undisturbed one; '' if it is, to the bit."""
  if ended.code != 0:
    return f"exit code {ended.code}: {(ended.error.strip().splitlines() or ['without a word'])[-1][:160]}"
  try:
    found, expected = evidence(bench, study, exact), evidence(bench, bench.whole, exact)
  except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
    return f"cannot be read: {str(error)[:160]}"
  left = [path for path in study.rglob("*") if "tmp" in path.name]
  if left:
    return f"a temporary file is left: {left[0].relative_to(study)}"
  different = [name for name in dict.fromkeys([*expected, *found]) if found.get(name) != expected.get(name)]
  return f"{len(different)} differ, such as {different[0]}" if different else ""


def one_sentence(ended: Ended) -> bool:
  """Whether it ended as an error should: code 1 or 2, one line, no stack trace."""
  return ended.code in (1, 2) and ended.error.startswith("error: ") and ended.error.strip().count("\n") == 0


def told(reasons: Sequence[str], otherwise: str) -> str:
  """The detail of a row: the first reasons why something failed, or what there is to say otherwise."""
  return "; ".join(dict.fromkeys(reasons[:2])) or otherwise
