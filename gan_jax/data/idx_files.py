"""The IDX files of MNIST and its relatives in a folder, by every spelling under which they are published.

    train-images-idx3-ubyte   train-images.idx3-ubyte   emnist-letters-train-images-idx3-ubyte   t10k-..., test-...

with or without `.gz`, or inside a folder of that name.
"""

import re
from pathlib import Path
from typing import NamedTuple

from gan_jax.core.errors import BadInput

NAME = re.compile(
  r"(?:(?P<prefix>.+)-)?(?P<set>train|t10k|test)-(?P<what>images|labels)[-.]idx(?P<axes>[13])[-.]ubyte(?:\.gz)?"
)
SETS = ("train", "t10k", "test")  # in order of preference
AXES = {"images": "3", "labels": "1"}


class Pair(NamedTuple):
  """The files of one set in a folder."""

  images: Path
  labels: Path | None  # None where there is none


def is_there(data_dir: str) -> bool:
  """Whether a folder has any file that `choose` would find."""
  try:
    return any(NAME.fullmatch(path.name) for path in Path(data_dir).expanduser().iterdir())
  except (OSError, RuntimeError, ValueError):
    return False


def choose(data_dir: str, wanted: str = "") -> tuple[str, Pair]:
  """(prefix of the names, the files): the training set in a folder, or the test set where there is none.

  Args:
    data_dir: the folder.
    wanted: the prefix; by default names without one are preferred, and else there must be a single one.

  Raises:
    BadInput: files that are missing, or of several sets; the message names them.
  """
  try:
    folder = Path(data_dir).expanduser()
    named = [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.is_dir() else []
    entries = sorted(named, key=_preference)
  except (OSError, RuntimeError, ValueError) as error:
    raise BadInput(
      f"{data_dir}: expected a readable folder, got {getattr(error, 'strerror', None) or error}"
    ) from error
  found: dict[str, dict[tuple[str, str], Path]] = {}
  for path in entries:
    match = NAME.fullmatch(path.name)
    if match and AXES[match["what"]] == match["axes"]:
      files = found.setdefault(match["prefix"] or "", {})
      files.setdefault((match["set"], match["what"]), _inside(path))
  prefix = _prefix(folder, list(found), wanted)
  chosen = next(name for name in SETS if any(which == name for which, _ in found[prefix]))
  images, labels = (found[prefix].get((chosen, what)) for what in AXES)
  if images is None:
    stem = f"{prefix}-" * bool(prefix) + f"{chosen}-images-idx3-ubyte"
    raise BadInput(f"{folder}: expected {stem} or {stem}.gz beside the rest of its set, found neither")
  return prefix, Pair(images, labels)


def _prefix(folder: Path, found: list[str], wanted: str) -> str:
  """The prefix that is meant; raises `BadInput` where there are no files of it, or of several."""
  if wanted and wanted not in found:
    got = f"those of {' and '.join(prefix or 'no split' for prefix in found)}" if found else "none"
    raise BadInput(f"{folder}: expected {wanted}-train-images-idx3-ubyte and its labels (or .gz), got {got}")
  if not found:
    kind = "a folder without them" if folder.is_dir() else "no such folder"
    expected = (
      "train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    )
    raise BadInput(f"{folder}: expected {expected} (or .gz), got {kind}")
  if wanted or "" in found or len(found) == 1:
    return wanted or ("" if "" in found else found[0])
  raise BadInput(f"{folder}: expected the files of one data set, got those of {' and '.join(found)}")


def _preference(path: Path) -> tuple[bool, bool, bool, str]:
  """A sort key for several spellings of one file: files before folders, uncompressed before gzip, dashes before dots."""
  return path.is_dir(), path.suffix == ".gz", ".idx" in path.name, path.name


def _inside(path: Path) -> Path:
  """The file itself; or, if it is a folder (as some archives unpack), the only file of such a name inside."""
  within = [p for p in sorted(path.iterdir()) if NAME.fullmatch(p.name) and p.is_file()] if path.is_dir() else []
  return within[0] if len(within) == 1 else path
