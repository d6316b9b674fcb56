"""Fields that act only where another field lets them, as `unroll_rate` where there are `unroll_steps`. No jax import.

A field without effect is a mistake that nothing else would show: the run is bit for bit the one without it. What is
refused is what nobody can have meant:

- a field given on the command line that has no effect in any of the runs asked for, whatever its value;
- a field of a config file, other than its default, that has no effect in any run of that file (its sweep, or its single
  run), before the command line changed them.

A sweep over penalties of which one is `none` may give a weight to all: it acts in some. In the runs where a field has no
effect it is put back to its default (`settled`), so that runs that would be the same bits are one run under one id, with
no number in the tables that nothing has felt. `--config.penalty=none` may take the effect from a file's `penalty_weight`.

What is switched on at size nothing (a penalty of weight 0, noise of scale 0) in all runs is refused as well: `check_sizes`.

What hangs on a registry is refused by `grouping.group`, once jax is up: an option that the chosen entry does not have, a
penalty or a method of weight 0, an augmentation that no penalty applies.
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
  text: str  # a value of that field that does, or what its value should be


def parts(text: str) -> set[str]:
  """The names of a field that joins several by `+`; none for 'none'."""
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
  "generator_penalty_weight": Need(lambda c: bool(parts(c["generator_penalty"])), "generator_penalty", "a name"),
  "instance_noise_scale": Need(lambda c: c["instance_noise"], "instance_noise", "True"),
  "instance_noise_steps": Need(lambda c: c["instance_noise"], "instance_noise", "True"),
  "unroll_gradient": Need(lambda c: c["unroll_steps"] > 0, "unroll_steps", "at least 1"),
  "unroll_rate": Need(lambda c: c["unroll_steps"] > 0, "unroll_steps", "at least 1"),
  "lookahead_pace": Need(lambda c: c["lookahead_every"] > 0, "lookahead_every", "at least 1"),
}


def options_need(name: str, of: str, joined: bool) -> Need | None:
  """What a field of options needs; None where the field that they are of always names an entry."""
  if joined:
    named = lambda c: parts(c[of]) & {*c[name], "all", "auto"}  # noqa: E731
    return Need(lambda c: bool(named(c)), of, "those names")
  return Need(lambda c: c[of] != "none", of, "a name") if settings.FIELDS[of].default == "none" else None


for _name, _field in settings.FIELDS.items():
  if _field.of and (_need := options_need(_name, _field.of, _field.joined)):
    NEEDS[_name] = _need


class Size(NamedTuple):
  """A switch that does nothing at a certain size."""

  on: Callable[[Config], bool]
  nothing: Callable[[Config], bool]
  field: str  # the size's
  text: str  # what is expected of it


LOOKS_AHEAD = NEEDS["lookahead_pace"].holds
SIZES: list[tuple[str, Size]] = [
  (
    "instance_noise",
    Size(lambda c: c["instance_noise"], lambda c: c["instance_noise_scale"] == 0, "instance_noise_scale", "above 0"),
  ),
  ("unroll_steps", Size(lambda c: c["unroll_steps"] > 0, lambda c: c["unroll_rate"] == 0, "unroll_rate", "above 0")),
  ("lookahead_every", Size(LOOKS_AHEAD, lambda c: c["lookahead_pace"] == 1, "lookahead_pace", "below 1")),
  # The first pull comes after that many steps.
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
  """Raises `BadInput` for a switch that is on, and at a size of nothing in every run in which it is."""
  for name, size in SIZES:
    for value in dict.fromkeys(config[name] for config in configs if size.on(config)):
      if all(size.nothing(config) for config in configs if config[name] == value):
        least = next(config[size.field] for config in configs if config[name] == value)
        raise BadInput(f"{name} {value!r} has no effect with {size.field}={least!r}: expected {size.field} {size.text}")


def settled(config: Config) -> dict[str, Any]:
  """The config with every field that has no effect at its default, and nothing for a penalty that is not there."""
  plain = settings.defaults()
  found = {name: value if felt(name, config) else plain[name] for name, value in config.items()}
  for name, of in {"penalty_weights": "penalty", **{n: f.of for n, f in settings.FIELDS.items() if f.joined}}.items():
    there = parts(config[of])
    found[name] = {k: v for k, v in found[name].items() if k in there or there & {"all", "auto"}}
  return found
