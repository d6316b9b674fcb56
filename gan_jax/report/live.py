"""The page of a study while it is trained: how far it is, its runs, the best and the worst of them. It only reads files.

What is read is bounded, because the page is made anew every few seconds: the runs of the program that is in training,
and of the last ones before it.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report import members, records, selection, spoken, verdicts, wording
from gan_jax.report.comparison import Quality, quality_of
from gan_jax.report.members import Member, Plan
from gan_jax.report.overview import Overview, overview
from gan_jax.report.records import Run, Variant

PROGRAMS = 6  # whose runs are listed, at most
# Bytes of a program's tables; of a larger program only the last part is read, which no verdict rests on.
READING = 2**25
JUDGING = 0.3  # seconds for verdicts of finished runs that are not listed
COLUMNS = ("disc/loss", "gen/loss", "disc/auc")
CURVES = {
  "disc/auc": "AUC of real against fake logits",
  "disc/loss": "discriminator's loss",
  "gen/loss": "generator's loss",
}
ENDED = ("", "stopped", "diverged")  # the order in the table: those that ended early are the last ones


class Line(NamedTuple):
  """One run of the table."""

  label: str
  seed: int
  state: str
  step: int
  values: tuple[float, ...]  # the last of each of `COLUMNS`
  quality: float
  verdict: str  # so far; '' where it was not judged
  evidence: str


class Table(NamedTuple):
  """The runs of one program, best first."""

  title: str
  quality: str  # what the runs are ranked by; '' where nothing was measured
  lines: tuple[Line, ...]
  left_out: int


class Figure(NamedTuple):
  caption: str
  svg: str


class View(NamedTuple):
  """What the page shows; without a study only `message`."""

  title: str
  message: str  # why there is nothing, or not all
  found: Overview | None = None
  lines: Sequence[tuple[str, str]] = ()
  tables: Sequence[Table] = ()
  extremes: str = ""  # which runs are drawn
  figures: Sequence[Figure] = ()
  pictures: Sequence[Any] = ()


def page(study: Path, every: int, script: str = "") -> str:
  """The whole page as HTML text. A study that is not there yet, or cannot be read at this moment, gives a page that says so.

  Args:
    study: its directory.
    every: seconds after which a browser asks again.
    script: JavaScript that does so without loading the page again.
  """
  try:
    shown = view(study)
  except (BadInput, OSError) as error:
    shown = View(str(study), f"Nothing can be shown yet: {error}")
  from markupsafe import Markup

  from gan_jax.report import template

  given = {"plots": template.sheet("plot.css"), **template.script(script)}
  return str(_template().render(view=shown, every=every, svg=Markup, **given))


def view(study: Path) -> View:
  """What the page shows of a study. Raises as `overview` does."""
  found = overview(study, JUDGING)
  lines = spoken.lines(found)
  if not found.runs:
    return View(found.name, "No run is planned yet.", found, lines)
  plan = members.read(study)
  called = members.labels(plan)
  last = found.program.number if found.program and found.program.step else found.programs[0]
  chosen = list(enumerate(plan.groups, 1))[max(0, last - PROGRAMS) : max(last, 1)]
  every = members.listed(plan)
  tables, drawn = [], View(found.name, "")
  for number, group in reversed(chosen):
    own = [member for member in every if member.group["name"] == group["name"]]
    ranked, quality, whole = _ranked(plan, group, own)
    title = f"program {number} of {len(plan.groups)}, {len(own):,} runs"
    tables.append(_table(title, ranked, quality, called, whole))
    if number == chosen[-1][0]:
      drawn = _drawn(ranked, quality, called, found.name)
  earlier = f"The runs of programs 1 to {chosen[0][0] - 1} are not listed here." if chosen[0][0] > 1 else ""
  return drawn._replace(message=earlier, found=found, lines=lines, tables=tables)


def _ranked(plan: Plan, group: Any, own: Sequence[Member]) -> tuple[list[Run], Quality | None, bool]:
  """(the group's runs, best first and those that ended early last; by what; whether all their rows are read)."""
  size = sum(_size(path) for table in ("rows", "quality") for *_, path in runs.parts(plan.path, table, group["name"]))
  whole = size <= READING
  found = members.tables(plan, group) if whole else members.latest(plan, group)
  mine = [members.run(plan, found, member) for member in own]
  quality = quality_of(found[1].columns)

  def key(run: Run) -> tuple[int, bool, float]:
    value = quality.sign * records.final(run, quality.metric) if quality else math.nan
    ended = ENDED.index(run.status) if run.status in ENDED else 0
    return (ended, not math.isfinite(value), value if math.isfinite(value) else 0.0)

  return sorted(mine, key=key), quality, whole


def _size(path: Path) -> int:
  try:
    return path.stat().st_size
  except OSError:  # set aside at this moment
    return 0


def _table(title: str, ranked: Sequence[Run], quality: Quality | None, called: dict[str, str], whole: bool) -> Table:
  first, last = selection.ends(ranked)
  lines = []
  for run in (*first, *last):
    judged = verdicts.of(run) if whole or run.status == "diverged" else None
    words = verdicts.LOOKS[judged.final].name + verdicts.explained(judged.factor) if judged else ""
    value = records.final(run, quality.metric) if quality else math.nan
    values = tuple(records.final(run, name) for name in COLUMNS)
    evidence = judged.evidence if judged else ""
    state = "training" if run.status == "unfinished" else run.status
    lines.append(Line(called[run.id], run.seed, state, run.last_step, values, value, words, evidence))
  return Table(title, quality.title if quality else "", tuple(lines), len(ranked) - len(lines))


def _drawn(ranked: Sequence[Run], quality: Quality | None, called: dict[str, str], name: str) -> View:
  """Curves and last samples of the best and the worst run that did not end early."""
  from gan_jax.report import canvas, curves, lines, pictures
  from gan_jax.report.sections import CHANCE

  alive = [run for run in ranked if run.status not in ENDED] or list(ranked)
  ends = [("best", alive[0]), ("worst", alive[-1])][: 1 + (len(alive) > 1)]
  shown = [(Variant(what, run.config, (run,)), canvas.style(i)) for i, (what, run) in enumerate(ends)]
  wanted = [(quality.metric, quality.title, quality.log)] if quality else []
  wanted += [(metric, caption, False) for metric, caption in CURVES.items()]
  drawn = []
  for metric, caption, log in wanted:
    plot = curves.plot(shown, metric, CHANCE if metric == "disc/auc" else curves.Scale(log))
    if plot is not None:
      raw = any(curve.raw is not None for curve in plot.curves)
      caption += "; dashed: of weights that are not averaged" * raw
      drawn.append(Figure(caption, lines.curves(plot, f"live {metric}")))
  names = [f"{what}: {called[run.id]}" if len(ends) > 1 else called[run.id] for what, run in ends]
  chosen = [(v._replace(label=name), v.runs[0], "", look) for name, (v, look) in zip(names, shown, strict=True)]
  tiles = pictures.pictures(chosen, pictures.frames([run for _, run in ends], 1), {})
  said = [f"{what}: {called[run.id]}, seed {run.seed}" for what, run in ends]
  by = f" by {quality.title} at the last measurement" if quality else ""
  text = f"{'; '.join(said)}{by}" if len(ends) > 1 else said[0].removeprefix("best: ")
  return View(name, "", None, (), (), text, drawn, tiles)


@functools.cache
def _template() -> Any:
  from gan_jax.report.template import template

  return template("live.html", number=wording.number)
