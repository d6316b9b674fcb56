"""Which runs a command reports on: the arguments of `report`, `export`, `tables` and `figures`, and the study that they make.

A directory's own report.html, exports and figures show its whole study. So with several directories, or with --filter,
--baseline or --compare, `--out` says where the result goes.
"""

import argparse
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput

from .sweep import Parser, place


def arguments(parser: Parser) -> None:
  """Adds DIR..., --filter, --baseline and --compare."""
  parser.add_argument("directories", type=place, nargs="+", metavar="DIR", help="studies, such as runs/compare_losses")
  parser.add_argument("--filter", default="", help="only these runs: 'loss=hinge|minimax,seed<3' (= != < <= > >=)")
  parser.add_argument(
    "--baseline", default="", help="the loss, or the label of a variant, with which others are compared"
  )
  parser.add_argument(
    "--compare", default="", metavar="FIELD", help="compare the values of this field (several by commas)"
  )


def study(known: argparse.Namespace) -> Any:
  """The study that the arguments ask for. Raises as `union.choose` does."""
  from gan_jax.report import union

  return union.choose(known.directories, known.filter, known.baseline, known.compare)


def measured(known: argparse.Namespace) -> Any:
  """As `study`, for what shows nothing but measurements. Raises `BadInput` also where nothing has been measured yet."""
  found = study(known)
  if not any(len(run.rows.steps) or len(run.quality.steps) for run in found.runs):
    raise BadInput(
      f"{known.directories[0]} expected a study with measurements, found none yet: wait for the first rows"
    )
  return found


def place_for(known: argparse.Namespace, what: str, default: str) -> Path:
  """Where a result goes: `--out`, or `default` in the directory of a study that is shown whole.

  Raises:
    BadInput: no `--out`, and the result is not that of one whole study.
  """
  if known.out is not None:
    out: Path = known.out
    return out
  if len(set(known.directories)) > 1 or known.filter or known.baseline or known.compare:
    why = f"{known.directories[0] / default} is that of the whole study {known.directories[0]}"
    raise BadInput(f"{what} of several studies, or with --filter, --baseline or --compare, expected --out PATH: {why}")
  folder: Path = known.directories[0]
  return folder / default
