"""Slurm's queue, as `squeue` tells it. No jax import.

`sacct` knows more and for longer, but needs a database that many clusters do not have. `squeue` forgets a job some
minutes after its end (MinJobAge), so how a worker ended is also written down by the job itself (job.py).
"""

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from gan_jax.launch import tasks
from gan_jax.launch.slurm.options import call

FIELDS = "Name:|,JobArrayID:|,State:|,exit_code:|,Reason:|,RestartCnt:|"
ENDED = {  # states in which a job no longer runs and will not run again -> the cause, where it says one
  "BOOT_FAIL": tasks.KILLED,
  "CANCELLED": tasks.CANCELLED,
  "COMPLETED": "",
  "DEADLINE": tasks.KILLED,
  "FAILED": "",
  "NODE_FAIL": tasks.KILLED,
  "OUT_OF_MEMORY": tasks.MEMORY,
  "PREEMPTED": tasks.PREEMPTED,
  "REVOKED": tasks.KILLED,
  "TIMEOUT": tasks.HUNG,  # it was asked to save before, and did not
}


class Job(NamedTuple):
  """A job, or one task of an array, in the queue."""

  name: str
  number: str  # '17', or '17_3' for a task of an array
  state: str
  code: int  # the exit code; negative: the signal that ended it
  reason: str  # why it waits, or why it ended
  restarts: int  # how often it was put back into the queue

  @property
  def ended(self) -> bool:
    return self.state in ENDED


def jobs(names: Iterable[str]) -> dict[str, Job] | None:
  """This user's jobs of these names by their numbers, ended ones included; None where Slurm does not answer now."""
  asked = call(
    "squeue",
    "--array",
    "--states=all",
    "--noheader",
    f"--user={os.getuid()}",
    f"--name={','.join(names)}",
    "-O",
    FIELDS,
  )
  if asked.returncode:
    return None
  found = [line.strip().split("|") for line in asked.stdout.splitlines()]
  read = [Job(a, b, c, _code(d), e, _number(f)) for a, b, c, d, e, f, *_ in (line for line in found if len(line) > 5)]
  return {job.number: job for job in read}


def largest(default: int) -> int:
  """Of this cluster, one more than the greatest index of an array."""
  found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config").stdout, re.M)
  return int(found[1]) if found and int(found[1]) > 1 else default


def _code(status: str) -> int:
  """Of what `wait` gives: 768 -> 3, 9 -> -9."""
  number = _number(status)
  return number >> 8 if number >> 8 else -(number & 127)


def _number(text: str) -> int:
  return int(text) if text.isdecimal() else 0
