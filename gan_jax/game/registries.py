"""The registries by the field of a config that names their entries, and configs with all options of what they name."""

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
  "penalty": penalties.PENALTIES,
  "generator_penalty": penalties.PENALTIES,
  "augmentation": data.AUGMENTATIONS,
  "weight_constraint": constraints.CONSTRAINTS,
  "dataset": data.DATASETS,
  "model": models.MODELS,
  "optimizer": optimizers.OPTIMIZERS,
  "method": methods.METHODS,
  "probes": probes.GROUPS,
  "metrics": metrics.METRICS,
}
SUITS: dict[str, Callable[[Entry], bool]] = {"penalty": suits_discriminator, "generator_penalty": suits_generator}
NAMES: dict[str, Callable[[str], Sequence[str]]] = {  # of fields that join several names
  "penalty": penalties.names,
  "generator_penalty": penalties.names,
  "probes": probes.requested,
  "metrics": metrics.names,
}
OPTIONS = {name: field for name, field in settings.FIELDS.items() if field.kind == "options"}


def registered(field: str) -> list[str]:
  """Every registered name that a field of a config may take, in the order of its registry.

  Raises:
    BadInput: a field whose values are not names of a registry.
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
  """A full config with all options of what it names, the defaults filled in: so it is recorded, and so it is identified.

  `metrics=auto` names no metric yet: of the options for it only those are kept that differ from their defaults. An
  augmentation that no penalty of this run applies, and a cadence of penalties that are never lazy, are put back to their
  defaults, as `effects.settled` does with fields that need no registry to be known as without effect.

  Raises:
    BadInput: a name that is not in its registry, or an option that its entry does not have or not take.
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
  """`{field: {entry: {option: default}}}` of all entries that some configs name and that have options."""
  found: dict[str, dict[str, dict[str, Any]]] = {}
  for config in configs:
    for field in OPTIONS.values():
      for entry in named(config, field.of):
        if entry.options:
          found.setdefault(field.of, {})[entry.name] = entry.defaults
  return found


def split(config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
  """(static part, traced part) of an options field of a complete config; a joined one's by entry."""
  entries, options = named(config, OPTIONS[name].of), config[name]
  if not OPTIONS[name].joined:
    return entries[0].split(options)
  parts = {entry.name: entry.split(options.get(entry.name, {})) for entry in entries}
  if OPTIONS[name].of == "metrics" and not entries:
    parts = {entry: (own, {}) for entry, own in options.items()}
  return {entry: part[0] for entry, part in parts.items() if part[0]}, {n: part[1] for n, part in parts.items()}
