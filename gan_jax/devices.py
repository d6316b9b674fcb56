"""The execution layout: which devices, how many, over how many cores. Part of a run's identity, recorded and kept.

GAN training is chaotic: rounding differences between two layouts grow into two different experiments. So a resumed run
is given the layout that it began with, as far as this machine can. jax is imported only once the layout is set.
"""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def cores() -> int:
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_directory() -> Path:
  """This user's cache of compiled programs and trained classifiers."""
  return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan_jax"


def configure(members: int, recorded: Mapping[str, Any] | None) -> None:
  """Set up jax for `members` runs; `recorded` is the layout that a resumed study began with.

  On a CPU each core becomes a device of its own (one dispatch queue a core is worth half again the speed); the setting
  means nothing to a GPU or TPU. Must come before the first use of a device.
  """
  used = int(recorded["cores"]) if recorded else cores()
  # XLA's convolutions and matrix products are split by this number, and it decides their rounding.
  os.environ.setdefault("NPROC", str(used))
  count = int(recorded["devices"]) if recorded and recorded["backend"] == "cpu" else min(used, members)
  import jax

  if "JAX_NUM_CPU_DEVICES" not in os.environ:
    jax.config.update("jax_num_cpu_devices", count)
  cache = cache_directory() / "xla"
  cache.mkdir(mode=0o700, parents=True, exist_ok=True)
  jax.config.update("jax_compilation_cache_dir", str(cache))


def layout() -> dict[str, Any]:
  """The layout in use: backend, kind and number of devices, cores."""
  import jax

  devices = jax.devices()
  return {
    "backend": jax.default_backend(),
    "device_kind": devices[0].device_kind,
    "devices": len(devices),
    "cores": int(os.environ.get("NPROC", cores())),
  }


def quick_compilation() -> dict[str, Any]:
  """XLA's CPU options for programs that run for a moment: optimising them would take longer than running them."""
  options: dict[str, Any] = {"xla_backend_optimization_level": 0}
  if importlib.metadata.version("jaxlib").startswith(
    "0.10."
  ):  # an option that XLA does not know is fatal, and it is gone in 0.12
    options["xla_cpu_use_fusion_emitters"] = False
  return options
