"""`launch.sh report DIR [--json]`: write a study's tables and report.html again, from its files."""

import json

from . import command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("report")
  parser.add_argument("directory", type=place, help="a study's directory, such as runs/compare_losses")
  parser.add_argument("--json", action="store_true", help="one JSON object of all runs, and nothing else")
  known = parser.parse_args(arguments)

  from gan_jax import report

  if known.json:
    command.deliver(json.dumps(report.summary(known.directory), allow_nan=False) + "\n")
    return
  with command.phase("writing the report", brief=True):
    page = report.build(known.directory)
  print(report.terminal_table(known.directory))
  print(f"report: {page}")


if __name__ == "__main__":
  command.run(main)
