"""Studies without their page, for tests of what is trained and written: to draw it takes longer than their small runs.

`python -m tests.support.pages ...` is `python -m experiments.sweep ...` without it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_jax.runner import gallery


def blank(directory: Path, found: Any, folder: Path) -> str:
  """In the place of the report and of the closer look at the best runs that it shows."""
  page = directory / "report.html"
  page.write_text("not drawn")
  return str(page)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
  """While it lasts, a study ends with a line of text in the place of its page; `report.build` draws as always."""
  drawn = gallery.reported
  gallery.reported = blank
  try:
    yield
  finally:
    gallery.reported = drawn


if __name__ == "__main__":
  from experiments import command, sweep

  with undrawn():
    command.run(sweep.main)
