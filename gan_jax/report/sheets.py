"""The report's comparison tables as plain data; `formats.py` and `latex.py` write them. No jax import.

A cell has the page's text, its numbers rounded as there. In CSV every number has a column of its own.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gan_jax.core.errors import unknown
from gan_jax.report import ranking, verdicts, wording
from gan_jax.report.comparison import Comparison, Row, compare
from gan_jax.report.places import Place, Tournament
from gan_jax.report.records import Panel, Study
from gan_jax.report.search import Search, search
from gan_jax.report.statistics import Estimate
from gan_jax.report.tournament import tournament

MARK = "*"  # after a number: it surely differs


class Column(NamedTuple):
  heading: str  # for a reader
  names: tuple[str, ...]  # of its columns in CSV


class Cell(NamedTuple):
  text: str  # as the page shows it
  values: tuple[str, ...]  # of the column's `names`; '' for a number that there is none of
  sure: bool = False  # surely different: `MARK`


class Sheet(NamedTuple):
  """The table of one panel."""

  title: str
  columns: tuple[Column, ...]
  rows: tuple[tuple[Cell, ...], ...]
  notes: tuple[str, ...]  # sentences: what the numbers, brackets and marks mean


def sheets(study: Study, columns: Sequence[str] = ()) -> list[Sheet]:
  """The comparison table of each panel, in the page's order; of a search that over its draws.

  Args:
    study: what is compared.
    columns: those that are wanted, by their first name in CSV (`versus`, `verdict`); none: all.

  Raises:
    BadInput: a column that no table has.
  """
  found = [_sheet(panel) for panel in study.panels]
  known = dict.fromkeys(column.names[0] for sheet in found for column in sheet.columns)
  for name in columns:
    if name not in known:
      raise unknown("column", name, known)
  return [_only(sheet, ("variant", *columns)) for sheet in found] if columns else found


def _only(sheet: Sheet, names: Sequence[str]) -> Sheet:
  places = [i for i, column in enumerate(sheet.columns) if column.names[0] in names]
  rows = tuple(tuple(row[i] for i in places) for row in sheet.rows)
  return sheet._replace(columns=tuple(sheet.columns[i] for i in places), rows=rows)


def _sheet(panel: Panel) -> Sheet:
  found = search(panel)
  if found is None:
    return _over_seeds(panel.title, compare(panel))
  played = tournament(found)
  return _over_draws(panel.title, found) if played is None else _tuned(panel.title, played)


def _over_seeds(title: str, comparison: Comparison) -> Sheet:
  quality, compared = comparison.quality, bool(comparison.baseline) and len(comparison.rows) > 1
  columns = [Column("variant", ("variant",))]
  if quality is not None:
    columns.append(Column(f"final {quality.title}", _named(quality.metric, "low", "high", "runs")))
    if compared:
      what = "ratio to" if quality.log else "difference from"
      columns.append(Column(f"{what} {comparison.baseline}", _named("versus", "low", "high", "p", "seeds", "surely")))
  columns += [Column("verdict", ("verdict", "verdict.factor", "verdict.share")), Column("runs", ("runs",))]
  if quality is not None:
    columns.append(Column(f"best {quality.title}", _named(f"best.{quality.metric}", "step")))
  columns += [Column(heading, _named(metric, "low", "high")) for metric, heading in comparison.columns]
  columns.append(Column("lowest gradient, decades", ("decades",)))
  rows = tuple(_cells(row, comparison, compared) for row in comparison.rows)
  return Sheet(title, tuple(columns), rows, tuple(_notes(comparison, compared)))


def _named(name: str, *more: str) -> tuple[str, ...]:
  return (name, *(f"{name}.{part}" for part in more))


def _cells(row: Row, comparison: Comparison, compared: bool) -> tuple[Cell, ...]:
  quality, end = comparison.quality, verdicts.majority(row.verdicts)
  cells = [Cell(row.variant.label, (row.variant.label,))]
  if quality is not None:
    final = row.finals[quality.metric]
    cells.append(Cell(wording.plus_minus(final), (*_estimate(final), str(final.n))))
    if compared:
      cells.append(_versus(row))
  share = "" if end.agree == end.runs else f" ({end.agree} of {end.runs} runs)"
  factor = end.factor if end.factor != "none" else ""
  cells.append(Cell(verdicts.words(end) + share, (end.state, factor, f"{end.agree}/{end.runs}")))
  cells.append(Cell(wording.counts(row), (wording.counts(row),)))
  if quality is not None:
    best = wording.number(row.best.mean) if row.best else wording.NOTHING
    step = f" (step {row.best_step:,})" if row.best else ""
    cells.append(Cell(best + step, (machine(best), str(row.best_step) if row.best else "")))
  for metric, _ in comparison.columns:
    final, alone = row.finals[metric], len(row.variant.runs) == 1
    cells.append(Cell(wording.number(final.mean) if alone else wording.plus_minus(final), _estimate(final)))
  decades = wording.decade(row.decades.total) if row.decades else wording.NOTHING
  return (*cells, Cell(decades, (machine(decades),)))


def _versus(row: Row) -> Cell:
  if row.is_baseline:
    return Cell("baseline", ("",) * 5 + ("baseline",))
  found = row.versus
  if found is None:
    return Cell(wording.NOTHING, ("",) * 6)
  numbers = _numbers(wording.interval(found))
  p = "" if found.n < 2 else _numbers(wording.short_p_value(found))[0]
  text = f"{wording.interval(found)}{MARK * found.certain}, {wording.short_p_value(found)}"
  values = (*(numbers + ["", ""])[:3], p, str(found.n), wording.surely(found) if found.n > 1 else "")
  return Cell(text, values, found.certain)


def _notes(comparison: Comparison, compared: bool) -> list[str]:
  quality, said = comparison.quality, []
  if quality is not None:
    better = "Lower" if quality.sign > 0 else "Higher"
    mean = "geometric mean" if quality.log else "mean"
    said.append(
      f"{better} {quality.title} is better. Given is the {mean} over runs, with a 95 % interval (brackets, or ±)."
    )
  if compared:
    over = f", with Holm's correction for {comparison.family} comparisons" if comparison.family > 1 else ""
    said.append(
      f"Compared with the baseline {comparison.baseline} seed by seed. {MARK}: surely different (p below 0.05{over})."
    )
  if comparison.no_baseline:
    said.append(f"The baseline {comparison.no_baseline} is not in this table.")
  said.append("Decades: change of the generator's gradient at its lowest, in powers of ten.")
  return said


def _over_draws(title: str, found: Search) -> Sheet:
  metric = found.quality.metric
  columns = (
    Column(", ".join(found.compared) or "all", ("variant",)),
    Column(f"median {found.quality.title}", _named(metric, "lower_quartile", "upper_quartile")),
    Column("beats baseline", ("wins", "wins.p", "wins.surely")),
    Column("runs that learnt", ("learnt", "runs")),
    Column("draws", ("draws",)),
    Column("best", (f"best.{metric}", "best.settings")),
  )
  rows = []
  for entry in found.entries:
    middle = [wording.number(x) for x in (entry.quartiles[1], entry.quartiles[0], entry.quartiles[2])]
    best, base = wording.number(entry.values[0]), entry.wins != entry.wins
    p = "0.0001" if entry.p < 1e-4 else f"{entry.p:.2g}"
    said = "baseline" if base else f"{entry.wins:.0%}{MARK * entry.certain}, p {'<' if entry.p < 1e-4 else '='} {p}"
    surely = "baseline" if base else "surely" if entry.certain else "not surely"
    rows.append((
      Cell(entry.label, (entry.label,)),
      Cell(f"{middle[0]} [{middle[1]}, {middle[2]}]", tuple(map(machine, middle))),
      Cell(said, ("" if base else f"{entry.wins:.2f}", "" if base else p, surely), entry.certain),
      Cell(f"{entry.learnt}/{entry.runs}", (str(entry.learnt), str(entry.runs))),
      Cell(str(len(entry.draws)), (str(len(entry.draws)),)),
      Cell(f"{best} ({entry.settings})", (machine(best), entry.settings)),
    ))  # fmt: skip
  notes = (
    f"Drawn: {', '.join(found.drawn)}. Brackets: the middle half of the draws. A failed run counts with the untrained "
    "quality.",
    f"Beats baseline: chance that a draw beats one of {found.baseline}'s. {MARK}: surely not 50 % (p below 0.05, "
    "Mann-Whitney, Holm's correction).",
  )
  return Sheet(title, columns, tuple(rows), notes)


def _tuned(title: str, found: Tournament) -> Sheet:
  what = "ratio to" if found.log else "difference from"
  columns = (
    Column(", ".join(found.compared) or "all", ("variant",)),
    Column(f"tuned {found.quality.title}", _named(found.quality.metric, "low", "high")),
    Column(f"{what} the best", _named("behind", "low", "high", "p", "surely")),
    Column(f"{what} {found.baseline}", _named("versus", "low", "high", "p", "surely", "wins")),
    Column(
      "judging runs that learnt" if found.searches else "runs that learnt", _named("learnt_percent", "low", "high")
    ),
    Column(
      "middle half of the searches" if found.searches else "not tuned: middle half of the draws",
      _named("typical", "low", "high"),
    ),
  )
  tied, worse = found.ties
  rows = tuple(_place(place, place is found.places[0], (worse, tied)) for place in found.places)
  chosen = "judged by other runs than chose it" if found.runs > 1 else "judged by the run that chose it, so too good"
  over = f", corrected for {found.family:,} {found.counted}" if found.family > 1 else ""
  holm = " (Holm's correction)" if len(rows) > 2 else ""
  tests = (
    f"{MARK} at the ratio to the best: {worse} (p below 0.05{over}); without it: {tied}. {MARK} at that "
    f"to {found.baseline}: surely different{holm}."
  )
  first = (
    f"Every {found.called} was tuned {found.searches} times over, each time with {found.k} draws of "
    f"{', '.join(found.drawn)}, of which halving left one, {chosen}. Brackets: 95 % intervals over the searches."
    if found.searches
    else f"Every {found.called} had the same {found.draws} draws of {', '.join(found.drawn)}; tuned: the best of {found.k} "
    f"of them, {chosen}. Brackets: 95 % intervals."
  )
  return Sheet(title, columns, rows, (first, tests) if len(rows) > 1 else (first,))


def _place(place: Place, leader: bool, ties: tuple[str, str]) -> tuple[Cell, ...]:
  def compared(
    found: tuple[float, float, float], p: float, sure: bool, words: tuple[str, str]
  ) -> tuple[str, list[str]]:
    text = ranking.ranged(found)
    shown = "< 0.001" if p < 0.001 else f"= {p:.2g}"
    return f"{text}{MARK * sure}, p {shown}", [*_three(text), shown.split()[1], words[not sure]]

  behind, versus, base = (
    ("the best", ["", "", "", "", "the best"]),
    ("baseline", [""] * 4 + ["baseline", ""]),
    place.wins,
  )
  if not leader:
    behind = compared(place.behind, place.behind_p, not place.tied, ties)
  if base == base:  # NaN for the baseline itself
    text, numbers = compared(place.ratio, place.p, place.certain, ("surely different", "not told apart"))
    versus = f"{text}, better in {base:.0%}", [*numbers, f"{base:.2f}"]
  learnt, typical = ranking.share(place.learnt), ranking.ranged(place.typical)
  return (
    Cell(place.entry.label, (place.entry.label,)),
    Cell(ranking.ranged(place.tuned), _three(ranking.ranged(place.tuned))),
    Cell(behind[0], tuple(behind[1]), not place.tied),
    Cell(versus[0], tuple(versus[1]), place.certain),
    Cell(learnt, _three(learnt)),
    Cell(typical, _three(typical)),
  )


def _estimate(e: Estimate) -> tuple[str, str, str]:
  """(mean, low, high) as `plus_minus` rounds them; one run has no interval."""
  text = wording.plus_minus(e)
  found = _numbers(text.split(" (")[0])
  if len(found) == 3 or e.n < 2:
    return _three(text.split(" (")[0])
  decimals = len(found[1].partition(".")[2])
  ends = (wording.number(x) if "e" in found[1] else f"{x:.{decimals}f}" for x in (e.low, e.high))
  low, high = map(machine, ends)
  return found[0], low, high


def _three(text: str) -> tuple[str, str, str]:
  first, second, third = (_numbers(text) + ["", "", ""])[:3]
  return first, second, third


def _numbers(text: str) -> list[str]:
  return [machine(found) for found in re.findall(r"[−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?(?![\w.])", text)]


def machine(text: str) -> str:
  """The text of a number as programs read it.

  >>> machine("−1,234.5"), machine("+0.3"), machine("–")
  ('-1234.5', '0.3', '')
  """
  return "" if text == wording.NOTHING else text.replace(",", "").replace("−", "-").lstrip("+")
