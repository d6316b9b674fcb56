"""What is on disk of a group whose runs were made longer, made that of longer runs, before the group is resumed.

All of it follows from what lies there, so after a kill it is done again to the same end.
"""

from pathlib import Path

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.core.files import read_arrays, write_arrays
from gan_jax.runner import best, checkpoint
from gan_jax.runner.grouping import Group
from gan_jax.runs import plan


def prepare(study: Path, group: Group) -> list[Path]:
  """Give the best generators of a group their runs' new ids; returns what is to be set aside.

  That is what a run of its new length does not have: checkpoints and samples of the former end, where that is no end of
  a chunk, or no evaluation, any more.
  """
  config = group.configs[0]
  ends, measured = {chunk.last for chunk in plan.of(config)}, set(plan.evaluations(config, group.start))
  for former in (group.before, group.begun):
    for old, new in zip(former, group.ids, strict=True):
      _rename(best.place(study, group.name, old), best.place(study, group.name, new), new, measured)
  directory = study / "checkpoints" / group.name
  odd = [directory / str(step) for step in checkpoint.steps(directory) if step not in ends]
  return odd + [path for step, path in runs.sample_steps(study, group.name) if step not in measured]


def _rename(old: Path, new: Path, run: str, measured: set[int]) -> None:
  """Copy the best generator of a run to its new id, unless there is one, or it was best where it is not measured now."""
  if new.exists():
    return
  try:
    found = read_arrays(old)
  except BadInput:  # none, or damaged: it is computed again where a checkpoint is left
    return
  if "step" in found and int(found["step"]) in measured:
    write_arrays(new, **{**found, "run": np.asarray(run)})
