"""Short runs of the production step, pinned: a change of the code that changes what is trained is seen here first.

Each case is a few steps of small networks in double precision, where a program that is only fused or ordered anew gives the
same numbers to many digits, on any machine. What is pinned is a fingerprint of each part of the state: its norm, and its
inner product with a fixed vector, so that no entry can move unseen.

    python -m tests.game.test_golden          # prints the table again, for tests/support/golden.json

A commit that changes a number here says in its message why.
"""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses
from gan_jax.core import types
from gan_jax.data.dataset import Dataset
from gan_jax.game import assemble
from gan_jax.game.state import initial_state
from gan_jax.models.players import plain
from tests.conftest import ROOT
from tests.game.test_step import hypers_of, spec_of
from tests.support.records import fitted
from tests.support.steps import compiled_step, nothing

TABLE = ROOT / "tests" / "support" / "golden.json"
STEPS = 7
RATES = {"generator_rate": 0.05, "discriminator_rate": 0.08}

# name -> (losses, fields of Spec, fields of Hypers)
CASES = {
  "minimax, gradient descent": ("minimax", {"optimizer": "sgd"}, {}),
  "non-saturating, Adam, R1": ("non_saturating", {"penalty": "r1"}, {"penalty_weight": 0.7}),
  "two losses in one program": ("hinge", {"losses": ("minimax", "hinge")}, {"loss_index": 1}),
  "WGAN-GP, five critic steps": (
    "wasserstein",
    {"penalty": "gradient_penalty", "n_critic": 5},
    {"penalty_weight": 10.0},
  ),
  "WGAN, clipped, RMSProp": (
    "wasserstein",
    {"weight_constraint": "clip", "optimizer": "rmsprop"},
    {"weight_constraint_options": {"bound": 0.05}},
  ),
  "relativistic average, lazy R1 + R2": (
    "relativistic_average",
    {"penalty": "r1_r2", "penalty_every": 3},
    {"penalty_weight": 0.5},
  ),
  "least squares, generator first, momentum": (
    "least_squares",
    {"order": "generator_first", "optimizer": "momentum", "n_gen": 2},
    {"optimizer_options": {"beta1": -0.3}},
  ),
  "extragradient, optimistic Adam": (
    "non_saturating",
    {"order": "simultaneous", "method": "extragradient", "optimizer": "optimistic_adam"},
    {},
  ),
  "consensus": (
    "minimax",
    {"order": "simultaneous", "method": "consensus", "optimizer": "sgd"},
    {"method_options": {"weight": 0.4}},
  ),
  "symplectic": (
    "minimax",
    {"order": "simultaneous", "method": "symplectic", "optimizer": "sgd"},
    {"method_options": {"weight": 0.4}},
  ),
  "spectral normalisation": ("hinge", {"weight_constraint": "spectral", "n_critic": 2}, {}),
  "packing": ("non_saturating", {"packing": 2}, {}),
  "lookahead, same images": ("relativistic", {"lookahead_every": 3, "fakes": "same_images"}, {"lookahead_pace": 0.4}),
  "unrolled": ("non_saturating", {"unroll_steps": 2}, {"unroll_rate": 0.1}),
  "instance noise, same noise, LeCam": (
    "hinge",
    {"instance_noise": True, "fakes": "same_noise", "penalty": "lecam"},
    {"instance_noise_scale": 0.2, "instance_noise_steps": 5, "penalty_weight": 0.3},
  ),
  "head start, averaged": ("f_gan_kl", {}, {"head_start": 3, "ema_decay": 0.99}),
}


def players(spec):
  """Two tanh networks in double precision; the discriminator takes `spec.packing` examples at once."""

  def init(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    shapes = itertools.pairwise(sizes)
    return [jax.random.normal(k, shape) / np.sqrt(shape[0]) for k, shape in zip(keys, shapes, strict=True)]

  def apply(params, x):
    for weights in params[:-1]:
      x = jnp.tanh(x @ weights)
    return x @ params[-1]

  pack = 3 * spec.packing
  generator = plain(lambda key: init(key, (2, 8, 3)), lambda p, z, y: apply(p, z))
  discriminator = plain(
    lambda key: init(key, (pack, 8, 1)), lambda p, x, y: apply(p, x.reshape(-1, pack))[:, 0], discriminator=True
  )
  return generator, discriminator


def fingerprint(tree):
  """(norm, inner product with cos 1, cos 2, ...) of all entries in order."""
  entries = np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])
  return [float(np.linalg.norm(entries)), float(entries @ np.cos(np.arange(1.0, len(entries) + 1)))]


def played(name):
  """{part of the state: fingerprint} after `STEPS` steps."""
  loss, static, traced = CASES[name]
  spec = spec_of(**{"losses": (loss,), "batch_size": 8, "latent_size": 2, "optimizer": "adam"} | static)
  data = types.Data(jax.random.normal(jax.random.key(5), (20, 3)), jnp.zeros(20, jnp.int32))
  game = assemble(spec, Dataset(data, lambda x: x, (3,), 1, "points"), *players(spec))
  options = tuple(losses.default_options(n) for n in spec.losses)
  hypers = fitted(hypers_of(**RATES, loss_options=options, **traced), spec)
  step = functools.partial(compiled_step(game, nothing), hypers)
  state = initial_state(hypers, game)
  for _ in range(STEPS):
    state, _ = step(state, data)
  parts = ("gen_params", "gen_ema", "disc_params", "gen_opt", "disc_opt")
  return {part: fingerprint(getattr(state, part)) for part in parts if jax.tree.leaves(getattr(state, part))}


@pytest.mark.parametrize("name", CASES)
def test_the_state_after_a_few_steps_is_what_it_was(name, x64):
  expected = json.loads(TABLE.read_text())[name]
  found = played(name)
  assert found.keys() == expected.keys()
  for part, values in expected.items():
    np.testing.assert_allclose(
      found[part], values, rtol=1e-8, err_msg=f"{part}: if this is meant, see the head of this file"
    )


if __name__ == "__main__":
  with jax.enable_x64(True):
    print(json.dumps({name: played(name) for name in CASES}, indent=1))
