"""Columns of measurements over steps, as files hold them and verdicts read them. No jax import."""

from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
  """Columns of one group: `steps` [rows], and per metric float32 [rows, members]; NaN where nothing was measured.

  Of one run, the columns are [rows].
  """

  steps: np.ndarray
  columns: dict[str, np.ndarray]
