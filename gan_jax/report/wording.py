"""Numbers and findings in words: the same for the page and the terminal."""

import math

from gan_jax.core.errors import plural
from gan_jax.report import selection, verdicts
from gan_jax.report.comparison import Comparison, Row
from gan_jax.report.search import Search
from gan_jax.report.statistics import Decades, Estimate, Paired
from gan_jax.verdict import CALLED

LOST = 2.0  # decades: a gradient that fell to a hundredth has vanished
NOTHING = "–"


def number(x: float) -> str:
  """Three significant digits: `0.0123`, `4.56`, `1,234`, `1.23e-07`.

  >>> number(1234.5), number(0.012345), number(1.234e-7)
  ('1,234', '0.0123', '1.23e-07')
  """
  if not math.isfinite(x):
    return NOTHING
  if x == 0 or 1e-3 <= abs(x) < 999.5:
    return _minus(f"{x:.3g}")
  return _minus(f"{x:,.0f}" if 999.5 <= abs(x) < 1e6 else f"{x:.2e}")


def three(x: float) -> str:
  """As `number`, but always with three digits, for the ends of an interval: `1.00`, `41.0`."""
  return _minus(f"{x:#.3g}".rstrip(".")) if math.isfinite(x) and 1e-3 <= abs(x) < 999.5 else number(x)


def _minus(text: str) -> str:
  """A negative number with a minus sign, which is as wide as a plus; an exponent keeps its hyphen."""
  return f"−{text[1:]}" if text.startswith("-") else text


def plus_minus(e: Estimate | None) -> str:
  """`1.23 ± 0.45` or, of a geometric mean, `1.23 [0.950, 1.60]`; one run, which has no interval: `1.23 (1 run)`.

  So it is also where the interval ends at what is possible: `0.900 [0.500, 1.00]`.
  """
  if e is None or e.n == 0:
    return NOTHING
  if e.n == 1:
    return f"{number(e.mean)} (1 run)"
  half = max(e.high - e.mean, e.mean - e.low)
  if half == 0:
    text = f"{number(e.mean)} ± 0"
  elif e.log or min(e.high - e.mean, e.mean - e.low) < 0.999 * half:
    text = f"{three(e.mean)} [{three(e.low)}, {three(e.high)}]"
  elif not 1e-3 <= abs(e.mean) < 1e6 or (half and not 1e-4 <= half < 1e6):
    text = f"{number(e.mean)} ± {number(half)}"
  else:
    digits = _digits(half)
    text = f"{_minus(f'{e.mean:,.{digits}f}')} ± {half:,.{digits}f}"
  return f"{text} (n = {e.n})" if e.missing else text


def interval(p: Paired) -> str:
  """`−1.20 [−2.00, −0.40]`; a ratio: `1.50 [1.10, 2.10]`. One seed has no interval."""
  if p.n < 2:
    return number(p.mean)
  if p.log:
    return f"{three(p.mean)} [{three(p.low)}, {three(p.high)}]"
  half = p.high - p.mean
  if half and not 1e-4 <= half < 1e6:
    return f"{number(p.mean)} [{number(p.low)}, {number(p.high)}]"
  digits = _digits(half)
  mean, low, high = (_minus(f"{x:,.{digits}f}") for x in (p.mean, p.low, p.high))
  return f"{mean} [{low}, {high}]"


def _digits(half: float) -> int:
  """The number of decimals that shows two digits of half an interval."""
  return max(0, 1 - math.floor(math.log10(half))) if half else 2


def p_value(p: Paired) -> str:
  """`p = 0.031, n = 5`; as one of a family `p = 0.12 (Holm, of 6), n = 5`."""
  if p.n < 2:
    return short_p_value(p)
  value, count = short_p_value(p).split(", ")
  return f"{value}{f' (Holm, of {p.family})' if p.family > 1 else ''}, {count}"


def short_p_value(p: Paired) -> str:
  """`p = 0.12, n = 5`, for a table whose heading names the correction."""
  if p.n < 2:
    return f"n = {p.n}"
  value = p.p if p.family == 1 else p.adjusted
  return f"p {'< 0.0001' if value < 1e-4 else f'= {value:.2g}'}, n = {p.n}"


def surely(p: Paired) -> str:
  """`surely` or `not surely`: whether the difference is significant after the correction for its family."""
  return "surely" if p.certain else "not surely"


def counts(row: Row) -> str:
  """`5/5 runs`, `4/5 runs, 1 diverged`: how many runs are done, the status of the others, and how many did not halve the
  distance or have no finite last value.
  """
  others = [f"{n} {status}" for status, n in sorted(row.statuses.items()) if status != "done"]
  slow = row.failed - row.lost
  failed = [f"{slow} did not halve the distance"] if slow else []
  lost = [f"{row.lost} with a last value that is not finite"] if row.lost else []
  return ", ".join([f"{row.statuses['done']}/{plural(len(row.variant.runs), 'run')}", *others, *failed, *lost])


def decades_sentence(d: Decades) -> str:
  """The change of the generator's gradient and of each factor in decades; negative is a fall.

  >>> decades_sentence(Decades(50, 900, -4.1, {"loss": -3.9, "critic": -0.2, "generator": 0.0}, -4.0, False, 5))
  'generator gradient −4.1 decades at its lowest (loss −3.9, discriminator −0.2, generator 0.0) and −4.0 at the end'
  """
  if d.total > -0.05:
    return f"generator gradient never below its start, {decade(d.end)} decades at the end"
  parts = ", ".join(f"{CALLED[name]} {decade(x)}" for name, x in d.factors.items())
  more = " or more" if d.floored else ""
  return f"generator gradient {decade(d.total)} decades{more} at its lowest ({parts}) and {decade(d.end)} at the end"


def decade(x: float) -> str:
  """A signed change in decades: `−3.2`, `+0.4`, `0.0`."""
  text = _one_decimal(x)
  return f"+{text}" if x >= 0.05 else _minus(text)


def times(x: float) -> str:
  """A change in decades as a factor, to two digits: `1/1,300 of`, `2.5 times`.

  >>> times(-3.1), times(0.4), times(-7.76), times(-12)
  ('1/1,300 of', '2.5 times', '1/58,000,000 of', '1.00e-12 of')
  """
  factor = float(f"{10 ** abs(x):.2g}")
  if x < 0 and factor >= 1e9:
    return f"{number(1 / factor)} of"
  said = f"{factor:,.0f}" if factor >= 1000 else number(factor)
  return f"1/{said} of" if x < 0 and factor > 1 else f"{said} times"


def findings(comparison: Comparison) -> list[str]:
  """The panel in a few sentences: the best variant and its significance, diverged runs, verdicts, vanished gradients."""
  said = [
    _best_sentence(comparison),
    _diverged_sentence(comparison),
    _verdict_sentence(comparison),
    _gradient_sentence(comparison),
  ]
  return [s for s in said if s] or ["Nothing has been measured yet."]


def search_findings(found: Search) -> list[str]:
  """A comparison over draws in a few sentences."""
  first, title = found.entries[0], found.quality.title
  word = "lowest" if found.quality.sign > 0 else "highest"
  best = min(found.entries, key=lambda entry: found.quality.sign * entry.values[0])
  said = [
    f"A search over {', '.join(found.drawn)}: {plural(sum(len(e.draws) for e in found.entries), 'draw')}. Over its draws, "
    f"{first.label} has the {word} median {title}, {number(first.quartiles[1])} (half of its {len(first.draws)} draws lie in "
    f"{number(first.quartiles[0])} to {number(first.quartiles[2])}). The {word} of all is {number(best.values[0])}, of "
    f"{best.label} at {best.settings}."
  ]
  others = [entry for entry in found.entries if math.isfinite(entry.wins)]
  sure = [f"{e.label} ({e.wins:.0%})" for e in others if e.certain]
  if others:
    how = f"The chance that a draw is better than one of the baseline {found.baseline}'s"
    test = f"Mann-Whitney, Holm's correction over {plural(len(others), 'comparison')}"
    said.append(f"{how} is surely not 50 % ({test}) {f'for {selection.named(sure)}' if sure else 'for none'}.")
  poor = [f"{e.label} {e.learnt} of {e.runs}" for e in found.entries if e.learnt < e.runs]
  said.append(f"Runs that learnt: {selection.named(poor)}." if poor else "Every run learnt.")
  return said


def _best_sentence(comparison: Comparison) -> str | None:
  quality = comparison.quality
  ranked = [row for row in comparison.rows if quality and row.finals[quality.metric].n]
  if quality is None or not ranked:
    return None
  best = ranked[0]
  word = "lowest" if quality.sign > 0 else "highest"
  text = f"{best.variant.label} has the {word} final {quality.title}: {plus_minus(best.finals[quality.metric])}"
  if best.failed or best.statuses["done"] < len(best.variant.runs):
    text += f" ({counts(best)})"
  # Where the baseline itself is best, the next variant is compared with it.
  rival = next((row for row in ranked if row.versus is not None), None) if best.is_baseline else best
  if comparison.no_baseline:
    text += f"; the baseline {comparison.no_baseline} is not in this panel, so nothing is compared with it"
  if rival is None or rival.versus is None or rival.baseline is None:
    return f"{text}."
  if rival.versus.log and rival.versus.low == rival.versus.high == 1:
    return f"{text}; {rival.variant.label} equals {rival.baseline.label} at every seed."
  v, who, base = rival.versus, "it" if rival is best else f"the next, {rival.variant.label},", rival.baseline.label
  text += f"; {who} is {number(v.mean)} times" if v.log else f"; {who} differs by {number(v.mean)} from"
  text += f" the baseline {base}, paired by seed"
  if v.n < 2:
    return f"{text}: one seed, so no interval."
  which = ("lower" if v.mean < 1 else "higher") if v.log else ("lower" if v.mean < 0 else "higher")
  return f"{text}, 95 % interval {number(v.low)} to {number(v.high)}: {surely(v)} {which} ({p_value(v)})."


def _diverged_sentence(comparison: Comparison) -> str | None:
  diverged = [
    f"{row.statuses['diverged']} of {row.variant.label}'s {plural(len(row.variant.runs), 'run')}"
    for row in comparison.rows
    if row.statuses["diverged"]
  ]
  return f"Diverged and left out of every mean: {selection.named(diverged)}." if diverged else None


def _verdict_sentence(comparison: Comparison) -> str | None:
  """The verdicts; one sentence where all agree; None where nothing was judged."""
  ends: dict[str, list[str]] = {}
  for row in comparison.rows:
    if any(v.final != "unknown" for v in row.verdicts):
      end = verdicts.majority(row.verdicts)
      share = "" if end.agree == end.runs else f" ({end.agree} of {end.runs} runs)"
      ends.setdefault(verdicts.words(end).replace(": ", ", "), []).append(row.variant.label + share)
  if len(ends) == len({v.final for row in comparison.rows for v in row.verdicts}) == 1:
    words = next(iter(ends))
    return f"Verdict: {words}." if len(comparison.rows) == 1 else f"Verdict on every variant: {words}."
  if len(comparison.rows) > selection.MOST:
    said = "; ".join(f"{words}: {len(who):,}" for words, who in ends.items())
    return f"Verdicts on {len(comparison.rows):,} variants: {said}."
  said = "; ".join(f"{words}: {', '.join(who)}" for words, who in ends.items())
  return f"Verdicts: {said}." if ends else None


def _gradient_sentence(comparison: Comparison) -> str | None:
  fallen = sorted((row for row in comparison.rows if row.decades is not None), key=lambda row: _total(row))
  if not fallen:
    return None
  lost = [row for row in fallen if _total(row) <= -LOST]
  if lost:
    told = lost[:2] if len(comparison.rows) > selection.MOST else lost
    said = [f"{row.variant.label}: {decades_sentence(_of(row))}; {_culprit(row)} fell most." for row in told]
    if len(told) < len(lost):
      others = len(lost) - len(told)
      said.append(f"The gradient of {plural(others, 'other variant')} fell by {LOST:g} decades or more too.")
    return " ".join(said)
  worst = fallen[0]
  if _total(worst) > -0.05:
    return "No variant's generator gradient fell."
  largest = f"the largest fall is {worst.variant.label}'s, {decade(_total(worst))} decades at its lowest"
  return f"No variant's generator gradient fell by {LOST:g} decades; {largest}."


def _of(row: Row) -> Decades:
  assert row.decades is not None
  return row.decades


def _total(row: Row) -> float:
  return _of(row).total


def _culprit(row: Row) -> str:
  """The factor that fell most: `the loss's factor`."""
  changes = _of(row).factors
  least = min(changes, key=lambda name: math.inf if math.isnan(changes[name]) else changes[name])
  return f"the {CALLED[least]}'s factor"


def _one_decimal(x: float) -> str:
  return NOTHING if math.isnan(x) else f"{0.0 if abs(x) < 0.05 else x:.1f}"
