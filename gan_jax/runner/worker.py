"""One of several processes that train a study, a group each: what a launcher starts (gan_jax/launch). No jax import.

A worker locks its group alone, and the study together with the other workers. Where its group is being trained already,
by the worker of a launcher that was killed, it waits for that one's end and goes on from there: nothing is trained twice.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_jax import runs
from gan_jax.core.errors import BadInput, Failure, unknown
from gan_jax.runner import processes
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop
from gan_jax.runs import lock

# In the place of a group: check the input and begin the study, and train nothing; write the report of a trained study.
BEGIN, REPORT = "begin", "report"
PATIENCE = 60.0  # seconds in which workers that are ending may still hold locks, before a report
LOOK = 1.0  # seconds between two looks at a lock that another process holds


def is_one(only: str | None) -> bool:
  """Whether this process is a worker, which trains one group of a study that is begun."""
  return only not in (None, BEGIN, REPORT)


def refuse_halving(only: str | None, halving: Any, source: str) -> None:
  """Raises `BadInput` for a study with halving, in which all runs are compared before any goes on, and several processes."""
  if only is not None and halving is not None:
    raise BadInput(
      f"halving() of {source} expected one process, which compares all runs, got a launcher: leave out --launcher and "
      "--workers"
    )


@contextlib.contextmanager
def held(study: Path, only: str | None, progress: Progress, stop: Stop) -> Iterator[None]:
  """A worker's group is locked, as soon as no other worker trains it. Any other process than a worker locks nothing.

  Raises:
    BadInput: no study is begun, it has no such group, or a process that is no worker writes it.
    Stopped: a signal asked to stop while it waited.
  """
  if only is None or not is_one(only) or not processes.leads():
    yield
    return
  entry(runs.read_manifest(study), only)
  with contextlib.ExitStack() as stack, progress.phase(f"waiting for {only}, which another process trains", brief=True):
    while not _taken(stack, study, only):
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


def entry(manifest: Mapping[str, Any], only: str) -> Mapping[str, Any]:
  """A worker's group in the manifest. Raises `BadInput` where there is none of this name."""
  found = {group["name"]: group for group in manifest["groups"]}
  if only not in found:
    raise unknown("group of --only", only, found)
  return found[only]


def view(manifest: dict[str, Any] | None, only: str | None) -> dict[str, Any] | None:
  """The manifest as a worker sees it: with its own group alone."""
  return {**manifest, "groups": [entry(manifest, only)]} if manifest and only is not None and is_one(only) else manifest


def begun(study: Path, only: str | None, manifest: Mapping[str, Any] | None, grows: bool) -> None:
  """Raises `BadInput` where a worker is asked to train a study that is not begun, or not with all of its runs."""
  if only not in (None, BEGIN) and (manifest is None or grows):
    raise BadInput(
      f"--only {only} expected a study that is begun with all runs of its config, got {study}: see --launcher"
    )


def trained(study: Path, only: str | None, finished: bool) -> None:
  """Raises `Failure` where a report is asked for before everything is trained."""
  if only == REPORT and not finished:
    raise Failure(f"{study} is not trained to its end, so its report is not written: the same sweep goes on")


@contextlib.contextmanager
def alone(study: Path, only: str | None, unchanged: bool) -> Iterator[bool]:
  """Lock the study; whether no worker is training it, so that it may be mended.

  Only with `--only begin`, and where nothing is to be written, workers of a launcher that was killed may be.
  """
  if is_one(only):  # its lock is held
    yield False
    return
  end = time.monotonic() + PATIENCE
  with contextlib.ExitStack() as stack:
    try:
      while not _free(stack, study, only == REPORT and time.monotonic() < end):
        time.sleep(LOOK)
      free = True
    except lock.Taken:
      if only != BEGIN or not unchanged:
        raise
      stack.enter_context(lock.group_lock(study, BEGIN))  # refused if a process that is no worker writes it
      free = False
    yield free
