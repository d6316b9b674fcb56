"""Reads the files of the Lipschitz study, one record per bound and loss, and draws them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan_jax.report import records
from gan_jax.report.canvas import style
from gan_jax.report.statistics import Paired, band, paired_ratio
from gan_jax.runs.directory import read_arrays

QUALITY = "frechet/distance"


class Cell(NamedTuple):
  """One loss under one bound, with values by seed; `quality` without diverged runs."""

  panel: str
  loss: str  # the name without its temperature
  constant: float  # K, 1 / temperature; NaN where the bound is not spectral
  weight: float  # of R1; NaN likewise
  steps: int
  runs: int
  diverged: int
  quality: dict[int, float]
  untrained: float  # its mean before the first step
  range: dict[int, float]  # the largest logit in the loss
  cosine: dict[int, float]  # the least cosine between the gradients of two compared losses


class Fixed(NamedTuple):
  """All registered losses on networks that were trained without a bound; `k` is the largest logit."""

  names: list[str]
  k: np.ndarray  # [K]
  cosine: np.ndarray  # [seeds, K, losses], with `wasserstein`
  ratio: np.ndarray  # [seeds, K, losses], of the largest logit weight to the smallest


def read(directory: Path) -> tuple[list[Cell], Fixed]:
  """Raises `BadInput` for files that are missing or damaged."""
  study, arrays = records.read(directory), read_arrays(directory / "lens.npz")
  place = {run.id: i for i, run in enumerate(study.runs)}
  cells = [
    _cell(panel.title, variant, arrays, place, study.runs) for panel in study.panels for variant in panel.variants
  ]
  fixed = Fixed([str(n) for n in arrays["names"]], arrays["ranges"], arrays["fixed/cosine"], arrays["fixed/ratio"])
  return cells, fixed


def _cell(title: str, variant: records.Variant, arrays: dict, place: dict[str, int], runs: tuple) -> Cell:
  config = variant.config
  seen = {run.seed: place[run.id] for run in variant.runs}
  # A gradient that is zero or not finite in float32 has no direction: its pairs are left out.
  cosines = {seed: float(np.nanmin(arrays["own/cosine"][i])) for seed, i in seen.items()}
  first = [run.quality.columns[QUALITY][0] for run in variant.runs if len(run.quality.columns.get(QUALITY, ()))]
  spectral, penalised = config["weight_constraint"] == "spectral", config["penalty"] != "none"
  return Cell(
    title,
    config["loss"].removeprefix("temperature(").removesuffix(")"),
    1 / config["loss_options"].get("temperature", 1.0) if spectral else float("nan"),
    config["penalty_weight"] if penalised else float("nan"),
    config["steps"],
    len(variant.runs),
    len(variant.runs) - len(variant.counted),
    {run.seed: records.final(run, QUALITY) for run in variant.counted},
    float(np.mean(first)) if first else float("nan"),
    {seed: float(arrays["own/range"][i]) for seed, i in seen.items()},
    cosines,
  )


def spread(cells: Sequence[Cell]) -> Paired | None:
  """The worst loss's Frechet distance over the best one's, by seed: geometric mean and its 95 % interval."""
  seeds = sorted({seed for cell in cells for seed in cell.quality})
  values = {seed: [c.quality[seed] for c in cells if np.isfinite(c.quality.get(seed, np.nan))] for seed in seeds}
  values = {seed: found for seed, found in values.items() if len(found) > 1}
  return paired_ratio({s: max(v) for s, v in values.items()}, {s: min(v) for s, v in values.items()})


def figure(cells: Sequence[Cell], fixed: Fixed, compared: Sequence[str]) -> bytes:
  """A PNG of six squares; the caption is the study's."""
  colours = {name: style(i).colour for i, name in enumerate(compared)}
  whole = Figure(figsize=(13, 8), dpi=95, layout="constrained")
  grid = whole.subplots(2, 3)
  _fixed(grid[0, 0], grid[0, 1], fixed, colours)
  for field, label, cosines, distances in (
    ("constant", "K, the discriminator's Lipschitz constant", grid[0, 2], grid[1, 0]),
    ("weight", "weight of R1", grid[1, 1], grid[1, 2]),
  ):
    own = [cell for cell in cells if np.isfinite(getattr(cell, field))]
    for name, colour in colours.items():
      line = sorted((cell for cell in own if cell.loss == name), key=lambda cell: getattr(cell, field))
      x = np.array([getattr(cell, field) for cell in line])
      _line(cosines, x, [cell.cosine for cell in line], colour, False)
      _line(distances, x, [cell.quality for cell in line], colour, True)
    cosines.set(xscale="log", xlabel=label, ylim=(-1.05, 1.05), title="trained: least cosine of two losses")
    distances.set(xscale="log", yscale="log", xlabel=label, title="trained: final Frechet distance")
    if field == "weight":
      cosines.invert_xaxis()
      distances.invert_xaxis()
  for axes in grid.flat:
    axes.grid(alpha=0.15)
  handles = [grid[0, 0].plot([], [], color=colour, label=name)[0] for name, colour in colours.items()]
  handles.append(grid[0, 0].plot([], [], color="0.75", linewidth=0.8, label="other losses")[0])
  handles.append(grid[0, 1].plot([], [], color="black", linewidth=1, dashes=(1, 1.5), label="exact bounds")[0])
  whole.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
  buffer = io.BytesIO()
  FigureCanvasAgg(whole).print_png(buffer)
  return buffer.getvalue()


def _fixed(cosines: Axes, ratios: Axes, fixed: Fixed, colours: dict[str, str]) -> None:
  for i, name in enumerate(fixed.names):
    centre, low, high = band(fixed.cosine[:, :, i], log=False)
    named = name in colours
    cosines.plot(
      fixed.k, centre, color=colours.get(name, "0.8"), linewidth=1.5 if named else 0.7, zorder=2 if named else 1
    )
    if named:
      cosines.fill_between(fixed.k, low, high, color=colours[name], alpha=0.13, linewidth=0)
      ratios.plot(fixed.k, fixed.ratio[:, :, i].max(axis=0), color=colours[name], linewidth=1.5)
  k = np.geomspace(fixed.k[0], min(fixed.k[-1], 60.0), 200)
  ratios.plot(k, np.exp(k), color="black", linewidth=1, dashes=(1, 1.5))
  below = k[k < 0.999]
  ratios.plot(below, (1 + below) / (1 - below), color="black", linewidth=1, dashes=(1, 1.5))
  label = "k, the largest scaled logit"
  cosines.set(xscale="log", xlabel=label, ylim=(-1.05, 1.05), title="fixed networks: cosine with wasserstein")
  ratios.set(xscale="log", yscale="log", xlabel=label, ylim=(0.8, 1e8), title="fixed: largest over smallest weight")


def _line(axes: Axes, x: np.ndarray, values: Sequence[dict[int, float]], colour: str, log: bool) -> None:
  """Draws means and ranges over the seeds that have values; a diverged run has none."""
  found = [np.array([v for v in by_seed.values() if np.isfinite(v)]) for by_seed in values]
  there = [i for i, v in enumerate(found) if len(v)]
  if not there:
    return
  bands = [band(found[i][:, None], log) for i in there]
  centre, low, high = (np.concatenate([b[j] for b in bands]) for j in range(3))
  axes.plot(x[there], centre, color=colour, linewidth=1.4, marker=".")
  axes.fill_between(x[there], low, high, color=colour, alpha=0.13, linewidth=0)
