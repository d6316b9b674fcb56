"""Draws: sweeps whose values are drawn at random, or spread evenly by a Sobol sequence. No jax import.

def sweep(s):
  draws = s.sobol(
    16,
    generator_rate=s.log_uniform(1e-4, 1e-2),
    discriminator_rate=s.log_uniform(1e-4, 1e-2),
    **{"optimizer_options.beta1": s.uniform(0, 0.9)},
  )
  return s.product(s.param("loss", ["minimax", "hinge"]), draws)  # both losses get the same sixteen draws

The draws are a function of the arguments alone. The first sixteen of 64 draws are the sixteen draws of `n=16`, so a
study that grows keeps its runs. Values are rounded to about five digits, so that what a page shows is what was run.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core.errors import BadInput, shown
from gan_jax.settings.config_file import MOST_RUNS
from gan_jax.settings.fields import FIELDS

DIGITS = 5  # of a drawn number: significant ones where it spans decades, else of the width of its range
LARGEST_SEED = int(FIELDS["seed"].high)

Fields = Mapping[str, "Distribution"]


class Distribution(NamedTuple):
  """How the values of one field are drawn: its quantile function, [0, 1) -> a value."""

  text: str  # as it was written, for messages
  quantile: Callable[[float], Any]


def uniform(low: float, high: float) -> Distribution:
  """Numbers from `low` to `high`, all equally likely. Raises `BadInput` unless low < high, both finite."""
  low, high = _range("uniform", low, high)
  decimals = DIGITS - math.floor(math.log10(high - low))
  return Distribution(
    f"uniform({low:g}, {high:g})", lambda u: min(max(round(low + u * (high - low), decimals), low), high)
  )


def log_uniform(low: float, high: float) -> Distribution:
  """Numbers whose logarithm is uniform: each decade is equally likely. Raises `BadInput` unless 0 < low < high, finite."""
  low, high = _range("log_uniform", low, high)
  if not low > 0:
    raise BadInput(f"log_uniform expected numbers above 0, got {low:g}")
  start, width = math.log(low), math.log(high) - math.log(low)
  return Distribution(
    f"log_uniform({low:g}, {high:g})",
    lambda u: min(max(float(f"{math.exp(start + u * width):.{DIGITS}g}"), low), high),
  )


def choice(values: Iterable[Any]) -> Distribution:
  """One of these values, all equally likely. Raises `BadInput` for text, a single value, none, or too many."""
  # The order of a set of names is another one in every process.
  if isinstance(values, (str, bytes, Mapping, set, frozenset)) or not isinstance(values, Iterable):
    raise BadInput(f"choice expected a list of values, got {shown(values)}")
  found = [value for value, _ in zip(values, range(MOST_RUNS + 1), strict=False)]
  if not 0 < len(found) <= MOST_RUNS:
    raise BadInput(f"choice expected 1 to {MOST_RUNS:,} values, got {'more' if found else 'none'}")
  return Distribution(f"choice({shown(found)})", lambda u: found[int(u * len(found))])


def random(
  n: int, fields: Fields | None = None, *, seed: int = 0, runs: int = 0, **named: Distribution
) -> list[dict[str, Any]]:
  """A sweep of `n` independent draws. A field's draws do not depend on which other fields are drawn.

  Args:
    n: how many draws.
    fields: `{field: distribution}`, for names that Python cannot write as keywords: `optimizer_options.beta1`.
    seed: of the draws, not of the training.
    runs: of each draw, with seeds of their own: draw i has the training seeds `runs * i` to `runs * (i + 1) - 1`, so
      that draws are independent of one another. 0: the field `seed` is not set.
    named: more fields by keyword.

  Raises:
    BadInput: what was expected, what came.
  """
  drawn = _checked("random", n, fields, seed, runs, named)
  columns = [np.random.default_rng([seed, zlib.crc32(name.encode())]).random(n) for name in drawn]
  return _sweep(drawn, np.stack(columns, 1), runs)


def sobol(
  n: int, fields: Fields | None = None, *, seed: int = 0, runs: int = 0, **named: Distribution
) -> list[dict[str, Any]]:
  """A sweep of `n` draws spread evenly: a scrambled Sobol sequence, most even where `n` is a power of two.

  Arguments and errors as of `random`. Which draws come depends on the order of the fields too.
  Source: Owen 1998, "Scrambling Sobol' and Niederreiter-Xing points", by `scipy.stats.qmc`.
  """
  from scipy.stats import qmc  # half a second, which a config without draws need not wait for

  drawn = _checked("sobol", n, fields, seed, runs, named)
  points = qmc.Sobol(len(drawn), scramble=True, rng=seed).random_base2((n - 1).bit_length())
  return _sweep(drawn, points[:n], runs)


def _range(what: str, low: Any, high: Any) -> tuple[float, float]:
  try:
    if any(isinstance(end, (str, bytes, bool)) for end in (low, high)):  # float("1") would be 1
      raise TypeError
    found = float(low), float(high)
  except (TypeError, ValueError, OverflowError):
    raise BadInput(f"{what} expected two numbers, got {shown(low)} and {shown(high)}") from None
  if not (all(map(math.isfinite, found)) and found[0] < found[1] and math.isfinite(found[1] - found[0])):
    raise BadInput(f"{what} expected finite numbers, the lower one first, got {shown(low)} and {shown(high)}")
  with np.errstate(over="ignore", under="ignore"):
    trained = np.asarray(found, np.float32)
  if trained[0] == trained[1] or not np.isfinite(trained).all() or (found[0] > 0 and trained[0] == 0):
    raise BadInput(
      f"{what} expected ends that differ, and are finite, in single precision, in which they are trained with, got "
      f"{shown(low)} and {shown(high)}"
    )
  return found


def _checked(what: str, n: Any, fields: Any, seed: Any, runs: Any, named: Fields) -> dict[str, Distribution]:
  """All fields by name, after checks of every argument."""
  for name, value, low, high in (("n", n, 1, MOST_RUNS), ("seed", seed, 0, LARGEST_SEED), ("runs", runs, 0, MOST_RUNS)):
    if type(value) is not int or not low <= value <= high:
      hint = " (the training's seeds are given by runs)" if name == "seed" else ""
      raise BadInput(f"{what} expected {name} to be a whole number from {low:,} to {high:,}, got {shown(value)}{hint}")
  if n * max(runs, 1) > MOST_RUNS:
    raise BadInput(f"{what} expected at most {MOST_RUNS:,} runs, got {n:,} draws of {runs:,} runs")
  if fields is not None and not isinstance(fields, Mapping):
    raise BadInput(f"{what} expected a dict of fields and how each is drawn, got {shown(fields)}")
  found: dict[str, Distribution] = {}
  for name, how in [*(fields or {}).items(), *named.items()]:
    # A field and an entry of it (`model_options` and `model_options.depth`) count as the same field.
    twice = [m for m in found if name == m or f"{name}.".startswith(f"{m}.") or f"{m}.".startswith(f"{name}.")]
    if not isinstance(name, str) or twice or (runs and name == "seed"):
      raise BadInput(f"{what} expected each field once, by its name, got {shown(name)}")
    if not isinstance(how, Distribution):
      kinds = "s.uniform(low, high), s.log_uniform(low, high) or s.choice(values)"
      raise BadInput(f"{what} expected {name} to be {kinds}, got {shown(how)}")
    found[name] = how
  if not found:
    raise BadInput(f"{what} expected at least one field to draw, got none")
  return found


def _sweep(drawn: Fields, points: np.ndarray, runs: int) -> list[dict[str, Any]]:
  """The draws of points [n, fields] in [0, 1)."""
  draws = [{name: how.quantile(float(u)) for (name, how), u in zip(drawn.items(), p, strict=True)} for p in points]
  if not runs:
    return draws
  return [draw | {"seed": runs * i + run} for i, draw in enumerate(draws) for run in range(runs)]
