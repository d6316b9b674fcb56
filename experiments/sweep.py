"""`launch.sh sweep CONFIG [--config.field=value ...] [--out DIR]` and `launch.sh train CONFIG ...` (one run)."""

import argparse
from pathlib import Path

from experiments import command
from gan_jax.errors import BadInput


class Parser(argparse.ArgumentParser):
  """Usage errors in one sentence, like all others."""

  def error(self, message: str) -> None:  # type: ignore[override]
    raise BadInput(f"{message}; {self.format_usage().strip()}")


def main(arguments: list[str], single: bool = False) -> None:
  parser = Parser(prog=f"./launch.sh {'train' if single else 'sweep'}", allow_abbrev=False)
  parser.add_argument("config", help="a file of configs/, or your own")
  parser.add_argument("--out", type=Path, help="the study's directory (default: runs/<config>)")
  known, rest = parser.parse_known_args(arguments)

  from gan_jax import study

  study.run(known.config, rest, known.out, single)


if __name__ == "__main__":
  command.run(main)
