"""The page's pictures as files for a paper: one width, one size of letters, fonts embedded. No jax import.

The page is drawn once more, and every figure is taken over before it becomes the page's SVG (`canvas.finished_by`). What
the page draws by hand, strips of verdicts and samples, is drawn here from the same data.
"""

import base64
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gan_jax import runs
from gan_jax.core.errors import BadInput, unknown
from gan_jax.report import canvas, figures, page, sections, timeline, verdicts
from gan_jax.report.charts import Chart
from gan_jax.report.comparison import Comparison
from gan_jax.report.fitting import fit
from gan_jax.report.records import Study

FORMATS = ("svg", "pdf", "png")
COLUMN = 3.3  # inches: the width of a column in a paper of two
NARROWEST, WIDEST = 2.0, 20.0  # inches
DPI = 600  # of PNG
# Type 42 embeds TrueType letters; publishers refuse type 3, matplotlib's default. SVG letters become paths, which look
# the same where the font is not installed.
RC: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "gan_jax"}
NAMES = r"captions\.txt|panel-\d+-.*\.(svg|pdf|png)"  # of the files
STRIP = 0.07  # inches, of one run


def write(study: Study, format: str, folder: Path, width: float = COLUMN) -> list[Path]:
  """Write each picture of the study's report as `panel-N-NAME.FORMAT`; returns their paths.

  `captions.txt` beside them says what each shows, in the page's words.

  Args:
    study: what is drawn.
    format: one of `FORMATS`.
    folder: where the files go; it is made where it is missing, and files of these names are replaced.
    width: of each picture, in inches; letters have 8 points, small ones less.

  Raises:
    BadInput: another format, a width that nothing fits into, or a file in the place of the folder.
    OSError: a file cannot be written.
  """
  if format not in FORMATS:
    raise unknown("format of figures", format, FORMATS)
  if not NARROWEST <= width <= WIDEST:
    raise BadInput(f"--width expected {NARROWEST:g} to {WIDEST:g} inches, got {width:g}")
  if folder.exists() and not folder.is_dir():
    raise BadInput(f"figures expected a folder, got the file {folder}")
  written: dict[str, Path] = {}  # by the name that stands for the picture on the page, which nobody sees
  captions: list[str] = []

  def take(figure: Figure, name: str) -> str:
    name_axis(figure, axis_title(name))
    path = folder / f"{slug(name)}.{format}"
    runs.write_atomic(path, saved(figure, format, width))
    written[name] = path
    return name

  with canvas.finished_by(take):
    for number, panel in enumerate(study.panels, 1):
      parts = page.parts(study, panel, number, figures)
      told = dict(_captions(parts)) | dict(_by_hand(parts, number, take))
      captions += [f"{written[n].name}: {panel.title}: {text}\n" for n, text in told.items() if n in written]
  runs.write_atomic(folder / "captions.txt", "".join(captions).encode("utf-8", "backslashreplace"))
  return list(written.values())


def axis_title(name: str) -> str:
  """What the vertical axis of the figure of this name shows; '' where the figure says it itself.

  >>> axis_title("panel 1: disc/auc, each"), axis_title("panel 1: verdicts")
  ('AUC of real against fake logits', '')
  """
  what = name.partition(": ")[2].removesuffix(", each")
  titles = {metric: caption for *_, wanted in sections.LAYOUT for metric, caption, *_ in wanted}
  if what.startswith("factors"):
    return "times the first value"
  return {**titles, "decades": "change in decades"}.get(what, "").partition(" (")[0]


def name_axis(figure: Figure, title: str) -> None:
  """Write a title beside the vertical axis; of several axes, beside the middle one of the left column."""
  if title:
    left = min(axes.get_position().x0 for axes in figure.axes)
    column = [axes for axes in figure.axes if axes.get_visible() and axes.get_position().x0 < left + 0.01]
    column[len(column) // 2].set_ylabel(textwrap.fill(title, 34), labelpad=2)


def saved(figure: Figure, format: str, width: float) -> bytes:
  """The figure, fitted to a width, as the contents of a file: the same bytes for the same figure."""
  with matplotlib.rc_context(RC):
    fit(figure, width)
    buffer = io.BytesIO()
    dates: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    face = "white" if format == "png" else "none"
    figure.savefig(buffer, format=format, dpi=DPI, facecolor=face, metadata=dates[format])
  return buffer.getvalue()


def slug(name: str) -> str:
  """A figure's name as that of a file.

  >>> slug("panel 1: frechet/distance, each")
  'panel-1-frechet-distance-each'
  """
  return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:120]


def _captions(found: Any) -> Iterator[tuple[str, str]]:
  """(what stands for the picture, its caption) of each chart within the parts of a page."""
  if isinstance(found, Chart):
    text = ": ".join(filter(None, (found.caption, found.note)))
    yield found.svg, text
    yield found.each, f"{text}; each variant with the range of its seeds"
  elif isinstance(found, dict):
    for part, one in found.items():
      what = "the gradient's factors of " if part == "factors" else ""
      yield from ((name, what + text) for name, text in _captions(one))
  elif isinstance(found, (list, tuple)):
    for one in found:
      yield from _captions(one)


def _by_hand(parts: Any, number: int, take: Callable[[Figure, str], str]) -> Iterator[tuple[str, str]]:
  """The strips of verdicts and the samples, which the page has without matplotlib; as `_captions`."""
  with canvas.styled(f"panel {number}"):
    yield take(_legend(parts["shown"], parts["styles"]), f"panel {number}: legend"), "the variants' lines"
    if parts["strips"]:
      yield take(_strips(parts["shown"], parts["last_step"]), f"panel {number}: verdicts"), "the verdict over time"
    for place, picture in enumerate(parts["pictures"]):
      figure = _points(picture.svg, picture.style) if picture.svg else _image(picture.uri)
      text = ": ".join(filter(None, ("samples", picture.title, picture.note)))
      yield take(figure, f"panel {number}: samples {place} {picture.title}"), text
    if closer := parts["closer"]:
      run = f"{closer.label}, {closer.note}"
      yield take(_image(closer.between.uri), f"panel {number}: from one sample to another"), f"rows of samples of {run}"
      apart = ", ".join(f"{x:.3f}" for x in closer.apart)
      text = f"samples of {run}, and below each its nearest training image; distances {apart}. {closer.told}"
      yield take(_image(closer.pairs.uri), f"panel {number}: nearest training images"), text


def _legend(comparison: Comparison, styles: Mapping[int, canvas.Style]) -> Figure:
  """Each variant's colour and dash with its name, for the pictures that do not name them."""
  figure = Figure(figsize=(canvas.SIZE[0], 0.2 * len(comparison.rows) + 0.1))
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set_axis_off()
  named = [(styles[row.place], canvas.plain(row.variant.label, 60)) for row in comparison.rows]
  lines = [
    Line2D([], [], color=s.colour, linewidth=1.5, dashes=s.dash or (None, None), label=label) for s, label in named
  ]
  axes.legend(handles=lines, loc="center left", frameon=False, borderaxespad=0, borderpad=0, labelspacing=0.3)
  return figure


def _strips(comparison: Comparison, last: int) -> Figure:
  """All strips of a panel under one another, each variant's name to the left, the states' colours below."""
  rows = [row for row in comparison.rows if any(len(v.steps) for v in row.verdicts)]
  lines = sum(len(row.verdicts) + 1 for row in rows)
  states = [state for state in verdicts.LOOKS if any(state in v.states for row in rows for v in row.verdicts)]
  foot = 0.65 + 0.2 * -(-len(states) // 2)
  height = STRIP * lines + foot + 0.1
  figure = Figure(figsize=(canvas.SIZE[0], height))
  axes = figure.add_axes((0.3, foot / height, 0.68, STRIP * lines / height))
  middles, at = [], 0.0
  for row in rows:
    for place, found in enumerate(row.verdicts):
      for state, first, until in timeline.spans(found, last):
        colour = verdicts.LOOKS[state].colour
        axes.broken_barh([(first, until - first)], (at + place + 0.1, 0.8), facecolors=colour, linewidth=0)
    middles.append(at + len(row.verdicts) / 2)
    at += len(row.verdicts) + 1
  axes.set(xlim=(0, max(last, 1)), ylim=(lines - 1, 0))
  axes.set_yticks(middles, [canvas.plain(row.variant.label, 22) for row in rows])
  axes.tick_params(axis="y", length=0)
  axes.grid(False)
  for side in axes.spines.values():
    side.set_visible(False)
  canvas.step_axis(axes, 4)
  patches = [Patch(color=verdicts.LOOKS[state].colour, label=verdicts.LOOKS[state].name) for state in states]
  figure.legend(handles=patches, loc="lower left", bbox_to_anchor=(0, 0), frameon=False, labelspacing=0.3, ncols=2)
  return figure


def _image(uri: str) -> Figure:
  """A sheet of samples, each of its pixels a square."""
  from PIL import Image

  pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
  return _square(pixels.shape[0] / pixels.shape[1], lambda axes: axes.imshow(
    pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto"
  ))  # fmt: skip


def _points(svg: str, style: Any) -> Figure:
  """A scatter of samples in the plane, from the page's own."""
  places = np.array([[float(x), float(y)] for x, y in re.findall(r"M([\d.]+) ([\d.]+)h", svg)]).reshape(-1, 2)
  colour = style.colour if style is not None else canvas.INK
  side = float(re.findall(r"viewBox=\"0 0 (\d+)", svg)[0])

  def draw(axes: Any) -> None:
    axes.plot(places[:, 0], places[:, 1], "o", color=colour, markersize=1.6, markeredgewidth=0, alpha=0.55)
    axes.set(xlim=(0, side), ylim=(side, 0))
    for edge in axes.spines.values():
      edge.set_visible(True)

  return _square(1.0, draw)


def _square(height_per_width: float, draw: Callable[[Any], Any]) -> Figure:
  figure = Figure(figsize=(canvas.SIZE[0], canvas.SIZE[0] * height_per_width))
  FigureCanvasAgg(figure)
  axes = figure.add_axes((0, 0, 1, 1))
  draw(axes)
  axes.grid(False)
  axes.set_xticks([])
  axes.set_yticks([])
  figure.set_gid("fixed")  # `fit` keeps its shape
  return figure
