"""A closer look at each panel's best run: latents in between, and the training images nearest to its samples.

The runner writes the arrays at the study's end (`runner/gallery.py`), because only it has the generator and the data. The
page shows them where they are there; studies of earlier versions have none.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report import film, pictures
from gan_jax.report.canvas import Style
from gan_jax.report.comparison import Comparison, compare
from gan_jax.report.records import Panel, Run
from gan_jax.report.search import Search, search
from gan_jax.report.survivors import Survivors, reduced, survivors

FOLDER = "gallery"  # of a study
SURE = 0.025  # chance below which the nearness of samples is called a sign of copies
IMAGES = ("between", "samples", "nearest")  # uint8 [rows, columns, H, W, C], [n, H, W, C], [n, H, W, C]
FACTS = ("run", "step", "format", "apart", "usual", "labels", "searched", "held_out")


class Sheet(NamedTuple):
  uri: str
  shape: str  # 'width / height'


class Look(NamedTuple):
  """A closer look at one run, for the template."""

  label: str
  style: Style
  note: str  # which run, and when it made these
  between: Sheet  # rows of images between two latents
  rows: tuple[str, ...]  # the class of each row; () without classes
  pairs: Sheet  # samples above their nearest training images
  apart: tuple[float, ...]  # the distance of each pair
  told: str  # what the distances say


def place(study: Path, number: int) -> Path:
  """The file of the panel with this number, from 1."""
  return study / FOLDER / f"panel-{number}.npz"


class Drawn(NamedTuple):
  """Which variants of a panel are drawn: all; or of a search, and of what halving left of one, the best of each setting."""

  panel: Panel
  search: Search | None = None
  survivors: Survivors | None = None

  @property
  def selected(self) -> bool:
    """Whether the variants were selected by their results, so that they are not tested against one another."""
    return self.search is not None or self.survivors is not None


def drawn(panel: Panel) -> Drawn:
  found, left = search(panel), survivors(panel)
  if found is not None:
    best = tuple(entry.best._replace(label=entry.label) for entry in found.entries)
    return Drawn(panel._replace(variants=best), found)
  if left is not None and (shown := reduced(panel, left)).variants:
    return Drawn(shown, None, left)
  return Drawn(panel)


def winner(panel: Panel) -> Run | None:
  """The best run of the variant that the page shows first; None where none has a quality."""
  shown = drawn(panel)
  comparison = compare(shown.panel, paired=not shown.selected)
  if comparison.quality is None or not comparison.rows or not comparison.rows[0].variant.counted:
    return None
  return film.ends(comparison.rows[0], comparison.quality)[0][1]


def read(path: Path) -> dict[str, np.ndarray]:
  """The arrays that the runner wrote. Raises `Damaged` where they are others, `BadInput` where there are none."""
  found = runs.read_arrays(path)
  if not {*IMAGES, *FACTS} <= found.keys() or any(found[name].dtype != np.uint8 for name in IMAGES):
    raise runs.Damaged(path, "expected the arrays of a closer look")
  return found


def look(some: Comparison, looks: Mapping[int, Style]) -> Look | None:
  """The closer look at one of the runs of the first variant that is shown; None where none was written."""
  if not some.rows:
    return None
  row = some.rows[0]
  own = {run.id: run for run in row.variant.runs}
  for home in dict.fromkeys(run.home for run in row.variant.runs):
    for path in sorted((home / FOLDER).glob("panel-*.npz")):
      try:
        found = read(path)
      except BadInput:  # damaged: the sweep's command writes it again
        continue
      run = own.get(str(found["run"]))
      if run is not None:
        return _look(row.variant.label, looks[row.place], run, found)
  return None


def _look(label: str, style: Style, run: Run, found: Mapping[str, np.ndarray]) -> Look:
  between, samples = found["between"], found["samples"]
  note = f"seed {run.seed}, after {int(found['step']):,} steps, where it measured best"
  names = tuple(str(int(i)) for i in found["labels"])
  apart = tuple(float(x) for x in found["apart"][: len(samples)])
  rows = _sheet(between.reshape(-1, *between.shape[2:]), between.shape[1])
  pairs = _sheet(np.concatenate([samples, found["nearest"]]), len(samples))
  return Look(label, style, note, rows, names, pairs, apart, told(found))


def _sheet(images: np.ndarray, across: int) -> Sheet:
  canvas = pictures.tiled(images, across)
  return Sheet(pictures.uri(pictures.png_of(canvas)), f"{canvas.shape[1]} / {canvas.shape[0]}")


def told(found: Mapping[str, Any]) -> str:
  """What the distances say: whether the samples lie nearer to training images than new real images do."""
  usual, apart = np.asarray(found["usual"], np.float64), np.asarray(found["apart"], np.float64)
  if bool(found["held_out"]):
    what = f"Of {len(usual)} real images that were held out of the training, half have a training image"
  else:
    what = f"No real images were held out. Of {len(usual)} training images, half have another one"
  near = int((apart < usual.min()).sum())
  few = f"{near or 'none'} of {len(apart)} samples {'is' if near < 2 else 'are'} nearer than that"
  chance = by_chance(near, len(apart), len(usual))
  judged = (
    f"which would be chance in {chance:.1%} of cases if they were new images, so some may be copies"
    if chance < SURE
    else "so there is no sign of copies"
  )
  searched = int(found["searched"])
  return (
    f"{what} within {np.median(usual):.3f} (of {searched:,} that were searched), and the nearest is at "
    f"{usual.min():.3f}. {few[0].upper()}{few[1:]}, {judged}."
  )


def by_chance(near: int, samples: int, real: int) -> float:
  """The chance that at least `near` samples are nearer than every real image, if samples and real images were of one
  distribution: then the `near` nearest of all are equally likely any of them, so it is

      C(samples, near) / C(samples + real, near)

  >>> by_chance(1, 1, 3), by_chance(0, 64, 64)
  (0.25, 1.0)
  """
  return math.comb(samples, near) / math.comb(samples + real, near)
