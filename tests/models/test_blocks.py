"""Attention, normalisation by class, and residual blocks, against formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import models
from gan_jax.core.errors import BadInput
from gan_jax.models.attention import SelfAttention, max_pool
from gan_jax.models.blocks import ConditionalNorm, DownBlock, Form
from gan_jax.models.resampling import mean_pool

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 6, 8)).astype(np.float32)


def softmax(x):
  shares = np.exp(x - x.max(-1, keepdims=True))
  return shares / shares.sum(-1, keepdims=True)


def drawn(module, *arguments):
  """Random parameters of a module, and a jitted function of them."""
  shapes = jax.eval_shape(lambda key: module.init(key, *arguments), jax.random.key(0))
  params = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), shapes["params"])
  return params, jax.jit(lambda p: module.apply({"params": p}, *arguments, mutable=["batch_stats"])[0])


def test_attention_is_its_formula_and_starts_as_the_identity():
  module = SelfAttention("glorot", spectral=False)
  params, apply = drawn(module, X, True)
  assert {name: leaf["kernel"].shape[1] for name, leaf in params.items() if name != "gate"} == {
    "query": 1,
    "key": 1,
    "value": 4,
    "output": 8,
  }
  matrix = {name: leaf["kernel"] for name, leaf in params.items() if name != "gate"}
  pool = lambda x: x.reshape(3, 2, 2, 3, 2, -1).max((2, 4)).reshape(3, 6, -1)  # noqa: E731
  queries = (X @ matrix["query"]).reshape(3, 24, 1)
  keys, values = pool(X @ matrix["key"]), pool(X @ matrix["value"])
  found = softmax(queries @ keys.transpose(0, 2, 1)) @ values
  expected = X + params["gate"] * (found @ matrix["output"]).reshape(X.shape)
  np.testing.assert_allclose(apply(params), expected, rtol=1e-4, atol=1e-4)
  fresh = jax.eval_shape(lambda key: module.init(key, X, True), jax.random.key(0))["params"]
  assert fresh["gate"].shape == ()
  np.testing.assert_array_equal(apply(params | {"gate": np.float32(0)}), X)


def test_of_equal_pixels_the_first_of_a_block_has_the_derivative():
  slope = jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 2, 4, 1)))
  np.testing.assert_array_equal(slope[0, :, :, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(("kind", "axes"), [("batch", (0, 1, 2)), ("layer", (1, 2, 3))])
def test_normalisation_by_class_is_its_formula(kind, axes):
  labels = np.array([2, 0, 2])
  condition = np.eye(4, dtype=np.float32)[labels]
  module = ConditionalNorm(Form(norm=kind))
  params, apply = drawn(module, X, condition, True)
  assert set(params) == {"scale", "shift"}
  normed = (X - X.mean(axes, keepdims=True)) / np.sqrt(X.var(axes, keepdims=True) + 1e-5)
  scale, shift = (params[name]["kernel"][labels].reshape(3, 1, 1, 8) for name in ("scale", "shift"))
  np.testing.assert_allclose(apply(params), (1 + scale) * normed + shift, rtol=1e-4, atol=1e-4)


def test_a_block_is_its_convolutions_and_the_input_beside_them():
  params, apply = drawn(DownBlock(5, Form()), X, True)

  def conv(x, layer):
    out = jax.lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return np.asarray(out) + layer["bias"]

  h = conv(np.maximum(conv(np.maximum(X, 0), params["Conv_0"]), 0), params["Conv_1"])
  beside = X @ params["shortcut"]["kernel"] + params["shortcut"]["bias"]
  expected = mean_pool(h + beside)
  np.testing.assert_allclose(apply(params), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
  ("model", "shape", "options", "message"),
  [
    ("resnet", (32, 32, 3), {"attention": "7"}, "attention' of model 'resnet' expected .* among none, 8, 16, got '7'"),
    ("resnet", (64, 48, 3), {"attention": "24+x"}, "among none, 12, 24, got '24\\+x'"),
    ("biggan", (32, 32, 3), {"attention": "32"}, "among none, 8, 16, got '32'"),
    ("r3gan", (28, 28, 1), {}, "powers of two from 8 on, got 28x28; the nearest sizes are 16x16 and 32x32"),
    ("r3gan", (32, 32, 3), {"generator_width": 12}, "multiple of group_size=16, or smaller, got 24"),
    ("sndcgan", (30, 30, 1), {}, "the nearest sizes are 28x28 and 32x32"),
  ],
)
def test_what_a_model_cannot_make_is_refused(model, shape, options, message):
  with pytest.raises(BadInput, match=message):
    models.get(model)(shape, 1, 8, False, **options)


def test_noise_with_fewer_entries_than_parts_is_refused():
  with pytest.raises(BadInput, match=r"latent_size of at least 4, .* 3 blocks, got 3"):
    models.get("biggan")((32, 32, 3), 1, 3, False)
