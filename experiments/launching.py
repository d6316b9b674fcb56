"""A study trained by a launcher: what `sweep` does with `--launcher` and `--workers`. See gan_jax/launch/README.md."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput, Failure, Planned, Stopped, plural
from gan_jax.launch import alone, drive
from gan_jax.launch.drive import Place
from gan_jax.launch.tasks import FAILED, REFUSED, Engine
from gan_jax.runner.worker import BEGIN, REPORT

from . import command, engines

FOLLOWED = 2.0  # seconds between two looks at the status


class Explained(Failure):
  """A task that trains no group failed, and said why: there is too little room on the disk."""


class Launch(NamedTuple):
  """What is launched."""

  config: str  # path of a config file
  fields: list[str]  # `--config.field=value`
  study: Path
  workers: int
  launcher: str
  flags: list[str]  # `--slurm.name=value`
  detach: bool
  parent: Path | None = None  # the study that this one is a fork of

  def command(self, part: str) -> tuple[str, ...]:
    """The command line that does a part of the study: trains a group, or begins it, and makes the fork that it is."""
    place = ["--out", str(self.study)]
    if self.parent is not None and part == BEGIN.name:
      place = ["--out", str(self.parent), "--fork", str(self.study)]
    return (sys.executable, "-m", "gan_jax.commands", "sweep", self.config, *place, "--only", part, *self.fields)


def options(parser: argparse.ArgumentParser) -> None:
  """Adds `--launcher` and `--workers` to the parser of a command that trains."""
  parser.add_argument("--launcher", choices=engines.LAUNCHERS, default="local", help="where groups are trained")
  parser.add_argument("--workers", type=int, default=1, help="processes that train a group each (default: 1, this one)")
  parser.add_argument("--detach", action="store_true", help="submit the groups to Slurm, and end")


def wanted(known: argparse.Namespace, rest: Sequence[str]) -> bool:
  """Whether the options ask for other processes than this one. Raises `BadInput` for options that cannot be used.

  Args:
    known: the options; rest: the other arguments, `--config.field=value` and an engine's options.
  """
  if known.workers < 1:
    raise BadInput(f"--workers expected at least 1, got {known.workers}")
  asked = known.workers > 1 or known.launcher != "local"
  if asked and getattr(known, "only", None) is not None:
    raise BadInput("--only expected no launcher, which calls it itself, got --workers or --launcher as well")
  if asked and getattr(known, "log", ""):
    raise BadInput("--log expected one process that trains all groups, got --workers or --launcher as well")
  if known.detach and known.launcher != "slurm":
    raise BadInput(f"--detach expected --launcher=slurm, got --launcher={known.launcher}")
  engines.refuse_others(known.launcher, engines.split(rest)[1])
  return asked


def launched(known: argparse.Namespace, fields: Sequence[str], study: Path) -> bool:
  """Have a study trained by the launcher that the options name; whether it is trained now.

  Args:
    known: the options.
    fields: `--config.field=value`, and an engine's options.
    study: its directory; with `--fork` that of the fork, which the process that begins the study makes.

  Raises:
    Planned: the plan of a dry run is printed.
    and as `conduct`.
  """
  own, flags = engines.split(fields)
  parent = known.out if getattr(known, "fork", None) else None
  launch = Launch(known.config, own, study, known.workers, known.launcher, flags, known.detach, parent)
  conduct(launch, known.dry_run)
  return not known.detach


def conduct(launch: Launch, dry: bool) -> Path:
  """Have the groups of a study trained by workers, write its report, and return its directory.

  Raises:
    BadInput: input that cannot be used, or another launcher is at work. Nothing on disk has been changed.
    Stopped: a signal asked to stop; what the workers trained is saved, and the same command continues.
    Failure: a group failed for good; all others are trained.
    Planned: the plan of a dry run is printed.
    SystemExit: of a dry run whose input cannot be used.
  """
  from gan_jax.runner import forking, standing

  if launch.parent is not None:
    forking.there(launch.parent, launch.study)
  standing.begun(launch.study)
  make = engines.chosen(launch.launcher, launch.flags, launch.workers, print)
  if dry:
    _plan(launch)
  new = not launch.study.exists()
  standing.prepare(launch.study)
  try:
    with alone.alone(launch.study):
      _counted(launch, make)
  except (BadInput, Explained):
    _undone(launch.study, new)
    raise
  return launch.study


def _plan(launch: Launch) -> None:
  """Print the plan of a study, made by a process like the workers, and what is one task."""
  share = {} if launch.launcher == "slurm" else engines.share(launch.workers)[0]
  done = subprocess.run(
    [*launch.command("begin"), "--dry-run"], env={**os.environ, **share}, stdin=subprocess.DEVNULL, check=False
  )
  if done.returncode:
    sys.exit(done.returncode)
  where = f"{launch.workers} at most are trained at a time" if share else "each is one job"
  raise Planned(f"each program is one task, by its name; {where}")


def _undone(study: Path, new: bool) -> None:
  """Leave no trace of a study that could not be begun."""
  from gan_jax import runs

  if new and not runs.is_study(study):
    for path in (study / "launch", study / "locks"):
      shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
      (study / "lock").unlink(missing_ok=True)
      study.rmdir()


def _counted(launch: Launch, make: engines.Made) -> None:
  """`_conduct`, whose end is noted: after an end of its own, the next launch tries everything anew."""
  drive.launched(launch.study)
  code = 1
  try:
    _conduct(launch, make)
    code = 0
  except Stopped:  # or Ctrl-C
    code = 75
    raise
  except BadInput:
    code = 2
    raise
  finally:
    drive.over(launch.study, code)


def _conduct(launch: Launch, make: engines.Made) -> None:
  from gan_jax import runs
  from gan_jax.runner import standing
  from gan_jax.runner.progress import Progress

  stop = command.stop()
  with Progress() as progress:
    engine = make(launch.study, progress.say)
    stop.unsaved, stop.leave = True, _leaving(launch.study, engine)
    place = Place(launch.study, engine, launch.command, progress.say, stop)
    queued = sorted(engine.running() - {BEGIN.name, REPORT.name})
    if queued and launch.detach:
      engine.stop(signal.SIGHUP)
      return
    if queued:  # a job that begins the study would wait behind them
      with progress.phase("training", brief=True):
        manifest = runs.read_manifest(launch.study)
        drive.drive(place._replace(follow=_follow(launch.study, manifest, progress)), queued)
    with progress.phase("beginning the study", brief=True):
      relayed = place._replace(follow=_relay(launch.study / "launch" / "begin.log", progress.say))
      failed = drive.drive(relayed, [BEGIN.name])
    _ended(failed)
    manifest = runs.read_manifest(launch.study)
    left = [entry["name"] for entry in manifest["groups"] if not standing.whole(launch.study, entry)]
    _idle(launch, len(left), progress.say)
    if launch.detach and left:
      _ended(drive.submit(place, left))
      return
    with progress.phase("training", brief=True):
      failed = drive.drive(place._replace(follow=_follow(launch.study, manifest, progress)), left)
    if failed:
      raise drive.refused(failed)
    stop.outcome = "everything is trained and saved, and the same command writes the report"
    stop.check()
    with progress.phase("writing the report", brief=True):
      _ended(drive.drive(place, [REPORT.name]))
  log = launch.study / "launch" / "report.log"
  _relay(log, print, drive.last_try(log))(set())  # without the live line, so that the table stays


def _ended(failed: Sequence[drive.Failed]) -> None:
  """Raises what a worker failed with that trains no group, in its own words where it has some."""
  if failed:
    last = failed[0].last
    words = last.words.removeprefix("error: ")
    if last.cause == REFUSED:
      raise BadInput(words)
    explained = last.cause == FAILED and words != last.words  # not by a stack trace
    raise Explained(words) if explained else Failure(str(failed[0]))


def _leaving(study: Path, engine: Engine) -> Callable[[int, str], None]:
  """How a launcher leaves at once: its workers are asked to save and stop, and the next launch counts tries anew."""

  def leave(code: int, sentence: str) -> None:
    engine.stop(signal.SIGTERM)
    with contextlib.suppress(OSError, BadInput):
      drive.over(study, code)
    command.leave_with(code, sentence)

  return leave


def _idle(launch: Launch, groups: int, say: Callable[[str], object]) -> None:
  if 0 < groups < launch.workers:
    idle = launch.workers - groups
    say(
      f"{plural(groups, 'group')} for {launch.workers} workers, so {plural(idle, 'worker')} will have nothing to do: "
      "--config.most_members=K cuts the groups of a new study into parts of at most K runs"
    )


def _relay(log: Path, say: Callable[[str], object], since: int | None = None) -> Callable[[set[str]], None]:
  """A function that prints what was added to a log since its last call, or since it had so many bytes.

  Without headings and errors.
  """
  at = since if since is not None else log.stat().st_size if log.exists() else 0

  def relay(running: set[str]) -> None:
    nonlocal at
    if not log.exists():
      return
    with open(log, "rb") as file:
      file.seek(at)
      text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    at += len(whole)
    for line in whole.decode("utf-8", "replace").splitlines():
      if not line.startswith(("--- ", "error: ")):
        say(line)

  return relay


def _follow(study: Path, manifest: dict, progress) -> Callable[[set[str]], None]:
  """A function that shows how far the groups are, every `FOLLOWED` seconds."""
  from gan_jax import runs
  from gan_jax.runner import standing

  steps = {entry["name"]: int(entry["members"][0]["config"]["steps"]) for entry in manifest["groups"]}
  before, told = -FOLLOWED, ""

  def follow(running: set[str]) -> None:
    nonlocal before, told
    if time.monotonic() - before < FOLLOWED:
      return
    before = time.monotonic()
    with contextlib.suppress(BadInput):
      found = runs.read_status(study)["groups"]
      at = {name: min(int(found.get(name, {}).get("step", 0)), steps[name]) for name in steps}
      whole = sum(standing.trained(entry, found.get(entry["name"], {})) for entry in manifest["groups"])
      now = ", ".join(f"{name} at {at[name]:,}" for name in sorted(running & steps.keys()))
      said = f"{whole} of {plural(len(steps), 'group')} done{'; ' * bool(now)}{now}"
      if said != told:
        told = said
        progress.step(sum(at.values()), sum(steps.values()), said)

  return follow
