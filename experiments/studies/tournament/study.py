"""`launch.sh tournament [--full] [--halving] [--config.field=value ...] [--out DIR]`: which loss is best, each tuned alike?

As published (Lucic et al. 2018, "Are GANs created equal?", arXiv:1711.10337): "most models can reach similar scores
with enough hyperparameter optimization and random restarts". Expected before the run: of losses that differ at one
common setting (the main job), most are not told apart once each is tuned with the same few draws, and those that need a
Lipschitz bound (`wasserstein`) stay behind.

Every loss gets the same draws of both rates, beta1 and the weight of R1, and each draw has runs with seeds of its own. A
draw is chosen by one run and judged by its others, so no number is too good because it was selected; losses are
compared draw by draw (`gan_jax/report/tuning.py`). This replaces a second round that trains the best draws again: it
costs as much, needs no waiting for the first round, and leaves the losses paired.

`--halving`: each loss is tuned several times over, each time with four draws of its own, of which the worst stop early
(successive halving, which saves 55 % of the steps). What stops and what is chosen is decided by one run of each draw. The
other one judges the choice, so that halving does not flatter it, and losses are compared search by search.

Writes `tournament.png` and `table.md` beside the study's own report. `--full`: every registered loss, 64 draws of
three runs, for a GPU. `--full --halving`: every loss, sixteen searches of four draws of two runs, for a CPU.
"""

import io
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput

from ... import command, tables
from ...sweep import CONFIGS, conduct

OPTIONS = ("--full", "--halving")
OTHERS = {  # by the options: (config, directory)
  ("--full",): ("every_loss.py", "tournament_full"),
  ("--halving",): ("halved.py", "tournament_halved"),
  ("--full", "--halving"): ("every_loss_halved.py", "tournament_full_halved"),
}
CAPTION = """\
{losses} losses on `{dataset}`, each tuned {how}with {k} draws and judged by runs that the choice has not seen.{left}
{quality} over that of `{baseline}` (1, dashed), with 95 % intervals; hollow: surely different from it (exact
swap test, Holm's correction over {others} comparisons).{right}
"""
RIGHT = " Right: {quality} over the budget of the tuning, the best and the last in colour."


CROWD = 24  # losses from which their lines stand closer


def main(arguments: list[str]) -> None:
  asked = tuple(option for option in OPTIONS if option in arguments)
  rest = [argument for argument in arguments if argument not in OPTIONS]
  if asked:  # what the user gives comes later, and wins
    config, directory = OTHERS[asked]
    rest = ["--config", str(CONFIGS / "tournaments" / config), "--out", str(Path("runs") / directory), *rest]
  print(write(conduct("tournament", rest)))


def write(directory: Path) -> str:
  """Figure and table of a study that has been run; returns its findings and where the files are.

  After halving in which all runs choose, there is no figure, and losses are not compared.

  Raises:
    BadInput: it is no study, or its losses do not share at least eight draws that have been measured.
  """
  from gan_jax.report import plain, ranking, records, survivors
  from gan_jax.report.search import search
  from gan_jax.report.tournament import tournament
  from gan_jax.runs.directory import write_atomic

  panel = records.read(directory).panels[0]
  left = survivors.survivors(panel)
  if left is not None:
    head, rows, (finding,) = plain.left_over(left)
    text = f"# Tournament with halving\n\n{finding}\n\n{tables.markdown(head, rows)}"
    write_atomic(directory / "table.md", text.encode())
    return f"{finding}\ntable:  {directory / 'table.md'}"
  searched = search(panel)
  found = tournament(searched) if searched else None
  if found is None:
    raise BadInput(f"{directory} expected settings that share at least eight measured draws, found none")
  write_atomic(directory / "tournament.png", figure(found))
  heading, lines, notes = ranking.lines(found)
  caption = CAPTION.format(
    how=f"{found.searches} times over " if found.searches else "",
    left="" if found.searches else " Left:",
    right="" if found.searches else RIGHT.format(quality=found.quality.title),
    quality=found.quality.title,
    losses=len(found.places),
    dataset=panel.variants[0].config["dataset"],
    k=found.k,
    baseline=found.baseline,
    others=len(found.places) - 1,
  )
  table = tables.markdown(heading, [[cell.strip() for cell in line] for line in lines])
  said = "\n\n".join(ranking.findings(found))
  text = f"# Tournament\n\n![Tuned losses](tournament.png)\n\n{caption}\n{said}\n\n{table}\n{'; '.join(notes)}.\n"
  write_atomic(directory / "table.md", text.encode())
  files = [f"figure: {directory / 'tournament.png'}", f"table:  {directory / 'table.md'}"]
  return "\n".join([*ranking.findings(found), *files])


def figure(found: Any) -> bytes:
  """A PNG: each loss's tuned quality over the baseline's with its interval, and the course over the budget."""
  import numpy as np
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

  from gan_jax.report.canvas import COLOURS, GREY, level_text

  places, equal = found.places, 1.0 if found.log else 0.0
  height = 1.2 + (0.18 if len(places) > CROWD else 0.24) * len(places)
  drawing = Figure(figsize=(7 if found.searches else 10, height), layout="constrained")
  left, *others = drawing.subplots(1, 1 if found.searches else 2, squeeze=False)[0]
  for i, place in enumerate(places):
    known = np.isfinite(place.ratio[0])
    mean, low, high = place.ratio if known else (equal,) * 3
    left.plot([low, high], [i, i], color=COLOURS[0], linewidth=1.6)
    left.plot(mean, i, "o", color=COLOURS[0], markerfacecolor="white" if place.certain else COLOURS[0])
  left.axvline(equal, color=GREY, dashes=(4, 3), linewidth=0.9)
  left.set_yticks(range(len(places)), [place.entry.label for place in places], fontsize=8)
  left.set_ylim(len(places) - 0.4, -0.6)
  left.set_xlabel(f"{'ratio to' if found.log else 'difference from'} {found.baseline}, tuned with {found.k} draws")
  for right in others:
    _courses(right, found)
  for axis in (left.xaxis, *(right.yaxis for right in others)) if found.log else ():
    axis.axes.set(**{"xscale" if axis is left.xaxis else "yscale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda x, _: level_text(x)))
    axis.set_minor_formatter(NullFormatter())
  for axes in (left, *others):
    axes.spines[["top", "right"]].set_visible(False)
  buffer = io.BytesIO()
  FigureCanvasAgg(drawing).print_png(buffer)
  return buffer.getvalue()


def _courses(axes: Any, found: Any) -> None:
  """Quality over the budget of the tuning; the best and the last in colour."""
  from gan_jax.report.canvas import COLOURS, GREY

  for i, place in enumerate(found.places):
    k, told = range(1, len(place.course) + 1), i in (0, len(found.places) - 1)
    colour = (COLOURS[0] if i == 0 else COLOURS[4]) if told else GREY
    axes.plot(k, place.course[:, 0], color=colour, linewidth=1.8 if told else 0.8, zorder=3 if told else 2)
    if told:
      axes.annotate(place.entry.label, (k[-1], place.course[-1, 0]), (4, 0), textcoords="offset points", fontsize=8)
  axes.set_xlabel("draws that the tuning may try")
  axes.set_ylabel(found.quality.title)


if __name__ == "__main__":
  command.run(main)
