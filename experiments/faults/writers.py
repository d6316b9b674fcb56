"""Several processes that want to write one study, or whose writer was stopped: exactly one writes."""

import signal
import time
from pathlib import Path

from .bench import (
  Bench,
  Launch,
  Row,
  clear,
  copy,
  finish,
  kill,
  lasts,
  launch,
  locked,
  one_sentence,
  restored,
  told,
  trains,
  written,
  wrong,
)

CHAIN = 5  # pairs on one study, at most, whose writers are killed, before one finishes
ATTEMPTS = 4  # pairs until two really meet


def twice(bench: Bench, count: int) -> list[Row]:
  """Two launches at once: one is refused in a sentence. The one that writes is killed, and the next two begin at once."""
  reasons: list[str] = []
  met = killed = survived = 0
  while met < count:
    study, chain = copy(bench, f"twice-{met}"), min(CHAIN, count - met)
    for i in range(chain):
      reason, writer = pair(bench, study)
      if reason:
        break
      last = i + 1 == chain
      ended = finish(writer) if last else kill(writer)
      killed += ended.code == -signal.SIGKILL
      reason = wrong(bench, study, ended) if last or ended.code == 0 else ""
      bench.done(met + i + 1, count, reason or "one wrote")
      if reason:
        break
      if ended.code == 0 and not last:
        restored(bench, study)
    reasons += [reason] if reason else []
    met, survived = met + chain, survived + chain * (not reason)
    clear(bench, study, not reason)
  detail = f"one wrote, one refused in a sentence; {killed} writers then killed, the next wrote at once; 0 damaged"
  return [Row("two launches at once", count, survived, told(reasons, detail))]


def pair(bench: Bench, study: Path) -> tuple[str, Launch]:
  """Two launches that began together: what is wrong with how they met, and the one that writes.

  Where one was over before the other looked, again.
  """
  for _ in range(ATTEMPTS):
    both = [launch(bench, study), launch(bench, study)]
    while all(one.process.poll() is None for one in both):
      time.sleep(0.01)
    out, writer = both if both[0].process.poll() is not None else reversed(both)
    ended = finish(out)
    if ended.code == 0:  # it found nobody, and the other may find it complete
      finish(writer)
      restored(bench, study)
      continue
    named = all(word in ended.error for word in ("host ", "pid "))
    if ended.code == 2 and one_sentence(ended) and named:
      return "", writer
    finish(writer)
    return f"exit code {ended.code} of the second: {ended.error.strip()[-160:]}", writer
  return "the two never met", writer


def holding(bench: Bench, study: Path) -> Launch | None:
  """A launch that holds the lock and has begun to train, stopped by SIGSTOP; None if it always was over before."""
  for _ in range(ATTEMPTS):
    before = written(study)
    started = launch(bench, study)
    locked(started, study)
    if trains(started, study, before) if bench.random.random() < 0.5 else lasts(started, 0.3):
      started.process.send_signal(signal.SIGSTOP)
      return started
    finish(started)
    restored(bench, study)
  return None


def frozen(bench: Bench, count: int) -> list[Row]:
  """A writer that is stopped for a while: a second launch is refused, then the first goes on."""
  reasons, slowest = [], 0.0
  for i in range(count):
    study = copy(bench, f"frozen-{i}")
    reason, first = "", holding(bench, study)
    if first is None:
      reason = "it was always over before it could be stopped"
    else:
      second = finish(launch(bench, study))
      slowest = max(slowest, second.seconds)
      if second.code != 2 or not one_sentence(second) or f"pid {first.process.pid}" not in second.error:
        reason = f"exit code {second.code} of the second: {second.error.strip()[-160:]}"
      first.process.send_signal(signal.SIGCONT)
      ended = finish(first)
      reason = reason or wrong(bench, study, ended)
    reasons += [reason] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, count, reason or "the second was refused")
  detail = f"the second was refused in {slowest:.1f} s at most, the first went on to the same bytes"
  return [Row("a stopped writer", count, count - len(reasons), told(reasons, detail))]


def fenced(bench: Bench, count: int) -> list[Row]:
  """A writer that is stopped, whose lock's file is deleted, and that wakes beside a second writer, or after it."""
  reasons, refused = [], 0
  for i in range(count):
    study = copy(bench, f"fenced-{i}")
    first = holding(bench, study)
    reason = "it was always over before it could be stopped"
    if first is not None:
      reason, left = woken(bench, study, first, beside=i % 2 == 0)
      refused += left
    reasons += [reason] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, count, reason or "the second wrote alone")
  detail = (
    f"lock deleted; the second wrote to the same bytes, the woken one refused to write ({refused}) or had nothing left"
  )
  return [Row("a writer woken beside another", count, count - len(reasons), told(reasons, detail))]


def woken(bench: Bench, study: Path, first: Launch, beside: bool) -> tuple[str, bool]:
  """What went wrong where a stopped writer wakes `beside` a second one, or after it; and whether it refused to write."""
  before = written(study)
  (study / "lock").unlink()
  second = launch(bench, study)
  if beside:
    trains(second, study, before)
  ended = finish(second) if not beside else None
  first.process.send_signal(signal.SIGCONT)
  old = finish(first)
  ended = ended or finish(second)
  reason = wrong(bench, study, ended)
  if not reason and old.code not in (0, 1):
    reason = f"the woken one ended with code {old.code}: {old.error.strip()[-160:]}"
  if not reason and old.code == 1 and not one_sentence(old):
    reason = f"the woken one did not end in a sentence: {old.error.strip()[-160:]}"
  return reason, old.code == 1
