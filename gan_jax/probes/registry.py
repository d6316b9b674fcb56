"""The registry of probes: how a function of the trace becomes columns of a row.

A probe is one decorated function, `Trace -> {name: scalar}`. The decorator takes one line of explanation for each name,
which the report prints, and the group that a config must ask for; a probe without a group is always measured. Values
are not rounded, and small ones are kept: a gradient of 1e-12 is a result.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput, unknown
from gan_jax.core.types import Probe, Trace

# What `probes=` may ask for beyond what every row has. The last two are measured at evaluations, not in rows.
GROUPS = ("layers", "noise", "geometry", "gap")

PROBES: list[tuple[str, Probe]] = []  # (group, function); "": always measured
EXPLANATIONS: dict[str, dict[str, str]] = {group: {} for group in ("", *GROUPS)}


def probe(explanations: Mapping[str, str], group: str = "") -> Callable[[Probe], Probe]:
  """Register a probe and what its names mean; a name that ends in `/<...>` stands for one column of each."""

  def register(function: Probe) -> Probe:
    PROBES.append((group, function))
    EXPLANATIONS[group].update(explanations)
    return function

  return register


def requested(text: str) -> tuple[str, ...]:
  """'none' -> (); 'all' -> every group; 'layers + noise' -> those. Raises `BadInput` for an unknown or repeated name."""
  if text == "none":
    return ()
  if text == "all":
    return GROUPS
  found = tuple(part.strip() for part in text.split("+"))
  for name in found:
    if name not in GROUPS:
      alone = ("all", "none") if len(found) == 1 else ()  # these two cannot be joined with others
      raise unknown("group of probes", name, (*GROUPS, *alone))
  if len(set(found)) < len(found):
    raise BadInput(f"probes expected different groups joined by '+', got {text!r}")
  return found


def measure(trace: Trace, groups: tuple[str, ...] = ()) -> dict[str, Array]:
  """The values of all probes that are always on or in `groups`, in float32; NaN once the member has diverged and is frozen.

  Integers (the counts of updates) stay integers and keep their values.
  """
  chosen = [function for group, function in PROBES if not group or group in groups]
  values = {name: value for function in chosen for name, value in function(trace).items()}
  return {
    name: value
    if jnp.issubdtype(value.dtype, jnp.integer)
    else jnp.where(trace.alive, at_least_float32(value), jnp.nan)
    for name, value in values.items()
  }
