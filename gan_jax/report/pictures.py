"""Pictures of samples: images as a PNG sheet inside the page, points in the plane as an SVG scatter plot."""

import base64
import io
import math
from collections.abc import Sequence
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
SIDE = 200  # of a scatter's viewBox
DATA = Style("currentColor", ())


class Picture(NamedTuple):
  """What the page shows in one tile: a PNG (`uri`) or an SVG (`svg`), never both."""

  title: str
  note: str
  style: Style | None  # None: the real data
  uri: str
  svg: str
  height_per_width: float


def pictures(variants: Sequence[tuple[Variant, Style]]) -> list[Picture]:
  """The real data and one tile per variant: the last samples of its first seed that did not diverge.

  All samples of a seed come from the same noise, so tiles can be compared place by place. A group without samples has
  no tile. Each group's file is read once, and only what is drawn is kept. Raises `BadInput` naming a damaged file.
  """
  chosen = [(variant.label, (variant.counted or variant.runs)[0], look) for variant, look in variants]
  read: dict[str, tuple[int, np.ndarray]] = {}  # by run
  for place in dict.fromkeys(run.place for _, run, _ in chosen):
    read |= latest(place[0], [run for _, run, _ in chosen if run.place == place])
  drawn: list[tuple[str, str, Style | None, np.ndarray]] = []
  for name, run, look in chosen:
    if run.id in read:
      step, samples = read[run.id]
      diverged = ", diverged" if run.status == "diverged" else ""
      drawn.append((name, f"seed {run.seed}, step {step:,}{diverged}", look, samples))
  real = next((x for _, run, _ in chosen if run.id in read and (x := _real(*run.place)) is not None), None)
  if real is not None:
    drawn.insert(0, ("real data", "", None, real))
  box = next((_box(samples) for *_, samples in drawn if samples.ndim == 2), None)
  return [_picture(*one, box) for one in drawn]


def latest(study: Path, members: Sequence[Run]) -> dict[str, tuple[int, np.ndarray]]:
  """By run id, (step, samples [n, ...]) of the last intact sample file of these runs' one group; {} where there is none."""
  last = max(run.member for run in members)
  for step, path in reversed(runs.sample_steps(study, members[0].place[1])):
    try:
      samples = runs.read_samples(path)
    except runs.Damaged:  # the study's gaps name it
      continue
    if last < len(samples):
      # Copies: a view would keep the whole group's samples in memory.
      return {run.id: (step, samples[run.member][:KEPT].copy()) for run in members}
  return {}


def _real(study: Path, group: str) -> np.ndarray | None:
  path = study / "samples" / group / "real.npz"
  try:
    return runs.read_samples(path, real=True) if path.exists() else None
  except runs.Damaged:
    return None


def _picture(title: str, note: str, look: Style | None, samples: np.ndarray, box: np.ndarray | None) -> Picture:
  if samples.ndim == 2 and box is not None:
    svg, outside = scatter(samples, box, (look or DATA).colour)
    note = ", ".join(
      s for s in (note, f"{outside:,} of {min(len(samples), DOTS):,} points outside" if outside else "") if s
    )
    return Picture(title, note, look, "", svg, 1.0)
  png, (height, width) = sheet(samples)
  return Picture(title, note, look, "data:image/png;base64," + base64.b64encode(png).decode(), "", height / width)


def sheet(images: np.ndarray) -> tuple[bytes, tuple[int, int]]:
  """uint8 images [n, H, W] or [n, H, W, C] with 1 or 3 channels -> (PNG of at most 64 in a square, its pixels).

  Neighbours are one grey pixel apart; the page enlarges the PNG without smoothing.
  """
  from PIL import Image

  images = np.asarray(images)[:SHEET]
  if images.ndim == 4 and images.shape[-1] == 1:
    images = images[..., 0]
  if images.ndim not in (3, 4) or images.dtype != np.uint8 or not len(images):
    raise BadInput(f"expected uint8 samples [n, H, W] or [n, H, W, C], got {images.dtype} {list(images.shape)}")
  n, height, width = images.shape[:3]
  across = math.ceil(math.sqrt(n))
  down = math.ceil(n / across)
  canvas = np.full((down * (height + 1) - 1, across * (width + 1) - 1, *images.shape[3:]), 128, np.uint8)
  for i, image in enumerate(images):
    top, left = i // across * (height + 1), i % across * (width + 1)
    canvas[top : top + height, left : left + width] = image
  buffer = io.BytesIO()
  Image.fromarray(canvas).save(buffer, format="PNG", optimize=True)
  return buffer.getvalue(), (canvas.shape[0], canvas.shape[1])


def _box(points: np.ndarray) -> np.ndarray:
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
    f'stroke-width="2.4" stroke-linecap="round" stroke-opacity="0.55"/></svg>'
  ), int((~inside).sum())
