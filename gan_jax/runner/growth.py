"""A study that grows: the same directory, asked for more seeds, losses or steps. No jax import.

    more runs     are trained as groups of their own; what is there stays as it is, to the bit
    more steps    continue the runs that are there from their checkpoints, to the bits of a run of that many steps from the
                  start; so they are refused where the number of steps enters the computation

Every run that is there must still be asked for. A group is extended as a whole: what is trained side by side is part of
a run's identity. Nothing is deleted: what belongs to the former end only (a measurement at step 1,000 that a run of 1,500
steps does not make) is set aside.

The manifest says how it grew: a group's `generation` (absent: it was there from the start), and of an extended group
under `grown` the ids and the number of steps with which it began, and its ids before it last grew. Its checkpoints hold
the first ones.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import runs, settings
from gan_jax.core.errors import BadInput, plural
from gan_jax.settings import labels

Config = Mapping[str, Any]
Entry = Mapping[str, Any]  # a group of a manifest


class Growth(NamedTuple):
  """What is asked for beyond what is there."""

  kept: int  # runs that stay as they are
  extended: Mapping[str, Config]  # the config that each longer run gets, by the id that it has
  spans: Mapping[tuple[int, int], int]  # how many of these go from one number of steps to another
  new: Sequence[Config]

  @property
  def grows(self) -> bool:
    return bool(self.extended or self.new)

  def __str__(self) -> str:
    """`keeps 14 runs, extends 14 runs from step 1,000 to 2,000, trains 6 new runs`."""
    said = [f"keeps {plural(self.kept, 'run')}"] if self.kept else []
    said += [f"extends {plural(n, 'run')} from step {a:,} to {b:,}" for (a, b), n in self.spans.items()]
    said += [f"trains {plural(len(self.new), 'new run')}"] if self.new else []
    return ", ".join(said)


def asked(manifest: Mapping[str, Any] | None, configs: Sequence[Config]) -> Growth | None:
  """What these (completed) runs are beside those of a study; None where they do not contain every run that is there.

  Raises:
    BadInput: some runs are to be extended, and cannot be; the message says why.
  """
  groups = manifest["groups"] if manifest else []
  there = {m["id"]: m["config"] for group in groups for m in group["members"]}
  wanted = {settings.identity(config): config for config in configs}
  longer: dict[str, list[Config]] = {}
  for run, config in wanted.items():
    if run not in there:
      longer.setdefault(_but_steps(config), []).append(config)
  extended: dict[str, Config] = {}
  for run, config in there.items():
    if run not in wanted:
      found = sorted(longer.get(_but_steps(config), []), key=lambda c: c["steps"])
      chosen = next((c for c in found if c["steps"] > config["steps"]), None)
      if chosen is None:
        return None
      found.remove(chosen)
      extended[run] = chosen
  for group in groups:
    _check(group, extended)
  taken = {settings.identity(config) for config in extended.values()}
  new = [config for run, config in wanted.items() if run not in there and run not in taken]
  if new and any("forked" in group for group in groups):
    raise BadInput(
      f"a fork goes on with the runs of its parent, and gets no new ones: expected its {plural(len(there), 'run')}, got "
      f"{plural(len(new), 'run')} more; choose another directory with --out"
    )
  spans = Counter((there[run]["steps"], config["steps"]) for run, config in extended.items())
  return Growth(len(there) - len(extended), extended, spans, new)


def _but_steps(config: Config) -> str:
  return json.dumps(labels.without(config, "steps"), sort_keys=True)


def _check(group: Entry, extended: Mapping[str, Config]) -> None:
  """Raises `BadInput` where a group cannot be extended."""
  members = group["members"]
  longer = [extended[m["id"]] for m in members if m["id"] in extended]
  if not longer:
    return
  if len(longer) < len(members) or len({config["steps"] for config in longer}) > 1:
    raise BadInput(
      f"the runs of {group['name']} are trained side by side, so expected more steps for all of its "
      f"{plural(len(members), 'run')} or for none, got {plural(len(longer), 'run')} with more: choose another directory "
      "with --out"
    )
  for config in longer:
    for name, given in config["schedules"].items():
      if "steps" not in given and "images" not in given:
        raise BadInput(
          f"a run with a schedule of {name!r} that lasts the whole run cannot be extended from step "
          f"{members[0]['config']['steps']:,} to {config['steps']:,}, since every step depends on the number of steps: "
          "expected `steps` or `images` in the schedule; choose another directory with --out"
        )


def generations(entries: Sequence[Entry]) -> list[list[Entry]]:
  """A study's groups by generation, in order: those of one were grouped together, without regard to the others."""
  found: dict[int, list[Entry]] = {}
  for entry in entries:
    found.setdefault(int(entry.get("generation", 0)), []).append(entry)
  return [found[number] for number in sorted(found)]


def with_longer(entries: Sequence[Entry], growth: Growth) -> list[Entry]:
  """A manifest's groups, the extended ones with their new configs and ids."""
  return [_longer(entry, growth.extended) for entry in entries]


def _longer(entry: Entry, extended: Mapping[str, Config]) -> Entry:
  if entry["members"][0]["id"] not in extended:
    return entry
  configs = [extended[member["id"]] for member in entry["members"]]
  before = [member["id"] for member in entry["members"]]
  began = entry.get("grown", {"steps": entry["members"][0]["config"]["steps"], "ids": before})
  members = [{"id": settings.identity(config), "config": dict(config)} for config in configs]
  return {**entry, "grown": {**began, "before": before}, "members": members}


def began(entry: Entry) -> list[dict[str, Any]]:
  """The configs of a group's runs as they were when it was begun: by these it was grouped."""
  configs = [dict(member["config"]) for member in entry["members"]]
  return [{**config, "steps": entry["grown"]["steps"]} for config in configs] if "grown" in entry else configs


def manifest(before: Mapping[str, Any] | None, described: Mapping[str, Any], growth: Growth) -> dict[str, Any]:
  """The manifest of a new or a grown study.

  Args:
    before: as the study was; None: it is new.
    described: a manifest of all its groups, as of a new study.
    growth: what is asked for.
  """
  if before is None:
    return dict(described)
  old = {entry["name"]: entry for entry in with_longer(before["groups"], growth)}
  number = 1 + max(int(entry.get("generation", 0)) for entry in old.values())
  here = {name: described[name] for name in ("commit", "source", "versions", "layout")}
  began_elsewhere = {name: value for name, value in here.items() if before.get(name) != value}
  mark = {"generation": number, **({"platform": began_elsewhere} if began_elsewhere else {})}
  groups = [old.get(entry["name"]) or {**entry, **mark} for entry in described["groups"]]
  merged = {name: {**before.get(name, {}), **described[name]} for name in ("metrics", "losses")}
  names = dict.fromkeys([*before.get("defaults", {}), *described["defaults"]])
  defaults = {n: {**before.get("defaults", {}).get(n, {}), **described["defaults"].get(n, {})} for n in names}
  return {**before, **merged, "defaults": defaults, "groups": groups}


def write(study: Path, now: Mapping[str, Any], growth: Growth) -> None:
  """Write the manifest of a new or a grown study, and the new ids of extended runs into its status.

  After a kill between the two, the same command goes on: whoever trains a group writes its status from its state.
  """
  runs.write_manifest(study, now)
  if growth.extended:
    with runs.changed_status(study) as status:
      _rename(status["groups"], now["groups"], growth)


def _rename(status: dict[str, Any], groups: Sequence[Entry], growth: Growth) -> None:
  """Give diverged runs their new ids, and mark extended groups as not complete."""
  ids = {old: settings.identity(config) for old, config in growth.extended.items()}
  for entry in groups:
    own = status.get(entry["name"], {})
    if own and "grown" in entry:
      own["diverged"] = {ids.get(run, run): step for run, step in own.get("diverged", {}).items()}
      own["complete"] = bool(own.get("complete")) and own.get("step", 0) >= entry["members"][0]["config"]["steps"]


def names(entries: Iterable[Entry], count: int) -> list[str]:
  """Names for `count` new groups: `group-N`, on from the last one there."""
  numbers = [int(end) for entry in entries if (end := entry["name"].rpartition("group-")[2]).isdecimal()]
  first = 1 + max(numbers, default=-1)
  return [f"group-{first + number}" for number in range(count)]
