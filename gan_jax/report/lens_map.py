"""The loss lens as a heat map: the generator gradient that every loss would have given, over the steps of a run."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from gan_jax.report import canvas
from gan_jax.report.canvas import styled
from gan_jax.report.records import Run, common_steps
from gan_jax.report.statistics import TOTAL

CELLS = 60  # columns of the map: steps are averaged in so many groups
WIDEST = 8.0  # decades of the colour bar to either side
SAME = 1e-3  # relative difference up to which two losses share a line
WIDTH, LINE, HEAD, FOOT = 4.2, 0.17, 0.12, 0.42  # inches: of the picture, one loss, above, below
LEAST = 0.55  # inches of all lines: room for the three numbers of a colour bar
NAMES, BAR = 0.45, 0.15  # shares of the width: for the names, for the colour bar and its numbers
MISSING = "#8C8C8C"


class Map(NamedTuple):
  """A line is a group of losses with equal gradients; a cell is a mean over neighbouring steps and over runs."""

  steps: np.ndarray  # [T]
  groups: tuple[tuple[str, ...], ...]  # [L]
  norms: np.ndarray  # [L, T]: log10 of the gradient's norm over that of the loss in use
  cosines: np.ndarray  # [L, T]: with non_saturating's gradient


def look(members: tuple[Run, ...]) -> Map | None:
  """The map of the mean of these runs, the line of largest norm first; None where the lens measured none."""
  columns = members[0].rows.columns if members else {}
  names = [n.removeprefix("lens/norm/") for n in columns if re.fullmatch(r"lens/norm/[A-Za-z0-9_]+", n)]
  in_use = _mean_log(members, TOTAL)
  if not names or in_use is None:
    return None
  steps, reference = in_use
  norms, cosines = {}, {}
  for name in names:
    found = _mean_log(members, f"lens/norm/{name}")
    there, values = common_steps(members, f"lens/cosine_non_saturating/{name}")
    if found is None or not np.array_equal(found[0], steps) or not np.array_equal(there, steps):
      continue
    with np.errstate(invalid="ignore"):  # zero over zero
      norms[name], cosines[name] = found[1] - reference, values.mean(0)
  groups = _alike(norms, cosines)
  if not groups:
    return None
  groups.sort(key=lambda group: -np.nan_to_num(_mean(norms[group[0]])))
  cells = np.array_split(np.arange(len(steps)), min(CELLS, len(steps)))
  mean = lambda x: np.asarray([_mean(x[cell]) for cell in cells])  # noqa: E731
  return Map(
    np.asarray([steps[cell[0]] for cell in cells]),
    tuple(groups),
    np.stack([mean(norms[group[0]]) for group in groups]),
    np.stack([mean(cosines[group[0]]) for group in groups]),
  )


def norm_figure(found: Map, name: str) -> str:
  """How many times the norm in use: blue where a loss would have given less, red where more."""
  seen = _finite(found.norms)
  widest = min(WIDEST, max(1.0, float(np.nanmax(np.abs(seen))) if np.isfinite(seen).any() else 1.0))
  return _figure(found, np.clip(found.norms, -WIDEST, WIDEST), (-widest, widest), "RdBu_r", name, canvas.factor_text)


def cosine_figure(found: Map, name: str) -> str:
  """The cosine with the non-saturating gradient: 1, the same direction; 0, perpendicular; -1, the opposite direction."""
  return _figure(found, found.cosines, (-1.0, 1.0), "PuOr_r", name, canvas.change_text)


def _figure(found: Map, values: np.ndarray, scale: tuple[float, float], colours: str, name: str, said: Any) -> str:
  lines = max(LINE * len(found.groups), LEAST)
  height = HEAD + lines + FOOT
  with styled(name, grid=False):
    drawing = Figure(figsize=(WIDTH, height))
    below, tall = FOOT / height, lines / height
    axes = drawing.add_axes((NAMES, below, 1 - NAMES - BAR - 0.02, tall))
    colour = matplotlib.colormaps[colours].with_extremes(bad=MISSING)
    ends = (-0.5, len(found.steps) - 0.5, len(found.groups) - 0.5, -0.5)
    drawn = axes.imshow(values, colour, vmin=scale[0], vmax=scale[1], aspect="auto", interpolation="none", extent=ends)
    axes.set_yticks(range(len(found.groups)), [label(group) for group in found.groups], fontsize=8)
    axes.tick_params(length=0)
    _step_axis(axes, found.steps)
    bar = drawing.colorbar(drawn, cax=drawing.add_axes((1 - BAR, below, 0.025, tall)))
    bar.ax.tick_params(labelsize=8.5)
    if lines > 2 * LEAST:
      bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=scale[1] > 1, steps=[1, 2, 5, 10]))
    else:  # both ends and the middle; rounded towards zero, so that they are on the bar
      end = math.floor(scale[1]) or scale[1]
      bar.ax.yaxis.set_major_locator(FixedLocator([-end, 0, end]))
    bar.ax.yaxis.set_major_formatter(said)
    text = canvas.svg(drawing, name)
  return text.replace("<image ", '<image style="image-rendering: pixelated" ')


def label(group: Sequence[str], longest: int = 30) -> str:
  """The name of a line: `hinge, wasserstein + 3`."""
  for shown in range(min(2, len(group)), 0, -1):
    rest = f" + {len(group) - shown}" if len(group) > shown else ""
    text = ", ".join(group[:shown]) + rest
    if len(text) <= longest:
      return text
  return canvas.plain(group[0], longest - 4) + rest


def _step_axis(axes: Axes, steps: np.ndarray) -> None:
  last = len(steps) - 1
  places = sorted({round(last * share) for share in (0, 0.5, 1)})
  axes.set_xticks(places, [f"{steps[p]:,.0f}" for p in places], fontsize=8.5)
  axes.set_xlabel("step", labelpad=1)


def _alike(norms: Mapping[str, np.ndarray], cosines: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
  groups: list[list[str]] = []
  for name in sorted(norms, key=len):  # the shortest name stands for its line
    for group in groups:
      first = group[0]
      near = np.allclose(norms[name], norms[first], rtol=0, atol=SAME, equal_nan=True)
      if near and np.allclose(cosines[name], cosines[first], rtol=0, atol=SAME, equal_nan=True):
        group.append(name)
        break
    else:
      groups.append([name])
  return [tuple(group) for group in groups]


def _mean_log(members: tuple[Run, ...], metric: str) -> tuple[np.ndarray, np.ndarray] | None:
  """(steps, log10 of the geometric mean over runs); a zero is -inf, and what is not finite NaN."""
  steps, values = common_steps(members, metric)
  if values.shape[0] == 0 or not len(steps):
    return None
  with np.errstate(divide="ignore", invalid="ignore"):
    logs = np.log10(np.where(np.isfinite(values), values, np.nan))
    return steps, logs.mean(0)


def _finite(x: np.ndarray) -> np.ndarray:
  return np.where(np.isfinite(x), x, np.nan)


def _mean(x: np.ndarray) -> float:
  """The mean of the values that are known; -inf, a gradient of zero, counts as the darkest colour."""
  x = np.clip(x[~np.isnan(x)], -2 * WIDEST, 2 * WIDEST)
  return float(x.mean()) if len(x) else float("nan")
