"""The devices as a mesh of two axes: the members of a population are divided over `members`, each run's batch over `batch`.

Members do not communicate, so that axis scales by construction. Along `batch` a step is written as for one device: the
compiler divides the arrays and inserts the sums over devices, so losses and statistics of the whole batch stay correct.
Rounding differs from that of one device, as between any two layouts.

Of several processes each has whole rows, so only the members are divided over processes, and training exchanges nothing
between them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import game
from gan_jax.core.errors import BadInput
from gan_jax.runner import processes
from gan_jax.settings.records import Spec

MEMBERS, BATCH = "members", "batch"
# Examples that each core must have for a CPU to divide a batch.
EXAMPLES = 16
REPLICATED, DIVIDED, ROWS = PartitionSpec(), PartitionSpec(MEMBERS), PartitionSpec(None, MEMBERS)


class Layout(NamedTuple):
  """A mesh, and the number of members on it."""

  mesh: Mesh
  members: int
  padded: int  # members, rounded up to a multiple of the mesh's rows; the surplus repeats the last member

  def put(self, tree: Any, spec: PartitionSpec) -> Any:
    return processes.put(tree, NamedSharding(self.mesh, spec))

  def put_own(self, tree: Any, spec: PartitionSpec) -> Any:
    """As `put`, of the members that this process's devices have."""
    return processes.put_own(tree, NamedSharding(self.mesh, spec))

  def place(self, tree: Any) -> Any:
    """A host pytree with leaves [members, ...], padded and put on the devices."""
    pad = lambda x: np.concatenate([x, np.repeat(x[-1:], self.padded - self.members, axis=0)])  # noqa: E731
    return self.put(jax.tree.map(pad, tree), DIVIDED)

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


def cores(model: str, batch: int) -> int:
  """The most devices of a CPU that share a run's batch, where `batch_devices` gives no number.

  XLA computes a convolution on all cores, but what stands between two of them on one. A fully connected network is too
  small to gain: it waits longer for the sums over devices.

  Args:
    model: the name of a registered model.
    batch: examples, or packs of them.
  """
  return max(1, batch // EXAMPLES) if game.convolutional(model) else 1


def most_columns(configs: Sequence[Mapping[str, Any]]) -> int:
  """The most devices that a CPU should have for each run of a study, given the full configs."""
  return max(c["batch_devices"] or cores(c["model"], c["batch_size"] // c["packing"]) for c in configs)


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
  if asked:
    if asked not in columns:
      whose = f"{own} devices{' of each process' * (count > 1)}"
      raise BadInput(
        f"batch_devices expected a divisor of the {whose} and of the batch ({batch} examples or packs), "
        f"{', '.join(map(str, columns))}, got {asked}"
      )
    return devices // asked, asked
  most = max(c for c in columns if c == 1 or devices // c >= members)
  return devices // most, most


def shape_of_cores(devices: int, members: int, batch: int, most: int) -> tuple[int, int]:
  """`shape` on a CPU, where a device that would only train a copy takes time from the others, and is left out.

  >>> shape_of_cores(8, 1, 64, most=4), shape_of_cores(8, 3, 64, most=4), shape_of_cores(8, 35, 64, most=4)
  ((1, 4), (3, 2), (8, 1))
  """
  columns = max(c for c in range(1, max(1, min(most, devices // members)) + 1) if batch % c == 0)
  return min(members, devices // columns), columns


def build(spec: Spec, members: int, devices: Sequence[Any] | None = None) -> Layout:
  """The layout of a population over all devices (or those given).

  On a CPU at most `cores` devices share a batch, unless `Spec.batch_devices` asks for more.

  Raises:
    BadInput: as `shape` does.
  """
  devices = sorted(jax.devices() if devices is None else devices, key=lambda device: device.process_index)
  batch, asked, cpu = spec.batch_size // spec.packing, spec.batch_devices, devices[0].platform == "cpu"
  if asked or not cpu or processes.joined():
    rows, columns = shape(len(devices), members, batch, asked or int(cpu), processes.count())
  else:
    rows, columns = shape_of_cores(len(devices), members, batch, cores(spec.model, batch))
  if cpu and not processes.joined():
    rows = min(rows, members)
  mesh = Mesh(np.array(devices[: rows * columns]).reshape(rows, columns), (MEMBERS, BATCH))
  return Layout(mesh, members, -(-members // rows) * rows)
