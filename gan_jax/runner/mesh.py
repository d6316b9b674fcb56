"""The devices as a mesh of two axes: the members of a population are divided over `members`, each run's batch over `batch`.

Members do not communicate, so that axis scales by construction. Along `batch` a step is written as for one device: the
compiler divides the arrays and inserts the sums over devices, so losses and statistics of the whole batch stay correct.
Rounding differs from that of one device, as between any two layouts.

Of several processes each has whole rows, so only the members are divided over processes, and training exchanges nothing
between them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.core.errors import BadInput
from gan_jax.core.types import Player
from gan_jax.runner import processes
from gan_jax.settings.records import Spec

MEMBERS, BATCH = "members", "batch"
# Weights of convolutions times examples times pixels that each core of a CPU must have, for a batch to be divided.
# Measured on two cores of an AMD EPYC, in 1e9; ms of a step with the batch on one device and on two: DCGAN 28 x 28 of
# width 16, 0.22: 7.2, 9.2; width 32, 0.85: 14.7, 13.6; width 64, batch 16, 0.83: 10.4, 7.5; batch 64, 3.3: 36, 25; on
# 8 x 8, 0.27: 4.1, 4.4; SNDCGAN of width 128, 18: 105, 79; residual network of width 64, 16: 457, 286. MLPs: twice as slow.
SHARE = 0.4e9
REPLICATED, DIVIDED, ROWS = PartitionSpec(), PartitionSpec(MEMBERS), PartitionSpec(None, MEMBERS)


class Layout(NamedTuple):
  """A mesh, and the number of members on it."""

  mesh: Mesh
  members: int
  padded: int  # members, rounded up to a multiple of the mesh's rows; the surplus repeats the last member

  def put(self, tree: Any, spec: PartitionSpec) -> Any:
    return processes.put(tree, NamedSharding(self.mesh, spec))

  def replicate(self, tree: Any) -> Any:
    """A host pytree, whole on every device. The devices of a CPU have one memory, and share one copy of each array."""
    devices, everywhere = list(self.mesh.devices.flat), NamedSharding(self.mesh, REPLICATED)
    if processes.joined() or devices[0].platform != "cpu":
      return self.put(tree, REPLICATED)

    def one(x: Any) -> Array:
      first = jax.device_put(x, devices[0])
      held = np.asarray(first)  # a view of the device's memory
      others = [jax.device_put(held, device, may_alias=True) for device in devices[1:]]
      return jax.make_array_from_single_device_arrays(first.shape, everywhere, [first, *others])

    return jax.tree.map(one, tree)

  def put_own(self, tree: Any, spec: PartitionSpec) -> Any:
    """As `put`, of the members that this process's devices have."""
    return processes.put_own(tree, NamedSharding(self.mesh, spec))

  def place(self, tree: Any) -> Any:
    """A host pytree with leaves [members, ...], padded and put on the devices."""
    return self.put(jax.tree.map(self.pad, tree), DIVIDED)

  def pad(self, values: np.ndarray) -> np.ndarray:
    """[members, ...] -> [padded, ...]"""
    return np.concatenate([values, np.repeat(values[-1:], self.padded - self.members, axis=0)])

  def cut(self, tree: Any) -> Any:
    """Leaves [padded, ...] on the devices -> leaves [members, ...] on the host."""
    return jax.tree.map(lambda x: x[: self.members], jax.device_get(processes.whole(tree)))

  def divide(self, function: Callable, inputs: Any, outputs: Any) -> Callable:
    """`function`, applied to the members of each row separately; the compiler divides the batch axis."""
    names = {MEMBERS} if self.mesh.shape[BATCH] > 1 else {MEMBERS, BATCH}
    return jax.shard_map(
      function, mesh=self.mesh, in_specs=inputs, out_specs=outputs, axis_names=names, check_vma=False
    )

  def spread(self, batch: Array) -> Array:
    """Inside `divide`: an array whose first axis is the batch, divided over the batch axis."""
    if self.mesh.shape[BATCH] == 1:
      return batch
    return lax.with_sharding_constraint(batch, PartitionSpec(BATCH))


def shape(devices: int, members: int, batch: int, asked: int = 0, count: int = 1) -> tuple[int, int]:
  """(rows, columns) of the mesh for `members` runs, each with a batch that can be divided into `batch` equal parts.

  Each member gets a row of its own as long as there are devices, since members never talk to one another. As many of the
  remaining devices as divide `batch` then share the batches of each row.

  Args:
    devices: number of devices.
    members: number of runs.
    batch: examples, or packs of them.
    asked: devices for each run's batch; 0: as above.
    count: processes, each of which has an equal part of the devices and whole rows.

  Raises:
    BadInput: a number asked for that does not divide the devices and the batch.
  """
  own = devices // count
  columns = [c for c in range(1, own + 1) if own % c == 0 and batch % c == 0]
  if asked and asked not in columns:
    whose = f"{own} devices{' of each process' * (count > 1)}"
    raise BadInput(
      f"batch_devices expected a divisor of the {whose} and of the batch ({batch} examples or packs), "
      f"{', '.join(map(str, columns))}, got {asked}"
    )
  most = asked or max(c for c in columns if c == 1 or devices // c >= members)
  return devices // most, most


def shape_of_cores(devices: int, members: int, batch: int, asked: int = 0) -> tuple[int, int]:
  """`shape` on a CPU, where a device that would only train a copy takes time from the others and is left out.

  >>> shape_of_cores(6, 1, 64), shape_of_cores(6, 1, 64, asked=4), shape_of_cores(6, 35, 64)
  ((1, 1), (1, 4), (6, 1))
  """
  columns = [c for c in range(1, devices + 1) if batch % c == 0]
  if asked and asked not in columns:
    raise BadInput(
      f"batch_devices expected at most the {devices} devices, and a divisor of the batch ({batch} examples or packs), "
      f"{', '.join(map(str, columns))}, got {asked}"
    )
  most = asked or 1
  return min(members, devices // most), most


def settled(spec: Spec, members: int, players: Sequence[Player], shape: Sequence[int]) -> Spec:
  """The spec with `batch_devices`, where that is 0 and this is a CPU: the devices over which each run's batch is divided.

  XLA computes a convolution on all cores, but most of what stands between two of them on one. So a large network gains
  if each core has a part of the batch, and a small one, or one without convolutions, loses by the sums over devices.

  Args:
    spec: of the runs.
    members: how many train side by side.
    players: generator and discriminator.
    shape: of an example.
  """
  devices = jax.devices()
  if spec.batch_devices or devices[0].platform != "cpu" or processes.joined():
    return spec
  pixels = int(np.prod(shape[:2], dtype=object))
  work = sum(kernels(player) for player in players) * spec.batch_size * pixels
  most = max(1, min(len(devices) // members, int(work / SHARE)))
  columns = max(c for c in range(1, most + 1) if spec.batch_size // spec.packing % c == 0)
  return spec._replace(batch_devices=columns)


def kernels(player: Player) -> int:
  """The number of a player's weights that belong to convolutions: their kernels are [height, width, in, out]."""
  weights, _ = jax.eval_shape(lambda: player.init(jax.random.key(0)))
  return sum(int(np.prod(leaf.shape, dtype=object)) for leaf in jax.tree.leaves(weights) if len(leaf.shape) == 4)


def build(spec: Spec, members: int, devices: Sequence[Any] | None = None) -> Layout:
  """The layout of a population over all devices (or those given).

  Raises:
    BadInput: as `shape` does.
  """
  devices = sorted(jax.devices() if devices is None else devices, key=lambda device: device.process_index)
  batch, asked = spec.batch_size // spec.packing, spec.batch_devices
  cpu = devices[0].platform == "cpu"
  if cpu and not processes.joined():
    rows, columns = shape_of_cores(len(devices), members, batch, asked)
  else:
    rows, columns = shape(len(devices), members, batch, asked or int(cpu), processes.count())
  mesh = Mesh(np.array(devices[: rows * columns]).reshape(rows, columns), (MEMBERS, BATCH))
  return Layout(mesh, members, -(-members // rows) * rows)
