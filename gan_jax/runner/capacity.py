"""How many runs of a group fit into memory side by side, by the compiled program's own account of what it needs.

XLA says what a compiled program takes: its arguments, its results, and the temporary arrays of a step. The first two grow
in proportion to the runs, the last in proportion to those that are trained at the same moment (blocks.py): on a CPU that
trains all at once, 2, 8 and 32 MLP GANs on digits have 1.41, 5.56 and 22.2 MB of temporary arrays on each of two
devices, DCGANs 3.98, 16.1 and 64.4 MB. So a program of one run on each device is compiled, and scaled.
Compiling takes seconds, so it is not done where an estimate from shapes alone is far below the memory.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import game as game_lib
from gan_jax.core.types import Player
from gan_jax.data import Dataset
from gan_jax.game.state import initial_state
from gan_jax.probes import lens
from gan_jax.runner import blocks, feeding, grouping, memory, mesh, population
from gan_jax.runner.grouping import Group
from gan_jax.settings.records import Spec

SHARE = 0.8  # of the memory; the rest is for the program's code, the metrics and copies on the host
SURELY = 0.1  # a group whose estimate is below this share of the memory fits
PASSES = 4  # times the arrays that one backward pass keeps, in the estimate: a step has several passes and penalties


class Need(NamedTuple):
  """Bytes."""

  kept: int  # of every run: its state, hyperparameters and rows
  temporary: int  # of every run that is trained at the same moment
  fixed: int  # of the data and the feeds, on all devices together

  def of(self, members: int, at_once: int) -> int:
    """Bytes of a program of so many runs, of which `at_once` are trained at the same moment, in a copy of their state."""
    return self.kept * (members + at_once) + self.temporary * at_once + self.fixed


def most(group: Group, dataset: Dataset, limit: int | None = None) -> int:
  """The largest number of a group's runs that are to train side by side.

  Args:
    group: all runs of one `Spec`.
    dataset: what it trains on.
    limit: bytes of memory; by default `memory.available()`.

  Returns:
    `most_members` where the config gives one; else all, or as many as fit. At least one for each row of the mesh: with
    fewer, devices would train copies.
  """
  members, asked = len(group.configs), group.spec.most_members
  if asked:
    return min(asked, members)
  rows = mesh.build(group.spec, members).mesh.devices.shape[0]
  limit = memory.available() if limit is None else limit
  if members <= rows or members * estimate(group.spec, game_lib.players(group.spec, dataset)) < SURELY * limit:
    return members
  need, shapes = measured(group, dataset, rows), state_shapes(group, dataset)
  at_once = lambda count: rows * blocks.size(mesh.build(group.spec, count), shapes)  # noqa: E731
  counts = (rows * each for each in range(-(-members // rows), 1, -1))
  fitting = (count for count in counts if need.of(count, at_once(count)) <= SHARE * limit)
  return min(members, next(fitting, rows))


def state_shapes(group: Group, dataset: Dataset) -> Any:
  """The state of one run, as shapes."""
  played = game_lib.build(group.spec, dataset)
  first = jax.tree.map(lambda x: x[0], group.hypers)
  return jax.eval_shape(lambda hypers: initial_state(hypers, played), first)


def estimate(spec: Spec, players: tuple[Player, Player]) -> int:
  """Bytes of one run, roughly and from shapes alone: its state, and what the passes of a step keep.

  The state is several sets of weights. A pass keeps what the derivative of D(G(z)) by both players' weights needs.
  """
  generator, discriminator = players

  def kept(key: Any) -> Any:
    (gen, gen_memory), (disc, disc_memory) = generator.init(key), discriminator.init(key)
    noise = jnp.zeros((spec.batch_size, spec.latent_size))
    labels = jnp.zeros(spec.batch_size, jnp.int32)

    def logits(gen: Any, disc: Any) -> Any:
      images = generator.apply(gen, gen_memory, noise, labels, True)[0]
      return discriminator.apply(disc, disc_memory, images, labels, True)[0].logits

    return jax.vjp(logits, gen, disc)[1]  # a pytree, whose leaves are what it keeps

  weights = memory.size(generator) + memory.size(discriminator)
  passes = PASSES * (1 + spec.unroll_steps + len(lens.names(spec.lens)))
  return 5 * weights + passes * _bytes(jax.eval_shape(kept, jax.random.key(0)))


def measured(group: Group, dataset: Dataset, rows: int) -> Need:
  """What the group's program needs, from that of one run on each row of the mesh, for one step. Compiles it."""
  few = grouping.part(group, range(rows))
  # The order of the data is arithmetic on their number: a few examples make the same program.
  some = jax.tree.map(lambda x: np.asarray(x[: (4 + group.spec.hold_out) * group.spec.batch_size]), dataset.data)
  small = dataset._replace(data=some)
  unasked: Any = None  # sample quality is not measured
  program = population.compile_group(few, game_lib.build(group.spec, dataset), small, unasked)
  state = jax.eval_shape(program.init, program.hypers)
  found = analysis(program, state)
  columns = program.layout.mesh.devices.shape[1]
  kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes - _bytes(some)
  samples = group.spec.evaluation_samples * 4 * min(64, int(np.prod(dataset.image_shape)))
  resident = memory.fits(dataset, group.configs[0]["data_memory"])
  held = _bytes(dataset.data) if resident else (1 + feeding.AHEAD) * feeding.LARGEST
  fixed = rows * columns * (held + feeding.LARGEST)
  return Need(int(columns * kept) + samples, int(columns * found.temp_size_in_bytes), fixed)


def analysis(program: population.Program, state: Any) -> Any:
  """XLA's account of a program's memory on one device, for a single step; `state` may be shapes. Compiles it."""
  advance: Any = program.advance  # of resident data
  return advance.jitted.lower(program.hypers, state, program.data, 1, 1, 1, 1).compile().memory_analysis()


def _bytes(tree: Any) -> int:
  return sum(int(np.prod(x.shape, dtype=object)) * x.dtype.itemsize for x in jax.tree.leaves(tree))
