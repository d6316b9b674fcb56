"""Where a study stands, from its files alone: counts, speed, time left, failures, who writes it. No jax import."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import runs
from gan_jax.core.errors import one_line, plural
from gan_jax.report import members
from gan_jax.report.members import Member, Plan
from gan_jax.runs import holders, pulse, tries
from gan_jax.runs import plan as chunks
from gan_jax.runs.pulse import Holder

SILENCE, CHUNKS = 120.0, 10  # a writer is silent after so many seconds, and so many times the time of a chunk
JUDGING = 1.5  # seconds, by default, that verdicts may take
LISTED = 12  # failures, at most
ERROR = "error.txt"  # the stack trace of a failed program


class Program(NamedTuple):
  """The group of runs that is in training, or would be next."""

  name: str
  number: int  # from 1
  runs: int
  step: int
  steps: int
  rate: float | None  # steps per second of each run, over the last parts of its rows; None: not known yet
  left: float | None  # seconds for its remaining steps at this rate, in which measuring and saving are included


class Overview(NamedTuple):
  path: Path
  name: str
  phase: str  # 'finished', 'training program 1 of 2', 'stopped in ...'
  states: dict[str, int]  # number of runs that are 'done', 'diverged', 'stopped', 'unfinished', 'waiting'
  programs: tuple[int, int]  # (done, all)
  share: float  # of all steps of all runs, those that are trained
  program: Program | None  # None: all are done
  left: float | None  # seconds of the whole study, if its other programs are as fast for each run
  holder: Holder | None
  writing: bool  # whether somebody writes it now
  silent: float | None  # seconds since the last write
  failures: tuple[str, ...]  # each with its cause; at most `LISTED`
  failed: int  # how many there are
  verdicts: dict[str, int]  # of those runs that are done or diverged and were judged, the most frequent first
  finished: int  # runs that are done or diverged
  report: Path | None
  workers: tuple[str, ...] = ()  # the groups that are trained now by a process each

  @property
  def runs(self) -> int:
    return sum(self.states.values())

  @property
  def judged(self) -> int:
    return sum(self.verdicts.values())


def overview(study: Path, judging: float | None = JUDGING, now: float | None = None) -> Overview:
  """Where a study stands. It may be in training, and nothing of it is changed.

  Args:
    study: its directory.
    judging: seconds that verdicts may take. Where they are not enough for all finished runs, those judged are drawn at
      random, in the same order each time. None: all are judged.
    now: seconds since 1970; by default the clock's.

  Raises:
    BadInput: there is no study and none is being begun, or its manifest and the copy are damaged.
    OSError: the machine could not read a file, several times in a row.
  """
  now = time.time() if now is None else now
  held, launcher = pulse.holder(study), _launcher(study)
  if launcher is not None and (held is None or held.alive is False):
    held = launcher
  if held is not None and not runs.is_study(study):
    return _not_planned_yet(study, held, now)
  plan = members.read(study)
  every = members.listed(plan)
  workers = _workers(plan, now)
  program = _program(plan, held, now, workers)
  written = pulse.last_write(study, program.name if program else plan.groups[-1]["name"])
  silent = None if written is None else max(0.0, now - written)
  writing = held is not None and (_beats(plan, program, silent) if held.alive is None else held.alive)
  waits = launcher is not None and not workers and (held is launcher or not writing)
  if waits:
    held, writing, program = launcher, True, program and program._replace(rate=None, left=None)
  finished = [member for member in every if member.state in ("done", "diverged")]
  failures = [
    *_ended(study, program, writing, held),
    *_hung(study, writing, held),
    *_failed(study),
    *plan.remarks,
    *_doubts(plan),
    *_set_aside(study),
  ]
  gone = [member for member in finished if member.state == "diverged"]
  report = study / "report.html"
  there = report if report.is_file() else None
  return Overview(
    path=study,
    name=str(plan.manifest["study"]),
    phase=_phase(program, len(plan.groups), writing, there is not None, len(workers), waits),
    states=dict(Counter(member.state for member in every)),
    programs=(sum(_complete(plan, group) for group in plan.groups), len(plan.groups)),
    share=_share(plan),
    program=program,
    left=_left(plan, program, len(workers)),
    holder=held,
    writing=writing,
    silent=silent,
    failures=(*failures, *_diverged(plan, gone[: LISTED - len(failures)]))[:LISTED],
    failed=len(failures) + len(gone),
    verdicts=dict(members.judge(plan, finished, judging).most_common()),
    finished=len(finished),
    report=there,
    workers=workers,
  )


def _launcher(study: Path) -> Holder | None:
  """The launcher of a study, where it runs on this machine."""
  found = holders.of(study / tries.FOLDER / holders.LOCK)
  return found if found is not None and found.alive else None


def _not_planned_yet(study: Path, held: Holder, now: float) -> Overview:
  """Of a study whose data are being read, or whose sweep ended then: there is a lock and no manifest."""
  silent, writing = max(0.0, now - held.since), held.alive is not False
  phase = "reading the data and making its plan" if writing else "ended before its plan was written"
  nothing: tuple[Any, ...] = ({}, (0, 0), 0.0, None, None, held, writing, silent, (), 0, {}, 0, None)
  return Overview(study, study.resolve().name, phase, *nothing)


def _program(plan: Plan, held: Holder | None, now: float, workers: Sequence[str] = ()) -> Program | None:
  """The first group that is not complete, of those that workers train if there are any; None where all are."""
  unfinished = [(number, group) for number, group in enumerate(plan.groups, 1) if not _complete(plan, group)]
  if not unfinished:
    return None
  number, group = next(((n, group) for n, group in unfinished if group["name"] in workers), unfinished[0])
  step, steps = int(plan.of(group).get("step", 0)), int(group["members"][0]["config"]["steps"])
  rate, at = pulse.pace(plan.path, group["name"], held.since if held else 0.0)
  left = None if rate is None else max(0.0, (steps - step) / rate - max(0.0, now - at))
  return Program(group["name"], number, len(group["members"]), step, steps, rate, left)


def _complete(plan: Plan, group: Any) -> bool:
  return bool(plan.of(group).get("complete"))


def _beats(plan: Plan, program: Program | None, silent: float | None) -> bool:
  """Whether a writer on another machine wrote so lately that it is taken to be alive."""
  chunk = 0.0
  if program is not None and program.rate:
    config = plan.groups[program.number - 1]["members"][0]["config"]
    chunk = max(one.length * one.windows for one in chunks.of(config)) / program.rate
  return silent is not None and silent < max(SILENCE, CHUNKS * chunk)


def _workers(plan: Plan, now: float) -> tuple[str, ...]:
  """The groups that a process each trains now; of one on another machine, if it has written rows lately, or just begun."""
  found = pulse.workers(plan.path)
  names = [group["name"] for group in plan.groups if group["name"] in found]

  def works(name: str) -> bool:
    one = found[name]
    lately = one.alive is None and now - max(one.since, pulse.pace(plan.path, name, one.since)[1]) < SILENCE
    return bool(one.alive) or lately

  return tuple(name for name in names if works(name))


def _phase(
  program: Program | None, programs: int, writing: bool, reported: bool, workers: int = 1, waits: bool = False
) -> str:
  """`waits`: nobody trains, and the launcher waits for its next worker: its jobs may be in a cluster's queue."""
  if program is None:
    if reported:
      return "finished"
    if waits:
      return "trained; its launcher waits for the report"
    return "writing the report" if writing else "trained, without a report: the same command writes it"
  which = f"program {program.number} of {programs}"
  when = f"at step {program.step:,}" if program.step else "before the first step"
  if waits:
    return f"waiting {when} of {which}: its launcher runs, and no worker is seen to train"
  if not writing:
    return f"stopped {when} of {which}: the same command goes on"
  if workers > 1:
    return f"training {workers} programs of {programs} at once"
  return f"training {which}" if program.step else f"compiling or measuring {which}"


def _trained(plan: Plan, group: Any) -> tuple[int, int]:
  """(steps of all runs of a group, those that are trained)."""
  step, count = int(plan.of(group).get("step", 0)), len(group["members"])
  steps = int(group["members"][0]["config"]["steps"])
  return steps * count, (steps if _complete(plan, group) else min(step, steps)) * count


def _share(plan: Plan) -> float:
  every = [_trained(plan, group) for group in plan.groups]
  return sum(done for _, done in every) / max(1, sum(steps for steps, _ in every))


def _left(plan: Plan, program: Program | None, workers: int = 1) -> float | None:
  if program is None or program.rate is None or program.left is None:
    return None
  if workers > 1:  # the groups before it may be unfinished too
    every = [_trained(plan, group) for group in plan.groups]
    rate = program.rate * program.runs * workers
    return max(program.left, sum(steps - done for steps, done in every) / rate)
  later = [_trained(plan, group) for group in plan.groups[program.number :]]
  return program.left + sum(steps - done for steps, done in later) / (program.rate * program.runs)


def _ended(study: Path, program: Program | None, writing: bool, held: Holder | None) -> list[str]:
  """Why the last attempt ended, where it left a stack trace; not that of an attempt before it."""
  path = study / ERROR
  try:
    if program is None or writing or not path.is_file() or (held and path.stat().st_mtime < held.since):
      return []
    with open(path, "rb") as file:
      file.seek(max(0, path.stat().st_size - 4096))
      lines = file.read().decode("utf-8", "replace").strip().splitlines()
  except OSError:
    return []
  return [f"program {program.number} failed: {one_line(lines[-1])[:200]} (all of it: {path})"] if lines else []


def _hung(study: Path, writing: bool, held: Holder | None) -> list[str]:
  """That the last attempt hung, where it left the stacks of its threads."""
  try:
    last = max((study / runs.STACKS).iterdir(), default=None)
    if last is None or writing or (held and last.stat().st_mtime < held.since):
      return []
    with open(last, encoding="utf-8", errors="replace") as file:
      return [f"the last attempt hung: {one_line(file.readline(500))} (all threads: {last})"]
  except OSError:
    return []


def _failed(study: Path) -> list[str]:
  """What the last launch of several workers could not train, with the cause."""
  said = []
  for name, last, count in tries.failures(study):
    times = f" {plural(count, 'time')}" if count > 1 else ""
    words = f": {one_line(last.words)[:200]}" if last.words else ""
    said.append(f"{name} {last.cause}{times}, last at step {last.saved:,}{words} (all of it: {tries.log(study, name)})")
  return said


def _doubts(plan: Plan) -> list[str]:
  reasons = [(group["name"], plan.of(group).get("reasons", [])) for group in plan.groups]
  return [f"{name} is not bit exact: {one_line(reason)}" for name, found in reasons for reason in found]


def _set_aside(study: Path) -> list[str]:
  try:
    names = sorted(path.name for path in (study / runs.SET_ASIDE).iterdir())
  except OSError:
    return []
  return (
    [f"damaged or obsolete files were set aside {plural(len(names), 'time')}, last in {names[-1]}"] if names else []
  )


def _diverged(plan: Plan, some: Sequence[Member]) -> list[str]:
  called = members.labels(plan) if some else {}
  cause = "diverged: an update was not finite at step"
  return [f"{called[one.id]}, seed {one.config['seed']} ({one.id}) {cause} {one.last:,}" for one in some]
