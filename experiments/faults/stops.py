"""Processes that are asked to stop by a signal; each saves, ends with code 75 and then goes on to the same bits."""

import shutil
import signal
import time
from pathlib import Path

from gan_jax.core.errors import Failure

from .bench import (
  Bench,
  Row,
  clear,
  copy,
  finish,
  kill,
  lasts,
  launch,
  restored,
  speaks,
  steps,
  told,
  trains,
  until,
  written,
  wrong,
)

GRACE = 20.0  # seconds that a signal leaves, of the 30 that Slurm gives
CHAIN = 5  # signals to one study, at most, before it may finish
ATTEMPTS = 4  # to send something before a study is over
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def signals(bench: Bench, count: int) -> list[Row]:
  """`count` signals of four kinds: while a study trains, or at a random moment after its first line; each third twice."""
  reasons: list[str] = []
  sent = twice = survived = 0
  slowest = 0.0
  while sent < count:
    study, chain, reason = copy(bench, f"signal-{sent}"), min(CHAIN, count - sent), ""
    for i in range(chain):
      number = SIGNALS[(sent + i) % len(SIGNALS)]
      again = bench.random.choice(SIGNALS) if (sent + i) % 3 == 2 else None
      seconds, reason, second = asked(bench, study, number, (sent + i) % 2 == 0, again)
      slowest, twice = max(slowest, seconds), twice + second
      bench.done(sent + i + 1, count, f"{signal.Signals(number).name}: {reason or f'left in {seconds:.1f} s'}")
      if reason:
        break
    reason = reason or wrong(bench, study, finish(launch(bench, study)))
    reasons += [reason] if reason else []
    sent, survived = sent + chain, survived + chain * (not reason)
    clear(bench, study, not reason)
  kinds = ", ".join(signal.Signals(number).name.removeprefix("SIG") for number in SIGNALS[: min(count, 4)])
  detail = f"{kinds} ({twice} with a second one): code 75 within {slowest:.1f} s, then the same bytes"
  return [Row("signals at any moment", count, survived, told(reasons, detail))]


def asked(bench: Bench, study: Path, number: int, training: bool, again: int | None) -> tuple[float, str, bool]:
  """Seconds until a study left that was sent a signal, what was wrong with that, and whether it got a second one.

  The moment is after its first line: before, Python itself is starting, and a signal has its default effect.
  """
  for attempt in range(ATTEMPTS):
    before = written(study)
    started = launch(bench, study)
    speaks(started)
    if training:
      hit = trains(started, study, before)
    else:
      hit = lasts(started, bench.random.uniform(0, bench.seconds / 2 ** (attempt + 1)))
    if hit:
      started.process.send_signal(number)
      sent = time.monotonic()
      second = False
      if again is not None and lasts(started, bench.random.uniform(0, 1)):
        started.process.send_signal(again)
        second = True
      ended = finish(started, GRACE)
      if ended.code != 0:  # else it was over before the signal came
        said = "" if ended.code == 75 else f"exit code {ended.code} instead of 75: {ended.error.strip()[-120:]}"
        return time.monotonic() - sent, said, second
    finish(started)
    restored(bench, study)
  return 0.0, "it was always over before the signal came", False


def prepare(bench: Bench) -> None:
  """Kill a study after its second checkpoint, as `bench.started`. Raises `Failure` if it always was over before."""
  for _ in range(ATTEMPTS):
    running = launch(bench, bench.started)
    hit = until(running, lambda: len(steps(bench.started)) >= 2)
    kill(running)
    if hit and max(steps(bench.started)) < max(steps(bench.whole)):
      return
    shutil.rmtree(bench.started)
  raise Failure("the study was over before it could be killed after its second checkpoint")
