"""Fields that act only where another field lets them, as `clip_value` under `weight_constraint=clip`. No jax import.

A field without effect is a mistake that nothing else would show: the run is bit for bit the one without it. What is
refused is what nobody can have meant:

- a field given on the command line that has no effect in any of the runs asked for, whatever its value;
- a field of a config file, other than its default, that has no effect in any run of that file (its sweep, or its single
  run), before the command line changed them.

A sweep over penalties of which one is `none` may give a weight to all: it acts in some. In the runs where a field has no
effect it is put back to its default (`settled`), so that runs that would be the same bits are one run under one id, with
no number in the tables that nothing has felt. `--config.penalty=none` may take the effect from a file's `penalty_weight`.

What is switched on at size nothing (a penalty of weight 0, noise of scale 0) in all runs is refused as well: `check_sizes`,
and for penalties, whose weights are in their registry, `grouping.group`.
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


BETAS_NOT_READ = {
  "momentum": ("beta2",),
  "optimistic_sgd": ("beta1", "beta2"),
  "rmsprop": ("beta1",),
  "sgd": ("beta1", "beta2"),
}
WITHOUT_FILES = (
  "digits",
  "digits_ten",
  "digits_two",
  "grid",
  "line",
  "ring",
  "ring_far",
)  # datasets that need no `data_dir`
WITHOUT_DEPTH, WITHOUT_CONVOLUTION = ("dcgan",), ("mlp", "pacgan")  # models
OF_LOGITS = ("lecam", "logit_drift")  # penalties that cost nothing and are never lazy


def parts(text: str) -> set[str]:
  """The names of a field that joins several by `+`; none for 'none'."""
  return {part.strip() for part in text.split("+")} - {"none"}


def asks_for(name: str) -> Callable[[Config], bool]:
  return lambda config: bool(parts(config["probes"]) & {name, "all"})


def reads(beta: str) -> Need:
  readers = "an optimizer that reads it"
  return Need(lambda c: beta not in BETAS_NOT_READ.get(c["optimizer"], ()), "optimizer", readers)


NEEDS: dict[str, Need] = {
  "penalty_weight": Need(
    lambda c: bool(parts(c["penalty"]) - c["penalty_weights"].keys()),
    "penalty",
    "a penalty without an entry in penalty_weights",
  ),
  "penalty_weights": Need(lambda c: bool(parts(c["penalty"]) & c["penalty_weights"].keys()), "penalty", "those names"),
  "penalty_every": Need(
    lambda c: bool(parts(c["penalty"]) - {*OF_LOGITS}), "penalty", "one that has a pass of its own"
  ),
  "augmentation": Need(lambda c: "bcr" in parts(c["penalty"]), "penalty", "bcr"),
  "generator_penalty_weight": Need(lambda c: bool(parts(c["generator_penalty"])), "generator_penalty", "a name"),
  "spectral_iterations": Need(lambda c: c["weight_constraint"] == "spectral", "weight_constraint", "spectral"),
  "clip_value": Need(lambda c: c["weight_constraint"] == "clip", "weight_constraint", "clip"),
  "instance_noise_scale": Need(lambda c: c["instance_noise"], "instance_noise", "True"),
  "instance_noise_steps": Need(lambda c: c["instance_noise"], "instance_noise", "True"),
  "data_dir": Need(lambda c: c["dataset"] not in WITHOUT_FILES, "dataset", "one that is read from files"),
  "depth": Need(lambda c: c["model"] not in WITHOUT_DEPTH, "model", "mlp or pacgan"),
  "convolution": Need(lambda c: c["model"] not in WITHOUT_CONVOLUTION, "model", "one with convolutions"),
  "beta1": reads("beta1"),
  "beta2": reads("beta2"),
  "method_weight": Need(lambda c: c["method"] in ("consensus", "symplectic"), "method", "consensus or symplectic"),
  "unroll_gradient": Need(lambda c: c["unroll_steps"] > 0, "unroll_steps", "at least 1"),
  "unroll_rate": Need(lambda c: c["unroll_steps"] > 0, "unroll_steps", "at least 1"),
  "lookahead_pace": Need(lambda c: c["lookahead_every"] > 0, "lookahead_every", "at least 1"),
  "geometry_size": Need(asks_for("geometry"), "probes", "geometry"),
  "response_steps": Need(asks_for("gap"), "probes", "gap"),
}


class Size(NamedTuple):
  """A switch that does nothing at a certain size."""

  on: Callable[[Config], bool]
  nothing: Callable[[Config], bool]
  field: str  # the size's
  text: str  # what is expected of it


LOOKS_AHEAD = NEEDS["lookahead_pace"].holds
SIZES: list[tuple[str, Size]] = [
  ("method", Size(NEEDS["method_weight"].holds, lambda c: c["method_weight"] == 0, "method_weight", "above 0")),
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
  for name in names:
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
  """The config with every field that has no effect at its default, and no weight for a penalty that is not there."""
  plain = settings.defaults()
  found = {name: value if felt(name, config) else plain[name] for name, value in config.items()}
  there = parts(config["penalty"])
  return {**found, "penalty_weights": {k: v for k, v in found["penalty_weights"].items() if k in there}}
