"""Labels in the proportions of the data's classes, for evaluating a conditional generator."""

import numpy as np

GOLDEN = 0x9E3779B9  # 2**32 divided by the golden ratio


def spread_labels(labels: np.ndarray, count: int) -> np.ndarray:
  """int32 [count] labels. In the first n, for every n, each class has its share to within a few labels.

  Label i is the one at the fraction `i / golden ratio mod 1` of the sorted labels: a sequence of low discrepancy
  (Niederreiter 1992, "Random number generation and quasi-Monte Carlo methods", chapter 3). Shares are exact to within a
  few labels, where random labels would be off by about sqrt(n), and they depend neither on the order of the data nor on
  `count`.
  """
  fractions = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN) % np.uint64(2**32)
  places = (fractions * np.uint64(len(labels))) >> np.uint64(32)
  return np.sort(np.asarray(labels))[places.astype(np.int64)].astype(np.int32)
