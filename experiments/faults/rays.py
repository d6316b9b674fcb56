"""A study on a Ray of this machine whose launcher is killed again and again, and its workers and Ray's own processes too."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gan_jax.core.errors import BadInput
from gan_jax.launch import ray

from . import bench
from .bench import Bench, Row

FAULT = "launcher killed on Ray"
# 24 runs in 6 groups.
CONFIG = """\"\"\"A study to be disturbed on Ray.\"\"\"


def get_config():
  return {
    "dataset": "ring",
    "model_options": {"generator_width": 16, "discriminator_width": 16, "depth": 1},
    "latent_size": 2, "batch_size": 16, "steps": 6000, "probe_every": 20, "evaluate_every": 1000,
    "checkpoint_every": 1000, "evaluation_samples": 200, "most_members": 4,
  }


def sweep(s):
  return s.product(s.param("loss", ["non_saturating", "hinge", "wasserstein"]), s.param("seed", range(8)))
"""
FLAGS = ("--launcher=ray", "--workers=2")
LONGEST = 25.0  # seconds that a launcher lives with its workers, at most: Ray needs some of them to start
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
  config = made.folder / "rays.py"
  config.write_text(CONFIG)
  whole, study = (made.folder / f"ray-{name}" / "study" for name in ("whole", "killed"))
  # Undisturbed it is trained by processes of this machine, which have the same cores: Ray changes no bit.
  ended = bench.finish(bench.launch(made, whole, "--workers=2", config=config))
  if ended.code:
    return [Row(FAULT, 1, 0, f"the undisturbed study ended with code {ended.code}: {ended.error.strip()[-160:]}")]
  undisturbed = made._replace(whole=whole, config=config)
  killed, done = 0, []
  for _ in range(3 * count):
    if killed == count:
      break
    launch = bench.launch(undisturbed, study, *FLAGS)
    for_a_while = made.random.uniform(0, LONGEST), made.random.uniform(0, LONGEST / 4)
    if lasts(launch, for_a_while[0]):
      done.append(disturbed(made, launch.process.pid))
      lasts(launch, for_a_while[1])
    launch.process.kill()
    killed += bench.finish(launch).code == -signal.SIGKILL
    made.say(f"launcher killed {killed} of {count}; before it, one of the {done[-1] if done else 'none'}")
  for _ in range(MORE):
    ended = bench.finish(bench.launch(undisturbed, study, *FLAGS))
    if ended.code == 0:
      break
  reason = bench.wrong(undisturbed, study, ended)
  faults = ", ".join(f"{done.count(name)} {name}" for name in OTHERS.values() if name in done)
  return [Row(FAULT, killed, 0 if reason else killed, reason or f"the same tables and bytes; also killed: {faults}")]


def lasts(launch: bench.Launch, seconds: float) -> bool:
  """Whether a launcher still runs after so many seconds."""
  end = time.monotonic() + seconds
  return bench.until(launch, lambda: time.monotonic() > end)


def disturbed(made: Bench, launcher: int) -> str:
  """SIGKILL one of the processes that a launcher started, of a kind drawn first; returns its kind, '' for none."""
  kinds: dict[str, list[int]] = {}
  for pid in below(launcher):
    with contextlib.suppress(OSError):
      words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
      kind = next((name for word, name in OTHERS.items() if word in words), "")
      kinds.setdefault(kind, []).append(pid)
  kinds.pop("", None)
  if not kinds:
    return ""
  kind = made.random.choice(sorted(kinds))
  with contextlib.suppress(ProcessLookupError):
    os.kill(made.random.choice(kinds[kind]), signal.SIGKILL)
  return kind


def below(pid: int) -> Iterator[int]:
  """The processes that a process started, and those that these started, and so on."""
  parents: dict[int, list[int]] = {}
  for path in Path("/proc").glob("[0-9]*/stat"):
    with contextlib.suppress(OSError, ValueError, IndexError):
      parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
  children: Callable[[int], list[int]] = lambda one: parents.get(one, [])  # noqa: E731
  left = children(pid)
  while left:
    yield (found := left.pop())
    left += children(found)
