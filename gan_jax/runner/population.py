"""A population: the runs of a group, trained side by side by one compiled program.

The program is `vmap` over members of `scan` over steps, with the member axis divided over the devices: members never talk
to one another, so it scales by construction.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import probes
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.types import Data, GanState, Params
from gan_jax.data import Dataset, encode_for_view
from gan_jax.data.order import scattered
from gan_jax.data.shares import spread_labels
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.inspections import duality, geometry
from gan_jax.metrics import OF_NEIGHBOURS, Quality
from gan_jax.metrics.chunks import CHUNK
from gan_jax.probes import lens
from gan_jax.runner.grouping import Group
from gan_jax.settings.records import Hypers, Spec, thawed

GRID = {3: 64, 1: 512}  # samples from one fixed noise, for the eye: of images [H, W, C], of points [2]
REPLICATED, DIVIDED, ROWS = PartitionSpec(), PartitionSpec("members"), PartitionSpec(None, "members")


RAW = "raw/"  # before a metric's name: of the generator as it is trained, beside that of its moving average


def view(samples: Array) -> Array:
  """Samples as they are kept for the eye: images [..., H, W, C] as uint8, points [..., 2] as they are."""
  return encode_for_view(samples) if samples.shape[-1] != 2 else samples


def real_examples(dataset: Dataset) -> np.ndarray:
  """As many real examples as a grid has, a sample of the data in whatever order; fewer data come again."""
  size, count = dataset.data.images.shape[0], GRID[len(dataset.image_shape)]
  chosen = scattered(jnp.arange(count) % size, size)
  return np.asarray(view(dataset.decode(dataset.data.images[chosen])))


class Program(NamedTuple):
  """The compiled functions of one group. States have a leading axis of `padded` members."""

  members: int
  padded: int  # members, rounded up to a multiple of the devices; the overhang repeats the last member
  hypers: Hypers  # on the devices
  data: Data  # whole, on every device
  place: Any  # a host pytree with leaves [members, ...] -> padded, on the devices
  init: Any  # hypers -> state
  advance: Any  # (hypers, state, data, windows, length) -> (state, rows [windows, padded]); the state is donated
  evaluate: Any  # (hypers, state) -> quality metrics by name, `raw/` ones too, numpy [members]
  inspect: Any  # (hypers, state, data) -> what `Spec.probes` asks for at evaluations, by name, numpy [members]
  draw_grid: Any  # state -> samples from one fixed noise


# What is measured at evaluations on request: `build` and `finish` as in metrics.Quality, and `explanations`.
INSPECTIONS = {"geometry": geometry, "gap": duality}


def explanations(spec: Spec, game: Game) -> dict[str, str]:
  """What the names in the rows and inspections of a spec mean."""
  asked = probes.requested(spec.probes)
  layers: list[str] = []
  if "layers" in asked:
    for player, made in (("gen", game.generator), ("disc", game.discriminator)):
      layers += [f"{player}/{layer}" for layer in probes.by_layer(jax.eval_shape(made.init, jax.random.key(0))[0])]
  spectral = spec.weight_constraint == "spectral"
  found = probes.explanations(lens.names(spec.lens), spec.hold_out > 0, asked, layers, spectral)
  for name in asked:
    found |= INSPECTIONS[name].explanations(game) if name in INSPECTIONS else {}
  return found


def averages(group: Group) -> bool:
  """Whether any member's generator is averaged, so that the generator itself is measured beside its average."""
  return bool(np.any(np.asarray(group.hypers.ema_decay) > 0))


def quality_explanations(quality: Quality, groups: Sequence[Group]) -> dict[str, str]:
  """What the columns of `Program.evaluate` mean."""
  found = dict(quality.explanations)
  if any(averages(group) for group in groups):
    cheap = quality.explanations.keys() - set(OF_NEIGHBOURS)
    found |= {RAW + name: f"{name} of the generator itself, not of its average" for name in found if name in cheap}
  return found


def all_explanations(qualities: Mapping[tuple[Any, ...], Quality], groups: Sequence[Group]) -> dict[str, str]:
  """The same of every dataset of a study, whose name is first in the key; where their texts differ, each with its name."""
  each = {key: quality_explanations(quality, groups) for key, quality in qualities.items()}
  names = {name: None for texts in each.values() for name in texts}
  said = {name: {key: texts[name] for key, texts in each.items() if name in texts} for name in names}
  return {
    name: next(iter(texts.values()))
    if len(set(texts.values())) == 1
    else "; ".join(f"of {dataset}: {text}" for (dataset, *_), text in texts.items())
    for name, texts in said.items()
  }


def compile_group(group: Group, game: Game, dataset: Dataset, quality: Quality) -> Program:
  """The programs of a group over all devices; each is compiled at its first call."""
  mesh = Mesh(np.array(jax.devices()), ("members",))
  sharding = NamedSharding(mesh, DIVIDED)
  members = len(group.configs)
  padded = -(-members // mesh.size) * mesh.size
  step = build_resident_step(game)
  asked, options = probes.requested(group.spec.probes), thawed(group.spec.probe_options)
  generate = game.generator.apply

  def place(tree):
    pad = lambda x: np.concatenate([x, np.repeat(x[-1:], padded - members, axis=0)])  # noqa: E731
    return jax.device_put(jax.tree.map(pad, tree), sharding)

  def divide(function, inputs, outputs, **jit):
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False), **jit)

  def step_all(hypers: Hypers, state: GanState, data: Data):
    """One step of every member. Its number is one for all, so what hangs on it alone stays a branch under `vmap`."""
    number = state.step[0]
    return jax.vmap(lambda h, s: step(h, s._replace(step=number), data))(hypers, state)

  def window(hypers: Hypers, state: GanState, data: Data, length: int):
    """A row of the first step, then `length` steps whose traces nobody reads, and which the compiler therefore never makes.

    The first step is taken twice, once for its row and behind a branch that always is: the compiler cannot look through
    it, so what is asked of a step changes no bit of the training. Fused with a probe, a sum would round differently.
    """

    @functools.partial(jax.jit, inline=True)  # traced once, for the shapes of a row and for the row
    def measured(s: GanState):
      after, trace = step_all(hypers, s, data)
      if "noise" in asked:
        trace = trace._replace(next_generator_grads=step_all(hypers, after, data)[1].generator.grads)
      return jax.vmap(lambda t: probes.measure(t, asked, options))(trace)

    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(measured, state))
    row = lax.cond(state.step[0] >= 0, measured, lambda s: blank, state)
    state, _ = lax.scan(lambda s, _: (step_all(hypers, s, data)[0], None), state, None, length=length)
    return state, row

  def advance(hypers: Hypers, state: GanState, data: Data, windows: int, length: int):
    return lax.scan(lambda carry, _: window(hypers, carry, data, length), state, None, length=windows)

  def advance_divided(hypers: Hypers, state: GanState, data: Data, windows: int, length: int):
    function = lambda h, s, d: advance(h, s, d, windows, length)  # noqa: E731
    return jax.shard_map(
      function, mesh=mesh, in_specs=(DIVIDED, DIVIDED, REPLICATED), out_specs=(DIVIDED, ROWS), check_vma=False
    )(hypers, state, data)

  # As many as the longest count of samples has, in whole chunks.
  wanted = group.spec.evaluation_samples + CHUNK
  labels = jnp.asarray(spread_labels(np.asarray(dataset.judged.labels), wanted))

  def classes(indices: Array) -> Array:
    return labels[indices]

  def statistics(hypers: Hypers, generators: dict[str, Params]):
    def one(h: Hypers, mine: dict[str, Params]):
      def draw(params: Params, indices: Array) -> Array:
        key = derive_key(h.seed, 0, Purpose.EVALUATION, indices[0])
        noise = jax.random.normal(key, (indices.shape[0], group.spec.latent_size))
        return generate(params, noise, classes(indices))

      samples = group.spec.evaluation_samples
      return {
        name: quality.measure(functools.partial(draw, params), samples, name != RAW) for name, params in mine.items()
      }

    return jax.vmap(one)(hypers, generators)

  statistics_divided = divide(statistics, (DIVIDED, DIVIDED), DIVIDED)

  def evaluate(hypers: Hypers, state: GanState) -> dict[str, np.ndarray]:
    generators = {"": state.gen_ema, RAW: state.gen_params} if averages(group) else {"": state.gen_ema}
    found = jax.tree.map(lambda x: x[:members], jax.device_get(statistics_divided(hypers, generators)))
    with np.errstate(over="ignore"):  # what is beyond float32 is inf there
      columns = {prefix + name: x for prefix, mine in found.items() for name, x in quality.finish(mine).items()}
      return {name: np.asarray(value, np.float32) for name, value in columns.items()}

  def inspection(name):
    module = INSPECTIONS[name]
    measure = module.build(game, **options.get(name, {}))

    def all_members(hypers: Hypers, state: GanState, data: Data):
      number = state.step[0]  # as in `step_all`
      return jax.vmap(lambda h, s: measure(h, s._replace(step=number), data))(hypers, state)

    return divide(all_members, (DIVIDED, DIVIDED, REPLICATED), DIVIDED), module.finish

  inspections = [inspection(name) for name in asked if name in INSPECTIONS]

  def inspect(hypers: Hypers, state: GanState, data: Data) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for measure, finish in inspections:
      columns |= finish(jax.tree.map(lambda x: x[:members], jax.device_get(measure(hypers, state, data))))
    return columns

  def draw_grid(state: GanState) -> Array:
    count = GRID[len(game.image_shape)]
    noise = jax.random.normal(derive_key(0, 0, Purpose.GRID), (count, group.spec.latent_size))
    in_turn = jnp.arange(count) % game.num_classes  # the eye wants to see every class, however rare
    samples = jax.vmap(lambda params: generate(params, noise, in_turn))(state.gen_ema)
    return view(samples)

  return Program(
    members=members,
    padded=padded,
    hypers=place(group.hypers),
    data=jax.device_put(dataset.data, NamedSharding(mesh, REPLICATED)),
    place=place,
    init=divide(lambda h: jax.vmap(lambda one: initial_state(one, game))(h), (DIVIDED,), DIVIDED),
    advance=jax.jit(advance_divided, static_argnums=(3, 4), donate_argnums=1),
    evaluate=evaluate,
    inspect=inspect,
    draw_grid=divide(draw_grid, (DIVIDED,), DIVIDED),
  )
