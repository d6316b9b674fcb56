"""A population: the runs of a group, trained side by side by one compiled program.

The program is `vmap` over members of `scan` over steps, over a mesh of devices (mesh.py) and, on each, over blocks of
members (blocks.py).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax import probes
from gan_jax.core.types import Batches, Data, GanState
from gan_jax.data import Dataset
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.game.step import step
from gan_jax.metrics import Quality
from gan_jax.runner import blocks, evaluation, feeding, memory, mesh
from gan_jax.runner.grouping import Group
from gan_jax.runner.mesh import DIVIDED, REPLICATED, ROWS
from gan_jax.settings.records import Hypers, thawed

Rows = dict[str, Array]  # by name, [members]
# (hypers, state, data, windows, length) -> (state after windows x length steps, rows [windows, padded]); the state is
# donated.
Advance = Callable[..., tuple[GanState, Rows]]


class Program(NamedTuple):
  """The compiled functions of one group. States have a leading axis of `padded` members."""

  layout: mesh.Layout
  hypers: Hypers  # on the devices
  data: Data | None  # whole, on every device; None: they are streamed
  init: Callable[[Hypers], GanState]
  advance: Advance
  evaluate: Callable[[Hypers, GanState], dict[str, np.ndarray]]  # quality metrics by name, `raw/` ones too, [members]
  inspect: Callable[
    [Hypers, GanState, Data | None], dict[str, np.ndarray]
  ]  # of `Spec.probes` at evaluations, [members]
  draw_grid: Callable[[GanState], Array]  # samples from one fixed noise

  @property
  def members(self) -> int:
    return self.layout.members

  @property
  def padded(self) -> int:
    return self.layout.padded

  def place(self, tree: Any) -> Any:
    """A host pytree with leaves [members, ...], padded and put on the devices."""
    return self.layout.place(tree)


def step_all(game: Game, hypers: Hypers, state: GanState, batches: Batches) -> tuple[GanState, Any]:
  """One step of every member. The step number is the same for all, so that a `cond` on it stays a branch under `vmap`."""
  number = state.step[0]
  return jax.vmap(lambda h, s, b: step(game, h, s._replace(step=number), b))(hypers, state, batches)


def rows_steps(game: Game) -> int:
  """Steps whose batches a row needs."""
  return 2 if "noise" in probes.requested(game.spec.probes) else 1


def measured(game: Game, hypers: Hypers, state: GanState, feed: Batches) -> Rows:
  """The probes of the next step of every member; `feed` has the batches of `rows_steps` steps."""
  asked, options = probes.requested(game.spec.probes), thawed(game.spec.probe_options)
  now, *later = (jax.tree.map(lambda x, i=i: x[i], feed) for i in range(rows_steps(game)))
  after, trace = step_all(game, hypers, state, now)
  if later:
    following = step_all(game, hypers, after, later[0])[1]
    trace = trace._replace(next_generator_grads=following.generator.grads)
  return jax.vmap(lambda t: probes.measure(t, asked, options))(trace)


def row(game: Game, hypers: Hypers, state: GanState, feed: Batches) -> Rows:
  """A row of the next step.

  Probes run inside an always-true `lax.cond`: XLA cannot fuse across it, so probing cannot change the training's
  rounding.
  """
  # Traced once, for the shapes of a row and for the row.
  probe = jax.jit(functools.partial(measured, game), inline=True)
  shapes = jax.eval_shape(probe, hypers, state, feed)
  blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  return lax.cond(state.step[0] >= 0, lambda s: probe(hypers, s, feed), lambda s: blank, state)


def steps(game: Game, hypers: Hypers, state: GanState, feed: Batches) -> GanState:
  """The state after the steps of a feed. Their traces are not used, so XLA does not compute them.

  The number of steps is made a traced one. XLA would unroll a loop of one or two, and fuse its arithmetic with where
  the batches come from; so it is the same loop whatever surrounds it, and has the same bits.
  """
  length = jnp.where(state.step[0] >= 0, feed.images.shape[0], 0)

  def one(index: Array, s: GanState) -> GanState:
    return step_all(game, hypers, s, jax.tree.map(lambda x: x[index], feed))[0]

  return lax.fori_loop(0, length, one, state)


def window(game: Game, hypers: Hypers, state: GanState, data: Data, length: int, members: int) -> tuple[GanState, Rows]:
  """A row of the first step, then `length` steps, feed by feed, from data on the device."""
  found = row(game, hypers, state, feeding.draw_feed(game, hypers, state.step[0], rows_steps(game), data))
  size = feeding.feed_length(game, data, members, length)

  def some(s: GanState, _: None) -> tuple[GanState, None]:
    return steps(game, hypers, s, feeding.draw_feed(game, hypers, s.step[0], size, data)), None

  return lax.scan(some, state, None, length=length // size)[0], found


def build_advance(game: Game, layout: mesh.Layout, block: int) -> Advance:
  """`Program.advance` with data on the devices: one program for a chunk. `block`: see blocks.py."""

  def advance(hypers: Hypers, state: GanState, data: Data, windows: int, length: int):
    def of_row(h: Hypers, s: GanState, d: Data):
      def chunk(h: Hypers, s: GanState, _: None) -> tuple[GanState, Rows]:
        return lax.scan(lambda carry, _: window(game, h, carry, d, length, block), s, None, length=windows)

      return blocks.in_turn(chunk, block)(h, s)

    return layout.divide(of_row, (DIVIDED, DIVIDED, REPLICATED), (DIVIDED, ROWS))(hypers, state, data)

  return jax.jit(advance, static_argnums=(3, 4), donate_argnums=1)


def build_streamed_advance(game: Game, layout: mesh.Layout, block: int, data: Data, seeds: Array) -> Advance:
  """`Program.advance` with data on the host: one program for a row and one for a feed, called in turn."""
  stream = feeding.build_stream(game, layout, data, seeds)
  one = blocks.in_turn(lambda h, s, feed: (s, row(game, h, s, feed)), block, axis=0)
  several = blocks.in_turn(lambda h, s, feed: (steps(game, h, s, feed), None), block)
  take_row = jax.jit(layout.divide(lambda h, s, f: one(h, s, f)[1], (DIVIDED, DIVIDED, ROWS), DIVIDED))
  take_steps = jax.jit(
    layout.divide(lambda h, s, f: several(h, s, f)[0], (DIVIDED, DIVIDED, ROWS), DIVIDED), donate_argnums=1
  )

  def advance(hypers: Hypers, state: GanState, _: Any, windows: int, length: int) -> tuple[GanState, Rows]:
    first, size = int(state.step[0]), feeding.feed_length(game, data, layout.padded, length)
    asked: list[tuple[int, int]] = []
    for start in range(first, first + windows * length, length):
      asked += [(start, rows_steps(game)), *((at, size) for at in range(start, start + length, size))]
    found = []
    for number, feed in enumerate(stream(asked)):
      if number % (1 + length // size) == 0:
        found.append(take_row(hypers, state, feed))
      else:
        state = take_steps(hypers, state, feed)
    return state, jax.tree.map(lambda *rows: jnp.stack(rows), *found)

  return advance


def compile_group(
  group: Group, game: Game, dataset: Dataset, quality: Quality, layout: mesh.Layout | None = None
) -> Program:
  """The programs of a group on all devices; each is compiled at its first call."""
  layout = layout or mesh.build(group.spec, len(group.configs))
  game = game._replace(spread=layout.spread)
  one = lambda hypers: initial_state(hypers, game)  # noqa: E731
  init = jax.vmap(one)
  hypers, resident = layout.place(group.hypers), memory.fits(dataset, group.configs[0]["data_memory"])
  block = blocks.size(layout, jax.eval_shape(one, jax.tree.map(lambda x: x[0], group.hypers)))
  return Program(
    layout=layout,
    hypers=hypers,
    data=layout.put(dataset.data, REPLICATED) if resident else None,
    init=jax.jit(layout.divide(init, (DIVIDED,), DIVIDED)),
    advance=build_advance(game, layout, block)
    if resident
    else build_streamed_advance(game, layout, block, dataset.data, hypers.seed),
    evaluate=evaluation.build_evaluate(group, game, dataset, quality, layout),
    inspect=evaluation.build_inspect(game, layout),
    draw_grid=evaluation.build_draw_grid(game, layout),
  )
