"""Studies without their page, for tests of what is trained and written: to draw it takes longer than their small runs.

`python -m tests.support.pages ...` is `python -m experiments.sweep ...` without it.
"""

import contextlib
import types
from collections.abc import Iterator
from pathlib import Path

from gan_jax import report
from gan_jax.runner import reporting


def blank(directory: Path) -> Path:
  """In the place of `report.build`."""
  page = directory / "report.html"
  page.write_text("not drawn")
  return page


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
  """While it lasts, a study ends with a line of text in the place of its page; `report.build` draws as always."""
  drawn = reporting.report
  reporting.report = types.SimpleNamespace(build=blank, terminal_table=report.terminal_table)
  try:
    yield
  finally:
    reporting.report = drawn


if __name__ == "__main__":
  from experiments import command, sweep

  with undrawn():
    command.run(sweep.main)
