"""`launch.sh verdicts [--config.field=value ...] [--out DIR]`: how often is the verdict right, on runs whose end is known?

configs/verdicts.py has runs that are built to end in each of the seven states, for reasons that are stated there; their
panels' titles are the states. Five more settings are cases in which a single measurement misleads: a healthy WGAN-GP
whose discriminator ranks nearly every pair rightly, healthy data of two classes, a generator that has memorised ten
images, one that has a single image of each class, and data out of its reach. Here they are trained, judged and counted:
rows are the states they were built for, columns the verdicts.

Expected (nothing comparable is published): at least 90 % of the runs get the verdict that they were built for, and at
least 80 % of each state. If any are confused, they are similar states, such as a collapse whose modes come and go,
which is also an oscillation.

Writes `confusion.png` and `table.md` beside the study's own report. Three minutes of processor time: about two on 2
cores.
"""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core import installation
from gan_jax.core.errors import BadInput, unknown
from gan_jax.verdict import STATES

from ... import command, tables
from ...sweep import CONFIGS, Parser, dry, place

CONFIG = CONFIGS / "verdicts.py"
BUILDABLE = tuple(state for state in STATES if state != "unknown")
CAPTION = """\
{runs} real runs, each built to end in a known state (rows), and the verdict on it (columns). Runs on the diagonal are
judged rightly. Darker cells have a larger share of their row. Settings and thresholds were chosen on other seeds.
"""


class Judged(NamedTuple):
  """One run."""

  built: str
  verdict: str
  label: str
  seed: int
  evidence: str


def main(arguments: list[str]) -> None:
  parser = Parser("verdicts")
  parser.add_argument("--config", type=installation.config, default=str(CONFIG), help="a file like configs/verdicts.py")
  parser.add_argument("--out", type=place, default=Path("runs/verdicts"), help="the study's directory")
  dry(parser)
  known, rest = parser.parse_known_args(arguments)

  from gan_jax.runner import ending, study
  from gan_jax.settings import sweeps

  for config in sweeps.load(known.config, rest)[1]:
    if config["panel"] not in BUILDABLE:
      raise unknown("state that a run is built to end in (its `panel`)", config["panel"], BUILDABLE)
  directory = study.run(known.config, rest, known.out, single=False, stop=command.stop(), dry=known.dry_run)
  ending.wait()
  print(write(directory))


def write(directory: Path) -> str:
  """Figure and table of a study that has been run; returns the matrix and what was found, as text."""
  from gan_jax.report import records
  from gan_jax.runs.directory import write_atomic

  found = judge(records.read(directory))
  write_atomic(directory / "confusion.png", figure(found))
  caption = CAPTION.format(runs=len(found))
  text = (
    f"# Verdicts on runs built to end in each state\n\n![Confusion](confusion.png)\n\n{caption}\n{summary(found)}\n"
  )
  text += f"\n{tables.markdown(*table(found))}{misses(found)}"
  write_atomic(directory / "table.md", text.encode())
  lines = [matrix(found), summary(found), *(line for line in misses(found).splitlines() if line)]
  return "\n".join([*lines, f"figure: {directory / 'confusion.png'}", f"table:  {directory / 'table.md'}"])


def judge(study: Any) -> list[Judged]:
  """Every run of the study. Raises `BadInput` where one is not finished."""
  from gan_jax.report import verdicts

  found = []
  for panel in study.panels:
    for variant in panel.variants:
      for run in variant.runs:
        if run.status not in ("done", "diverged"):
          raise BadInput(f"{study.path}: expected finished runs, got {run.id}, which is {run.status}")
        judged = verdicts.of(run)
        found.append(Judged(panel.title, judged.final, variant.label, run.seed, judged.evidence))
  return found


def counts(found: Sequence[Judged]) -> np.ndarray:
  """[built, verdict], in the order of `BUILDABLE` and of `STATES`."""
  pairs = Counter((run.built, run.verdict) for run in found)
  return np.array([[pairs[built, verdict] for verdict in STATES] for built in BUILDABLE])


def summary(found: Sequence[Judged]) -> str:
  """`80 of 84 runs are judged as they were built: 95.2 % [88.4, 98.1].` The interval is Wilson's, of 95 %."""
  from scipy.stats import binomtest

  right = sum(run.built == run.verdict for run in found)
  share = binomtest(right, len(found)).proportion_ci(0.95, "wilson")
  return (
    f"{right} of {len(found)} runs are judged as they were built: {right / len(found):.1%} "
    f"[{share.low:.1%}, {share.high:.1%}]."
  )


def shown(found: Sequence[Judged]) -> list[str]:
  """The verdicts that have a column: all, but `unknown` only if it occurs."""
  return [state for state in STATES if state in BUILDABLE or any(run.verdict == state for run in found)]


def table(found: Sequence[Judged]) -> tuple[list[str], list[list[str]]]:
  """(heading, rows) of the matrix."""
  from gan_jax.report.verdicts import LOOKS

  numbers, columns = counts(found), shown(found)
  rows = []
  for state, line in zip(BUILDABLE, numbers, strict=True):
    cells = [str(line[STATES.index(c)] or "·") for c in columns]
    rows.append([LOOKS[state].words, *cells, f"{line[STATES.index(state)]}/{line.sum()}"])
  return ["built \\ verdict", *(LOOKS[c].short for c in columns), "right"], rows


def matrix(found: Sequence[Judged]) -> str:
  """The matrix as text for a terminal."""
  heading, rows = table(found)
  widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
  return "\n".join(
    "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
    for row in (heading, *rows)
  )


def misses(found: Sequence[Judged]) -> str:
  """One line for each run that was judged otherwise, with the verdict's evidence."""
  wrong = [run for run in found if run.built != run.verdict]
  return "".join(
    f"\n- built `{run.built}`, judged `{run.verdict}` ({run.label}, seed {run.seed}): {run.evidence}" for run in wrong
  ) + "\n" * bool(wrong)


def figure(found: Sequence[Judged]) -> bytes:
  """A PNG of the matrix, see `CAPTION`."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  from gan_jax.report.verdicts import LOOKS

  columns = shown(found)
  numbers = counts(found)[:, [STATES.index(c) for c in columns]]
  shares = numbers / np.maximum(numbers.sum(1, keepdims=True), 1)
  drawing = Figure(figsize=(8, 4.6), dpi=110, layout="constrained")
  axes = drawing.subplots()
  axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
  for (row, column), number in np.ndenumerate(numbers):
    if number:
      ink = "white" if shares[row, column] > 0.6 else "black"
      axes.text(column, row, str(number), ha="center", va="center", color=ink)
  axes.set_xticks(range(len(columns)), [LOOKS[c].words.replace(" ", "\n", 1) for c in columns], fontsize=9)
  axes.set_yticks(range(len(BUILDABLE)), [LOOKS[c].words for c in BUILDABLE], fontsize=9)
  axes.set(xlabel="verdict", ylabel="built to be")
  axes.set_title(summary(found), fontsize=10)
  buffer = io.BytesIO()
  FigureCanvasAgg(drawing).print_png(buffer)
  return buffer.getvalue()


if __name__ == "__main__":
  command.run(main)
