"""The control groups of this process, by which Linux limits what it may use: a container's, a Slurm job's. No jax import."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from gan_jax.core.paths import unescaped

Read = Callable[[PurePosixPath], str]  # the text of a file; raises OSError where it cannot be read


def text(path: PurePosixPath) -> str:
  return Path(path).read_text(errors="replace")


def folders(read: Read, controller: str) -> Iterator[PurePosixPath]:
  """Folders of the groups that limit this process by a controller ("cpu", "memory"): its own, and those in which that lies.

  `/proc/self/cgroup` says in which group it is ("0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1), and
  `/proc/self/mountinfo` where the folders of the groups are: of the whole tree, or from a container's group downwards.
  """
  own: dict[str, str] = {}
  for line in _lines(read, "/proc/self/cgroup"):
    number, controllers, path = (*line.split(":", 2), "", "")[:3]
    if number == "0" or controller in controllers.split(","):
      own["cgroup2" if number == "0" else "cgroup"] = path
  for line in _lines(read, "/proc/self/mountinfo"):
    # 31 23 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
    with contextlib.suppress(KeyError, ValueError):  # of something else, or its part of the tree has not this group
      mount, system = line.split(" - ")
      root, top = map(unescaped, mount.split(" ")[3:5])
      group, folder = PurePosixPath(own[system.split(" ")[0]]), PurePosixPath(top)
      yield folder
      for part in group.relative_to(root).parts:
        folder /= part
        yield folder


def memory(read: Read = text) -> float:
  """The limit on this process's memory, in bytes: the smallest one of its groups. Infinite where there is none."""
  found = math.inf
  for folder in folders(read, "memory"):
    for name in ("memory.max", "memory.limit_in_bytes"):  # of version 2, which may say "max", and of version 1
      with contextlib.suppress(OSError, ValueError):
        found = min(found, int(read(folder / name)))
  return found


def _lines(read: Read, path: str) -> list[str]:
  with contextlib.suppress(OSError):
    return read(PurePosixPath(path)).splitlines()
  return []
