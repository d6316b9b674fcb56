"""The table of f-divergences against definitions: suprema by brute force, integrals by quadrature, published values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special

from gan_jax import losses
from gan_jax.losses.f_divergences import DIVERGENCES
from gan_jax.losses.special import expm1, log_softplus, log_wright_omega, sigmoid
from tests.support.known_losses import F_GAN_OTHER, check_row, close

ROWS = [
  (name, {**row.options, **options})
  for name, row in DIVERGENCES.items()
  for options in ({}, F_GAN_OTHER.get(name))
  if options is not None
]
rows = pytest.mark.parametrize(("name", "options"), ROWS, ids=[f"{name}-{options}" for name, options in ROWS])
smooth_rows = pytest.mark.parametrize(("name", "options"), [row for row in ROWS if row[0] != "total_variation"])

V = np.array([-6.0, -2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 2.2, 4.0])
U = np.array([0.05, 0.3, 0.8, 1.0, 1.7, 6.0])


@pytest.mark.parametrize("name", DIVERGENCES)
def test_row(name, x64):
  check_row(name, DIVERGENCES[name])


@rows
def test_conjugate_is_the_supremum(name, options, x64):
  """f*(t) = sup_u (u t - f(u)), by a scalar search over log u, at t = g(v)."""
  row = DIVERGENCES[name]
  # The published conjugate of Pearson's is that of (u - 1)^2 over all real u: below -2 its supremum lies at u < 0.
  logits = V[V > -2] if name == "pearson" else V
  for t in np.asarray(row.activation(jnp.asarray(logits), **options)):

    def loss(s, t=t):
      u = np.exp(s)
      return float(row.generator_function(jnp.asarray(u), **options)) - u * t

    grid = np.linspace(-30, 10, 161)
    coarse = grid[np.argmin(np.asarray(row.generator_function(jnp.exp(grid), **options)) - np.exp(grid) * t)]
    bounds = (coarse - 0.3, coarse + 0.3)
    best = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    close(row.conjugate(jnp.asarray(t), **options), -best.fun, 1e-8, f"t = {t}", atol=1e-8)


@smooth_rows
def test_legendre_identity(name, options, x64):
  """f*(f'(u)) = u f'(u) - f(u), and f' is the derivative of f."""
  row, u = DIVERGENCES[name], jnp.asarray(U)
  slope = row.derivative(u, **options)
  close(row.conjugate(slope, **options), u * slope - row.generator_function(u, **options), 1e-10, name, atol=1e-12)
  close(jax.grad(lambda u: jnp.sum(row.generator_function(u, **options)))(u), slope, 1e-10, name, atol=1e-12)


@rows
def test_composed_form_is_conjugate_of_activation(name, options, x64):
  row, v = DIVERGENCES[name], jnp.asarray(V)
  activation = row.activation(v, **options)
  assert np.all(np.diff(activation) > 0)
  close(row.composed(v, **options), row.conjugate(activation, **options), 1e-9, name, atol=1e-11)
  close(jax.grad(lambda v: jnp.sum(row.activation(v, **options)))(v), row.activation_slope(v, **options), 1e-9, name)
  close(jax.grad(lambda v: jnp.sum(row.composed(v, **options)))(v), row.composed_slope(v, **options), 1e-9, name)


@smooth_rows
def test_threshold_and_optimal_logit(name, options, x64):
  """g(v*(r)) = f'(r); at r = 1 that is the threshold f'(1)."""
  row, u = DIVERGENCES[name], jnp.asarray(U)
  reached = row.activation(row.optimal_logit(jnp.log(u), **options), **options)
  close(reached, row.derivative(u, **options), 1e-9, name, atol=1e-10)
  assert float(row.derivative(jnp.asarray(1.0), **options)) == pytest.approx(row.threshold, abs=1e-12)


# Ground truth 0.13: the logit 0 is *not* the decision threshold of these.
@pytest.mark.parametrize(
  ("name", "options", "at_zero"),
  [
    ("kl", {}, 0.0),
    ("weighted_jensen_shannon", {"pi": 0.3}, -0.331955),
    ("alpha_below_one", {"alpha": 0.5}, 1.306853),
  ],
)
def test_logit_zero_is_not_the_threshold(name, options, at_zero, x64):
  row = DIVERGENCES[name]
  assert float(row.activation(jnp.asarray(0.0), **options)) == pytest.approx(at_zero, abs=1e-6)
  assert abs(at_zero - row.threshold) > 0.3


# Ground truth 3.3: D_f(N(0,1) || N(1,1)).
AT_ONE = {
  "kl": 0.5,
  "reverse_kl": 0.5,
  "pearson": 1.7182818285,
  "neyman": 1.7182818285,
  "squared_hellinger": 0.2350061948,
  "jeffreys": 1.0,
  "jensen_shannon": 0.2228429644,
  "weighted_jensen_shannon": 0.0949104739,
  "gan": -1.1634513968,
  "alpha_above_one": 0.8591409142,
  "alpha_below_one": 0.4700123897,
  "total_variation": 0.3829249225,
}


def test_every_row_has_a_published_value():
  assert set(AT_ONE) == set(DIVERGENCES), "add D_f(N(0,1) || N(1,1)) to AT_ONE for the new row"


@pytest.mark.parametrize("name", AT_ONE)
def test_variational_value(name, x64):
  """At v*(p/q), E_p g - E_q f*(g) = int q f(p/q); other means and hyperparameters: test_optimal_discriminators.py."""
  row = DIVERGENCES[name]
  x = np.linspace(-14, 15, 60001)
  p, q = (np.exp(-0.5 * (x - m) ** 2) / np.sqrt(2 * np.pi) for m in (0.0, 1.0))
  v = row.optimal_logit(jnp.asarray(0.5 - x), **row.options)
  real, fake = (np.asarray(part(v, **row.options)) for part in (row.activation, row.composed))
  assert integrate.trapezoid(p * real - q * fake, x) == pytest.approx(AT_ONE[name], abs=2e-8)


def test_jeffreys_far_out(x64):
  """Where W(e^(1-t)) has long overflowed, and where w + 1/w + t - 2 would cancel; against SciPy's omega."""
  for t in (-1e4, -800.0, -30.0, 0.0, 30.0):
    w = special.wrightomega(1 - t)
    assert float(DIVERGENCES["jeffreys"].conjugate(jnp.asarray(t))) == pytest.approx(1 / w - 1 - np.log(w), rel=1e-12)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_wright_omega(dtype, rtol, x64):
  z = np.concatenate([np.linspace(-30, 30, 241), [1.0, np.e, 1 + np.e, 100, 1000]]).astype(dtype)
  z = jnp.asarray(z)
  y = log_wright_omega(z)
  assert y.dtype == dtype
  exact = special.wrightomega(np.asarray(z, np.float64))
  close(y, np.log(exact), rtol, "log omega", atol=rtol)
  inside = np.asarray(z) > (-30 if dtype == np.float64 else -8)  # e^y multiplies the relative error by |y|
  close(np.exp(np.asarray(y, np.float64))[inside], exact[inside], 30 * rtol if dtype == np.float64 else 8e-6, "omega")
  close(jax.vmap(jax.grad(log_wright_omega))(z), 1 / (1 + exact), 8 * rtol, "slope")


def test_tails_of_the_special_functions(x64):
  low = jnp.asarray([-300.0, -100.0, -20.5, -19.5, -5.0])
  exact = np.log(np.log1p(np.exp(np.asarray(low, np.longdouble))))
  close(log_softplus(low), exact.astype(float), 1e-14, "log softplus")
  close(log_softplus(jnp.asarray([0.0, 3.0, 700.0])), np.log(np.logaddexp(0, [0.0, 3.0, 700.0])), 1e-14, "log softplus")
  x = np.array([-30.0, -3.0, 0.0, 3.0, 30.0])
  s, t, slope = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x)), jax.grad
  functions = slope(sigmoid), slope(slope(sigmoid)), slope(expm1), slope(slope(log_softplus))
  found = jax.jit(lambda x: [jax.vmap(function)(x) for function in functions])(x)
  close(found[0], s * t, 1e-12, "slope of the sigmoid")
  close(found[1], s * t * (t - s), 1e-12, "curvature of the sigmoid")
  close(found[2], np.exp(x), 1e-12, "slope of expm1")
  curvature = s * t / np.log1p(np.exp(x)) - (s / np.log1p(np.exp(x))) ** 2
  close(found[3], curvature, 1e-9, "curvature of log softplus", atol=1e-13)


def test_pearson_has_the_wrong_sign_below_minus_two(x64):
  slope = jax.vmap(jax.grad(lambda f: losses.get("f_gan_pearson").generator(f[None], f[None])[0]))
  close(slope(jnp.asarray([-2.5, -2.0, -1.5])), [0.25, 0.0, -0.25], 0, "slope", atol=1e-12)
  assert "WRONG SIGN" in losses.card("f_gan_pearson").saturates
