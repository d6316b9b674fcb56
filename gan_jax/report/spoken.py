"""Where a study stands, in words: the lines of `launch.sh status` and of the page of `launch.sh watch`."""

import time
from typing import Any

from gan_jax.core.errors import plural
from gan_jax.report.overview import Overview
from gan_jax.report.verdicts import LOOKS

NAMED = 6  # workers' groups, at most
STATES = ("done", "diverged", "stopped", "unfinished", "waiting")  # in this order


def lines(found: Overview) -> list[tuple[str, str]]:
  """(what, text) for each thing that is known."""
  said = [("phase", found.phase), ("runs", runs(found)), ("steps", steps(found)), ("speed", speed(found))]
  said += [("time left", left(found)), ("writer", writer(found)), ("verdicts", verdicts(found))]
  said += [("report", str(found.report) if found.report else "")]
  return [(what, text) for what, text in said if text]


def runs(found: Overview) -> str:
  """`70: 12 done, 2 diverged, 35 unfinished, 21 waiting`."""
  counts = [f"{found.states[state]:,} {state}" for state in STATES if found.states.get(state)]
  return f"{found.runs:,}: {', '.join(counts)}" if found.runs else ""


def steps(found: Overview) -> str:
  if not found.runs:
    return ""
  done, every = found.programs
  now = (
    f"; step {found.program.step:,} of {found.program.steps:,} of program {found.program.number}"
    if found.program
    else ""
  )
  return f"{int(100 * found.share)} % of all{now}; {done} of {plural(every, 'program')} done"


def speed(found: Overview) -> str:
  """Steps per second of each run, and the number of runs side by side."""
  if found.program is None or found.program.rate is None or not found.writing:
    return ""
  rate = found.program.rate
  return (
    f"{f'{rate:,.0f}' if rate >= 10 else f'{rate:.2g}'} steps/s x {found.program.runs}, measuring and saving included"
  )


def left(found: Overview) -> str:
  if found.program is None or found.program.left is None or found.left is None or not found.writing:
    return ""
  own, later = span(found.program.left), found.programs[1] > found.program.number
  return (
    f"{own} of this program, {span(found.left)} of the study, if the others are as fast for each run" if later else own
  )


def writer(found: Overview) -> str:
  """Who writes, since when, and whether it still does."""
  held = found.holder
  wrote = f", last write {span(found.silent)} ago" if found.silent is not None else ""
  if len(found.workers) > 1:
    some = ", ".join(found.workers[:NAMED]) + ", ..." * (len(found.workers) > NAMED)
    return f"{len(found.workers)} workers, of {some}{wrote}"
  if held is None:
    return ""
  since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held.since))
  known = {True: "running", False: "has ended", None: "running, by its writes" if found.writing else "no sign of it"}
  return f"process {held.pid} on {held.host} since {since}: {known[held.alive]}{wrote}"


def verdicts(found: Overview) -> str:
  """`10 healthy, 2 diverged`, and how many of the finished runs were judged where not all were."""
  some = "" if found.judged == found.finished else f" (of {found.judged:,} judged of {found.finished:,} finished runs)"
  return ", ".join(f"{count:,} {LOOKS[state].name}" for state, count in found.verdicts.items()) + some


def span(seconds: float) -> str:
  """A length of time in its two largest units.

  >>> span(7.4), span(754), span(3720), span(200000)
  ('7 s', '12 min 34 s', '1 h 2 min', '2 d 7 h')
  """
  whole = round(seconds)
  units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
  first = next((place for place, (_, count) in enumerate(units) if count), len(units) - 1)
  return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count or unit == units[first][0])


def summary(found: Overview) -> dict[str, Any]:
  """The overview as one object of strict JSON; `null` where something is not known. Times are in seconds, or since 1970."""
  program, held = found.program, found.holder
  return {
    "path": str(found.path),
    "study": found.name,
    "phase": found.phase,
    "runs": {state: found.states.get(state, 0) for state in STATES},
    "programs": {"done": found.programs[0], "all": found.programs[1]},
    "share": found.share,
    "program": program._asdict() if program else None,
    "left": found.left,
    "holder": held._asdict() if held else None,
    "writing": found.writing,
    "silent": found.silent,
    "failures": list(found.failures),
    "failed": found.failed,
    "verdicts": found.verdicts,
    "judged": found.judged,
    "finished": found.finished,
    "report": str(found.report) if found.report else None,
    "workers": list(found.workers),
  }
