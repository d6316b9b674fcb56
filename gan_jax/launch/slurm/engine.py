"""Tasks as jobs of Slurm: an array for each submission, a task of it for each group of the study. No jax import.

What was submitted is written to the study's `launch/slurm/`, so a launcher that is started again finds its jobs:

    <token>/submission.json     the groups in the order of the array, the jobs' name, their numbers once Slurm gave them
    <token>/<index>.json        how the worker of this group ended, written by its job
    <token>/...                 submitit's own: the job's script, a pickle of the command line, what the job printed

The folder has mode 0700, because whoever can write a pickle runs code as the one who reads it. This launcher reads none.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.core import files
from gan_jax.core.errors import BadInput, Failure, plural
from gan_jax.launch import tasks
from gan_jax.launch.slurm import job, options, queue
from gan_jax.runs import tries

SUBMISSION = "submission.json"
LARGEST = 1001  # Slurm's default for MaxArraySize, which no index of an array reaches
FIRST, MORE = 1.0, 1.5  # seconds before the next look at the queue when something has changed, and how they then grow
TIMEOUTS = 10**6  # how often submitit may put a job back; what limits it is the driver's policy
RESTARTS = 3  # of a job without a new checkpoint, after which there is a warning
WORDS = 2000  # bytes of what a job printed that are kept where its worker said nothing


class Submitted(NamedTuple):
  """A task that was given to Slurm."""

  number: str  # of its job: '17', or '17_3'
  name: str  # of its job
  folder: Path  # of the submission
  place: int  # of the group in it, from 0 on
  log: Path  # of the worker


class Slurm:
  """An `Engine` (tasks.py) of jobs of Slurm. A new one finds the jobs that an earlier launcher submitted.

  Raises:
    Failure: Slurm does not say which jobs there are; nothing was submitted.
  """

  def __init__(self, study: Path, asked: options.Options, say: Callable[[str], object] = print):
    self._folder, self._options, self._say = study.absolute() / "launch" / "slurm", asked, say
    self._name = re.sub(r"[^A-Za-z0-9._-]+", "-", study.absolute().name)[:40]
    self._jobs: dict[str, Submitted] = {}
    self._gone: set[str] = set()  # groups whose job had ended at the last look
    self._next, self._pause = 0.0, FIRST
    self._standing = ""  # what was last said about the queue
    self._study = study
    self._saved: dict[str, tuple[int, int]] = {}  # group -> (step, restarts of its job) at its last save
    self._room = queue.largest(LARGEST) - 1
    self._adopt()

  def room(self) -> int:
    return self._room

  def running(self) -> set[str]:
    return set(self._jobs)

  def start(self, given: Sequence[tasks.Task]) -> None:
    """Submit the tasks as one array."""
    token = secrets.token_hex(4)
    folder, name = self._folder / token, f"{self._name}-{token}"
    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    self._folder.chmod(0o700)
    record = {"name": name, "groups": [task.group for task in given], "logs": [str(task.log) for task in given]}
    files.write_json(folder / SUBMISSION, record)  # before: a launcher that dies now finds the jobs by their name
    numbers = _submit(folder, name, given, self._options)
    files.write_json(folder / SUBMISSION, {**record, "jobs": numbers})
    self._jobs |= _submitted(folder, record, dict(enumerate(numbers)))
    what = given[0].group if len(given) == 1 else plural(len(given), "group")
    self._say(f"Slurm job {numbers[0].partition('_')[0]}: {what}; its script and what it prints are in {folder}")
    self._next, self._pause = 0.0, FIRST

  def poll(self) -> list[tasks.Ended]:
    """The tasks whose jobs have ended. A job must be gone at two looks: one that is put back is between two states."""
    if time.monotonic() < self._next or not self._jobs:
      return []
    found = queue.jobs(sorted({one.name for one in self._jobs.values()}))
    self._pause = min(self._options.poll, self._pause * MORE)
    self._next = time.monotonic() + self._pause
    if found is None:
      self._tell("Slurm does not answer; the jobs go on, and it is asked again")
      return []
    gone = {group for group, one in self._jobs.items() if one.number not in found or found[one.number].ended}
    ended = [self._ended(group, found.get(self._jobs[group].number)) for group in sorted(gone & self._gone)]
    if gone - self._gone:
      self._next, self._pause = time.monotonic() + FIRST, FIRST
    self._gone = gone - {one.group for one in ended}
    for group, one in self._jobs.items():
      self._watch(group, found.get(one.number))
    self._tell(_standing([found[one.number] for one in self._jobs.values() if one.number in found]))
    return ended

  def stop(self, number: int) -> None:
    """Leave the jobs to themselves: they go on without a launcher, and the next one finds them."""
    if self._jobs:
      names = ",".join(sorted({one.name for one in self._jobs.values()}))
      self._say(
        f"the jobs go on without this launcher, and the same command finds them; to end them: scancel --name={names}"
      )
    self._jobs = {}

  def _adopt(self) -> None:
    """Find the jobs of earlier launchers that are still in the queue."""
    records = {path.parent: record for path in sorted(self._folder.glob(f"*/{SUBMISSION}")) if (record := _read(path))}
    if not records:
      return
    found = queue.jobs(record["name"] for record in records.values())
    if found is None:
      raise Failure("Slurm does not say which jobs it has, so none were submitted; the same command tries again")
    for folder, record in records.items():
      own = [one for one in found.values() if one.name == record["name"] and not one.ended]
      for one in own:
        self._jobs |= _submitted(folder, record, {_index(one.number): one.number})
    if self._jobs:
      self._say(f"{plural(len(self._jobs), 'job')} of an earlier launch still in Slurm's queue")

  def _ended(self, group: str, last: queue.Job | None) -> tasks.Ended:
    one = self._jobs.pop(group)
    code = job.outcome(one.folder, one.place).get("code")
    if code is None:
      _quote(one, last)
    known = "" if last is None or code == 0 else queue.ENDED[last.state]
    if code is None and last is not None:
      code = last.code or None
    if code is None:
      return tasks.Ended(group, -9, known or tasks.KILLED)
    return tasks.Ended(group, code, known)

  def _watch(self, group: str, now: queue.Job | None) -> None:
    """Warn where a job is put back again and again, and saves nothing in between."""
    step = tries.saved(self._study, group) if now else 0
    before, since = self._saved.setdefault(group, (step, now.restarts if now else 0))
    if now and now.restarts and (step != before or now.restarts >= since + RESTARTS):
      if step == before:
        self._say(f"{group} was put back {RESTARTS} times and is still at step {step:,}: is --slurm.time long enough?")
      self._saved[group] = step, now.restarts

  def _tell(self, sentence: str) -> None:
    if sentence != self._standing:
      self._standing = sentence
      self._say(sentence)


def _submit(folder: Path, name: str, given: Sequence[tasks.Task], asked: options.Options) -> list[str]:
  """Submit one array, or one job of a single task; returns the jobs' numbers. Raises `Failure` with Slurm's reason."""
  import submitit
  from submitit.core.utils import FailedJobError, FailedSubmissionError

  cores = asked.sbatch.get("cpus-per-task")
  before, after = job.script(folder, asked.setup)
  called: list[Any] = [job.Job(task.command, str(task.log)) for task in given]  # mypy takes no NamedTuple for callable
  said = StringIO()
  try:
    with contextlib.redirect_stderr(said), _outside():
      executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=TIMEOUTS)
      executor.update_parameters(
        job_name=name,
        wckey=None,
        signal_delay_s=asked.signal_delay,
        array_parallelism=asked.array_parallelism,
        setup=before,
        teardown=after,
        # Since Slurm 22.05 a step does not inherit this, and would be given one core.
        srun_args=[f"--cpus-per-task={cores}"] if cores else None,
        additional_parameters={"requeue": True, **asked.sbatch},
      )
      with executor.batch():
        jobs: list[Any] = [executor.submit(one) for one in called]
      return [one.job_id for one in jobs]
  except (FailedJobError, FailedSubmissionError, RuntimeError) as error:
    raise Failure(f"Slurm did not take the jobs: {options.said(str(error) or said.getvalue())}") from error


@contextlib.contextmanager
def _outside() -> Iterator[None]:
  """Without what Slurm tells a job about itself: a launcher may run in one, and its jobs are not steps of that."""
  names = [name for name in os.environ if re.match("SLURMD?_|SRUN_", name) and name != "SLURM_CONF"]
  kept = {name: os.environ.pop(name) for name in names} if "SLURM_JOB_ID" in os.environ else {}
  try:
    yield
  finally:
    os.environ.update(kept)


def _submitted(folder: Path, record: dict, numbers: Mapping[int, str]) -> dict[str, Submitted]:
  """By group, those tasks of one submission that have these indices and jobs."""
  groups, logs = record["groups"], record["logs"]
  return {
    groups[index]: Submitted(number, record["name"], folder, index, Path(logs[index]))
    for index, number in numbers.items()
    if index < min(len(groups), len(logs))
  }


def _read(path: Path) -> dict | None:
  """A submission that an earlier launcher wrote; None where it cannot be read: then the groups' locks must do."""
  try:
    found = files.read_json(path)
  except (BadInput, OSError):
    return None
  texts = isinstance(found, dict) and [found.get("name"), *found.get("groups", [None]), *found.get("logs", [None])]
  return found if texts and all(isinstance(text, str) for text in texts) else None


def _index(number: str) -> int:
  return int(number.partition("_")[2] or 0)


def _standing(jobs: Sequence[queue.Job]) -> str:
  """Of the jobs in the queue, how many run, how many are stopped for a while, and why the others wait."""
  waiting = [one.reason for one in jobs if one.state == "PENDING"]
  suspended = sum(one.state == "SUSPENDED" for one in jobs)
  running = sum(not one.ended for one in jobs) - len(waiting) - suspended
  stopped = f", {suspended} suspended" if suspended else ""
  why = f" ({', '.join(sorted(set(waiting)))})" if waiting else ""
  return f"Slurm: {running} running{stopped}, {len(waiting)} waiting{why}"


def _quote(one: Submitted, last: queue.Job | None) -> None:
  """Append to the worker's log what the job printed, where the worker itself could say nothing."""
  with contextlib.suppress(OSError):
    printed = one.folder / f"{one.number}_0_log.err"
    words = printed.read_bytes()[-WORDS:] if printed.exists() else b""
    how = f"{last.state} ({last.reason})" if last else "no longer in the queue"
    with open(one.log, "ab") as log:
      log.write(f"\nSlurm job {one.number}: {how}\n".encode() + words)
