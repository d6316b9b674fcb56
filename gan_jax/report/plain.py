"""A study as text: a table of at most 120 columns for the terminal, and one strict JSON object."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_jax.core.errors import plural
from gan_jax.report import ranking, records, selection, survivors, verdicts, wording
from gan_jax.report.comparison import Comparison, Row, compare, last_value
from gan_jax.report.search import Search, search
from gan_jax.report.tournament import tournament

WIDTH = 120
SHORTEST_LABEL = 12


def summary(study: Path | records.Study) -> dict[str, Any]:
  """The study as one object of strict JSON: `null` stands for what is missing or not finite.

  `{"study", "path", "description", "groups": {name: {"step", "complete", "seconds", ...}}, "remarks": [sentences],
  "missing": [{"group", "table", "first", "last", "why"}], "runs": [{"id", "config", "panel", "group", "status",
  "last_step", "bit_exact", "metrics": {name: final value}, "verdict": {"state", "factor", "evidence", "periods":
  [[first step, state]]}}], "searches": [{"panel", "drawn", "compared", "quality", "baseline", "entries": [{"label",
  "draws", "runs", "learnt", "best", "best_run", "quartiles", "expected_best", "wins", "p"}], "tournament"}]}`. Every run
  has every metric of the study; a final value is that of the last row. A search is a panel whose settings were drawn.
  Raises `BadInput` as `records.read` does.
  """
  read = records.opened(study)
  names = records.metrics(read)
  return {
    "study": read.manifest["study"],
    "path": str(read.path),
    "description": read.manifest.get("description", ""),
    "groups": read.status["groups"],
    "remarks": list(read.remarks),
    "missing": [gap._asdict() for gap in read.gaps],
    "runs": [
      {
        "id": run.id,
        "config": run.config,
        "panel": run.config["panel"] or read.manifest["study"],
        "group": run.group,
        "status": run.status,
        "last_step": run.last_step,
        "bit_exact": run.bit_exact,
        "verdict": _verdict(run),
        "metrics": {name: value if math.isfinite(value := records.final(run, name)) else None for name in names},
      }
      for run in read.runs
    ],
    "searches": [_search(panel.title, found) for panel in read.panels if (found := search(panel)) is not None],
  }


def _search(title: str, found: Search) -> dict[str, Any]:
  def known(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None

  played = tournament(found)
  return {
    "panel": title,
    "tournament": ranking.summary(played) if played else None,
    "drawn": list(found.drawn),
    "compared": list(found.compared),
    "quality": found.quality.metric,
    "baseline": found.baseline,
    "entries": [
      {
        "label": entry.label,
        "draws": len(entry.draws),
        "runs": entry.runs,
        "learnt": entry.learnt,
        "best": known(entry.values[0]),
        "best_run": entry.best.runs[0].id,
        "quartiles": [known(x) for x in entry.quartiles],
        "expected_best": [known(x) for x in entry.expected],
        "wins": known(entry.wins),
        "p": known(entry.p),
      }
      for entry in found.entries
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


def terminal_table(study: Path | records.Study) -> str:
  """One section of plain text per panel, its numbers in columns. Raises `BadInput` as `records.read` does."""
  read = records.opened(study)
  sections = [_section(panel) for panel in read.panels]
  half, waiting = (sum(run.status == state for run in read.runs) for state in ("unfinished", "waiting"))
  if half or waiting:
    said = [f"{half:,} trained in part"] * bool(half) + [f"{waiting:,} not begun"] * bool(waiting)
    sections.insert(0, f"not finished: of {plural(len(read.runs), 'run')} {' and '.join(said)}")
  if read.remarks:
    sections.append("\n".join(_printable(f"note: {remark}") for remark in read.remarks))
  return "\n\n".join(sections)


def _section(panel: records.Panel) -> str:
  found, left = search(panel), survivors.survivors(panel)
  if left is not None:
    heading, lines, notes = left_over(left)
    notes += _ended(panel.variants, "diverged", "stopped")
  elif found is not None:
    played = tournament(found)
    heading, lines, notes = ranking.lines(played) if played else _over_draws(found)
    notes += _ended(panel.variants, "diverged")
  else:
    comparison = compare(panel)
    heading, lines, notes = _over_seeds(comparison)
    notes += _ended([row.variant for row in comparison.rows], "diverged", "stopped")
  title = _fit(_printable(panel.title), WIDTH)
  wrapped = [line for note in notes for line in textwrap.wrap(_printable(note), WIDTH)]
  return "\n".join([title, "-" * len(title), *_aligned([heading, *lines]), *wrapped])


def _aligned(lines: list[list[str]]) -> list[str]:
  """Columns of text. Labels are cut to fit; where two would then look the same, each gets a line of its own, uncut."""
  lines = [[_printable(cell) for cell in line] for line in lines]
  widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
  widths[0] = max(SHORTEST_LABEL, min(widths[0], WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
  labels = [line[0] for line in lines]
  alone = len({_fit(label, widths[0]) for label in labels}) < len(set(labels))
  text = []
  for label, *cells in lines:
    row = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
    short = f"{_fit(label, widths[0]).ljust(widths[0])}  {row}"
    text += [*textwrap.wrap(label, WIDTH), f"    {row}"] if alone else [short]
  return [_fit(line.rstrip(), WIDTH) for line in text if line.strip()]


def _over_seeds(comparison: Comparison) -> tuple[list[str], list[list[str]], list[str]]:
  """(heading, lines, notes) of a panel whose variants are compared over seeds."""
  quality = comparison.quality
  heading = ["", "runs"] + (
    [quality.title, "ratio to baseline" if quality.log else "minus baseline"] if quality else []
  )
  short = {"disc/auc": "AUC", "disc/accuracy": "D acc"}
  columns = [
    c for c in comparison.columns if c[0] in short or c[0].startswith(("classes/present", "modes/covered", "raw/"))
  ]
  heading += [short.get(name, title.split()[0].rstrip(":")) for name, title in columns] + ["decades", "verdict"]
  first, last = selection.ends(comparison.rows)
  lines = [_cells(row, comparison, [name for name, _ in columns]) for row in [*first, *last]]
  left_out = len(comparison.rows) - len(lines)
  if left_out:
    lines.insert(len(first), [f"({plural(left_out, 'variant')} left out)", *[""] * (len(heading) - 1)])
  better = "" if quality is None else f"{quality.title}: {'lower' if quality.sign > 0 else 'higher'} is better; "
  accuracy = "D acc: the discriminator's accuracy; " if "D acc" in heading else ""
  raw = "raw: weights not averaged; " if any(name.startswith("raw/") for name, _ in columns) else ""
  notes = [f"{better}{raw}{accuracy}decades: change of the generator's gradient at its lowest, in powers of ten"]
  if comparison.baseline and len(comparison.rows) > 1 and quality is not None:
    over = f", Holm's correction for {comparison.family}" if comparison.family > 1 else ""
    stars = f"; *: surely different (p below 5 %{over})" if comparison.family else ""
    notes.append(f"baseline: {comparison.baseline}, compared seed by seed; brackets: 95 % intervals{stars}")
  if comparison.no_baseline:
    notes.append(f"baseline: {comparison.no_baseline} is not in this panel")
  slow = [_failed(row, row.failed - row.lost) for row in comparison.rows if row.failed > row.lost]
  if slow:
    notes.append(f"runs that did not halve their distance: {selection.named(slow)}")
  lost = [_failed(row, row.lost) for row in comparison.rows if row.lost]
  if lost:
    notes.append(f"runs whose last value is not finite: {selection.named(lost)}")
  return heading, lines, notes


def _failed(row: Row, count: int) -> str:
  """`2 of 3 of hinge (left out of its mean)`; `all 3 of hinge`, which are averaged for want of better ones."""
  runs, others = len(row.variant.runs), len(row.variant.counted) - row.failed
  if others:
    return f"{count} of {runs} of {row.variant.label} (left out of its mean)"
  return f"all {runs} of {row.variant.label}" if count == runs > 1 else f"{count} of {runs} of {row.variant.label}"


def _over_draws(found: Search) -> tuple[list[str], list[list[str]], list[str]]:
  """(heading, lines, notes) of a panel whose settings were drawn at random."""
  some = [k for k in (4, 16) if all(k < len(entry.draws) for entry in found.entries)][:1]
  heading = ["over draws", "draws", "learnt", f"median {found.quality.title}", *(f"best of {k}" for k in some), "best"]
  several = len(found.entries) > 1
  heading += ["beats baseline"] * several
  lines = [
    [
      entry.label,
      str(len(entry.draws)),
      f"{entry.learnt}/{entry.runs}",
      f"{wording.number(entry.quartiles[1])} [{wording.number(entry.quartiles[0])}, {wording.number(entry.quartiles[2])}]",
      *(wording.number(float(entry.expected[k - 1])) for k in some),
      wording.number(float(entry.values[0])),
      *["baseline" if math.isnan(entry.wins) else f"{entry.wins:.0%}{'*' if entry.certain else ' '}"] * several,
    ]
    for entry in found.entries
  ]
  notes = [
    f"drawn: {', '.join(found.drawn)}; brackets: the middle half of the draws; a failed run counts with the untrained quality"
  ]
  notes += several * [
    f"beats baseline: chance that a draw beats one of {found.baseline}'s; *: surely not 50 % (p below 5 %, Holm)",
  ]
  return heading, lines, notes


def left_over(found: survivors.Survivors) -> tuple[list[str], list[list[str]], list[str]]:
  """(heading, lines, notes) of what halving left of a search: the best draw of each setting."""
  heading = ["best draws", "left", f"best {found.quality.title}", "its settings"]
  lines = [
    [one.label, f"{one.left}/{one.draws}", wording.plus_minus(one.value) if one.best else "-", one.settings or "-"]
    for one in found.settings
  ]
  return heading, lines, [survivors.sentence(found)]


def _ended(variants: Sequence[records.Variant], *statuses: str) -> list[str]:
  """A note on each run that ended early with one of these statuses; of many, the first ones and how many more there are."""
  notes, most = [], selection.LINES // 4
  for status in statuses:
    members = [(variant.label, run) for variant in variants for run in variant.runs if run.status == status]
    notes += [_ending(label, run) for label, run in members[:most]]
    notes += [f"and {plural(len(members) - most, f'other {status} run')}"] * (len(members) > most)
  return notes


def _ending(label: str, run: records.Run) -> str:
  value = last_value(run) if run.status == "stopped" else None
  how = "stopped by halving" if run.status == "stopped" else run.status
  last = f" with {value[0]} {wording.number(value[1])}" if value else ""
  return f"{how}, left out of every mean: {label}, seed {run.seed}, at step {run.last_step:,}{last} ({run.id})"


def _cells(row: Row, comparison: Comparison, names: list[str]) -> list[str]:
  done = row.statuses["done"]
  cells = [row.variant.label, f"{done}/{len(row.variant.runs)}"]
  if comparison.quality is not None:
    cells.append(wording.plus_minus(row.finals[comparison.quality.metric]))
    versus = row.versus and wording.interval(row.versus) + ("*" if row.versus.certain else " ")
    cells.append("baseline" if row.is_baseline else versus or "-")
  cells += [wording.number(row.finals[name].mean) for name in names]
  cells.append(wording.decade(row.decades.total) if row.decades else "-")
  return [*cells, verdicts.short(verdicts.majority(row.verdicts))]


def _printable(text: str) -> str:
  """The text with our own signs in ASCII, which every terminal shows, and without characters that move the cursor."""
  for ours, plain in (("±", "+/-"), ("–", "-"), ("−", "-"), ("é", "e"), ("…", "...")):
    text = text.replace(ours, plain)
  return "".join(c if c.isprintable() else "?" for c in text)


def _fit(text: str, width: int) -> str:
  return text if len(text) <= width else text[: width - 3] + "..."
