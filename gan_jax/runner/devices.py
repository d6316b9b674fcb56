"""The execution layout: kind and number of devices, number of cores. It is part of a run's identity and recorded with it.

GAN training is chaotic: rounding differences between two layouts grow until the runs are different experiments. So a
resumed run gets the layout that it began with, as far as the machine allows. jax is imported after the layout is set.
"""

import concurrent.futures
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gan_jax.core import cores
from gan_jax.core.errors import BadInput
from gan_jax.core.paths import cache_directory, private
from gan_jax.runner import processes


def configure(members: int, recorded: Mapping[str, Any] | None, each: int = 1) -> None:
  """Set up jax for `members` runs on `each` devices apiece; `recorded` is the layout that a resumed study began with.

  On a CPU each core becomes a device of its own: with one dispatch queue per core, training is 1.5 times as fast. A
  program takes as many of them as its runs can use (mesh.py). GPUs and TPUs ignore the setting. Where jax was used
  before, in a notebook, its existing devices are used. Several processes (processes.py) each have an equal part.

  Raises:
    BadInput: jax has no device of the kind that was asked for (`JAX_PLATFORMS`).
  """
  used = int(recorded["cores"]) if recorded else cores.count()
  if not ("jax" in sys.modules and initialised()):
    # XLA splits convolutions and matrix products into this many parts, which affects their rounding.
    os.environ.setdefault("NPROC", str(used))
    there = processes.count()
    # Of several processes all train on all of their devices; one takes as many as its runs need (mesh.py).
    count = min(used, -(-members // there) * max(each, 1)) if there > 1 else used
    if recorded and recorded["backend"] == "cpu":
      count = -(-int(recorded["devices"]) // there)
    jax = imported()
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
      jax.config.update("jax_num_cpu_devices", count)
  cache_programs()
  start()


def imported() -> Any:
  """The module jax. Raises `BadInput` where importing it fails, for example with `JAX_ENABLE_X64=maybe`."""
  try:
    import jax
  except ImportError:
    raise
  except Exception as error:
    raise BadInput(f"jax cannot be imported here: {type(error).__name__}: {error}") from error
  return jax


def setting(name: str, absent: Any = None) -> Any:
  """The value of one of jax's settings; `absent` where this jax has no such setting."""
  import jax

  return getattr(jax.config, name, absent)


def initialised() -> bool:
  """Whether jax has created its devices, so that their number is fixed."""
  import jax

  name = "jax_num_cpu_devices"
  value = setting(name)
  try:
    jax.config.update(name, value + 1)  # refused once devices exist
  except RuntimeError:
    return True
  jax.config.update(name, value)
  return False


def cache_programs() -> None:
  """Cache compiled programs on disk, unless the user chose a cache or the directory cannot be written, or is another's."""
  import jax

  if setting("jax_compilation_cache_dir") is None:
    with contextlib.suppress(OSError):
      cache = private(private(cache_directory()) / "xla")
      jax.config.update("jax_compilation_cache_dir", str(cache))


def start() -> None:
  """Create jax's devices. Raises `BadInput` naming the kind that was asked for and the kinds that exist."""
  jax = imported()
  try:
    jax.devices()
  except Exception as error:  # jax 0.10 raises AssertionError for a missing GPU, RuntimeError otherwise
    asked = setting("jax_platforms")
    reason = (str(error).strip() or "it was not found").splitlines()[0].split(" (set JAX_PLATFORMS")[0]
    if not asked:
      raise BadInput(f"jax finds no device to run on: {reason}") from error
    raise BadInput(
      f"JAX_PLATFORMS expected a kind of device that this machine has, {_there()}, got {asked!r}: {reason}"
    ) from error


def _there() -> str:
  """The platforms that jax finds by itself, for an error message; jax's settings are restored."""
  import jax
  from jax.extend import backend

  asked = setting("jax_platforms")
  try:
    jax.config.update("jax_platforms", None)
    return " or ".join(repr(name) for name in sorted(backend.backends()))
  except Exception as error:
    return f"none ({error})"
  finally:
    backend.clear_backends()
    jax.config.update("jax_platforms", asked)


# jax's settings for debugging, and their defaults. Under the first two a NaN is an error, but here it means "missing";
# the others forbid or slow down what a population does all the time.
DEBUGGING: dict[str, Any] = {
  "jax_debug_nans": False,
  "jax_debug_infs": False,
  "jax_disable_jit": False,
  "jax_check_tracer_leaks": False,
  "jax_debug_key_reuse": False,
  "jax_enable_checks": False,
  "jax_numpy_dtype_promotion": "standard",
  "jax_transfer_guard": None,
  "jax_transfer_guard_host_to_device": None,
  "jax_transfer_guard_device_to_device": None,
  "jax_transfer_guard_device_to_host": None,
  "jax_array_garbage_collection_guard": None,
}
# Settings that affect results to the bit, and their defaults.
DECISIVE: dict[str, Any] = {
  "jax_enable_x64": False,
  "jax_default_matmul_precision": None,
  "jax_default_prng_impl": "threefry2x32",
  "jax_threefry_partitionable": True,
  "jax_random_seed_offset": 0,
  "jax_disable_most_optimizations": False,
}
HARMLESS_FLAGS = (
  "--xla_dump",
  "--xla_force_host_platform_device_count",
)  # the number of devices is recorded separately


def _changed(defaults: Mapping[str, Any]) -> dict[str, Any]:
  return {name: there for name, value in defaults.items() if (there := setting(name, value)) != value}


def _global(defaults: Mapping[str, Any]) -> dict[str, Any]:
  """`_changed` as a new thread finds it: without what the caller's `with jax.debug_nans():` says in this one."""
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    return pool.submit(_changed, defaults).result()


@contextlib.contextmanager
def undisturbed(say: Callable[[str], None]) -> Iterator[None]:
  """Run the body with jax's debugging settings off, and say which were on; they are restored afterwards.

  A setting may be jax's own, which holds in all threads, or this thread's, within a `with jax.debug_nans():`.
  """
  import jax

  everywhere = _global(DEBUGGING)
  found = everywhere | _changed(DEBUGGING)
  if found:
    names = ", ".join(f"{name.upper()}={value}" for name, value in found.items())
    say(f"not used for a study, whose NaN means missing and whose programs are compiled whole: {names}")
  try:
    for name in everywhere:
      jax.config.update(name, DEBUGGING[name])
    with contextlib.ExitStack() as stack:
      for name in _changed(DEBUGGING):
        default = "allow" if DEBUGGING[name] is None else DEBUGGING[name]
        stack.enter_context(getattr(jax, name.removeprefix("jax_"))(default))
      yield
  finally:
    for name, value in everywhere.items():
      jax.config.update(name, value)


def layout() -> dict[str, Any]:
  """The layout in use: backend, kind and number of devices, cores, and the `DECISIVE` settings that are not at default.

  And the number of processes, if several: a CPU has threads for the devices of each, over which XLA divides large sums.
  Where jax was used before `configure`, XLA has counted the cores by itself, and knows nothing of a limit on their time.
  """
  import jax

  devices = jax.devices()
  flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(HARMLESS_FLAGS)]
  return {
    "backend": jax.default_backend(),
    "device_kind": devices[0].device_kind,
    "devices": len(devices),
    "cores": int(os.environ.get("NPROC", len(cores.numbers()))),
    **({"processes": processes.count()} if processes.joined() else {}),
    **_changed(DECISIVE),
    **({"xla_flags": " ".join(flags)} if flags else {}),
  }
