"""`launch.sh coverage [--seeds=5] [--repeats=N]`: how often the report's intervals contain the true value.

A simulation without training and without JAX; about 20 seconds.

    ./launch.sh coverage
    ./launch.sh coverage --seeds=3 --repeats=2000

One row for each kind of data: `normal` (mean 10, deviation 1), `exponential`, `lognormal` (sigma 1), and `one in ten
fails`, lognormal (sigma 0.2) but tenfold in one seed of ten. Columns are the shares of simulated studies in which the
nominal 95 % interval contains the true value: of the mean on the plain scale (Student's t), of the median on the
logarithmic scale (which the report prints), of the geometric mean over all seeds, and of the ratio of two variants, of
which only the first fails in the last row. `false alarms`: the share of studies of seven equal variants in which some
ratio to the first is called certain, without a correction and with Holm's.

Expected: at five seeds 0.95 in the median's and the ratio's columns, for every kind; false alarms near 0.2 without the
correction and at most 0.05 with it. With twenty seeds the intervals are too narrow to cover the effect of a failing
tenth: 0.91 and 0.88 in the last row. A number has a standard error of sqrt(0.95 * 0.05 / repeats).
"""

from collections.abc import Callable

import numpy as np

from gan_jax.report import statistics

from ... import command, tables
from ...sweep import Parser

VARIANTS = 7
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def failing(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  return np.exp(0.2 * rng.normal(size=shape)) * np.where(rng.random(shape) < 0.1, 10.0, 1.0)


KINDS: dict[str, Draw] = {
  "normal": lambda rng, shape: 10 + rng.normal(size=shape),
  "exponential": lambda rng, shape: rng.exponential(size=shape),
  "lognormal": lambda rng, shape: np.exp(rng.normal(size=shape)),
  "one in ten fails": failing,
}
LARGE = 1_000_000  # number of values from which the true value is computed


def coverage(kind: str, seeds: int, repeats: int, seed: int = 0) -> dict[str, float]:
  """The share of `repeats` samples of `seeds` values whose interval contains the true value, by quantity."""
  rng = np.random.default_rng(seed)
  draw = KINDS[kind]
  many = draw(rng, (LARGE,))
  middle, geometric = float(np.median(many)), float(np.exp(np.log(many).mean()))
  held = {"mean": 0, "median": 0, "geometric mean": 0, "ratio": 0}
  for values, others in zip(draw(rng, (repeats, seeds)), draw(rng, (repeats, seeds)), strict=True):
    plain, logs = statistics.estimate(values), statistics.estimate(values, log=True)
    reference = others if kind != "one in ten fails" else np.exp(0.2 * rng.normal(size=seeds))
    ratio = statistics.paired_ratio(dict(enumerate(values)), dict(enumerate(reference)))
    held["mean"] += plain.low <= many.mean() <= plain.high
    held["median"] += logs.low <= middle <= logs.high
    held["geometric mean"] += logs.low <= geometric <= logs.high
    held["ratio"] += ratio is not None and ratio.low <= 1 <= ratio.high  # of the medians
  return {name: count / repeats for name, count in held.items()}


def false_alarms(kind: str, seeds: int, repeats: int, seed: int = 0) -> dict[str, float]:
  """The share of studies of seven equal variants in which some ratio to the first is called certain."""
  rng = np.random.default_rng(seed)
  alarms = {"uncorrected": 0, "Holm": 0}
  for study in KINDS[kind](rng, (repeats, VARIANTS, seeds)):
    first, *others = (dict(enumerate(values)) for values in study)
    ratios = [statistics.paired_ratio(other, first) for other in others]
    alarms["uncorrected"] += any(ratio is not None and ratio.certain for ratio in ratios)
    alarms["Holm"] += any(ratio is not None and ratio.certain for ratio in statistics.holm(ratios))
  return {name: count / repeats for name, count in alarms.items()}


def main(arguments: list[str]) -> None:
  parser = Parser("coverage")
  parser.add_argument("--seeds", type=int, default=5, help="values a sample (2 or more)")
  parser.add_argument("--repeats", type=int, default=10_000, help="samples")
  known = parser.parse_args(arguments)
  if known.seeds < 2 or known.repeats < 1:
    parser.error(f"expected --seeds of at least 2 and --repeats of at least 1, got {known.seeds} and {known.repeats}")

  heading, rows = [f"{known.seeds} seeds"], []
  for kind in KINDS:
    found = {f"holds the {name}": x for name, x in coverage(kind, known.seeds, known.repeats).items()}
    repeats = max(known.repeats // VARIANTS, 1)
    found |= {f"false alarms, {name}": x for name, x in false_alarms(kind, known.seeds, repeats).items()}
    heading = [heading[0], *found]
    rows.append([kind, *(f"{value:.3f}" for value in found.values())])
  print(tables.markdown(heading, rows), end="")


if __name__ == "__main__":
  command.run(main)
