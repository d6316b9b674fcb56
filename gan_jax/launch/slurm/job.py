"""What runs in a job of Slurm: a script around one worker. No jax import.

Slurm asks a job to end with SIGTERM where it pre-empts it, and with SIGUSR2 before its time limit. The worker gets these
signals itself, since it takes the place of the process that submitit started; it saves and exits with 75. Then the last
lines of the script put the job back into the queue.

submitit's own way would not do: it ignores SIGTERM, a job that is asked to end before Python has started is lost, and a
callable that puts itself back does so also after `scancel`.
"""

import datetime
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from gan_jax.core import files
from gan_jax.core.errors import BadInput, plural

BEGIN = """
outcome={folder}/${{SLURM_ARRAY_TASK_ID:-0}}.json
note() {{
  printf '{{"job": "%s", "host": "%s"%s}}\\n' "$SLURM_JOB_ID" "$(hostname)" "$1" >"$outcome.tmp"
  mv "$outcome.tmp" "$outcome"
}}
note ''
"""
# 75: it has saved. 143 and 140: SIGTERM or SIGUSR2 came before the worker could react, and nothing is lost.
# A job that was cancelled, or that somebody else has put back, is no longer RUNNING. For the moment in which Slurm sends
# it a signal it is SIGNALING instead. A task of an array is named by array and index: its own number may be that of the
# whole array.
END = """
code=$?
note ", \\"code\\": $code"
job=$SLURM_JOB_ID
if [ -n "$SLURM_ARRAY_TASK_ID" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
case $code in 75 | 140 | 143)
  for pause in 1 5 15; do
    state=$(scontrol --oneliner show job "$job") && { [[ $state =~ JobState=(RUNNING|SIGNALING) ]] || break; } &&
      scontrol requeue "$job" && break
    sleep $pause
  done
esac
exit $code
"""


class Job(NamedTuple):
  """The callable that submitit stores in a pickle and calls in the job. It holds a command line and no data of a run."""

  command: tuple[str, ...]
  log: str  # where the worker's output is appended

  def __call__(self) -> NoReturn:
    """Become the worker."""
    for stream in (sys.stdout, sys.stderr):
      stream.flush()
    log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.write(log, heading(self.log, self.command).encode())
    os.execvp(self.command[0], self.command)

  def checkpoint(self) -> Any:
    """Called by submitit for a SIGUSR2 that comes before `__call__`: the same again."""
    from submitit.helpers import DelayedSubmission

    again: Any = self
    return DelayedSubmission(again)


def heading(log: str, command: Sequence[str]) -> str:
  """What stands above a worker's output where Slurm starts its job again; '' the first time: the launcher has written it."""
  restarts = os.environ.get("SLURM_RESTART_COUNT", "")
  if not restarts.isdecimal() or restarts == "0":
    return ""
  now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  title = f"{Path(log).stem}, put back into the queue {plural(int(restarts), 'time')}"
  return f"--- {title}, {now}, on {os.uname().nodename}: {shlex.join(command)}\n"


def script(folder: Path, setup: str) -> tuple[list[str], list[str]]:
  """The lines of bash before and after the worker; `setup` is the user's own line.

  They write how the worker ended to FOLDER/<index of the group>.json, before the job is put back.
  """
  begin = BEGIN.format(folder=shlex.quote(str(folder)))
  return [*begin.strip().splitlines(), *filter(None, [setup])], END.strip().splitlines()


def outcome(folder: Path, index: int) -> Mapping[str, Any]:
  """What a job has written about its worker: `code` is missing where it did not come so far; {} where nothing is known."""
  try:
    found = files.read_json(folder / f"{index}.json")
  except (BadInput, OSError):
    return {}
  fine = isinstance(found, dict) and type(found.get("code", 0)) is int
  return found if fine else {}
