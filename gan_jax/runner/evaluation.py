"""Measurements of a population between its steps: sample quality, inspections, and grids of samples."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax import probes
from gan_jax.core.errors import BadInput, blamed
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Data, GanState, Memory, Params
from gan_jax.data import Dataset, encode_for_view
from gan_jax.data.order import scattered
from gan_jax.data.shares import spread_labels
from gan_jax.game import controllers, schedules
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.inspections import duality, geometry
from gan_jax.metrics import OF_NEIGHBOURS, Quality
from gan_jax.metrics.chunks import CHUNK
from gan_jax.probes import lens
from gan_jax.runner.grouping import Group
from gan_jax.runner.mesh import DIVIDED, REPLICATED, Layout
from gan_jax.settings.records import Hypers, Spec, thawed

GRID = {3: 64, 1: 512}  # number of samples in a grid, by the rank of an example: images [H, W, C], points [2]
RAW = "raw/"  # prefix of a metric of the generator itself; without it, of the generator with averaged weights

# What is measured at evaluations on request: `build` and `finish` as in metrics.Quality, and `explanations`.
INSPECTIONS = {"geometry": geometry, "gap": duality}

Columns = dict[str, np.ndarray]  # by name, [members]


def view(samples: Array) -> Array:
  """Samples as they are stored for viewing: images [..., H, W, C] as uint8, points [..., 2] unchanged."""
  return encode_for_view(samples) if samples.shape[-1] != 2 else samples


def real_examples(dataset: Dataset) -> np.ndarray:
  """A grid of real examples, sampled from the data; with fewer data, examples are repeated."""
  images, count = dataset.data.images, GRID[len(dataset.image_shape)]
  chosen = np.asarray(scattered(np.arange(count) % len(images), len(images)))
  # Data on the host never go to the device as a whole; on the device this is one program, where indexing is six.
  some = images[chosen] if isinstance(images, np.ndarray) else jnp.take(images, chosen, axis=0)
  return np.asarray(view(dataset.decode(some)))


def build_evaluate(
  group: Group, game: Game, dataset: Dataset, quality: Quality, layout: Layout
) -> Callable[[Hypers, GanState], Columns]:
  """A function that measures every member's averaged generator, and under `raw/` the generator itself."""
  # Enough labels for all samples, in whole chunks.
  wanted = group.spec.evaluation_samples + CHUNK
  labels = jnp.asarray(spread_labels(np.asarray(dataset.judged.labels), wanted))

  def draw(hypers: Hypers, params: Params, memory: Memory, indices: Array) -> Array:
    key = derive_key(hypers.seed, 0, Purpose.EVALUATION, indices[0])
    noise = jax.random.normal(key, (indices.shape[0], group.spec.latent_size))
    return game.generator.apply(params, memory, noise, labels[indices], False)[0]

  @functools.cache
  def measure(near: bool) -> Callable[[Hypers, tuple[Params, Memory]], Any]:
    def one(hypers: Hypers, generator: tuple[Params, Memory]) -> Any:
      return quality.measure(functools.partial(draw, hypers, *generator), group.spec.evaluation_samples, near)

    return jax.jit(layout.divide(jax.vmap(one), (DIVIDED, DIVIDED), DIVIDED))

  def evaluate(hypers: Hypers, state: GanState) -> Columns:
    generators = {"": (state.gen_ema, state.memory.average)}
    if averages(group):
      generators[RAW] = (state.gen_params, state.memory.generator)
    # One generator after the other, by one program where it can be: a metric's network takes long to compile.
    seen = {name: measure(quality.neighbours and name != RAW)(hypers, mine) for name, mine in generators.items()}
    found = layout.cut(seen)
    with np.errstate(over="ignore"):  # values beyond float32 become inf
      columns = {prefix + name: x for prefix, mine in found.items() for name, x in quality.finish(mine).items()}
      return {name: np.asarray(value, np.float32) for name, value in columns.items()}

  return evaluate


def check_resident(spec: Spec) -> None:
  """Raises `BadInput` for inspections, which draw examples as they compute, where the data are streamed."""
  for name in probes.requested(spec.probes):
    if name in INSPECTIONS:
      raise BadInput(
        f"probes {name!r} expected data that lie on the device, got data beyond data_memory of its memory; expected a "
        "larger data_memory, or other probes"
      )


def build_inspect(game: Game, layout: Layout) -> Callable[[Hypers, GanState, Data | None], Columns]:
  """A function that measures the inspections that `Spec.probes` asks for."""
  asked = [name for name in probes.requested(game.spec.probes) if name in INSPECTIONS]
  options = thawed(game.spec.probe_options)

  def all_members(measure: Callable) -> Callable:
    def measured(hypers: Hypers, state: GanState, data: Data) -> Any:
      number = state.step[0]  # the same for all members, so that a `cond` on it stays a branch under `vmap`
      now = lambda h: schedules.current(game.spec, h, number)  # noqa: E731
      return jax.vmap(lambda h, s: measure(now(h), s._replace(step=number), data))(hypers, state)

    return jax.jit(layout.divide(measured, (DIVIDED, DIVIDED, REPLICATED), DIVIDED))

  built = {name: INSPECTIONS[name].build(game, **options.get(name, {})) for name in asked}
  inspections = [(all_members(measure), INSPECTIONS[name].finish) for name, measure in built.items()]

  def inspect(hypers: Hypers, state: GanState, data: Data | None) -> Columns:
    columns: Columns = {}
    for measure, finish in inspections:
      columns |= finish(layout.cut(measure(hypers, state, data)))
    return columns

  return inspect


def build_draw_grid(game: Game, layout: Layout) -> Callable[[GanState], Array]:
  """A function that draws samples of every member's averaged generator from one fixed noise, with the classes in turn."""

  def draw_grid(state: GanState) -> Array:
    count = GRID[len(game.image_shape)]
    noise = jax.random.normal(derive_key(0, 0, Purpose.GRID), (count, game.spec.latent_size))
    labels = jnp.arange(count) % game.num_classes  # in turn, so that rare classes are shown too
    make = lambda params, memory: game.generator.apply(params, memory, noise, labels, False)[0]  # noqa: E731
    return view(jax.vmap(make)(state.gen_ema, state.memory.average))

  return jax.jit(layout.divide(draw_grid, (DIVIDED,), DIVIDED))


def explanations(game: Game) -> dict[str, str]:
  """The meaning of each column of the rows and inspections of a game."""
  spec, asked = game.spec, probes.requested(game.spec.probes)
  layers: list[str] = []
  if "layers" in asked:
    for player, made in (("gen", game.generator), ("disc", game.discriminator)):
      layers += [f"{player}/{layer}" for layer in probes.by_layer(jax.eval_shape(made.init, jax.random.key(0))[0])]
  spectral = spec.weight_constraint == "spectral"
  has = (spectral, spec.class_loss != "none", bool(controllers.controlled(game)))
  found = probes.explanations(lens.names(spec.lens), spec.hold_out > 0, asked, layers, *has)
  for name in asked:
    found |= INSPECTIONS[name].explanations(game) if name in INSPECTIONS else {}
  return found


def check_probes(game: Game, group: Group, dataset: Dataset) -> None:
  """Raises `BadInput` where a probe of the user's code returns what it has not declared. Only shapes are computed."""
  own = [name for name in probes.requested(game.spec.probes) if ":" in name and probes.GROUPS[name].facts.in_rows]
  if not own:
    return
  step, options = build_resident_step(game), thawed(game.spec.probe_options)
  stored = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), dataset.data)
  first = jax.tree.map(lambda x: x[0], group.hypers)
  trace = jax.eval_shape(lambda hypers, some: step(hypers, initial_state(hypers, game), some)[1], first, stored)
  for name in own:
    with blamed(f"probe {name!r} cannot be measured"):
      found = jax.eval_shape(functools.partial(probes.GROUPS[name].builder, **options.get(name, {})), trace)
    probes.check_declared(name, found)


def averages(group: Group) -> bool:
  """Whether any member averages its generator's weights, so that the generator itself is measured as well."""
  return bool(np.any(np.asarray(group.hypers.ema_decay) > 0))


def quality_explanations(quality: Quality, groups: Sequence[Group]) -> dict[str, str]:
  """The meaning of each column of `build_evaluate`."""
  found = dict(quality.explanations)
  if any(averages(group) for group in groups):
    cheap = quality.explanations.keys() - set(OF_NEIGHBOURS)
    found |= {
      RAW + name: f"{name} of the generator itself, without averaging its weights" for name in found if name in cheap
    }
  return found


def all_explanations(qualities: Mapping[tuple[Any, ...], Quality], groups: Sequence[Group]) -> dict[str, str]:
  """`quality_explanations` of all datasets of a study (name first in the key); where texts differ, each names its dataset."""
  each = {key: quality_explanations(quality, groups) for key, quality in qualities.items()}
  names = {name: None for texts in each.values() for name in texts}
  said = {name: {key: texts[name] for key, texts in each.items() if name in texts} for name in names}
  return {
    name: next(iter(texts.values()))
    if len(set(texts.values())) == 1
    else "; ".join(f"of {dataset}: {text}" for (dataset, *_), text in texts.items())
    for name, texts in said.items()
  }
