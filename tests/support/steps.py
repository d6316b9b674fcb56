"""The production step, compiled for a test: what a test does not look at in the trace is not compiled."""

from collections.abc import Callable
from typing import Any

import jax

from gan_jax.core.types import Trace
from gan_jax.game.rules import Game
from gan_jax.game.step import build_resident_step

# Quantities of the generator's view that only probes read: passes of both networks of their own.
PROBED = ("logit_slope", "real_slope", "between_slope", "image_motion", "lens", "parts")


def nothing(trace: Trace) -> None:
  """For tests of the state alone."""


def bare(trace: Trace) -> Trace:
  """The trace without what is in `PROBED`."""
  return trace._replace(generator=trace.generator._replace(**dict.fromkeys(PROBED)))


def compiled_step(game: Game, look: Callable[[Trace], Any] = lambda trace: trace) -> Callable:
  """`(hypers, state, data) -> (state, look(trace))` as one program."""
  step = build_resident_step(game)

  def looked(hypers: Any, state: Any, data: Any) -> tuple[Any, Any]:
    new, trace = step(hypers, state, data)
    return new, look(trace)

  return jax.jit(looked)
