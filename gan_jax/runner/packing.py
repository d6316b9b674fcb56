"""A population of which some runs have stopped (halving.py): the program trains only the others, packed together.

Its states, rows and measurements keep a place for every run, so that files and checkpoints stay as they are. A stopped run
keeps the state with which it stopped; its rows and measurements from there on are NaN (0 where a column is of integers),
and its samples are drawn from that state.

Members of a population do not depend on one another. A packed one has another number of them, though, and so perhaps
other blocks (blocks.py) and other kernels, whose rounding may differ: which runs stop and when is part of the layout.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from gan_jax import game
from gan_jax.data import Dataset
from gan_jax.metrics import Quality
from gan_jax.runner import grouping, population
from gan_jax.runner.grouping import Group
from gan_jax.runner.mesh import DIVIDED, ROWS
from gan_jax.runner.population import Program


class Part(NamedTuple):
  """The program of the runs at some places of a group, and how they are taken from the group's state and put back."""

  program: Program
  places: np.ndarray  # [members of the part]
  take: Callable[[Any], Any]  # state of all -> of the part
  put: Callable[[Any, Any], Any]  # (state of all, which is donated, of the part) -> of all
  widen: Callable[[Any], Any]  # rows [windows, part] -> [windows, all]


def compiled(group: Group, dataset: Dataset, quality: Quality) -> Program:
  """The program of a group, or of a part of one."""
  return population.compile_group(group, game.build(group.spec, dataset), dataset, quality)


def packed(program: Program, group: Group, stopped: Mapping[str, int], dataset: Dataset, quality: Quality) -> Program:
  """The program, which from each step on trains only the runs that have not stopped until then.

  Args:
    program: of all runs of the group.
    group: the runs.
    stopped: the step at which each stopped run did, by id.
    dataset, quality: that the programs of parts of the group are built with.
  """
  if not stopped:
    return program
  ends = np.asarray([stopped.get(run, group.spec.steps + 1) for run in group.ids])

  @functools.cache
  def part(places: tuple[int, ...]) -> Part:
    return _part(program, compiled(grouping.part(group, places), dataset, quality), np.asarray(places))

  def left(there: np.ndarray) -> Part | None:
    """The part of the runs that are there; None where all are."""
    return None if there.all() else part(tuple(np.flatnonzero(there).tolist()))

  def advance(hypers: Any, state: Any, data: Any, windows: int, length: int) -> Any:
    own = left(ends > _step(state))
    if own is None:
      return program.advance(hypers, state, data, windows, length)
    some, rows = own.program.advance(own.program.hypers, own.take(state), own.program.data, windows, length)
    return own.put(state, some), own.widen(rows)

  def evaluate(hypers: Any, state: Any) -> dict[str, np.ndarray]:
    own = left(ends >= _step(state))  # at the step at which runs stop, they are measured
    if own is None:
      return program.evaluate(hypers, state)
    return _wide(own, program.members, own.program.evaluate(own.program.hypers, own.take(state)))

  def inspect(hypers: Any, state: Any, data: Any) -> dict[str, np.ndarray]:
    own = left(ends >= _step(state))
    if own is None:
      return program.inspect(hypers, state, data)
    return _wide(own, program.members, own.program.inspect(own.program.hypers, own.take(state), own.program.data))

  return program._replace(advance=advance, evaluate=evaluate, inspect=inspect)


def _step(state: Any) -> int:
  """The step of the runs that are being trained; stopped ones are behind."""
  return int(np.asarray(state.step).max())


def _part(whole: Program, own: Program, places: np.ndarray) -> Part:
  if own.layout.mesh == whole.layout.mesh and own.data is not None:
    own = own._replace(data=whole.data)  # one copy of the data is enough
  surplus = np.repeat(places[-1:], own.padded - len(places))
  chosen, spread = np.concatenate([places, surplus]), whole.padded

  def take(state: Any) -> Any:
    return jax.tree.map(lambda x: x[chosen], state)

  def put(state: Any, some: Any) -> Any:
    return jax.tree.map(lambda x, y: x.at[places].set(y[: len(places)]), state, some)

  def widen(rows: Any) -> Any:
    def one(x: Any) -> Any:
      empty = jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else 0
      return jnp.full((len(x), spread), empty, x.dtype).at[:, places].set(x[:, : len(places)])

    return jax.tree.map(one, rows)

  there, all_of = own.layout.mesh, whole.layout.mesh
  return Part(
    own,
    places,
    jax.jit(take, out_shardings=NamedSharding(there, DIVIDED)),
    jax.jit(put, out_shardings=NamedSharding(all_of, DIVIDED), donate_argnums=0),
    jax.jit(widen, out_shardings=NamedSharding(all_of, ROWS)),
  )


def _wide(own: Part, members: int, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Measurements [part] as [members]."""
  found = {}
  for name, column in columns.items():
    whole = np.full(members, np.nan if column.dtype.kind == "f" else 0, column.dtype)
    whole[own.places] = column
    found[name] = whole
  return found
