"""The reader of printed formulas: what it accepts, what it refuses, and that it sees a wrong card."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses import CARDS, LOSSES
from gan_jax.losses.registry import minus, plus
from gan_jax.theory import critics
from gan_jax.theory.gaussians import log_ratio
from tests.support import formulas
from tests.support.known_losses import at_batches, check_texts, measured

R, F = np.array([0.3, -1.2, 2.5]), np.array([-0.45, 1.6, -2.8])
NAMES = formulas.of_batch(R, F, {"alpha": 3.0, "pi": 0.3})


@pytest.mark.parametrize(
  ("text", "value"),
  [
    ("0.5 (r - f - 1)^2", 0.5 * (R - F - 1) ** 2),
    ("-f - 1", -F - 1),
    ("-(f - 1)", 1 - F),
    ("-f^2/4 + f", -(F**2) / 4 + F),
    ("e^-f e^(-f/2)", np.exp(-1.5 * F)),
    ("2 alpha / 4 f", 1.5 * F),
    ("(1-pi)/pi 2 / (f^2 + 1)", 0.7 / 0.3 * 2 / (F**2 + 1)),
    ("alpha log 2/4 + f", 3 * np.log(0.5) + F),
    ("log(4) / 2", np.log(2)),
    ("-[f - r < 1] + R - F", -(F - R < 1).astype(float) + R.mean() - F.mean()),
    ("mean_j relu(r_i - f_j)", [np.mean([max(r - f, 0) for f in F]) for r in R]),
    ("mean_pairs abs(f_i - f_j) / (B - 1)", np.mean([abs(a - b) for a in F for b in F if a != b]) / 2),
    ("near(f), near(x) = max(x^2, min(alpha, 2)) / 2", np.maximum(F**2, 2) / 2),
    ("-mean_i (F - r_i) + f", -np.mean(F.mean() - R) + F),
    ("l(f), l(x) = x^k, k = 1 + n, n = 1; a remark, which is not read", F**2),
  ],
)
def test_what_is_read(text, value):
  np.testing.assert_allclose(np.ravel(formulas.evaluate(text, NAMES)), np.ravel(value), rtol=1e-12)


@pytest.mark.parametrize(
  "text",
  ["--f", "r + -f", "kx", "f, above -2", "no closed form", "(f", "f)", "f g", "", "2 [f]", "f where f > 0", "f $"],
)
def test_what_is_refused(text):
  with pytest.raises(formulas.Unreadable):
    formulas.evaluate(text, NAMES)


@pytest.mark.parametrize(
  ("name", "field", "text"),
  [
    ("f_gan_reverse_kl", "generator", "-f - 1"),
    ("minimax", "discriminator", "softplus(-r) - softplus(f)"),
    ("cumulant", "generator", "1/gamma log mean_j e^(gamma f_j)"),
    ("relativistic_average", "slope", "-mean_i sigmoid(-(F - r_i)) - sigmoid(-(f - F))"),
    ("alpha_loss_dual", "generator", "-l(softplus(f))"),
    ("f_gan_kl", "optimal_logit", "log p/q"),
    ("energy", "slope", "2 mean_i sign(f - r_i) - 2 sum_i sign(f - f_i) / B"),
    ("hinge", "optimal_logit", "sign(p - q), in [-1, 1]"),
  ],
)
def test_a_card_that_says_something_else_is_noticed(name, field, text, x64):
  loss = LOSSES[name].builder, CARDS[name]
  found = measured({name: loss}, at_batches)[name]
  check_texts(name, *loss, found)
  with pytest.raises((AssertionError, formulas.Unreadable)):
    check_texts(name, loss[0], CARDS[name]._replace(**{field: text}), found)


@pytest.mark.parametrize(
  "text", ["r", "-r", "r - f", "-r - f", "-e^(-r)", "2 (r - f)", "f - k, k = 3 + r; remark - one"]
)
def test_minus_and_plus(text):
  value = formulas.evaluate(text, NAMES)
  np.testing.assert_allclose(formulas.evaluate(minus(text), NAMES), -value)
  np.testing.assert_allclose(formulas.evaluate(plus("r^2", text), NAMES), R**2 + value)


@pytest.mark.parametrize("name", critics.CRITICS)
@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_optimal_discriminators_between_gaussians_are_printed_as_computed(name, mu, x64):
  text, critic = critics.CRITICS[name]
  x = np.linspace(-3, 5, 9)
  line = np.linspace(-12, 14, 40001)
  p, q = (np.exp(-0.5 * (line - m) ** 2) / np.sqrt(2 * np.pi) for m in (0, mu))
  k = 1 - 2 * np.sum(p * q / (p + q)) * (line[1] - line[0])
  p, q = (np.exp(-0.5 * (x - m) ** 2) for m in (0, mu))
  computed = critic(np.array([[mu]]))(jnp.asarray(log_ratio(x[None], np.array([[mu]]))))
  np.testing.assert_allclose(computed[0], formulas.evaluate(text, {"x": x, "p": p, "q": q, "k": k}), rtol=1e-9)
