"""The data on a line, and its distance: exact against closed forms, and against a transport plan found by brute force."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from gan_jax import data, metrics
from gan_jax.data.line import OFFSET, the_line
from gan_jax.metrics import line


def on_the_line(t, off=0.0):
  where = the_line()
  normal = np.array([-where.direction[1], where.direction[0]])
  return jnp.asarray(where.centre + np.asarray(t)[:, None] * where.direction + off * normal, jnp.float32)


def slice_means(count):
  return line.slices(count)[0]


def test_the_data_are_standard_normal_on_a_line_off_the_origin():
  dataset = data.load("line")
  points, where = np.asarray(dataset.data.images, float), dataset.line
  normal = np.array([-where.direction[1], where.direction[0]])
  assert np.hypot(*where.direction) == pytest.approx(1, abs=1e-6)
  np.testing.assert_allclose((points - where.centre) @ normal, 0, atol=1e-6)
  np.testing.assert_allclose(np.abs(points @ normal), OFFSET, rtol=1e-5)  # the nearest point of the line is so far
  along = (points - where.centre) @ where.direction
  assert abs(along.mean()) < 4 / np.sqrt(len(along))
  assert along.var() == pytest.approx(1, abs=4 * np.sqrt(2 / len(along)))


def test_slices_of_the_normal_by_quadrature():
  means, within = line.slices(5)
  edges = norm.ppf(np.arange(6) / 5)
  expected = [5 * quad(lambda t: t * norm.pdf(t), a, b)[0] for a, b in itertools.pairwise(edges)]
  np.testing.assert_allclose(means, expected, atol=1e-9)
  spread = [
    5 * quad(lambda t, m=m: (t - m) ** 2 * norm.pdf(t), a, b)[0]
    for m, a, b in zip(means, edges, edges[1:], strict=False)
  ]
  assert within == pytest.approx(np.mean(spread), abs=1e-9)


def test_transport_of_one_point_and_of_a_shifted_scaled_sample():
  """All mass at c costs E (t - c)^2 = 1 + c^2; N(m, s^2) costs m^2 + (s - 1)^2, here of its best sample of 4,000."""
  assert float(line.squared_transport(jnp.full(50, 3.0))) == pytest.approx(10, rel=1e-5)
  sample = jnp.asarray(0.5 + 1.7 * slice_means(4000), jnp.float32)
  assert float(line.squared_transport(sample)) == pytest.approx(0.25 + 0.49, rel=2e-3)


def test_the_order_of_samples_does_not_matter_and_no_plan_is_cheaper():
  values = np.array([0.3, -1.2, 2.0, 0.1, -0.4])
  means, within = line.slices(5)
  plans = [np.mean((values[list(p)] - means) ** 2) + within for p in itertools.permutations(range(5))]
  for order in (values, values[::-1]):
    assert float(line.squared_transport(jnp.asarray(order, jnp.float32))) == pytest.approx(min(plans), rel=1e-5)


def test_metrics_of_known_samples():
  best = slice_means(2000)
  found = line.line_metrics(on_the_line(best), the_line())
  assert float(found["line/wasserstein"]) == pytest.approx(np.sqrt(line.slices(2000)[1]), abs=1e-4)
  found = line.line_metrics(on_the_line(2 * best - 1, off=3.0), the_line())
  assert float(found["line/squared_distance"]) == pytest.approx(9, rel=1e-4)
  assert float(found["line/mean"]) == pytest.approx(-1, abs=1e-4)
  assert float(found["line/variance"]) == pytest.approx(4 * best.var(), rel=1e-4)
  assert float(found["line/wasserstein"]) == pytest.approx(np.sqrt(9 + 1 + 1), rel=1e-3)


def test_the_floor_is_what_samples_of_the_data_score():
  count = 500
  quality = metrics.build(data.load("line"), cache=None)
  points = data.load("line").data.images
  measure = jax.jit(lambda first: quality.measure(lambda i: points[first + i], count, False)[0]["line/wasserstein"])
  scores = [float(measure(first)) for first in range(0, 40 * count, count)]
  floor = line.floor(count)
  assert np.mean(scores) == pytest.approx(floor, abs=4 * np.std(scores) / np.sqrt(len(scores)))
  assert np.sqrt(line.slices(count)[1]) < floor


def test_every_metric_is_explained():
  assert set(line.EXPLANATIONS) == set(line.line_metrics(on_the_line([0.0, 1.0]), the_line()))
