"""The fields of a run: default, type, range and one line each. No jax import.

This table is the schema of every config: a file in `configs/` says only what differs from it, the command line may
override any field of it, and a field that is not in it is an error that names the nearest one. `traced` fields may
differ between the members of one compiled program (they are the fields of `types.Hypers`, and `loss`); a difference in
any other field splits a sweep into several programs (they are the fields of `types.Spec`); `label` fields change nothing
that is computed.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gan_jax.errors import BadInput, unknown


class Field(NamedTuple):
  default: Any
  kind: str  # 'traced', 'static' or 'label'
  text: str
  low: float = -math.inf  # inclusive, like `high`
  high: float = math.inf
  choices: tuple[str, ...] = ()


FIELDS: dict[str, Field] = {
  # what is compared
  "panel": Field("", "label", "title under which the report shows this run beside its like"),
  "seed": Field(0, "traced", "initial weights, noise and data order all derive from (seed, step)", 0, 2**32 - 1),
  "loss": Field("non_saturating", "traced", "a name in gan_jax.losses.LOSSES"),
  "loss_options": Field({}, "traced", "hyperparameters of the loss, by name"),
  "penalty": Field("none", "static", "a name in gan_jax.penalties.PENALTIES"),
  "penalty_weight": Field(0.0, "traced", "factor on the penalty's mean over the batch", 0),
  # data
  "dataset": Field("digits", "static", "a name in gan_jax.data.DATASETS"),
  "data_dir": Field("", "static", "folder of the files of a dataset that is read from files"),
  "batch_size": Field(64, "static", "real examples, and as many fakes, per update", 1),
  # the two players
  "model": Field("mlp", "static", "a name in gan_jax.models.MODELS"),
  "conditional": Field(False, "static", "give both players the class (projection discriminator)"),
  "latent_size": Field(32, "static", "width of the generator's Gaussian noise", 1),
  "generator_width": Field(128, "static", "hidden units, or channels of the widest convolution", 1),
  "discriminator_width": Field(128, "static", "hidden units, or channels of the widest convolution", 1),
  "depth": Field(2, "static", "hidden layers of each player of `mlp`", 1),
  "discriminator_norm": Field(
    "none", "static", "`batch` couples the examples of a batch", choices=("none", "layer", "batch")
  ),
  "convolution": Field("auto", "static", "`auto` is `matmul`; see models/layers.py", choices=("auto", "matmul", "lax")),
  # the game
  "optimizer": Field("adam", "static", "a name in gan_jax.optim.OPTIMIZERS"),
  "generator_rate": Field(5e-4, "traced", "learning rate", 0),
  "discriminator_rate": Field(5e-4, "traced", "learning rate; unequal to the generator's: two time-scale", 0),
  "beta1": Field(0.5, "traced", "Adam's first moment", 0, 0.9999999),
  "beta2": Field(0.999, "traced", "Adam's second moment", 0, 0.9999999),
  "ema_decay": Field(0.999, "traced", "per-step decay of the averaged generator that is evaluated", 0, 0.9999999),
  "n_critic": Field(1, "static", "discriminator updates per generator update", 1),
  "head_start": Field(0, "traced", "steps during which only the discriminator learns", 0, 2**31 - 1),
  # length and cadence, in steps; a step is `n_critic` discriminator updates and one generator update
  "steps": Field(6000, "static", "length of the run", 1),
  "probe_every": Field(50, "static", "steps from one row of diagnostics to the next", 1),
  "evaluate_every": Field(1000, "static", "steps from one measurement of sample quality to the next", 1),
  "evaluation_samples": Field(2000, "static", "generated examples per measurement", 100),
  "checkpoint_every": Field(1000, "static", "steps from one checkpoint to the next", 1),
}


def defaults() -> dict[str, Any]:
  """A fresh config with every field at its default."""
  return {name: dict(f.default) if isinstance(f.default, dict) else f.default for name, f in FIELDS.items()}


def coerce(name: str, value: Any) -> Any:
  """`value` as the type of field `name`, an int passing as a float.

  Raises:
    BadInput: unknown field, wrong type, out of range, or not among the choices.
  """
  if name not in FIELDS:
    raise unknown("config field", name, FIELDS)
  field = FIELDS[name]
  expected = type(field.default)
  if isinstance(value, Mapping) and expected is dict:
    bad = [key for key, v in value.items() if isinstance(v, bool) or not isinstance(v, (int, float))]
    if bad:
      raise BadInput(f"config field {name!r}: {bad[0]!r} expected a number, got {value[bad[0]]!r}")
    return {key: float(v) for key, v in value.items()}
  if expected is float and isinstance(value, int) and not isinstance(value, bool):
    value = float(value)
  if type(value) is not expected:
    raise BadInput(
      f"config field {name!r} expected {expected.__name__} (default {field.default!r}), "
      f"got {type(value).__name__} {value!r}"
    )
  if expected in (int, float) and not field.low <= value <= field.high:  # NaN fails this too
    bounds = f"at least {field.low:g}" if field.high == math.inf else f"from {field.low:g} to {field.high:g}"
    raise BadInput(f"config field {name!r} expected {bounds}, got {value!r}")
  if expected is float and not math.isfinite(value):
    raise BadInput(f"config field {name!r} expected a finite number, got {value!r}")
  if field.choices and value not in field.choices:
    raise unknown(f"{name}", value, field.choices)
  return value


def resolve(*overrides: Mapping[str, Any]) -> dict[str, Any]:
  """The full config: the defaults, then each mapping in turn. Raises `BadInput` as `coerce` does."""
  config = defaults()
  for override in overrides:
    config.update({name: coerce(name, value) for name, value in override.items()})
  return config


def identity(config: Mapping[str, Any]) -> str:
  """Ten hexadecimal digits that name this full config: the run's id."""
  text = json.dumps(dict(config), sort_keys=True, allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()[:10]
