"""`launch.sh selftest [--kills N] [--folder DIR]`: kill, damage and attack a small study here, and see it survive to the bit.

It trains one tiny study undisturbed. Each fault is then done to a copy of a started one, which the same command
continues in a process of its own, and every byte is compared with the undisturbed study. The last lines are a table:
fault, tried, survived, detail. The exit code is 0 if everything holds, and 1 otherwise.

The default, `--kills 5`, starts about 40 processes; `--kills 200` is the form to trust a cluster by. `--folder` names a
new directory on the file system in question; the default is a temporary one. Copies that survived are removed from it,
the others are kept.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_jax.core import installation
from gan_jax.core.errors import BadInput, Failure

from . import command
from .faults import bench, damage, hostile, stops
from .sweep import Parser, place

HEALTHY = 2  # members beside the one that diverges
# Its checkpoints are three, as many as are kept, so that none of them may disappear.
CONFIG = """\"\"\"A study to be disturbed. {mark} ../../outside\"\"\"


def get_config():
  return {{
    "dataset": "ring",
    "model_options": {{"generator_width": 16, "discriminator_width": 16, "depth": 1}},
    "latent_size": 2, "batch_size": 16, "steps": 600, "probe_every": 20, "evaluate_every": 100,
    "checkpoint_every": 200, "evaluation_samples": 200,
  }}


def sweep(s):
  losses = s.param("loss", ["non_saturating", "hinge", "hinge"])
  return s.zipit(losses, s.param("seed", [0, 1, 2]), s.param("generator_rate", [5e-4, 5e-4, {rate}]))
"""


def program(folder: Path) -> bench.Program:
  """The commands `sweep` and `report` as processes, whose compiled programs are shared in `folder`."""
  from gan_jax.report import terminal_table

  paths = [str(installation.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
  environment = dict(os.environ) | {
    "XDG_CACHE_HOME": str(folder / "cache"),
    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
  }
  called = [sys.executable, "-m", "gan_jax.commands"]
  return bench.Program([*called, "sweep"], [*called, "report"], environment, terminal_table)


def prepared(called: bench.Program, folder: Path, say: Callable[[str], None]) -> bench.Bench:
  """The undisturbed study, and one that is killed after its second checkpoint.

  Raises:
    Failure: one of them could not be made.
  """
  for name, rate in (("healthy", "5e-4"), ("diverging", "1e30")):
    (folder / f"{name}.py").write_text(CONFIG.format(mark=hostile.MARK, rate=rate))
  whole, started = (folder / name / "study" for name in ("whole", "started"))
  made = bench.Bench(called, folder, folder / "healthy.py", whole, started, 0.0, random.Random(0), say)
  say("training the undisturbed study")
  ended = bench.finish(bench.launch(made, whole))
  if ended.code != 0:
    raise Failure(f"the undisturbed study ended with code {ended.code}: {ended.error.strip()[-300:]}")
  say(f"training it again, to be killed (the first took {ended.seconds:.0f} s)")
  again = bench.finish(bench.launch(made, folder / "again" / "study"))  # its programs are compiled now
  if reason := bench.wrong(made, folder / "again" / "study", again):
    raise Failure(f"two undisturbed trainings are not the same bits: {reason}")
  if not stops.started(made):
    raise Failure("the study was over before it could be killed after its second checkpoint")
  return made._replace(seconds=again.seconds)


def trials(made: bench.Bench, kills: int) -> list[Callable[[], list[bench.Row]]]:
  """Every fault, as a function that does it and returns its rows."""
  rounds = max(1, kills // 20)
  return [
    lambda: stops.kills(made, kills),
    lambda: damage.damages(made, kills, rounds),
    lambda: stops.twice(made, rounds),
    lambda: stops.signals(made, 2 * rounds),
    lambda: hostile.diverging(made, made.folder / "diverging.py", HEALTHY),
    lambda: hostile.code(made, rounds),
    lambda: hostile.refused(made),
    lambda: hostile.escaped(made),
  ]


def table(rows: Sequence[bench.Row]) -> str:
  """The rows in columns, those that do not hold marked."""
  lines = [("fault", "tried", "survived", "detail")]
  lines += [(r.fault, f"{r.tried:,}", f"{r.survived:,}", r.detail if r.holds else f"FAILED: {r.detail}") for r in rows]
  widths = [max(len(line[i]) for line in lines) for i in range(3)]
  return "\n".join(f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in lines)


def conduct(
  called: Callable[[Path], bench.Program], kills: int, folder: Path, say: Callable[[str], None] = print
) -> bool:
  """Do every fault to studies below `folder`, print the table; whether everything holds."""
  made = prepared(called(folder), folder, say)
  rows = [row for trial in trials(made, kills) for row in trial()]
  say("")
  say(table(rows))
  return all(row.holds for row in rows)


def main(arguments: list[str]) -> None:
  parser = Parser("selftest")
  parser.add_argument("--kills", type=int, default=5, help="how many SIGKILLs and flipped bits; others in proportion")
  parser.add_argument("--folder", type=place, help="a new directory (default: a temporary one)")
  known = parser.parse_args(arguments)
  if known.kills < 1:
    raise BadInput(f"--kills: expected at least 1, got {known.kills}")
  if known.folder is not None and known.folder.exists():
    raise BadInput(f"--folder: expected a directory that does not exist yet, got {known.folder}")
  folder = Path(tempfile.mkdtemp(prefix="selftest-")) if known.folder is None else known.folder.resolve()
  folder.mkdir(parents=True, exist_ok=True)
  print(f"studies are disturbed in {folder}")
  if not conduct(program, known.kills, folder):
    raise Failure(f"not everything survived; what did not is in {folder}")
  shutil.rmtree(folder)  # made by this command, a moment ago


if __name__ == "__main__":
  command.run(main)
