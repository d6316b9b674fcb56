"""`Spec` and `Hypers` written by hand, as the derived records want them: all options there, of just what the spec names."""

from gan_jax import game, losses, settings
from gan_jax.game import registries
from gan_jax.runner import grouping
from gan_jax.settings.records import RESOLVED, Hypers, Spec


def spec_of(losses=("wasserstein",), **fields) -> Spec:
  """The spec of these fields of a config, defaults for all others."""
  return grouping.spec_of(game.complete(settings.resolve({"loss": losses[0]}, fields)), tuple(losses))


def hypers_of(names=("wasserstein",), **fields) -> Hypers:
  """The settings' defaults as Python numbers; `penalty_weight` is one for all penalties, or a tuple. See `fitted`."""
  plain = {
    n: f.default
    for n, f in settings.FIELDS.items()
    if f.kind in ("traced", "options", "schedules") and n not in RESOLVED
  }
  weight = fields.pop("penalty_weight", 0.0)
  chosen = {
    "loss_index": 0,
    "loss_options": tuple(losses.default_options(name) for name in names),
    "penalty_weights": weight if isinstance(weight, tuple) else (weight, weight),
    "generator_penalty_weight": 0.0,
  }
  return Hypers(**plain | chosen | fields)


def fitted(hypers: Hypers, spec: Spec) -> Hypers:
  """With the traced options of what the spec names: those that are there, else their defaults, and no others."""
  config, found = spec._asdict(), {}
  for name, field in registries.OPTIONS.items():
    if name == "loss_options":
      continue
    given, entries = getattr(hypers, name), registries.named(config, field.of)
    own = {e.name: given.get(e.name, {}) if field.joined else given for e in entries}
    traced = {e.name: {k: own[e.name].get(k, v) for k, v in e.split(e.defaults)[1].items()} for e in entries}
    found[name] = traced if field.joined else traced[entries[0].name]
  return hypers._replace(**found)
