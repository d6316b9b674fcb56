"""Groups: the runs of a sweep that one compiled program trains side by side.

A config is split into a `Spec` and `Hypers` (settings/records.py). Runs of one `Spec` are a group: their `Hypers` are
stacked into arrays with a leading member axis. A difference in any other field splits the group.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import game as game_lib
from gan_jax import losses, probes, settings, verdict
from gan_jax.core.errors import BadInput, shown
from gan_jax.game import optimizers, registries, schedules, weights
from gan_jax.inspections import geometry
from gan_jax.settings import effects
from gan_jax.settings.records import RESOLVED, Hypers, Spec, frozen


class Group(NamedTuple):
  """Runs that share a `Spec`, in the order of the sweep."""

  name: str
  spec: Spec
  configs: tuple[Mapping[str, Any], ...]  # with all options
  hypers: Hypers  # numpy, each leaf [P]
  # Of a group whose runs were made longer, its former ids: those with which it began, which its checkpoints hold, and
  # those before it last grew; () for any other group.
  begun: tuple[str, ...] = ()
  before: tuple[str, ...] = ()
  start: int = 0  # the step at which its runs begin; of a fork (forking.py), that of the parent's checkpoint

  @property
  def ids(self) -> list[str]:
    return [settings.identity(config) for config in self.configs]


def completed(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """The runs of a study with all options filled in; equal runs appear once.

  Raises:
    BadInput: as `game.complete`; or a field that has no effect in any of the runs with the penalties that they name.
  """
  found = [game_lib.complete(config) for config in configs]
  for name, expected in {
    "augmentation": "a penalty that compares examples with augmented ones, such as bcr",
    "penalty_every": "a penalty that needs a pass of its own",
  }.items():
    default = settings.FIELDS[name].default
    given = next((config for config in configs if config[name] != default), None)
    if given is not None and all(config[name] == default for config in found):
      raise BadInput(
        f"config field {name!r}, here {shown(given[name])}, has no effect with penalty {given['penalty']!r}: expected "
        f"{expected}, or no {name}"
      )
  return list({settings.identity(config): config for config in found}.values())


def defaults(groups: Sequence[Group]) -> dict[str, Any]:
  """The default options of all entries that the runs of a study name, for the manifest."""
  return registries.defaults([config for group in groups for config in group.configs])


def group(configs: Sequence[Mapping[str, Any]], study: Sequence[Mapping[str, Any]] = ()) -> list[Group]:
  """Divide full configs (`settings.resolve`) into groups; one program can train each group.

  `study`: all runs of the study of which these are a part; by default these.

  Raises:
    BadInput: a name that is not in its registry, an option that its entry does not have, a penalty or method whose
      weight is 0 in all runs, or a combination that `game.check` refuses.
  """
  configs = [game_lib.complete(config) for config in configs]
  weights.check([game_lib.complete(config) for config in study] or configs)
  found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
  for config in configs:
    check_member(config)
    key = spec_of(config, ())
    alone = game_lib.second_order(key)
    found.setdefault((key, config["loss"] if alone else losses.reads(config["loss"])), []).append(config)
  groups = []
  for number, ((key, _), members) in enumerate(found.items()):
    names = tuple(dict.fromkeys(member["loss"] for member in members))
    spec = key._replace(losses=names)
    game_lib.check(spec)
    if "geometry" in probes.requested(spec.probes):
      geometry.check(spec)
    hypers = jax.tree.map(lambda *leaves: np.stack(leaves), *(hypers_of(config, names) for config in members))
    groups.append(Group(f"group-{number}", spec, tuple(members), hypers))
  return groups


def part(group: Group, places: Sequence[int]) -> Group:
  """The members of a group at these places. The spec is kept, losses included, so parts of one size are one program."""
  chosen = np.asarray(places)
  return group._replace(
    configs=tuple(group.configs[i] for i in places), hypers=jax.tree.map(lambda x: x[chosen], group.hypers)
  )


def cut(group: Group, most: int, rows: int = 1) -> list[Group]:
  """A group in parts of at most `most` members, in order. All but the last are equal, and multiples of `rows` if they can."""
  members = len(group.configs)
  size = -(-members // -(-members // most))
  size = min(most, -(-size // rows) * rows)
  return [part(group, range(first, min(first + size, members))) for first in range(0, members, size)]


def numbered(groups: Sequence[Group], names: Sequence[str]) -> list[Group]:
  """The groups with these names."""
  return [group._replace(name=name) for name, group in zip(names, groups, strict=True)]


def longer(group: Group, entry: Mapping[str, Any]) -> Group:
  """A group as the manifest has it: with more steps than those by which it was grouped, if it was extended."""
  if "grown" not in entry:
    return group
  configs = tuple(member["config"] for member in entry["members"])
  spec = group.spec._replace(steps=configs[0]["steps"])
  for config in configs:
    check_member(config)
  game_lib.check(spec)
  return group._replace(
    spec=spec, configs=configs, begun=tuple(entry["grown"]["ids"]), before=tuple(entry["grown"]["before"])
  )


def recorded(groups: Sequence[Group], entries: Sequence[Mapping[str, Any]]) -> list[Group]:
  """The groups as a study's manifest divides them: what a program trains side by side is part of a run's identity.

  Args:
    groups: of the same runs.
    entries: the manifest's `groups`.

  Raises:
    BadInput: a group of the manifest whose runs this version does not train by one program.
  """
  places = {run: (number, i) for number, group in enumerate(groups) for i, run in enumerate(group.ids)}
  found = []
  for entry in entries:
    there = [places[run] for run in entry.get("grown", {}).get("ids") or [member["id"] for member in entry["members"]]]
    if len({number for number, _ in there}) > 1:
      raise BadInput(
        f"the runs of {entry['name']} expected one program, as when the study began, got runs that this version does not "
        "train together: go on with the version that began it, or choose another directory with --out"
      )
    start = entry.get("forked", {}).get("step", 0)
    own = part(groups[there[0][0]], [i for _, i in there])._replace(name=entry["name"], start=start)
    found.append(longer(own, entry))
  return found


def spec_of(config: Mapping[str, Any], branches: tuple[str, ...]) -> Spec:
  """The static half of a complete config; `branches` are the losses of its program."""
  static = {name: config[name] for name, field in settings.FIELDS.items() if field.kind == "static"}
  options = {name: frozen(registries.split(config, name)[0]) for name in registries.OPTIONS if name != "loss_options"}
  shapes = {n: {k: v for k, v in own.items() if k != "to"} for n, own in config["schedules"].items()}
  return Spec(losses=branches, schedules=frozen(shapes), **static, **options)


def hypers_of(config: Mapping[str, Any], branches: tuple[str, ...]) -> Hypers:
  """The traced half, as numpy scalars. Every member has options for every loss of its program."""
  resolved = (*RESOLVED, "seed", "penalty_weights", "generator_penalty_weight")
  plain = {n: f for n, f in settings.FIELDS.items() if f.kind == "traced" and n not in resolved}
  own = {name: config["loss_options"] if name == config["loss"] else losses.default_options(name) for name in branches}
  traced = {n: registries.split(config, n)[1] for n in registries.OPTIONS if n != "loss_options"}
  return Hypers(
    seed=np.uint32(config["seed"]),
    loss_index=np.int32(branches.index(config["loss"])),
    loss_options=tuple(numbers(options) for options in own.values()),
    penalty_weights=tuple(np.float32(weight) for weight in weights.of_discriminator(config)),
    generator_penalty_weight=np.float32(weights.of_generator(config)),
    schedules={name: np.float32(given["to"]) for name, given in config["schedules"].items()},
    **{
      name: np.int32(config[name]) if type(f.default) is int else np.float32(config[name]) for name, f in plain.items()
    },
    **{name: numbers(options) for name, options in traced.items()},
  )


def numbers(options: Mapping[str, Any]) -> dict[str, Any]:
  """Options, or dicts of options by entry, as numpy scalars."""
  return {
    name: numbers(value)
    if isinstance(value, Mapping)
    else np.asarray(value, np.int32 if type(value) is int else np.float32)
    for name, value in options.items()
  }


def check_member(config: Mapping[str, Any]) -> None:
  """Raises `BadInput` for traced fields that cannot be combined with the static ones."""
  losses.get(config["loss"], **config["loss_options"])
  if config["augmentation_target"] > 0 and not losses.signed(config["loss"]):
    raise BadInput(
      f"augmentation_target expected 0 with loss {config['loss']!r}, to which the sign of a logit means nothing, got "
      f"{config['augmentation_target']:g}"
    )
  check_schedules(config)
  weights.check_member(config)
  verdict.check(config["verdict"])
  decays = {name: config["optimizer_options"][name] for name in optimizers.decays(config["optimizer"])}
  for name, value in decays.items():
    if config["penalty_every"] > 1 and value < 0:
      raise BadInput(f"penalty_every above 1 takes powers of {name}; expected {name} at least 0, got {value}")


def check_schedules(config: Mapping[str, Any]) -> None:
  """Raises `BadInput` for a schedule of something that cannot change during a run, or to a value that it cannot have."""
  fields = {name: value for name, value in config.items() if name != "code"}
  for name, given in config["schedules"].items():
    schedules.check(name, given)
    if name == "penalty_weight" and config["penalty_weights"]:
      raise BadInput(
        "a schedule of 'penalty_weight' changes the weights of all penalties: where penalty_weights has some, expected "
        "schedules of penalty_weights.NAME"
      )
    at_end = game_lib.complete(settings.resolve(fields, {name: given["to"]}))  # refuses values out of range
    effects.check([name], [at_end])
    if spec_of(at_end, ()) != spec_of(config, ()):
      raise BadInput(
        f"schedules expected fields and options that are traced numbers, such as generator_rate, got {name!r}"
      )
