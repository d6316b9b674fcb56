"""How many cores a process may keep busy: on which it may run, and what its control groups leave it of their time."""

import doctest
import math
import os
import subprocess
import sys

import pytest

from gan_jax.core import cgroups, cores
from gan_jax.launch import shares
from gan_jax.runner import memory
from tests.conftest import ROOT

V2 = "25 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup rw,nsdelegate"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct"
OTHERS = "22 27 0:21 / /proc rw - proc proc rw\n36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
MEMORY = "4:memory:/a\n1:name=systemd:/a"
TOP, OLD = "/sys/fs/cgroup", "/sys/fs/cgroup/cpu"


def older(folder, quota, period=100_000):
  return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


# What /proc/self/cgroup and /proc/self/mountinfo say, the other files, and the limit in cores.
CASES = {
  "no limit": ("0::/", V2, {f"{TOP}/cpu.max": "max 100000\n"}, math.inf),
  "a container": ("0::/", V2, {f"{TOP}/cpu.max": "150000 100000\n"}, 1.5),
  "another period": ("0::/", V2, {f"{TOP}/cpu.max": "150000 50000\n"}, 3.0),
  "the top of a machine has no such file": ("0::/", V2, {}, math.inf),
  "its own group": ("0::/a", V2, {f"{TOP}/a/cpu.max": "200000 100000"}, 2.0),
  "a group above": ("0::/a/b", V2, {f"{TOP}/a/cpu.max": "200000 100000", f"{TOP}/a/b/cpu.max": "max 100000"}, 2.0),
  "the smallest": (
    "0::/a/b/c",
    V2,
    {f"{TOP}/a/cpu.max": "400000 100000", f"{TOP}/a/b/cpu.max": "50000 100000", f"{TOP}/a/b/c/cpu.max": "9 1"},
    0.5,
  ),
  "not of a group beside": ("0::/a", V2, {f"{TOP}/b/cpu.max": "100000 100000"}, math.inf),
  "a container that sees its part of the tree": (
    "0::/docker/x/y",
    V2.replace(" / ", " /docker/x "),
    {f"{TOP}/cpu.max": "300000 100000", f"{TOP}/y/cpu.max": "200000 100000"},
    2.0,
  ),
  "a group outside of what is seen": ("0::/b", V2.replace(" / ", " /a "), {f"{TOP}/cpu.max": "100000 100000"}, 1.0),
  "a group and a folder with a space in their names": (
    "0::/my job/step",
    V2.replace(" / ", r" /my\040job ").replace("cgroup rw", r"my\040cgroup rw", 1),
    {"/sys/fs/my cgroup/step/cpu.max": "100000 100000"},
    1.0,
  ),
  "version 1": (f"{MEMORY}\n2:cpu,cpuacct:/a", V1, older(f"{OLD}/a", 250_000), 2.5),
  "version 1, no limit": (f"{MEMORY}\n2:cpu,cpuacct:/a", V1, older(OLD, -1) | older(f"{OLD}/a", -1), math.inf),
  "version 1, a group above": ("2:cpu:/a/b", V1, older(f"{OLD}/a", 100_000) | older(f"{OLD}/a/b", -1), 1.0),
  "both versions, the time by the first": ("2:cpu:/a\n0::/", f"{V1}\n{V2}/unified", older(f"{OLD}/a", 100_000), 1.0),
  "one file of two": ("2:cpu:/", V1, {f"{OLD}/cpu.cfs_quota_us": "100000"}, math.inf),
  "of memory alone": (MEMORY, V1, older(f"{OLD}/a", 100_000), math.inf),
  "no word": ("0::/", V2, {f"{TOP}/cpu.max": ""}, math.inf),
  "a period of none": ("0::/", V2, {f"{TOP}/cpu.max": "100000 0"}, math.inf),
  "lines of another form": ("\nnothing", "nothing\n - \n", {}, math.inf),
}


@pytest.mark.parametrize("case", CASES)
def test_the_limit_is_the_smallest_of_the_groups(case):
  groups, mounts, others, expected = CASES[case]
  files = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": f"{OTHERS}\n{mounts}", **others}

  def read(path):
    if str(path) not in files:
      raise FileNotFoundError(path)
    return files[str(path)]

  assert cores.quota(read) == expected


def test_where_nothing_can_be_read_there_is_no_limit():
  def read(path):
    raise PermissionError(path)

  assert cores.quota(read) == cgroups.memory(read) == math.inf


@pytest.mark.parametrize(
  ("groups", "mounts", "files", "expected"),
  [
    ("0::/", V2, {f"{TOP}/memory.max": "max\n"}, math.inf),
    ("0::/", V2, {f"{TOP}/memory.max": "2147483648\n"}, 2**31),
    # A job of Slurm, whose step may have more than the job.
    (
      "0::/slurm/job_7/step_0",
      V2,
      {f"{TOP}/slurm/job_7/memory.max": "3000", f"{TOP}/slurm/job_7/step_0/memory.max": "8000"},
      3000,
    ),
    ("4:memory:/a\n2:cpu:/", OTHERS, {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "5000\n"}, 5000),
    ("4:memory:/\n2:cpu:/a", f"{OTHERS}\n{V1}", {f"{OLD}/a/memory.limit_in_bytes": "5000\n"}, math.inf),
  ],
)
def test_the_limit_on_memory_is_the_smallest_of_the_groups(groups, mounts, files, expected):
  there = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts, **files}

  def read(path):
    if str(path) not in there:
      raise FileNotFoundError(path)
    return there[str(path)]

  assert cgroups.memory(read) == expected


def test_a_study_has_the_memory_that_its_groups_leave_it(monkeypatch):
  monkeypatch.setattr(cgroups, "memory", lambda: 4096.0)
  assert memory.available() == 4096
  monkeypatch.setenv(memory.WORKERS, "2")
  assert memory.available() == 2048


def test_the_nearest_number_at_least_one_and_no_more_than_there_are():
  assert doctest.testmod(cores) == (0, 1)


def test_a_process_counts_the_cores_that_its_limit_leaves(monkeypatch):
  monkeypatch.delenv(cores.MOST, raising=False)
  monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
  monkeypatch.setattr(cores, "quota", lambda: 6.4)
  assert cores.count() == 6
  first, second = shares.shares(2, cores.numbers(), [], quota=cores.quota())
  assert [len(one[shares.CORES].split(",")) for one in (first, second)] == [32, 32]  # they run where there is room
  for text, expected in ((second[cores.MOST], 3), ("8", 6), ("many", 6)):
    monkeypatch.setenv(cores.MOST, text)
    assert cores.count() == expected
  (alone,) = shares.shares(1, cores.numbers(), [], quota=math.inf)
  assert cores.MOST not in alone
  assert shares.shares(8, cores.numbers(), [], quota=6.4)[0][cores.MOST] == "1"


LIMITED = """
import json, os, sys
os.sched_getaffinity = lambda pid: set(range(4))
from gan_jax.core import cores
from gan_jax.runner import devices
cores.quota = lambda: 2.0
if sys.argv[2] == "used before":
  import jax
  jax.numpy.zeros(1)
devices.configure(1, json.loads(sys.argv[1]))
print(json.dumps([devices.layout()[name] for name in ("devices", "cores")]))
"""


@pytest.mark.parametrize(
  ("recorded", "before", "expected"),
  [
    ("null", "", "[2, 2]"),
    ('{"backend": "cpu", "devices": 4, "cores": 4}', "", "[4, 4]"),  # begun by a version that knew no limits
    ("null", "used before", "[1, 4]"),  # XLA has counted by itself
  ],
)
def test_a_new_study_is_laid_out_for_its_limit_and_a_begun_one_stays_as_it_was(recorded, before, expected, tmp_path):
  env = {k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "NPROC", "XLA_FLAGS", cores.MOST)}
  env |= {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)}
  arguments = [sys.executable, "-c", LIMITED, recorded, before]
  done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == expected
