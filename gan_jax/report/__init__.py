"""From a study's files to what a person reads: a page, a table on the terminal, one JSON object. Reads files only."""

from gan_jax.report.page import build
from gan_jax.report.plain import summary, terminal_table

__all__ = ["build", "summary", "terminal_table"]
