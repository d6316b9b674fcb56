"""The part of a machine that each of several workers has: cores, GPUs, memory. No jax import.

The bits of a run depend on the cores and devices of the process that trains it, so each worker has equally many.
"""

import contextlib
import math
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from gan_jax.core.cores import MOST, limited

CORES, WORKERS = "GAN_JAX_CORES", "GAN_JAX_WORKERS"  # core numbers, joined by commas; how many share the memory
VISIBLE, FRACTION = "CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION"
USED = 0.9  # of a GPU's memory, by all workers on it together
PATIENCE = 20  # seconds for the driver to list its GPUs


def gpus(environment: Mapping[str, str]) -> list[str]:
  """The GPUs that CUDA would give this process, as `CUDA_VISIBLE_DEVICES` names them; none where jax is to use no GPU."""
  if environment.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu"):
    return []
  if VISIBLE in environment:
    return [name.strip() for name in environment[VISIBLE].split(",") if name.strip() not in ("", "-1")]
  if shutil.which("nvidia-smi") is None:
    return []
  listed = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
  with contextlib.suppress(OSError, subprocess.SubprocessError):
    found = subprocess.run(listed, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    return [line.strip() for line in found.splitlines() if line.strip()]
  return []


def shares(
  workers: int, cores: Sequence[int], gpus: Sequence[str], fraction: bool = True, quota: float = math.inf
) -> list[dict[str, str]]:
  """What is added to the environment of each worker.

  Args:
    workers: how many there are.
    cores, gpus: to be divided. Each worker has equally many; where there are fewer than workers, one, which it shares.
    fraction: whether workers on one GPU get a part of its memory; otherwise the user says how much each gets.
    quota: limit on the time of all workers, in cores (core/cores.py). Each counts its part of it, at least one core, and
      may still run on its part of all cores: other containers on this machine would choose the first few of them too.

  >>> shares(2, [0, 1, 2, 3, 4], [])
  [{'GAN_JAX_CORES': '0,1', 'GAN_JAX_WORKERS': '2'}, {'GAN_JAX_CORES': '2,3', 'GAN_JAX_WORKERS': '2'}]
  """
  found = []
  for number in range(workers):
    own = {CORES: ",".join(map(str, _part(cores, number, workers))), WORKERS: str(workers)}
    if quota < len(cores):
      own[MOST] = str(limited(len(cores), quota / workers))
    if gpus:
      own[VISIBLE] = ",".join(_part(gpus, number, workers))
      on_one = -(-workers // len(gpus))
      if on_one > 1 and fraction:
        own[FRACTION] = f"{USED / on_one:.3f}"
    found.append(own)
  return found


def _part(things: Sequence, number: int, workers: int) -> Sequence:
  each = len(things) // workers
  return things[number * each : (number + 1) * each] if each else [things[number % len(things)]]


def take(environment: Mapping[str, str]) -> None:
  """Keep to the cores that a launcher gave this process; to be called before jax is imported, which counts them."""
  given = environment.get(CORES)
  if given and hasattr(os, "sched_setaffinity"):
    with contextlib.suppress(OSError, ValueError):  # not this machine's: the launcher runs on another one
      os.sched_setaffinity(0, [int(number) for number in given.split(",")])
