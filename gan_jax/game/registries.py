"""The registry of each config field that names an entry, and the completion of configs with all options."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gan_jax import data, losses, metrics, models, penalties, probes, settings
from gan_jax.core.errors import BadInput, unknown
from gan_jax.core.registry import Entry, Registry
from gan_jax.game import methods, optimizers
from gan_jax.models import constraints
from gan_jax.penalties.registry import suits_discriminator, suits_generator

REGISTRIES: dict[str, Registry] = {
  "loss": losses.LOSSES,
  "class_loss": losses.CLASS_LOSSES,
  "penalty": penalties.PENALTIES,
  "generator_penalty": penalties.PENALTIES,
  "augmentation": data.AUGMENTATIONS,
  "discriminator_augmentation": data.AUGMENTATIONS,
  "weight_constraint": constraints.CONSTRAINTS,
  "dataset": data.DATASETS,
  "model": models.MODELS,
  "optimizer": optimizers.OPTIMIZERS,
  "method": methods.METHODS,
  "probes": probes.GROUPS,
  "metrics": metrics.METRICS,
}
SUITS: dict[str, Callable[[Entry], bool]] = {"penalty": suits_discriminator, "generator_penalty": suits_generator}
NAMES: dict[str, Callable[[str], Sequence[str]]] = {  # for fields that join several names
  "penalty": penalties.names,
  "generator_penalty": penalties.names,
  "discriminator_augmentation": data.augmentations.names,
  "probes": probes.requested,
  "metrics": metrics.names,
}
OPTIONS = {name: field for name, field in settings.FIELDS.items() if field.kind == "options"}


def registered(field: str) -> list[str]:
  """Every registered name that a config field can have, in the order of registration.

  Raises:
    BadInput: a field whose values are not names in a registry.
  """
  if field not in REGISTRIES:
    raise unknown("field of registered names", field, REGISTRIES)
  suits = SUITS.get(field, lambda entry: True)
  return [name for name in REGISTRIES[field].own if suits(REGISTRIES[field][name])]


def named(config: Mapping[str, Any], field: str) -> list[Entry]:
  """The entries that a field of a config names. Raises `BadInput` for an unknown name."""
  names = NAMES[field](config[field]) if field in NAMES else [config[field]]
  return [REGISTRIES[field].get(name) for name in names]


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
  """A full config with the options of all entries that it names, defaults filled in; the run's id is computed from it.

  `metrics=auto` does not name a metric yet: only options that differ from their defaults are kept. `augmentation` is
  reset to its default if no penalty of this run uses it, and `penalty_every` if no penalty can be lazy.
  `effects.settled` does the same for the fields without effect that are found without a registry.

  Raises:
    BadInput: a name that is not in its registry, an option that its entry does not have, or a value that it refuses.
  """
  found = dict(config)
  named(config, "augmentation")
  if not any(entry.facts.augments for entry in named(config, "penalty")):
    found |= {"augmentation": "none", "augmentation_options": {}}
  if all(entry.facts.kind == "logits" for entry in named(config, "penalty")):
    found["penalty_every"] = 1
  for name, field in OPTIONS.items():
    entries = named(found, field.of)
    if field.joined:
      found[name] = _of_several(name, field.of, found[name], {entry.name: entry for entry in entries})
    else:
      found[name] = entries[0].complete(found[name])
  return found


def _of_several(
  field: str, of: str, given: Mapping[str, Mapping[str, Any]], entries: Mapping[str, Entry]
) -> dict[str, dict[str, Any]]:
  if of == "metrics" and not entries:
    some = {name: REGISTRIES[of].get(name) for name in given}
    found = {name: {k: v for k, v in e.complete(given[name]).items() if v != e.defaults[k]} for name, e in some.items()}
  else:
    for name in given:
      if name not in entries:
        if not entries:
          raise BadInput(f"{field} expected none with {of} 'none', got some for {name!r}")
        raise unknown(f"name in {field}", name, entries)
    found = {name: entry.complete(given.get(name, {})) for name, entry in entries.items()}
  return {name: options for name, options in found.items() if options}


def defaults(configs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
  """`{field: {entry: {option: default}}}` for all entries with options that these configs name."""
  found: dict[str, dict[str, dict[str, Any]]] = {}
  for config in configs:
    for field in OPTIONS.values():
      for entry in named(config, field.of):
        if entry.options:
          found.setdefault(field.of, {})[entry.name] = entry.defaults
  return found


def split(config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
  """(static, traced) options in an options field of a complete config; by entry, for a field that joins several."""
  entries, options = named(config, OPTIONS[name].of), config[name]
  if not OPTIONS[name].joined:
    return entries[0].split(options)
  parts = {entry.name: entry.split(options.get(entry.name, {})) for entry in entries}
  if OPTIONS[name].of == "metrics" and not entries:
    parts = {entry: (own, {}) for entry, own in options.items()}
  return {entry: part[0] for entry, part in parts.items() if part[0]}, {n: part[1] for n, part in parts.items()}
