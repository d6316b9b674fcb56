"""The generator of one trained run, read from a study's files: to draw samples of it, or to take it elsewhere.

    generator = gan_jax.load_study("runs/compare_losses").run(loss="hinge", seed=0).generator(step="best")
    images = generator.generate(generator.parameters, jax.random.key(0))                  # [64, H, W, C] in [-1, 1]
    images = generator.generate(generator.parameters, latents, labels)                    # of latents [B, latent_size]

Nothing is written into the study, and a study that is still training can be read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax import data
from gan_jax.core.errors import BadInput, shown
from gan_jax.core.files import Damaged
from gan_jax.core.types import Key, Player
from gan_jax.game import rules
from gan_jax.runner import best, checkpoint, restore, resume
from gan_jax.runner.grouping import Group
from gan_jax.runs.choice import Chosen

BATCH = 256  # samples that are made at once
COUNT = 64  # samples where neither latents nor labels say how many

# (parameters, key or latents [B, Z], labels [B] or None) -> samples [B, ...]
Generate = Callable[..., Array]


class Generator(NamedTuple):
  """A trained generator.

  `generate(parameters, key_or_latents, labels=None)` is jitted. Its second argument is latents, float32 [B,
  `latent_size`], which in training are standard normal; or a random key, from which B latents are drawn. `labels` are
  int32 [B], and in turn 0, 1, 2, ... where they are not given; a generator that is not given a class ignores them. With
  a key and no labels B is 64. Layers with batch statistics use their running averages, as evaluation does.

  It returns float32 [B, *`image_shape`]: images [H, W, C] in [-1, 1] from gan_jax's own models, which end in tanh, or
  points [2] in the units of the data.
  """

  generate: Generate
  parameters: Any  # (weights, running statistics), pytrees of numpy arrays
  latent_size: int
  image_shape: tuple[int, ...]  # (H, W, C), or (2,)
  classes: int  # labels are below it; 0: the generator is not given a class
  run: str  # the run's id
  step: int  # of the training, after which these were its parameters


# The parts of a checkpoint's state that are read: the same fields of `GanState` and `Memories`.


class Average(NamedTuple):
  average: Any


class Averaged(NamedTuple):
  gen_ema: Any
  memory: Average


class OfGenerator(NamedTuple):
  generator: Any


class Own(NamedTuple):
  gen_params: Any
  memory: OfGenerator


def load(
  study: Path, chosen: Chosen, step: str | int | None = None, average: bool = True, folder: Path | None = None
) -> Generator:
  """The generator of one run of a study.

  Args:
    study: its directory.
    chosen: the run, as `runs.choice` gives it.
    step: 'best', where it measured best by the metric that the report ranks by; 'last'; the step of a checkpoint; or
      None: the best, and without averages, or where no best one was kept, the last.
    average: the moving average of its weights, which is what evaluations measure; False: the weights themselves.
    folder: that of the config, where user code is that it names, which is run; None: none is run.

  Raises:
    BadInput: no such step, and which there are; a damaged file; or another version's checkpoint.
    OSError: the machine could not read it.
  """
  step = preferred(study, chosen, average) if step is None else step
  group, entry = restore.entry(study, chosen.group, folder)
  digest, shape, classes = _data(group, entry)
  player = rules.generator(group.spec, shape, classes)
  blank = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(player.init, jax.random.key(0)))
  if step == "best":
    if not average and float(group.hypers.ema_decay[chosen.member]) > 0:
      raise BadInput(
        "the best generators are kept with averaged weights: expected step 'last' or a number without them"
      )
    at, parameters = _best(study, chosen, blank)
  else:
    at = _at(study, chosen.group, step)
    parameters = _at_checkpoint(study, group, at, digest, blank, chosen.member, average)
  known = classes if group.spec.conditional else 0
  function = build(player, group.spec.latent_size, known)
  return Generator(function, parameters, group.spec.latent_size, shape, known, chosen.id, at)


def preferred(study: Path, chosen: Chosen, average: bool = True) -> str:
  """The step that is read where none was asked for: 'best', or 'last' where that is the only one there is."""
  kept = best.place(study, chosen.group, chosen.id).is_file()
  stored = checkpoint.steps(study / "checkpoints" / chosen.group)
  return "last" if not average or (stored and not kept) else "best"


def samples(generator: Generator, latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """float32 [n, ...] on the host, of latents [n, Z] and labels int32 [n]; at most `BATCH` at a time on the device."""
  size = min(len(latents), BATCH)
  padded = -(-len(latents) // size) * size
  places = np.minimum(np.arange(padded), len(latents) - 1)  # the last one fills up, so that all batches are one program
  batches = [
    np.asarray(generator.generate(generator.parameters, latents[at], labels[at])) for at in places.reshape(-1, size)
  ]
  return np.concatenate(batches)[: len(latents)]


def _data(group: Group, entry: dict[str, Any]) -> tuple[str, tuple[int, ...], int]:
  """(digest, shape of an example, number of classes) of a group's data, which are loaded only for an old manifest."""
  said = entry.get("data", {})
  if {"sha256", "shape"} <= said.keys() and "classes" in entry:
    return said["sha256"], tuple(said["shape"]), entry["classes"]
  dataset = data.load(group.spec.dataset, **dict(group.spec.dataset_options))
  return data.digest(dataset), tuple(dataset.image_shape), dataset.num_classes


def _best(study: Path, chosen: Chosen, blank: Any) -> tuple[int, Any]:
  try:
    step, _, parameters = best.load(study, chosen.group, chosen.id, blank)
  except Damaged as error:
    raise BadInput(f"{error}; expected another step: 'last', or {_choices(study, chosen.group)}") from error
  except BadInput as error:
    raise BadInput(
      f"{study} has no best generator of run {chosen.id}: it is kept from the first checkpoint on, if a metric was "
      f"measured by which the report ranks; expected step 'last', or {_choices(study, chosen.group)}"
    ) from error
  return step, parameters


def _at(study: Path, group: str, step: str | int) -> int:
  """The step of a checkpoint on disk."""
  there = checkpoint.steps(study / "checkpoints" / group)
  if not there:
    raise BadInput(f"{study} has no checkpoint of {group} yet, so there is no generator to read")
  if step == "last":
    return there[-1]
  if step not in there:
    raise BadInput(f"step expected 'best', 'last' or {_choices(study, group)}, got {shown(step)}")
  return int(step)


def _choices(study: Path, group: str) -> str:
  return f"a checkpoint's, {restore.listed(checkpoint.steps(study / 'checkpoints' / group))}"


def _at_checkpoint(
  study: Path, group: Group, step: int, digest: str, blank: Any, member: int, average: bool
) -> tuple[Any, Any]:
  """(weights, running statistics) of one member. Of the checkpoint only the generators are read."""
  params, memory = jax.tree.map(lambda x: np.zeros((len(group.configs), *x.shape), x.dtype), blank)
  template = Averaged(params, Average(memory)) if average else Own(params, OfGenerator(memory))
  facts = resume.facts(group, resume.Origin(digest, {}))
  try:
    state = checkpoint.restore_part(study / "checkpoints" / group.name, step, template, facts)
  except Damaged as error:
    raise BadInput(f"{error}; expected another step: 'best', or {_choices(study, group.name)}") from error
  weights, (statistics,) = jax.tree.map(lambda x: x[member], state)
  return weights, statistics


def build(player: Player, latent_size: int, classes: int) -> Generate:
  """`Generator.generate`."""

  @jax.jit
  def generate(parameters: Any, key_or_latents: Key | Array, labels: Array | None = None) -> Array:
    latents = jnp.asarray(key_or_latents)
    if _is_key(latents):
      latents = jax.random.normal(latents, (COUNT if labels is None else len(labels), latent_size))
    if latents.ndim != 2 or latents.shape[1] != latent_size or not jnp.issubdtype(latents.dtype, jnp.floating):
      raise BadInput(f"expected a key or latents float32 [B, {latent_size}], got {latents.dtype} {list(latents.shape)}")
    if labels is None:
      labels = jnp.arange(latents.shape[0]) % max(classes, 1)
    labels = jnp.asarray(labels)
    if labels.shape != latents.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
      raise BadInput(f"expected labels int32 {[latents.shape[0]]}, got {labels.dtype} {list(labels.shape)}")
    weights, statistics = parameters
    return player.apply(weights, statistics, latents.astype(jnp.float32), labels.astype(jnp.int32), False)[0]

  return generate


def _is_key(x: Array) -> bool:
  """Whether it is a random key, a typed one or a `jax.random.PRNGKey`."""
  return jnp.issubdtype(x.dtype, jax.dtypes.prng_key) or (x.dtype == jnp.uint32 and x.shape == (2,))
