"""`launch.sh matched_gain [--config.field=value ...] [--out DIR]`: how much of "this loss is better" was a learning rate?

The losses of the main job, raw and as `matched_gain(loss)`: the generator's term times -0.5 / s, with s its slope at
logits 0, so that its slope there becomes that of `non_saturating`. The slopes of `least_squares`, `wasserstein`,
`hinge` and `relativistic_average` there are twice as large, those of the others equal. The discriminator's half is
unchanged.

Expected, before the run. We know of no paper that did this; two known facts determine it. Under gradient descent a
factor on the generator's term *is* a factor on its learning rate, so some of a raw difference is a learning rate there:
we expect the matched losses to come nearer to `non_saturating`. Adam's step does not change when the gradient is
multiplied by a number (Kingma and Ba 2015, arXiv:1412.6980, section 2.1), except for its epsilon of 1e-8: we expect the
gain to explain nothing, and matched runs to differ from raw ones only as reseeded runs do. Under Adam, then, the losses
differ by their shapes and not by their gains. R1 acts on the discriminator and is not scaled by the gain.

Ratios of final Frechet distances are geometric means over the seeds, paired, each with its own 95 % interval.
*Explained* is the share of the raw difference that matching removes, -log(matched / raw) / log(raw / non_saturating);
above 1 it removes more than the difference. It is given where the raw ratio is surely not 1, after Holm's correction
over the losses of the game. The discriminator's half has a gain too, which is not matched: what is unexplained under
gradient descent may still be the discriminator's learning rate.

Writes `matched_gain.png` and `table.md` beside the study's own report. About 3 minutes on 2 cores.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import command, tables
from ...sweep import conduct

METRIC, BASELINE = "frechet/distance", "non_saturating"
CAPTION = """\
The final Frechet distance of each loss over that of `non_saturating` (1, dashed: left is better), geometric mean and 95 %
interval over {seeds} paired seeds. Hollow: the loss as it is; filled: with its generator's gain matched. `{dataset}`, R1,
{steps:,} steps; left and right differ in the optimizer. Losses without a filled mark already have the gain of
`non_saturating`.
"""


class Row(NamedTuple):
  """One loss in one game."""

  panel: str
  loss: str
  gain: float  # the factor by which matching multiplies the generator's term
  raw: dict[int, float]  # final distance by seed
  matched: dict[int, float]  # the same where the gain is 1
  diverged: tuple[int, int]  # raw and matched runs
  versus: Any  # statistics.Paired: raw over the baseline, None for the baseline itself
  matched_versus: Any
  change: Any  # matched over raw; None where the gain is 1


def main(arguments: list[str]) -> None:
  directory = conduct("matched_gain", arguments)
  print(write(directory))


def write(directory: Path) -> str:
  """Figure and table of a study that has been run; returns the results, one line per loss and game."""
  from gan_jax.report import records
  from gan_jax.runs.directory import write_atomic

  read = records.read(directory)
  found = rows(read)
  write_atomic(directory / "matched_gain.png", figure(found))
  config = read.panels[0].variants[0].config
  seeds = max(len(row.raw) for row in found)
  caption = CAPTION.format(seeds=seeds, dataset=config["dataset"], steps=config["steps"])
  heading, lines = table(found)
  text = f"# Matched gain\n\n![Ratios](matched_gain.png)\n\n{caption}\n{tables.markdown(heading, lines)}"
  write_atomic(directory / "table.md", text.encode())
  said = [f"{line[0]:18} {line[1]:24} raw {line[5]:24} matched {line[6]:24} explained {line[8]}" for line in lines]
  return "\n".join([*said, f"figure: {directory / 'matched_gain.png'}", f"table:  {directory / 'table.md'}"])


def gain(loss: str) -> float:
  """-0.5 / s, s the slope of the generator's term at logits 0: 1 for `non_saturating`."""
  import jax
  import jax.numpy as jnp

  from gan_jax import losses

  zero = jnp.zeros(1)
  return -0.5 / float(jax.grad(lambda fake: losses.get(loss).generator(zero, fake).sum())(zero)[0])


def rows(study: Any) -> list[Row]:
  """A row for each loss of each panel, in the study's order."""
  from gan_jax.report.records import final
  from gan_jax.report.statistics import holm, paired_ratio

  found = []
  for panel in study.panels:
    variants = {variant.config["loss"]: variant for variant in panel.variants}
    distances = {name: {run.seed: final(run, METRIC) for run in variant.counted} for name, variant in variants.items()}
    lost = {name: len(variant.runs) - len(variant.counted) for name, variant in variants.items()}
    own = []
    for name in variants:
      if re.fullmatch(r"matched_gain\(.*\)", name):
        continue
      twin = f"matched_gain({name})"
      twin = twin if twin in variants else name
      raw, matched, base = distances[name], distances[twin], distances.get(BASELINE, {})
      versus, after = (None if name == BASELINE else paired_ratio(side, base) for side in (raw, matched))
      change = None if twin == name else paired_ratio(matched, raw)
      own.append(Row(panel.title, name, gain(name), raw, matched, (lost[name], lost[twin]), versus, after, change))
    corrected = holm([row.versus for row in own])
    found += [row._replace(versus=versus) for row, versus in zip(own, corrected, strict=True)]
  return found


def explained(row: Row) -> float | None:
  """The share of the raw difference that matching the gain removes; None where no raw difference is certain."""
  if row.versus is None or row.change is None or not row.versus.certain:
    return None
  return -float(np.log(row.change.mean) / np.log(row.versus.mean))  # of the raw runs' seeds, should one have diverged


def table(found: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
  """(heading, rows)."""
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import NOTHING, interval, number, plus_minus

  heading = [
    "game",
    "loss",
    "gain",
    "distance, raw",
    "distance, matched",
    f"raw over {BASELINE}",
    f"matched over {BASELINE}",
    "matched over raw",
    "explained",
  ]
  lines = []
  for row in found:
    said = [plus_minus(estimate(list(side.values()), log=True)) for side in (row.raw, row.matched)]
    said = [s + f" ({n} diverged)" * (n > 0) for s, n in zip(said, row.diverged, strict=True)]
    ratios = [NOTHING if r is None else interval(r) for r in (row.versus, row.matched_versus, row.change)]
    share = explained(row)
    same = row.change is None
    lines.append(
      [
        row.panel,
        f"`{row.loss}`",
        number(row.gain),
        said[0],
        "the same" if same else said[1],
        ratios[0],
        ("the same" if row.versus is not None else NOTHING) if same else ratios[1],
        ratios[2],
        NOTHING if share is None else f"{round(100 * share)}%",
      ]
    )
  return heading, lines


def figure(found: Sequence[Row]) -> bytes:
  """A PNG: a panel per game, a line per loss, see `CAPTION`."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.ticker import NullFormatter, ScalarFormatter

  panels = list(dict.fromkeys(row.panel for row in found))
  names = [name for name in dict.fromkeys(row.loss for row in found) if name != BASELINE]
  drawing = Figure(figsize=(5 * len(panels) + 1, 0.5 * len(names) + 1.4), dpi=110, layout="constrained")
  grid = drawing.subplots(1, len(panels), squeeze=False, sharey=True)[0]
  for axes, panel in zip(grid, panels, strict=True):
    for row in (row for row in found if row.panel == panel and row.loss != BASELINE):
      place = names.index(row.loss)
      for side, shift, fill in ((row.versus, -0.14, "white"), (row.matched_versus, 0.14, "C0")):
        if side is None or (fill == "C0" and row.change is None):
          continue
        y = place + shift * (row.change is not None)
        if np.isfinite(side.low):
          axes.plot([side.low, side.high], [y, y], color="C0", linewidth=1.3)
        axes.plot(side.mean, y, "o", color="C0", markerfacecolor=fill, markersize=6)
    axes.axvline(1, color="0.4", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel=f"Frechet distance over {BASELINE}'s", title=panel)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.grid(axis="x", alpha=0.2)
  grid[0].set_yticks(range(len(names)), names)
  grid[0].invert_yaxis()
  marks = [
    grid[0].plot([], [], "o", color="C0", markerfacecolor=fill, label=label)[0]
    for fill, label in (("white", "as it is"), ("C0", "gain matched"))
  ]
  drawing.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False)
  buffer = io.BytesIO()
  FigureCanvasAgg(drawing).print_png(buffer)
  return buffer.getvalue()


if __name__ == "__main__":
  command.run(main)
