"""Penalties on the slope of the critic, by its derivative with respect to images or by finite differences.

Signature: `(critic, real [B, ...], fake [B, ...], key) -> [B]`; the critic has its parameters and labels bound.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.checks import at_least_float32
from gan_jax.core.norms import largest
from gan_jax.core.registry import Option
from gan_jax.core.types import Critic, Key
from gan_jax.penalties.registry import of_critic

Centre = Annotated[ArrayLike, Option("norm of the gradient that costs nothing", 0, traced=True)]
Step = Annotated[ArrayLike, Option("standard deviation of the perturbation; images span [-1, 1]", above=0, traced=True)]


def squared_norm_per_example(x: Array) -> Array:
  """[B, ...] -> [B]: the sum of squares over all axes but the first, in float32 or better."""
  return jnp.sum(jnp.square(at_least_float32(x)), axis=tuple(range(1, x.ndim)))


def norm_per_example(x: Array) -> Array:
  """[B, ...] -> [B]: the Euclidean norm, whose gradient at zero is zero (one of its subgradients) and not NaN."""
  squared = squared_norm_per_example(x)
  positive = squared > 0
  # The inner `where` keeps the square root's infinite slope out of the branch that is not taken.
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def input_gradient(critic: Critic, images: Array) -> Array:
  """[B, ...]: the gradient of each logit with respect to its own image, for a critic that does not couple examples."""
  return jax.grad(lambda x: critic(x).sum())(images)


def interpolate(real: Array, fake: Array, key: Key) -> Array:
  """real + a (fake - real), one a ~ U(0, 1) for each example."""
  a = jax.random.uniform(key, (real.shape[0], *[1] * (real.ndim - 1)), real.dtype)
  return real + a * (fake - real)


@of_critic(10)  # Mescheder et al. 2018, in all their experiments
def r1(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """0.5 |grad D(x)|^2 at real x, with the half: the weight is gamma (Mescheder et al. 2018, arXiv:1801.04406, eq. 9)."""
  del fake, key
  return 0.5 * squared_norm_per_example(input_gradient(critic, real))


@of_critic(5)  # half the weight of `r1`, because the value is twice as large
def r1_full(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """|grad D(x)|^2 at real x, without the half: twice `r1`."""
  return 2 * r1(critic, real, fake, key)


@of_critic(10)  # as `r1`
def r2(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """0.5 |grad D(x)|^2 at generated x, with the half (Mescheder et al. 2018, arXiv:1801.04406, section 4.1)."""
  del real, key
  return 0.5 * squared_norm_per_example(input_gradient(critic, fake))


@of_critic(5)  # as `r1_full`
def r2_full(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """|grad D(x)|^2 at generated x, without the half: twice `r2`."""
  return 2 * r2(critic, real, fake, key)


@of_critic(10)  # that of `r1` and `r2`; Huang et al. 2024 choose it for each dataset, and lower it while training
def r1_r2(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """`r1` + `r2`, each with its half and under one weight, as R3GAN trains (Huang et al. 2024, arXiv:2501.05441)."""
  return r1(critic, real, fake, key) + r2(critic, real, fake, key)


@of_critic(5)  # half the weight of `r1_r2`
def r1_r2_full(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """`r1_full` + `r2_full`: twice `r1_r2`."""
  return 2 * r1_r2(critic, real, fake, key)


@of_critic(10)  # Gulrajani et al. 2017, algorithm 1
def gradient_penalty(critic: Critic, real: Array, fake: Array, key: Key, *, centre: Centre = 1.0) -> Array:
  """(|grad D(x)| - centre)^2 at interpolates, two-sided: WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3)."""
  return jnp.square(norm_per_example(input_gradient(critic, interpolate(real, fake, key))) - centre)


@of_critic(10)  # Petzka et al. 2018, as WGAN-GP
def gradient_penalty_one_sided(critic: Critic, real: Array, fake: Array, key: Key, *, centre: Centre = 1.0) -> Array:
  """max(0, |grad D(x)| - centre)^2 at interpolates: WGAN-LP (Petzka et al. 2018, arXiv:1709.08894)."""
  excess = norm_per_example(input_gradient(critic, interpolate(real, fake, key))) - centre
  return jnp.square(jnp.maximum(excess, 0))


@of_critic(100)  # Thanh-Tung et al. 2019, in their experiments on mixtures and MNIST
def gradient_penalty_zero_centred(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """|grad D(x)|^2 at interpolates, centre 0, no half (Thanh-Tung et al. 2019, arXiv:1902.03984)."""
  return squared_norm_per_example(input_gradient(critic, interpolate(real, fake, key)))


@of_critic(10)  # Kodali et al. 2017, algorithm 1
def dragan(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """(|grad D(x)| - 1)^2 around the data: x = real + a d, a ~ U(0, 1) per example, d uniform in [0, s/2) per entry.

  s is the standard deviation of the batch's entries. The gradient is that of the logit, not of the probability.
  Source: Kodali et al. 2017, arXiv:1705.07215, as their code perturbs.
  """
  shift_key, mix_key = jax.random.split(key)
  shifted = real + 0.5 * jnp.std(real) * jax.random.uniform(shift_key, real.shape, real.dtype)
  return gradient_penalty(critic, real, shifted, mix_key)


@of_critic(None)  # the paper searches for it, for each loss and dataset
def max_gradient(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """max_i |grad D(x_i)|^2 over the batch's interpolates; every entry of [B] is the batch's value.

  Source: Zhou et al. 2019, "Lipschitz generative adversarial nets" (arXiv:1902.05687), section 4.
  """
  squared = squared_norm_per_example(input_gradient(critic, interpolate(real, fake, key)))
  return jnp.broadcast_to(largest(squared, axis=0), squared.shape)


@of_critic(None)  # as `fisher`: the paper's rho is that of a term beside a multiplier, which does the work there
def sobolev(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
  """(Omega - 1)^2, Omega = 1/2 (mean |grad D(x)|^2 + mean |grad D(G(z))|^2): every entry of [B] is the same.

  With loss=wasserstein it is Sobolev GAN: the difference of means of a D whose squared slope has mean 1 under the mixture of
  data and model, (p + q) / 2; unlike `gradient_penalty`, no single slope is bounded. As in `fisher` this is the second
  term of an augmented Lagrangian, lambda (1 - Omega) - rho/2 (Omega - 1)^2, without its multiplier, and the weight is
  rho/2. At D's optimum 4 weight Omega (Omega - 1) = mean D(x) - mean D(G(z)).
  Source: Mroueh et al. 2018, "Sobolev GAN", arXiv:1711.04894.
  """
  del key
  omega = 0.5 * sum(squared_norm_per_example(input_gradient(critic, x)).mean() for x in (real, fake))
  return jnp.broadcast_to(jnp.square(omega - 1), real.shape[:1])


def _finite_difference(critic: Critic, images: Array, key: Key, step: ArrayLike) -> Array:
  noise = jnp.asarray(step, images.dtype) * jax.random.normal(key, images.shape, images.dtype)
  difference = at_least_float32(critic(images + noise)) - at_least_float32(critic(images))
  return 0.5 * jnp.square(difference / step)


@of_critic(10)  # the weight of `r1`, which it estimates
def r1_finite_difference(critic: Critic, real: Array, fake: Array, key: Key, *, step: Step = 0.01) -> Array:
  """0.5 ((D(x + s e) - D(x)) / s)^2, e ~ N(0, I), s = `step`, at real x: its mean over e tends to `r1` as s -> 0.

  It needs no double backward but has variance: for a linear critic the value is `r1` times a chi-squared of one
  degree. The approximate R1 of Lin et al. 2025 (Seaweed APT, arXiv:2501.08316) takes the same difference, without the
  division.
  """
  del fake
  return _finite_difference(critic, real, key, step)


@of_critic(10)  # the weight of `r2`, which it estimates
def r2_finite_difference(critic: Critic, real: Array, fake: Array, key: Key, *, step: Step = 0.01) -> Array:
  """`r1_finite_difference` at generated x: its mean tends to `r2`."""
  del real
  return _finite_difference(critic, fake, key, step)
