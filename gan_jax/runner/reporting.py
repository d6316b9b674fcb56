"""The end of a study: its report is written, and its table printed. No jax import."""

from collections.abc import Callable
from pathlib import Path

from gan_jax import report, runs
from gan_jax.runner.progress import Progress
from gan_jax.runs import lock

Say = Callable[[str], None]


def written(study: Path) -> str:
  """Write the report, by the study's writer alone; returns its path."""
  lock.fence(study)
  return str(report.build(study))


def of_workers(study: Path, say: Say) -> str:
  """Write the report of a study whose groups other processes have trained; returns its path.

  Raises:
    Taken: another process writes the study.
    OSError: it could not be written.
  """
  with runs.writer_lock(study):
    runs.mend(study, say)
    return written(study)


def tell(study: Path, page: str, say: Say) -> None:
  """Print the comparison table of a study, and where its report is."""
  last = Progress(say)  # without the live line, so that the table stays
  last.say(report.terminal_table(study))
  last.say(f"report: {page}")
