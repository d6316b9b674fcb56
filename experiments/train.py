"""`launch.sh train CONFIG [--config.field=value ...] [--out DIR] [--fork DIR] [--log SINKS] [--dry-run]`: train a run."""

from . import command, sweep

if __name__ == "__main__":
  command.run(lambda arguments: sweep.main(arguments, single=True))
