"""The registry of probes: how a function of the trace becomes columns of a row.

A probe is one decorated function, `Trace -> {name: scalar}`. The decorator takes one line of explanation for each name,
which the report prints, and the group that a config must ask for; a probe without a group is always measured. Values
are not rounded, and small ones are kept: a gradient of 1e-12 is a result.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput, unknown
from gan_jax.core.registry import Builder, Registry
from gan_jax.core.types import Probe, Trace


class Facts(NamedTuple):
  """What is known of a group of probes."""

  explanations: Mapping[str, str]  # of its columns
  in_rows: bool = True  # False: an inspection, which is measured at evaluations; see gan_jax.inspections


ALWAYS: list[Probe] = []  # what every row has
GROUPS = Registry("group of probes", ("trace",))  # what `probes=` may ask for beyond
EXPLANATIONS: dict[str, dict[str, str]] = {"": {}}  # by group; "": always measured


def probe(explanations: Mapping[str, str], group: str = "") -> Callable[[Probe], Probe]:
  """Register a probe and what its names mean; a name that ends in `/<...>` stands for one column of each."""

  def register(function: Probe) -> Probe:
    if group:
      enter(group, function, explanations)
    else:
      ALWAYS.append(function)
      EXPLANATIONS[""].update(explanations)
    return function

  return register


def inspection(group: str, explanations: Mapping[str, str]) -> Callable[[Builder], Builder]:
  """Decorator: enter a builder `(game, *, options) -> measure` of what is measured at evaluations."""

  def register(builder: Builder) -> Builder:
    enter(group, builder, explanations, ("game",))
    return builder

  return register


def enter(
  group: str, builder: Builder, explanations: Mapping[str, str], protocol: tuple[str, ...] | None = None
) -> None:
  """Enter a group of probes: a probe of rows, or with a `protocol` of its own an inspection."""
  GROUPS.enter(group, builder, Facts(explanations, protocol is None), protocol)
  EXPLANATIONS[group] = dict(explanations)


def requested(text: str) -> tuple[str, ...]:
  """'none' -> (); 'all' -> every group; 'layers + noise' -> those. Raises `BadInput` for an unknown or repeated name."""
  if text == "none":
    return ()
  if text == "all":
    return tuple(GROUPS.own)
  found = tuple(part.strip() for part in text.split("+"))
  for name in found:
    if name not in GROUPS:
      alone = ("all", "none") if len(found) == 1 else ()  # these two cannot be joined with others
      raise unknown(GROUPS.kind, name, (*GROUPS, *alone))
  if len(set(found)) < len(found):
    raise BadInput(f"probes expected different groups joined by '+', got {text!r}")
  return found


def check_declared(group: str, columns: Iterable[str]) -> None:
  """Raises `BadInput` where a probe returns a column that its decorator does not explain."""
  declared = EXPLANATIONS[group]
  stems = tuple(name.partition("<")[0] for name in declared if name.endswith("/<layer>"))
  others = [name for name in columns if name not in declared and not (stems and name.startswith(stems))]
  if others:
    raise BadInput(
      f"probe {group!r} expected to return the columns that its decorator explains ({', '.join(declared) or 'none'}), got "
      f"{', '.join(others)} as well"
    )


def measure(
  trace: Trace, groups: tuple[str, ...] = (), options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Array]:
  """The values of all probes that are always on or in `groups`, in float32; NaN once the member has diverged and is frozen.

  Integers (the counts of updates) stay integers and keep their values.
  """
  given = options or {}
  values = {name: value for function in ALWAYS for name, value in function(trace).items()}
  for group in groups:
    if GROUPS[group].facts.in_rows:
      values |= GROUPS[group](trace, **given.get(group, {}))
  return {
    name: value
    if jnp.issubdtype(value.dtype, jnp.integer)
    else jnp.where(trace.alive, at_least_float32(value), jnp.nan)
    for name, value in values.items()
  }
