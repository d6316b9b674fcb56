"""Processes that are killed at any moment of a study, and at every file operation of a save."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput

from .bench import (
  Bench,
  Ended,
  Launch,
  Row,
  clear,
  copy,
  finish,
  kill,
  lasts,
  launch,
  start,
  steps,
  told,
  until,
  written,
  wrong,
)

CHAIN = 6  # kills of one study, at most, before it may finish
ATTEMPTS = 4  # launches for each kill: a study may be over before it is killed
OTHERS = 6  # every so many-th study is one of the last bench
EARLY = 5  # every so many-th kill comes before the first step
CALLS = "rename,renameat,renameat2,fsync,fdatasync,mkdir,mkdirat,openat"
OPERATION = re.compile(r"^(?:\[pid +\d+\] )?(rename|renameat2?|fsync|fdatasync|mkdir|mkdirat|openat)\((.*)")
PAUSE = 10_000  # microseconds after each operation, in which the process is killed
RESUMED = 10  # every so many-th save that was killed is followed by a whole launch


def torn(study: Path) -> set[tuple[str, int, int]]:
  """The checkpoints that are being written, or were when their process was killed: name, inode and time."""
  found = set()
  for path in study.glob("checkpoints/*/*tmp*"):
    with contextlib.suppress(FileNotFoundError):  # it was renamed meanwhile
      found.add((path.name, path.stat().st_ino, path.stat().st_ctime_ns))
  return found


class Killed(NamedTuple):
  """How a launch was killed."""

  hit: bool  # it still ran
  early: bool  # before it had trained one step
  within: bool  # within a save


def killed(bench: Bench, study: Path, number: int) -> Killed:
  """Launch a study and SIGKILL it at a random moment: every fourth within a save, some surely before the first step."""
  before, rows, checkpoints = torn(study), written(study), steps(study)
  started, saving = launch(bench, study), number % 4 == 3
  if saving:
    until(started, lambda: bool(torn(study) - before))
  longest = 0.05 if saving else bench.seconds * (0.3 if number % EARLY == 0 else 1.0)
  hit = lasts(started, bench.random.uniform(0, longest))
  ended = kill(started)
  early = (written(study), steps(study)) == (rows, checkpoints)
  return Killed(hit and ended.code == -signal.SIGKILL, early, bool(torn(study) - before))


def kills(benches: Sequence[Bench], count: int) -> list[Row]:
  """`count` SIGKILLs of the studies of several benches in turn, some in a row, after which each study finishes."""
  reasons: list[str] = []
  found: list[Killed] = []
  number, launches, survived = 0, 0, 0
  while len(found) < count and launches < ATTEMPTS * count:
    bench = benches[number % OTHERS == OTHERS - 1 and len(benches) - 1]
    study = copy(bench, f"kills-{number}")
    if number % 3:
      shutil.rmtree(study)  # from the very start
    number, chain = number + 1, 0
    while chain < min(CHAIN, count - len(found)):
      launches += 1
      this = killed(bench, study, launches)
      if not this.hit:
        break
      found, chain = [*found, this], chain + 1
      benches[0].done(len(found), count, "killed")
    reason = wrong(bench, study, finish(launch(bench, study)))
    reasons += [f"{bench.config.stem}: {reason}"] if reason else []
    survived += chain * (not reason)
    clear(bench, study, not reason)
  early, within = sum(k.early for k in found), sum(k.within for k in found)
  names = " and ".join(bench.config.stem for bench in benches)
  detail = (
    f"{names}; {early} before a step, {within} within a save; {number} studies end with the same bytes, "
    "0 rows lost, doubled or torn"
  )
  if early < 0.15 * len(found):
    reasons.append(f"only {early} of {len(found)} came before the first step")
    survived = min(survived, len(found) - 1)
  return [Row("SIGKILL at any moment", len(found), survived, told(reasons, detail))]


# A save that is killed at its k-th operation on a file


def traced() -> bool:
  """Whether strace is here and may attach to a process."""
  if not shutil.which("strace"):
    return False
  sleeper = subprocess.Popen(["sleep", "20"])
  try:
    tracer = subprocess.Popen(
      ["strace", "-p", str(sleeper.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said = tracer.stderr.readline() if tracer.stderr else ""
    tracer.kill()
    tracer.communicate()
    return "attached" in said
  finally:
    sleeper.kill()
    sleeper.wait()


def writes(line: str) -> bool:
  """Whether a line of strace is an operation of a save: a rename, fsync, mkdir, or open for writing."""
  found = OPERATION.match(line)
  return found is not None and (
    found[1] != "openat" or any(word in found[2] for word in ("O_WRONLY", "O_RDWR", "O_CREAT"))
  )


def stopped(process: subprocess.Popen, limit: float = 120.0) -> bool:
  """Wait until a process has stopped itself; False if it ended before."""
  end = time.monotonic() + limit
  while time.monotonic() < end:
    found, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
    if found:
      if os.WIFSTOPPED(status):
        return True
      process.returncode = os.waitstatus_to_exitcode(status)
      return False
    time.sleep(0.01)
  return False


def with_strace(started: Launch, at: int) -> tuple[Ended, int]:
  """Let a stopped process go on, and SIGKILL it at its `at`-th operation: how it ended, and how many it had begun."""
  command = ["strace", "-f", "-p", str(started.process.pid), "-e", f"trace={CALLS}"]
  command += ["-e", f"inject={CALLS}:delay_exit={PAUSE}"]
  tracer = subprocess.Popen(
    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
  )
  assert tracer.stderr is not None
  tracer.stderr.readline()  # "attached"
  started.process.send_signal(signal.SIGCONT)
  count = 0
  for line in tracer.stderr:
    count += writes(line)
    if count == at:
      started.process.kill()
  tracer.wait()
  return finish(started), count


def saving(bench: Bench, study: Path, at: int, strace: bool) -> tuple[Ended, int]:
  """Save the undisturbed study's last state into a study, and kill that at an operation: how it ended, how many it did."""
  step = max(steps(bench.whole))
  order = "stop" if strace else str(at)
  started = start(bench, [*bench.program.save, str(bench.whole), str(study), str(step), order], study)
  if strace:
    return with_strace(started, at) if stopped(started.process) else (finish(started), 0)
  ended = finish(started)
  return ended, int(re.findall(r"\d+", ended.said)[-1]) if ended.code == 0 else at


def saves(bench: Bench, count: int) -> list[Row]:
  """A save that is killed at `count` of its operations, evenly spread: then each checkpoint is whole, or not there."""
  strace, fault = traced(), "a save killed at each file operation"
  study = copy(bench, "save-all")
  ended, total = saving(bench, study, -1, strace)
  clear(bench, study, ended.code == 0)
  if ended.code != 0 or not total:
    return [Row(fault, 1, 0, f"a save alone ended with code {ended.code}: {ended.error.strip()[-160:]}")]
  chosen = sorted({1 + round(i * (total - 1) / max(1, min(count, total) - 1)) for i in range(min(count, total))})
  read, names = bench.program.reader(bench.whole), list(bench.whole.glob("checkpoints/*/*"))
  expected = {str(path.relative_to(bench.whole)): read(path) for path in names if path.name.isdecimal()}
  reasons: list[str] = []
  new, resumed, reached = 0, 0, set[int]()
  for i, at in enumerate(chosen):
    study = copy(bench, f"save-{at}")
    ended, got = saving(bench, study, at, strace)
    reason = "" if ended.code in (0, -signal.SIGKILL) else f"the save ended with code {ended.code}"
    reason = reason or unlike(bench, study, expected)
    new, reached = new + (max(steps(study)) == max(steps(bench.whole))), reached | {got}
    if not reason and i % RESUMED == 0:
      reason, resumed = wrong(bench, study, finish(launch(bench, study))), resumed + 1
    reasons += [f"operation {at}: {reason}"] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, len(chosen), reason or "whole")
  way = "with strace" if strace else "within Python, without tensorstore's own"
  detail = f"{len(reached)} of {total} rename, fsync, open, mkdir ({way}); {new} new, {len(chosen) - new} previous, "
  detail += f"all verified; {resumed} went on to the same bytes"
  return [Row(fault, len(chosen), len(chosen) - len(reasons), told(reasons, detail))]


def unlike(bench: Bench, study: Path, expected: Mapping[str, str]) -> str:
  """What is wrong with a checkpoint of a study: each is to be `expected`, and none may be lost."""
  read = bench.program.reader(study)
  lost = set(steps(bench.started)) - set(steps(study))
  if lost:
    return f"the checkpoint of step {min(lost)} is gone"
  for group in sorted(study.glob("checkpoints/*")):
    for step in sorted(path.name for path in group.iterdir() if path.name.isdecimal()):
      name = f"checkpoints/{group.name}/{step}"
      try:
        if name in expected and read(study / name) != expected[name]:
          return f"{name} is not the undisturbed one"
      except BadInput as error:
        return str(error)
  return ""
