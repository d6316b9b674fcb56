"""Losses of optimal transport: the Sinkhorn divergence of two batches, and the semi-dual of unbalanced transport."""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.nn import softplus
from jax.scipy.special import logsumexp

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.kernels import batch_value, differences
from gan_jax.losses.registry import Card, halves, minus, register
from gan_jax.losses.special import expm1

Number = Array | float
MOST = 300  # iterations
Regularisation = Annotated[Number, Option("weight of the plan's entropy, in units of the squared distance", above=0)]


def _soft_minimum(costs: Array, potential: Array, epsilon: Number) -> Array:
  """-epsilon log mean_i e^((u_i - C_ij) / epsilon) of costs [..., i, j] and u [..., i]: [..., j]."""
  terms = (potential[..., :, None] - costs) / epsilon
  return -epsilon * (logsumexp(terms, axis=-2) - jnp.log(costs.shape[-2]))


def _costs(real: Array, fake: Array) -> Array:
  """[3, B, B]: half the squared distances of reals and fakes, of reals, and of fakes."""
  pairs = ((real, fake), (real, real), (fake, fake))
  return jnp.stack([0.5 * differences(*pair) ** 2 for pair in pairs])


@jax.jit  # its loop is compiled once where the loss is called by itself
def _potentials(costs: Array, epsilon: Number) -> Array:
  """[3, B]: u of the three problems of `_costs`, of Sinkhorn's iteration until it moves by rounding only, or `MOST` times.

  Between two batches u and v take turns. Within a batch u = v, and the mean of old and new converges in a few steps
  (Feydy et al. 2019).
  """
  still = 8 * jnp.finfo(costs.dtype).eps * (jnp.max(costs) + epsilon)

  def again(carried: tuple[Array, Array, Array]) -> Array:
    _, moved, count = carried
    return (moved > still) & (count < MOST)

  def iterate(carried: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    old, _, count = carried
    there = _soft_minimum(costs, old, epsilon)  # v of the first problem
    back = _soft_minimum(jnp.swapaxes(costs[:1], 1, 2), there[:1], epsilon)
    new = jnp.concatenate([back, 0.5 * (old[1:] + there[1:])])
    return new, jnp.max(jnp.abs(new - old)), count + 1

  start = jnp.zeros(costs.shape[:2], costs.dtype)
  return lax.while_loop(again, iterate, (start, jnp.full((), jnp.inf, costs.dtype), jnp.zeros((), jnp.int32)))[0]


def _divergence(real: Array, fake: Array, epsilon: Number) -> Array:
  """OT(r, f) - OT(r, r) / 2 - OT(f, f) / 2 by the semi-dual; its derivative is that at constant potentials."""
  epsilon = jnp.asarray(epsilon, real.dtype)
  costs = _costs(real, fake)
  potentials = lax.stop_gradient(_potentials(lax.stop_gradient(costs), epsilon))
  values = potentials.mean(axis=1) + _soft_minimum(costs, potentials, epsilon).mean(axis=1)
  return values[0] - 0.5 * values[1] - 0.5 * values[2]


def _sinkhorn_slope(real: Array, fake: Array, regularisation: Number) -> Array:
  """[B]: B dS / df_j, from the plans P of the reals with the fakes and Q of the fakes among themselves."""
  epsilon = jnp.asarray(regularisation, real.dtype)
  costs = _costs(real, fake)
  scaled = (_potentials(costs, epsilon)[:, :, None] - costs) / epsilon
  plans = jax.nn.softmax(scaled, axis=1)  # B times a plan: its columns sum to 1
  apart = fake[None, :] - fake[:, None]
  own = 0.5 * (jnp.sum(plans[2] * apart, axis=0) - jnp.sum(plans[2] * apart, axis=1))
  return jnp.sum(plans[0] * (fake[None, :] - real[:, None]), axis=0) - own


SINKHORN = "transport(c(r_i - f_j), n) - transport(c(r_i - r_j), n) / 2 - transport(c(f_i - f_j), n) / 2"
DEFINED = "c(d) = d^2 / 2, n = regularisation"


@register(
  Card(
    title="Sinkhorn divergence",
    discriminator=f"{minus(SINKHORN)}, {DEFINED}; transport(C, n) is the least sum_ij P_ij (C_ij + n log(B^2 P_ij)) "
    "over P with rows and columns that sum to 1/B",
    generator=f"{SINKHORN}, {DEFINED}",
    zero_sum=True,
    pairing="average",
    optimal_logit="none is best without a bound on D, and a best one times -1 is as good: the loss grows with the logits",
    slope=f"B sum_i plan(c(r_i - f_j), n) (f - r_i) - B sum_i plan(c(f_i - f_j), n) (f - f_i), {DEFINED}; plan(C, n) is "
    "the best P",
    slope_at=_sinkhorn_slope,
    saturates="never as a batch: a fake is pulled to where the plan sends it, in proportion to the distance",
    reference="Genevay et al. 2018, arXiv:1706.00292; Feydy et al. 2019, arXiv:1810.08278",
    symmetric=True,
    of_features=True,
    once=True,
  )
)
def sinkhorn(regularisation: Regularisation = 10.0) -> Loss:
  """S = OT(r, f) - OT(r, r) / 2 - OT(f, f) / 2, which G minimises and D maximises, with the cost |x - y|^2 / 2.

  OT is the cost of the entropic plan between two batches, its entropy included. S is 0 for equal batches and positive for
  others; it tends to half the squared Wasserstein distance as `regularisation` tends to 0, and to half the squared
  distance of the means as it grows. A function of the whole batch: every entry of [B] is the same. Uses [3, B, B] memory.

  Sinkhorn's iteration stops when it moves by rounding only, or after 300 rounds: it takes the more, the larger the costs
  are beside `regularisation` (some tens of rounds up to a ratio of ten). The derivative is that at constant potentials,
  exact where it has converged (the envelope theorem), so it must not be differentiated again.
  A program of several losses computes all of them for each of its runs: a sweep is faster with this one by itself.

  Sources: Genevay et al. 2018, arXiv:1706.00292 (who unroll the iteration); Feydy et al. 2019,
  arXiv:1810.08278, eq. 3.
  """
  distance = lambda real, fake: batch_value(_divergence(real, fake, regularisation), fake)  # noqa: E731
  return halves(lambda real, fake: -distance(real, fake), distance, of_features=True)


UOTM = """Semi-dual unbalanced optimal transport: D minimises C(-r) + C(f - c), G c - f, c the cost of moving the noise to its
  image, with C {}.

  C is the convex conjugate of what is paid for mass that does not match. The cost c(z, G(z)) = tau |z - G(z)|^2 needs
  noise of the size of an image, and is no part of this loss of logits: `generator_penalty=transport_cost` with
  generator_penalty_weight tau adds it, exactly for G; D sees f without it, which is the paper's D as tau tends to 0 (it has
  1e-3 on CIFAR-10). Without any cost the game is that of an f-divergence, with a generator that does not saturate.
  Source: Choi et al. 2023, arXiv:2305.14777, algorithm 1.
"""


def _uotm(name: str, conjugate: Callable[[Array], Array], said: str, **facts: Any) -> None:
  """Register the loss of one conjugate."""

  def builder() -> Loss:
    return halves(lambda real, fake: conjugate(-real) + conjugate(fake), lambda real, fake: -fake)

  builder.__doc__ = UOTM.format(said)
  card = Card(
    generator="-f",
    zero_sum=False,
    pairing="none",
    slope="-1",
    slope_at=lambda real, fake: -jnp.ones_like(fake),
    saturates="nowhere",
    reference="Choi et al. 2023, arXiv:2305.14777, algorithm 1",
    **facts,
  )
  register(card, name)(builder)


_uotm(
  "uotm_softplus",
  softplus,
  "the softplus",
  title="Unbalanced optimal transport, softplus",
  discriminator="softplus(-r) + softplus(f)",
  optimal_logit="log(p/q)",
  optimal_logit_at=lambda log_ratio: log_ratio,
)
_uotm(
  "uotm_kl",
  expm1,
  "e^x - 1, of the Kullback-Leibler divergence",
  title="Unbalanced optimal transport, Kullback-Leibler",
  discriminator="e^(-r) - 1 + e^f - 1",
  optimal_logit="0.5 log(p/q)",
  optimal_logit_at=lambda log_ratio: 0.5 * log_ratio,
  overflows_at=88.72,
)
_uotm(
  "uotm_chi2",
  lambda x: jnp.where(x > -2, x**2 / 4 + x, -1),
  "x^2 / 4 + x above -2 and -1 below, of the chi-squared divergence",
  title="Unbalanced optimal transport, chi-squared",
  discriminator="c(-r) + c(f), c(x) = max(x, -2)^2 / 4 + max(x, -2)",
  optimal_logit="2 (p - q) / (p + q)",
  optimal_logit_at=lambda log_ratio: 2 * jnp.tanh(log_ratio / 2),
)
