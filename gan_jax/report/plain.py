"""A study without a browser: a table of at most 120 columns, and one strict JSON object."""

import math
from pathlib import Path
from typing import Any

from gan_jax.errors import plural
from gan_jax.report import records, verdicts, wording
from gan_jax.report.comparison import Comparison, Row, compare

WIDTH = 120
SHORTEST_LABEL = 12


def summary(study: Path) -> dict[str, Any]:
  """The study as one object that any JSON reader takes: no NaN, `null` for what is missing or not finite.

  `{"study", "path", "description", "groups": {name: {"step", "complete", "seconds", ...}}, "runs": [{"id", "config",
  "panel", "group", "status", "last_step", "metrics": {name: final value}, "verdict": {"state", "factor", "evidence",
  "periods": [[first step, state]]}}]}`. Every run has every metric of the study; a final value is that of the last row.
  Raises `BadInput` as `records.read` does.
  """
  read = records.read(study)
  names = records.metrics(read)
  return {
    "study": read.manifest["study"],
    "path": str(study),
    "description": read.manifest.get("description", ""),
    "groups": read.status["groups"],
    "runs": [
      {
        "id": run.id,
        "config": run.config,
        "panel": run.config["panel"] or read.manifest["study"],
        "group": run.group,
        "status": run.status,
        "last_step": run.last_step,
        "verdict": _verdict(run),
        "metrics": {name: value if math.isfinite(value := records.final(run, name)) else None for name in names},
      }
      for run in read.runs
    ],
  }


def _verdict(run: records.Run) -> dict[str, Any]:
  found = verdicts.of(run)
  begins = [i for i, state in enumerate(found.states) if i == 0 or state != found.states[i - 1]]
  return {
    "state": found.final,
    "factor": found.factor,
    "evidence": found.evidence,
    "periods": [[int(found.steps[i]), found.states[i]] for i in begins],
  }


def terminal_table(study: Path) -> str:
  """One section a panel: its findings' numbers as columns, plain text. Raises `BadInput` as `records.read` does."""
  read = records.read(study)
  sections = [_section(compare(panel)) for panel in read.panels]
  unfinished = sum(run.status in ("unfinished", "waiting") for run in read.runs)
  if unfinished:
    sections.insert(0, f"not finished: {unfinished} of {plural(len(read.runs), 'run')} still to be trained")
  return "\n\n".join(sections)


def _section(comparison: Comparison) -> str:
  quality = comparison.quality
  heading = ["", "runs"] + ([quality.title, "from non_saturating"] if quality else [])
  short = {"disc/auc": "AUC", "disc/accuracy": "D accuracy"}
  columns = [c for c in comparison.columns if c[0] in short or c[0] in ("classes/present", "modes/covered")]
  heading += [short.get(name, title.split()[0]) for name, title in columns] + ["decades", "verdict"]
  lines = [heading, *(_cells(row, comparison, [name for name, _ in columns]) for row in comparison.rows)]
  lines = [[_printable(cell) for cell in line] for line in lines]
  widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
  widths[0] = max(SHORTEST_LABEL, min(widths[0], WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
  text = [
    "  ".join(
      [_fit(line[0], widths[0]).ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
    )
    for line in lines
  ]
  title = _fit(_printable(comparison.panel.title), WIDTH)
  return "\n".join([title, "-" * len(title), *(_fit(line.rstrip(), WIDTH) for line in [*text, *_diverged(comparison)])])


def _diverged(comparison: Comparison) -> list[str]:
  return [
    f"{run.status}, in no mean: {_printable(row.variant.label)}, seed {run.seed}, at step {run.last_step:,} ({run.id})"
    for row in comparison.rows
    for run in row.variant.runs
    if run.status == "diverged"
  ]


def _cells(row: Row, comparison: Comparison, names: list[str]) -> list[str]:
  done = row.statuses["done"]
  cells = [row.variant.label, f"{done}/{len(row.variant.runs)}"]
  if comparison.quality is not None:
    cells.append(wording.plus_minus(row.finals[comparison.quality.metric]))
    cells.append("baseline" if row.is_baseline else wording.interval(row.difference) if row.difference else "-")
  cells += [wording.number(row.finals[name].mean) for name in names]
  cells.append(wording.decade(row.decades.total) if row.decades else "-")
  return [*cells, verdicts.short(verdicts.majority(row.verdicts))]


def _printable(text: str) -> str:
  """ASCII for our own signs, so that any terminal shows them, and nothing that moves a terminal's cursor."""
  for ours, plain in (("±", "+/-"), ("–", "-"), ("−", "-"), ("é", "e"), ("…", "...")):
    text = text.replace(ours, plain)
  return "".join(c if c.isprintable() else "?" for c in text)


def _fit(text: str, width: int) -> str:
  return text if len(text) <= width else text[: width - 3] + "..."
