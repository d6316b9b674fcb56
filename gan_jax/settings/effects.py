"""Fields that have an effect only if another field is set, such as `unroll_rate` if `unroll_steps` > 0. No jax import.

A field without effect is a mistake that nothing else would reveal: the run is bit for bit the same without it. Refused
are:

- a field given on the command line that has no effect in any of the runs asked for, whatever its value;
- a field of a config file, other than its default, that has no effect in any run of that file (its sweep, or its single
  run), before the command line changed them.

A sweep over penalties that includes `none` may give all runs a penalty weight, because it has an effect in some of
them. In runs where a field has no effect it is reset to its default (`settled`). So runs with identical results are one
run with one id, and no table shows a value that had no effect. `--config.penalty=none` is accepted although a file's
`penalty_weight` then has no effect.

A feature that is switched on with size zero in all runs (noise of scale 0) is refused as well: see `check_sizes`.

Checks that need a registry are made by `grouping.group`, which can import jax: an option that the chosen entry does not
have, a penalty or a method of weight 0, an augmentation that no penalty uses.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax import settings
from gan_jax.core.errors import BadInput, shown

Config = Mapping[str, Any]


class Need(NamedTuple):
  """What a field needs to have an effect."""

  holds: Callable[[Config], bool]
  field: str  # the field that gives it effect
  text: str  # the value that it needs, for a message


def parts(text: str) -> set[str]:
  """The names in a value of names joined by `+`; no names for 'none'."""
  return {part.strip() for part in text.split("+")} - {"none"}


NEEDS: dict[str, Need] = {
  "penalty_weight": Need(
    lambda c: bool(parts(c["penalty"]) - c["penalty_weights"].keys()),
    "penalty",
    "a penalty without an entry in penalty_weights",
  ),
  "penalty_weights": Need(lambda c: bool(parts(c["penalty"]) & c["penalty_weights"].keys()), "penalty", "those names"),
  "penalty_every": Need(lambda c: bool(parts(c["penalty"])), "penalty", "a name"),
  "augmentation": Need(lambda c: bool(parts(c["penalty"])), "penalty", "one that transforms examples"),
  "augmentation_strength": Need(
    lambda c: bool(parts(c["discriminator_augmentation"])), "discriminator_augmentation", "a name"
  ),
  "augmentation_target": Need(
    lambda c: bool(parts(c["discriminator_augmentation"])), "discriminator_augmentation", "a name"
  ),
  "augmentation_images": Need(
    lambda c: bool(parts(c["discriminator_augmentation"])) and c["augmentation_target"] > 0,
    "augmentation_target",
    "above 0",
  ),
  "generator_penalty_weight": Need(lambda c: bool(parts(c["generator_penalty"])), "generator_penalty", "a name"),
  "class_weight": Need(lambda c: c["class_loss"] != "none", "class_loss", "a name"),
  "instance_noise_scale": Need(lambda c: c["instance_noise"], "instance_noise", "True"),
  "instance_noise_steps": Need(lambda c: c["instance_noise"], "instance_noise", "True"),
  "unroll_gradient": Need(lambda c: c["unroll_steps"] > 0, "unroll_steps", "at least 1"),
  "unroll_rate": Need(lambda c: c["unroll_steps"] > 0, "unroll_steps", "at least 1"),
  "lookahead_pace": Need(lambda c: c["lookahead_every"] > 0, "lookahead_every", "at least 1"),
}


def options_need(name: str, of: str, joined: bool) -> Need | None:
  """What a field of options needs in order to have an effect; None if its entry always exists."""
  if joined:
    named = lambda c: parts(c[of]) & {*c[name], "all", "auto"}  # noqa: E731
    return Need(lambda c: bool(named(c)), of, "those names")
  return Need(lambda c: c[of] != "none", of, "a name") if settings.FIELDS[of].default == "none" else None


for _name, _field in settings.FIELDS.items():
  if _field.of and (_need := options_need(_name, _field.of, _field.joined)):
    NEEDS[_name] = _need


class Size(NamedTuple):
  """A feature that does nothing at a certain size, such as noise of scale 0."""

  on: Callable[[Config], bool]
  nothing: Callable[[Config], bool]
  field: str  # the field that holds the size
  text: str  # the size that is expected


LOOKS_AHEAD = NEEDS["lookahead_pace"].holds
SIZES: list[tuple[str, Size]] = [
  (
    "instance_noise",
    Size(lambda c: c["instance_noise"], lambda c: c["instance_noise_scale"] == 0, "instance_noise_scale", "above 0"),
  ),
  (
    "discriminator_augmentation",
    Size(
      lambda c: bool(parts(c["discriminator_augmentation"])),
      lambda c: c["augmentation_strength"] == 0 and c["augmentation_target"] == 0,
      "augmentation_strength",
      "above 0",
    ),
  ),
  ("unroll_steps", Size(lambda c: c["unroll_steps"] > 0, lambda c: c["unroll_rate"] == 0, "unroll_rate", "above 0")),
  (
    "class_loss",
    Size(lambda c: c["class_loss"] != "none", lambda c: c["class_weight"] == 0, "class_weight", "above 0"),
  ),
  ("lookahead_every", Size(LOOKS_AHEAD, lambda c: c["lookahead_pace"] == 1, "lookahead_pace", "below 1")),
  # The first lookahead update comes after that many steps.
  (
    "lookahead_every",
    Size(LOOKS_AHEAD, lambda c: c["lookahead_every"] > c["steps"], "steps", "of at least lookahead_every"),
  ),
]


def felt(name: str, config: Config) -> bool:
  """Whether a run with this config would change if field `name` did."""
  return name not in NEEDS or bool(NEEDS[name].holds(config))


def check(names: Iterable[str], configs: Sequence[Config]) -> None:
  """Raises `BadInput` for the first of `names` that has an effect in none of `configs`."""
  for name in dict.fromkeys(settings.split(name)[0] for name in names):
    if not any(felt(name, config) for config in configs):
      need, config = NEEDS[name], next((c for c in configs if c[name] != settings.FIELDS[name].default), configs[0])
      raise BadInput(
        f"config field {name!r}, here {shown(config[name])}, has no effect with {need.field} {config[need.field]!r}: "
        f"expected {need.field} to be {need.text}, or no {name}"
      )


def changed(configs: Iterable[Config]) -> list[str]:
  """The fields that differ from their default in some config, in the order of the table."""
  found = {name for c in configs for name in NEEDS if c[name] != settings.FIELDS[name].default}
  return [name for name in NEEDS if name in found]


def check_sizes(configs: Sequence[Config]) -> None:
  """Raises `BadInput` for a feature that has size zero in every run in which it is switched on."""
  for name, size in SIZES:
    for value in dict.fromkeys(config[name] for config in configs if size.on(config)):
      if all(size.nothing(c) and size.field not in c["schedules"] for c in configs if c[name] == value):
        least = next(config[size.field] for config in configs if config[name] == value)
        raise BadInput(f"{name} {value!r} has no effect with {size.field}={least!r}: expected {size.field} {size.text}")


def settled(config: Config) -> dict[str, Any]:
  """The config with fields without effect at their defaults, and without weights or options of penalties not in use."""
  plain = settings.defaults()
  found = {name: value if felt(name, config) else plain[name] for name, value in config.items()}
  joined = {name: field.of for name, field in settings.FIELDS.items() if field.joined and field.of}
  for name, of in {"penalty_weights": "penalty", **joined}.items():
    there = parts(config[of])
    found[name] = {k: v for k, v in found[name].items() if k in there or there & {"all", "auto"}}
  return found
