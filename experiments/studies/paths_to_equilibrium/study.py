"""`launch.sh paths_to_equilibrium [--config.field=value ...] [--out DIR]`: two losses where no divergence has a gradient.

After Fedus et al. 2018, "Many paths to equilibrium: GANs do not need to decrease a divergence at every step"
(arXiv:1710.08446). As published, in the abstract: "GANs are able to learn distributions in situations where the
divergence minimization point of view predicts they would fail", and gradient penalties "are equally helpful when
applied in other contexts in which the divergence minimization perspective does not predict they would be helpful". So
we expect, for data on a line and a generator that starts off it: minimax, which descends the divergence, does not move;
non-saturating reaches the data all the same; every penalty helps both losses alike. Their figures and protocol were not
available: offset, widths and rates are ours.

Writes `paths.png` and `table.md` beside the study's own report. Under 2 minutes on 2 quiet cores.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import command, tables
from ...sweep import conduct

QUALITY, OFF_LINE, VARIANCE = "line/wasserstein", "line/squared_distance", "line/variance"
LOSSES = ("minimax", "non_saturating")
LEARNED = 0.3  # largest final `line/wasserstein` of a run that has learned the data
CAPTION = """\
The data are N(0, 1) along a line at distance {offset:g} from the origin; the generator maps one Gaussian number to a
curve and starts off the line, where JS(data, model) = log 2 with gradient zero. The discriminator trains alone for the
first {head_start} steps. Left and middle: the 2-Wasserstein distance of the model from the data over the steps,
geometric mean and range of {seeds} seeds, one colour per penalty; left the saturating minimax loss, in the middle the
non-saturating one; above level players under Adam, below a discriminator that is twenty times as fast, both by plain
gradient descent. Dotted: the distance of {samples:,} samples of the data themselves, {floor:.3f}. Right: where the
generators of seed {seed} end (minimax crosses, non-saturating dots), the data's line in black. A run that diverged is left
out of every mean and counts as not learned.
"""


class Cell(NamedTuple):
  """One loss with one penalty in one game, over its seeds."""

  panel: str
  loss: str
  penalty: str
  variant: Any  # report.records.Variant


def main(arguments: list[str]) -> None:
  directory = conduct("paths_to_equilibrium", arguments)
  print(write(directory))


def write(directory: Path) -> str:
  """Figure and table of a study that has been run; returns what was found, in a few sentences."""
  from gan_jax.report import records
  from gan_jax.runs.directory import write_atomic

  read = records.read(directory)
  found = cells(read)
  write_atomic(directory / "paths.png", figure(directory, found))
  findings = sentences(found)
  text = f"# Paths to equilibrium\n\n![Paths](paths.png)\n\n{caption(found)}\n{findings}\n\n{table(found)}"
  write_atomic(directory / "table.md", text.encode())
  return f"{findings}\nfigure: {directory / 'paths.png'}\ntable:  {directory / 'table.md'}"


def cells(study: Any) -> list[Cell]:
  """The study's variants, in its order."""
  return [
    Cell(panel.title, variant.config["loss"], variant.config["penalty"], variant)
    for panel in study.panels
    for variant in panel.variants
  ]


def final_by_seed(cell: Cell, metric: str) -> dict[int, float]:
  from gan_jax.report.records import final

  return {run.seed: final(run, metric) for run in cell.variant.counted}


def other(found: Sequence[Cell], cell: Cell, **fields: str) -> Cell | None:
  """The cell that differs from `cell` only in these fields."""
  wanted = cell._replace(**fields)[:3]
  return next((c for c in found if c[:3] == wanted), None)


def ratio(found: Sequence[Cell], cell: Cell, **fields: str):
  """`line/wasserstein` of `cell` over that of the cell with other `fields`, paired by seed: below 1 is better."""
  from gan_jax.report.statistics import paired_ratio

  reference = other(found, cell, **fields)
  if reference is None or reference is cell:
    return None
  return paired_ratio(final_by_seed(cell, QUALITY), final_by_seed(reference, QUALITY))


def learned(cell: Cell) -> str:
  values = list(final_by_seed(cell, QUALITY).values())
  return f"{sum(value < LEARNED for value in values)}/{len(cell.variant.runs)}"


def table(found: Sequence[Cell]) -> str:
  from gan_jax.report.statistics import decades, estimate, mean_decades
  from gan_jax.report.wording import decade, interval, plus_minus

  heading = [
    "game",
    "loss",
    "penalty",
    "Wasserstein distance",
    f"runs below {LEARNED:g}",
    "squared distance from the line",
    "variance along it (1)",
    "G gradient, lowest (decades)",
    "over the same without penalty",
    "over minimax with the same penalty",
  ]
  rows = []
  for cell in found:
    values = [
      plus_minus(estimate(list(final_by_seed(cell, m).values()), log=m != VARIANCE))
      for m in (QUALITY, OFF_LINE, VARIANCE)
    ]
    fallen = mean_decades([d for run in cell.variant.counted if (d := decades(run.rows.steps, run.rows.columns))])
    ratios = [ratio(found, cell, penalty="none"), ratio(found, cell, loss="minimax")]
    rows.append(
      [
        cell.panel,
        f"`{cell.loss}`",
        f"`{cell.penalty}`" + ("" if cell.penalty == "none" else f" {cell.variant.config['penalty_weight']:g}"),
        values[0],
        learned(cell),
        *values[1:],
        "" if fallen is None else decade(fallen.total),
        *("" if r is None else interval(r) for r in ratios),
      ]
    )
  return tables.markdown(heading, rows)


def sentences(found: Sequence[Cell]) -> str:
  """The results for the three expectations in each game; the penalties of a game are one family (Holm)."""
  from gan_jax.report.statistics import holm
  from gan_jax.report.wording import interval

  said = []
  for panel in dict.fromkeys(cell.panel for cell in found):
    bare = {c.loss: c for c in found if c.panel == panel and c.penalty == "none"}
    if set(bare) != set(LOSSES):
      continue
    text = f"**{panel}.** Without a penalty, {learned(bare['minimax'])} minimax and "
    text += f"{learned(bare['non_saturating'])} non-saturating runs learn the data"
    versus = ratio(found, bare["non_saturating"], loss="minimax")
    if versus is not None:
      text += f"; distance of non-saturating over minimax {interval(versus)}"
    penalised = [c for c in found if c.panel == panel and c.penalty != "none"]
    ratios = holm([ratio(found, c, penalty="none") for c in penalised])
    sure = [c for c, r in zip(penalised, ratios, strict=True) if r is not None and r.certain and r.mean < 1]
    for loss in LOSSES:
      names = [c.penalty for c in sure if c.loss == loss]
      text += f". Penalties that surely lower the distance of {loss}: {', '.join(names) or 'none'}"
    said.append(text + ".")
  return "\n\n".join(said)


def caption(found: Sequence[Cell]) -> str:
  from gan_jax.data.line import OFFSET
  from gan_jax.metrics.line import floor

  config, runs = found[0].variant.config, found[0].variant.runs
  return CAPTION.format(
    offset=OFFSET,
    head_start=config["head_start"],
    seeds=len(runs),
    samples=config["evaluation_samples"],
    floor=floor(config["evaluation_samples"]),
    seed=runs[0].seed,
  )


def figure(directory: Path, found: Sequence[Cell]) -> bytes:
  """A PNG: a row of three squares per game, see `CAPTION`."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  from gan_jax.data.line import the_line
  from gan_jax.metrics.line import floor
  from gan_jax.report.canvas import style
  from gan_jax.report.records import common_steps
  from gan_jax.report.statistics import band
  from gan_jax.runs.directory import read_arrays

  panels = list(dict.fromkeys(cell.panel for cell in found))
  penalties = list(dict.fromkeys(cell.penalty for cell in found))
  colours = {name: "black" if name == "none" else style(i - 1).colour for i, name in enumerate(penalties)}
  least = floor(found[0].variant.config["evaluation_samples"])
  whole = Figure(figsize=(11, 3.5 * len(panels) + 0.5), dpi=110, layout="constrained")
  grid = whole.subplots(len(panels), 3, squeeze=False)
  where = the_line()
  for row, panel in zip(grid, panels, strict=True):
    for axes, loss in zip(row, LOSSES, strict=False):
      for cell in (c for c in found if (c.panel, c.loss) == (panel, loss)):
        steps, values = common_steps(cell.variant.counted, QUALITY)
        if not len(steps):
          continue
        centre, low, high = band(values, log=True)
        axes.plot(steps, centre, color=colours[cell.penalty], linewidth=1.4)
        axes.fill_between(steps, low, high, color=colours[cell.penalty], alpha=0.12, linewidth=0)
      axes.axhline(least, color="0.4", linewidth=1, linestyle=":")
      head_start = found[0].variant.config["head_start"]
      axes.axvline(head_start, color="0.6", linewidth=0.8)
      axes.set(yscale="log", xlabel="step")
      axes.set_title(f"{panel}: {loss}", fontsize=9)
      axes.grid(alpha=0.15)
    row[0].set_ylabel("Wasserstein distance from the data")
    row[0].sharey(row[1])
    axes = row[2]
    ends = np.stack([where.centre + t * where.direction for t in (-3, 3)])
    axes.plot(*ends.T, color="black", linewidth=1)
    for cell in (c for c in found if c.panel == panel):
      run = cell.variant.runs[0]
      file = directory / "samples" / run.group / f"{run.last_step:09d}.npz"
      points = read_arrays(file)["samples"][run.member][:100] if file.exists() else np.zeros((0, 2))
      marker = "x" if cell.loss == "minimax" else "."
      axes.scatter(*points.T, s=9, marker=marker, color=colours[cell.penalty], alpha=0.5, linewidths=0.7)
    axes.set(xlim=(-5, 3), ylim=(-3, 5), aspect="equal")
    axes.set_title("where they end", fontsize=9)
  handles = [grid[0, 0].plot([], [], color=colours[name], label=f"penalty: {name}")[0] for name in penalties]
  whole.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
  buffer = io.BytesIO()
  FigureCanvasAgg(whole).print_png(buffer)
  return buffer.getvalue()


if __name__ == "__main__":
  command.run(main)
