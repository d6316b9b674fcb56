"""The fields of a run: default, type, range and one line each. No jax import.

A file in `configs/` gives only the fields that differ from these defaults, and the command line can override any field.
An unknown field is an error that names the nearest one. The kinds of fields:

    traced   may differ between the members of one compiled program; the fields of `Hypers`, and `loss`
    static   a difference splits a sweep into several programs; the fields of `Spec`
    options  a dict of the options of the registry entry that another field names: `model_options={"depth": 3}`; the
             entry defines its options and whether each is traced or static
    schedules  a dict `{field or option: {to, shape, steps or images}}`: what changes during a run (game/schedules.py)
    label    has no influence on training
    code     digests of code files, filled in when a config is read (settings/outside.py)
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core.errors import BadInput, unknown


class Field(NamedTuple):
  default: Any
  kind: str  # 'traced', 'static', 'options', 'schedules', 'label' or 'code'
  text: str
  low: float = -math.inf  # inclusive, like `high`
  high: float = math.inf
  choices: tuple[str, ...] = ()
  of: str = ""  # of options: the field that names the registry entry to which they belong
  joined: bool = False  # of options: that field can name several entries, so there is a dict of options for each name


LARGEST = float(np.finfo(np.float32).max)  # every traced number becomes a float32
LARGEST_INT = 2**31 - 1  # steps are counted in int32
WIDEST = 2**15  # a layer with that many inputs and outputs has 1e9 weights
ORDERS = ("discriminator_first", "generator_first", "simultaneous")
FAKES = ("fresh", "same_noise", "same_images")


def options(of: str, text: str, joined: bool = False) -> Field:
  return Field({}, "options", text, of=of, joined=joined)


FIELDS: dict[str, Field] = {
  # what is compared
  "panel": Field("", "label", "title of the report's section that shows this run"),
  "baseline": Field("", "label", "loss or label of the variant with which its panel is compared; empty: the first one"),
  "seed": Field(0, "traced", "initial weights, noise and data order all derive from (seed, step)", 0, 2**32 - 1),
  "loss": Field("non_saturating", "traced", "a name in gan_jax.losses.LOSSES, transformed: `matched_gain(hinge)`"),
  "loss_options": options("loss", "options of the loss, by name"),
  "class_loss": Field(
    "none",
    "static",
    "in gan_jax.losses.CLASS_LOSSES, added to the loss; the discriminator is then not given the class",
  ),
  "class_loss_options": options("class_loss", "options of the class loss"),
  "class_weight": Field(1.0, "traced", "factor of the class loss, for both players", 0),
  # regularisation
  "penalty": Field(
    "none", "static", "names in gan_jax.penalties.PENALTIES, several joined by `+`, on the discriminator"
  ),
  "penalty_weight": Field(
    None, "traced", "factor of every penalty on the discriminator (a batch mean); None: as in its paper", 0
  ),
  "penalty_options": options("penalty", "options of each penalty, by its name and theirs", joined=True),
  "penalty_weights": Field({}, "traced", "by name, for penalties whose factor is not `penalty_weight`", 0),
  "penalty_every": Field(
    1, "static", "discriminator updates between two evaluations of a penalty (lazy regularisation)", 1, LARGEST_INT
  ),
  "augmentation": Field(
    "none",
    "static",
    "in gan_jax.data.AUGMENTATIONS: what the `bcr` penalty compares examples with; for all inputs see the next field",
  ),
  "augmentation_options": options("augmentation", "options of the augmentation"),
  "discriminator_augmentation": Field(
    "none",
    "static",
    "names in AUGMENTATIONS, joined by `+`: whatever the discriminator is shown is augmented (DiffAugment)",
  ),
  "discriminator_augmentation_options": options(
    "discriminator_augmentation", "options of each of these, by its name and theirs", joined=True
  ),
  "augmentation_strength": Field(
    1.0, "traced", "probability of each of these for an example; with a target, that of the first step", 0, 1
  ),
  "augmentation_target": Field(
    0.0, "traced", "adapt it (ADA) until the mean sign of the logits of real examples is this; 0: it is fixed", 0, 1
  ),
  "augmentation_images": Field(
    500_000.0, "traced", "real images in which an adapting probability can rise from 0 to 1", 1
  ),
  "generator_penalty": Field("none", "static", "as `penalty`, on the generator"),
  "generator_penalty_options": options("generator_penalty", "as `penalty_options`", joined=True),
  "generator_penalty_weight": Field(None, "traced", "factor of the generator's penalty; None: as in its paper", 0),
  "weight_constraint": Field("none", "static", "on the discriminator's weights: `none`, `clip` or `spectral`"),
  "weight_constraint_options": options("weight_constraint", "options of the constraint"),
  "gradient_normalisation": Field(
    False, "static", "divide each logit by its own size plus that of its gradient by the image (GN-GAN)"
  ),
  "instance_noise": Field(False, "static", "add Gaussian noise to all inputs of the discriminator"),
  "instance_noise_scale": Field(0.1, "traced", "standard deviation of that noise at the first step", 0),
  "instance_noise_steps": Field(0, "traced", "steps in which it falls linearly to 0; 0: it is constant", 0, 2**31 - 1),
  # data
  "dataset": Field("digits", "static", "a name in gan_jax.data.DATASETS"),
  "dataset_options": options("dataset", "options of the dataset, such as the folder `data_dir` of its files"),
  "hold_out": Field(
    0, "static", "every k-th example is held out from training (k: 2 or more; 0: none)", 0, LARGEST_INT
  ),
  "flips": Field(False, "static", "mirror each real image left to right with probability 1/2"),
  "batch_size": Field(64, "static", "real examples, and as many fakes, per update", 1, LARGEST_INT),
  # the two players
  "model": Field("mlp", "static", "a name in gan_jax.models.MODELS"),
  "model_options": options("model", "options of the model, such as its widths"),
  "precision": Field(
    "float32",
    "static",
    "of the networks' layers; parameters, logits, losses and penalties are float32 in either",
    choices=("float32", "bfloat16"),
  ),
  "conditional": Field(False, "static", "give both players the class (projection discriminator)"),
  "latent_size": Field(32, "static", "width of the generator's Gaussian noise", 1, WIDEST),
  "packing": Field(
    1, "static", "examples per input of the discriminator (PacGAN); it divides batch_size", 1, LARGEST_INT
  ),
  # the game
  "optimizer": Field("adam", "static", "a name in gan_jax.game.optimizers.OPTIMIZERS"),
  "optimizer_options": options("optimizer", "options of the optimizer, such as `beta1`"),
  "generator_rate": Field(5e-4, "traced", "learning rate", 0),
  "discriminator_rate": Field(5e-4, "traced", "learning rate; unequal to the generator's: two time-scale", 0),
  "ema_decay": Field(
    0.999,
    "traced",
    "decay per step of the average of the generator's weights that is evaluated, after a ramp (game/state.py)",
    0,
    0.9999999,
  ),
  "order": Field(
    "discriminator_first", "static", "which player is updated first in a step, or both at once", choices=ORDERS
  ),
  "n_critic": Field(1, "static", "discriminator updates per step", 1, 1000),
  "n_gen": Field(1, "static", "generator updates per step", 1, 1000),
  "fakes": Field("fresh", "static", "which noise each update of a step uses; see game/batches.py", choices=FAKES),
  "method": Field("gradient", "static", "direction of the players' updates; a name in gan_jax.game.methods.METHODS"),
  "method_options": options("method", "options of the method"),
  "unroll_steps": Field(0, "static", "discriminator steps that the generator looks ahead (unrolled GAN)", 0, 10_000),
  "unroll_gradient": Field(
    "through", "static", "differentiate the unrolled steps or not", choices=("through", "stopped")
  ),
  "unroll_rate": Field(0.01, "traced", "learning rate of the unrolled steps, plain gradient descent", 0),
  "lookahead_every": Field(
    0, "static", "steps between two lookahead updates of both players' slow weights; 0: no lookahead", 0, LARGEST_INT
  ),
  "lookahead_pace": Field(0.5, "traced", "fraction of the way that the slow weights move towards the fast ones", 0, 1),
  "schedules": Field(
    {}, "schedules", "by name, traced fields and options that change during the run; see game/schedules.py", joined=True
  ),
  "head_start": Field(0, "traced", "first steps, in which only the discriminator is trained", 0, 2**31 - 1),
  "code": Field({}, "code", "digests of the user's code files that this config names; filled in, not to be given"),
  # length and cadence, in steps; a step is `n_critic` discriminator and `n_gen` generator updates
  "steps": Field(6000, "static", "length of the run", 1, LARGEST_INT),
  "probe_every": Field(50, "static", "steps between two rows of diagnostics", 1, LARGEST_INT),
  "lens": Field(
    "none", "static", "losses whose generator gradient is measured too, at the same weights: `all`, or `a+b`"
  ),
  "probes": Field(
    "none",
    "static",
    "further diagnostics, joined by `+` (or `all`): `layers`, `noise`; at evaluations `geometry`, `gap`",
  ),
  "probe_options": options("probes", "options of each of these, by its name and theirs", joined=True),
  "verdict": Field({}, "label", "thresholds of the verdict on a run, by name; see verdict.py"),
  "metrics": Field(
    "auto", "static", "names in gan_jax.metrics.METRICS, joined by `+`; `auto`: the one for this kind of data"
  ),
  "metric_options": options("metrics", "options of each metric, by its name and theirs", joined=True),
  "evaluate_every": Field(
    1000, "static", "steps between two measurements of sample quality, rounded up to whole rows", 1, LARGEST_INT
  ),
  "evaluation_samples": Field(2000, "static", "generated examples per measurement", 100, 10_000_000),
  # where it runs
  "batch_devices": Field(
    0,
    "static",
    "devices over which each run's batch is divided; 0: those that the members leave free (on a CPU only for large "
    "convolutional networks)",
    0,
    4096,
  ),
  "most_members": Field(
    0,
    "static",
    "most runs that one program trains side by side; 0: as many as fit into memory. A study keeps how it was divided",
    0,
    LARGEST_INT,
  ),
  "data_memory": Field(
    0.25,
    "label",
    "share of a device's memory for the data; more than that is streamed from the host, with the same result",
    0,
    1,
  ),
  "checkpoint_every": Field(1000, "static", "steps between two checkpoints", 1, LARGEST_INT),
}


MOVED = {  # fields of earlier versions, and the options that replace them
  **{n: f"model_options.{n}" for n in ("generator_width", "discriminator_width", "depth", "discriminator_norm")},
  "convolution": "model_options.convolution",
  "data_dir": "dataset_options.data_dir",
  "beta1": "optimizer_options.beta1",
  "beta2": "optimizer_options.beta2",
  "method_weight": "method_options.weight",
  "clip_value": "weight_constraint_options.bound",
  "spectral_iterations": "weight_constraint_options.iterations",
  "geometry_size": "probe_options.geometry.size",
  "response_steps": "probe_options.gap.steps",
}


def defaults() -> dict[str, Any]:
  """A fresh config with every field at its default."""
  return {name: dict(f.default) if isinstance(f.default, dict) else f.default for name, f in FIELDS.items()}


def no_field(name: str, fields: Iterable[str] | None = None) -> BadInput:
  """The error for a name that is not in `fields` (by default this table); it suggests the nearest field."""
  if fields is None and name in MOVED:
    return BadInput(f"config field {name!r} has moved: expected {MOVED[name]!r} instead")
  return unknown("config field", name, FIELDS if fields is None else fields)


def identity(config: Mapping[str, Any]) -> str:
  """The run's id: ten hexadecimal digits of a hash of the full config."""
  text = json.dumps(dict(config), sort_keys=True, allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()[:10]
