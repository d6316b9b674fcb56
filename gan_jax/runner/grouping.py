"""Groups: which runs of a sweep one compiled program can train side by side.

Fields of `Hypers` become stacked arrays with a leading member axis; a difference in any other field splits the group.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_jax import game as game_lib
from gan_jax import losses, penalties, probes, settings, verdict
from gan_jax.core.errors import BadInput, unknown
from gan_jax.core.types import Hypers, Spec
from gan_jax.inspections import geometry


class Group(NamedTuple):
  """Runs that share a `Spec`, in the order of the sweep."""

  name: str
  spec: Spec
  configs: tuple[Mapping[str, Any], ...]
  hypers: Hypers  # numpy, each leaf [P]

  @property
  def ids(self) -> list[str]:
    return [settings.identity(config) for config in self.configs]


def group(configs: Sequence[Mapping[str, Any]]) -> list[Group]:
  """Divide full configs (`settings.resolve`) into groups that one program each can train.

  Raises:
    BadInput: a name that is not in its registry, a hyperparameter that a loss does not have, a penalty whose weight is
      nothing in all runs, or a combination that `game.check` refuses.
  """
  static = [name for name, field in settings.FIELDS.items() if field.kind == "static"]
  check_weights(configs)
  found: dict[tuple, list[Mapping[str, Any]]] = {}
  for config in configs:
    check_member(config)
    key = tuple(config[name] for name in static)
    if game_lib.second_order(Spec(losses=(config["loss"],), **dict(zip(static, key, strict=True)))):
      key = (*key, config["loss"])
    found.setdefault(key, []).append(config)
  groups = []
  for number, (values, members) in enumerate(found.items()):
    names = tuple(dict.fromkeys(member["loss"] for member in members))
    spec = Spec(losses=names, **dict(zip(static, values[: len(static)], strict=True)))
    game_lib.check(spec)
    if "geometry" in probes.requested(spec.probes):
      geometry.check(spec)
    groups.append(Group(f"group-{number}", spec, tuple(members), stack(names, members)))
  return groups


def check_member(config: Mapping[str, Any]) -> None:
  """Raises `BadInput` for traced fields that do not fit the static ones."""
  losses.get(config["loss"], **config["loss_options"])
  generator_weight(config)
  verdict.check(config["verdict"])
  there = penalties.names(config["penalty"])
  for name in config["penalty_weights"]:
    if not there:
      raise BadInput(f"penalty_weights expected none with penalty 'none', got one for {name!r}")
    if name not in there:
      raise unknown("penalty of penalty_weights", name, there)
  if config["penalty_every"] > 1 and min(config["beta1"], config["beta2"]) < 0:
    raise BadInput(f"penalty_every above 1 takes powers of the betas; expected beta1 at least 0, got {config['beta1']}")


def check_weights(configs: Sequence[Mapping[str, Any]]) -> None:
  """Raises `BadInput` for a penalty whose weight is 0 in every run that has it."""
  for player, field in (("penalty", "penalty_weight"), ("generator_penalty", "generator_penalty_weight")):
    for text in dict.fromkeys(config[player] for config in configs):
      for name in penalties.names(text):
        weights = {weight_of(name, config, field) for config in configs if config[player] == text}
        if weights == {0.0}:
          default = penalties.get(name).default_weight
          advice = f"leave {field} out for {default:g}, the weight of its source" if default else f"{field} above 0"
          raise BadInput(f"{player} {name!r} has no effect with weight 0: expected {player} none, or {advice}")


def weight_of(name: str, config: Mapping[str, Any], field: str) -> float:
  """The weight of one penalty in one run; `field` is that of the player's weight."""
  given = config["penalty_weights"].get(name) if field == "penalty_weight" else None
  return penalties.weight(name, config[field] if given is None else given, field)


def generator_weight(config: Mapping[str, Any]) -> float:
  """The one weight of all penalties of the generator. Raises `BadInput` where it is not given and they differ in theirs."""
  field = "generator_penalty_weight"
  weights = {weight_of(name, config, field) for name in penalties.names(config["generator_penalty"])}
  if len(weights) > 1:
    raise BadInput(f"{field} expected a number for the penalties of {config['generator_penalty']!r}, got none")
  return weights.pop() if weights else 0.0


def stack(names: tuple[str, ...], configs: Sequence[Mapping[str, Any]]) -> Hypers:
  """The traced fields of P configs as arrays [P]. Every member carries options for every branch of the loss switch."""

  special = ("seed", "loss", "loss_options", "penalty_weight", "penalty_weights", "generator_penalty_weight")
  plain = [n for n, field in settings.FIELDS.items() if field.kind == "traced" and n not in special]

  def column(name: str, dtype: Any) -> np.ndarray:
    return np.array([config[name] for config in configs], dtype)

  def options(branch: str) -> dict[str, np.ndarray]:
    default = losses.default_options(branch)
    rows = [default | (c["loss_options"] if c["loss"] == branch else {}) for c in configs]
    return {key: np.array([row[key] for row in rows], np.float32) for key in default}

  return Hypers(
    seed=column("seed", np.uint32),
    loss_index=np.array([names.index(config["loss"]) for config in configs], np.int32),
    loss_options=tuple(options(name) for name in names),
    penalty_weights=tuple(
      np.array([weight_of(name, c, "penalty_weight") for c in configs], np.float32)
      for name in penalties.names(configs[0]["penalty"])
    ),
    generator_penalty_weight=np.array([generator_weight(c) for c in configs], np.float32),
    **{name: column(name, np.int32 if type(settings.FIELDS[name].default) is int else np.float32) for name in plain},
  )
