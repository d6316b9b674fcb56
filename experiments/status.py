"""`launch.sh status DIR... [--json] [--all]`: where studies stand: runs, speed, time left, failures, who writes them.

It reads files only, also while a study is trained. Of a large study the verdicts of some finished runs are counted, as
many as a second or two allow; `--all` counts all. With `--json` there is one object per directory, each on a line. A
directory that has no study is an error at the end, after the others.
"""

import json

from . import command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("status")
  parser.add_argument("directory", type=place, nargs="+", help="a study's directory, such as runs/compare_losses")
  parser.add_argument("--json", action="store_true", help="one JSON object for each directory, and nothing else")
  parser.add_argument("--all", action="store_true", help="judge all finished runs, however long it takes")
  known = parser.parse_args(arguments)

  from gan_jax.core.errors import BadInput
  from gan_jax.report import overview, spoken

  wrong = []
  for directory in known.directory:
    try:
      found = overview.overview(directory, None if known.all else overview.JUDGING)
    except BadInput as error:
      wrong.append(str(error))
      continue
    command.deliver(f"{json.dumps(spoken.summary(found), allow_nan=False)}\n" if known.json else f"{text(found)}\n")
  if wrong:
    raise BadInput("; ".join(wrong))


def text(found) -> str:
  """A paragraph: the study's name, then a line for each thing that is known."""
  from gan_jax.report import spoken

  lines = [f"  {what:9}  {said}" for what, said in spoken.lines(found)]
  lines += [f"  {'problems' if i == 0 else '':9}  {one}" for i, one in enumerate(found.failures)]
  more = found.failed - len(found.failures)
  lines += [f"  {'':9}  and {more:,} more"] * (more > 0)
  return "".join(f"{printable(line)}\n" for line in [f"{found.name} ({found.path})", *lines])


def printable(line: str) -> str:
  """Without characters that move the cursor: names in a study's files may be anybody's."""
  return "".join(c if c.isprintable() else "?" for c in line)


if __name__ == "__main__":
  command.run(main)
