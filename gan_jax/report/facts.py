"""What the page says of a study as a whole: what was run, where and how fast, how far it is, and what its runs share."""

from collections import Counter
from typing import Any

from gan_jax import settings
from gan_jax.core.errors import plural
from gan_jax.report import wording
from gan_jax.report.records import Panel, Study
from gan_jax.settings import labels


def facts(study: Study) -> list[tuple[str, str]]:
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


def progress(study: Study) -> list[str]:
  """How far each unfinished group is; empty for a finished study."""
  lines = []
  for group in study.manifest["groups"]:
    members = [run for run in study.runs if run.group == group["name"]]
    if any(run.status in ("unfinished", "waiting") for run in members):
      step = int(study.status["groups"].get(group["name"], {}).get("step", 0))
      steps = max(run.config["steps"] for run in members)
      lines.append(f"{group['name']} ({plural(len(members), 'run')}) is at step {step:,} of {steps:,}")
  return lines


def common(panel: Panel) -> list[tuple[str, str]]:
  """The fields that all variants share, those at their defaults last."""
  configs = [labels.flatten(labels.without(variant.runs[0].config, "seed", "panel")) for variant in panel.variants]
  shared = [(n, value) for n, value in configs[0].items() if all(n in c and c[n] == value for c in configs)]
  said, defaults = labels.flatten(panel.variants[0].config), settings.defaults()
  # Of the options, a variant's config has only those that are not at their defaults.
  shared.sort(key=lambda field: field[0] not in said or (field[0] in defaults and defaults[field[0]] == field[1]))
  return [(name, "–" if value == "" else str(value)) for name, value in shared]
