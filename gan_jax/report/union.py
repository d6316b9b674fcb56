"""Several studies reported as one, and some of the runs of a study. No jax import.

    DIR1 DIR2      the runs of both; one that both have (the same id) counts once
    --filter       conditions that a run must fulfil; see filters.py
    --baseline     a loss or a label, with which the others are compared
    --compare      the fields whose values are compared, in a panel for each setting of the others

Distances can be compared only if they were measured alike. So the runs of one panel must share their yardstick: data and
their digest, metrics, options of the metrics (whose features), and number of samples. A union that does not is refused.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.core.errors import BadInput
from gan_jax.report import filters
from gan_jax.report.records import Run, Study, panels, read
from gan_jax.settings import labels

YARDSTICK = ("dataset", "dataset_options", "metrics", "metric_options", "evaluation_samples")


def choose(places: Sequence[Path], conditions: str = "", baseline: str = "", compare: str = "") -> Study:
  """The study of these directories that is reported.

  Args:
    places: directories of studies, at least one.
    conditions: as of `--filter`; '': all runs.
    baseline: as of `--baseline`; '': what the studies say.
    compare: names of fields, joined by commas; '': what the studies say.

  Raises:
    BadInput: no study; studies that cannot be compared, both named; or an unknown field, value or baseline.
    OSError: the machine could not read a file.
  """
  studies = [read(place) for place in dict.fromkeys(places)]
  if conditions:
    studies = _filtered(studies, conditions)
  found = united(studies) if len(studies) > 1 else studies[0]
  if compare:
    found = filters.comparing(found, [name.strip() for name in compare.split(",") if name.strip()])
  return filters.compared_with(found, baseline) if baseline else found


def _filtered(studies: Sequence[Study], conditions: str) -> list[Study]:
  """The studies without the runs that do not fulfil the conditions; those of which none is left are left out."""
  every = [run for study in studies for run in study.runs]
  wanted = {(run.home, run.id) for run in filters.kept(every, conditions)}
  said = f"only runs with {conditions} are shown: {len(wanted):,} of {len(every):,}"
  chosen = [[run for run in study.runs if (run.home, run.id) in wanted] for study in studies]
  found = [filters.renewed(study, own) for study, own in zip(studies, chosen, strict=True) if own]
  return [found[0]._replace(remarks=(said, *found[0].remarks)), *found[1:]]


def united(studies: Sequence[Study]) -> Study:
  """The studies as one, with the runs of all; panels of one title are one panel.

  Groups are called `DIRECTORY/GROUP`. Raises `BadInput` as `choose` does.
  """
  names = _names(studies)
  manifest = _manifest(studies, names)
  members = _members(studies, names)
  title = str(manifest["study"])
  _check_yardsticks(studies, names, title)
  roles = [study.manifest.get("roles", {}) for study in studies]
  made = panels(members, title, manifest["defaults"], roles[0] if all(r == roles[0] for r in roles) else {})
  status = {
    f"{n}/{g}": own for study, n in zip(studies, names, strict=True) for g, own in study.status["groups"].items()
  }
  remarks = [
    r if r.startswith("only runs with ") else f"{n}: {r}"
    for s, n in zip(studies, names, strict=True)
    for r in s.remarks
  ]
  gaps = [g._replace(group=f"{n}/{g.group}") for study, n in zip(studies, names, strict=True) for g in study.gaps]
  made_by = {str(study.manifest.get("source")) for study in studies}
  if len(made_by) > 1:
    remarks.append(
      "the studies were computed by different versions of gan_jax, whose numbers may differ by more than chance"
    )
  manifest = filters.without_others(manifest, members)
  return Study(studies[0].path, manifest, {"groups": status}, members, made, tuple(gaps), tuple(remarks))


def _names(studies: Sequence[Study]) -> list[str]:
  """A name for each directory: its last part, or the whole path where several end alike."""
  short = [study.path.resolve().name for study in studies]
  return [n if short.count(n) == 1 else str(study.path) for n, study in zip(short, studies, strict=True)]


def _manifest(studies: Sequence[Study], names: Sequence[str]) -> dict[str, Any]:
  """What the page says of the union: titles and descriptions of all, and facts that differ with the study's name."""
  each = [study.manifest for study in studies]
  titles = list(dict.fromkeys(str(manifest["study"]) for manifest in each))
  descriptions = list(dict.fromkeys(str(m["description"]) for m in each if m.get("description")))
  facts: dict[str, Any] = {}
  for name in ("created", "commit", "source"):
    own = [str(manifest.get(name) or "") for manifest in each]
    facts[name] = own[0] if len(set(own)) == 1 else "; ".join(f"{n}: {v}" for n, v in zip(names, own, strict=True) if v)
  for name in ("versions", "layout"):
    owns = [manifest.get(name, {}) for manifest in each]
    same = all(own == owns[0] for own in owns)
    facts[name] = (
      owns[0] if same else {f"{n} {k}": v for n, own in zip(names, owns, strict=True) for k, v in own.items()}
    )
  merged = {part: _merged([manifest.get(part, {}) for manifest in each]) for part in ("metrics", "defaults", "losses")}
  groups = [{**g, "name": f"{n}/{g['name']}"} for m, n in zip(each, names, strict=True) for g in m["groups"]]
  return {
    "format": max(manifest["format"] for manifest in each), "study": " + ".join(titles),
    "description": "\n".join(descriptions), **facts, **merged, "groups": groups,
  }  # fmt: skip


def _merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  found: dict[str, Any] = {}
  for part in parts:
    for name, value in part.items():
      old = found.get(name)
      found[name] = _merged([old, value]) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
  return found


def _members(studies: Sequence[Study], names: Sequence[str]) -> tuple[Run, ...]:
  """The runs of all; of one that several studies have, the copy that went furthest."""
  found: dict[str, tuple[str, Run]] = {}
  for study, name in zip(studies, names, strict=True):
    for run in study.runs:
      mine = run._replace(group=f"{name}/{run.group}")
      if run.id not in found:
        found[run.id] = name, mine
        continue
      other, there = found[run.id]
      what = _difference(there, mine)
      if what:
        raise BadInput(
          f"run {run.id} ({run.config['loss']}, seed {run.seed}) is in {other} and in {name}, and its {what}: "
          "expected the same run to be equal in both; report them one by one, or leave it out with --filter"
        )
      if mine.last_step > there.last_step:
        found[run.id] = name, mine
  return tuple(run for _, run in found.values())


def _difference(a: Run, b: Run) -> str:
  """Where two copies of a run differ, at the steps that both have measured; '' if nowhere."""
  for what, one, two in (("rows", a.rows, b.rows), ("quality", a.quality, b.quality)):
    steps, mine, theirs = np.intersect1d(one.steps, two.steps, return_indices=True)
    for name in one.columns.keys() & two.columns.keys():
      x, y = one.columns[name][mine], two.columns[name][theirs]
      wrong = ~((x == y) | ((x != x) & (y != y)))
      if wrong.any():
        return f"{what} differ at step {int(steps[wrong.argmax()]):,} ({name}: {x[wrong][0]:.9g} and {y[wrong][0]:.9g})"
  return ""


def _check_yardsticks(studies: Sequence[Study], names: Sequence[str], title: str) -> None:
  """Raises `BadInput` where the runs of two studies that share a panel were measured by different yardsticks."""
  first: dict[str, tuple[str, list[dict[str, Any]]]] = {}
  for study, name in zip(studies, names, strict=True):
    for panel, own in _yardsticks(study, title).items():
      if panel not in first:
        first[panel] = name, own
        continue
      other, there = first[panel]
      strange = [(mine, there[0]) for mine in own if not any(_alike(mine, one) for one in there)]
      strange += [(own[0], one) for one in there if not any(_alike(mine, one) for mine in own)]
      if strange:
        mine, one = strange[0]
        field = next(f for f in mine if not _alike({f: mine[f]}, {f: one[f]}))
        raise BadInput(
          f"{other} and {name} expected one yardstick, since distances that are measured otherwise cannot be compared, got "
          f"{field} {_said(one[field])} in {other} and {_said(mine[field])} in {name}; report them one by one, or choose "
          "runs with --filter"
        )


def _yardsticks(study: Study, title: str) -> dict[str, list[dict[str, Any]]]:
  """The different yardsticks of each panel's runs, by the title that the panel has in the union."""
  digests = {group["name"]: group.get("data", {}).get("sha256") for group in study.manifest["groups"]}
  found: dict[str, list[dict[str, Any]]] = {}
  for run in study.runs:
    own = {name: run.config.get(name) for name in YARDSTICK} | {"digest of the data": digests.get(run.group)}
    there = found.setdefault(run.config["panel"] or title, [])
    if own not in there:
      there.append(own)
  return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
  """Equal in all that both say: studies of early versions have no digests and no options."""
  return all(one[name] == other[name] or None in (one[name], other[name]) for name in one)


def _said(value: Any) -> str:
  text = (
    ", ".join(f"{k}={v}" for k, v in labels.flatten(value).items()) or "none"
    if isinstance(value, Mapping)
    else str(value)
  )
  return repr(text[:12] if len(text) == 64 else text)
