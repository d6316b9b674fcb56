"""Pictures of two-player dynamics, one square per game: arrows of one step, and the path of a run."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from gan_jax.report.canvas import COLOURS

COLUMNS = 8
COLOUR_OF = {"converges": COLOURS[2], "circles": COLOURS[0], "diverges": COLOURS[4], "stops": COLOURS[1]}


class Game(NamedTuple):
  title: str  # two short lines at most
  outcome: str  # a key of COLOUR_OF
  path: np.ndarray  # [T, 2] of (theta, psi)
  points: np.ndarray  # [K, 2] where the arrows start
  arrows: np.ndarray  # [K, 2] the change that one step makes at each point


def figure(games: Sequence[Game], title: str) -> bytes:
  """A PNG. Every game is drawn on the same square with the equilibrium in its middle; arrows have equal length."""
  rows = -(-len(games) // COLUMNS)
  whole = Figure(figsize=(1.75 * COLUMNS, 2.05 * rows + 0.7), dpi=90, layout="constrained")
  axes = whole.subplots(rows, COLUMNS, squeeze=False).ravel()
  for axis in axes[len(games) :]:
    axis.set_visible(False)
  for axis, game in zip(axes, games, strict=False):
    lengths = np.linalg.norm(game.arrows, axis=1, keepdims=True)
    unit = np.divide(game.arrows, lengths, out=np.zeros_like(game.arrows), where=lengths > 0)
    axis.quiver(*game.points.T, *unit.T, color="0.75", angles="xy", pivot="mid", scale=14, width=0.008)
    path = np.where(np.isfinite(game.path), game.path, np.nan).clip(-50, 50)
    fade = np.linspace(0.25, 1, max(len(path) - 1, 1))
    segments = np.stack([path[:-1], path[1:]], axis=1)
    axis.add_collection(LineCollection(list(segments), colors=COLOUR_OF[game.outcome], alpha=fade, linewidths=1.1))
    axis.plot(*path[0], "o", color=COLOUR_OF[game.outcome], markersize=3)
    axis.plot(0, 0, "+", color="black", markersize=6)
    axis.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], aspect="equal")
    axis.set_title(game.title, fontsize=6.5)
  handles = [axes[0].plot([], [], color=colour, label=name)[0] for name, colour in COLOUR_OF.items()]
  whole.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
  whole.suptitle(title, fontsize=10)
  buffer = io.BytesIO()
  FigureCanvasAgg(whole).print_png(buffer)
  return buffer.getvalue()
