"""The report of a study: an HTML page, a table for the terminal, and one JSON object. It only reads the study's files."""

from gan_jax.report.page import build
from gan_jax.report.plain import summary, terminal_table

__all__ = ["build", "summary", "terminal_table"]
