"""The execution layout: which devices, how many, over how many cores. Part of a run's identity, recorded and kept.

GAN training is chaotic: rounding differences between two layouts grow into two different experiments. So a resumed run
is given the layout that it began with, as far as this machine can. jax is imported only once the layout is set.
"""

import concurrent.futures
import contextlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput


def cores() -> int:
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_directory() -> Path:
  """This user's cache of compiled programs and trained classifiers."""
  return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan_jax"


def configure(members: int, recorded: Mapping[str, Any] | None) -> None:
  """Set up jax for `members` runs; `recorded` is the layout that a resumed study began with.

  On a CPU each core becomes a device of its own (one dispatch queue a core is worth half again the speed); the setting
  means nothing to a GPU or TPU. Where jax was used before, in a notebook, its devices are there and are used as they are.

  Raises:
    BadInput: jax has no device of the kind that was asked for (`JAX_PLATFORMS`).
  """
  used = int(recorded["cores"]) if recorded else cores()
  if not ("jax" in sys.modules and initialised()):
    # XLA's convolutions and matrix products are split by this number, and it decides their rounding.
    os.environ.setdefault("NPROC", str(used))
    count = int(recorded["devices"]) if recorded and recorded["backend"] == "cpu" else min(used, members)
    jax = imported()

    if "JAX_NUM_CPU_DEVICES" not in os.environ:
      jax.config.update("jax_num_cpu_devices", count)
  cache_programs()
  start()


def imported() -> Any:
  """jax. Raises `BadInput` where it refuses to be imported, as with `JAX_ENABLE_X64=maybe`."""
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
  """Whether jax has made its devices, so that their number can no longer be chosen."""
  import jax

  name = "jax_num_cpu_devices"
  value = setting(name)
  try:
    jax.config.update(name, value + 1)  # refused from then on
  except RuntimeError:
    return True
  jax.config.update(name, value)
  return False


def cache_programs() -> None:
  """Keep compiled programs between processes, where there is a directory that can be written and the user named none."""
  import jax

  cache = cache_directory() / "xla"
  if setting("jax_compilation_cache_dir") is None:
    with contextlib.suppress(OSError):
      cache.mkdir(mode=0o700, parents=True, exist_ok=True)
      jax.config.update("jax_compilation_cache_dir", str(cache))


def start() -> None:
  """Make jax's devices now. Raises `BadInput` naming what was asked for and the kinds of device that there are."""
  jax = imported()
  try:
    jax.devices()
  except Exception as error:  # jax 0.10 has an assertion for a GPU that is not there, a RuntimeError for the rest
    asked = setting("jax_platforms")
    reason = (str(error).strip() or "it was not found").splitlines()[0].split(" (set JAX_PLATFORMS")[0]
    if not asked:
      raise BadInput(f"jax finds no device to run on: {reason}") from error
    raise BadInput(
      f"JAX_PLATFORMS expected a kind of device that this machine has, {_there()}, got {asked!r}: {reason}"
    ) from error


def _there() -> str:
  """The platforms that jax finds when it may choose, for an error message; jax is left as it was."""
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


# Settings of jax that are for looking at one's own code, and their defaults. Under the first two a NaN is an error, and
# here it means "missing"; the others forbid or slow down what a population does all the time.
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
# Settings that decide the bits, and their defaults.
DECISIVE: dict[str, Any] = {
  "jax_enable_x64": False,
  "jax_default_matmul_precision": None,
  "jax_default_prng_impl": "threefry2x32",
  "jax_threefry_partitionable": True,
  "jax_random_seed_offset": 0,
  "jax_disable_most_optimizations": False,
}
HARMLESS_FLAGS = ("--xla_dump", "--xla_force_host_platform_device_count")  # the number of devices is recorded by itself


def _changed(defaults: Mapping[str, Any]) -> dict[str, Any]:
  return {name: there for name, value in defaults.items() if (there := setting(name, value)) != value}


def _global(defaults: Mapping[str, Any]) -> dict[str, Any]:
  """`_changed` as a new thread finds it: without what the caller's `with jax.debug_nans():` says in this one."""
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    return pool.submit(_changed, defaults).result()


@contextlib.contextmanager
def undisturbed(say: Callable[[str], None]) -> Iterator[None]:
  """Run the body without jax's settings for debugging, and say which were set; afterwards they are as they were.

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
  """The layout in use: backend, kind and number of devices, cores, and the settings that decide bits, unless default."""
  import jax

  devices = jax.devices()
  flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(HARMLESS_FLAGS)]
  return {
    "backend": jax.default_backend(),
    "device_kind": devices[0].device_kind,
    "devices": len(devices),
    "cores": int(os.environ.get("NPROC", cores())),
    **_changed(DECISIVE),
    **({"xla_flags": " ".join(flags)} if flags else {}),
  }


def quick_compilation() -> dict[str, Any]:
  """XLA's CPU options for programs that run for a moment: optimising them would take longer than running them."""
  options: dict[str, Any] = {"xla_backend_optimization_level": 0}
  if importlib.metadata.version("jaxlib").startswith(
    "0.10."
  ):  # an option that XLA does not know is fatal, and it is gone in 0.12
    options["xla_cpu_use_fusion_emitters"] = False
  return options
