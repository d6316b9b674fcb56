"""What a study trains on: its groups, their data and metrics, checked before anything is written."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax import data, game, metrics
from gan_jax.core.errors import BadInput, plural
from gan_jax.data import Dataset
from gan_jax.metrics import Quality
from gan_jax.runner import (
  capacity,
  devices,
  evaluation,
  grouping,
  growth,
  memory,
  mesh,
  outline,
  preflight,
  processes,
  resume,
  standing,
)
from gan_jax.runner.grouping import Group
from gan_jax.runner.manifest import changes, platform_facts
from gan_jax.settings.records import thawed

Key = tuple[Any, ...]


class Inputs(NamedTuple):
  """What the groups of a study train on."""

  groups: Sequence[Group]
  datasets: dict[Key, Dataset]  # by `key`
  meanings: dict[str, str]  # of the rows and inspections
  origins: dict[str, resume.Origin]  # by group
  states: dict[str, int]  # bytes of each group's state
  disk: dict[str, preflight.Sizes]  # bytes that each group will hold on disk
  changed: list[str]  # what differs from when the study began
  growth: growth.Growth  # which runs are there, and which are asked for beyond them


def key(group: Group) -> Key:
  """Name and options of a group's dataset."""
  return group.spec.dataset, group.spec.dataset_options


def measured(group: Group) -> Key:
  """The key of a group's metrics: its dataset, the metrics and their options."""
  return *key(group), group.spec.metrics, group.spec.metric_options


def qualities(groups: Sequence[Group], datasets: Mapping[Key, Dataset]) -> dict[Key, Quality]:
  """The metrics of a study's groups, by `measured`."""
  found: dict[Key, Quality] = {}
  for group in groups:
    place, options = measured(group), thawed(group.spec.metric_options)
    if place not in found:
      found[place] = metrics.build(datasets[key(group)], devices.cache_directory(), group.spec.metrics, options)
  return found


def ranks(found: Inputs) -> set[str] | None:
  """The columns of a study by which the report can rank runs; None where that is not known before metrics are built."""
  columns: set[str] = set()
  for group in {measured(group): group for group in found.groups}.values():
    options = thawed(group.spec.metric_options)
    own = metrics.ranks(found.datasets[key(group)], group.spec.metrics, options)
    if own is None:
      return None
    columns.update(own)
  return columns


def load(
  study: Path,
  manifest: Mapping[str, Any] | None,
  configs: Sequence[Mapping[str, Any]],
  say: Callable[[str], None],
  only: str | None = None,
) -> Inputs:
  """Load the data and check the groups of the runs against them and against what is on disk. Nothing is written.

  With `only` the group of that name alone, of a study that does not grow: a worker's (worker.py).

  Raises:
    BadInput: runs that cannot be grouped, data that are missing or too few, a group that is too large, or checkpoints of
      something else.
  """
  asked = growth.asked(manifest, configs)
  assert asked is not None  # `standing.existing` has refused all else
  entries = growth.with_longer(manifest["groups"] if manifest else [], asked)
  datasets: dict[Key, Dataset] = {}
  groups = _grouped(entries, () if only is not None else asked.new, configs, datasets, say, only)
  entries = _own(entries, only)
  here = platform_facts()
  for name in ("source", "versions", "layout"):
    processes.same(name, str(here[name]))
  processes.same("number of devices", str(jax.local_device_count()))
  # A group that was added later began with other software and hardware than the study; a new one begins now.
  since = {entry["name"]: changes({**(manifest or {}), **entry.get("platform", {})}, here) for entry in entries}
  unfinished = processes.told(lambda: [entry["name"] for entry in entries if _unfinished(study, entry)])
  changed = list(dict.fromkeys(change for name in unfinished for change in since[name]))
  whole = {entry["name"] for entry in entries}.difference(unfinished)  # of these nothing is measured any more
  for group in {measured(group): group for group in groups if group.name not in whole}.values():
    metrics.ready(datasets[key(group)], group.spec.metrics, thawed(group.spec.metric_options))
  found = Inputs(groups, datasets, {}, {}, {}, {}, changed, asked)
  columns = {}
  for group in groups:
    built = game.build(group.spec, datasets[key(group)])
    evaluation.check_probes(built, group, datasets[key(group)])
    columns[group.name] = evaluation.explanations(built)
    found.meanings.update(columns[group.name])
    digest = data.digest(datasets[key(group)])
    found.origins[group.name] = resume.Origin(digest, here, since.get(group.name, ()))
    processes.same(f"data of {group.spec.dataset}", digest)
  standing.refuse_other_data(study, manifest, groups, {name: origin.data for name, origin in found.origins.items()})
  for group in groups:
    blank = resume.template(group, game.build(group.spec, datasets[key(group)]))
    found.states[group.name] = preflight.size(blank)
    shape = datasets[key(group)].image_shape
    found.disk[group.name] = preflight.sizes(group, blank, len(columns[group.name]), shape)
    if processes.leads():
      resume.check(study, group, blank, found.origins[group.name])
  return found


def _unfinished(study: Path, entry: Mapping[str, Any]) -> bool:
  """Whether something of a group is still to be trained; also where the status cannot be read, and is derived later."""
  with contextlib.suppress(BadInput):
    return not standing.whole(study, entry)
  return True


def _grouped(
  entries: Sequence[Mapping[str, Any]],
  new: Sequence[Mapping[str, Any]],
  configs: Sequence[Mapping[str, Any]],
  datasets: dict[Key, Dataset],
  say: Callable[[str], None],
  only: str | None,
) -> list[Group]:
  """The groups of a study as it began with them, each generation by itself, and after them those of its new runs.

  For a worker only its own; all are grouped to find it, since a program also has the losses of parts that it was cut off.
  """
  found: list[Group] = []
  for own in growth.generations(entries):
    groups = grouping.group([config for entry in own for config in growth.began(entry)], configs)
    parts = grouping.recorded(groups, _own(own, only))
    for group in groups if only is None else parts:
      _check(group, _dataset(group, datasets, say))
    found += parts
  if new:
    groups = grouping.group(new, configs)
    for group in groups:
      _check(group, _dataset(group, datasets, say))
    parts = _divided(groups, datasets, say)
    found += grouping.numbered(parts, growth.names(entries, len(parts)))
  return [_settled(group, datasets[key(group)]) for group in found]


def _settled(group: Group, dataset: Dataset) -> Group:
  """A group that knows how many devices share the batch of a run."""
  spec, members = group.spec, len(group.configs)
  return group._replace(spec=mesh.settled(spec, members, game.players(spec, dataset), dataset.image_shape))


def _own(entries: Sequence[Mapping[str, Any]], only: str | None) -> list[Mapping[str, Any]]:
  """Of a manifest's groups a worker's own; all, for any other process."""
  return [entry for entry in entries if only in (None, entry["name"])]


def described(group: Group, found: Inputs) -> dict[str, Any]:
  """What a manifest says of a group's data. With it the trained generator can be built where the data are not."""
  shape = [int(length) for length in found.datasets[key(group)].image_shape]
  return {"sha256": found.origins[group.name].data, "shape": shape}


def _check(group: Group, dataset: Dataset) -> None:
  """Raises `BadInput` for a group that is too large however it is divided, or that its data or devices do not fit."""
  rows = mesh.build(group.spec, len(group.configs)).mesh.devices.shape[0]
  # Before the game is built, which computes with a discriminator: what is too large for a study is too large for that.
  memory.check(group.spec, game.players(group.spec, dataset), dataset.image_shape, min(len(group.configs), int(rows)))
  game.build(group.spec, dataset)
  if not memory.fits(dataset, group.configs[0]["data_memory"]):
    evaluation.check_resident(group.spec)


def _divided(groups: Sequence[Group], datasets: Mapping[Key, Dataset], say: Callable[[str], None]) -> list[Group]:
  """New groups, cut to what fits into memory."""
  found: list[Group] = []
  for group in groups:
    most = capacity.most(group, datasets[key(group)])
    rows = mesh.build(group.spec, most).mesh.devices.shape[0]
    parts = grouping.cut(group, most, int(rows))
    if len(parts) > 1:
      why = "most_members" if group.spec.most_members else f"the {outline.written(memory.available())} of memory"
      say(f"{plural(len(group.configs), 'run')} of one program are trained in {len(parts)} parts, for {why}")
    found += parts
  return found


def _dataset(group: Group, datasets: dict[Key, Dataset], say: Callable[[str], None]) -> Dataset:
  """A group's dataset, loaded into `datasets` where it is not there, and checked against its metrics."""
  place = key(group)
  if place not in datasets:
    with data.telling(say):
      datasets[place] = data.load(place[0], **dict(place[1]))
  options = thawed(group.spec.metric_options)
  metrics.check(place[0], datasets[place], group.spec.metrics, options, group.spec.evaluation_samples)
  return datasets[place]
