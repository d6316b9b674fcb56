"""Where a study stands, from its files alone: counts, speed, time left, failures, who writes it. No jax import."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput, one_line, plural
from gan_jax.report import records, verdicts
from gan_jax.runs import holder

RECENT = 20  # parts of the rows, at most, from which the speed is measured
SILENCE, CHUNKS = 120.0, 10  # a writer is silent after so many seconds, and so many times the time of a part
JUDGING = 1.0  # seconds, by default, that verdicts may take
READING = 2**27  # bytes of tables, at most, that are read for verdicts
LISTED = 12  # failures, at most
ERROR = "error.txt"  # the stack trace of a failed program


class Program(NamedTuple):
  """The group of runs that is, or would be next, in training."""

  name: str
  number: int  # from 1
  runs: int
  step: int
  steps: int
  rate: float | None  # steps per second of each run, over the last parts of its rows; None: not known yet
  left: float | None  # seconds for its remaining steps at this rate, measuring and saving included


class Overview(NamedTuple):
  path: Path
  name: str
  phase: str  # 'finished', 'training program 1 of 2', 'stopped', ...
  states: dict[str, int]  # number of runs that are 'done', 'diverged', 'unfinished', 'waiting'
  programs: tuple[int, int]  # (done, all)
  share: float  # of all steps of all runs that are trained
  program: Program | None  # None: all are done
  left: float | None  # seconds of the whole study, if its other programs are as fast for each run
  holder: holder.Holder | None
  writing: bool  # whether somebody writes it
  silent: float | None  # seconds since the last write
  failures: tuple[str, ...]  # each with its cause; the first `LISTED`
  failed: int  # all of them
  verdicts: dict[str, int]  # of the runs that are done or diverged and were judged, the most frequent first
  judged: int
  finished: int  # done or diverged
  report: Path | None

  @property
  def runs(self) -> int:
    return sum(self.states.values())


class _Member(NamedTuple):
  """A run in a group of the manifest."""

  group: Mapping[str, Any]
  index: int
  state: str
  last: int  # step

  @property
  def id(self) -> str:
    return str(self.group["members"][self.index]["id"])

  @property
  def config(self) -> dict[str, Any]:
    found: dict[str, Any] = self.group["members"][self.index]["config"]
    return found


def overview(study: Path, judging: float | None = JUDGING, now: float | None = None) -> Overview:
  """Where a study stands; it may be written at this moment, and nothing of it is changed.

  Args:
    study: its directory.
    judging: seconds that verdicts may take. Where it is not enough for all finished runs, those judged are chosen at
      random, the same ones each time. None: all are judged.
    now: seconds since 1970; by default the clock's.

  Raises:
    BadInput: there is no study and none is being begun, or its manifest and the copy are damaged.
    OSError: the machine could not read a file, several times in a row.
  """
  now = time.time() if now is None else now
  if study.is_dir() and not runs.is_study(study) and (study / holder.LOCK).is_file():
    return _before_the_manifest(study, now)
  runs.read_manifest(study) if not runs.is_study(study) else None  # its messages say what is missing
  manifest, remark = runs.read_checked(study, runs.MANIFEST)
  said = [remark] * bool(remark)
  try:
    status = runs.read_status(study)["groups"]
  except BadInput as error:
    status, said = {}, [*said, f"{error}: how far each run is, is not known"]
  groups: Sequence[Mapping[str, Any]] = manifest["groups"]
  members = [
    _Member(group, index, *runs.run_status(one["config"], one["id"], status.get(group["name"], {})))
    for group in groups
    for index, one in enumerate(group["members"])
  ]
  held = holder.holder(study)
  program = _program(study, groups, status, held, now)
  written = holder.last_write(study, program.name if program else groups[-1]["name"])
  silent = None if written is None else max(0.0, now - written)
  writing = held is not None and (held.alive is True or (held.alive is None and _beats(silent, program, groups)))
  report = study / "report.html"
  finished = [member for member in members if member.state in ("done", "diverged")]
  counted = _judge(study, finished, status, judging)
  total, trained, ahead = _steps(groups, status, program)
  left = None if program is None or program.left is None or not program.rate else program.left + ahead / program.rate
  failures = [*_ended(study, program, writing, held), *said, *_doubts(groups, status), *_set_aside(study)]
  gone = [member for member in finished if member.state == "diverged"]
  shown = _diverged(study, gone[: max(0, LISTED - len(failures))], manifest, status)
  return Overview(
    path=study,
    name=str(manifest["study"]),
    phase=_phase(program, len(groups), writing, report.is_file()),
    states=dict(Counter(member.state for member in members)),
    programs=(sum(bool(status.get(group["name"], {}).get("complete")) for group in groups), len(groups)),
    share=trained / total,
    program=program,
    left=left,
    holder=held,
    writing=writing,
    silent=silent,
    failures=tuple([*failures, *shown][:LISTED]),
    failed=len(failures) + len(gone),
    verdicts=dict(counted.most_common()),
    judged=sum(counted.values()),
    finished=len(finished),
    report=report if report.is_file() else None,
  )


def _before_the_manifest(study: Path, now: float) -> Overview:
  """Of a study whose data are being read, or whose sweep ended then."""
  held, written = holder.holder(study), holder.last_write(study)
  silent = None if written is None else max(0.0, now - written)
  writing = held is not None and held.alive is not False
  phase = "reading the data" if writing else "ended before its first step was planned"
  nothing: tuple[Any, ...] = ({}, (0, 0), 0.0, None, None, held, writing, silent, (), 0, {}, 0, 0, None)
  return Overview(study, study.resolve().name, phase, *nothing)


def _program(
  study: Path, groups: Sequence[Mapping[str, Any]], status: Mapping[str, Any], held: holder.Holder | None, now: float
) -> Program | None:
  """The first group that is not complete; None where all are."""
  for number, group in enumerate(groups, 1):
    entry = status.get(group["name"], {})
    if not entry.get("complete"):
      step, steps = int(entry.get("step", 0)), int(group["members"][0]["config"]["steps"])
      rate, at = pace(study, group["name"], held.since if held else 0.0)
      left = None if rate is None else max(0.0, (steps - step) / rate - (now - at))
      return Program(group["name"], number, len(group["members"]), step, steps, rate, left)
  return None


def pace(study: Path, group: str, since: float) -> tuple[float | None, float]:
  """(steps per second over the last parts of a group's rows, when the last was written); None: fewer than two parts.

  Only parts that were written after `since`, when the present attempt took the lock: the pause before it does not count,
  nor does the first part, whose time includes compiling.
  """
  times: list[tuple[int, float]] = []
  for _, last, path in runs.parts(study, "rows", group)[-RECENT - 1 :]:
    try:
      times.append((last, path.stat().st_mtime))
    except OSError:  # set aside at this moment
      continue
  own = [(last, at) for last, at in times if at >= since]
  if len(own) < 2 or own[-1][1] <= own[0][1]:
    return None, own[-1][1] if own else 0.0
  return (own[-1][0] - own[0][0]) / (own[-1][1] - own[0][1]), own[-1][1]


def _beats(silent: float | None, program: Program | None, groups: Sequence[Mapping[str, Any]]) -> bool:
  """Whether a writer on another machine has written so lately that it is taken to be alive."""
  part = 0.0
  if program is not None and program.rate:
    part = max(chunk.length * chunk.windows for chunk in _chunks(groups[program.number - 1])) / program.rate
  return silent is not None and silent < max(SILENCE, CHUNKS * part)


def _chunks(group: Mapping[str, Any]) -> Sequence[Any]:
  from gan_jax.runs import plan

  return plan.of(group["members"][0]["config"])


def _phase(program: Program | None, programs: int, writing: bool, reported: bool) -> str:
  if program is None:
    return "finished" if reported else "writing the report" if writing else "trained; the same command writes the report"
  which = f"program {program.number} of {programs}"
  if not writing:
    return f"stopped in {which}; the same command goes on" if program.step else f"stopped before the first step of {which}"
  return f"training {which}" if program.step else f"compiling or measuring {which}"


def _steps(
  groups: Sequence[Mapping[str, Any]], status: Mapping[str, Any], program: Program | None
) -> tuple[int, int, float]:
  """(steps of all runs, those trained, steps of later programs in units of steps of all runs of this program)."""
  total = trained = ahead = 0
  for number, group in enumerate(groups, 1):
    entry, count = status.get(group["name"], {}), len(group["members"])
    steps = int(group["members"][0]["config"]["steps"])
    done = steps if entry.get("complete") else min(int(entry.get("step", 0)), steps)
    total, trained = total + steps * count, trained + done * count
    ahead += (steps - done) * count if program is not None and number > program.number else 0
  return max(total, 1), trained, ahead / program.runs if program else 0.0


def tables(study: Path, group: Mapping[str, Any], step: int | None) -> tuple[runs.Table, runs.Table]:
  """(rows, quality) of a group up to the step of its status, columns [rows, members]; damaged parts are left out."""
  rows, quality = (runs.survey(study, name, group["name"], len(group["members"])).table for name in ("rows", "quality"))
  return records.until(rows, step, False), records.until(quality, step, True)


def member_of(found: tuple[runs.Table, runs.Table], member: _Member) -> records.Run:
  """One run, from the tables of its group."""
  own = [runs.Table(t.steps, {name: x[:, member.index] for name, x in t.columns.items()}) for t in found]
  return records.Run(member.id, member.group["name"], member.index, member.config, member.state, member.last, *own)


def _judge(
  study: Path, finished: Sequence[_Member], status: Mapping[str, Any], seconds: float | None
) -> Counter[str]:
  """How often each verdict was given. A diverged run needs no reading."""
  ended = None if seconds is None else time.monotonic() + seconds
  counted = Counter({"diverged": sum(member.state == "diverged" for member in finished)})
  done = [member for member in finished if member.state == "done"]
  read: dict[str, tuple[runs.Table, runs.Table] | None] = {}
  size = 0
  for place in np.random.default_rng(0).permutation(len(done)):
    if ended is not None and time.monotonic() > ended:
      break
    member = done[place]
    name = member.group["name"]
    if name not in read:
      size += sum(path.stat().st_size for table in ("rows", "quality") for *_, path in runs.parts(study, table, name))
      small = seconds is None or size <= READING
      read[name] = tables(study, member.group, status.get(name, {}).get("step")) if small else None
    found = read[name]
    if found is not None:
      counted[verdicts.of(member_of(found, member)).final] += 1
  return +counted


def _ended(study: Path, program: Program | None, writing: bool, held: holder.Holder | None) -> list[str]:
  """Why the last attempt ended, where it left a stack trace."""
  path = study / ERROR
  try:
    if program is None or writing or (held is not None and path.stat().st_mtime < held.since):
      return []  # of an earlier attempt
    with open(path, "rb") as file:
      file.seek(max(0, path.stat().st_size - 4096))
      lines = file.read().decode("utf-8", "replace").strip().splitlines()
  except OSError:
    return []
  return [f"program {program.number} failed: {one_line(lines[-1])[:200]} (all of it: {path})"] if lines else []


def _doubts(groups: Sequence[Mapping[str, Any]], status: Mapping[str, Any]) -> list[str]:
  return [
    f"{group['name']} is not bit exact: {one_line(reason)}"
    for group in groups
    for reason in status.get(group["name"], {}).get("reasons", [])
  ]


def _set_aside(study: Path) -> list[str]:
  try:
    names = sorted(path.name for path in (study / runs.SET_ASIDE).iterdir())
  except OSError:
    return []
  return [f"{plural(len(names), 'time')} files were set aside, last as {runs.SET_ASIDE}/{names[-1]}"] if names else []


def _diverged(
  study: Path, some: Sequence[_Member], manifest: Mapping[str, Any], status: Mapping[str, Any]
) -> list[str]:
  """A sentence for each of these diverged runs: which, when, and what was measured before."""
  if not some:
    return []
  called = labels(manifest)
  read: dict[str, tuple[runs.Table, runs.Table]] = {}
  said = []
  for member in some:
    name = member.group["name"]
    if name not in read:
      read[name] = tables(study, member.group, status.get(name, {}).get("step"))
    evidence = verdicts.of(member_of(read[name], member)).evidence
    said.append(f"{called[member.id]}, seed {member.config['seed']} ({member.id}): {evidence}")
  return said


def labels(manifest: Mapping[str, Any]) -> dict[str, str]:
  """By run id, the fields in which its variant differs from the others of its panel."""
  nothing = runs.Table(np.zeros(0, np.int64), {})
  members = tuple(
    records.Run(one["id"], group["name"], index, one["config"], "", 0, nothing, nothing)
    for group in manifest["groups"]
    for index, one in enumerate(group["members"])
  )
  found = records.panels(members, str(manifest["study"]), manifest.get("defaults", {}), manifest.get("roles", {}))
  return {run.id: variant.label for panel in found for variant in panel.variants for run in variant.runs}
