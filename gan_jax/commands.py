"""The console command `gan-jax`: finds the script of a command and runs it. No jax import.

A script below `experiments` is a command if its docstring begins with `launch.sh NAME ARGUMENTS` in backticks, a colon,
and what it does. So a new study needs no line here. `launch.sh` sets up an environment
and then calls this.
"""

import difflib
import os
import re
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

from gan_jax.core import installation

SCRIPTS = ("*.py", "studies/*/study.py", "benchmarks/*.py")
FIRST_LINE = re.compile(r'"""`launch\.sh (?P<name>[a-z_]+)(?P<arguments>[^`]*)`: (?P<text>.*?)(""")?$')
MAIN_JOB = "compare_losses"


class Command(NamedTuple):
  """One command, as described by the first line of its script."""

  name: str
  arguments: str  # ' CONFIG [--out DIR]'; '' for none
  text: str  # what it does
  script: Path


def commands() -> dict[str, Command]:
  """All commands by name, in the order of their names."""
  root = installation.folder("experiments")
  found = []
  for path in (path for pattern in SCRIPTS for path in root.glob(pattern)):
    with path.open(encoding="utf-8") as file:
      match = FIRST_LINE.match(file.readline().rstrip("\n"))
    if match:
      found.append(Command(match["name"], match["arguments"], match["text"], path))
  return {command.name: command for command in sorted(found)}


def usage() -> str:
  """The text of `gan-jax help`."""
  typed = installation.typed()
  lines = [("", "the main job: the study of configs/compare_losses.py"), (" help", "this text")]
  lines += [(f" {c.name}{c.arguments}", c.text) for c in commands().values()]
  listed = "".join(f"  {typed}{call}\n      {text}\n" for call, text in lines)
  configs = ", ".join(sorted(path.stem for path in installation.folder("configs").glob("*.py")))
  return (
    f"gan_jax {installation.__version__}: which GAN loss, and why did this one stop learning?\n\n{listed}\n"
    f"CONFIG is a file of yours or the name of one that comes with the package: {configs}.\n"
    "Every field of a run is in gan_jax/settings/fields.py. A study is written below runs/ of the current directory.\n"
  )


def run(command: Command, arguments: list[str]) -> None:
  """Run a command's script as `python -m` would, and exit with its code."""
  root = installation.folder("experiments")
  package = "gan_jax." if root.parent == installation.PACKAGE else ""
  if not package and str(root.parent) not in sys.path:
    sys.path.insert(0, str(root.parent))
  module = ".".join(command.script.relative_to(root.parent).with_suffix("").parts)
  sys.argv = [command.name, *arguments]
  runpy.run_module(package + module, run_name="__main__", alter_sys=True)


def main() -> None:
  """Entry point of the console command; without arguments it runs the main job."""
  name, *arguments = sys.argv[1:] or ["sweep", MAIN_JOB]
  known = commands()
  if name in ("help", "-h", "--help"):
    try:
      print(usage(), end="", flush=True)
    except BrokenPipeError:  # the reader closed the pipe
      os._exit(141)
  elif name in known:
    run(known[name], arguments)
  else:
    shown = "".join(c if c.isprintable() else "?" for c in name)
    near = difflib.get_close_matches(name[:40], ["help", *known], n=1, cutoff=0.6)
    hint = f" did you mean '{near[0]}'?" if near else ""
    print(f"error: unknown command '{shown}';{hint} known: help {' '.join(known)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
  main()
