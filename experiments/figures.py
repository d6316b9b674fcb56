"""`launch.sh figures DIR... --format=svg|pdf|png [--out FOLDER] [--width 3.3]`: the report's pictures as files for a paper.

Each has a width of 3.3 inches, a column of a paper of two, and letters of 8 points; `--width` gives another width. Fonts
are embedded as TrueType in PDF, and are paths in SVG. `captions.txt` beside them says what each shows. Several
directories, `--filter`, `--baseline` and `--compare`: as of `report`; they need `--out`.
"""

from . import chosen, command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("figures")
  chosen.arguments(parser)
  parser.add_argument("--format", default="pdf", help="svg, pdf or png (default: pdf)")
  parser.add_argument("--width", type=float, default=3.3, help="of each picture, in inches (default: 3.3)")
  parser.add_argument("--out", type=place, help="a folder (default: figures/ in the study's directory)")
  known = parser.parse_args(arguments)

  from gan_jax.core.errors import plural
  from gan_jax.report import plates
  from gan_jax.report.export import new_folder

  folder = chosen.place_for(known, "figures", "figures")
  with command.phase("drawing", brief=True):
    study = chosen.measured(known)
    written = plates.write(study, known.format, new_folder(folder, "figures", plates.NAMES), known.width)
  print(f"{plural(len(written), 'figure')} in {folder}, explained in {folder / 'captions.txt'}")


if __name__ == "__main__":
  command.run(main)
