"""A population: the runs of a group, trained side by side by one compiled program.

The program is `vmap` over members of `scan` over steps, over a mesh of devices (see mesh.py).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax import probes
from gan_jax.core.types import Data, GanState
from gan_jax.data import Dataset
from gan_jax.game.rules import Game
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.metrics import Quality
from gan_jax.runner import evaluation, mesh
from gan_jax.runner.grouping import Group
from gan_jax.runner.mesh import DIVIDED, REPLICATED, ROWS
from gan_jax.settings.records import Hypers, thawed

Rows = dict[str, Array]  # by name, [members]


class Program(NamedTuple):
  """The compiled functions of one group. States have a leading axis of `padded` members."""

  layout: mesh.Layout
  hypers: Hypers  # on the devices
  data: Data  # whole, on every device
  init: Callable[[Hypers], GanState]
  # (hypers, state, data, windows, length) -> (state, rows [windows, padded]); the state is donated
  advance: Callable[..., tuple[GanState, Rows]]
  evaluate: Callable[[Hypers, GanState], dict[str, np.ndarray]]  # quality metrics by name, `raw/` ones too, [members]
  inspect: Callable[[Hypers, GanState, Data], dict[str, np.ndarray]]  # of `Spec.probes` at evaluations, [members]
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


def step_all(game: Game, hypers: Hypers, state: GanState, data: Data) -> tuple[GanState, Any]:
  """One step of every member. The step number is the same for all, so that a `cond` on it stays a branch under `vmap`."""
  step, number = build_resident_step(game), state.step[0]
  return jax.vmap(lambda h, s: step(h, s._replace(step=number), data))(hypers, state)


def measured(game: Game, hypers: Hypers, state: GanState, data: Data) -> Rows:
  """The probes of the next step of every member."""
  asked, options = probes.requested(game.spec.probes), thawed(game.spec.probe_options)
  after, trace = step_all(game, hypers, state, data)
  if "noise" in asked:
    following = step_all(game, hypers, after, data)[1]
    trace = trace._replace(next_generator_grads=following.generator.grads)
  return jax.vmap(lambda t: probes.measure(t, asked, options))(trace)


def window(game: Game, hypers: Hypers, state: GanState, data: Data, length: int) -> tuple[GanState, Rows]:
  """A row of the first step, then `length` steps. Their traces are not used, so XLA does not compute them.

  Probes run inside an always-true `lax.cond`: XLA cannot fuse across it, so probing cannot change the training's
  rounding.
  """
  # Traced once, for the shapes of a row and for the row.
  probe = jax.jit(functools.partial(measured, game), inline=True)
  shapes = jax.eval_shape(probe, hypers, state, data)
  blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  row = lax.cond(state.step[0] >= 0, lambda s: probe(hypers, s, data), lambda s: blank, state)
  state, _ = lax.scan(lambda s, _: (step_all(game, hypers, s, data)[0], None), state, None, length=length)
  return state, row


def build_advance(game: Game, layout: mesh.Layout) -> Callable[..., tuple[GanState, Rows]]:
  """(hypers, state, data, windows, length) -> (state after windows x length steps, rows [windows, padded])."""

  def advance(hypers: Hypers, state: GanState, data: Data, windows: int, length: int):
    def of_row(h: Hypers, s: GanState, d: Data):
      return lax.scan(lambda carry, _: window(game, h, carry, d, length), s, None, length=windows)

    return layout.divide(of_row, (DIVIDED, DIVIDED, REPLICATED), (DIVIDED, ROWS))(hypers, state, data)

  return jax.jit(advance, static_argnums=(3, 4), donate_argnums=1)


def compile_group(
  group: Group, game: Game, dataset: Dataset, quality: Quality, layout: mesh.Layout | None = None
) -> Program:
  """The programs of a group on all devices; each is compiled at its first call."""
  layout = layout or mesh.build(group.spec, len(group.configs))
  game = game._replace(spread=layout.spread)
  init = jax.vmap(lambda hypers: initial_state(hypers, game))
  return Program(
    layout=layout,
    hypers=layout.place(group.hypers),
    data=layout.put(dataset.data, REPLICATED),
    init=jax.jit(layout.divide(init, (DIVIDED,), DIVIDED)),
    advance=build_advance(game, layout),
    evaluate=evaluation.build_evaluate(group, game, dataset, quality, layout),
    inspect=evaluation.build_inspect(game, layout),
    draw_grid=evaluation.build_draw_grid(game, layout),
  )
