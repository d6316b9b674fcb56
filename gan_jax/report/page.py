"""The report of a study: one self-contained HTML file."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_jax import runs, settings
from gan_jax.core.errors import plural
from gan_jax.report import ranking, records, search_page, selection, verdicts, wording
from gan_jax.report.comparison import LEARNT, QUALITIES, Comparison, compare
from gan_jax.report.records import Panel, Study
from gan_jax.report.search import search
from gan_jax.report.statistics import FACTORS, TOTAL
from gan_jax.settings import labels

if TYPE_CHECKING:
  from gan_jax.report.canvas import Style

LAYOUT = (  # section, explanation, its figures: (metric, caption, log axis, limits, reference lines)
  (
    "Sample quality",
    "",
    (
      *((q.metric, q.title, q.log, None, ()) for q in QUALITIES),
      ("classes/present", "classes present", False, (0, None), ()),
      ("modes/high_quality", "share of high-quality samples", False, (0, 1.02), ()),
    ),
  ),
  (
    "Who is winning",
    "At 0.5 the discriminator cannot tell real from generated examples; at 1 it always can. Accuracy is measured at the "
    "loss's own threshold, the logit of an undecided discriminator. A loss of differences of logits has none: its "
    "accuracy is measured midway between the mean logits, and it has no line for real or generated examples alone.",
    (
      ("disc/auc", "AUC of real against fake logits", False, (0, 1.02), (0.5,)),
      ("disc/accuracy", "discriminator's accuracy", False, (0, 1.02), (0.5,)),
      ("disc/accuracy_real", "discriminator's accuracy on real examples", False, (0, 1.02), (0.5,)),
      ("disc/accuracy_fake", "discriminator's accuracy on generated examples", False, (0, 1.02), (0.5,)),
    ),
  ),
  (
    "The generator's gradient and its factors",
    "The norm of the gradient is the product of the three factors; all four axes span the same number of decades.",
    (
      ("gen/grad_norm", "the generator's gradient norm", True, None, ()),
      ("factor/loss", "the loss's factor", True, None, ()),
      ("factor/critic", "the discriminator's factor", True, None, ()),
      ("factor/generator", "the generator's factor", True, None, ()),
    ),
  ),
)


def build(study: Path | Study, out: Path | None = None) -> Path:
  """Write the page of a study, finished or not, by default as `report.html` into its directory, and return its path.

  The page is a function of the study's files alone: the same files give the same bytes.

  Raises:
    BadInput: no study, or a damaged file (named).
    OSError: the page cannot be written.
  """
  from markupsafe import Markup

  read = records.opened(study)
  text = _template().render(
    title=str(read.manifest["study"]),
    description=read.manifest.get("description", ""),
    facts=_facts(read),
    progress=_progress(read),
    remarks=read.remarks,
    panels=[parts(read, panel, number, Markup) for number, panel in enumerate(read.panels, 1)],
    diverged=_diverged(read)[: selection.LINES],
    diverged_left_out=max(len(_diverged(read)) - selection.LINES, 0),
    glossary=_glossary(read),
    lost=wording.LOST,
    learnt=LEARNT,
  )
  path = read.path / "report.html" if out is None else out
  runs.write_atomic(path, text.encode("utf-8", "backslashreplace"))
  return path


@functools.cache
def _template() -> Any:
  """The page's template. To compile it takes longer than to fill it in, where a process writes several pages."""
  import jinja2  # here: it takes half a second, which the terminal's table does not need

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(
    number=wording.number,
    plus_minus=wording.plus_minus,
    interval=wording.interval,
    p_value=wording.short_p_value,
    percent=lambda x: f"{x:.0%}",
    counts=wording.counts,
    decades=wording.decades_sentence,
    decade=wording.decade,
    ranged=ranking.ranged,
    share=ranking.share,
    verdict=lambda row: verdicts.majority(row.verdicts),
    words=verdicts.words,
  )
  return environment.get_template("page.html")


def parts(study: Study, panel: Panel, number: int, markup: Any) -> dict[str, Any]:
  """What the page shows of a panel, its pictures drawn. `markup` marks SVG text as text that is not to be escaped."""
  from gan_jax.report import charts as extra
  from gan_jax.report import pictures

  found = search(panel)
  shown = panel
  if found is not None:  # of a search, the best draw of each is drawn
    shown = panel._replace(variants=tuple(entry.best._replace(label=entry.label) for entry in found.entries))
  comparison = compare(shown, paired=found is None)
  some = comparison._replace(rows=tuple(selection.shown(comparison.rows)))
  styles = _styles(study, some, len(comparison.rows))
  first, last = selection.ends(comparison.rows)
  ranked = [(row.variant, styles[row.place]) for row in some.rows]
  searched = search_page.shown(found, some, styles, number)
  marks = sorted({v.config["head_start"] for v in shown.variants if v.config.get("head_start")})
  return {
    "title": panel.title,
    "anchor": f"panel-{number}",
    "findings": searched.findings() if searched else wording.findings(comparison),
    "comparison": comparison,
    "first": first,
    "last": last,
    "some": some.rows,
    "shown": some,
    "search": searched,
    "compared": bool(comparison.baseline) and len(comparison.rows) > 1,
    "styles": styles,
    "marks": marks,
    "sections": _sections(comparison, some, styles, marks, number),
    "strips": extra.strips(some, f"panel {number}: verdicts"),
    "states": extra.states_shown(some),
    "last_step": extra.last_step(comparison),
    "phase": None if found else extra.phase_diagram(comparison, f"panel {number}: phase"),
    "factors": extra.factor_courses(some, styles, f"panel {number}: factors"),
    "lens": extra.lens_maps(some, styles, f"panel {number}: lens"),
    "drawn": markup,
    "pictures": [(picture, markup(picture.svg)) for picture in pictures.pictures(study.path, ranked)],
    "common": _common(panel),
  }


def _sections(
  comparison: Comparison, some: Comparison, styles: Mapping[int, Style], marks: Sequence[int], number: int
) -> list[tuple[str, str, list[Any]]]:
  """The curves of `LAYOUT` and the bars of decades: of every variant, or of three where there are too many."""
  from gan_jax.report import figures
  from gan_jax.report.charts import Chart

  ranked = [(row.variant, styles[row.place]) for row in some.rows]
  crowd = [row.variant for row in comparison.rows] if len(comparison.rows) > len(some.rows) else []
  lines = [ranked[0], ranked[len(ranked) // 2], ranked[-1]] if crowd else ranked
  span = figures.decades_shown(ranked, [TOTAL, *FACTORS.values()])
  sections: list[tuple[str, str, list[Chart]]] = []
  for heading, remark, wanted in LAYOUT:
    charts = []
    for metric, caption, log, limits, at in wanted:
      wide = span if metric in (TOTAL, *FACTORS.values()) else 1.0
      name = f"panel {number}: {metric}"
      svg = figures.curves(lines, metric, name, log, wide, limits, at, marks, crowd)
      if svg:
        each = "" if crowd else figures.each(ranked, metric, f"{name}, each", log, wide, limits, at, marks)
        raw = any(f"raw/{metric}" in run.quality.columns for v, _ in lines for run in v.runs)
        note = "thin dashed line: the generator without averaging its weights" if raw else ""
        charts.append(Chart(caption, note, None, svg, each or ""))
    sections.append((heading, remark, charts))
  changes = [(row.decades, styles[row.place]) for row in some.rows if row.decades is not None]
  bars = figures.factor_bars(changes, f"panel {number}: decades")
  if bars:
    caption = "change of the gradient and its factors from the first row to the lowest gradient, in decades"
    sections[-1][-1].append(Chart(caption, "below 0: a fall; −1: to a tenth", None, bars))
  return [section for section in sections if section[-1]]


def _styles(study: Study, some: Comparison, count: int) -> dict[int, Style]:
  """The style of each variant, by its place. Where every variant has a loss of its own, a loss has one colour on the whole
  page; otherwise colours follow the order of the variants. If only some are drawn, they get the first styles.
  """
  from gan_jax.report import canvas

  places = [row.place for row in some.rows]
  losses = list(dict.fromkeys(variant.config["loss"] for p in study.panels for variant in p.variants))
  own = [row.variant.config["loss"] for row in some.rows]
  if len(set(own)) == len(own):
    return {place: canvas.style(losses.index(loss)) for place, loss in zip(places, own, strict=True)}
  return {place: canvas.style(i if count > len(places) else place) for i, place in enumerate(places)}


def _common(panel: Panel) -> list[tuple[str, str]]:
  """The fields that all variants share, those at their defaults last."""
  configs = [labels.flatten(labels.without(variant.runs[0].config, "seed", "panel")) for variant in panel.variants]
  shared = [(n, value) for n, value in configs[0].items() if all(n in c and c[n] == value for c in configs)]
  said, defaults = labels.flatten(panel.variants[0].config), settings.defaults()
  # Of the options, a variant's config has only those that are not at their defaults.
  shared.sort(key=lambda field: field[0] not in said or (field[0] in defaults and defaults[field[0]] == field[1]))
  return [(name, "–" if value == "" else str(value)) for name, value in shared]


def _facts(study: Study) -> list[tuple[str, str]]:
  """What was run, where and how fast: (name, text)."""
  manifest, groups = study.manifest, study.status["groups"]
  statuses = Counter(run.status for run in study.runs)
  seconds = sum(float(group.get("seconds", 0)) for group in groups.values())
  steps = sum(int(groups.get(group["name"], {}).get("step", 0)) * len(group["members"]) for group in manifest["groups"])
  programs = len(manifest["groups"])
  facts = [
    (
      "runs",
      f"{len(study.runs):,} ({', '.join(f'{n:,} {status}' for status, n in sorted(statuses.items()))}) "
      f"in {programs} compiled program{'s' if programs != 1 else ''}",
    ),
    (
      "training",
      f"{_duration(seconds)}, {steps:,} steps over all runs"
      + (f", {wording.number(steps / seconds)} a second" if seconds > 0 else ""),
    ),
    ("hardware", _pairs(manifest.get("layout", {}))),
    ("versions", _pairs(manifest.get("versions", {}))),
    ("commit", str(manifest.get("commit") or "")),
    ("created", str(manifest.get("created", ""))),
    *_notes([group.get("notes") for group in groups.values()]),
  ]
  return [(name, text) for name, text in facts if text]


def _notes(each: list[Any]) -> list[tuple[str, str]]:
  """What the measurements of each program noted; programs are counted from 1, as in the lines of progress."""
  of = [f" in program {number} of {len(each)}" if len(each) > 1 else "" for number in range(1, len(each) + 1)]
  return [(f"measured{which}", _pairs(notes)) for which, notes in zip(of, each, strict=True) if notes]


def _pairs(values: dict[str, Any]) -> str:
  return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
  if isinstance(value, bool):
    return "yes" if value else "no"
  return wording.number(value) if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _progress(study: Study) -> list[str]:
  """How far each unfinished group is; empty for a finished study."""
  lines = []
  for group in study.manifest["groups"]:
    members = [run for run in study.runs if run.group == group["name"]]
    if any(run.status in ("unfinished", "waiting") for run in members):
      step = int(study.status["groups"].get(group["name"], {}).get("step", 0))
      steps = max(run.config["steps"] for run in members)
      lines.append(f"{group['name']} ({plural(len(members), 'run')}) is at step {step:,} of {steps:,}")
  return lines


def _diverged(study: Study) -> list[tuple[str, str, str, int, int]]:
  """(id, panel, label, seed, step) of each diverged run."""
  return [
    (run.id, panel.title, variant.label, run.seed, run.last_step)
    for panel in study.panels
    for variant in panel.variants
    for run in variant.runs
    if run.status == "diverged"
  ]


def _glossary(study: Study) -> list[tuple[str, str]]:
  """(metric, explanation) of every metric that the manifest explains or that a run has."""
  explained = study.manifest.get("metrics", {})
  names = dict.fromkeys([*explained, *records.metrics(study)])
  return [(name, str(explained.get(name, "not explained in the manifest"))) for name in names]
