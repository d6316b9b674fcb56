"""Pictures of samples: images as a PNG sheet inside the page, points in the plane as an SVG scatter plot."""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report.canvas import Style
from gan_jax.report.records import Run, Variant

SHEET = 64  # images on a sheet
DOTS = 800  # points of a scatter
KEPT = max(SHEET, DOTS)  # samples of a run
HEAVY = 30_000  # bytes of a PNG from which a tile is WebP, which loses what the eye does not see
SIDE = 200  # of a scatter's viewBox
ENDED = ("diverged", "stopped")  # before the last step
DATA = Style("currentColor", ())


class Picture(NamedTuple):
  """What the page shows in one tile: a PNG (`uri`, WebP where it is large) or an SVG (`svg`), never both."""

  title: str
  note: str
  style: Style | None  # None: the real data
  uri: str
  svg: str
  height_per_width: float
  classes: int = 0  # rows, if each holds the images of one class


Chosen = tuple[Variant, Run, str, Style]  # a variant, one of its runs, which one that is, and the variant's look
Frames = Mapping[str, Sequence[tuple[int, np.ndarray]]]  # by run, (step, samples [n, ...]) in order


def pictures(chosen: Sequence[Chosen], found: Frames, classes: Mapping[str, int]) -> list[Picture]:
  """The real data and one tile for each chosen run: its last samples.

  All samples of a seed come from the same noise, so tiles can be compared place by place. A group without samples has
  no tile. Raises `BadInput` naming a damaged file.

  Args:
    chosen: what is drawn, in order.
    found: the samples; see `frames`.
    classes: by group, the number of classes of a conditional generator, whose images are put in a row for each.
  """
  drawn: list[tuple[str, str, Style | None, np.ndarray, int]] = []
  for variant, run, what, look in chosen:
    if found.get(run.id):
      step, samples = found[run.id][-1]
      which = f"{what}: seed {run.seed}" if what else f"seed {run.seed}"
      note = f"{which}, step {step:,}{ended(run)}"
      drawn.append((variant.label, note, look, samples, classes.get(run.group, 0)))
  real = real_data(chosen, found)
  if real is not None:
    drawn.insert(0, ("real data", "", None, real, 0))
  area = next((box(samples) for *_, samples, _ in drawn if samples.ndim == 2), None)
  return [_picture(*one, area) for one in drawn]


def ended(run: Run) -> str:
  """`, diverged` or `, stopped` of a run that did not train to its end."""
  return f", {run.status}" if run.status in ENDED else ""


def real_data(chosen: Sequence[Chosen], found: Frames) -> np.ndarray | None:
  """Examples of the data [n, ...] that the chosen runs should imitate."""
  return next((x for _, run, _, _ in chosen if found.get(run.id) and (x := _real(*run.place)) is not None), None)


def frames(members: Sequence[Run], count: int) -> dict[str, list[tuple[int, np.ndarray]]]:
  """By run id, (step, samples [n, ...]) at up to `count` steps, the first and the last of those that are intact among them.

  A run that ended early draws the same from then on, which has the step of its end. Each group's files are read once, and
  only what is drawn is kept.
  """
  found: dict[str, list[tuple[int, np.ndarray]]] = {}
  for place in dict.fromkeys(run.place for run in members):
    own = [run for run in members if run.place == place]
    there = runs.sample_steps(*place)
    wanted = [there[i] for i in sorted({round(i) for i in np.linspace(len(there) - 1, 0, count)})] if there else []
    for step, samples in _intact(there, wanted, max(run.member for run in own)):
      for run in own:
        at = min(step, run.last_step) if run.status in ENDED else step
        kept = found.setdefault(run.id, [])
        if not kept or kept[-1][0] < at:
          kept.append((at, samples[run.member][:KEPT].copy()))  # a view would keep the whole group's samples in memory
  return found


def _intact(
  there: Sequence[tuple[int, Path]], wanted: Sequence[tuple[int, Path]], member: int
) -> Iterator[tuple[int, np.ndarray]]:
  """The samples of the wanted files that can be read; in the place of the last one, the last that can be."""
  last: tuple[int, np.ndarray] | None = None
  for step, path in reversed(there):
    samples = _read(path)
    if samples is not None and member < len(samples):
      last = step, samples
      break
  if last is None:
    return
  for step, path in wanted:
    samples = _read(path) if step < last[0] else None
    if samples is not None and member < len(samples):
      yield step, samples
  yield last


def _read(path: Path) -> np.ndarray | None:
  try:
    return runs.read_samples(path)
  except runs.Damaged:  # the study's gaps name it
    return None


def latest(members: Sequence[Run]) -> dict[str, tuple[int, np.ndarray]]:
  """By run id, (step, samples [n, ...]) of the last intact sample file of these runs' groups; {} where there is none."""
  return {name: own[-1] for name, own in frames(members, 1).items()}


def _real(study: Path, group: str) -> np.ndarray | None:
  path = study / "samples" / group / "real.npz"
  try:
    return runs.read_samples(path, real=True) if path.exists() else None
  except runs.Damaged:
    return None


def _picture(
  title: str, note: str, look: Style | None, samples: np.ndarray, classes: int, area: np.ndarray | None
) -> Picture:
  if samples.ndim == 2 and area is not None:
    svg, outside = scatter(samples, area, (look or DATA).colour)
    note = ", ".join(
      s for s in (note, f"{outside:,} of {min(len(samples), DOTS):,} points outside" if outside else "") if s
    )
    return Picture(title, note, look, "", svg, 1.0)
  places = by_class(min(len(samples), SHEET), classes) if classes else np.arange(min(len(samples), SHEET))
  png, (height, width) = sheet(samples[places], len(places) // classes if classes else 0)
  return Picture(title, note, look, uri(png), "", height / width, classes)


def by_class(count: int, classes: int, most: int = SHEET) -> np.ndarray:
  """The places of samples whose i-th has class i modulo `classes`, class by class: as many of each, at most `most`.

  >>> by_class(7, 3).tolist()
  [0, 3, 1, 4, 2, 5]
  """
  each = min(count // classes, most)
  return (np.arange(classes)[:, None] + classes * np.arange(each)).ravel()


def sheet(images: np.ndarray, across: int = 0) -> tuple[bytes, tuple[int, int]]:
  """uint8 images [n, H, W] or [n, H, W, C] with 1 or 3 channels -> (PNG of at most 64 in a square, its pixels).

  Neighbours are one grey pixel apart; the page enlarges the sheet without smoothing. `across`: images of a row.
  """
  images = np.asarray(images)[:SHEET]
  if images.ndim not in (3, 4) or images.dtype != np.uint8 or not len(images):
    raise BadInput(f"expected uint8 samples [n, H, W] or [n, H, W, C], got {images.dtype} {list(images.shape)}")
  canvas = tiled(images, across or math.ceil(math.sqrt(len(images))))
  return png_of(canvas), (canvas.shape[0], canvas.shape[1])


def uri(png: bytes) -> str:
  """A PNG as an address within the page, or a WebP of it where it is large."""
  kind = "png" if len(png) <= HEAVY else "webp"
  return f"data:image/{kind};base64,{base64.b64encode(png if kind == 'png' else _webp(png)).decode()}"


def png_of(canvas: np.ndarray) -> bytes:
  """uint8 [H, W(, 3)] -> the contents of a PNG."""
  from PIL import Image

  buffer = io.BytesIO()
  Image.fromarray(canvas).save(buffer, format="PNG", optimize=True)
  return buffer.getvalue()


def tiled(images: np.ndarray, across: int) -> np.ndarray:
  """The images [n, H, W(, C)] in rows of `across`, one grey pixel apart; a channel of its own is left out."""
  if images.ndim == 4 and images.shape[-1] == 1:
    images = images[..., 0]
  n, height, width = images.shape[:3]
  down = math.ceil(n / across)
  canvas = np.full((down * (height + 1) - 1, across * (width + 1) - 1, *images.shape[3:]), 128, np.uint8)
  for i, image in enumerate(images):
    top, left = i // across * (height + 1), i % across * (width + 1)
    canvas[top : top + height, left : left + width] = image
  return canvas


def _webp(png: bytes) -> bytes:
  from PIL import Image

  buffer = io.BytesIO()
  Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "WEBP", quality=80, method=4)
  return buffer.getvalue()


def box(points: np.ndarray) -> np.ndarray:
  """(centre x, centre y, half the side) of a square a third wider than the points."""
  finite = points[np.isfinite(points).all(1)] if len(points) else np.zeros((1, 2))
  low, high = (finite.min(0), finite.max(0)) if len(finite) else (np.zeros(2), np.ones(2))
  return np.asarray([*(low + high) / 2, max(float((high - low).max()), 1e-6) * 2 / 3])


def scatter(points: np.ndarray, box: np.ndarray, colour: str) -> tuple[str, int]:
  """Points [n, 2] -> (SVG, how many of those drawn lie outside of the box or are not finite).

  Drawn as one path of very short strokes with round ends, which takes twelve bytes a point.
  """
  points = np.asarray(points[:DOTS], np.float64)
  with np.errstate(invalid="ignore", over="ignore"):
    places = (points - box[:2]) / box[2]
  inside = (np.abs(places) <= 1).all(1)  # NaN is not
  x, y = ((places[inside] * [1, -1] + 1) * SIDE / 2).T
  path = "".join(f"M{a:.1f} {b:.1f}h.01" for a, b in zip(x, y, strict=True))
  return (
    f'<svg viewBox="0 0 {SIDE} {SIDE}" aria-hidden="true"><path d="{path}" fill="none" stroke="{colour}" '
    f'stroke-width="2.4" stroke-linecap="round" stroke-opacity="0.75"/></svg>'
  ), int((~inside).sum())
