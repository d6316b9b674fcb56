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
from numpy.typing import ArrayLike

from gan_jax import probes
from gan_jax.core.types import Batches, Data, GanState
from gan_jax.data import Dataset
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.game.step import step
from gan_jax.metrics import Quality
from gan_jax.runner import blocks, evaluation, feeding, memory, mesh, processes
from gan_jax.runner.grouping import Group
from gan_jax.runner.mesh import DIVIDED, REPLICATED, ROWS
from gan_jax.runs import plan
from gan_jax.runs.plan import Chunk
from gan_jax.settings.records import Hypers, thawed

Rows = dict[str, Array]  # by name, [members]
# (hypers, state, data, windows, length) -> (state after windows x length steps, rows [windows or more, padded], of which
# the first `windows` count); the state is donated.
Advance = Callable[..., Any]


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
  # The losses of its members, by number [members] -> (members of a block, whether each block is of one loss).
  in_blocks: Callable[[ArrayLike], tuple[int, bool]]

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
  """One step of every member. The step number is the same for all, so that a `cond` on it stays a branch under `vmap`.

  So is the loss where all members have the same one: then the other losses are not computed.
  """
  number, loss = state.step[0], hypers.loss_index[0]

  def one(h: Hypers, s: GanState, batch: Batches) -> tuple[GanState, Any]:
    return step(game, h._replace(loss_index=loss) if game.one_loss else h, s._replace(step=number), batch)

  return jax.vmap(one)(hypers, state, batches)


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


def steps(game: Game, hypers: Hypers, state: GanState, feed: Batches, count: Array | None = None) -> GanState:
  """The state after `count` steps of a feed, by default all. Their traces are not used, so XLA does not compute them.

  The number of steps is made a traced one. XLA would unroll a loop of one or two, and fuse its arithmetic with where
  the batches come from; so it is the same loop whatever surrounds it, and has the same bits.
  """
  length = jnp.where(state.step[0] >= 0, feed.images.shape[0] if count is None else count, 0)

  def one(index: Array, s: GanState) -> GanState:
    return step_all(game, hypers, s, jax.tree.map(lambda x: x[index], feed))[0]

  return lax.fori_loop(0, length, one, state)


def window(game: Game, hypers: Hypers, state: GanState, data: Data, length: Array, size: int) -> tuple[GanState, Rows]:
  """A row of the first step, then `length` steps from data on the device, in feeds of at most `size`."""
  found = row(game, hypers, state, feeding.draw_feed(game, hypers, state.step[0], rows_steps(game), data))

  def some(index: Array, s: GanState) -> GanState:
    feed = feeding.draw_feed(game, hypers, s.step[0], size, data)
    return steps(game, hypers, s, feed, jnp.minimum(size, length - index * size))

  return lax.fori_loop(0, -(-length // size), some, state), found


def windows_of(
  one: Callable[[GanState], tuple[GanState, Rows]], state: GanState, count: Array, most: int
) -> tuple[GanState, Rows]:
  """`count` windows, one after the other; rows [most, members], zero from `count` on."""
  one = jax.jit(one, inline=True)  # traced once, for the shapes of a row and for the loop
  blank = jax.tree.map(lambda x: jnp.zeros((most, *x.shape), x.dtype), jax.eval_shape(one, state)[1])

  def another(index: Array, carry: tuple[GanState, Rows]) -> tuple[GanState, Rows]:
    s, found = one(carry[0])
    put = lambda rows, x: lax.dynamic_update_index_in_dim(rows, x, index, 0)  # noqa: E731
    return s, jax.tree.map(put, carry[1], found)

  return lax.fori_loop(0, count, another, (state, blank))


class ResidentAdvance(NamedTuple):
  """`Program.advance` with data on the devices: one program for all chunks of a study, whose sizes are traced."""

  jitted: Any  # (hypers, state, data, windows, length, most windows, greatest length), the last two static
  largest: Chunk  # of the study

  def __call__(self, hypers: Hypers, state: GanState, data: Data, windows: int, length: int) -> tuple[GanState, Rows]:
    found: tuple[GanState, Rows] = self.jitted(hypers, state, data, *self.sizes(windows, length))
    return found

  def lower(self, hypers: Hypers, state: GanState, data: Data, windows: int, length: int) -> Any:
    """The lowered program of a chunk."""
    return self.jitted.lower(hypers, state, data, *self.sizes(windows, length))

  def sizes(self, windows: int, length: int) -> tuple[Any, Any, int, int]:
    most = max(windows, self.largest.windows), max(length, self.largest.length)
    return np.int32(windows), np.int32(length), *most


def build_advance(game: Game, layout: mesh.Layout, block: int) -> Any:
  """`Program.advance` with data on the devices. `block`: see blocks.py."""

  def advance(hypers: Hypers, state: GanState, data: Data, windows: Array, length: Array, most: int, greatest: int):
    size = feeding.feed_length(game, data, block, greatest)

    def of_row(h: Hypers, s: GanState, d: Data, count: Array, each: Array):
      def chunk(h: Hypers, s: GanState, _: None) -> tuple[GanState, Rows]:
        return windows_of(lambda carry: window(game, h, carry, d, each, size), s, count, most)

      return blocks.in_turn(chunk, block)(h, s)

    divided = layout.divide(of_row, (DIVIDED, DIVIDED, REPLICATED, REPLICATED, REPLICATED), (DIVIDED, ROWS))
    return divided(hypers, state, data, windows, length)

  spec = game.spec
  largest = plan.chunks(spec.steps, spec.probe_every, spec.evaluate_every, spec.checkpoint_every)[0]
  return ResidentAdvance(jax.jit(advance, static_argnums=(5, 6), donate_argnums=1), largest)


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
    first, size = int(processes.own(state.step)[0]), feeding.feed_length(game, data, layout.padded, length)
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
  shapes = jax.eval_shape(one, jax.tree.map(lambda x: x[0], group.hypers))

  def in_blocks(losses: ArrayLike) -> tuple[int, bool]:
    size = blocks.size(layout, shapes, losses)
    return size, blocks.of_one_loss(layout, size, losses)

  block, one_loss = in_blocks(group.hypers.loss_index)
  game = game._replace(one_loss=one_loss)
  return Program(
    layout=layout,
    hypers=hypers,
    data=layout.replicate(dataset.data) if resident else None,
    init=jax.jit(layout.divide(init, (DIVIDED,), DIVIDED)),
    advance=build_advance(game, layout, block)
    if resident
    else build_streamed_advance(game, layout, block, dataset.data, processes.own(hypers.seed)),
    evaluate=evaluation.build_evaluate(group, game, dataset, quality, layout),
    inspect=evaluation.build_inspect(game, layout),
    draw_grid=evaluation.build_draw_grid(game, layout),
    in_blocks=in_blocks,
  )
