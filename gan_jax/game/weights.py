"""The weights of the penalties that a config names."""

from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax import penalties
from gan_jax.core.errors import BadInput, unknown


def of_discriminator(config: Mapping[str, Any]) -> list[float]:
  """The weight of each penalty on the discriminator in one run."""
  return [_weight(name, config, "penalty_weight") for name in penalties.names(config["penalty"])]


def of_generator(config: Mapping[str, Any]) -> float:
  """The common weight of the generator's penalties. Raises `BadInput` if none is given and those of their papers differ."""
  field = "generator_penalty_weight"
  weights = {_weight(name, config, field) for name in penalties.names(config["generator_penalty"])}
  if len(weights) > 1:
    raise BadInput(f"{field} expected a number for the penalties of {config['generator_penalty']!r}, got none")
  return weights.pop() if weights else 0.0


def check_member(config: Mapping[str, Any]) -> None:
  """Raises `BadInput` for weights of penalties that the run does not have, or a common weight that none of them gives."""
  of_generator(config)
  there = penalties.names(config["penalty"])
  for name in config["penalty_weights"]:
    if not there:
      raise BadInput(f"penalty_weights expected none with penalty 'none', got one for {name!r}")
    if name not in there:
      raise unknown("penalty of penalty_weights", name, there)


def check(configs: Sequence[Mapping[str, Any]]) -> None:
  """Raises `BadInput` for a penalty or a method whose weight is 0 in every run that has it."""
  for player, field in (("penalty", "penalty_weight"), ("generator_penalty", "generator_penalty_weight")):
    for text in dict.fromkeys(config[player] for config in configs):
      for name in penalties.names(text):
        weights = {_weight(name, config, field) for config in configs if config[player] == text}
        if weights == {0.0}:
          default = penalties.get(name).default_weight
          advice = f"leave {field} out for {default:g}, the weight of its source" if default else f"{field} above 0"
          raise BadInput(f"{player} {name!r} has no effect with weight 0: expected {player} none, or {advice}")
  for name in dict.fromkeys(config["method"] for config in configs):
    if {config["method_options"].get("weight") for config in configs if config["method"] == name} == {0.0}:
      raise BadInput(f"method {name!r} has no effect with method_options.weight=0: expected a weight above 0")


def _weight(name: str, config: Mapping[str, Any], field: str) -> float:
  """The weight of one penalty in one run; `field` is the config field of the player's weight."""
  given = config["penalty_weights"].get(name) if field == "penalty_weight" else None
  return penalties.weight(name, config[field] if given is None else given, field)
