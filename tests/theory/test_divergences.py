"""Cross-entropies and divergences: the numbers of a first course, identities, and zero probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses
from gan_jax.theory import divergences as d

P = np.array([[0.75, 0.25, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
Q = np.array([[0.2, 0.3, 0.5], [0.3, 0.3, 0.4], [0.25, 0.25, 0.5]])


def test_spam(x64):
  """A spam mail (label 1) that the filter gave 0.9, and one that it gave 0.1."""
  cost = d.binary_cross_entropy_from_probabilities(jnp.asarray([0.9, 0.1]), jnp.ones(2))
  np.testing.assert_allclose(cost, [0.105360515658, 2.302585092994], rtol=1e-11)
  logits = jnp.log(jnp.asarray([9.0, 1 / 9]))
  np.testing.assert_allclose(d.binary_cross_entropy(logits, jnp.ones(2)), cost, rtol=1e-12)
  np.testing.assert_allclose(d.binary_cross_entropy(-logits, jnp.zeros(2)), cost, rtol=1e-12)


def test_bits(x64):
  assert float(d.entropy([0.5, 0.5], base=2)) == pytest.approx(1, abs=1e-15)
  assert float(d.entropy([0.75, 0.25], base=2)) == pytest.approx(0.811278124459, abs=1e-12)
  assert float(d.entropy([0.5, 0.5])) == pytest.approx(np.log(2), abs=1e-15)
  assert float(d.kl_divergence([1.0, 0.0], [0.5, 0.5], base=2)) == pytest.approx(1)
  assert float(d.cross_entropy([1.0, 0.0], [0.25, 0.75], base=2)) == pytest.approx(2)
  assert float(d.js_divergence([1.0, 0.0], [0.0, 1.0], base=2)) == pytest.approx(1)


def test_identities(x64):
  np.testing.assert_allclose(d.cross_entropy(P, Q) - d.entropy(P), d.kl_divergence(P, Q), atol=1e-14)
  np.testing.assert_allclose(d.kl_divergence(P, P), 0, atol=1e-15)
  np.testing.assert_allclose(d.js_divergence(P, Q), d.js_divergence(Q, P), atol=1e-15)
  m = (P + Q) / 2
  np.testing.assert_allclose(d.js_divergence(P, Q), d.entropy(m) - (d.entropy(P) + d.entropy(Q)) / 2, atol=1e-14)
  assert np.all(np.asarray(d.kl_divergence(P, Q)) > 0)
  np.testing.assert_allclose(d.js_divergence([[0.5, 0.5, 0, 0]], [[0, 0, 0.1, 0.9]]), np.log(2), rtol=1e-14)
  # KL of two coins, by hand.
  assert float(d.kl_divergence([0.75, 0.25], [0.5, 0.5])) == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
  assert d.kl_divergence(P, Q).shape == (3,)


def test_mass_where_the_other_has_none_is_infinite():
  assert float(d.kl_divergence([0.5, 0.5], [1.0, 0.0])) == np.inf
  assert float(d.cross_entropy([0.5, 0.5], [1.0, 0.0])) == np.inf
  assert float(d.kl_divergence([1.0, 0.0], [1.0, 0.0])) == 0


@pytest.mark.parametrize("function", [d.entropy, d.cross_entropy, d.kl_divergence, d.js_divergence])
def test_zeros_have_a_finite_gradient(function, x64):
  """Where p is 0 the slope is 0 by convention; elsewhere it is the difference quotient."""
  arguments = (P,) if function is d.entropy else (P, Q)
  grads = jax.grad(lambda *a: jnp.sum(function(*a)), range(len(arguments)))(*map(jnp.asarray, arguments))
  total = jax.jit(lambda *a: jnp.sum(function(*a)))  # inside jit no sum to 1 is asked for, so that one entry can move
  for i, grad in enumerate(grads):
    assert np.all(np.isfinite(grad))
    for entry in np.ndindex(*P.shape):
      if arguments[i][entry] == 0:
        continue
      moved = []
      for h in (1e-6, -1e-6):
        shifted = [a.copy() for a in arguments]
        shifted[i][entry] += h
        moved.append(float(total(*shifted)))
      assert float(grad[entry]) == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-7)


def test_gradient_of_cross_entropy_from_probabilities(x64):
  p, y = jnp.asarray([0.3, 0.9, 0.0, 1.0]), jnp.asarray([1.0, 0.0, 0.0, 1.0])
  value, grad = jax.value_and_grad(lambda p: jnp.sum(d.binary_cross_entropy_from_probabilities(p, y)))(p)
  assert float(value) == pytest.approx(-np.log(0.3) - np.log(0.1))  # two sure and right answers cost nothing
  np.testing.assert_allclose(grad, [-1 / 0.3, 10, 1, -1], rtol=1e-12)


def test_extreme_logits_cost_what_they_should():
  np.testing.assert_allclose(d.binary_cross_entropy([1e4, -1e4, 1e4, -1e4], [1.0, 1, 0, 0]), [0, 1e4, 1e4, 0])


def test_gan_losses_are_cross_entropies(x64):
  real, fake = jnp.asarray([-5, 1.4, 12.5, 2.7]), jnp.asarray([10, 4.4, -5.5, 3.6])
  ones, zeros = jnp.ones(4), jnp.zeros(4)
  loss = losses.get("non_saturating")
  two = d.binary_cross_entropy(real, ones) + d.binary_cross_entropy(fake, zeros)
  np.testing.assert_allclose(loss.discriminator(real, fake), two, rtol=1e-12)
  np.testing.assert_allclose(loss.generator(real, fake), d.binary_cross_entropy(fake, ones), rtol=1e-12)


def test_optimal_discriminator(x64):
  """p/(p+q) minimises p (-log D) + q (-log(1 - D)); the logit log p - log q lives on where the densities underflow."""
  p, q = jnp.asarray([0.3, 0.0, 2.0, 0.0]), jnp.asarray([0.1, 0.4, 0.0, 0.0])
  np.testing.assert_allclose(d.optimal_discriminator(p, q), [0.75, 0, 1, 0.5], rtol=1e-12)
  assert np.all(np.isfinite(jax.grad(lambda p: jnp.sum(d.optimal_discriminator(p, q)))(p)))
  x = jnp.linspace(-60, 60, 25)
  logit = d.optimal_logit(-0.5 * x**2, -0.5 * (x - 1) ** 2)
  np.testing.assert_allclose(logit, 0.5 - x, atol=1e-10)
  grid = jnp.linspace(0.001, 0.999, 999)
  costs = d.binary_cross_entropy_from_probabilities(grid, jnp.full(999, 0.75))
  assert float(grid[jnp.argmin(costs)]) == pytest.approx(0.75)


@pytest.mark.parametrize(
  ("call", "text"),
  [
    (lambda: d.entropy([0.5, 0.6]), "sum to 1 .* got sums from 1.1"),
    (lambda: d.entropy([1.5, -0.5]), "a least value of -0.5"),
    (lambda: d.entropy([float("nan"), 1.0]), "sum to 1"),
    (lambda: d.entropy(1.0), "got a scalar"),
    (lambda: d.kl_divergence([0.5, 0.5], [0.2, 0.3, 0.5]), r"one shape, got \[2\] and \[3\]"),
    (lambda: d.cross_entropy([0.5, 0.5], [0.5, 0.4]), "q: expected"),
    (lambda: d.entropy([0.5, 0.5], base=1), "base: expected"),
    (lambda: d.binary_cross_entropy([0.0], [1.0, 0.0]), "logits and labels of one shape"),
    (lambda: d.binary_cross_entropy_from_probabilities([1.2], [1.0]), "from 0 to 1"),
  ],
)
def test_bad_input(call, text):
  with pytest.raises(ValueError, match=text):
    call()


def test_jit_skips_the_check_of_values():
  assert float(jax.jit(d.entropy)(jnp.asarray([0.5, 0.5]))) == pytest.approx(np.log(2))
