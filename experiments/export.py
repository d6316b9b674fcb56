"""`launch.sh export DIR --format=csv|jsonl|tensorboard [--out PATH]`: a study's rows in a format for other tools."""

from . import command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("export")
  parser.add_argument("directory", type=place, help="a study's directory, such as runs/compare_losses")
  parser.add_argument("--format", required=True, help="csv, jsonl or tensorboard")
  parser.add_argument("--out", type=place, help="where to write (default: inside the study's directory)")
  known = parser.parse_args(arguments)

  from gan_jax.report.export import export

  with command.phase("exporting", brief=True):
    path = export(known.directory, known.format, known.out)
  print(path)


if __name__ == "__main__":
  command.run(main)
