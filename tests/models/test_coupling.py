"""Which discriminators couple their batch: found from a derivative, in all libraries."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gan_jax.models import players
from gan_jax.models.coupling import couples_batch
from gan_jax.models.packing import packed

SHAPE = (4, 4, 2)


class Linen(nn.Module):
  norm: str

  @nn.compact
  def __call__(self, x, train: bool):
    x = nn.leaky_relu(nn.Conv(6, (3, 3), strides=2)(x))
    if self.norm == "layer":
      x = nn.LayerNorm()(x)
    if self.norm == "batch":
      x = nn.BatchNorm(use_running_average=not train)(x)
    if self.norm == "batch, its scale zero":
      x = nn.BatchNorm(use_running_average=not train, scale_init=nn.initializers.zeros)(x) + x
    if self.norm == "running statistics always":
      x = nn.BatchNorm(use_running_average=True)(x)
    if self.norm == "minibatch standard deviation":
      x = jnp.concatenate([x, jnp.broadcast_to(x.std(0).mean(), (*x.shape[:-1], 1))], -1)
    if self.norm == "attention within an example":
      pixels = x.reshape(len(x), -1, x.shape[-1])
      x = jax.nn.softmax(pixels @ pixels.transpose(0, 2, 1)) @ pixels
    return nn.Dense(1)(nn.relu(x).reshape(len(x), -1))


class Nnx(nnx.Module):
  def __init__(self, normed, rngs):
    self.layer, self.head = nnx.Linear(32, 8, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)
    self.norm = nnx.BatchNorm(8, rngs=rngs) if normed else lambda x: x

  def __call__(self, x):
    return self.head(nnx.leaky_relu(self.norm(self.layer(x.reshape(len(x), -1)))))


class Equinox(eqx.Module):
  layer: eqx.nn.Linear
  norm: eqx.nn.BatchNorm | eqx.nn.LayerNorm
  head: eqx.nn.Linear

  def __init__(self, normed, key):
    self.layer, self.head = eqx.nn.Linear(32, 8, key=key), eqx.nn.Linear(8, "scalar", key=key)
    self.norm = eqx.nn.BatchNorm(8, "batch", mode="batch") if normed else eqx.nn.LayerNorm(8)

  def __call__(self, x, state):
    x = self.layer(x.ravel())
    x, state = self.norm(x, state) if isinstance(self.norm, eqx.nn.BatchNorm) else (self.norm(x), state)
    return self.head(jax.nn.leaky_relu(x)), state


def equinox(normed):
  return players.from_equinox(lambda key: eqx.nn.make_with_state(Equinox)(normed, key), SHAPE, discriminator=True)


def in_nnx(normed):
  return players.from_nnx(lambda rngs: Nnx(normed, rngs), SHAPE, discriminator=True)


COUPLED = ("batch", "batch, its scale zero", "minibatch standard deviation")
FREE = ("none", "layer", "running statistics always", "attention within an example")


@pytest.mark.parametrize("norm", [*COUPLED, *FREE])
def test_linen(norm):
  assert couples_batch(players.from_linen(Linen(norm), SHAPE, discriminator=True), SHAPE) == (norm in COUPLED)


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(
  "make", [lambda n: players.from_nnx(lambda r: Nnx(n, r), SHAPE, discriminator=True), equinox], ids=["nnx", "eqx"]
)
def test_nnx_and_equinox(make, normed):
  assert couples_batch(make(normed), SHAPE) == normed


@pytest.mark.parametrize(("norm", "coupled"), [("none", False), ("batch", True)])
def test_the_examples_of_one_pack_are_judged_together_and_are_no_coupling(norm, coupled):
  judge = players.from_linen(Linen(norm), (4, 4, 6), discriminator=True)
  assert couples_batch(packed(judge, 3), SHAPE, packing=3) == coupled


def test_a_network_of_few_rectifiers_is_not_dead_at_all_points():
  def apply(params, x, labels):
    hidden = jax.nn.relu(x.reshape(len(x), -1) @ params)[:, 0]
    return hidden - hidden.mean()

  init = lambda key: jnp.zeros((2, 1))  # noqa: E731
  assert couples_batch(players.plain(init, apply, discriminator=True), (2,))


def of_vectors(logits):
  """A discriminator of points: `logits(features [B, 3], scale [3])`."""

  def apply(params, x, labels):
    weights, scale = params
    return logits(x @ weights, scale)

  return players.plain(lambda key: (jnp.zeros((2, 3)), jnp.ones(3)), apply, discriminator=True)


@pytest.mark.parametrize("past", [True, False])
def test_a_dependence_that_goes_one_way_is_found(past):
  def summed(h, scale):
    return jnp.cumsum(h[:, 0]) if past else jnp.cumsum(h[::-1, 0])[::-1]

  assert couples_batch(of_vectors(summed), (2,))


@pytest.mark.parametrize("function", [jnp.sqrt, jnp.log])
def test_a_parameter_outside_its_range_is_no_dependence_and_hides_none(function):
  assert not couples_batch(of_vectors(lambda h, scale: h @ function(scale)), (2,))
  assert couples_batch(of_vectors(lambda h, scale: (h - h.mean(0, keepdims=True)) @ function(scale)), (2,))
