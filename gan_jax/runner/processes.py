"""One study trained by several processes, on one machine or on many, with `jax.distributed`.

All processes run the same code and call the same compiled programs in the same order. Process 0 is the first: it alone
reads and writes the study's directory and prints, and it tells the others what it found there (`told`). Whatever the
host reads of arrays that lie on all processes' devices is made `whole` before. For one process each function here is
the identity, or does nothing.

How they end together is in ending.py. No jax import: it is imported only where several processes are asked for.
"""

import functools
import itertools
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from gan_jax.core.errors import BadInput, Failure
from gan_jax.runner.signals import Stop

T = TypeVar("T")
P = ParamSpec("P")

COORDINATOR, COUNT, INDEX = "GAN_JAX_COORDINATOR", "GAN_JAX_PROCESSES", "GAN_JAX_PROCESS"
AUTO = "auto"
HEARTBEAT = 30  # seconds without a sign of life after which a process counts as dead
FAREWELL = 5  # seconds that processes wait for one another at the end
LONG = 86_400_000  # milliseconds to wait for another process; a dead one is noticed by its missing heartbeat
COPIED = 2**26  # bytes of arrays that are copied to all devices at once
PIECE = 2**20  # bytes that are sent at once


class Place(NamedTuple):
  """Which process this is to be. None: jax finds it."""

  coordinator: str | None  # host:port, where the first process listens
  processes: int | None
  number: int | None


def asked(environment: Mapping[str, str]) -> Place | None:
  """What the environment asks for; None: one process.

  Raises:
    BadInput: one of the three variables is missing, or is not what it should be.
  """
  given = {name: environment[name] for name in (COORDINATOR, COUNT, INDEX) if environment.get(name)}
  if not given:
    return None
  if given.get(COORDINATOR) == AUTO:
    if len(given) > 1:
      more = " and ".join(name for name in given if name != COORDINATOR)
      raise BadInput(f"{COORDINATOR}={AUTO} expected to find the number of processes by itself, got {more} as well")
    return Place(None, None, None)
  missing = [name for name in (COORDINATOR, COUNT, INDEX) if name not in given]
  if missing:
    raise BadInput(
      f"several processes expected {COORDINATOR}, {COUNT} and {INDEX}, or {COORDINATOR}={AUTO} alone, got no "
      f"{' and no '.join(missing)}"
    )
  if not re.fullmatch(r"\S+:\d{1,5}", given[COORDINATOR]):
    raise BadInput(f"{COORDINATOR} expected host:port of process 0, or {AUTO}, got {given[COORDINATOR]!r}")
  for name in (COUNT, INDEX):
    if not re.fullmatch(r"\d{1,6}", given[name]):
      raise BadInput(f"{name} expected a whole number, got {given[name]!r}")
  count, index = int(given[COUNT]), int(given[INDEX])
  if not index < count:
    raise BadInput(f"{INDEX} expected a number from 0 to {COUNT} - 1, with {COUNT}={count}, got {index}")
  return Place(given[COORDINATOR], count, index) if count > 1 else None


def join() -> None:
  """Meet the other processes, if the environment asks for several; to be called before jax makes its devices.

  Raises:
    BadInput: as `asked`; `auto` where jax knows no way to find the others, or jax was used before.
    Failure: the others did not come.
  """
  place = asked(os.environ)
  if place is None or joined():
    return
  import jax

  jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
  try:
    jax.distributed.initialize(
      place.coordinator,
      place.processes,
      place.number,
      cluster_detection_method=None if place.coordinator is None else "deactivate",
      heartbeat_timeout_seconds=HEARTBEAT,
      shutdown_timeout_seconds=FAREWELL,
    )
  except ValueError as error:  # no cluster that jax knows
    raise BadInput(
      f"{COORDINATOR}={AUTO} expected Slurm, Open MPI, Kubernetes or a TPU pod, found none of them ({error}); expected "
      f"{COORDINATOR}=host:port with {COUNT} and {INDEX}"
    ) from error
  except jax.errors.JaxRuntimeError as error:
    raise Failure(f"this process did not meet the others at {place.coordinator or AUTO}: {error}") from error
  except RuntimeError as error:
    raise BadInput(f"{COORDINATOR} expected a process in which jax was not used before: {error}") from error


def state() -> Any:
  """jax's record of the processes. It is not public; neither is anything else by which hosts exchange text."""
  from jax._src import distributed

  return distributed.global_state


def joined() -> bool:
  """Whether this process is one of several. It imports nothing: a signal may ask while jax is being imported."""
  found = getattr(sys.modules.get("jax._src.distributed"), "global_state", None)
  return found is not None and found.client is not None and found.num_processes > 1


def count() -> int:
  return int(state().num_processes) if joined() else 1


def leads() -> bool:
  """Whether this process is the first, which reads, writes and prints; also the only one."""
  return not joined() or state().process_id == 0


def by_the_first(function: Callable[P, None]) -> Callable[P, None]:
  """`function`, which the other processes do not call."""

  @functools.wraps(function)
  def called(*arguments: P.args, **named: P.kwargs) -> None:
    if leads():
      function(*arguments, **named)

  return called


@functools.cache
def _numbers() -> Iterator[int]:
  """Of the messages, which all processes count alike."""
  return itertools.count()


def _sent(data: bytes) -> bytes:
  """The first's `data`, at every process, once all have it."""
  client, name = state().client, f"gan_jax/message/{next(_numbers())}"
  if leads():
    pieces = range(0, len(data), PIECE)
    for i in pieces:
      client.key_value_set_bytes(f"{name}/{i // PIECE}", data[i : i + PIECE])
    client.key_value_set(f"{name}/count", str(len(pieces)))
  else:
    number = int(client.blocking_key_value_get(f"{name}/count", LONG))
    data = b"".join(client.blocking_key_value_get_bytes(f"{name}/{i}", LONG) for i in range(number))
  client.wait_at_barrier(name, LONG)
  if leads():
    client.key_value_delete(f"{name}/")
  return data


def told(make: Callable[[], T]) -> T:
  """What `make` gives at the first process: a value of JSON, which the others are told."""
  if not joined():
    return make()
  data = zlib.compress(json.dumps(make()).encode()) if leads() else b""
  value: T = json.loads(zlib.decompress(_sent(data)))
  return value


def told_arrays(make: Callable[[], T], like: T) -> T:
  """What `make` gives at the first process: a pytree of numpy arrays with the structure, shapes and dtypes of `like`.

  Bytes are sent, where jax's own broadcast adds zeros and so loses the sign of -0.
  """
  if not joined():
    return make()
  import jax

  tree = make() if leads() else like
  leaves, structure = jax.tree.flatten(tree)
  leaves = [np.asarray(leaf) for leaf in leaves]
  data = _sent(b"".join(leaf.tobytes() for leaf in leaves) if leads() else b"")
  ends = np.cumsum([leaf.nbytes for leaf in leaves])
  parts = [data[end - leaf.nbytes : end] for leaf, end in zip(leaves, ends, strict=True)]
  found = [np.frombuffer(part, x.dtype).reshape(x.shape).copy() for part, x in zip(parts, leaves, strict=True)]
  value: T = jax.tree.unflatten(structure, found)
  return value


def in_turn(make: Callable[[], T]) -> T:
  """`make()`, by the first process and then by the others, which may find in a cache what it made."""
  if not joined():
    return make()
  if leads():
    made = make()
    told(lambda: None)
    return made
  told(lambda: None)
  return make()


def same(what: str, value: str) -> None:
  """Raises `BadInput` at a process whose `value` is not the first's."""
  first = told(lambda: value)
  if first != value:
    raise BadInput(f"all processes expected the same {what}, got {first} at process 0 and {value} here")


def greatest(number: int) -> int:
  """The greatest of all processes' numbers (below 2^31). jax has made its devices."""
  if not joined():
    return number
  from jax.experimental import multihost_utils

  return int(multihost_utils.process_allgather(np.int32(number)).max())


def agree(stop: Stop) -> bool:
  """Whether a signal asked any of the processes to stop; then it has asked all."""
  if joined():
    stop.asked = greatest(stop.asked or 0) or None
  return stop.wanted


def machines() -> int:
  """On how many machines the processes run."""
  if not joined():
    return 1
  from jax.experimental import multihost_utils

  name = np.uint32(zlib.crc32(os.uname().nodename.encode()))
  return len(np.unique(multihost_utils.process_allgather(name)))


def put(tree: Any, sharding: Any) -> Any:
  """A pytree of arrays that are the same at every process, put on the devices of all as `sharding` says."""
  import jax

  if not joined():
    return jax.device_put(tree, sharding)

  def one(x: Any) -> Any:
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

  return jax.tree.map(one, tree)


def put_own(tree: Any, sharding: Any) -> Any:
  """As `put`, where each process gives only those members that its own devices are to have."""
  import jax

  if not joined():
    return jax.device_put(tree, sharding)
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def own(members: Any) -> Any:
  """Of an array whose first axis is divided over the devices, the part on this process's devices."""
  if not joined():
    return members
  parts = {shard.index[0].start or 0: np.asarray(shard.data) for shard in members.addressable_shards}
  return np.concatenate([parts[first] for first in sorted(parts)])


def whole(tree: Any) -> Any:
  """A pytree of arrays on the devices of all processes, for the host to read: numpy arrays, the same at each process.

  For that they are copied to all devices, at most `COPIED` bytes at once or a single array. To be called by the main
  thread, as everything that the processes do together.
  """
  if not joined():
    return tree
  import jax
  from jax.sharding import NamedSharding, PartitionSpec

  leaves, structure = jax.tree.flatten(tree)
  everywhere = NamedSharding(leaves[0].sharding.mesh, PartitionSpec())
  found: list[np.ndarray] = []
  while rest := leaves[len(found) :]:
    sizes = np.cumsum([leaf.nbytes for leaf in rest])
    some = rest[: max(1, int(np.searchsorted(sizes, COPIED, side="right")))]
    copied = jax.jit(_itself, out_shardings=everywhere)(some)
    found += [np.asarray(leaf.addressable_data(0)) for leaf in copied]
  return jax.tree.unflatten(structure, found)


def _itself(tree: Any) -> Any:
  return tree
