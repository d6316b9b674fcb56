"""Blocks: the members of a device that are trained at the same time. One block after another trains a whole chunk.

A CPU slows down once the members that it trains at the same time no longer fit into its caches. So it trains a few of
them to the end of a chunk, then the next few, within one program. An accelerator trains all of its members at once.

Members that are trained at the same time and differ in their loss compute the losses of all, and each takes its own
(game/objective.py). So where a CPU has many losses to train, each block is of one of them, and computes no other.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import ArrayLike

from gan_jax.core.types import GanState
from gan_jax.runner.mesh import BATCH, Layout

# Bytes of the states of a block. Measured on two cores of an AMD EPYC with 1 MiB of L2 cache each, ms of a member and
# step: 64 ring GANs (0.5 MB each) in blocks of 1, 2, 4, 8, 32: 0.78, 0.75, 0.79, 0.84, 1.05; 36 MLP GANs on 8 x 8
# digits (0.8 MB each) in blocks of 1, 3, 6, 9, 18: 0.49, 0.43, 0.43, 0.46, 0.49. 16 DCGANs 28 x 28 of width 64 (more than
# this each) one after another 47, otherwise 65; of width 16, 7.1 and 8.3.
CACHE = 2.5 * 2**20
# Losses of a population, from which on each block is of one. Measured on the same cores, ms of an MLP GAN on digits under
# R1 and step, in mixed blocks and in blocks of one loss: 116 runs of 58 losses 1.05, 0.43; 112 runs of 8 losses 0.47, 0.41.
MANY = 8


def size(layout: Layout, state: Any, losses: ArrayLike = ()) -> int:
  """Members of a block: the most that divide a device's members evenly and whose states fit into `CACHE`.

  Where there are many losses, the most of those that make each block one of one loss.

  Args:
    layout: where the members are.
    state: of one member; shapes are enough.
    losses: of each member [members], by number; (): all have the same.
  """
  devices = layout.mesh.devices
  members = layout.padded // devices.shape[0]
  if devices.flat[0].platform != "cpu" or layout.mesh.shape[BATCH] > 1:
    return members
  each = sum(int(np.prod(x.shape, dtype=object)) * x.dtype.itemsize for x in jax.tree.leaves(state))
  fitting = [n for n in range(1, members + 1) if members % n == 0 and (n == 1 or n * each <= CACHE)]
  return max([n for n in fitting if of_one_loss(layout, n, losses)] or fitting)


def of_one_loss(layout: Layout, size: int, losses: ArrayLike) -> bool:
  """Whether there are many losses, and each block of `size` members is of one of them; `losses`: see `size`."""
  given = np.asarray(losses)
  if len(np.unique(given)) < MANY:
    return False
  blocks = layout.pad(given).reshape(-1, size)
  return bool((blocks == blocks[:, :1]).all())


def in_turn(function: Callable[..., tuple[GanState, Any]], size: int, axis: int = 1) -> Callable:
  """`function(hypers, state, feed) -> (state, rows)` of a device's members, applied to blocks of `size` of them.

  Args:
    function: hypers and state have leaves [members, ...]; feed, which may be None, [steps, members, ...].
    size: members of a block.
    axis: of the rows, along which their members are.
  """

  def whole(hypers: Any, state: GanState, feed: Any = None) -> tuple[GanState, Any]:
    members = jax.tree.leaves(state)[0].shape[0]
    if size == members:
      return function(hypers, state, feed)

    def block(states: GanState, first: Array) -> tuple[GanState, Any]:
      part = lambda tree, of=0: jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, first, size, of), tree)  # noqa: E731
      new, rows = function(part(hypers), part(states), part(feed, 1))
      put = lambda all_, some: lax.dynamic_update_slice_in_dim(all_, some, first, 0)  # noqa: E731
      return jax.tree.map(put, states, new), rows

    state, rows = lax.scan(block, state, jnp.arange(0, members, size))
    together = lambda x: jnp.moveaxis(x, 0, axis).reshape(*x.shape[1 : axis + 1], members, *x.shape[axis + 2 :])  # noqa: E731
    return state, jax.tree.map(together, rows)

  return whole
