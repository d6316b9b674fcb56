"""The report of a study: one self-contained HTML file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import runs
from gan_jax.report import (
  facts,
  gallery,
  glossary,
  ranking,
  records,
  search_page,
  selection,
  survivors,
  verdicts,
  wording,
  words,
)
from gan_jax.report.comparison import Comparison, compare, last_value
from gan_jax.report.records import Panel, Run, Study
from gan_jax.report.survivors import Survivors

MOST_COLUMNS = 6  # of a panel's table, beside those that every panel has
MOST_ROWS = 20  # of a sheet with a row for each class
INTRO = (
  "A GAN is two networks that are trained against each other: a generator makes images or points out of noise, and a "
  "discriminator tells them from the real data. The loss says what each of them tries to make small. This page says which "
  "variants gave the better samples, how sure that is, and where the generator stopped learning and why."
)


class Ended(NamedTuple):
  """A run that ended early, for the template."""

  run: Run
  panel: str
  label: str
  last: tuple[str, float] | None  # its last quality: (title, value)


def build(study: Path | Study, out: Path | None = None) -> Path:
  """Write the page of a study, finished or not, by default as `report.html` into its directory, and return its path.

  The page is a function of the study's files alone: the same files give the same bytes.

  Raises:
    BadInput: no study, or a damaged file (named).
    OSError: the page cannot be written.
  """
  from markupsafe import Markup

  from gan_jax.report import lines, loss_cards, styles, template

  read = records.opened(study)
  text = _template().render(
    **template.script((template.FOLDER / "page.js").read_text("utf-8")),
    sheets=[template.sheet("page.css"), template.sheet("plot.css")],
    intro=INTRO,
    title=str(read.manifest["study"]),
    description=read.manifest.get("description", ""),
    facts=facts.facts(read),
    progress=facts.progress(read),
    remarks=read.remarks,
    panels=[parts(read, panel, number, lines) for number, panel in enumerate(read.panels, 1)],
    diverged=_ended(read, "diverged"),
    stopped=_ended(read, "stopped"),
    failed="verdicts" in read.manifest.get("halving", {}),
    losses=loss_cards.shown(read, styles.of_losses(read)),
    drawn=Markup,
    chapters=words.CHAPTERS,
    looks=verdicts.LOOKS,
    verdict_of=verdicts.of,
    glossary=_glossary(read),
    lost=wording.LOST,
  )
  path = read.path / "report.html" if out is None else out
  runs.write_atomic(path, glossary.in_order(text).encode("utf-8", "backslashreplace"))
  return path


@functools.cache
def _template() -> Any:
  from gan_jax.report import template  # jinja2 takes half a second, and the terminal's table does not need it

  return template.template(
    "page.html",
    number=wording.number,
    plus_minus=wording.plus_minus,
    interval=wording.interval,
    p_value=wording.short_p_value,
    percent=lambda x: f"{x:.0%}",
    counts=wording.counts,
    decades=wording.decades_sentence,
    decade=wording.decade,
    marked=glossary.marked,
    anchor=glossary.anchor,
    breakable=template.breakable,
    swatch=template.swatch,
    ranged=ranking.ranged,
    share=ranking.share,
    verdict=lambda row: verdicts.majority(row.verdicts),
    words=verdicts.words,
  )


def parts(study: Study, panel: Panel, number: int, draw: Any) -> dict[str, Any]:
  """What the page shows of a panel, its pictures drawn.

  Args:
    study, panel, number: the panel's number counts from 1.
    draw: the module that draws curves: `lines` for the page, or `figures`, whose pictures can be saved.
  """
  from gan_jax.report import charts as extra
  from gan_jax.report import sections, story, styles

  shown, found, left = chosen = gallery.drawn(panel)
  comparison = compare(shown, paired=not chosen.selected)
  some = comparison._replace(rows=tuple(selection.shown(comparison.rows)))
  looks = styles.of_variants(study, some, len(comparison.rows), number)
  first, last = selection.ends(comparison.rows)
  searched = search_page.shown(found, some, looks, number)
  marks = sorted({v.config["head_start"] for v in shown.variants if v.config.get("head_start")})
  said = searched.findings() if searched else []
  return {
    "title": panel.title,
    "anchor": f"panel-{number}",
    "number": number,
    "story": " ".join(story.search_story(panel, searched.search, said) if searched else _told(panel, comparison, left)),
    "findings": story.details(said) if searched else wording.findings(comparison),
    "comparison": comparison,
    "columns": _fitting(comparison.columns),
    "first": first,
    "last": last,
    "some": some.rows,
    "shown": some,
    "changes": sections.changes(some, looks),
    "search": searched,
    "survivors": left,
    "compared": bool(comparison.baseline) and len(comparison.rows) > 1,
    "styles": looks,
    "marks": marks,
    "sections": sections.sections(comparison, some, looks, marks, number, draw),
    "strips": extra.strips(some, looks, f"panel {number}: verdicts"),
    "states": extra.states_shown(some),
    "last_step": extra.last_step(comparison),
    "halved": any(row.statuses["stopped"] for row in comparison.rows),
    "phase": None if found else extra.phase_diagram(comparison, f"panel {number}: phase"),
    "factors": extra.factor_courses(some, looks, f"panel {number}: factors", draw),
    "lens": extra.lens_maps(some, looks, f"panel {number}: lens"),
    **_drawn(study, some, looks),
    "closer": gallery.look(some, looks),
    "common": facts.common(panel),
  }


def _fitting(columns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
  """The columns of the page's table. Where they are too many for a screen, the halves of the accuracy are curves only."""
  halves = ("disc/accuracy_real", "disc/accuracy_fake")
  return [column for column in columns if len(columns) <= MOST_COLUMNS or column[0] not in halves]


def _told(panel: Panel, comparison: Comparison, left: Survivors | None) -> list[str]:
  """The paragraph of a panel that is no search; of one, what halving left of it."""
  from gan_jax.report import story

  if left is None:
    return story.story(comparison)
  return [story.tuned(panel, left.compared, [one.draws for one in left.settings]), survivors.sentence(left)]


def _drawn(study: Study, some: Comparison, looks: Mapping[int, Any]) -> dict[str, Any]:
  """The samples of a panel: the last ones of each variant's best seed, and the films of its best and its worst."""
  from gan_jax.report import film, pictures

  chosen = film.chosen(some, looks)
  found = pictures.frames(list({run.id: run for *_, run in chosen}.values()), film.FRAMES)
  rows = {group["name"]: group.get("classes", 0) for group in study.manifest["groups"]}
  conditional = {run.group for *_, run in chosen if run.config.get("conditional")}
  classes = {name: count for name, count in rows.items() if name in conditional and 2 <= count <= MOST_ROWS}
  best = [(row.variant, run, what, look) for row, look, what, run in chosen if not what.startswith("worst")]
  return {
    "pictures": pictures.pictures(best, found, classes),
    "films": film.reels(chosen, found, classes, pictures.real_data(best, found)),
    "by_class": bool(classes),
  }


def _ended(study: Study, status: str) -> tuple[list[Ended], int]:
  """Runs with this status, those that went farthest first, and how many more there are than a table shows."""
  found = [
    Ended(run, panel.title, variant.label, last_value(run))
    for panel in study.panels
    for variant in panel.variants
    for run in variant.runs
    if run.status == status
  ]
  found.sort(key=lambda one: -one.run.last_step)
  return found[: selection.LINES], max(len(found) - selection.LINES, 0)


def _glossary(study: Study) -> list[tuple[str, str]]:
  """(metric, explanation) of every metric that the manifest explains or that a run has."""
  explained = study.manifest.get("metrics", {})
  names = dict.fromkeys([*explained, *records.metrics(study)])
  return [(name, str(explained.get(name, "not explained in the manifest"))) for name in names]
