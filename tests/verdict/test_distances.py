"""A run that is measured by another distance than the classifier's is judged by that one."""

import numpy as np
import pytest

from gan_jax.core.table import Table
from gan_jax.verdict import samples


@pytest.mark.parametrize("name", samples.SQUARED)
def test_every_squared_distance_is_relative_to_the_first(name):
  found = samples.relative_distance(Table(np.arange(3), {name: np.array([4.0, 1.0, -0.01])}))
  np.testing.assert_allclose(found, [1, 0.25, 0])


def test_the_first_of_them_is_judged_by_and_without_one_there_is_none():
  columns = {"lite0/kid": np.array([1.0, 2.0]), "frechet/distance": np.array([2.0, 1.0])}
  np.testing.assert_allclose(samples.relative_distance(Table(np.arange(2), columns)), [1, 0.5])
  assert np.isnan(samples.relative_distance(Table(np.arange(2), {"modes/covered": np.ones(2)}))).all()
