"""A study on a Ray of this machine whose launcher is killed again and again, and its workers and Ray's own processes too."""

import contextlib
import os
import signal
import time
from pathlib import Path

from gan_jax.core.errors import BadInput
from gan_jax.launch import ray

from . import bench, configs, launcher
from .bench import Bench, Row

FAULT = "launcher killed on Ray"
FLAGS = ("--launcher=ray", "--workers=2")
LONGEST = 12.0  # seconds until something is killed, at most, and from then until the launcher is
LOOK = 0.5  # seconds between two looks at all processes
MORE = 2  # launches after the last kill
# What else is killed, by a word of its command line, and what it is called.
OTHERS = {
  "--only": "workers",
  "ray::": "workers of Ray",
  "raylet/raylet": "raylets",
  "gcs/gcs_server": "head services",
  "ray_client": "processes that speak to Ray",
}


def refused() -> str:
  """Why no study can be launched on Ray here; '' where it can."""
  if not Path("/proc/self/stat").exists():
    return "no /proc, in which the processes of Ray are found"
  try:
    ray.check(ray.Options())
  except BadInput as error:
    return str(error)
  return ""


def launchers(made: Bench, count: int) -> list[Row]:
  """SIGKILL a study's launcher `count` times, and before each time something that it started; then let it finish."""
  # Undisturbed it is trained by processes of this machine, which have the same cores: Ray changes no bit.
  undisturbed = launcher.undisturbed(made, FAULT, "ray", configs.LONG_FLEET, "--workers=2")
  if isinstance(undisturbed, Row):
    return [undisturbed]
  study = made.folder / "ray-killed" / "study"
  killed, done = 0, []
  for _ in range(3 * count):
    if killed == count:
      break
    launch = bench.launch(undisturbed, study, *FLAGS)
    if killed % 2:
      trains(launch)
    if bench.lasts(launch, made.random.uniform(0, LONGEST)):
      done.append(disturbed(made, launch.process.pid))
      bench.lasts(launch, made.random.uniform(0, LONGEST))
    launch.process.kill()
    killed += bench.finish(launch).code == -signal.SIGKILL
    made.say(f"launcher killed {killed} of {count}; before it, of what it started: {done[-1] if done else ''}")
  for _ in range(MORE):
    ended = bench.finish(bench.launch(undisturbed, study, *FLAGS))
    if ended.code == 0:
      break
  reason = bench.wrong(undisturbed, study, ended)
  faults = ", ".join(f"{done.count(name)} {name}" for name in OTHERS.values() if name in done)
  return [Row(FAULT, killed, 0 if reason else killed, reason or f"the same tables and bytes; also killed: {faults}")]


def trains(launch: bench.Launch) -> None:
  """Wait until a launcher has a worker that trains a group, or has ended."""
  while launch.process.poll() is None:
    if any("--only\0group-" in words for words in below(launch.process.pid).values()):
      return
    time.sleep(LOOK)


def disturbed(made: Bench, launcher: int) -> str:
  """SIGKILL one of the processes that a launcher started, of a kind drawn first; returns its kind, '' for none."""
  kinds: dict[str, list[int]] = {}
  for pid, words in below(launcher).items():
    kinds.setdefault(next((name for word, name in OTHERS.items() if word in words), ""), []).append(pid)
  kinds.pop("", None)
  if not kinds:
    return ""
  kind = made.random.choice(sorted(kinds))
  with contextlib.suppress(ProcessLookupError):
    os.kill(made.random.choice(kinds[kind]), signal.SIGKILL)
  return kind


def below(launcher: int) -> dict[int, str]:
  """The command lines, with NUL between their words, of all that a process started, and these, and so on."""
  parents: dict[int, list[int]] = {}
  for path in Path("/proc").glob("[0-9]*/stat"):
    with contextlib.suppress(OSError):
      parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
  found, left = {}, list(parents.get(launcher, ()))
  while left:
    pid = left.pop()
    with contextlib.suppress(OSError):
      found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    left += parents.get(pid, ())
  return found
