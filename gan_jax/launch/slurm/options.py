"""What a study's jobs ask Slurm for, and whether this cluster would take them. No jax import.

`--slurm.NAME=VALUE` is `sbatch --NAME=VALUE`, for every option of sbatch that does not break the launcher; a few more
belong to the launcher itself (`OWN`).
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.core import files
from gan_jax.core.errors import BadInput, shown, unknown

PREFIX = "--slurm."
HOURS = 4  # time limit of a job, unless one is asked for; sbatch's default is the partition's, which may be without end
PATIENCE = 60.0  # seconds that a command of Slurm may take
# Options that the launcher sets itself, or under which a job could not do its work.
TAKEN = {
  "array": "every group is one task of an array",
  "chdir": "jobs run in the launcher's folder",
  "error": "what a job prints is in the study's folder",
  "job-name": "the launcher finds its jobs by their names",
  "no-requeue": "a job that was pre-empted is queued again",
  "nodes": "a group is one process; several of them are in gan_jax/runner/README.md",
  "ntasks": "a group is one process; several of them are in gan_jax/runner/README.md",
  "open-mode": "what a job prints is appended",
  "output": "what a job prints is in the study's folder",
  "requeue": "it is always set",
  "signal": "--slurm.signal-delay=SECONDS says how long before its time limit a job saves",
  "test-only": "--dry-run shows the plan",
  "wait": "the launcher waits, or with --detach does not",
  "wrap": "the launcher says what a job runs",
}


class Options(NamedTuple):
  """What every job asks for.

  `array_parallelism` and `setup` are submitit's names, `signal_delay` nearly.
  """

  sbatch: Mapping[str, str | bool]  # sbatch's options by their long names
  array_parallelism: int = 1000  # tasks of one array that run at a time, at most
  signal_delay: int = 120  # seconds before its time limit at which a job saves and is queued again
  poll: int = 15  # seconds between two looks at the queue, at most: soon after something changed it is looked at sooner
  setup: str = ""  # a line of bash before the job's command, such as `module load cuda`


OWN = {"array-parallelism": (1, 100_000), "signal-delay": (1, 65_535), "poll": (1, 3600)}


def read(flags: Sequence[str]) -> Options:
  """The options of `--slurm.NAME=VALUE` (`--slurm.exclusive`, without a value, for a switch), the last one counts.

  `--slurm.file=FILE.json` reads a mapping of names to values; what the command line says goes before.

  >>> read(["--slurm.partition=gpu", "--slurm.gpus_per_task=1"]).sbatch
  {'time': '4:00:00', 'partition': 'gpu', 'gpus-per-task': '1'}

  Raises:
    BadInput: an option that is not for the user to set, a value that cannot be one, or a file that cannot be read.
  """
  given: dict[str, str | bool] = {}
  for flag in flags:
    name, equals, value = flag.removeprefix(PREFIX).partition("=")
    given[_named(name)] = value if equals else True
  if path := given.pop("file", None):
    given = _file(str(path)) | given
  for name, asked in given.items():
    if name in TAKEN and not (name in ("nodes", "ntasks") and asked == "1"):
      raise BadInput(f"{PREFIX}{name} is not yours to set: {TAKEN[name]}")
    if asked is not True and (not str(asked).isprintable() or not str(asked)):
      raise BadInput(f"{PREFIX}{name} expected a value of printable characters, got {shown(asked)}")
  own = {name.replace("-", "_"): _whole(name, given.pop(name)) for name in OWN if name in given}
  setup = given.pop("setup", "")
  found = Options({"time": f"{HOURS}:00:00"} | given, setup="" if setup is True else str(setup), **own)
  if 0 < seconds(str(found.sbatch["time"])) <= found.signal_delay:
    raise BadInput(
      f"{PREFIX}time expected more than {PREFIX}signal-delay, the {found.signal_delay} seconds before its end in which a "
      f"job saves, got {shown(found.sbatch['time'])}"
    )
  return found


def seconds(time: str) -> int:
  """A time limit as sbatch reads it, in seconds; 0 where it is none.

  >>> [seconds(text) for text in ("90", "1:30", "2:00:00", "1-12", "1-0:30", "soon")]
  [5400, 90, 7200, 129600, 88200, 0]
  """
  found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time)
  if not found:
    return 0
  days, *given = found.groups()
  parts = [int(part) for part in given if part is not None]
  if days is None and len(parts) < 3:  # minutes, or minutes:seconds
    parts = [0, *parts]
  hours, minutes, rest = (*parts, 0, 0)[:3]
  return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + rest


def _named(text: str) -> str:
  name = text.replace("_", "-")
  if not re.fullmatch(r"[a-z][a-z-]{0,40}", name):
    raise BadInput(f"{PREFIX}NAME expected a long option of sbatch, such as partition, got {shown(text)}")
  return name


def _file(path: str) -> dict[str, str | bool]:
  found = files.read_json(Path(path).expanduser())
  if not isinstance(found, dict) or not all(isinstance(value, str | int | float) for value in found.values()):
    raise BadInput(f"{path} expected a mapping of sbatch's options to texts and numbers, got {shown(found)}")
  return {_named(name): value if value is True else str(value) for name, value in found.items() if value is not False}


def _whole(name: str, value: str | bool) -> int:
  least, most = OWN[name]
  if not re.fullmatch(r"\d{1,9}", str(value)) or not least <= int(value) <= most:
    raise BadInput(f"{PREFIX}{name} expected a whole number from {least} to {most}, got {shown(value)}")
  return int(value)


def flag(name: str, value: str | bool) -> str:
  return f"--{name}" if value is True else f"--{name}={value}"


def call(*command: str) -> subprocess.CompletedProcess[str]:
  """One of Slurm's commands; it never raises: where it cannot be called, or does not answer, its code is 1."""
  try:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
  except (OSError, subprocess.TimeoutExpired) as error:
    return subprocess.CompletedProcess(command, 1, "", str(error))


def check(options: Options) -> str:
  """Ask the cluster whether it would take such a job; nothing is submitted. Returns a remark, or ''.

  Raises:
    BadInput: there is no Slurm here, or no submitit, or the cluster refuses; its reason is quoted.
  """
  for name in ("sbatch", "squeue", "scontrol", "srun"):
    if shutil.which(name) is None:
      raise BadInput(f"--launcher=slurm expected Slurm's commands on this machine, found no {name}")
  try:
    import submitit  # noqa: F401
  except ImportError as error:
    raise BadInput(f"--launcher=slurm expected the package submitit: pip install submitit ({error})") from error
  asked = call("sbatch", "--test-only", *(flag(*item) for item in options.sbatch.items()), "--wrap=true")
  if not asked.returncode:
    return ""
  reason = said(asked.stderr)
  if "node configuration is not available" in reason and _down(options):
    return "no node that these jobs could run on is up now: they wait in the queue"
  wanted = options.sbatch.get("partition")
  if wanted and "partition" in reason.lower():
    known = call("sinfo", "--noheader", "--format=%R").stdout.split()
    reason += f"; {unknown('partition', str(wanted), sorted(set(known)))}"
  raise BadInput(f"Slurm would not take these jobs ({' '.join(flag(*i) for i in options.sbatch.items())}): {reason}")


def said(text: str) -> str:
  """What Slurm answered, without its prefixes: `sbatch: error: Invalid --time specification` -> `Invalid ...`."""
  lines = [re.sub(r"^(\w+: )?(error: |fatal: )|^allocation failure: ", "", line.strip()) for line in text.splitlines()]
  return "; ".join(dict.fromkeys(line for line in lines if line)) or "it did not say why"


def _down(options: Options) -> bool:
  """Whether all nodes of the partition are down or drained: that ends by itself, and `sbatch` takes jobs meanwhile."""
  where = [f"--partition={options.sbatch['partition']}"] if "partition" in options.sbatch else []
  states = call("sinfo", "--noheader", "--format=%T", *where).stdout.split()
  return bool(states) and all(re.match(r"down|drain|fail|maint|reboot|unknown|power", state) for state in states)
