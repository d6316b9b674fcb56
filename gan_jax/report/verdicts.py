"""What became of each run, in words and colours: the verdict of `gan_jax.verdict` on the runs of a study."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gan_jax import verdict
from gan_jax.report.records import Run
from gan_jax.verdict import Verdict


class Look(NamedTuple):
  words: str
  short: str  # for a terminal's column or a cell
  colour: str
  ink: str  # of text on that colour


# None of the colours of variants (`figures.COLOURS`), so that a state is never taken for a loss.
LOOKS = {
  "healthy": Look("healthy", "healthy", "#A5D6A0", "#111111"),
  "discriminator_dominates": Look("discriminator dominates", "D wins", "#B2182B", "#FFFFFF"),
  "generator_dominates": Look("generator dominates", "G wins", "#4B3F8F", "#FFFFFF"),
  "oscillating": Look("oscillating", "swings", "#F2D16B", "#111111"),
  "mode_collapse": Look("mode collapse", "collapse", "#5FB7BF", "#111111"),
  "stalled": Look("stalled", "stalled", "#B4B4B4", "#111111"),
  "diverged": Look("diverged", "diverged", "#882255", "#FFFFFF"),
  "unknown": Look("unknown: too little measured to say", "unknown", "#DEDEDE", "#111111"),
}
assert set(LOOKS) == set(verdict.STATES)


class Majority(NamedTuple):
  """The commonest end of several runs; `evidence` is that of the first of them."""

  state: str
  factor: str  # the commonest among those runs; '' where the discriminator does not dominate
  agree: int  # runs that end so
  runs: int
  evidence: str


def of(run: Run) -> Verdict:
  """Raises `BadInput` where the run's config has a threshold that there is not."""
  diverged = run.last_step if run.status == "diverged" else None
  return verdict.judge(run.rows, run.quality, diverged, run.config.get("verdict", {}))


def majority(verdicts: Sequence[Verdict]) -> Majority:
  """Of at least one; among equals the state of the earlier run."""
  state, count = Counter(v.final for v in verdicts).most_common(1)[0]
  same = [v for v in verdicts if v.final == state]
  factor = Counter(v.factor for v in same).most_common(1)[0][0]
  first = next(v for v in same if v.factor == factor)
  return Majority(state, factor, count, len(verdicts), first.evidence)


def words(found: Majority) -> str:
  """`discriminator dominates: the loss's factor died`, `healthy`."""
  return LOOKS[found.state].words + explained(found.factor)


def explained(factor: str) -> str:
  return {"": "", "none": ", gradient alive"}.get(factor, f": the {factor}'s factor died")


def short(found: Majority) -> str:
  """`D wins: loss`, `D wins: gen`, `healthy 3/5`: the share only where the runs do not agree."""
  factor = "" if found.factor in ("", "none") else f": {found.factor.replace('generator', 'gen')}"
  return LOOKS[found.state].short + factor + ("" if found.agree == found.runs else f" {found.agree}/{found.runs}")
