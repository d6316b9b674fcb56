"""A disk that is full, read-only or gone while a study is written: one sentence, an early end, and nothing is lost.

A small file system of its own needs the right to mount. Without it, a full disk is an error that is put into the process
(inject.py), and a read-only one is a directory without the right to write.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .bench import (
  Bench,
  Launch,
  Row,
  clear,
  copy,
  finish,
  launch,
  not_tried,
  one_sentence,
  start,
  told,
  trains,
  until,
  written,
  wrong,
)

SIZE = "256m"
GONE = 30.0  # seconds from the fault until the process is gone
SPOKEN = 10.0  # seconds from the last thing that was written until there is an error
# Before a command of Python; it needs no package, so that a program without packages can be called too.
INJECT = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import inject; inject.main(sys.argv[1:])"


def called(*command: str) -> bool:
  return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[bool]:
  """`mount ARGUMENTS PLACE` while the body runs; the value is whether it worked."""
  place.mkdir(parents=True, exist_ok=True)
  works = bool(shutil.which("mount")) and called("mount", *arguments, str(place))
  try:
    yield works
  finally:
    if works:
      called("umount", "-l", str(place))


def readonly(study: Path) -> contextlib.AbstractContextManager[bool]:
  """A study's directory is read-only while the body runs, for new files."""
  return _bound(study) if os.geteuid() == 0 else _without_right(study)


@contextlib.contextmanager
def _bound(study: Path) -> Iterator[bool]:
  with mounted(study, "--bind", str(study)) as works:
    yield works and called("mount", "-o", "remount,ro,bind", str(study))


@contextlib.contextmanager
def _without_right(study: Path) -> Iterator[bool]:
  folders = [study, *(path for path in study.rglob("*") if path.is_dir())]
  modes = {folder: folder.stat().st_mode for folder in folders}
  for folder in folders:
    folder.chmod(0o555)
  try:
    yield True
  finally:
    for folder, mode in modes.items():
      folder.chmod(mode)


def fill(place: Path) -> Path:
  """Write a file until the disk is full; returns it."""
  ballast = place / "ballast"
  with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
    while file.write(bytes(2**16)):
      pass
  return ballast


def newest(study: Path) -> float:
  """Seconds since 1970 at which a study's directory changed last."""
  found = [0.0]
  for folder, _, names in os.walk(study):  # which passes over what vanishes meanwhile
    for name in ("", *names):
      with contextlib.suppress(FileNotFoundError):
        found.append(os.stat(os.path.join(folder, name)).st_ctime)
  return max(found)


def count(study: Path) -> int:
  """How many files there are, also while some come and go."""
  return sum(len(names) for _, _, names in os.walk(study))


def failed(started: Launch, study: Path, words: tuple[str, ...]) -> tuple[str, float]:
  """What is wrong with how a process ended after a fault, and the seconds from the last write to the error."""
  speaks = until(started, lambda: started.output.with_suffix(".err").stat().st_size > 0, GONE + SPOKEN)
  spoke, last = time.time(), newest(study) if study.exists() else time.time()
  ended = finish(started, GONE)
  if ended.code < 0:
    return f"it did not end within {GONE:.0f} s" if speaks else "it neither ended nor said anything", 0.0
  if ended.code == 0:
    return "over", 0.0
  missing = [word for word in words if word not in ended.error]
  if not one_sentence(ended) or missing:
    return f"exit code {ended.code}, without {', '.join(missing) or 'one sentence'}: {ended.error.strip()[-160:]}", 0.0
  late = max(0.0, spoke - last)
  return f"the error came {late:.0f} s after the last write" if late > SPOKEN else "", late


def full(bench: Bench, times: int) -> list[Row]:
  """The disk becomes full at `times` different writes, evenly spread over a study."""
  total = count(bench.whole)
  reasons, slowest = [], 0.0
  with mounted(bench.folder / "probe", "-t", "tmpfs", "-o", f"size={SIZE}", "none") as works:
    pass
  for i in range(times):
    at = max(1, round((i + 0.5) * 0.9 * total / times))  # the last files are written within a moment
    reason, late = (_filled if works else _injected)(bench, f"full-{i}", at)
    slowest = max(slowest, late)
    reasons += [f"write {at}: {reason}"] if reason else []
    bench.done(i + 1, times, f"at file {at} of {total}: {reason or 'one sentence'}")
  way = f"a file system of {SIZE}" if works else "errors put into the process: nothing can be mounted here"
  detail = f"{way}; path and free bytes named, {slowest:.1f} s after the last write at most; then the same bytes"
  return [Row("disk full", times, times - len(reasons), told(reasons, detail))]


def _filled(bench: Bench, name: str, at: int) -> tuple[str, float]:
  """A small disk is filled once a study has so many files: what went wrong, and seconds from the last write to the error."""
  place = bench.folder / name
  with mounted(place, "-t", "tmpfs", "-o", f"size={SIZE}", "none"):
    study = place / "study"
    for _ in range(3):
      started = launch(bench, study)
      until(started, lambda: count(study) >= at)
      ballast = fill(place)
      reason, late = failed(started, study, (str(study), "bytes"))
      ballast.unlink()
      if reason != "over":
        break
      shutil.rmtree(study)  # it was over before the disk was full
    ended = finish(launch(bench, study))
    if not reason:
      reason = wrong(bench, study, ended)
  if not reason:
    shutil.rmtree(place)
  return reason, late


def _injected(bench: Bench, name: str, at: int) -> tuple[str, float]:
  """As `_filled`, where nothing can be mounted: Python's writes fail from the `at`-th on."""
  study = bench.folder / name / "study"
  command = [word for word in bench.program.sweep if word not in ("-S", "-s")]
  started = start(
    bench,
    [command[0], "-c", INJECT, "ENOSPC", str(at), str(study), *command[1:], str(bench.config), "--out", str(study)],
    study,
  )
  reason, late = failed(started, study, (str(study), "bytes"))
  reason = reason or wrong(bench, study, finish(launch(bench, study)))
  clear(bench, study, not reason)
  return reason, late


def fixed(bench: Bench, count: int) -> list[Row]:
  """A directory that is read-only from the start, or becomes so while a study is written."""
  fault, reasons = "read-only directory", []
  probe = copy(bench, "probe-readonly")
  with readonly(probe) as works:
    works = works and not os.access(probe, os.W_OK)
  clear(bench, probe, True)
  if not works:
    return not_tried(fault, "no directory can be made read-only here: root without the right to mount")
  for i in range(count):
    study = copy(bench, f"readonly-{i}")
    reason, before = "", written(study)
    if i % 2:
      with readonly(study):
        reason, _ = failed(launch(bench, study), study, (str(study),))
    else:
      started = launch(bench, study)
      trains(started, study, before)
      with readonly(study):
        reason, _ = failed(started, study, (str(study),))
    ended = finish(launch(bench, study))
    reason = reason if reason and reason != "over" else wrong(bench, study, ended)
    reasons += [reason] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, count, reason or "one sentence")
  detail = "from the start and while it is written: one sentence with the path, then the same bytes"
  return [Row(fault, count, count - len(reasons), told(reasons, detail))]


def removed(bench: Bench, count: int) -> list[Row]:
  """A directory that is moved away, or removed for good, while a study is written."""
  reasons = []
  for i in range(count):
    study = copy(bench, f"removed-{i}")
    before, away = written(study), study.with_name("away")
    started = launch(bench, study)
    trains(started, study, before)
    study.rename(away)
    reason, _ = failed(started, study, (str(study),))
    there = study.exists()
    if i % 2:
      shutil.rmtree(away)  # a copy that this command made
    elif not there:
      away.rename(study)
    if there:
      reason = reason or "a new directory was made"
    ended = finish(launch(bench, study))
    reason = reason if reason and reason != "over" else wrong(bench, study, ended)
    reasons += [reason] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, count, reason or "one sentence")
  detail = "one sentence with the path, nothing written in its place; moved back or started anew, the same bytes"
  return [Row("directory removed", count, count - len(reasons), told(reasons, detail))]
