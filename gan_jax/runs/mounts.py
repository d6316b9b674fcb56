"""On which kind of file system a directory lies, as far as locks are concerned. No jax import."""

import os
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.paths import unescaped

TABLE = Path("/proc/self/mountinfo")  # its columns: proc(5)
# `flock` holds on one machine only, or depends on a server's setting that cannot be seen from here.
UNSURE = {"gpfs", "beegfs", "cifs", "smb3", "afs", "fuse", "fuseblk"}
NFS_LOCAL = {"nolock", "local_lock=flock", "local_lock=all"}  # nfs(5): these options keep flock on one machine


class Mount(NamedTuple):
  """A mounted file system."""

  point: str
  kind: str
  options: frozenset[str]


def mounts(text: str) -> list[Mount]:
  """The mounts in a text like that of /proc/self/mountinfo; lines of another form are left out."""
  found = []
  for line in text.splitlines():
    here, separator, there = line.partition(" - ")
    left, right = here.split(" "), there.split(" ")
    if separator and len(left) >= 6 and len(right) >= 3:
      found.append(Mount(unescaped(left[4]), right[0], frozenset([*left[5].split(","), *right[-1].split(",")])))
  return found


def of(path: str, table: list[Mount]) -> Mount | None:
  """The mount on which an absolute path lies: the last one with the longest mount point above it."""
  above = [mount for mount in table if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")]
  return max(enumerate(above), key=lambda one: (len(one[1].point), one[0]))[1] if above else None


def unsure(folder: Path, table: Path = TABLE) -> str:
  """The kind of a folder's file system if `flock` may not hold there between machines; else ''.

  It holds on NFS, whose client asks the server (flock(2)), unless the options in `NFS_LOCAL` say otherwise, and on Lustre
  mounted with `flock`. Where the system has no table of mounts, nothing is known and nothing is said.
  """
  try:
    mount = of(os.path.realpath(folder), mounts(table.read_text(errors="replace")))
  except OSError:
    return ""
  if mount is None:
    return ""
  nfs = mount.kind in ("nfs", "nfs4") and mount.options & NFS_LOCAL
  lustre = mount.kind == "lustre" and "flock" not in mount.options
  return mount.kind if nfs or lustre or mount.kind in UNSURE or mount.kind.startswith("fuse.") else ""
