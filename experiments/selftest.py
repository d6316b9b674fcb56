"""`launch.sh selftest [--kills N] [--only ROW,...]`: kill, damage and attack small studies here, and see them survive.

It trains small studies undisturbed. Each fault is then done to a copy of a started one, which the same command
continues in a process of its own, and every byte is compared with the undisturbed study. The last lines are a table:
fault, tried, survived, detail. The exit code is 0 if everything holds, and 1 otherwise. What cannot be tried on this
machine is a line `not tried` with its reason, and counts as neither.

The default, `--kills 5`, takes about 4 minutes on 2 cores; `--kills 200` is the form to trust a cluster by, and takes
about an hour and a half. `--only kills,saves` tries some rows. `--folder` names a new directory on the file system in
question; the default is a temporary one. Copies that survived are removed from it, the others are kept.
"""

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.core import installation
from gan_jax.core.errors import BadInput, Failure

from . import command
from .faults import (
  bench,
  cluster,
  configs,
  damage,
  disk,
  hostile,
  kills,
  launcher,
  members,
  rays,
  states,
  stops,
  writers,
)
from .sweep import Parser, place

FULL = 200  # of `--kills`, at which each row has the figure that it is known for
SEVERAL = 20  # of `--kills`, from which on a second study is killed too, with convolutions and two programs


def program(folder: Path) -> bench.Program:
  """The commands as processes, whose compiled programs are shared in `folder`, and what reads their files here."""
  from gan_jax.report import terminal_table

  paths = [str(installation.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
  environment = dict(os.environ) | {
    "XDG_CACHE_HOME": str(folder / "cache"),
    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
  }
  python = [sys.executable, "-m"]
  call = "import sys; from {0}.faults import {1}; {1}.main(sys.argv[1:])"
  return bench.Program(
    sweep=[*python, "gan_jax.commands", "sweep"],
    report=[*python, "gan_jax.commands", "report"],
    save=[sys.executable, "-c", call.format(__package__, "saver")],
    cases=[sys.executable, "-c", call.format(__package__, "cases")],
    environment=environment,
    table=terminal_table,
    reader=states.reader,
    poison=states.poison,
  )


def prepared(
  called: bench.Program, folder: Path, say: Callable[[str], None], name: str, config: str, seed: int = 0
) -> bench.Bench:
  """The undisturbed study of a config, and one that is killed after its second checkpoint.

  Raises:
    Failure: one of them could not be made.
  """
  (folder / f"{name}.py").write_text(config)
  whole, started = (folder / f"{name}-{what}" / "study" for what in ("whole", "started"))
  tell = lambda i, of, text: say(f"{i} of {of}: {text}")  # noqa: E731
  made = bench.Bench(called, folder, folder / f"{name}.py", whole, started, 0.0, random.Random(seed), say, tell)
  say(f"training the undisturbed study of {name}")
  ended = bench.finish(bench.launch(made, whole))
  if ended.code != 0:
    raise Failure(f"the undisturbed study ended with code {ended.code}: {ended.error.strip()[-300:]}")
  say(f"training it again, then to be killed (the first took {ended.seconds:.0f} s)")
  again = bench.finish(bench.launch(made, folder / f"{name}-again" / "study"))  # its programs are compiled now
  if reason := bench.wrong(made, folder / f"{name}-again" / "study", again):
    raise Failure(f"two undisturbed trainings are not the same bits: {reason}")
  made = made._replace(seconds=again.seconds)
  stops.prepare(made)
  return made


class Trial(NamedTuple):
  """A fault: how many times it is done where `--kills` is `FULL`, and what does it."""

  full: int
  launches: float  # for each, roughly
  do: Callable[[Sequence[bench.Bench], int], list[bench.Row]]

  def count(self, kills: int) -> int:
    return max(1, round(self.full * kills / FULL))


def alone(function: Callable[[bench.Bench, int], list[bench.Row]]) -> Callable[..., list[bench.Row]]:
  """A fault that is done to the first study only."""
  return lambda benches, count: function(benches[0], count)


def launchers(made: bench.Bench, count: int) -> list[bench.Row]:
  """Launchers of every kind that there is here, killed."""
  found: list[bench.Row] = []
  for kind, of in ((launcher, count), (cluster, max(1, count // 5)), (rays, max(1, count // 5))):
    reason = kind.refused()
    found += bench.not_tried(kind.FAULT, reason) if reason else kind.launchers(made, of)
  return found


TRIALS: Mapping[str, Trial] = {
  "kills": Trial(200, 0.8, kills.kills),
  "saves": Trial(160, 0.5, alone(kills.saves)),
  "bits": Trial(500, 0.12, alone(damage.bits)),
  "files": Trial(10, 4.0, alone(damage.lost)),
  "double": Trial(50, 1.5, alone(writers.twice)),
  "frozen": Trial(10, 2.0, alone(writers.frozen)),
  "fenced": Trial(10, 2.0, alone(writers.fenced)),
  "signals": Trial(50, 1.2, alone(stops.signals)),
  "members": Trial(18, 1.3, alone(members.diverging)),
  "launcher": Trial(50, 2.0, alone(launchers)),
  "full": Trial(20, 2.0, alone(disk.full)),
  "readonly": Trial(10, 2.0, alone(disk.fixed)),
  "removed": Trial(10, 2.0, alone(disk.removed)),
  "configs": Trial(30, 0.3, alone(hostile.configs)),
  "data": Trial(14, 0.6, alone(hostile.data)),
  "names": Trial(40, 0.1, alone(hostile.names)),
  "code": Trial(10, 2.0, alone(hostile.code)),
  "page": Trial(1, 1.0, alone(lambda made, count: hostile.escaped(made))),
}


def table(rows: Sequence[bench.Row]) -> str:
  """The rows in columns, those that do not hold marked."""

  def detail(row: bench.Row) -> str:
    return f"not tried: {row.detail}" if row.untried else row.detail if row.holds else f"FAILED: {row.detail}"

  lines = [("fault", "tried", "survived", "detail")]
  lines += [(r.fault, f"{r.tried:,}", f"{r.survived:,}", detail(r)) for r in rows]
  widths = [max(len(line[i]) for line in lines) for i in range(3)]
  return "\n".join(f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in lines)


def conduct(
  called: Callable[[Path], bench.Program],
  count: int,
  folder: Path,
  say: Callable[[str], None] = print,
  only: Sequence[str] = (),
  seed: int = 0,
) -> bool:
  """Do the faults, or `only` some, to studies below `folder`, print the table; whether everything holds.

  `seed` is that of the random moments, files and bits.
  """
  chosen = {name: trial for name, trial in TRIALS.items() if not only or name in only}
  made = [prepared(called(folder), folder, say, "mixture", configs.MIXTURE, seed)]
  if count >= SEVERAL and "kills" in chosen:
    made.append(prepared(called(folder), folder, say, "digits", configs.DIGITS, seed))
  work = {name: trial.count(count) * trial.launches for name, trial in chosen.items()}
  before, begun = 0.0, time.monotonic()
  rows: list[bench.Row] = []
  for number, (name, trial) in enumerate(chosen.items(), 1):

    def done(i: int, of: int, text: str, number: int = number, name: str = name, before: float = before) -> None:
      part = before + work[name] * i / of
      left = (time.monotonic() - begun) * (sum(work.values()) / part - 1)
      say(f"row {number} of {len(chosen)}, {name} {i} of {of}: {text} (about {left / 60:.0f} min left)")

    found = trial.do([one._replace(done=done) for one in made], trial.count(count))
    say("\n".join(f"row {number} of {len(chosen)}, {line}" for line in table(found).splitlines()[1:]))
    rows, before = rows + found, before + work[name]
  say("")
  say(table(rows))
  return all(row.holds or row.untried for row in rows)


def rows_of(text: str) -> list[str]:
  """The names in `--only`. Raises `BadInput` for one that is unknown."""
  named = [name for name in text.split(",") if name]
  if unknown := [name for name in named if name not in TRIALS]:
    raise BadInput(f"--only: expected rows of {', '.join(TRIALS)}, got {unknown[0]!r}")
  return named


def main(arguments: list[str]) -> None:
  parser = Parser("selftest")
  parser.add_argument("--kills", type=int, default=5, help="how many SIGKILLs; all others in proportion")
  parser.add_argument("--only", default="", metavar="ROW,...", help=f"some of {', '.join(TRIALS)}")
  parser.add_argument("--seed", type=int, default=0, help="of the random moments, files and bits")
  parser.add_argument("--folder", type=place, help="a new directory (default: a temporary one)")
  known = parser.parse_args(arguments)
  if known.kills < 1:
    raise BadInput(f"--kills: expected at least 1, got {known.kills}")
  only = rows_of(known.only)
  if known.folder is not None and known.folder.exists():
    raise BadInput(f"--folder: expected a directory that does not exist yet, got {known.folder}")
  folder = Path(tempfile.mkdtemp(prefix="selftest-")) if known.folder is None else known.folder.resolve()
  folder.mkdir(parents=True, exist_ok=True)
  print(f"studies are disturbed in {folder}")
  if not conduct(program, known.kills, folder, only=only, seed=known.seed):
    raise Failure(f"not everything survived; what did not is in {folder}")
  shutil.rmtree(folder)  # made by this command, a moment ago


if __name__ == "__main__":
  command.run(main)
