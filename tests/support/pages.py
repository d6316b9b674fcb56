"""Studies without their page, for tests of what is trained and written: to draw it takes longer than their small runs."""

import contextlib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_jax import report
from gan_jax.runner import study


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
  """While it lasts, a study ends with a line of text in the place of its page; `report.build` draws as always."""

  def build(directory: Path) -> Path:
    page = directory / "report.html"
    page.write_text("not drawn")
    return page

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(study, "report", types.SimpleNamespace(build=build, terminal_table=report.terminal_table))
    yield
