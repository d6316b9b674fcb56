"""Faults within a process, for machines where neither strace nor mounting works: put before a command of Python.

    NAME K FOLDER -m gan_jax.commands sweep ...

From the K-th operation of Python below FOLDER on that writes, each raises the OSError of that name (ENOSPC, EROFS).
"""

import builtins
import errno
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def operations(folder: Path, at: Callable[[int, str], object]) -> list[int]:
  """From now on, call `at(number, path)` before each rename, fsync, mkdir and open for writing below a folder.

  Returns their number, in a list that is updated.
  """
  below, count = os.path.realpath(folder), [0]

  def counted(path: Any) -> None:
    text = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.path.realpath(os.fspath(path))
    if str(text).startswith(below):
      count[0] += 1
      at(count[0], str(text))

  def wrapped(function: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
    def call(path: Any, *arguments: Any, **named: Any) -> Any:
      if writes(*arguments, **named):
        counted(path)
      return function(path, *arguments, **named)

    return call

  def always(*arguments: Any, **named: Any) -> bool:
    return True

  def for_writing(mode: str = "r", *arguments: Any, **named: Any) -> bool:
    return any(letter in mode for letter in "wax+")

  for name in ("rename", "replace", "mkdir", "fsync"):
    setattr(os, name, wrapped(getattr(os, name), always))
  os.open = wrapped(os.open, lambda flags=0, *a, **k: bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
  builtins.open = wrapped(builtins.open, for_writing)
  return count


def main(arguments: list[str]) -> None:
  number, first, folder = getattr(errno, arguments[0]), int(arguments[1]), Path(arguments[2])

  def fail(at: int, path: str) -> None:
    if at >= first:
      raise OSError(number, os.strerror(number), path)

  operations(folder, fail)
  if arguments[3] == "-m":
    sys.argv = arguments[4:]
    runpy.run_module(arguments[4], run_name="__main__", alter_sys=True)
  else:
    sys.argv = arguments[3:]
    runpy.run_path(arguments[3], run_name="__main__")
