"""What was measured of samples, as numbers that a verdict compares: one of each per evaluation [E]."""

import numpy as np

from gan_jax.core.table import Table

TINY = float(np.finfo(np.float32).tiny)  # a float32 that was flushed to zero was smaller than this


def column(table: Table, name: str) -> np.ndarray:
  """float64 [rows]; NaN where there is no such column or a value is not finite."""
  x = np.asarray(table.columns.get(name, np.full(len(table.steps), np.nan)), np.float64)
  return np.where(np.isfinite(x), x, np.nan)


SQUARED = (  # squared distances from the data, the one to judge by first
  "frechet/distance",
  "inception/fid",
  "inception/kid",
  "lite0/frechet",
  "lite0/kid",
  "classifier/frechet",
  "classifier/kid",
)


def relative_distance(quality: Table) -> np.ndarray:
  """[E]: the squared distance from the data relative to the first evaluation's: the first of `SQUARED`, or Wasserstein's.

  A kernel distance may be slightly negative, where nothing tells the samples from the data: then it is 0.
  """
  x = np.maximum(next((x for x in (column(quality, name) for name in SQUARED) if np.isfinite(x).any()), np.nan), 0)
  if not np.isfinite(x).any():
    x = np.square(column(quality, "line/wasserstein"))
  first = x[np.isfinite(x)][:1]
  return x / first if len(first) and first > 0 else np.full(len(x), np.nan)


def effective_modes(quality: Table) -> np.ndarray:
  """[E]: the share of the data's modes or classes that the samples have: the smaller of two.

  exp(-KL(samples || data)), which for even data is exp(entropy) / K; and (n - 1) / (K - 1), if n of the data's K are
  present. The first measures how uneven they are. The second falls to 0 when one class is left, which the first does
  not if the data have two classes, or one common and many rare ones.
  """
  entropy = column(quality, "classes/entropy")
  if np.isfinite(entropy).any():
    kind, spread_out = "classes", np.exp(-column(quality, "classes/divergence"))
    if not np.isfinite(spread_out).any():  # a study from before shares were compared with the data's own
      named = sum(name.startswith("classes/share_") for name in quality.columns)
      present = column(quality, "classes/present")
      spread_out = np.exp(entropy) / (named or (np.nanmax(present) if np.isfinite(present).any() else np.nan))
  else:
    kind, spread_out = "modes", np.exp(-column(quality, "modes/reverse_kl"))
  there, due = column(quality, f"{kind}/present"), column(quality, f"{kind}/in_data")
  return np.fmin(spread_out, np.where(due > 1, (there - 1) / np.where(due > 1, due - 1, 1), np.nan))


def spread(quality: Table) -> np.ndarray:
  """[E]: spread of the samples within a mode or class, relative to the data's; on a line, their deviation along it."""
  x = column(quality, "samples/spread")
  return x if np.isfinite(x).any() else np.sqrt(column(quality, "line/variance"))


def travelled(quality: Table) -> np.ndarray:
  """[E]: decades between the largest and the smallest distance from the data so far; NaN at the first evaluation."""
  x = relative_distance(quality)
  if not np.isfinite(x).any():
    x = column(quality, "points/frechet")
  logs = np.log10(np.maximum(x, TINY))
  known = np.cumsum(np.isfinite(logs)) > 1
  return np.where(known, np.fmax.accumulate(logs) - np.fmin.accumulate(logs), np.nan)


def nearest(quality: Table, share: np.ndarray) -> np.ndarray:
  """[E]: of points in the plane, decades by which their smallest distance from the data so far is below 1; else NaN.

  Before the first sample of high quality their modes say nothing, though the samples may come nearer all the time. The
  smallest so far, because the distance of samples that have arrived goes up and down by chance.
  """
  x = column(quality, "points/frechet")
  return np.where(np.isnan(share), np.nan, -np.log10(np.maximum(np.fmin.accumulate(x), TINY)))


def since_first(x: np.ndarray) -> np.ndarray:
  """[E]: each value minus the first finite one; NaN up to that one."""
  at = np.flatnonzero(np.isfinite(x))
  return np.where(np.arange(len(x)) > at[0], x - x[at[0]], np.nan) if len(at) else np.full(len(x), np.nan)
