"""One step of the Dirac-GAN to first order, by linear algebra: what the production step's Jacobian should be.

It is written from the papers and does not use the step: the two slopes of a loss at logit 0, the curvature of a
penalty, and the matrices of the methods. `experiments/studies/dirac` and its test compare it with the measured
Jacobian.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import losses
from gan_jax.core.types import LossFn

# Curvature in psi at 0, per unit of weight. None: not differentiable there, so there is no linearisation; nor for
# others.
CURVATURES: dict[str, float | None] = {
  **dict.fromkeys(("r1", "r2", "r1_finite_difference", "r2_finite_difference", "weight_decay"), 1.0),
  **dict.fromkeys(("r1_full", "r2_full", "r1_r2", "gradient_penalty_zero_centred", "max_gradient"), 2.0),
  **dict.fromkeys(
    ("gradient_penalty_one_sided", "logit_drift", "lecam", "fisher", "zcr", "orthogonal", "orthonormal"), 0.0
  ),
  **dict.fromkeys(("gradient_penalty", "dragan"), None),
  "r1_r2_full": 4.0,
  "bcr": 0.04,  # two sides, each the mean of (0.1 e psi)^2
}


METHODS = ("gradient", "extragradient", "consensus", "symplectic")  # of others there is no prediction


def penalty_weights(config: Mapping[str, Any]) -> dict[str, float]:
  """The weight of each penalty of the discriminator, by name."""
  there = [name.strip() for name in config["penalty"].split("+") if name != "none"]
  return {name: config["penalty_weights"].get(name, config["penalty_weight"]) for name in there}


def predict(config: Mapping[str, Any]) -> np.ndarray | None:
  """The linear map of one step (or `lookahead_every` steps) on (theta, psi, memory, slow weights); None if there is none.

  With a_D, a_G the slopes of the two losses in the fake logit at 0, the players move along (-a_G psi, -a_D theta) to
  first order.
  """
  weights = {name: weight for name, weight in penalty_weights(config).items() if weight > 0}
  curvatures = {name: CURVATURES.get(name) for name in weights}
  known = config["optimizer"] in ("sgd", "momentum", "optimistic_sgd") and config["method"] in METHODS
  if not known or None in curvatures.values():
    return None
  penalty = sum(weight * (curvatures[name] or 0.0) for name, weight in weights.items())
  lazy = config["penalty_every"] if config["penalty_every"] > 1 else 0
  jacobian = gradients_jacobian(config, 0.0 if lazy else penalty)
  rates = np.array([config["generator_rate"], config["discriminator_rate"]])

  def move(x, memory, players, base=None):
    """One update of `players` from `base` by the gradient at x; (new point, memory of momentum or of the last gradient)."""
    gradient = jacobian @ x
    base = x if base is None else base
    kept = gradient + config["optimizer_options"]["beta1"] * memory if config["optimizer"] == "momentum" else gradient
    direction = 2 * gradient - memory if config["optimizer"] == "optimistic_sgd" else kept
    mine = np.isin([0, 1], players)
    return np.where(mine, base - rates * direction, x), np.where(mine, kept, memory)

  def step(x, memory):
    if config["order"] == "simultaneous":
      ahead, after = move(x, memory, [0, 1])
      return move(ahead, after, [0, 1], base=x) if config["method"] == "extragradient" else (ahead, after)
    turns = [[1]] * config["n_critic"], [[0]] * config["n_gen"]
    start = x
    for players in [*turns[0], *turns[1]] if config["order"] == "discriminator_first" else [*turns[1], *turns[0]]:
      stale = config["fakes"] == "same_images" and players == [1]
      if stale:  # the discriminator's gradient uses the generator from before its update
        moved, memory = move(np.array([start[0], x[1]]), memory, players)
        x = np.array([x[0], moved[1]])
      else:
        x, memory = move(x, memory, players)
    return x, memory

  def whole(vector):
    x, memory, slow = np.split(vector, 3)
    for i in range(config["lookahead_every"] or lazy or 1):
      x, memory = step(x, memory)
      if lazy and i == 0:
        x = x - np.array([0.0, rates[1] * lazy * penalty * x[1]])
    if config["lookahead_every"]:
      x = slow = slow + config["lookahead_pace"] * (x - slow)
    return np.concatenate([x, memory, slow])

  map_ = np.stack([whole(column) for column in np.eye(6)], axis=1)
  # Numbers that are not used would add eigenvalues.
  used = [0, 1] + [2, 3] * (config["optimizer"] != "sgd") + [4, 5] * (config["lookahead_every"] > 0)
  return map_[np.ix_(used, used)] + 0j


def gradients_jacobian(config: Mapping[str, Any], penalty: float) -> np.ndarray:
  """The Jacobian [2, 2] of the two players' gradients, the method's correction included; `penalty`: its curvature in psi."""
  slope_d, slope_g, bend = slopes(config["loss"], tuple(sorted(config["loss_options"].items())))
  field = np.array([[0.0, -slope_g], [-slope_d, -penalty]])
  if config["generator_penalty"] == "weight_decay":
    field[0, 0] -= config["generator_penalty_weight"]
  if config["instance_noise"]:
    field[1, 1] -= config["instance_noise_scale"] ** 2 * bend
  if config["unroll_steps"]:
    reply = config["unroll_steps"] * config["unroll_rate"] * slope_g * slope_d
    field[0, 0] += reply * (2 if config["unroll_gradient"] == "through" else 1)
  jacobian = -field
  corrections = {"consensus": jacobian.T, "symplectic": (jacobian - jacobian.T).T / 2}
  if config["method"] in corrections:
    jacobian = jacobian + config["method_options"]["weight"] * corrections[config["method"]] @ jacobian
  return jacobian


@functools.cache
def slopes(name: str, options: tuple[tuple[str, float], ...]) -> tuple[float, float, float]:
  """(d mean D loss / d fake logit, d mean G loss / d fake logit, sum of D's curvatures in both logits), all logits 0.

  By central differences in double precision, which is faster here than compiling derivatives.
  """
  h = 1e-4
  with jax.enable_x64(True):
    loss = losses.get(name, **dict(options))

    def mean(half: LossFn, real: float, fake: float) -> float:
      return float(half(jnp.full(4, real), jnp.full(4, fake)).mean())

    d = [mean(loss.discriminator, 0.0, f) for f in (-h, 0.0, h)]
    d_real = [mean(loss.discriminator, r, 0.0) for r in (-h, 0.0, h)]
    g = [mean(loss.generator, 0.0, f) for f in (-h, h)]
  bend = sum(low - 2 * middle + high for low, middle, high in (d, d_real)) / h**2
  return (d[2] - d[0]) / (2 * h), (g[1] - g[0]) / (2 * h), bend
