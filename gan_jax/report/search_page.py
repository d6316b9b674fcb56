"""What the page shows of a search: its pictures and sentences, for the template `tournament.html`."""

from typing import Any, NamedTuple

from gan_jax.report import ranking, wording
from gan_jax.report.comparison import Comparison
from gan_jax.report.places import Tournament
from gan_jax.report.search import Search
from gan_jax.report.tournament import tournament


class Shown(NamedTuple):
  """A search on the page: the tournament, where its settings share their draws, and the charts of either."""

  search: Search
  tournament: Tournament | None
  charts: list[Any]

  def findings(self) -> list[str]:
    return ranking.findings(self.tournament) if self.tournament else wording.search_findings(self.search)


def shown(found: Search | None, some: Comparison, styles: Any, number: int) -> Shown | None:
  """Args: the panel's search; the comparison of the settings that are drawn, and their styles; the panel's number."""
  if found is None:
    return None
  played = tournament(found)
  own = [_over_draws(found, some, styles, number)] if played is None else _charts(played, number)
  return Shown(found, played, own)


def _over_draws(found: Search, some: Comparison, styles: Any, number: int) -> Any:
  from gan_jax.report import figures
  from gan_jax.report.charts import Chart

  looks = {row.variant.label: styles[row.place] for row in some.rows}
  entries = [(entry.label, looks[entry.label], entry.expected) for entry in found.entries if entry.label in looks]
  svg = figures.expected_best(entries, f"panel {number}: search", found.quality.log)
  caption = f"{found.quality.title} of the best of k draws, on average, over k"
  return Chart(caption, "left end: one draw; right end: the best of all that were made", None, svg)


def _charts(found: Tournament, number: int) -> list[Any]:
  from gan_jax.report import search_figures as figures
  from gan_jax.report.charts import Chart

  title, name = found.quality.title, f"panel {number}: tournament"
  behind = [figures.Mark(p.entry.label, *p.behind, p.tied) for p in found.places]
  equal = 1.0 if found.log else 0.0
  behind[0] = behind[0]._replace(mean=equal, low=equal, high=equal)
  tied, worse = found.ties
  charts = [
    Chart(
      f"{title} of each {found.called}, tuned with {found.k} draws, {'over' if found.log else 'less'} that of the best",
      f"lines: 95 % intervals; filled, blue: {tied}{'' if found.searches else ' from the best'}; hollow, red: {worse}",
      None,
      figures.forest(
        behind, f"{name} tuned", found.log, f"{'ratio to' if found.log else 'difference from'} the best", equal
      ),
    )
  ]
  if not found.searches:
    charts += _over_budget(found, name)
  if found.effects.ratio:
    marks = [
      figures.Mark(label, *own, True) for label, own in zip(found.effects.labels, found.effects.ratio, strict=True)
    ]
    charts.append(
      Chart(
        "where the optimum lies: the discriminator's rate over the generator's, in the chosen draws",
        f"geometric mean over tunings with {found.k} draws, and 95 % interval; dashed: equal rates",
        None,
        figures.forest(marks, f"{name} rates", True, "discriminator_rate / generator_rate", 1.0),
      )
    )
  return charts


def _over_budget(found: Tournament, name: str) -> list[Any]:
  from gan_jax.report import search_figures as figures
  from gan_jax.report.charts import Chart

  return [
    Chart(
      f"{found.quality.title} over the budget of the tuning",
      "coloured: the best, the baseline and the last, with 95 % intervals; grey: the others; dotted: the budget at which "
      "they are compared",
      None,
      figures.courses(found, f"{name} budget"),
    ),
    Chart(
      "which drawn number matters: rank correlation with the "
      + ("distance" if found.quality.sign > 0 else "quality reversed"),
      "blue, below 0: a larger value is better; red: a smaller one is; *: surely not 0 (Holm over the whole map; over the "
      "first line alone for that line)",
      None,
      figures.ranks(found.effects, f"{name} ranks"),
    ),
  ]
