"""The message when jax or the machine fails during a study: one sentence, and the stack trace in a file."""

import contextlib
import re
import traceback
from pathlib import Path

from gan_jax import runs
from gan_jax.core.errors import Failure, plural
from gan_jax.runner import processes
from gan_jax.runner.population import Group

OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory|bad_alloc|unable to allocate", re.I)
TRACE = "error.txt"


def explain(error: Exception, group: Group, study: Path) -> Failure:
  """The failure of a group's programs as one sentence; the stack trace goes to `error.txt` in the study's directory.

  For lack of memory, it names the fields that determine a program's size.
  """
  trace = study / (TRACE if processes.leads() else f"process-{processes.state().process_id}-{TRACE}")
  with contextlib.suppress(OSError):
    runs.write_atomic(trace, "".join(traceback.format_exception(error)).encode())
  reason = (str(error).strip() or type(error).__name__).splitlines()[0]
  spec, members = group.spec, len(group.configs)
  sizes = ", ".join(f"{name}={size}" for name, size in spec.model_options if type(size) is int)
  if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)):
    return Failure(
      f"out of memory in {group.name}: {plural(members, 'member')} of model {spec.model} ({sizes}) with batch_size "
      f"{spec.batch_size} and evaluation_samples {spec.evaluation_samples}; lower one of these, or the number of runs in "
      f"one sweep ({_short(reason)}; {trace})"
    )
  died = "; if another process died, the same command goes on from the last checkpoint" if processes.joined() else ""
  return Failure(f"jax failed in {group.name}: {_short(reason)}; the stack trace is in {trace}{died}")


def _short(text: str) -> str:
  return text if len(text) <= 200 else f"{text[:200]}..."
