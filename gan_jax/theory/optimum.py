"""Every loss at its optimal discriminator, between the data p = N(0, 1) and a model q = N(mu, 1), by quadrature.

The log ratio of the densities is u = log p/q = mu^2/2 - mu x, so a discriminator is a function v(u). The generator is x
= mu + z; with the discriminator frozen its gradient is d/dmu E_z G(v) = E_q[dG/dv * dv/du * -mu]. If that is positive,
descent lowers mu, towards the data. For a zero-sum loss it is the derivative of the loss's divergence with respect to
mu.
Source: the set-up of Arjovsky and Bottou 2017, arXiv:1701.04862, section 2, with Gaussians for images.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core.types import Loss, LossFn
from gan_jax.losses import card, default_options, get
from gan_jax.theory.critics import CRITICS, NO_OPTIMUM, POPULATIONS, STAIRCASES, Mean, Population, staircase
from gan_jax.theory.gaussians import SEEN, Points, around, everywhere, gaussian, integral, log_ratio

Critic = Callable[[Array], tuple[Array, Array]]  # u [...] -> (v, dv/du)
BRACKET = 1e3  # largest logit in the search for the optimum


class Values(NamedTuple):
  """The values of a loss at M distances, [M] each."""

  discriminator: np.ndarray  # its minimal loss
  generator: np.ndarray
  gradient: np.ndarray  # d generator / d mu, discriminator frozen
  seen: np.ndarray  # the part of `gradient` from fakes within `gaussians.SEEN` standard deviations of mu


class Landscape(NamedTuple):
  critic: str  # the optimal discriminator in words, or why there are no values
  values: Values | None = None


def landscape(name: str, distances: Sequence[float]) -> Landscape:
  """The losses and gradients of a registered loss at its default hyperparameters, in double precision.

  Args:
    name: of a registered loss.
    distances: mu, each greater than 0 and at most `gaussians.FARTHEST`.
  """
  with jax.enable_x64(True):
    return _landscape(name, np.asarray(distances, np.float64)[:, None])


def _landscape(name: str, mu: np.ndarray) -> Landscape:
  about, loss, options = card(name), get(name), default_options(name)
  formula = about.optimal_logit_at
  if name in NO_OPTIMUM:
    return Landscape(NO_OPTIMUM[name])
  if name in STAIRCASES:
    return Landscape("a staircase in log p/q, with steps of 1", _staircase(loss, mu))
  if name in CRITICS:
    text, critic = CRITICS[name][0], _differentiated(CRITICS[name][1](mu))
  elif formula is not None:
    text, critic = about.optimal_logit, _differentiated(lambda u: formula(u, **options))
  elif about.pairing == "none":
    text, critic = "found by bisection", _bisected(loss)
    if float(jnp.max(jnp.abs(critic(jnp.array([-1.0, 1.0]))[0]))) > 0.99 * BRACKET:
      return Landscape("none: unbounded where p and q differ")
  else:
    return Landscape(f"not known: no closed form, and with pairing '{about.pairing}' no pointwise optimum")
  if about.pairing != "average":
    return Landscape(text, (_separable if about.pairing == "none" else _pairwise)(loss, mu, critic))
  if name not in POPULATIONS:
    return Landscape("not computed: its batch averages need a formula for populations, see theory/critics.py")
  return Landscape(text, _averaged(POPULATIONS[name], mu, critic))


def _differentiated(formula: Callable[[Array], Array]) -> Critic:
  def critic(u: Array) -> tuple[Array, Array]:
    v, slope = jax.jvp(formula, (u,), (jnp.ones_like(u),))
    return v, jnp.where(jnp.isfinite(v), slope, 0)  # +-inf, the optimum of total variation, is constant too

  return critic


def _one_by_one(half: LossFn, real: Array, fake: Array) -> Array:
  """A loss of a pairing other than 'average', with every example as a batch of one."""
  return jax.vmap(half)(real.reshape(-1, 1), fake.reshape(-1, 1)).reshape(real.shape)


def _slope(half: LossFn, real: Array, fake: Array) -> Array:
  return jax.grad(lambda f: jnp.sum(_one_by_one(half, real, f)))(fake)


def _separable(loss: Loss, mu: np.ndarray, critic: Critic) -> Values:
  """Pairing 'none': the discriminator's loss is A(r) + C(f), the generator's a function of f."""

  @jax.jit
  def at(u: Array) -> tuple[Array, ...]:
    v, dv = critic(u)
    zero = jnp.zeros_like(v)
    pull = jnp.where(dv == 0, 0, _slope(loss.generator, zero, v) * dv)
    halves = (loss.discriminator, v, zero), (loss.discriminator, zero, v), (loss.generator, zero, v)
    return *(_one_by_one(*half) for half in halves), _one_by_one(loss.discriminator, zero, zero), pull

  line, near = everywhere(mu), around(mu, SEEN)
  # Joined into one array: compiling twice would cost more than computing.
  columns = map(np.asarray, at(log_ratio(np.hstack([line[0], near[0]]), mu)))
  (real, _), (fake, _), (generator, _), (at_zero, _), (pull, near_pull) = (
    np.split(column, [line[0].shape[1]], axis=1) for column in columns
  )
  return Values(
    integral(line, 0, real - at_zero) + integral(line, mu, fake),
    integral(line, mu, generator),
    integral(line, mu, -mu * pull),
    integral(near, mu, -mu * near_pull),
  )


def _pairwise(loss: Loss, mu: np.ndarray, critic: Critic) -> Values:
  """Pairings 'paired' and 'all_pairs', which have the same expectation over an independent real and fake."""
  reals = around(0 * mu, 9, order=10)

  @jax.jit
  def at(u_real: Array, u_fake: Array) -> tuple[Array, ...]:
    r, f = jnp.broadcast_arrays(critic(u_real)[0][:, :, None], critic(u_fake)[0][:, None, :])
    pull = _slope(loss.generator, r, f) * critic(u_fake)[1][:, None, :]
    return _one_by_one(loss.discriminator, r, f), _one_by_one(loss.generator, r, f), pull

  far, near = around(mu, 9, order=10), around(mu, SEEN)
  fakes, weights = (np.hstack(pair) for pair in zip(far, near, strict=True))
  mass = (reals[1] * gaussian(reals[0], 0))[:, :, None] * (weights * gaussian(fakes, mu))[:, None, :]
  columns = at(log_ratio(reals[0], mu), log_ratio(fakes, mu))
  (discriminator, _), (generator, _), (pull, near_pull) = (
    np.split(np.sum(mass * np.asarray(column), axis=1), [far[0].shape[1]], axis=1) for column in columns
  )
  sums = (np.sum(part, axis=1) for part in (discriminator, generator, -mu * pull, -mu * near_pull))
  return Values(*sums)


def _averaged(population: Population, mu: np.ndarray, critic: Critic) -> Values:
  """Pairing 'average': by a formula for whole distributions."""
  line, near, critic = everywhere(mu), around(mu, SEEN), jax.jit(critic)

  def mean(center: np.ndarray | float) -> Mean:
    return lambda values: jnp.asarray(integral(line, center, np.asarray(values)))[:, None]

  v = critic(log_ratio(line[0], mu))[0]
  discriminator, generator, slope = population(v, v, mean(0), mean(mu))

  def gradient(points: Points) -> np.ndarray:
    v, dv = critic(log_ratio(points[0], mu))
    return integral(points, mu, -mu * np.asarray(slope(v) * dv))

  return Values(np.asarray(discriminator)[:, 0], np.asarray(generator)[:, 0], gradient(line), gradient(near))


def _staircase(loss: Loss, mu: np.ndarray) -> Values:
  """The paired hinge losses: integer levels, and no slope."""
  found = []
  for count in (39, 40):  # the better of an odd and an even number; superfluous levels stay empty up to mu = 10
    p, q = staircase(mu, count)
    level = np.arange(float(count))
    pairs = [jnp.asarray(a) for a in np.broadcast_arrays(level[:, None], level)]
    found.append([np.einsum("mi,ij,mj->m", p, np.asarray(_one_by_one(half, *pairs)), q) for half in loss])
  odd, even = found
  discriminator, generator = np.where(odd[0] < even[0], odd, even)
  return Values(discriminator, generator, np.zeros(len(mu)), np.zeros(len(mu)))


def _bisected(loss: Loss) -> Critic:
  """The pointwise optimum: the root in v of e^u A'(v) + C'(v), which increases for quasi-convex A and C."""

  def real_slope(v: Array) -> Array:
    return jax.grad(lambda r: jnp.sum(_one_by_one(loss.discriminator, r, jnp.zeros_like(r))))(v)

  def fake_slope(v: Array) -> Array:
    return _slope(loss.discriminator, jnp.zeros_like(v), v)

  def critic(u: Array) -> tuple[Array, Array]:
    p, q = jnp.exp(jnp.minimum(u, 0)), jnp.exp(jnp.minimum(-u, 0))  # p/q without overflow

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
      low, high = bracket
      v = (low + high) / 2
      rising = p * real_slope(v) + q * fake_slope(v) > 0
      return jnp.where(rising, low, v), jnp.where(rising, v, high)

    v, _ = jax.lax.fori_loop(0, 70, halve, (jnp.full_like(u, -BRACKET), jnp.full_like(u, BRACKET)))
    ones = jnp.ones_like(v)
    curvature = p * jax.jvp(real_slope, (v,), (ones,))[1] + q * jax.jvp(fake_slope, (v,), (ones,))[1]
    inside = (curvature > 0) & (jnp.abs(v) < 0.99 * BRACKET)  # otherwise a jump, or the end of the bracket
    return v, jnp.where(inside, -p * real_slope(v) / jnp.where(inside, curvature, 1), 0)

  return critic
