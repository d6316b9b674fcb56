"""`launch.sh train CONFIG [--config.field=value ...] [--out DIR] [--dry-run]`: train one run, without the config's sweep."""

from . import command, sweep

if __name__ == "__main__":
  command.run(lambda arguments: sweep.main(arguments, single=True))
