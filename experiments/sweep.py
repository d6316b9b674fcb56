"""`launch.sh sweep CONFIG [--config.field=value ...] [--out DIR] [--fork DIR] [--workers N] [--dry-run]`: train a study.

With `--workers=N` N processes train a program each, side by side; with `--launcher=slurm` or `ray` a cluster's nodes do.
See gan_jax/launch/README.md. The commands of the studies have both options too.

With `--log=tensorboard,wandb`, or one of them, all measurements and samples are also sent to TensorBoard's event files,
in DIR/tensorboard, and to Weights & Biases, as they are written. The study is the same with and without it.

With more seeds, losses or steps than its directory holds, the study grows: what is there is kept, longer runs go on from
where they ended, new ones are trained.

With `--fork NEW` the study in DIR is only read: its runs go on from its newest checkpoint in the directory NEW, with the
fields that are changed (`--config.generator_rate=1e-4`). The same command, or one with `--out NEW` alone, goes on with it.

With `--dry-run` it checks the input and prints the plan (compiled programs, runs of each, devices, memory), and trains
and writes nothing. So do the commands of the studies.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gan_jax.core import installation, paths
from gan_jax.core.errors import BadInput
from gan_jax.launch import shares

from . import command, launching

CONFIGS = installation.folder("configs")


def place(text: str) -> Path:
  """A path among a command's arguments, with `~` resolved."""
  try:
    return paths.usable(text, "a path")
  except BadInput as error:
    raise argparse.ArgumentTypeError(str(error)) from error


class Parser(argparse.ArgumentParser):
  """A parser whose usage errors are one sentence, with the command as it was typed."""

  def __init__(self, name: str, epilog: str = ""):
    super().__init__(prog=f"{installation.typed()} {name}", allow_abbrev=False, epilog=epilog)

  def error(self, message: str) -> None:  # type: ignore[override]
    raise BadInput(f"{message}; {self.format_usage().strip()}")


OVERRIDES = "--config.FIELD=VALUE overrides a field of the config, as often as given: --config.steps=1000"


def dry(parser: argparse.ArgumentParser) -> None:
  """Adds `--dry-run` to the parser of a command that trains."""
  parser.add_argument("--dry-run", action="store_true", help="print the plan (programs, runs, memory), train nothing")


def conduct(name: str, arguments: list[str], full: Mapping[str, Any] | None = None) -> Path:
  """Run or resume the study of configs/<name>.py for a command that then draws its figure; returns its directory.

  Args:
    name: the command, which names the config and, by default, the study's directory too.
    arguments: of the command line: `--config FILE`, `--out DIR`, `--dry-run`, `--workers N`, `--launcher NAME`,
      `--config.field=value ...`, and `--full` if `full` is given.
    full: the fields that `--full` sets; such a study has a directory of its own.
  """
  parser = Parser(name, OVERRIDES)
  parser.add_argument(
    "--config", type=installation.config, default=str(CONFIGS / f"{name}.py"), help=f"a file like configs/{name}.py"
  )
  parser.add_argument(
    "--out", type=place, help=f"the study's directory (default: runs/{name}, with --full runs/{name}_full)"
  )
  dry(parser)
  launching.options(parser)
  if full is not None:
    parser.add_argument("--full", action="store_true", help="longer, and wider where it matters: for a GPU")
  known, rest = parser.parse_known_args(arguments)
  longer = full is not None and known.full

  from gan_jax.runner import ending, standing, study

  fields = [f"--config.{field}={value}" for field, value in (full or {}).items()] if longer else []
  out = known.out or Path("runs") / (name + "_full" * longer)
  if launching.wanted(known, rest):
    if not launching.launched(known, [*fields, *rest], out):
      sys.exit(0)
    standing.confirm(out)
    return out
  directory = study.run(known.config, [*fields, *rest], out, single=False, stop=command.stop(), dry=known.dry_run)
  ending.wait()
  standing.confirm(directory)
  return directory


def measure_once(study: Path, file: str, measure: Callable[[], Mapping[str, Any]]) -> None:
  """Write `file` (.npz) of a finished study, unless it is there: the arrays of `measure()`, with the study's lock held.

  Raises:
    BadInput: another process holds the lock; and as `measure`.
  """
  from gan_jax import runs

  if not (study / file).exists():
    with command.phase(f"measuring {file} of {study}"), runs.writer_lock(study):
      runs.write_arrays(study / file, **measure())


def forked(known: argparse.Namespace, rest: list[str], log: list[str], single: bool) -> Path:
  """The directory of a fork, made where it is new, once all options are known to be usable."""
  from gan_jax.runner import forking, sinks

  sinks.check(log)
  forking.begin(known.config, rest, known.out, known.fork, single, dry=known.dry_run)
  return known.fork


def main(arguments: list[str], single: bool = False) -> None:
  parser = Parser("train" if single else "sweep", OVERRIDES)
  parser.add_argument("config", type=installation.config, help="your own file, or one of configs/ by its name")
  parser.add_argument("--out", type=place, help="the study's directory (default: runs/<config>)")
  parser.add_argument("--log", default="", help="sinks, joined by commas: tensorboard, wandb")
  parser.add_argument(
    "--fork", type=place, help="a new directory, in which the runs of --out go on with other settings"
  )
  dry(parser)
  parser.add_argument("--only", help="a group of a study that is begun: train that alone, without a report")
  launching.options(parser)
  known, rest = parser.parse_known_args(arguments)

  from gan_jax.runner import ending, standing, study, worker

  launches = launching.wanted(known, rest)
  if launches and single:
    raise BadInput("train trains one run, which is one program: --workers and --launcher are options of sweep")
  if known.fork is not None and known.out is None:
    raise BadInput("--fork expected --out DIR, the study whose runs are to go on, got none")
  if launches:
    out = known.fork or known.out or Path("runs") / Path(known.config).stem
    if launching.launched(known, rest, out):
      standing.confirm(out)
    return
  part = worker.part(known.only)
  if part != worker.WHOLE:
    shares.take(os.environ)
  log = [name.strip() for name in known.log.split(",") if name.strip()]
  asked = known.out if known.fork is None else forked(known, rest, log, single)
  directory = study.run(known.config, rest, asked, single, stop=command.stop(), dry=known.dry_run, log=log, part=part)
  ending.wait()
  if part == worker.WHOLE:
    standing.confirm(directory)


if __name__ == "__main__":
  command.run(main)
