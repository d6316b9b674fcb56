"""TensorBoard's event files as bytes: scalars and pictures, each record whole. No jax import.

tensorboardX's protocol buffers are used and its writer is not: on a full disk its thread dies, and closing it then never
returns. An event file is a sequence of records: length, its checksum, data, its checksum
(tensorflow/core/lib/io/record_writer.h).
"""

import functools
import re
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

PREFIX = "events.out.tfevents."  # what TensorBoard takes for an event file begins so
LONGEST = 100  # letters of a label in the name of a folder
LIVE = ".live"  # how the name of a file ends that is written while the run is trained


class Protocol(NamedTuple):
  """tensorboardX's generated classes. They are imported when they are needed: it takes half a second."""

  event: Any
  log: Any
  summary: Any
  metadata: Any  # of a scalar that is a tensor
  tensor: Any
  shape: Any
  double: int
  checksum: Any


@functools.cache
def protocol() -> Protocol:
  from tensorboardX.proto.event_pb2 import Event, SessionLog
  from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
  from tensorboardX.proto.tensor_pb2 import TensorProto
  from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto
  from tensorboardX.proto.types_pb2 import DT_DOUBLE
  from tensorboardX.record_writer import masked_crc32c

  scalar = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
  return Protocol(Event, SessionLog, Summary, scalar, TensorProto, TensorShapeProto, DT_DOUBLE, masked_crc32c)


def _record(**fields: Any) -> bytes:
  known = protocol()
  data = known.event(**fields).SerializeToString()
  head = struct.pack("<Q", len(data))
  return head + struct.pack("<I", known.checksum(head)) + data + struct.pack("<I", known.checksum(data))


def head(time: float) -> bytes:
  """The first record of a file. `time`: seconds since 1970."""
  return _record(wall_time=time, file_version="brain.Event:2")


def restart(time: float, step: int) -> bytes:
  """A record after which TensorBoard forgets what the run's earlier files say of this step and later ones."""
  known = protocol()
  return _record(wall_time=time, step=step, session_log=known.log(status=known.log.START))


def scalars(time: float, step: int, values: Iterable[tuple[str, np.generic]]) -> bytes:
  """The numbers of one step; NaN is left out, and there is no record of nothing.

  TensorBoard's plain scalars are float32, which has no 16,777,217: counts are scalars in double precision.
  """
  found = [_value(name, x) for name, x in values if not np.isnan(x)]
  return _record(wall_time=time, step=step, summary=protocol().summary(value=found)) if found else b""


def _value(name: str, x: np.generic) -> Any:
  known = protocol()
  if isinstance(x, np.integer):
    exact = known.tensor(dtype=known.double, tensor_shape=known.shape(), double_val=[float(x)])
    return known.summary.Value(tag=name, tensor=exact, metadata=known.metadata)
  return known.summary.Value(tag=name, simple_value=float(x))


def picture(time: float, step: int, name: str, png: bytes, size: tuple[int, int]) -> bytes:
  """A PNG of `size` (height, width)."""
  known = protocol()
  image = known.summary.Image(height=size[0], width=size[1], colorspace=3, encoded_image_string=png)
  return _record(wall_time=time, step=step, summary=known.summary(value=[known.summary.Value(tag=name, image=image)]))


def folder_name(label: str, seed: int, run_id: str) -> str:
  """`hinge-seed3-0123abcdef`: short, and of letters, digits and `._=-` only, so that no label leaves the folder."""
  return f"{re.sub(r'[^A-Za-z0-9_=.-]+', '_', label).strip('._')[:LONGEST]}-seed{seed}-{re.sub(r'[^0-9A-Za-z]', '_', run_id)}"
