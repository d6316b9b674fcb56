"""The figure of the divergence landscape: gradients of many losses over the distance, a panel per family."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from gan_jax.report import canvas

# Okabe and Ito's colours, by the trend of the gradient.
VERDICTS = {
  "saturates": "#D55E00",
  "bounded": "#009E73",
  "grows": "#0072B2",
  "explodes": "#CC79A7",
  "wrong sign": "#8C8C8C",
  "no slope": "#8C8C8C",
  "no optimum": "#8C8C8C",
}
PLAIN = ("#333333", "#7B4FC9", "#7A6A00", "#999999", "#B5121B")  # for curves of losses, which have no verdict
GRADIENTS = (1e-10, 1e6)  # the range of the axis; exploding gradients leave it
LOSSES = (-2.2, 2.2)
PANEL = (5.0, 2.9)  # inches, half of it for the names
SPACING = 0.058  # of names, in heights of a panel
COLUMNS = 2


class Series(Protocol):
  """Values over the distances, [M] each; `seen` is the part of `gradient` from fakes that a batch contains."""

  @property
  def discriminator(self) -> np.ndarray: ...
  @property
  def gradient(self) -> np.ndarray: ...
  @property
  def seen(self) -> np.ndarray: ...


class Curve(NamedTuple):
  """One loss. `label` is its name in its panel, `verdict` that on `seen`; `values` is None where there is no optimum."""

  name: str
  label: str
  panel: str
  verdict: str
  values: Series | None


def figure(curves: Sequence[Curve], distances: np.ndarray) -> bytes:
  """A standalone SVG: one panel of gradients for each of the curves' panels, and one of the discriminator's losses."""
  panels: dict[str, list[Curve]] = {}
  for curve in curves:
    panels.setdefault(curve.panel, []).append(curve)
  rows = -(-(len(panels) + 1) // COLUMNS)
  style = {**canvas.RC, "figure.facecolor": "white", "svg.hashsalt": "landscape", "font.size": 8}
  style["font.sans-serif"] = ["DejaVu Sans"]  # matplotlib's own; otherwise every text lists a dozen
  with matplotlib.rc_context(style):
    drawing = Figure(figsize=(PANEL[0] * COLUMNS, PANEL[1] * rows + 0.4))
    FigureCanvasSVG(drawing)
    grid = drawing.subplots(rows, COLUMNS, squeeze=False)
    top = 1 - 0.62 / drawing.get_figheight()
    drawing.subplots_adjust(0.06, 0.5 / drawing.get_figheight(), 0.79, top, wspace=1.05, hspace=0.34)
    for axes, (title, members) in zip(grid.flat, panels.items(), strict=False):
      _gradients(axes, title, members, distances)
    # The loss of an f-GAN is minus its divergence, and most would leave the axis.
    _losses(grid.flat[len(panels)], [c for c in curves if "f-GAN" not in c.panel] or curves, distances)
    for axes in grid.flat[len(panels) + 1 :]:
      axes.set_visible(False)
    _legend(drawing, {curve.verdict for curve in curves if curve.values is not None})
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
  return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", buffer.getvalue()).encode()


def _gradients(axes: Axes, title: str, curves: Sequence[Curve], distances: np.ndarray) -> None:
  """Draws for every loss the part that a batch sees, and dotted the whole gradient."""
  low, high = GRADIENTS
  axes.set(xscale="log", yscale="log", xlim=(distances[0], distances[-1]), ylim=GRADIENTS)
  labels = []
  for curve in curves:
    colour = VERDICTS[curve.verdict]
    if curve.values is None:
      labels.append((-math.inf, f"{curve.label}: no optimum", colour))
      continue
    end = abs(float(curve.values.seen[-1]))
    if curve.values.gradient.any():
      axes.plot(distances, np.abs(curve.values.gradient), color=colour, linewidth=1, dashes=(1, 1.5))
      axes.plot(distances, np.abs(curve.values.seen), color=colour, linewidth=1.5)
    note = "" if low < end < high else f" ({end:.0e})".replace("e+", "e") if end else ": 0"
    height = math.log(end / low) / math.log(high / low) if end else -math.inf
    labels.append((height, curve.label + note, colour))
  _write(axes, labels)
  axes.set_title(title, fontsize=9, loc="left")
  axes.set_yticks([1e-8, 1e-4, 1, 1e4])
  axes.yaxis.set_minor_locator(NullLocator())
  _distance_axis(axes, distances)


def _losses(axes: Axes, curves: Sequence[Curve], distances: np.ndarray) -> None:
  """Draws the discriminators' least losses; equal curves once, under the first name."""
  axes.set(xscale="log", xlim=(distances[0], distances[-1]), ylim=LOSSES)
  distinct: dict[str, np.ndarray] = {}
  for curve in curves:
    losses = None if curve.values is None else curve.values.discriminator
    if losses is not None and not any(np.allclose(losses, other, rtol=1e-6) for other in distinct.values()):
      distinct[curve.name] = losses
  labels = []
  for i, (name, losses) in enumerate(distinct.items()):
    colour, dash = PLAIN[i % len(PLAIN)], canvas.DASHES[i // len(PLAIN) % len(canvas.DASHES)]
    axes.plot(distances, losses, color=colour, linewidth=1.3, dashes=dash or (None, None))
    labels.append((float(losses[-1] - LOSSES[0]) / (LOSSES[1] - LOSSES[0]), name, colour))
  axes.set_title("least loss of the discriminator", fontsize=9, loc="left")
  _write(axes, labels)
  _distance_axis(axes, distances)


def _write(axes: Axes, labels: list[tuple[float, str, str]]) -> None:
  """Labels right of the panel, beside their heights (the panel is 0 to 1), moved apart where they would touch."""
  placed: list[float] = []
  ordered = sorted(labels, key=lambda label: label[0])
  ends = [min(max(height, 0.0), 1.0) for height, _, _ in ordered]
  for height in ends:
    placed.append(max(height, placed[-1] + SPACING) if placed else height)
  ceiling = 1.0
  for i in reversed(range(len(placed))):
    placed[i] = min(placed[i], ceiling)
    ceiling = placed[i] - SPACING
  for height, (_, text, colour), y in zip(ends, ordered, placed, strict=True):
    axes.annotate(
      text,
      (1, height),
      (1.12, y),
      xycoords="axes fraction",
      textcoords="axes fraction",
      va="center",
      fontsize=6.8,
      color=colour,
      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0},
      annotation_clip=False,
    )


def _distance_axis(axes: Axes, distances: np.ndarray) -> None:
  axes.set_xticks([t for t in (0.01, 0.1, 0.25, 0.5, 1, 2, 4, 8) if distances[0] <= t <= distances[-1]])
  axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
  axes.xaxis.set_minor_formatter(NullFormatter())
  axes.set_xlabel("distance of the fakes from the data", labelpad=1)


def _legend(drawing: Figure, verdicts: set[str]) -> None:
  words: Mapping[str, str] = {name: colour for name, colour in VERDICTS.items() if name in verdicts}
  height = 1 - 0.2 / drawing.get_figheight()
  drawing.text(0.06, height, "gradient from fakes in a batch:", fontsize=8.5, va="center")
  for i, (name, colour) in enumerate(words.items()):
    drawing.text(0.3 + 0.085 * i, height, name, fontsize=8.5, color=colour, va="center", weight="bold")
  drawing.text(0.3 + 0.085 * len(words), height, "dotted: of all fakes", fontsize=8.5, va="center")
