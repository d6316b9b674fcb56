"""How many cores this process may keep busy. No jax import.

Two things decide: on which cores it may run, and how much processor time it gets. A container with a limit on its time
(`docker run --cpus 2`, a limit in Kubernetes) may run on every core of its machine, but once its threads have used the
time of a period, all of them wait for the next one. More threads than the limit leaves time for make a program slower.
Steps a second of a DCGAN 28 x 28 of width 32, and of four, with the time of half a core, laid out for so many cores:

| | 1 | 2 | 16 | 64 |
|---|--:|--:|--:|--:|
| one | 17.8 | 15.6 | 10.8 | 10.7 |
| four | 4.7 | 3.9 | 3.3 | 2.6 |
"""

import contextlib
import math
import os
from pathlib import PurePosixPath

from gan_jax.core import cgroups
from gan_jax.core.cgroups import Read

MOST = "GAN_JAX_MOST_CORES"  # by a launcher: the part of a limit on time that one of several workers has


def count() -> int:
  """The number of cores that this process may keep busy."""
  part = math.inf
  with contextlib.suppress(KeyError, ValueError):
    part = int(os.environ[MOST])
  return limited(len(numbers()), min(part, quota()))


def numbers() -> list[int]:
  """The numbers of the cores on which this process may run."""
  return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def limited(cores: int, quota: float) -> int:
  """Of `cores`, as many as the time of `quota` cores keeps busy: to the nearest number, at least one.

  >>> limited(64, 2.4), limited(64, 2.5), limited(2, 8.0), limited(64, 0.1), limited(64, math.inf)
  (2, 3, 2, 1, 64)
  """
  return max(1, int(min(cores, quota) + 0.5))


def quota(read: Read = cgroups.text) -> float:
  """The limit on this process's time, in cores: the smallest one of its control groups. Infinite where there is none."""
  return min((limit(read, group) for group in cgroups.folders(read, "cpu")), default=math.inf)


def limit(read: Read, group: PurePosixPath) -> float:
  """Of one control group, in cores: time over the length of the period in which it may be used, in microseconds.

  Version 2 has both in `cpu.max` ("150000 100000", or "max 100000" for no limit), version 1 in two files (-1: no limit).
  """
  for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
    with contextlib.suppress(OSError, ValueError):
      time, period = (int(word) for name in names for word in read(group / name).split())
      if time > 0 and period > 0:
        return time / period
  return math.inf
