"""The film of a variant: what its best and its worst seed drew from the same noise, at a few steps of the training.

All frames lie side by side in one picture inside the page; its style shows them one by one, or in motion.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.report import pictures
from gan_jax.report.canvas import Style
from gan_jax.report.comparison import Comparison, Quality, Row
from gan_jax.report.records import Run, final

FRAMES = 6  # steps of a film, at most
SHOWN = 16  # images of a frame
LARGEST = 32  # pixels of an image's side in a film; larger ones are reduced
GRID = 72  # pixels of a frame of points
LOSSLESS = 30_000  # pixels of a film up to which every one is kept
QUALITY = 60  # of WebP beyond that


class Reel(NamedTuple):
  """A film of one run, for the template."""

  label: str
  style: Style
  note: str  # which seed
  uri: str  # WebP, the frames from left to right
  steps: tuple[int, ...]
  width_per_height: float  # of a frame


def ends(row: Row, quality: Quality | None) -> list[tuple[str, Run]]:
  """(what it is, run): a variant's best and worst seed of those that did not diverge; the first, where none was measured."""
  members = row.variant.counted or row.variant.runs
  if quality is None or not row.variant.counted:
    return [("", members[0])]
  measured = [(quality.sign * final(run, quality.metric), run) for run in members]
  known = sorted((pair for pair in measured if np.isfinite(pair[0])), key=lambda pair: pair[0])
  if len(known) < 2:
    return [("", known[0][1] if known else members[0])]
  of = f"of {len(row.variant.runs)} seeds"
  return [(f"best {of}", known[0][1]), (f"worst {of}", known[-1][1])]


def reels(
  chosen: Sequence[tuple[Row, Style, str, Run]],
  frames: Mapping[str, Sequence[tuple[int, np.ndarray]]],
  classes: Mapping[str, int],
  real: np.ndarray | None,
) -> list[Reel]:
  """The films of the chosen (row, style, what it is, run), where at least two steps were kept.

  Args:
    frames: by run, (step, samples) in order; see `pictures.frames`.
    classes: by group, the number of classes of a conditional generator, whose images are put in a row for each.
    real: examples of the data, which say where points are looked for.
  """
  points = [x for own in frames.values() for _, x in own if x.ndim == 2]
  box = pictures.box(points[-1] if real is None or real.ndim != 2 else real) if points else None
  found = []
  for row, style, what, run in chosen:
    own = frames.get(run.id, ())
    if len(own) < 2:
      continue
    sheets = [
      _points(x, box) if x.ndim == 2 and box is not None else _images(x, classes.get(run.group, 0)) for _, x in own
    ]
    height, width = sheets[0].shape[:2]
    note = f"{what}, seed {run.seed}" if what else f"seed {run.seed}{pictures.ended(run)}"
    found.append(
      Reel(row.variant.label, style, note, _webp(np.concatenate(sheets, 1)), tuple(s for s, _ in own), width / height)
    )
  return found


def chosen(some: Comparison, looks: Mapping[int, Style]) -> list[tuple[Row, Style, str, Run]]:
  """Best and worst seed of each variant that is drawn, the best variant first."""
  return [(row, looks[row.place], what, run) for row in some.rows for what, run in ends(row, some.quality)]


def _images(samples: np.ndarray, classes: int) -> np.ndarray:
  """A few of the samples in a square, or a row for each class; with a grey edge at the right and below."""
  samples = samples[pictures.by_class(len(samples), classes, 4)] if classes else samples[:SHOWN]
  across = 4 if classes else int(np.ceil(np.sqrt(len(samples))))
  sheet = pictures.tiled(_reduced(samples), across)
  edge = [(0, 1), (0, 1)] + [(0, 0)] * (sheet.ndim - 2)
  return np.pad(sheet, edge, constant_values=128)


def _reduced(samples: np.ndarray) -> np.ndarray:
  """Images of at most `LARGEST` pixels a side, by averaging whole blocks of pixels."""
  by = -(-max(samples.shape[1:3]) // LARGEST)
  if by == 1:
    return samples
  n, height, width = samples.shape[0], samples.shape[1] // by, samples.shape[2] // by
  blocks = samples[:, : height * by, : width * by].reshape(n, height, by, width, by, *samples.shape[3:])
  return blocks.mean((2, 4)).round().astype(np.uint8)


def _points(samples: np.ndarray, box: np.ndarray) -> np.ndarray:
  """Points in the plane as a picture: the more of them in a pixel, the brighter."""
  with np.errstate(invalid="ignore", over="ignore"):
    places = (np.asarray(samples, np.float64) - box[:2]) / box[2]
  inside = places[(np.abs(places) < 1).all(1)]
  column, line = ((inside * [1, -1] + 1) * GRID / 2).astype(int).T
  counts = np.zeros((GRID, GRID))
  np.add.at(counts, (line, column), 1)
  picture = (255 * (1 - 0.45**counts)).astype(np.uint8)
  picture[:, -1] = picture[-1] = 128
  return picture


def _webp(picture: np.ndarray) -> str:
  from PIL import Image

  buffer = io.BytesIO()
  lossless = picture.shape[0] * picture.shape[1] <= LOSSLESS
  Image.fromarray(picture).convert("RGB").save(
    buffer, "WEBP", lossless=lossless, quality=100 if lossless else QUALITY, method=4
  )
  return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
