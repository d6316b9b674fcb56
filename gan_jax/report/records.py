"""A study's files as records: runs, variants (runs that differ only by seed), panels (variants shown together)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.settings import labels


class Run(NamedTuple):
  """One run of a group. `rows` and `quality` are its own columns: `{metric: [rows]}` at `steps` [rows]."""

  id: str
  group: str
  member: int
  config: dict[str, Any]
  status: str  # 'diverged', 'stopped', 'done', 'unfinished' or 'waiting'
  last_step: int
  rows: runs.Table
  quality: runs.Table
  bit_exact: bool = True  # False: computed by different versions, or computed twice with different bits; see the status
  home: Path = Path()  # its study's directory

  @property
  def seed(self) -> int:
    return self.config["seed"]

  @property
  def place(self) -> tuple[Path, str]:
    """(its study's directory, the name of its group's files there); of several studies, `group` begins with the study's."""
    return self.home, self.group.rpartition("/")[2]


class Variant(NamedTuple):
  """A config without its seed and without options at their defaults, and its runs. The label states the fields that vary
  within its panel."""

  label: str
  config: dict[str, Any]
  runs: tuple[Run, ...]

  @property
  def counted(self) -> tuple[Run, ...]:
    """The runs that count in means and bands: all but those that diverged or were stopped."""
    return tuple(run for run in self.runs if run.status not in ("diverged", "stopped"))


class Panel(NamedTuple):
  title: str
  variants: tuple[Variant, ...]
  roles: Mapping[str, list[str]] = {}  # what the study says its fields are for; see settings/roles.py
  halving: Mapping[str, Any] = {}  # by which rules some of its runs stopped; see runner/halving.py


class Study(NamedTuple):
  path: Path
  manifest: dict[str, Any]
  status: dict[str, Any]
  runs: tuple[Run, ...]
  panels: tuple[Panel, ...]
  gaps: tuple[runs.Gap, ...] = ()  # data that should be there and are not
  remarks: tuple[str, ...] = ()  # what a reader of any table must know: gaps, damage, what is not bit exact


def read(path: Path) -> Study:
  """Read all tables of a study. Samples are read later, when they are drawn.

  A damaged part is left out and named in `gaps`.

  Raises:
    BadInput: no study, or a manifest that is damaged, and its copy too.
    OSError: the machine could not read a file, several times in a row.
  """
  runs.read_manifest(path)
  manifest, said = runs.read_checked(path, runs.MANIFEST)
  remarks = [said] if said else []
  status: dict[str, Any] = {"groups": {}}
  try:
    status, said = (
      runs.read_status(path),
      runs.read_checked(path, runs.STATUS)[1] if (path / runs.STATUS).exists() else "",
    )
    remarks += [said] if said else []
  except BadInput as error:
    remarks.append(f"{error}: how far each run is, is not known; the sweep's command finds it out again")
  members: list[Run] = []
  gaps: list[runs.Gap] = []
  for group in manifest["groups"]:
    found, missing = _read_group(path, group, status["groups"].get(group["name"], {}))
    members += found
    gaps += missing
    reasons = status["groups"].get(group["name"], {}).get("reasons", [])
    remarks += [f"{group['name']} is not bit exact: {reason}" for reason in reasons]
  remarks += [str(gap) for gap in gaps] + _forked(manifest) + _halved(manifest, members)
  made = panels(tuple(members), str(manifest["study"]), manifest.get("defaults", {}), manifest.get("roles", {}))
  made = tuple(panel._replace(halving=manifest.get("halving", {})) for panel in made)
  return Study(path, manifest, status, tuple(members), made, tuple(gaps), tuple(remarks))


def opened(study: Path | Study) -> Study:
  """The study in a directory, or the one that has been read already: chosen runs, or several studies together."""
  return study if isinstance(study, Study) else read(study)


def final(run: Run, metric: str) -> float:
  """The last measured value of a metric, from the quality rows or the diagnostics (counts: int); NaN for none."""
  for table in (run.quality, run.rows):
    column = table.columns.get(metric)
    if column is not None:
      return column[-1].item() if len(column) else float("nan")
  return float("nan")


def metrics(study: Study) -> list[str]:
  """The names of all metrics of the study's runs, diagnostics first."""
  return list(dict.fromkeys(name for run in study.runs for name in (*run.rows.columns, *run.quality.columns)))


def baselines(panel: Panel) -> list[Variant | None]:
  """The variant that each variant of a panel is compared with, in their order; a baseline is its own baseline.

  The config's `baseline` is the label of a variant, or a loss. If it is empty, it is the first variant, or its loss
  where the panel's losses differ. If it is a loss, each variant is compared with the one that differs from it in the
  loss only, so that a panel of losses and rates has a baseline at each rate; where there is none, with the first
  variant of that loss. None where no variant has that name.
  """
  first: dict[str, Variant] = {}
  alike: dict[tuple[str, str], Variant] = {}
  own = ("loss", "loss_options", "baseline", "code")  # `code` has the digest of a loss's own file
  rest = {id(v): labels.key(labels.without(v.config, *own)) for v in panel.variants}
  for variant in sorted(panel.variants, key=lambda v: len(v.config["loss_options"])):
    alike.setdefault((variant.config["loss"], rest[id(variant)]), variant)
  for variant in panel.variants:
    first.setdefault(variant.config["loss"], variant)
  labelled = {v.label: v for v in reversed(panel.variants)}
  found = []
  for variant in panel.variants:
    name = variant.config.get("baseline", "")
    if name in labelled or len(first) == 1:  # with one loss only, every variant would be its own baseline
      found.append(labelled.get(name) or (panel.variants[0] if name in ("", *first) else None))
    else:
      loss = name or panel.variants[0].config["loss"]
      found.append(alike.get((loss, rest[id(variant)])) or first.get(loss))
  return found


def _read_group(path: Path, group: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[list[Run], list[runs.Gap]]:
  """The runs of a group, and their gaps. Rows after the status's step may still change, and are left out."""
  name, members = group["name"], group["members"]
  found = {table: runs.survey(path, table, name, len(members)) for table in ("rows", "quality")}
  until = int(status["step"]) if "step" in status else None
  rows, quality = (rows_until(found[table].table, until, table == "quality") for table in found)
  exact = bool(status.get("bit_exact", True))
  shown = []
  for index, member in enumerate(members):
    own = [runs.Table(t.steps, {metric: c[:, index] for metric, c in t.columns.items()}) for t in (rows, quality)]
    end = status.get("stopped", {}).get(member["id"])
    own = [rows_until(table, end, table is own[1]) for table in own]
    state, last = runs.run_status(member["config"], member["id"], status)
    shown.append(Run(member["id"], name, index, member["config"], state, last, own[0], own[1], exact, path))
  return shown, runs.gaps(path, group, status, found)


def _forked(manifest: Mapping[str, Any]) -> list[str]:
  """What a fork is one of; nothing of another study."""
  if "fork" not in manifest:
    return []
  fork = manifest["fork"]
  changed = ", ".join(f"{name} {values}" for name, values in fork["changed"].items())
  return [
    f"this study is a fork: at step {fork['step']:,} its runs go on from those of {fork['study']}, with "
    f"{changed or 'nothing changed'}; they begin at that step, so what is said of their start is said of it"
  ]


def _halved(manifest: Mapping[str, Any], members: Sequence[Run]) -> list[str]:
  """What successive halving stopped, and what is therefore not said of the others; nothing where it stopped none."""
  stopped = Counter(run.last_step for run in members if run.status == "stopped")
  if not stopped:
    return []
  rules = manifest.get("halving", {})
  if "verdicts" in rules:
    failed = [name.replace("_", " ") for name in rules["verdicts"]]
    why = f"because their verdict was {', '.join(failed[:-1])}{' or ' * (len(failed) > 1)}{failed[-1]}"
    others = "had not failed"
  else:
    why, others = f"as the worst by {rules.get('by') or 'the measure of quality'}", "measured well"
  when = ", ".join(f"{count:,} at step {step:,}" for step, count in sorted(stopped.items()))
  best = (
    ", and how good the best of k draws is on average is not estimated"
    if manifest.get("roles", {}).get("drawn")
    else ""
  )
  told = f"{best}. The others were kept because they {others}, so they are not tested against a baseline"
  if rules.get("judges") and rules.get("searches", 1) > 1:
    told = f". The others were kept because they {others}, by runs that do not judge them"
  return [
    f"successive halving stopped {sum(stopped.values()):,} of {len(members):,} runs {why} ({when}). How they would have "
    f"ended is not known, so they count in no mean{told}"
  ]


def rows_until(table: runs.Table, step: int | None, inclusive: bool) -> runs.Table:
  """The rows up to a step. A row of diagnostics is measured during the step it names, one of quality before it."""
  if step is None:
    return table
  kept = table.steps <= step if inclusive else table.steps < step
  return runs.Table(table.steps[kept], {metric: column[kept] for metric, column in table.columns.items()})


def panels(
  members: tuple[Run, ...], study: str, defaults: Mapping[str, Any], roles: Mapping[str, list[str]]
) -> tuple[Panel, ...]:
  """The runs by panel and variant, in the order of their first run; a panel without a title has the study's."""
  by_title: dict[str, dict[str, list[Run]]] = {}
  for run in members:
    by_title.setdefault(run.config["panel"] or study, {}).setdefault(labels.key(run.config), []).append(run)
  return tuple(Panel(title, _variants(list(found.values()), defaults), roles) for title, found in by_title.items())


def _variants(found: list[list[Run]], defaults: Mapping[str, Any]) -> tuple[Variant, ...]:
  said = [labels.without(labels.said(same[0].config, defaults), "seed") for same in found]
  varying = labels.varying(
    said
  )  # options at the default in all variants do not vary; one that varies is stated for all
  names = labels.shortened([labels.label(same[0].config, varying) for same in found])
  return tuple(
    Variant(name, config, tuple(sorted(same, key=lambda run: run.config["seed"])))
    for name, config, same in zip(names, said, found, strict=True)
  )


def common_steps(members: tuple[Run, ...], metric: str) -> tuple[np.ndarray, np.ndarray]:
  """(steps [rows], values [runs, rows]) of a metric, at the steps that all runs with this metric have."""
  tables = [table for run in members for table in (run.rows, run.quality) if len(table.columns.get(metric, ()))]
  if not tables:
    return np.zeros(0, np.int64), np.zeros((0, 0))
  steps = tables[0].steps
  for table in tables[1:]:
    steps = np.intersect1d(steps, table.steps)
  values = [table.columns[metric][np.searchsorted(table.steps, steps)] for table in tables]
  return steps, np.stack(values).astype(np.float64)
