"""Which part of a study this process does. A launcher (gan_jax/launch) starts a process for each part. No jax import.

Without a launcher one process does all. With one, a process begins the study, others train a group each (the workers),
and a last one writes the report. `--only` says which part.

A worker locks its group alone, and the study together with the other workers. Where its group is being trained already,
by the worker of a launcher that was killed, it waits for that one's end and goes on from there: nothing is trained twice.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import runs
from gan_jax.core.errors import BadInput, Failure, unknown
from gan_jax.runner import processes, standing
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop
from gan_jax.runs import lock

PATIENCE = 60.0  # seconds in which workers that are ending may still hold locks, before a report
LOOK = 1.0  # seconds between two looks at a lock that another process holds


class Part(NamedTuple):
  """What a process does of a study."""

  name: str  # after `--only`
  begins: bool = False  # checks the input and writes the manifest
  trains: bool = False
  group: str | None = None  # the only group that it trains: it is a worker
  reports: bool = False  # writes the report


WHOLE = Part("whole", begins=True, trains=True, reports=True)
BEGIN, REPORT = Part("begin", begins=True), Part("report", reports=True)


def part(only: str | None) -> Part:
  """The part that `--only` names: "begin", "report" or a group. Without `--only` it is the whole study."""
  if only is None:
    return WHOLE
  return {BEGIN.name: BEGIN, REPORT.name: REPORT}.get(only, Part(only, trains=True, group=only))


def told(part: Part, say: Callable[[str], None]) -> Callable[[str], None]:
  """What a part has to say: nothing before the report, since the launcher has said it all."""
  return say if part != REPORT else lambda line: None


def outcome(part: Part) -> str:
  """What is kept if a part ends before it has done anything; see `Stop.outcome`."""
  if part == REPORT:
    return "the report was not written yet, and the same command writes it"
  return "it had trained nothing yet, and the same command does so"


def refuse_halving(part: Part, halving: Any, source: str) -> None:
  """Raises `BadInput` for a study with halving, in which all runs are compared before any goes on, and several processes."""
  if part != WHOLE and halving is not None:
    raise BadInput(
      f"halving() of {source} expected one process, which compares all runs, got a launcher: leave out --launcher and "
      "--workers"
    )


@contextlib.contextmanager
def held(study: Path, group: str | None, progress: Progress, stop: Stop) -> Iterator[None]:
  """A worker's group is locked, as soon as no other worker trains it. Any other process than a worker locks nothing.

  Raises:
    BadInput: no study is begun, it has no such group, or a process that is no worker writes it.
    Stopped: a signal asked to stop while it waited.
  """
  if group is None or not processes.leads():
    yield
    return
  entry(runs.read_manifest(study), group)
  with (
    contextlib.ExitStack() as stack,
    progress.phase(f"waiting for {group}, which another process trains", brief=True),
  ):
    while not _taken(stack, study, group):
      stop.check()
      time.sleep(LOOK)
    locked = stack.pop_all()
  with locked:
    yield


def _taken(stack: contextlib.ExitStack, study: Path, group: str) -> bool:
  with contextlib.suppress(lock.GroupTaken):
    stack.enter_context(lock.group_lock(study, group))
    return True
  return False


def _free(stack: contextlib.ExitStack, study: Path, patient: bool) -> bool:
  """Lock the study; False where it is taken and there is still time."""
  try:
    stack.enter_context(lock.writer_lock(study))
  except lock.Taken:
    if not patient:
      raise
    return False
  return True


def entry(manifest: Mapping[str, Any], group: str) -> Mapping[str, Any]:
  """A group in the manifest. Raises `BadInput` where there is none of this name."""
  found = {one["name"]: one for one in manifest["groups"]}
  if group not in found:
    raise unknown("group of --only", group, found)
  return found[group]


def view(manifest: dict[str, Any] | None, group: str | None) -> dict[str, Any] | None:
  """The manifest as a worker sees it: with its own group alone."""
  return {**manifest, "groups": [entry(manifest, group)]} if manifest and group is not None else manifest


def begun(study: Path, part: Part, manifest: Mapping[str, Any] | None, grows: bool) -> None:
  """Raises `BadInput` where a part is asked for of a study that is not begun, or not with all of its runs."""
  if not part.begins and (manifest is None or grows):
    raise BadInput(
      f"--only {part.name} expected a study that is begun with all runs of its config, got {study}: see --launcher"
    )


def trained(study: Path, part: Part, finished: bool) -> None:
  """Raises `Failure` where a report is asked for before everything is trained."""
  if part == REPORT and not finished:
    raise Failure(f"{study} is not trained to its end, so its report is not written: the same sweep goes on")


@contextlib.contextmanager
def written(study: Path, part: Part, unchanged: bool) -> Iterator[bool]:
  """Make the study's directory and lock it, in the first process; whether no worker trains it, so that it may be mended.

  Only with `--only begin`, and where nothing is to be written, workers of a launcher that was killed may be.
  """
  if not processes.leads():
    yield True
    return
  standing.prepare(study)
  if part.group is not None:  # its lock is held
    yield False
    return
  end = time.monotonic() + PATIENCE
  with contextlib.ExitStack() as stack:
    try:
      while not _free(stack, study, part == REPORT and time.monotonic() < end):
        time.sleep(LOOK)
      free = True
    except lock.Taken:
      if part != BEGIN or not unchanged:
        raise
      stack.enter_context(lock.group_lock(study, part.name))  # refused if a process that is no worker writes it
      free = False
    yield free
