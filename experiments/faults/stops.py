"""Processes that are killed, asked to stop, or started twice; each then goes on to the bits of the undisturbed study."""

import contextlib
import shutil
import signal
import time
from pathlib import Path

from .bench import Bench, Ended, Launch, Row, copy, done, finish, launch, one_sentence, steps, told, until, wrong

GRACE = 20.0  # seconds that a signal leaves, of the 30 that Slurm gives
CHAIN = 5  # kills of one study, at most, before it may finish
ATTEMPTS = 4  # to send something before a study is over
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def torn(study: Path) -> set[tuple[str, int, int]]:
  """The checkpoints that are being written, or were when their process was killed: name, inode and time."""
  found = set()
  for path in study.glob("checkpoints/*/*tmp*"):
    with contextlib.suppress(FileNotFoundError):  # it was renamed meanwhile
      found.add((path.name, path.stat().st_ino, path.stat().st_ctime_ns))
  return found


def killed(bench: Bench, study: Path, within: bool) -> tuple[bool, bool]:
  """Launch and SIGKILL it at a random moment, or `within` a save: whether it still ran, and whether a save was torn."""
  before = torn(study)
  started = launch(bench, study)
  if within:
    until(started, lambda: bool(torn(study) - before))
  hit = lasts(started, bench.random.uniform(0, 0.05 if within else bench.seconds))
  started.process.kill()
  return finish(started).code == -signal.SIGKILL and hit, bool(torn(study) - before)


def kills(bench: Bench, count: int) -> list[Row]:
  """`count` SIGKILLs, every second one within a save, up to five in a row in one study, which then finishes."""
  reasons: list[str] = []
  left, number, launches, within, survived = count, 0, 0, 0, 0
  while left and launches < ATTEMPTS * count:
    study = copy(bench, f"kills-{number}")
    if number % 2:
      shutil.rmtree(study)  # from the very start
    number, chain = number + 1, 0
    while chain < min(CHAIN, left):
      launches += 1
      hit, tore = killed(bench, study, within=launches % 2 == 0)
      if not hit:
        break
      chain, within = chain + 1, within + tore
      bench.say(f"killed {count - left + chain} of {count}")
    reason = wrong(bench, study, finish(launch(bench, study)))
    reasons += [reason] if reason else []
    left, survived = left - chain, survived + chain * (not reason)
    done(bench, study, not reason)
  detail = f"{within} within a save; every bit as in the undisturbed study"
  return [Row("SIGKILL, also during saves", count - left, survived, told(reasons, detail))]


def signals(bench: Bench, rounds: int) -> list[Row]:
  """Each signal, `rounds` times: first while a study trains, then at a random moment after its first line, and so on."""
  rows = []
  for number in SIGNALS:
    name, reasons, slowest, survived = signal.Signals(number).name, [], 0.0, 0
    for i in range(rounds):
      study = copy(bench, f"{name}-{i}")
      seconds, reason = asked(bench, study, number, training=i % 2 == 0)
      reason = reason or wrong(bench, study, finish(launch(bench, study)))
      slowest, survived = max(slowest, seconds), survived + (not reason)
      reasons += [reason] if reason else []
      done(bench, study, not reason)
      bench.say(f"{name} {i + 1} of {rounds}: {reason or f'left in {seconds:.1f} s'}")
    rows.append(Row(name, rounds, survived, told(reasons, f"code 75 within {slowest:.1f} s, then the same bits")))
  return rows


def written(study: Path) -> int:
  """How many files of rows there are."""
  return len(list(study.glob("rows/*/*.npz")))


def lasts(started: Launch, seconds: float) -> bool:
  """Whether a process still runs after so many seconds more."""
  at = time.monotonic() + seconds
  return until(started, lambda: time.monotonic() >= at)


def speaks(started: Launch) -> bool:
  """Wait for the first line of output: from then on it answers signals."""
  return until(started, lambda: started.output.with_suffix(".out").stat().st_size > 0)


def asked(bench: Bench, study: Path, number: int, training: bool) -> tuple[float, str]:
  """Seconds until a study left that was sent a signal, and what was wrong with that."""
  before = written(study)
  for attempt in range(ATTEMPTS):
    started = launch(bench, study)
    speaks(started)
    if training:
      hit = until(started, lambda: written(study) > before)
    else:
      hit = lasts(started, bench.random.uniform(0, bench.seconds / 2 ** (attempt + 1)))
    if hit:
      started.process.send_signal(number)
      sent = time.monotonic()
      ended = finish(started, GRACE)
      if ended.code != 0:  # else it was over before the signal came
        return time.monotonic() - sent, "" if ended.code == 75 else f"exit code {ended.code} instead of 75"
    finish(started)
    shutil.rmtree(study)
    shutil.copytree(bench.started, study)
  return 0.0, "it was always over before the signal came"


def twice(bench: Bench, count: int) -> list[Row]:
  """Two launches at once: one writes, the other leaves with a sentence."""
  reasons = []
  for i in range(count):
    study = copy(bench, f"twice-{i}")
    both = pair(bench, study)
    winners = [ended for ended in both if ended.code == 0]
    if len(winners) != 1 or not any(one_sentence(ended) for ended in both):
      reason = f"exit codes {both[0].code} and {both[1].code}, where one is to write and one to refuse"
    else:
      reason = wrong(bench, study, winners[0])
    reasons += [reason] if reason else []
    done(bench, study, not reason)
    bench.say(f"two launches at once, {i + 1} of {count}: {reason or 'one wrote'}")
  return [
    Row("two launches at once", count, count - len(reasons), told(reasons, "one wrote, one refused in a sentence"))
  ]


def pair(bench: Bench, study: Path) -> tuple[Ended, Ended]:
  """How two launches ended that began together. Where one was over before the other began to write, again."""
  for attempt in range(ATTEMPTS):
    first, second = launch(bench, study), launch(bench, study)
    both = finish(first), finish(second)
    if not (both[0].code == both[1].code == 0 and attempt + 1 < ATTEMPTS and apart(first, second)):
      return both
    shutil.rmtree(study)
    shutil.copytree(bench.started, study)
  return both


def apart(first: Launch, second: Launch) -> bool:
  """Whether one of two found the study complete, so that the two never met."""
  return any("is complete" in launch.output.with_suffix(".out").read_text() for launch in (first, second))


def started(bench: Bench) -> bool:
  """Kill a study after its second checkpoint, as `bench.started`; False if it always was over before."""
  for _ in range(ATTEMPTS):
    running = launch(bench, bench.started)
    hit = until(running, lambda: len(steps(bench.started)) >= 2)
    running.process.kill()
    finish(running)
    if hit:
      return True
    shutil.rmtree(bench.started)
  return False
