"""A figure that was made for the page, changed to the width of a paper's column.

Letters get the paper's size, heights shrink as the letters do, and the axes take what the letters around them leave.
"""

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from gan_jax.report import canvas

POINTS, SMALLEST = 8.0, 6.0  # letters on axes; the smallest of all
PAD = 0.02  # inches around everything
LEAST = 0.25  # of the figure, which the axes get however long names are
ROUNDS = 2  # letters move with the axes, so their place is found in two rounds


def fit(figure: Figure, width: float) -> None:
  """Change a figure in place: `width` inches wide, everything within it.

  A picture without letters (its gid is `fixed`) keeps its shape.
  """
  wide, tall = figure.get_size_inches()
  if figure.get_gid() == "fixed":
    figure.set_size_inches(width, tall * width / wide)
    return
  scale = POINTS / canvas.RC["font.size"]
  squeezed = min(1.0, width / (wide * scale))  # how much narrower than tall it becomes
  inside = {id(text) for axes in figure.axes for text in axes.texts if text.get_transform() is axes.transData}
  for text in figure.findobj(Text):
    size = text.get_fontsize() * scale
    text.set_fontsize(max(size * squeezed, 4.5) if id(text) in inside else max(size, SMALLEST))
  figure.set_size_inches(width, tall * scale)
  renderer = FigureCanvasAgg(figure).get_renderer()
  for _ in range(ROUNDS):
    _spread(figure, renderer)


def _spread(figure: Figure, renderer: Any) -> None:
  """Move and stretch all axes together, so that they and what is written around them fill the figure."""
  size = figure.get_size_inches()
  box = figure.get_tightbbox(renderer)  # inches
  places = [axes.get_position() for axes in figure.axes]
  low = np.min([place.min for place in places], axis=0)
  high = np.max([place.max for place in places], axis=0)
  before, after = low * size - box.min, box.max - high * size
  new_low = (before + PAD) / size
  new_high = np.maximum(1 - (after + PAD) / size, new_low + LEAST)
  stretch = (new_high - new_low) / (high - low)
  for axes, place in zip(figure.axes, places, strict=True):
    corner, end = new_low + (place.min - low) * stretch, new_low + (place.max - low) * stretch
    axes.set_position((*corner, *(end - corner)))
