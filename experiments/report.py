"""`launch.sh report DIR... [--json] [--filter CONDITIONS] [--out PATH]`: a study's tables and page again, from its files.

With several directories their runs are one report, if they were measured alike; a run that two have counts once.
`--filter='loss=hinge|minimax,seed<3'` shows only these runs, `--baseline=hinge` compares with hinge,
`--compare=n_critic` compares the values of a field, all else being equal. The page is then written to `--out`, since
report.html in a study's directory shows the whole study.
"""

import json

from . import chosen, command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("report")
  chosen.arguments(parser)
  parser.add_argument("--json", action="store_true", help="one JSON object of all runs, and nothing else")
  parser.add_argument("--out", type=place, help="the page (default: report.html in the directory of a whole study)")
  known = parser.parse_args(arguments)

  from gan_jax import report
  from gan_jax.report.export import new_file

  if known.json:
    command.deliver(json.dumps(report.summary(chosen.study(known)), allow_nan=False) + "\n")
    return
  out = chosen.place_for(known, "report", "report.html")
  with command.phase("writing the report", brief=True):
    study = chosen.study(known)
    page = report.build(study, out if known.out is None else new_file(out, "report"))
  print(report.terminal_table(study))
  print(f"report: {page}")


if __name__ == "__main__":
  command.run(main)
