"""What a plot over steps shows: read here once, drawn by `lines` for the page and by `figures` for files."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.report import statistics
from gan_jax.report.canvas import Style
from gan_jax.report.records import Variant, common_steps

# Points of a curve, at most: a plot, and a plot of a single variant, is about as many pixels wide.
POINTS, SMALL_POINTS = 300, 80
BANDS = 3  # variants, at most, whose bands share an axis: more would hide one another
DOTS = 12  # so few measurements are shown one by one


class Course(NamedTuple):
  """A metric over the steps of a variant, [T] each: the mean over its runs, the lowest and the highest of them."""

  steps: np.ndarray
  centre: np.ndarray
  low: np.ndarray
  high: np.ndarray


class Curve(NamedTuple):
  """The line of one variant."""

  label: str
  look: Style
  course: Course
  raw: Course | None  # the same without averaging of the generator's weights
  several: bool  # runs, so that there is a range to show

  @property
  def end(self) -> float:
    """The last finite value."""
    return float(self.course.centre[np.isfinite(self.course.centre)][-1])


class Scale(NamedTuple):
  """The axes of a plot, and the straight lines in it."""

  log: bool = False  # means are geometric then
  span: float = 1.0  # decades that a log axis shows at least
  limits: tuple[float, float | None] | None = None  # of a linear vertical axis
  lines: Sequence[float] = ()  # heights of horizontal reference lines
  marks: Sequence[int] = ()  # steps of vertical lines


LINEAR = Scale()


class Plot(NamedTuple):
  """One metric over steps, of the variants that have a finite value of it."""

  curves: tuple[Curve, ...]
  scale: Scale
  named: bool  # each line has its variant's name at its end
  crowd: tuple[np.ndarray, ...] | None  # as `crowd_bands`

  @property
  def bands(self) -> bool:
    """Whether the range over runs is drawn around each line. Otherwise a plot for each variant shows it."""
    return len(self.curves) <= BANDS and self.crowd is None


def plot(
  variants: Sequence[tuple[Variant, Style]],
  metric: str,
  scale: Scale = LINEAR,
  crowd: Sequence[Variant] = (),
  points: int = POINTS,
) -> Plot | None:
  """What is shown of a metric; None where no variant has a finite value.

  Args:
    variants: what to draw, in order.
    metric: the column. `raw/<metric>`, where it exists, is the same without averaging of the generator's weights.
    scale: how it is drawn.
    crowd: all variants of a panel that has too many to draw, behind those that are drawn.
    points: of each line, at most.
  """
  found = []
  for variant, look in variants:
    course = course_of(variant, metric, scale.log, points)
    if course is not None:
      raw = course_of(variant, f"raw/{metric}", scale.log, points)
      found.append(Curve(variant.label, look, course, raw, len(variant.counted) > 1))
  behind = crowd_bands(crowd, metric, scale.log)
  return Plot(tuple(found), scale, len(variants) > 1, behind) if found else None


def course_of(variant: Variant, metric: str, log: bool, points: int = POINTS) -> Course | None:
  """The metric over a variant's runs, at most `points` of it; None where nothing is finite."""
  steps, values = common_steps(variant.counted, metric)
  if not len(steps):
    return None
  found = thin(Course(steps, *statistics.band(values, log)), points)
  return found if np.isfinite(found.centre).any() else None


def thin(course: Course, points: int = POINTS) -> Course:
  """At most `points` rows: of every group of neighbours, the centre of the middle one and the extremes of the band."""
  steps, centre, low, high = course
  if len(steps) <= points:
    return course
  cells = np.array_split(np.arange(len(steps)), points)
  middle = np.asarray([cell[len(cell) // 2] for cell in cells])
  middle[-1] = len(steps) - 1  # a curve ends at the value that the table shows
  lowest, highest = np.asarray([low[cell].min() for cell in cells]), np.asarray([high[cell].max() for cell in cells])
  return Course(steps[middle], centre[middle], lowest, highest)


def crowd_bands(crowd: Sequence[Variant], metric: str, log: bool) -> tuple[np.ndarray, ...] | None:
  """(steps, and the 10, 25, 75 and 90 % quantiles of the means) of the variants whose steps are the most frequent ones;
  None without any.
  """
  courses = [course for variant in crowd if (course := course_of(variant, metric, log)) is not None]
  if not courses:
    return None
  steps = Counter(tuple(course.steps) for course in courses).most_common(1)[0][0]
  centres = np.stack([course.centre for course in courses if tuple(course.steps) == steps])
  there = np.isfinite(centres).any(0)
  return np.asarray(steps)[there], *np.nanquantile(centres[:, there], (0.1, 0.25, 0.75, 0.9), axis=0)


def decades_shown(variants: Sequence[tuple[Variant, Style]], metrics: Sequence[str]) -> float:
  """The widest range of any of these metrics in decades, with a margin: a common scale for figures that are compared."""
  widest = 1.0
  for metric in metrics:
    found = [common_steps(variant.counted, metric)[1] for variant, _ in variants]
    values = [statistics.band(x, True) for x in found if x.size]
    low = min((float(np.nanmin(b[1])) for b in values if np.isfinite(b[1]).any()), default=1.0)
    high = max((float(np.nanmax(b[2])) for b in values if np.isfinite(b[2]).any()), default=1.0)
    widest = max(widest, 1.1 * float(np.log10(high / low)))
  return widest


def apart(places: Sequence[float], room: float, low: float, high: float) -> list[float]:
  """The places of names, moved so that none is nearer than `room` to another, between two ends."""
  order = np.argsort(places, kind="stable")
  room = min(room, (high - low) / max(len(places) - 1, 1))
  found, before = [0.0] * len(places), low - room
  for i in order:
    before = found[i] = max(min(max(places[i], low), high), before + room)
  ceiling = high
  for i in reversed(order):
    found[i] = min(found[i], ceiling)
    ceiling = found[i] - room
  return found
