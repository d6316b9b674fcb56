"""`launch.sh export DIR... --format=csv|jsonl|tensorboard [--out PATH]`: a study's rows in a format for other tools.

Several directories, and `--filter`, as of `report`; they need `--out`.
"""

from . import chosen, command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("export")
  chosen.arguments(parser)
  parser.add_argument("--format", required=True, help="csv, jsonl or tensorboard")
  parser.add_argument("--out", type=place, help="where to write (default: inside the directory of a whole study)")
  known = parser.parse_args(arguments)

  from gan_jax.report.export import default_name, export

  out = chosen.place_for(known, "export", default_name(known.format))
  with command.phase("exporting", brief=True):
    path = export(chosen.measured(known), known.format, out)
  print(path)


if __name__ == "__main__":
  command.run(main)
