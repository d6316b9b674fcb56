"""The real examples of several steps at once: drawn on the device, or read by threads of the host where they do not fit.

Both ways take the examples that `game.batches.examples` names, a pure function of (seed, step), and give them to the
same steps, so streamed and resident training have the same bits. A feed is the batches of some successive steps of all
members, leaves [steps, members, ...]; its length is a function of the sizes alone.
"""

import collections
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.types import Batches, Data
from gan_jax.game.batches import Examples, examples, take
from gan_jax.game.rules import Game, real_batches
from gan_jax.runner.mesh import ROWS, Layout
from gan_jax.settings.records import Hypers

LARGEST = 32 * 2**20  # bytes of a feed on one device, unless a single step needs more
AHEAD = 2  # feeds that are read while one is used
THREADS = 4


def feed_length(game: Game, data: Data, members: int, length: int) -> int:
  """Steps of a feed: the largest divisor of a window's length that keeps within `LARGEST`."""
  each = data.images.dtype.itemsize * math.prod(data.images.shape[1:])
  spec = game.spec
  step = members * each * spec.batch_size * (real_batches(spec) + (spec.hold_out > 0))
  return next(n for n in range(length, 0, -1) if length % n == 0 and (n * step <= LARGEST or n == 1))


def chosen(game: Game, seeds: Array, first: Array, steps: int, size: int) -> Examples:
  """The examples of `steps` steps from `first` on, [steps, members, ...]."""
  of = lambda step: jax.vmap(lambda seed: examples(game.spec, seed, step, size))(seeds)  # noqa: E731
  return jax.vmap(of)(first + jnp.arange(steps, dtype=first.dtype))


def draw_feed(game: Game, hypers: Hypers, first: Array, steps: int, data: Data) -> Batches:
  """A feed, from data on the device."""
  return take(data, chosen(game, hypers.seed, first, steps, data.images.shape[0]))


Stream = Callable[[list[tuple[int, int]]], Iterator[Batches]]  # [(first step, steps), ...] -> their feeds, in order


def build_stream(game: Game, layout: Layout, data: Data, seeds: Array) -> Stream:
  """Feeds on the devices, read from data on the host.

  While a feed is used, `AHEAD` further ones are read by threads: NumPy and the operating system release Python's lock
  while they copy. Of several processes each reads for the members on its own devices, whose `seeds` it gives.
  """
  where = jax.jit(lambda first, steps: chosen(game, seeds, first, steps, len(data.images)), static_argnums=1)
  host = jax.tree.map(lambda x: x if isinstance(x, np.ndarray) else np.asarray(x), data)  # a mapped file stays one

  def read(wanted: Examples) -> Batches:
    return take(host, jax.tree.map(np.asarray, wanted))

  def stream(asked: list[tuple[int, int]]) -> Iterator[Batches]:
    with ThreadPoolExecutor(THREADS) as threads:
      waiting: collections.deque[Future[Batches]] = collections.deque()
      for first, steps in asked:
        waiting.append(threads.submit(read, where(np.int32(first), steps)))
        if len(waiting) > AHEAD:
          yield layout.put_own(waiting.popleft().result(), ROWS)
      for reading in waiting:
        yield layout.put_own(reading.result(), ROWS)

  return stream
