"""Our side: the production program of a group, and pieces of it by themselves."""

import functools
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax import data, game, runs, settings
from gan_jax.core.types import Data
from gan_jax.data.dataset import Dataset, decode_bytes
from gan_jax.game import step as steps_of_the_game
from gan_jax.game.state import initial_state
from gan_jax.runner import blocks, feeding, grouping, mesh, population
from gan_jax.runner.mesh import DIVIDED, REPLICATED

from . import operations
from .examples import stored
from .worker import Prepared
from .works import FEW, LENS, Contender, Work

LARGE = {"cpu": 2048}  # side of the matrices of the ceiling; 8192 on an accelerator
WINDOWS = 10  # rows that are written at once: a chunk's


def dataset(work: Work) -> Dataset:
  """The data that all sides train on: the ring, or random images."""
  if not work.image:
    return data.load("ring")
  images = jnp.asarray(stored(work.image))
  labels = jnp.arange(len(images), dtype=jnp.int32) % 10
  return Dataset(Data(images, labels), decode_bytes, work.image, 10, "images")


def built(contender: Contender, work: Work) -> tuple[Any, Any, Any]:
  """(group, game, program) of a contender; losses take turns where a row of diagnostics is measured."""
  fields = {**work.fields, **contender.fields}
  losses = LENS if work.kind == "overhead" else ("non_saturating",)
  configs = [
    settings.resolve(fields, {"seed": seed, "loss": losses[seed % len(losses)]}) for seed in range(contender.members)
  ]
  (group,) = grouping.group(configs)
  held = dataset(work)
  spec = mesh.settled(group.spec, contender.members, game.players(group.spec, held), held.image_shape)
  group = group._replace(spec=spec)
  built_game = game.build(group.spec, held)
  unasked: Any = None  # sample quality is not measured
  return group, built_game, population.compile_group(group, built_game, held, unasked)


def size(compiled: Any) -> int:
  """Bytes of a compiled program on one device: what goes in and out, and what it works with."""
  found = compiled.memory_analysis()
  kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
  return int(kept + found.temp_size_in_bytes)


def clocked(program: Any, call: Callable[[Any], Any]) -> Callable[[int], float]:
  """(calls) -> seconds of `call(state) -> (state, other results)`; each goes on where the last one ended."""
  state = [program.init(program.hypers)]

  def clock(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
      state[0], rest = call(state[0])
    jax.block_until_ready((state[0], rest))
    return time.perf_counter() - began

  return clock


def production(contender: Contender, work: Work) -> Prepared:
  """The program that a study runs, with order, average, check for diverged members, and a row every `length` steps."""
  group, _, program = built(contender, work)
  state = program.init(program.hypers)
  advance: Any = program.advance  # of resident data
  compiled = advance.lower(program.hypers, state, program.data, work.windows, work.length).compile()
  sizes = advance.sizes(work.windows, work.length)[:2]
  clock = clocked(program, lambda state: compiled(program.hypers, state, program.data, *sizes))
  counted = operations.count(group.configs[0], dataset(work)) if work.kind == "race" else None
  facts = {"bytes": size(compiled), "operations": counted}
  return Prepared(clock, work.windows * work.length, contender.members, facts)


def block_of(group: Any, built_game: Any, program: Any) -> int:
  """The members that the program trains at the same time: see runner/blocks.py."""
  one = jax.tree.map(lambda x: x[0], group.hypers)
  return blocks.size(program.layout, jax.eval_shape(lambda hypers: initial_state(hypers, built_game), one))


def bare(contender: Contender, work: Work) -> Prepared:
  """Steps without rows."""
  group, built_game, program = built(contender, work)
  block = block_of(group, built_game, program)

  def advance(hypers: Any, state: Any, held: Any) -> tuple[Any, Any]:
    at_once = feeding.feed_length(built_game, held, block, work.length)

    def some(hypers: Any, s: Any) -> tuple[Any, None]:
      feed = feeding.draw_feed(built_game, hypers, s.step[0], at_once, held)
      return population.steps(built_game, hypers, s, feed), None

    def chunk(hypers: Any, s: Any, _: None) -> tuple[Any, None]:
      return lax.scan(lambda carry, _: some(hypers, carry), s, None, length=work.length // at_once)

    return blocks.in_turn(chunk, block)(hypers, state)

  divided = program.layout.divide(advance, (DIVIDED, DIVIDED, REPLICATED), (DIVIDED, None))
  jitted = jax.jit(divided, donate_argnums=1)
  return Prepared(clocked(program, lambda s: jitted(program.hypers, s, program.data)), work.length, contender.members)


def without_average(contender: Contender, work: Work) -> Prepared:
  """`bare` without the moving average of the generator, which no field turns off: it is taken out while this is traced."""
  unaveraged = mock.patch.object(steps_of_the_game, "average", lambda game, hypers, start, new: new)
  with unaveraged:
    prepared = bare(contender, work)
    prepared.clock(1)
  return prepared


def of_few_channels(bound: tuple[int, int], contender: Contender, work: Work) -> Prepared:
  """`bare` with another bound on the channels up to which convolutions are matrix products: see models/bilinear.py."""
  with mock.patch("gan_jax.models.bilinear.NARROW", bound):
    prepared = bare(contender, work)
    prepared.clock(1)
  return prepared


def row(contender: Contender, work: Work) -> Prepared:
  """One row of diagnostics by itself, as a call of its own."""
  group, built_game, program = built(contender, work)
  block = block_of(group, built_game, program)

  def measure(hypers: Any, state: Any, held: Any) -> Any:
    def of_block(hypers: Any, state: Any, _: None) -> tuple[Any, Any]:
      feed = feeding.draw_feed(built_game, hypers, state.step[0], population.rows_steps(built_game), held)
      return state, population.row(built_game, hypers, state, feed)

    return blocks.in_turn(of_block, block, axis=0)(hypers, state)[1]

  jitted = jax.jit(program.layout.divide(measure, (DIVIDED, DIVIDED, REPLICATED), DIVIDED))
  call = lambda s: (s, jitted(program.hypers, s, program.data))  # noqa: E731
  return Prepared(clocked(program, call), 1, contender.members)


def written_rows(contender: Contender, work: Work) -> Prepared:
  """Writing the rows of a chunk to disk, per row."""
  program = built(contender, work)[2]
  state = program.init(program.hypers)
  found = program.advance(program.hypers, state, program.data, WINDOWS, 1)[1]
  taken = {name: value[:WINDOWS] for name, value in found.items()}
  return Prepared(_to_disk(functools.partial(_append, taken)), WINDOWS, contender.members)


def _append(taken: Mapping[str, Any], folder: Path, number: int) -> None:
  columns = {name: np.asarray(value) for name, value in taken.items()}
  first = number * WINDOWS
  runs.append(folder, "rows", "group-0", first, first + WINDOWS, runs.Table(np.arange(first, first + WINDOWS), columns))


def saved(contender: Contender, work: Work) -> Prepared:
  """Writing one checkpoint."""
  from gan_jax.runner import checkpoint  # Orbax takes a second to import

  group, _, program = built(contender, work)
  state = jax.block_until_ready(program.init(program.hypers))
  facts = {"members": group.ids}
  save = lambda folder, number: checkpoint.save(folder, number, state, facts, {})  # noqa: E731
  return Prepared(_to_disk(save), 1, contender.members)


def _to_disk(write: Callable[[Path, int], object]) -> Callable[[int], float]:
  """(calls) -> seconds of `write(folder, number)`, with a new number at each call."""
  folder = tempfile.TemporaryDirectory(prefix="gan_jax_bench_")
  written = [0]

  def clock(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
      written[0] += 1
      write(Path(folder.name), written[0])
    return time.perf_counter() - began

  return clock


def ceiling(contender: Contender, work: Work) -> Prepared:
  """One product of two square float32 matrices on one device; the number of its operations is among the facts."""
  side = contender.fields.get("side") or LARGE.get(jax.default_backend(), 8192)
  x = jax.random.normal(jax.random.key(0), (side, side))
  product = jax.jit(lambda a: a @ a / side)

  def clock(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
      found = product(x)
    jax.block_until_ready(found)
    return time.perf_counter() - began

  return Prepared(clock, 1, 1, {"operations": 2 * side**3})


MAKERS: dict[str, Callable[[Contender, Work], Prepared]] = {
  "ours": production,
  "bare_step": bare,
  "bare_step_without_average": without_average,
  "convolutions": functools.partial(of_few_channels, (0, 0)),
  "products": functools.partial(of_few_channels, (4, max(FEW))),
  "row": row,
  "rows": written_rows,
  "checkpoint": saved,
  "ceiling": ceiling,
}
