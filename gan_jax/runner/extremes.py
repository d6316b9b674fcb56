"""The best and the worst run in training, in a line of text for the live display. No jax import."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report import wording
from gan_jax.report.comparison import QUALITIES
from gan_jax.settings import labels

SHOWN = {"disc/loss": "D loss", "gen/loss": "G loss", "disc/auc": "AUC"}


class Extremes:
  """A follower that tells which runs are best and worst by the last measurement, with their last losses and AUC."""

  name = "the live line"

  def __init__(self, study: Path, note: Callable[[str], None]):
    self._study, self._note = study, note
    self._names: list[str] = []
    self._quality: Mapping[str, np.ndarray] = {}

  def begin(self, group: Any, first: int) -> None:
    varying = labels.varying(group.configs)
    names = labels.shortened([labels.label(config, varying) for config in group.configs])
    self._names = [f"{name}, seed {config['seed']}" for name, config in zip(names, group.configs, strict=True)]
    self._quality = {}
    self._note("")
    done = [part for part in runs.parts(self._study, "quality", group.name) if part[0] <= first]
    if first and done:
      with contextlib.suppress(BadInput):  # damaged: the next measurement is told
        found = runs.read_part(done[-1][2], *done[-1][:2], len(group.ids))
        self._quality = {name: x[-1] for name, x in found.columns.items() if len(found.steps)}

  def rows(self, table: runs.Table) -> None:
    self._note(text(self._names, {name: x[-1] for name, x in table.columns.items()}, self._quality))

  def measured(self, step: int, quality: Mapping[str, np.ndarray], samples: np.ndarray) -> None:
    self._quality = quality

  def end(self) -> None:
    self._note("")


def text(names: list[str], row: Mapping[str, np.ndarray], quality: Mapping[str, np.ndarray]) -> str:
  """`best hinge, seed 1: Frechet distance 4.2, D loss 0.71, G loss 0.9, AUC 0.7 | worst ...`; '' before a measurement.

  Args:
    names: of the members.
    row: the last value of each diagnostic, [members]; those of a diverged member are not finite, and it is left out.
    quality: the last measurement, [members].
  """
  measure = next((q for q in QUALITIES if np.isfinite(quality.get(q.metric, np.nan)).any()), None)
  if measure is None:
    return ""
  values = measure.sign * np.asarray(quality[measure.metric], np.float64)
  alive = np.isfinite(values) & np.isfinite(row.get("gen/loss", np.zeros(len(values))))
  order = [place for place in np.argsort(values) if alive[place]]

  def said(place: int) -> str:
    own = [f"{measure.title} {wording.number(abs(values[place]))}"]
    own += [f"{short} {wording.number(float(row[name][place]))}" for name, short in SHOWN.items() if name in row]
    # In ASCII, which every terminal shows.
    return f"{names[place]}: {', '.join(own).translate(str.maketrans('é−–', 'e--'))}"

  ends = list(zip(("best", "worst"), (order[0], order[-1]), strict=True)) if len(order) > 1 else []
  if not ends:
    return said(order[0]) if order else ""
  return " | ".join(f"{which} {said(place)}" for which, place in ends)
