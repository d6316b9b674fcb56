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
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core.errors import BadInput, shown, unknown


class Field(NamedTuple):
  default: Any
  kind: str  # 'traced', 'static' or 'label'
  text: str
  low: float = -math.inf  # inclusive, like `high`
  high: float = math.inf
  choices: tuple[str, ...] = ()


LARGEST = float(np.finfo(np.float32).max)  # every traced number becomes a float32
LARGEST_INT = 2**31 - 1  # steps are counted in int32
WIDEST = 2**15  # a layer of that many inputs and outputs has a thousand million weights
ORDERS = ("discriminator_first", "generator_first", "simultaneous")
FAKES = ("fresh", "same_noise", "same_images")
METHODS = ("gradient", "extragradient", "consensus", "symplectic")

FIELDS: dict[str, Field] = {
  # what is compared
  "panel": Field("", "label", "title under which the report shows this run beside its like"),
  "baseline": Field("", "label", "loss or label of the variant that its panel is compared with; empty: the first one"),
  "seed": Field(0, "traced", "initial weights, noise and data order all derive from (seed, step)", 0, 2**32 - 1),
  "loss": Field("non_saturating", "traced", "a name in gan_jax.losses.LOSSES, transformed: `matched_gain(hinge)`"),
  "loss_options": Field({}, "traced", "hyperparameters of the loss, by name"),
  # what holds the players back
  "penalty": Field(
    "none", "static", "names in gan_jax.penalties.PENALTIES, several joined by `+`, on the discriminator"
  ),
  "penalty_weight": Field(
    None, "traced", "factor on the mean over the batch of every penalty of the discriminator; None: its source's", 0
  ),
  "penalty_weights": Field({}, "traced", "by name, where a penalty's factor is not `penalty_weight`", 0),
  "penalty_every": Field(
    1, "static", "discriminator updates from one evaluation of a penalty to the next (lazy)", 1, LARGEST_INT
  ),
  "augmentation": Field("none", "static", "a name in gan_jax.penalties.AUGMENTATIONS: what `bcr` calls the same image"),
  "generator_penalty": Field("none", "static", "as `penalty`, on the generator"),
  "generator_penalty_weight": Field(None, "traced", "factor on the generator's penalty; None: its source's", 0),
  "weight_constraint": Field("none", "static", "on the discriminator's weights", choices=("none", "clip", "spectral")),
  "spectral_iterations": Field(
    5, "static", "power iterations per update of the discriminator under `spectral`", 1, 1000
  ),
  "clip_value": Field(0.01, "traced", "bound of every weight under `weight_constraint=clip`", 0),
  "instance_noise": Field(False, "static", "add Gaussian noise to all that the discriminator sees"),
  "instance_noise_scale": Field(0.1, "traced", "standard deviation of that noise at the first step", 0),
  "instance_noise_steps": Field(0, "traced", "steps in which it falls linearly to 0; 0: it stays", 0, 2**31 - 1),
  # data
  "dataset": Field("digits", "static", "a name in gan_jax.data.DATASETS"),
  "data_dir": Field("", "static", "folder of the files of a dataset that is read from files"),
  "hold_out": Field(
    0, "static", "every k-th example is never trained on, only judged (k: 2 or more; 0: none)", 0, LARGEST_INT
  ),
  "batch_size": Field(64, "static", "real examples, and as many fakes, per update", 1, LARGEST_INT),
  # the two players
  "model": Field("mlp", "static", "a name in gan_jax.models.MODELS"),
  "conditional": Field(False, "static", "give both players the class (projection discriminator)"),
  "latent_size": Field(32, "static", "width of the generator's Gaussian noise", 1, WIDEST),
  "generator_width": Field(128, "static", "hidden units, or channels of the widest convolution", 1, WIDEST),
  "discriminator_width": Field(128, "static", "hidden units, or channels of the widest convolution", 1, WIDEST),
  "depth": Field(2, "static", "hidden layers of each player of `mlp` and `pacgan`", 1, 256),
  "discriminator_norm": Field(
    "none", "static", "`batch` couples the examples of a batch", choices=("none", "layer", "batch")
  ),
  "packing": Field(
    1, "static", "examples that the discriminator judges together (PacGAN); it divides batch_size", 1, LARGEST_INT
  ),
  "convolution": Field("auto", "static", "`auto` is `matmul`; see models/layers.py", choices=("auto", "matmul", "lax")),
  # the game
  "optimizer": Field("adam", "static", "a name in gan_jax.game.optimizers.OPTIMIZERS"),
  "generator_rate": Field(5e-4, "traced", "learning rate", 0),
  "discriminator_rate": Field(5e-4, "traced", "learning rate; unequal to the generator's: two time-scale", 0),
  "beta1": Field(
    0.5, "traced", "Adam's first moment; `momentum`'s factor, which may be negative", -0.9999999, 0.9999999
  ),
  "beta2": Field(0.999, "traced", "second moment of Adam and RMSProp", 0, 0.9999999),
  "ema_decay": Field(0.999, "traced", "decay per step of the evaluated average, after a ramp (state.py)", 0, 0.9999999),
  "order": Field("discriminator_first", "static", "who moves first in a step, or both at once", choices=ORDERS),
  "n_critic": Field(1, "static", "discriminator updates per step", 1, 1000),
  "n_gen": Field(1, "static", "generator updates per step", 1, 1000),
  "fakes": Field("fresh", "static", "which noise the updates of one step see; see batches.py", choices=FAKES),
  "method": Field("gradient", "static", "which direction the players follow; see methods.py", choices=METHODS),
  "method_weight": Field(0.0, "traced", "weight of `consensus` or `symplectic`", 0),
  "unroll_steps": Field(0, "static", "discriminator steps that the generator looks ahead (unrolled GAN)", 0, 10_000),
  "unroll_gradient": Field(
    "through", "static", "differentiate the unrolled steps or not", choices=("through", "stopped")
  ),
  "unroll_rate": Field(0.01, "traced", "learning rate of the unrolled steps, plain gradient descent", 0),
  "lookahead_every": Field(
    0, "static", "steps from one pull to the slow weights of both players to the next; 0: none", 0, LARGEST_INT
  ),
  "lookahead_pace": Field(0.5, "traced", "how far the slow weights then go towards the fast ones", 0, 1),
  "head_start": Field(0, "traced", "steps during which only the discriminator learns", 0, 2**31 - 1),
  # length and cadence, in steps; a step is `n_critic` discriminator and `n_gen` generator updates
  "steps": Field(6000, "static", "length of the run", 1, LARGEST_INT),
  "probe_every": Field(50, "static", "steps from one row of diagnostics to the next", 1, LARGEST_INT),
  "lens": Field("none", "static", "losses whose generator gradient is measured beside the one in use: `all`, or `a+b`"),
  "probes": Field(
    "none",
    "static",
    "further diagnostics, joined by `+` (or `all`): `layers`, `noise`; at evaluations `geometry`, `gap`",
  ),
  "geometry_size": Field(36, "static", "directions in which `probes=geometry` explores the game's Jacobian", 2, 10_000),
  "response_steps": Field(100, "static", "steps of each player's best response in `probes=gap`", 1, 1_000_000),
  "verdict": Field({}, "label", "thresholds of the verdict on a run, by name; see verdict.py"),
  "evaluate_every": Field(
    1000, "static", "steps from one measurement of sample quality to the next, rounded up to whole rows", 1, LARGEST_INT
  ),
  "evaluation_samples": Field(2000, "static", "generated examples per measurement", 100, 10_000_000),
  # where it runs
  "batch_devices": Field(
    0, "static", "devices that share each run's batch; 0: those left over by the members, on a CPU 1", 0, 4096
  ),
  "checkpoint_every": Field(1000, "static", "steps from one checkpoint to the next", 1, LARGEST_INT),
}


def defaults() -> dict[str, Any]:
  """A fresh config with every field at its default."""
  return {name: dict(f.default) if isinstance(f.default, dict) else f.default for name, f in FIELDS.items()}


def plain(value: Any) -> Any:
  """Numbers, booleans and text of NumPy, JAX and the like as Python's own; anything else as it is.

  A number of less than double precision becomes the float with the fewest digits that reads back to it, so that
  `np.float32(0.1)` is 0.1 and names the same run.

  >>> plain(np.float32(0.1)), plain(np.arange(3)[2]), plain(np.array(2.5)), plain(np.bool_(True))
  (0.1, 2, 2.5, True)
  """
  if type(value) in (bool, int, float, str):
    return value
  if getattr(value, "shape", None) == () and hasattr(value, "dtype") and not np.ma.is_masked(value):
    # A scalar, or an array without axes. A masked one has no value.
    value = np.asarray(value)[()]
  if isinstance(value, (bool, np.bool_)):
    return bool(value)
  if isinstance(value, (str, np.str_)):
    return str.__str__(value)
  if isinstance(value, numbers.Integral):
    return int(value)
  if isinstance(value, np.generic) and getattr(value.dtype, "kind", "") in "fV" and value.dtype.itemsize < 8:
    return float(str(value))  # float32, float16 and bfloat16
  return float(value) if isinstance(value, numbers.Real) else value


def coerce(name: str, value: Any) -> Any:
  """`value` as the type of field `name`, as Python's own numbers.

  An int passes as a float, and a float that is whole (1e3) as an int; a bool passes as neither. Where a field's default
  is None, None passes, and any other value is a float.

  Raises:
    BadInput: unknown field, wrong type, out of range, or not among the choices.
  """
  if name not in FIELDS:
    raise unknown("config field", name, FIELDS)
  field = FIELDS[name]
  expected = float if field.default is None else type(field.default)
  if isinstance(value, Mapping) and expected is dict:
    return {_option(name, key): _number(f"{name!r}: {key!r}", plain(v), field) for key, v in value.items()}
  value = plain(value)
  if value is None and field.default is None:
    return None
  if expected is float and type(value) in (int, float):
    return _number(repr(name), value, field)
  if expected is int and type(value) is float and value.is_integer():
    value = int(value)
  if type(value) is not expected:
    default = f"default {field.default!r}"
    raise BadInput(
      f"config field {name!r} expected {expected.__name__} ({default}), got {type(value).__name__} {shown(value)}"
    )
  if expected is int and not field.low <= value <= field.high:
    raise BadInput(f"config field {name!r} expected {_bounds(field)}, got {shown(value)}")
  if isinstance(value, str) and not is_text(value):
    raise BadInput(f"config field {name!r} expected text that UTF-8 can hold, without NUL, got {shown(value)}")
  if field.choices and value not in field.choices:
    raise unknown(f"{name}", value, field.choices)
  return value


def is_text(value: str) -> bool:
  """Whether a string can be a file's name and stand in a file: no NUL, and no half of a surrogate pair."""
  return "\0" not in value and value == value.encode("utf-8", "replace").decode()


def _option(name: str, key: Any) -> str:
  key = plain(key)
  if not (isinstance(key, str) and key.isidentifier()):
    raise BadInput(f"config field {name!r} expected names as keys, got {shown(key)}")
  return key


def _number(name: str, value: Any, field: Field) -> float:
  """A number of a field, or of an entry of it, `name` as it stands in a message."""
  if type(value) not in (int, float):
    raise BadInput(f"config field {name} expected a number, got {shown(value)}")
  if not field.low <= value <= field.high:  # NaN fails this too
    raise BadInput(f"config field {name} expected {_bounds(field)}, got {shown(value)}")
  try:
    value = float(value)
  except OverflowError:
    value = math.inf
  if not abs(value) <= LARGEST:
    raise BadInput(f"config field {name} expected a finite number (of float32: at most {LARGEST:g}), got {value!r}")
  return value


def _bounds(field: Field) -> str:
  low, high = (str(x) if isinstance(x, int) else f"{x:g}" for x in (field.low, field.high))
  return f"at least {low}" if field.high == math.inf else f"from {low} to {high}"


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
