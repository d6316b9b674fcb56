"""One writer: the locks of a study, and the attempt number by which a writer notices that another has taken its place.

    lock            the whole study: held alone by `writer_lock`, together by all processes in `group_lock`
    locks/<group>   one group: held alone in `group_lock`

The kernel keeps the locks (`flock`) and releases them even after SIGKILL. Each file's text names the process that holds
it: host, pid, when it started (UTC), and its attempt, which is higher than all before it.

Where the kernel's lock is lost (the lock's file was deleted while its holder was stopped, or the file system of another
machine does not keep it), two processes could write. So a writer looks before each write whether the file is still the
one that it locked and still names it (`still_there`). If not, it writes nothing more: who came last writes alone. What
it began to write before it was stopped, one file or checkpoint, it may still rename into place. It is whole, and rows and
checkpoints of one step are the same bits whoever computes them.

A process knows the locks that it holds as the kernel does, so nobody has to be handed them. No jax import.
"""

import contextlib
import errno
import fcntl
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput, Failure
from gan_jax.core.files import patiently, regular
from gan_jax.runs import holders, mounts, schema
from gan_jax.runs.holders import LOCK, LOCKS, SHARED

UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # flock on a file system that has no such locks
STATUS = ("status.json", "status.copy.json")


class Taken(BadInput):
  """Another process holds the lock. The message names it."""


class GroupTaken(Taken):
  """Another worker holds the group."""


class Mark(NamedTuple):
  """A lock that this process holds."""

  path: Path
  file: int  # its descriptor
  text: str  # what its file must go on saying


@functools.cache
def _marks() -> dict[Path, list[Mark]]:
  """The locks that this process holds, by the study's directory."""
  return {}


@contextlib.contextmanager
def writer_lock(study: Path) -> Iterator[int]:
  """Lock the whole study for writing; the value is the attempt.

  Raises:
    Taken: another process holds it, or workers hold groups of it; the message names it.
    BadInput: the lock is no regular file.
  """
  study.mkdir(parents=True, exist_ok=True)
  refusal = lambda: f"{study} is being written by another process ({holders.named(study)})"  # noqa: E731
  with _locked(study / LOCK, fcntl.LOCK_EX, refusal) as file:
    locks = study / LOCKS
    others = [path for path in locks.iterdir() if path.is_file()] if locks.is_dir() else []
    attempt = 1 + max(_last(study, path) for path in (study / LOCK, *others))
    with _marked(study, {study / LOCK: (file, _write(file, holders.told(attempt)))}):
      yield attempt


@contextlib.contextmanager
def group_lock(study: Path, group: str) -> Iterator[int]:
  """Lock one group of a study for writing; the value is the attempt. Other processes may lock other groups meanwhile.

  Raises:
    GroupTaken: another process holds this group; the message names it.
    Taken: another process holds the whole study.
    BadInput: the name is no group's, or a lock is no regular file.
  """
  if not schema.GROUP_NAME.fullmatch(group):
    raise BadInput(f"{study} expected the name of a group, got {group!r}")
  whole, own = study / LOCK, study / LOCKS / group
  own.parent.mkdir(parents=True, exist_ok=True)
  taken = lambda: f"{study} is being written by another process ({holders.named(study)})"  # noqa: E731
  trained = lambda: f"{group} of {study} is being written by another process ({holders.text(own) or 'unknown'})"  # noqa: E731
  with _locked(whole, fcntl.LOCK_SH, taken) as shared, _locked(own, fcntl.LOCK_EX, trained, GroupTaken) as file:
    attempt = 1 + max(_last(study, whole), _last(study, own))
    said = _write(file, holders.told(attempt))
    with _marked(study, {own: (file, said), whole: (shared, _share(shared, whole))}):
      yield attempt


def attempt(study: Path) -> int:
  """The highest attempt at which this process holds a lock of `study`; 0 where it holds none."""
  return max((holders.attempt(mark.text) for mark in _marks().get(_key(study), ())), default=0)


def still_there(study: Path) -> Callable[[], None]:
  """A function that checks that `study` is still the same directory and this process its writer; call it before each write.

  It raises `Failure` where the directory was removed, moved or replaced meanwhile, because a write would make a new one;
  and where another process has taken a lock that this one held.
  """
  before = os.stat(study)

  def check() -> None:
    try:
      now = os.stat(study)
    except OSError:
      raise Failure(f"{study} was removed or moved while it was being written; nothing more was written") from None
    if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
      raise Failure(f"{study} was replaced by another directory while it was being written; nothing more was written")
    fence(study)

  return check


def fence(study: Path) -> None:
  """Raises `Failure` where a lock of `study` that this process held is another's now. Without a lock it does nothing."""
  for mark in _marks().get(_key(study), ()):
    found = _said(mark)
    moved = not holders.same(mark.path, os.fstat(mark.file))
    if found != mark.text or moved:
      other = (
        f"another process has taken its place ({found})"
        if found not in ("", mark.text)
        else "the file of its lock was removed, replaced or emptied"
      )
      raise Failure(f"{study}: {other} while this one stood still; this one wrote nothing more")


def remark(study: Path) -> str:
  """What a user should know of this file system's locks; '' where they hold on all machines that can write it."""
  kind = mounts.unsure(study)
  return (
    f"{study} lies on {kind}, where a lock may not hold on other machines: start it from one machine at a time. Of two that "
    "write at once, the one that began later goes on and the other ends"
    if kind
    else ""
  )


# The files


@contextlib.contextmanager
def _locked(path: Path, kind: int, refusal: Callable[[], str], error: type[Taken] = Taken) -> Iterator[int]:
  """The descriptor of a file with an `flock` of this kind on it. Raises `error`, with the text that `refusal` makes."""
  regular(path)
  while True:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
      try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
      except BlockingIOError:
        raise error(refusal()) from None
      except OSError as failure:
        if failure.errno not in UNSUPPORTED:
          raise
        _unless_held(path, refusal, error)
      if holders.same(path, os.fstat(file)):  # else it was removed between the two calls, and locks nobody out
        yield file
        return
    finally:
      os.close(file)


def _unless_held(path: Path, refusal: Callable[[], str], error: type[Taken]) -> None:
  """Where there is no `flock`: raises `error` if a living process of this machine holds the lock by its text."""
  there = holders.of(path)
  if there is not None and there.alive and there.pid != os.getpid():
    raise error(refusal())


@contextlib.contextmanager
def _marked(study: Path, locks: dict[Path, tuple[int, str]]) -> Iterator[None]:
  """This process knows of the locks that it holds."""
  own = [Mark(Path(os.path.abspath(path)), file, text) for path, (file, text) in locks.items()]
  known = _marks().setdefault(_key(study), [])
  known += own
  try:
    yield
  finally:
    for mark in own:
      known.remove(mark)


def _key(study: Path) -> Path:
  return Path(os.path.abspath(study))


def _last(study: Path, lock: Path) -> int:
  """The highest attempt that is known of a lock: from its file or, where that is new or damaged, from the status."""
  said = holders.attempt(holders.text(lock))
  if said:
    return said
  found = [0]
  for name in STATUS:
    with contextlib.suppress(OSError):  # by its text, since it may be damaged too
      found += map(int, re.findall(r'"attempt": (\d{1,15})\b', (study / name).read_text(errors="replace")))
  return max(found)


def _write(file: int, text: str) -> str:
  """Make this line a lock's text, in one call, so that no reader finds it empty; returns it."""
  line = f"{text}\n".encode()
  os.pwrite(file, line, 0)
  os.ftruncate(file, len(line))
  return text


def _share(file: int, lock: Path) -> str:
  """The text of the study's lock while workers share it; all that begin at once write the same."""
  said = holders.text(lock)
  return (
    said
    if SHARED.fullmatch(said)
    else _write(file, f"shared by the workers of locks/, attempt {holders.attempt(said) + 1}")
  )


def _said(mark: Mark) -> str:
  """What stands at a lock's path now; '' where there is no file."""

  def read() -> str:
    file = os.open(mark.path, os.O_RDONLY | os.O_CLOEXEC)  # opened anew: so a network file system asks its server
    try:
      return os.pread(file, 4096, 0).decode("utf-8", "replace").partition("\n")[0]
    finally:
      os.close(file)

  try:
    return patiently(read)
  except PermissionError:  # of CIFS, whose locks keep other descriptors out
    return mark.text if holders.same(mark.path, os.fstat(mark.file)) else ""
  except (FileNotFoundError, NotADirectoryError):
    return ""
