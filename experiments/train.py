"""`launch.sh train CONFIG [--config.field=value ...] [--out DIR] [--log SINKS] [--dry-run]`: train one run, no sweep."""

from . import command, sweep

if __name__ == "__main__":
  command.run(lambda arguments: sweep.main(arguments, single=True))
