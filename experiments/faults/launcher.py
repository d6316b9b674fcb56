"""A launcher that is killed again and again while its workers train a study, some of which are killed or stopped too."""

import os
import random
import re
import signal
import time
from pathlib import Path

from . import configs
from .bench import (
  LIMIT,
  Bench,
  Row,
  clear,
  contents,
  finish,
  kill,
  lasts,
  launch,
  told,
  wrong,
)

FAULT = "launcher killed, local"
CHAIN = 12  # kills of one study's launcher, at most, before the study may finish
ATTEMPTS = 4  # launches for each kill
EVERY = 20.0  # seconds between two faults of workers, on average
HARSH = 2  # workers of one study that are killed, at most: after three without progress a launcher gives a task up
WORKERS = 2
HOW = f"--workers={WORKERS}"
PID = re.compile(r"pid (\d+)")


def workers(study: Path) -> list[int]:
  """The processes of this machine that hold a group of a study, by its locks; none that only has such a number."""
  found = []
  for lock in study.glob("locks/*"):
    said = PID.search(lock.read_text(errors="replace"))
    if said and str(study).encode() in _called(int(said[1])):
      found.append(int(said[1]))
  return found


def _called(pid: int) -> bytes:
  """The command line of a process; b'' where it is over."""
  try:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
  except OSError:
    return b""


def disturb(study: Path, source: random.Random, harsh: bool) -> str:
  """A fault of one worker, by name: killed, asked to stop, or stopped for a moment. '' where there is none."""
  found = workers(study)
  if not found:
    return ""
  pid = source.choice(found)
  number = source.choice([signal.SIGTERM, signal.SIGUSR1, signal.SIGSTOP, *[signal.SIGKILL] * harsh])
  try:
    os.kill(pid, number)
    if number == signal.SIGSTOP:
      time.sleep(source.uniform(0, 2))
      os.kill(pid, signal.SIGCONT)
  except ProcessLookupError:
    return ""
  return signal.Signals(number).name


def settled(study: Path, limit: float = LIMIT) -> None:
  """Wait until the workers that a killed launcher left are over."""
  end = time.monotonic() + limit
  while workers(study) and time.monotonic() < end:
    time.sleep(0.2)


def refused() -> str:
  """Why no launcher can be tried here; '' if it can."""
  return "" if Path("/proc/self").exists() else "no /proc here, by which workers are found"


def undisturbed(made: Bench, fault: str, name: str, config: str, *how: str) -> Bench | Row:
  """The bench of a study that a launcher has trained, called `how`; the row of a fault where it could not."""
  place, whole = made.folder / f"{name}.py", made.folder / f"{name}-whole" / "study"
  place.write_text(config)
  ended = finish(launch(made, whole, *how, config=place))
  if ended.code != 0:
    return Row(fault, 1, 0, f"the undisturbed study ended with code {ended.code}: {ended.error.strip()[-160:]}")
  return made._replace(whole=whole, config=place, seconds=ended.seconds)


def launchers(bench: Bench, count: int) -> list[Row]:
  """`count` SIGKILLs of a launcher at random moments, with faults of its workers; then the study is the undisturbed one."""
  fleet = undisturbed(bench, FAULT, "fleet", configs.FLEET, HOW)
  if isinstance(fleet, Row):
    return [fleet]
  reasons: list[str] = []
  faults: dict[str, int] = {}
  done = launches = survived = number = 0
  while done < count and launches < ATTEMPTS * count:
    study, chain = bench.folder / f"launcher-{number}" / "study", 0
    number, begun, harsh = number + 1, launches, 0
    while chain < min(CHAIN, count - done) and launches < begun + ATTEMPTS * CHAIN:
      launches += 1
      started = launch(fleet, study, HOW)
      hit = lasts(started, bench.random.uniform(0, fleet.seconds / 3))
      if hit and bench.random.random() < max(0.3, fleet.seconds / 6 / EVERY):
        name = disturb(study, bench.random, harsh < HARSH)
        faults, harsh = faults | {name: faults.get(name, 0) + 1}, harsh + (name == "SIGKILL")
      if kill(started).code != -signal.SIGKILL or not hit:
        break
      chain += 1
      bench.done(done + chain, count, "launcher killed")
    reason = wrong(fleet, study, finish(launch(fleet, study, HOW)))
    settled(study)
    reasons += [reason] if reason else []
    done, survived = done + chain, survived + chain * (not reason)
    clear(bench, study, not reason)
  runs = sum(name.endswith(".npz") for name in contents(fleet.whole) if name.startswith("best"))
  others = ", ".join(f"{faults[name]} {name}" for name in sorted(faults) if name) or "no fault"
  detail = (
    f"{runs} runs, {WORKERS} workers ({others} of them); {number} studies end with the same bytes and the same table"
  )
  return [Row(FAULT, done, survived, told(reasons, detail))]
