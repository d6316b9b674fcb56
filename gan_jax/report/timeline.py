"""The verdict over time: a strip per run, coloured by state, all on one step axis. SVG by hand: rectangles, no text."""

from collections.abc import Sequence
from itertools import groupby

from gan_jax.report.verdicts import LOOKS
from gan_jax.verdict import Verdict

LENGTH, THICK, GAP = 1000, 12, 2  # of a strip, in the SVG's units; the page stretches it to its width


def strips(verdicts: Sequence[Verdict], last: int, name: str) -> str:
  """One strip for each run, from step 0 to `last`, as SVG text.

  Args:
    verdicts: of the runs, the first on top. A row's colour lasts until the next row.
    last: the step at which the axis ends.
    name: the accessible name.
  """
  height = len(verdicts) * (THICK + GAP) - GAP
  drawn = []
  for place, found in enumerate(verdicts):
    for state, first, until in spans(found, last):
      x, end = (LENGTH * step / max(last, 1) for step in (first, until))
      y = place * (THICK + GAP)
      drawn.append(f'<rect x="{x:.1f}" y="{y}" width="{end - x:.1f}" height="{THICK}" fill="{LOOKS[state].colour}"/>')
  return (
    f'<svg role="img" aria-label="{name}" viewBox="0 0 {LENGTH} {height}" preserveAspectRatio="none" '
    f'data-scales="0 {LENGTH} 0 {max(last, 1)} 0 {height} 0 0 0" '
    f'style="height: {height}px">{"".join(drawn)}</svg>'
  )


def spans(found: Verdict, last: int) -> list[tuple[str, int, int]]:
  """(state, first step, step at which it ends) of each stretch of a run that has one state."""
  steps = [*map(int, found.steps), last]
  if len(steps) > 2:  # the last row lasts as long as the one before it, so an unfinished run's strip ends early
    steps[-1] = min(last, 2 * steps[-2] - steps[-3])
  rows = zip(steps[:-1], steps[1:], found.states, strict=True)
  stretches = [(state, list(members)) for state, members in groupby(rows, key=lambda row: row[2])]
  return [(state, own[0][0], own[-1][1]) for state, own in stretches]
