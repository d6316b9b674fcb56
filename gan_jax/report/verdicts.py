"""How runs ended, in words and colours: the verdict of `gan_jax.verdict` on each run of a study."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gan_jax import verdict
from gan_jax.report.records import Run, rows_until
from gan_jax.verdict import Verdict


class Look(NamedTuple):
  words: str
  short: str  # for a terminal's column or a cell
  colour: str
  ink: str  # of text on that colour

  @property
  def name(self) -> str:
    """The words without their explanation."""
    return self.words.partition(":")[0]


# None of these is a colour of a variant (`canvas.COLOURS`), so that a state is not mistaken for a loss.
LOOKS = {
  "healthy": Look("healthy", "healthy", "#A5D6A0", "#111111"),
  "discriminator_dominates": Look("discriminator dominates", "D wins", "#B2182B", "#FFFFFF"),
  "generator_dominates": Look("generator dominates", "G wins", "#4B3F8F", "#FFFFFF"),
  "oscillating": Look("oscillating", "oscillates", "#F2D16B", "#111111"),
  "mode_collapse": Look("mode collapse", "collapse", "#5FB7BF", "#111111"),
  "stalled": Look("stalled", "stalled", "#B4B4B4", "#111111"),
  "diverged": Look("diverged", "diverged", "#882255", "#FFFFFF"),
  "unknown": Look("unknown: nothing measured says yet that it learns", "unknown", "#DEDEDE", "#111111"),
}
assert set(LOOKS) == set(verdict.STATES)
SHORT = {"loss": "loss", "critic": "disc", "generator": "gen"}  # whose factor vanished, for a narrow column


class Majority(NamedTuple):
  """The most frequent final state of several runs; `evidence` is that of the first run with it."""

  state: str
  factor: str  # the most frequent among those runs; '' where the discriminator does not dominate
  agree: int  # runs with that final state
  runs: int
  evidence: str


def of(run: Run) -> Verdict:
  """The verdict on a run. Raises `BadInput` where its config has an unknown threshold."""
  diverged = run.last_step if run.status == "diverged" else None
  return verdict.judge(run.rows, run.quality, diverged, run.config.get("verdict", {}))


def until(run: Run, step: int) -> Verdict:
  """The verdict on the first steps of a run: what `of` said of it when it had been trained so far."""
  diverged = run.status == "diverged" and run.last_step < step
  rows, quality = rows_until(run.rows, step, False), rows_until(run.quality, step, True)
  return of(run._replace(rows=rows, quality=quality, status="diverged" if diverged else "unfinished"))


def majority(verdicts: Sequence[Verdict]) -> Majority:
  """The majority of at least one verdict; of equally frequent states, that of the earlier run."""
  state, count = Counter(v.final for v in verdicts).most_common(1)[0]
  same = [v for v in verdicts if v.final == state]
  factor = Counter(v.factor for v in same).most_common(1)[0][0]
  first = next(v for v in same if v.factor == factor)
  return Majority(state, factor, count, len(verdicts), first.evidence)


def words(found: Majority) -> str:
  """`discriminator dominates: the loss's factor vanished`, `healthy`."""
  return LOOKS[found.state].words + explained(found.factor)


def explained(factor: str) -> str:
  """The text about the factor that fell most: `: the loss's factor vanished`; '' without a dominating discriminator."""
  if factor in ("", "none"):
    return ": gradient not vanished" if factor else ""
  return f": the {verdict.CALLED[factor]}'s factor vanished"


def short(found: Majority) -> str:
  """`D wins: loss`, `D wins: gen`, `healthy 3/5`: the share is given where the runs do not agree."""
  factor = "" if found.factor in ("", "none") else f": {SHORT[found.factor]}"
  return LOOKS[found.state].short + factor + ("" if found.agree == found.runs else f" {found.agree}/{found.runs}")
