"""Reads the files of the frozen-generator study, one record per dataset and stage, and draws them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from gan_jax.report import records
from gan_jax.report.canvas import COLOURS
from gan_jax.report.statistics import TINY, band
from gan_jax.runs import Table, read_arrays

from .tails import Tails, standardised, tails

LAST = 5  # number of last rows from which a run's end is measured
SURE = 0.99  # of accuracy
SURE_ROWS = 3  # successive rows whose mean accuracy must reach it
FRESH, TRAINED = 0, 1  # discriminators, the first axis of what `gradients/` holds
DISTRIBUTIONS = {FRESH: "0.6", TRAINED: "#B5121B"}  # none of the stages' colours
DISCRIMINATORS = "discriminators"  # the directory of the study that they are trained in
FINER = ", finer rows"  # ends the panel of runs that repeat the first steps of others with more rows
SHOWN = 12.0  # range of the distribution shown, in half interquartile ranges to either side


class Stage(NamedTuple):
  """The discriminators that were trained against one stage of one dataset's generators; seeds in order."""

  dataset: str
  title: str
  runs: tuple[records.Run, ...]
  norm: np.ndarray  # [2, seeds, losses]: of the mean gradient over many batches, minimax and non-saturating
  noise: np.ndarray  # [2, seeds, losses]: root of the trace of one batch's covariance
  values: np.ndarray  # [2, seeds, batches, coordinates], of the non-saturating gradient


def read(out: Path) -> list[Stage]:
  """The stages of a study. Raises `BadInput` for missing or damaged files."""
  directory = out / DISCRIMINATORS
  arrays, stages = {}, []
  study = records.read(directory)
  finer = {(run.config["panel"], run.seed): run for run in study.runs if run.config["panel"].endswith(FINER)}
  for panel in study.panels:
    counted = panel.variants[0].counted
    if not counted or panel.title.endswith(FINER):
      continue
    name, members = counted[0].config["dataset"], [run.member for run in counted]
    if name not in arrays:
      arrays[name] = read_arrays(directory / "gradients" / f"{name}.npz")
    own = [arrays[name][key][:, members] for key in ("norm", "noise", "values")]
    joined = tuple(_joined(finer[run.config["panel"] + FINER, run.seed], run) for run in counted)
    stages.append(Stage(name, panel.title.removeprefix(f"{name}, "), joined, *own))
  return stages


def _joined(finer: records.Run, run: records.Run) -> records.Run:
  """The run with the rows of the finer run where there are any."""
  later = run.rows.steps >= finer.config["steps"]
  steps = np.concatenate([finer.rows.steps, run.rows.steps[later]])
  columns = {
    name: np.concatenate([finer.rows.columns[name], values[later]]) for name, values in run.rows.columns.items()
  }
  return run._replace(rows=Table(steps, columns))


def end(run: records.Run, metric: str) -> float:
  """The median of its last rows."""
  return float(np.median(run.rows.columns[metric][-LAST:]))


def decades(run: records.Run, metric: str) -> float:
  """log10 of the end over the first row; zero counts as the smallest normal float32."""
  return float(np.log10(max(end(run, metric), TINY)) - np.log10(max(float(run.rows.columns[metric][0]), TINY)))


def sure_from(run: records.Run) -> float:
  """The first step from which the mean accuracy of three successive rows is at least 0.99; NaN where it never is."""
  accuracy = run.rows.columns["disc/accuracy"]
  means = np.convolve(accuracy, np.ones(SURE_ROWS) / SURE_ROWS, "valid")
  found = np.flatnonzero(means >= SURE - 1e-6)
  return float(run.rows.steps[found[0]]) if len(found) else float("nan")


def tails_of(stage: Stage, which: int) -> list[Tails]:
  """By seed: the mean over coordinates."""
  found = [[tails(column) for column in values.T] for values in stage.values[which]]
  return [Tails(*(float(np.mean([t[i] for t in seed])) for i in range(3))) for seed in found]


def measures(stage: Stage) -> dict[str, list[float]]:
  """The measurements of a stage, by seed."""
  fresh, trained = (tails_of(stage, which) for which in (FRESH, TRAINED))
  noise = np.log10(stage.noise[TRAINED] / stage.noise[FRESH])
  relative = stage.noise / stage.norm
  return {
    "accuracy 0.99 at step": [sure_from(run) for run in stage.runs],
    "accuracy": [end(run, "disc/accuracy") for run in stage.runs],
    "D loss": [end(run, "disc/loss") for run in stage.runs],
    "AUC, held out": [end(run, "disc/auc_held_out") for run in stage.runs],
    "minimax, decades": [decades(run, "lens/norm/minimax") for run in stage.runs],
    "non-saturating, decades": [decades(run, "lens/norm/non_saturating") for run in stage.runs],
    "its noise, decades": list(noise[:, 1]),
    "noise / size, fresh": list(relative[FRESH, :, 1]),
    "noise / size, trained": list(relative[TRAINED, :, 1]),
    "Cauchy less Gaussian, fresh (nats)": [t.advantage for t in fresh],
    "Cauchy less Gaussian, trained (nats)": [t.advantage for t in trained],
    "KS to Cauchy": [t.cauchy for t in trained],
    "KS to Gaussian": [t.gaussian for t in trained],
  }


def figure(stages: Sequence[Stage]) -> bytes:
  """A PNG: a row of five squares per dataset; the caption is the study's."""
  datasets = list(dict.fromkeys(stage.dataset for stage in stages))
  whole = Figure(figsize=(17, 3.3 * len(datasets) + 0.7), dpi=90, layout="constrained")
  grid = whole.subplots(len(datasets), 5, squeeze=False)
  columns = (
    ("disc/loss", "discriminator's loss", True),
    ("disc/accuracy", "its accuracy", False),
    ("lens/norm/minimax", "|gradient|, minimax", True),
    ("lens/norm/non_saturating", "|gradient|, non-saturating", True),
  )
  titles: dict[str, str] = {}
  for row, dataset in zip(grid, datasets, strict=True):
    own = [stage for stage in stages if stage.dataset == dataset]
    for axes, (metric, title, log) in zip(row, columns, strict=False):
      for i, stage in enumerate(own):
        titles.setdefault(COLOURS[i % len(COLOURS)], stage.title)
        _curve(axes, stage, metric, log, COLOURS[i % len(COLOURS)])
      axes.set(xscale="log", xlabel="discriminator's step, from 1", title=f"{dataset}: {title}")
      if log:
        axes.set_yscale("log")
      axes.grid(alpha=0.15)
    row[1].set_ylim(0.45, 1.02)
    _distribution(row[4], own[-1], dataset)
  handles = [grid[0, 0].plot([], [], color=colour, label=title)[0] for colour, title in titles.items()]
  handles += [
    *(
      grid[0, 4].plot([], [], color=colour, label=f"{'trained' if which == TRAINED else 'fresh'} discriminator")[0]
      for which, colour in DISTRIBUTIONS.items()
    ),
    grid[0, 4].plot([], [], color="black", linewidth=1, label="Cauchy")[0],
    grid[0, 4].plot([], [], color="black", linewidth=1, dashes=(3, 2), label="Gaussian")[0],
  ]
  whole.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=10)
  buffer = io.BytesIO()
  FigureCanvasAgg(whole).print_png(buffer)
  return buffer.getvalue()


def _curve(axes: Axes, stage: Stage, metric: str, log: bool, colour: str) -> None:
  steps, values = records.common_steps(stage.runs, metric)
  if not len(steps):
    return
  centre, low, high = band(values, log)
  axes.plot(steps + 1, centre, color=colour, linewidth=1.3)
  axes.fill_between(steps + 1, low, high, color=colour, alpha=0.13, linewidth=0)


def _distribution(axes: Axes, stage: Stage, dataset: str) -> None:
  """All coordinates of all seeds, each scaled by its own median and quartiles, with a Cauchy and a Gaussian density."""
  edges = np.linspace(-SHOWN, SHOWN, 61)
  for which, colour in DISTRIBUTIONS.items():
    scaled = np.concatenate([standardised(values).ravel() for values in stage.values[which]])
    counts, _ = np.histogram(scaled, edges)
    heights = np.where(counts > 0, counts / (len(scaled) * (edges[1] - edges[0])), np.nan)
    axes.stairs(heights, edges, color=colour, linewidth=1.4, baseline=None)
  x = np.linspace(-SHOWN, SHOWN, 400)
  axes.plot(x, stats.cauchy.pdf(x), color="black", linewidth=1)
  axes.plot(x, stats.norm(scale=1 / stats.norm.ppf(0.75)).pdf(x), color="black", linewidth=1, dashes=(3, 2))
  axes.set(yscale="log", ylim=(1e-5, 1), xlabel="coordinate, in half quartile ranges")
  axes.set_title(f"{dataset}: density of a coordinate")
  axes.grid(alpha=0.15)
