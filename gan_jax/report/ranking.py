"""A tournament in plain sentences and in lines of a table: the same for the page and the terminal."""

import math
from collections.abc import Sequence

from gan_jax.core.errors import plural
from gan_jax.report import tuning, wording
from gan_jax.report.effects import Rank
from gan_jax.report.places import Place, Range, Tournament

MATTERS = 3  # effects, at most, that are told
PAIRS = 6  # that are told apart, at most, which are named one by one
NAMES = 15  # settings, at most, that a sentence names


def findings(found: Tournament) -> list[str]:
  """The ranking with its ties, the baseline, which settings fail, and which drawn number matters."""
  said = [*_ranking(found), _baseline(found), _learning(found), _overall(found), _single(found)]
  return [sentence for sentence in said if sentence]


def _ranking(found: Tournament) -> list[str]:
  leader, title, called = found.places[0], found.quality.title, found.called
  word = "lowest" if found.quality.sign > 0 else "highest"
  judged = (
    f"of {found.k} draws the best is chosen by one run, and judged by {'another' if found.runs == 2 else 'its others'}"
    if found.runs > 1
    else f"of {found.k} draws the best is chosen and judged by the same run, so every number is too good"
  )
  how = (
    _searched(found)
    if found.searches
    else (f"Every {called} was given the same {found.draws} draws of {_listed(found.drawn)}: {judged}.")
  )
  first = f"{how} Tuned like this, {leader.entry.label} has the {word} {title}, {ranged(leader.tuned)}."
  if len(found.places) == 1:
    return [first]
  tied = [place.entry.label for place in found.places[1:] if place.tied]
  behind = [_behind(place, found) for place in found.places[1:] if not place.tied]
  alike = "Perhaps the best as well" if found.searches else "Not told apart from it"
  said = [first, f"{alike}: {_some(tied)}." if tied else "It is told apart from all others."]
  if behind:
    worse = "Surely not the best, as some other is better" if found.searches else "Surely worse than it"
    said.append(f"{worse}: {_some(behind, ', ' if found.searches else '; ')}.")
  return [*said, _power(found) if found.searches else _pairs(found)]


def _searched(found: Tournament) -> str:
  judges, who = (
    ("its other run then judges", "That run has") if found.runs == 2 else ("other runs then judge", "Those have")
  )
  return (
    f"Every {found.called} was tuned {found.searches} times over, each time with {found.k} draws of its own of "
    f"{_listed(found.drawn)}, the same for all. Of these draws the worst were stopped on the way, and one was chosen at "
    f"the end, which {judges}. {who} no part in what is stopped or chosen, so no number is too good."
  )


def _power(found: Tournament) -> str:
  """What the tests of searches can tell: they swap the two settings' results, in each search by itself."""
  caution = "A tie is no proof of equality: its interval says how large a difference may be."
  if (len(found.places) - 1) * 2.0**-found.searches < 1 - tuning.CONFIDENCE:
    return caution
  return f"So few searches cannot tell {len(found.places)} apart, however much they differ. {caution}"


def _some(names: Sequence[str], comma: str = ", ") -> str:
  """All names, or the first of very many."""
  if len(names) <= NAMES:
    return comma.join(names) if ";" in comma else _listed(names)
  return f"{comma.join(names[:NAMES])}{comma}and {len(names) - NAMES} more in the table"


def _pairs(found: Tournament) -> str:
  pairs, apart = len(found.pairs), found.told_apart()
  rule = "p below 5 %" + (f" after correction for {found.family:,} comparisons" if found.family > 1 else "")
  caution = "A tie is no proof of equality: its interval says how large a difference may be."
  if not apart:
    return f"No two are told apart ({rule}). {caution}"
  named = f": {'; '.join(f'{one} is better than {other}' for one, other in apart)}" if len(apart) <= PAIRS else ""
  are = "is" if len(apart) == 1 else "are"
  return f"Of {plural(pairs, 'pair')} that were tested {len(apart)} {are} told apart ({rule}){named}. {caution}"


def _behind(place: Place, found: Tournament) -> str:
  if found.searches:  # it may be another than the first that is better
    return place.entry.label
  return f"{place.entry.label} ({ranged(place.behind)}{' times' if found.log else ' away'})"


def _baseline(found: Tournament) -> str:
  others = [place for place in found.places if math.isfinite(place.wins)]
  if not others or found.baseline == found.places[0].entry.label:
    return ""
  sure = [f"{p.entry.label} ({ranged(p.ratio)}{' times' if found.log else ' away'})" for p in others if p.certain]
  holm = f" (Holm's correction over {len(others):,} comparisons)" if len(others) > 1 else ""
  return (
    f"Surely different from the baseline {found.baseline}: {_some(sure)}{holm}."
    if sure
    else f"None surely differs from the baseline {found.baseline}."
  )


def _learning(found: Tournament) -> str:
  least, most = (choose(found.places, key=lambda place: place.learnt[0]) for choose in (min, max))
  if found.searches and least.learnt[0] == 1:
    return "Every draw that was chosen learns again under the seeds that judge it."
  if found.searches:
    return (
      f"A draw that was chosen may fail under another seed: the share of judging runs that learn goes from "
      f"{share(least.learnt)} ({least.entry.label}) to {share(most.learnt)} ({most.entry.label})."
    )
  if least.learnt[0] == 1:
    return f"Every run of every {found.called} learns."
  if least.learnt[0] == most.learnt[0]:
    return f"Of each {found.called}'s runs, {share(least.learnt)} learn."
  return (
    f"The share of runs that learn goes from {share(least.learnt)} ({least.entry.label}) to {share(most.learnt)} "
    f"({most.entry.label})."
  )


def _overall(found: Tournament) -> str:
  if found.searches:
    return ""
  sure = [(name, rank) for name, rank in zip(found.effects.numbers, found.effects.overall, strict=True) if rank.certain]
  if not sure:
    return "Over all of them together, no drawn number surely matters by itself."
  sure.sort(key=lambda one: -abs(one[1].r))
  said = [f"a larger {name} is {_better(rank)} (rank correlation {correlation(rank)})" for name, rank in sure]
  return f"Over all of them together, {_listed(said)}."


def _single(found: Tournament) -> str:
  """The settings that depart most from the others in what matters: effects of single settings that surely exist."""
  single = [
    (abs(rank.r), label, name, rank)
    for label, row in zip(found.effects.labels, found.effects.ranks, strict=True)
    for name, rank in zip(found.effects.numbers, row, strict=True)
    if rank.certain
  ]
  if not single or len(found.places) == 1:
    return ""
  told = sorted(single, key=lambda one: -one[0])[:MATTERS]
  said = [f"{label} (a larger {name} is {_better(rank)}, {correlation(rank)})" for _, label, name, rank in told]
  more = f", and {len(single) - len(told)} more below" if len(single) > len(told) else ""
  return f"Within a single {found.called}, the strongest effects: {'; '.join(said)}{more}."


def _better(rank: Rank) -> str:
  return "worse" if rank.r > 0 else "better"


def ranged(found: Range) -> str:
  """`1.23 [1.10, 1.40]`."""
  mean, low, high = found
  if not math.isfinite(mean):
    return wording.NOTHING
  return f"{wording.three(mean)} [{wording.three(low)}, {wording.three(high)}]"


def share(found: Range) -> str:
  """`81% [57, 93]`."""
  mean, low, high = found
  return f"{100 * mean:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"


def correlation(rank: Rank) -> str:
  """`−0.52 [−0.81, −0.03]`."""
  return f"{rank.r:.2f} [{rank.low:.2f}, {rank.high:.2f}]".replace("-", "−")


def _listed(names: Sequence[str]) -> str:
  """`a, b and c`."""
  return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def lines(found: Tournament) -> tuple[list[str], list[list[str]], list[str]]:
  """(heading, lines, notes) for the terminal."""
  title, log = found.quality.title, found.log
  heading = [
    f"tuned {found.searches} times with {found.k} draws"
    if found.searches
    else f"tuned with {found.k} of {found.draws} draws",
    title,
    "to the best",
    "to the baseline",
    "better",
    "learnt",
  ]
  told = []
  for place in found.places:
    behind = "best" if place is found.places[0] else f"{ranged(place.behind)}{' ' if place.tied else '*'}"
    base = math.isnan(place.wins)
    versus = "baseline" if base else f"{ranged(place.ratio)}{'*' if place.certain else ' '}"
    cells = [ranged(place.tuned), behind, versus, "" if base else f"{place.wins:.0%}", f"{place.learnt[0]:.0%}"]
    told.append([place.entry.label, *cells])
  over = f", corrected for {found.family:,} {found.counted}" if found.family > 1 else ""
  tied, worse = found.ties
  others = ", as some other is better" if found.searches else ""
  holm = f" (Holm over {len(told) - 1:,} comparisons)" if len(told) > 2 else ""
  notes = [f"drawn: {', '.join(found.drawn)}; brackets: 95 % intervals; a failed run counts with the untrained quality"]
  if len(told) > 1:
    notes += [
      f"to the best: {'ratio' if log else 'difference'}; *: {worse}{others} (p below 5 %{over}); no star: "
      f"{tied}{'' if found.searches else ' from it'}",
      f"to the baseline {found.baseline}: likewise; *: surely different{holm}; better: chance that it is, where both are "
      f"tuned with the same {found.k} draws",
    ]
  if found.runs == 1:
    notes.append("each draw has one run, which both chooses and judges it: every number is too good")
  return heading, told, notes


def summary(found: Tournament) -> dict[str, object]:
  """For `--json`; what is missing is None."""

  def known(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None

  return {
    "budget": found.k,
    "draws": found.draws,
    "runs": found.runs,
    "told_apart": [list(pair) for pair in found.told_apart()],
    "searches": found.searches,
    "pairs": len(found.pairs),
    "family": found.family,
    "places": [
      {
        "label": place.entry.label,
        "tuned": [known(x) for x in place.tuned],
        "ratio_to_baseline": [known(x) for x in place.ratio],
        "wins": known(place.wins),
        "p": known(place.p),
        "ratio_to_leader": [known(x) for x in place.behind],
        "p_leader": known(place.behind_p),
        "learnt": [known(x) for x in place.learnt],
        "typical": [known(x) for x in place.typical],
        "by_budget": [[known(x) for x in row] for row in place.course],
        "rank_correlations": {
          name: [known(x) for x in rank] for name, rank in zip(found.effects.numbers, ranks, strict=True)
        },
      }
      for place, ranks in zip(found.places, found.effects.ranks, strict=True)
    ],
  }
