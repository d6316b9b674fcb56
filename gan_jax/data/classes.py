"""The class of each picture: from StyleGAN's `dataset.json`, from folders, or one class for all."""

import json
import re
from typing import Any

import numpy as np

from gan_jax.core.errors import BadInput, shown
from gan_jax.data.sources import LABELS, Source

CHOICES = ("auto", "folders", "json", "none")
MOST = 100_000  # classes; a larger number in a file of labels is a mistake
# StyleGAN's names: a thousand pictures to a folder, whatever they show. Its labels are in `dataset.json` alone.
NUMBERED = re.compile(r"(?:.*/)?\d{5}/img\d{8}\.\w+")
NONE = "dataset_options.classes=none trains without labels"


def of(source: Source, choice: str) -> tuple[np.ndarray, list[str]]:
  """(the class of each picture, int32 [N]; the names of the classes, which are numbers unless folders name them).

  `auto` takes the labels of `dataset.json` where there is one (`"labels": null`: one class), else the folders if all
  pictures are in folders of one level (but not those of StyleGAN's `00000/img00000000.png`), else one class. The classes
  of folders are sorted by their names.

  Raises:
    BadInput: labels that are asked for and not there, or not for each picture; a `dataset.json` of another form.
  """
  names = source.names
  if choice == "json" and source.labels is None:
    raise BadInput(f"{source.place}/{LABELS}: expected a file of labels, got none; {NONE}")
  if choice in ("auto", "json") and source.labels is not None:
    listed = _listed(source.labels, source.called(LABELS))
    if listed is not None:
      labels = _labels(source, listed)
      return labels, [str(k) for k in range(int(labels.max()) + 1)]
    if choice == "json":
      raise BadInput(f'{source.called(LABELS)}: expected a list of "labels", got null; {NONE}')
    return np.zeros(len(names), np.int32), ["0"]
  folders = [name.rpartition("/")[0] for name in names]
  levels = {name.count("/") for name in names}
  if choice == "folders" and 0 in levels:
    alone = next(name for name in names if "/" not in name)
    raise BadInput(f"{source.called(alone)}: expected each picture in the folder of its class, got it in none; {NONE}")
  told = len(levels) == 1 and 0 not in levels and not all(NUMBERED.fullmatch(name) for name in names)
  if choice == "folders" or (choice == "auto" and told):
    classes, labels = np.unique(folders, return_inverse=True)
    return labels.astype(np.int32), [str(name) for name in classes]
  return np.zeros(len(names), np.int32), ["0"]


def _listed(content: bytes, called: str) -> dict[str, Any] | None:
  """Labels by name in a `dataset.json`, {"labels": [[name, label], ...]}; None where they are null."""
  try:
    found = json.loads(content)
    listed = found["labels"]
    return None if listed is None else {str(name): label for name, label in listed}
  except (ValueError, KeyError, TypeError, RecursionError) as error:
    form = '{"labels": [[name, class], ...]} or {"labels": null}'
    raise BadInput(
      f"{called}: expected {form}, got {shown(content[:60].decode(errors='replace'))}; repair it, or {NONE}"
    ) from error


def _labels(source: Source, listed: dict[str, Any]) -> np.ndarray:
  called = source.called(LABELS)
  missing = next((name for name in source.names if name not in listed), None)
  if missing is not None:
    raise BadInput(f"{called}: expected a label for each picture, got none for {shown(missing)}; {NONE}")
  return np.array([_label(listed[name], name, called) for name in source.names], np.int32)


def _label(value: Any, name: str, called: str) -> int:
  """A class, which is a whole number, or a list with a single one among zeros (one-hot)."""
  if isinstance(value, list):
    if (
      sorted(set(value) if all(isinstance(x, (int, float)) for x in value) else []) in ([0, 1], [1]) and sum(value) == 1
    ):
      return value.index(1)
  elif type(value) is int and 0 <= value < MOST:
    return value
  raise BadInput(
    f"{called}: expected a class from 0 up, or a one-hot list, for {shown(name)}, got {shown(value)}; other labels are not "
    f"classes, and {NONE}"
  )
