"""Labels in the shares that the classes have in the data: what a conditional generator is asked for when it is judged."""

import numpy as np

GOLDEN = 0x9E3779B9  # 2**32 divided by the golden ratio


def spread_labels(labels: np.ndarray, count: int) -> np.ndarray:
  """int32 [count]. For every n, each class has its share of the first n to within a few labels.

  Label i is the one at the fraction `i / golden ratio mod 1` of the sorted labels: a sequence of low discrepancy
  (Niederreiter 1992, "Random number generation and quasi-Monte Carlo methods", chapter 3). So it is exact where a draw at
  random would be off by a square root, and it does not depend on the order of the data or on who asks for how many.
  """
  fractions = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN) % np.uint64(2**32)
  places = (fractions * np.uint64(len(labels))) >> np.uint64(32)
  return np.sort(np.asarray(labels))[places.astype(np.int64)].astype(np.int32)
