"""TensorBoard's event files, written while the runs are trained: a folder for each run in DIR/tensorboard. No jax import.

Each attempt has a file of its own. Its first record makes TensorBoard forget what earlier files say of the steps that are
trained again, so no step is drawn twice. What was measured before the first file is written into it from the study's
files.
"""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import runs
from gan_jax.report import events, pictures
from gan_jax.runner import followers

FOLDER = "tensorboard"
MOST = 200  # runs; TensorBoard's list of more is of no use
SIDE, DOT = 256, 1  # pixels of a picture of points, and of a point's radius


class TensorBoard:
  """A follower that writes event files."""

  name = FOLDER

  def __init__(self, study: Path, say: Callable[[str], None]):
    self._study, self._say, self._told = study, say, False
    self._files: dict[int, Path] = {}  # by place in the group
    self._area: np.ndarray | None = None  # of pictures of points

  def begin(self, group: Any, first: int) -> None:
    self._tell()
    self._files, self._area = {}, area(self._study, group.name)
    fresh: list[int] = []
    resumed: list[int] = []
    for place, name in followers.logged(self._study, group, MOST).items():
      folder = self._study / FOLDER / name
      attempt = 1 + sum(1 for _ in folder.glob(f"{events.PREFIX}*{events.LIVE}"))
      folder.mkdir(parents=True, exist_ok=True)
      # TensorBoard reads a run's files in the order of their names.
      self._files[place] = folder / f"{events.PREFIX}{attempt:010d}{events.LIVE}"
      now = time.time()
      self._append(place, events.head(now) + (events.restart(now, first) if attempt > 1 else b""))
      (fresh if attempt == 1 else resumed).append(place)
    if first:  # a restart forgets what was measured at step `first` too
      self._catch_up(group, fresh, 0, first)
      self._catch_up(group, resumed, first, first)

  def rows(self, table: runs.Table) -> None:
    self._write(self._files, table)

  def measured(self, step: int, quality: Mapping[str, np.ndarray], samples: np.ndarray) -> None:
    self._write(self._files, runs.Table(np.array([step]), {name: x[None] for name, x in quality.items()}))
    self._draw(self._files, step, samples)

  def end(self) -> None:
    pass  # a file is closed after each write

  def _tell(self) -> None:
    if not self._told:
      which = followers.some(self._study, MOST)
      self._say(
        f"logging to {self._study / FOLDER}: tensorboard --logdir={self._study / FOLDER}{which and f'; {which}'}"
      )
    self._told = True

  def _catch_up(self, group: Any, places: list[int], since: int, first: int) -> None:
    if not places:
      return
    found = followers.past(self._study, group, since, first)
    self._write(places, found.rows)
    self._write(places, found.quality)
    for step, path in found.samples:
      try:
        self._draw(places, step, runs.read_samples(path, len(group.ids)))
      except runs.Damaged:  # the study names it
        continue

  def _write(self, places: Any, table: runs.Table) -> None:
    now = time.time()
    for place in places:
      lines = [
        events.scalars(now, int(step), [(name, x[row, place]) for name, x in table.columns.items()])
        for row, step in enumerate(table.steps)
      ]
      self._append(place, b"".join(lines))

  def _draw(self, places: Any, step: int, samples: np.ndarray) -> None:
    for place in places:
      png, size = drawn(samples[place], self._area)
      self._append(place, events.picture(time.time(), step, "samples", png, size))

  def _append(self, place: int, content: bytes) -> None:
    with open(self._files[place], "ab") as file:
      file.write(content)


def area(study: Path, group: str) -> np.ndarray | None:
  """The square in which points are drawn: around those of the data. None for images."""
  try:
    real = runs.read_samples(study / "samples" / group / "real.npz", real=True)
  except ValueError:  # none, or damaged
    return None
  return pictures.box(real) if real.ndim == 2 else None


def drawn(samples: np.ndarray, area: np.ndarray | None) -> tuple[bytes, tuple[int, int]]:
  """(a PNG of a run's samples, its height and width): images on a sheet, or points [n, 2] in a square."""
  if samples.ndim > 2:
    return pictures.sheet(samples)
  from PIL import Image, ImageDraw

  where = pictures.box(samples) if area is None else area
  with np.errstate(invalid="ignore", over="ignore"):
    places = (samples.astype(np.float64) - where[:2]) / where[2]
  inside = places[(np.abs(places) <= 1).all(1)]  # NaN is not
  image = Image.new("L", (SIDE, SIDE), 255)
  pen = ImageDraw.Draw(image)
  for x, y in (inside * [1, -1] + 1) * SIDE / 2:
    pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=0)
  buffer = io.BytesIO()
  image.save(buffer, format="PNG")
  return buffer.getvalue(), (SIDE, SIDE)
