"""How programs are compiled that run for a moment only. No jax import."""

import importlib.metadata
from typing import Any


def quick_compilation() -> dict[str, Any]:
  """XLA's CPU options for programs that run for a moment: optimising them would take longer than running them."""
  options: dict[str, Any] = {"xla_backend_optimization_level": 0}
  # An option that XLA does not know is fatal; the first is gone in 0.12.
  if importlib.metadata.version("jaxlib").startswith("0.10."):
    options |= {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
  return options
