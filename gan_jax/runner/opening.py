"""What is done before the first step of a study: its measurements are prepared, its manifest is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_jax.losses import table
from gan_jax.metrics import Quality
from gan_jax.runner import evaluation, grouping, growth, halving, inputs, outline, preflight, processes
from gan_jax.runner.halving import Halving
from gan_jax.runner.inputs import Inputs
from gan_jax.runner.manifest import describe
from gan_jax.runner.progress import Progress


def measurements(found: Inputs, progress: Progress) -> dict[inputs.Key, Quality]:
  """The metrics of a study's groups; a classifier of the data is trained where none is cached."""
  with progress.phase("preparing the measurements (a classifier of the data, where none is cached)", brief=True):
    qualities = processes.in_turn(lambda: inputs.qualities(found.groups, found.datasets))
  for warning in dict.fromkeys(quality.notes.get("warning") for quality in qualities.values()):
    if warning:
      progress.say(f"warning: {warning}")
  return qualities


def begun(
  study: Path,
  manifest: dict[str, Any] | None,
  found: Inputs,
  qualities: Mapping[inputs.Key, Quality],
  halved: Halving,
  progress: Progress,
  description: str,
  roles: Mapping[str, list[str]],
) -> dict[str, Any]:
  """The manifest of a study, written where it is new or grows, and its plan printed; the lock is held.

  Args:
    study: its directory.
    manifest: the one that is there, or None.
    found: what the study trains on.
    qualities: the metrics of its groups.
    halved: when runs stop.
    progress: where the plan is printed.
    description, roles: of the study, for a new manifest.
  """
  groups = found.groups
  halving.measured(halved, explained(found, qualities))
  if manifest is None or found.growth.grows:
    fresh = described(study, found, qualities, halved, description, roles)
    manifest = growth.manifest(manifest, fresh, found.growth)
    if processes.leads():
      growth.write(study, manifest, found.growth)
  for change in found.changed:
    progress.say(f"warning: {change}: what is computed from here on may not be the same bits")
  outline.tell(study, groups, found.states, progress.say, preflight.total(groups, found.disk))
  halved.tell(progress.say)
  return manifest


def described(
  study: Path,
  found: Inputs,
  qualities: Mapping[inputs.Key, Quality],
  halved: Halving,
  description: str,
  roles: Mapping[str, list[str]],
) -> dict[str, Any]:
  """The manifest of a new study; arguments as of `begun`."""
  groups = found.groups
  data = {group.name: inputs.described(group, found) for group in groups}
  told: dict[str, Any] = {
    "defaults": grouping.defaults(groups),
    "roles": roles,
    "halving": halved.rules,
    "losses": table.facts(loss for group in groups for loss in group.spec.losses),
    "classes": {group.name: int(found.datasets[inputs.key(group)].num_classes) for group in groups},
  }
  return describe(description, study.name, groups, explained(found, qualities), data, **told)


def explained(found: Inputs, qualities: Mapping[inputs.Key, Quality]) -> dict[str, str]:
  """The meaning of each column that a study will have."""
  return found.meanings | evaluation.all_explanations(qualities, found.groups)
