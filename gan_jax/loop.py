"""The loop over one group: chunks of compiled steps; between them rows, samples, quality, checkpoint and progress.

The plan is a pure function of the cadence fields, so a resumed run executes the same chunks as one never stopped.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax import resume
from gan_jax.plan import Chunk, chunks
from gan_jax.population import Group, Program
from gan_jax.types import Spec


def plan(spec: Spec) -> list[Chunk]:
  """The chunks of a whole run; see `gan_jax.plan`."""
  return chunks(spec.steps, spec.probe_every, spec.evaluate_every, spec.checkpoint_every)


class Progress(NamedTuple):
  """What the loop tells after each chunk."""

  step: int
  steps: int
  members: int
  seconds: float  # of this process, in the loop
  steps_done: int  # by this process


def run_group(
  study: Path,
  group: Group,
  program: Program,
  origin: resume.Origin,
  report: Callable[[Progress], None],
  say: Callable[[str], None],
) -> None:
  """Train a group to its end, from the newest intact checkpoint or from the start, and write everything to `study`.

  Raises:
    BadInput: its checkpoints are of other members, other data or another program; nothing is touched.
    OSError: something could not be read or written. What is on disk stays good, and the same call goes on from it.
  """
  writer = resume.Writer(study, group, program, origin, say)
  found = resume.start(writer)
  if found is None:
    writer.mark()
    return
  first, state = found
  todo = [chunk for chunk in plan(group.spec) if chunk.first >= first]
  for change in origin.changes if todo else ():
    writer.doubt(change)
  before, began = writer.seconds, time.monotonic()
  writer.status(first, before, state)  # derived from the state, whatever stood there
  pending: tuple[Chunk, Any] | None = None

  def flush() -> None:
    nonlocal pending
    if pending is not None:
      writer.rows(*pending)
      pending = None

  if first == 0:
    writer.measure(state, 0)
  for chunk in todo:
    state, rows = program.advance(program.hypers, state, program.data, chunk.windows, chunk.length)
    flush()  # the rows of the chunk before, while the devices work on this one
    pending = chunk, rows
    if chunk.evaluate:
      writer.measure(state, chunk.last)
    if chunk.save:
      flush()  # rows first: a checkpoint never stands on rows that are not there
      writer.save(state, chunk.last)
    jax.block_until_ready(state)
    seconds = time.monotonic() - began
    writer.status(chunk.last, before + seconds, state)
    report(Progress(chunk.last, group.spec.steps, program.members, seconds, chunk.last - first))
