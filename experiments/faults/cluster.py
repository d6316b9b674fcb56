"""A study on Slurm whose launcher is killed again and again, and its jobs too."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gan_jax.core.errors import BadInput
from gan_jax.launch import slurm

from . import bench, configs, launcher
from .bench import Bench, Row

FAULT = "launcher killed on Slurm"
ASKED = ("--slurm.cpus-per-task=1", "--slurm.time=0:30:00", "--slurm.poll=1")
FLAGS = ("--launcher=slurm", *ASKED)
PART = 4  # a launcher lives for this part of the time that an undisturbed one needs, at most
MORE = 3  # launches after the last kill: one that sees a cancelled job ends, and the next begins it anew


def refused() -> str:
  """Why no study can be launched on Slurm here; '' where it can."""
  try:
    slurm.check(slurm.read(ASKED))
  except BadInput as error:
    return str(error)
  return ""


def launchers(made: Bench, count: int) -> list[Row]:
  """SIGKILL the launcher of a study `count` times, and do something to one of its jobs; of several studies, if one ends."""
  undisturbed = launcher.undisturbed(made, FAULT, "slurm", configs.LONG_FLEET, *FLAGS)
  if isinstance(undisturbed, Row):
    return [undisturbed]
  killed, number, done, reasons = 0, 0, list[str](), list[str]()
  while killed < count and number < count:
    study = made.folder / f"slurm-{number}" / "study"
    while killed < count and killing(undisturbed, study):
      killed += 1
      done.append(disturbed(undisturbed, study))
      made.say(f"launcher killed {killed} of {count}; after it, a job of the study: {done[-1] or 'none ran'}")
    for _ in range(MORE):
      ended = bench.finish(bench.launch(undisturbed, study, *FLAGS))
      if ended.code == 0:
        break
    number += 1
    reasons += filter(None, [bench.wrong(undisturbed, study, ended)])
  faults = ", ".join(f"{done.count(name)} {name}" for name in sorted(set(filter(None, done))))
  detail = f"24 runs; of jobs meanwhile {faults}; {number} studies end with the same bytes and the same table"
  return [Row(FAULT, killed, 0 if reasons else killed, bench.told(reasons, detail))]


def killing(made: Bench, study: Path) -> bool:
  """Launch a study and SIGKILL its launcher at a random moment; whether it still ran."""
  launch = bench.launch(made, study, *FLAGS)
  hit = bench.lasts(launch, made.random.uniform(0, made.seconds / PART))
  return bench.kill(launch).code == -signal.SIGKILL and hit


def disturbed(made: Bench, study: Path) -> str:
  """Do something to one job of a study; returns what, or '' where none runs."""
  jobs = running(study)
  if not jobs:
    return ""
  job, what = made.random.choice(jobs), made.random.choice(("requeued", "killed", "asked to save", "cancelled"))
  {
    "requeued": lambda: slurm.call("scontrol", "requeue", job),
    "killed": lambda: slurm.call("scancel", "--signal=KILL", job),
    "asked to save": lambda: slurm.call("scancel", "--signal=USR2", job),
    "cancelled": lambda: slurm.call("scancel", job),
  }[what]()
  return what


def running(study: Path) -> Sequence[str]:
  """The numbers of a study's jobs that run now."""
  names = [json.loads(path.read_text())["name"] for path in study.glob("launch/slurm/*/submission.json")]
  listed = subprocess.run(
    ["squeue", "--noheader", "--array", "--states=RUNNING", f"--name={','.join(names)}", "--format=%i"],
    capture_output=True,
    text=True,
    check=False,
  )
  return listed.stdout.split() if names else []
