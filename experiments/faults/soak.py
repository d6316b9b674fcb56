"""A study of several workers whose launcher and workers are killed at random moments, until it is done.

It is trained once undisturbed by the same number of workers. Then the launcher, or one of the workers that train for it,
is killed again and again; what was killed is launched again by the same command. In the end every table, picture, best
generator and last state, and the comparison table, must be those of the undisturbed study.
"""

import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path

from .bench import Bench, Ended, Launch, Row, evidence, finish, launch, until

WORKERS = 2
LONGEST = 1.5  # times the time that an undisturbed launch needs for one group: the longest wait before a kill
CONFIG = '''"""A study to be disturbed while several workers train it."""


def get_config():
  return {
    "dataset": "ring",
    "model_options": {"generator_width": 16, "discriminator_width": 16, "depth": 1},
    "latent_size": 2, "batch_size": 16, "steps": 600, "probe_every": 20, "evaluate_every": 100,
    "checkpoint_every": 100, "evaluation_samples": 200,
  }


def sweep(s):
  return s.product(s.param("n_critic", [1, 2]), s.param("optimizer", ["adam", "sgd", "rmsprop"]), s.param("seed", range(4)))
'''


def soak(bench: Bench, kills: int, workers: int = WORKERS) -> list[Row]:
  """`kills` SIGKILLs of launchers and workers of a study of 24 runs in 6 groups; as many studies as that takes."""
  config = bench.folder / "soak.py"
  config.write_text(CONFIG)
  whole = bench.folder / "soak-whole" / "study"
  bench.say(f"soak: training 24 runs by {workers} workers, undisturbed")
  first = finish(launch(bench, whole, f"--workers={workers}", config=config))
  if first.code:
    return [
      Row("launcher and workers killed", 1, 0, f"the undisturbed study ended with code {first.code}: {_last(first)}")
    ]
  again = finish(launch(bench, bench.folder / "soak-again" / "study", f"--workers={workers}", config=config))
  expected, longest = evidence(bench, whole, exact=True), LONGEST * again.seconds * workers / 6
  done: Counter[str] = Counter()
  reasons: list[str] = []
  number = 0
  while done.total() < kills:
    study = bench.folder / f"soak-{number}" / "study"
    number += 1
    ended = _disturbed(bench, study, config, workers, kills, longest, done)
    found = evidence(bench, study, exact=True) if ended.code == 0 else {}
    different = [name for name in dict.fromkeys([*expected, *found]) if expected.get(name) != found.get(name)]
    if ended.code or different:
      reasons.append(
        f"exit code {ended.code}: {_last(ended)}" if ended.code else f"{len(different)} differ: {different[:3]}"
      )
  said = ", ".join(f"{count} {what}" for what, count in sorted(done.items()))
  detail = "; ".join(reasons[:2]) or f"{said}; {number} studies, every bit as in the undisturbed one"
  return [Row("launcher and workers killed", done.total(), done.total() * (not reasons), detail)]


def _disturbed(
  bench: Bench, study: Path, config: Path, workers: int, kills: int, longest: float, done: Counter[str]
) -> Ended:
  """Train one study to its end, killing until there were enough kills; how its last launch ended."""
  gave_up = 0
  while True:
    started = launch(bench, study, f"--workers={workers}", config=config)
    while done.total() < kills and _lasts(started, bench.random.uniform(0, longest)):
      what = _kill(bench, study, started)
      done[what] += bool(what)
      bench.say(f"soak: {done.total()} of {kills}: {what or 'nobody to kill'}")
      if what == "launchers":
        break
    ended = finish(started)
    gave_up += ended.code == 1
    if ended.code == 0 or ended.code not in (1, -signal.SIGKILL) or gave_up > kills:
      return ended


def _lasts(started: Launch, seconds: float) -> bool:
  at = time.monotonic() + seconds
  return until(started, lambda: time.monotonic() >= at)


def _kill(bench: Bench, study: Path, started: Launch) -> str:
  """SIGKILL the launcher or one of the workers of a study, also one whose launcher is dead; which of them."""
  there = _workers(study)
  if there and bench.random.random() < 0.6:
    with contextlib.suppress(ProcessLookupError):
      os.kill(bench.random.choice(there), signal.SIGKILL)
      return "workers"
    return ""
  if started.process.poll() is not None:
    return ""
  started.process.kill()
  return "launchers"


def _workers(study: Path) -> list[int]:
  """The processes that were started to work on this study by a launcher."""
  found = []
  for path in Path("/proc").glob("[0-9]*/cmdline"):
    with contextlib.suppress(OSError):
      words = path.read_bytes().split(b"\0")
      if b"--only" in words and str(study).encode() in words:
        found.append(int(path.parent.name))
  return sorted(found)


def _last(ended: Ended) -> str:
  return (ended.error.strip().splitlines() or ["without a word"])[-1][:200]
