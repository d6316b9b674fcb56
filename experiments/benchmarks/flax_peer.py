"""The peer that a JAX user would write: Flax modules with `nn.Conv`, Optax, a jitted step. Nothing of gan_jax is in it.

It trains the same game as ours: the same networks, the non-saturating loss, Adam, one update of each player per step. It
has no order of the data (examples are drawn with replacement), no average, no check for diverged runs and no probes.
"""

import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.nn import softplus
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .examples import stored
from .worker import Absent, Prepared
from .works import Contender, Work

RATE, BETAS = 5e-4, (0.5, 0.999)  # the defaults of a run
SLOPE = 0.2


class Mlp(nn.Module):
  """[B, ...] -> `depth` layers of `width` -> [B, outputs]."""

  width: int
  depth: int
  outputs: int
  activation: Callable[[Array], Array]

  @nn.compact
  def __call__(self, x: Array) -> Array:
    x = x.reshape(len(x), -1)
    for _ in range(self.depth):
      x = self.activation(nn.Dense(self.width)(x))
    return nn.Dense(self.outputs)(x)


def stages(image: tuple[int, ...]) -> int:
  """How often an image of DCGAN is halved: to a side of 4 to 7, and always twice."""
  return max(2, int(math.log2(image[0] / 4)))


class DcganGenerator(nn.Module):
  """Noise -> a map of `width` channels, doubled to [B, H, W, C] by transposed convolutions of kernel 4, stride 2."""

  width: int
  image: tuple[int, ...]

  @nn.compact
  def __call__(self, noise: Array) -> Array:
    depth = stages(self.image)
    norm = lambda x: nn.relu(nn.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=-1, epsilon=1e-5)(x))  # noqa: E731
    height, width = self.image[0] >> depth, self.image[1] >> depth
    x = norm(nn.Dense(height * width * self.width)(noise).reshape(-1, height, width, self.width))
    up = functools.partial(nn.ConvTranspose, kernel_size=(4, 4), strides=(2, 2), transpose_kernel=True)
    for stage in range(1, depth):
      x = norm(up(self.width >> stage)(x))
    return jnp.tanh(up(self.image[2])(x))


class DcganDiscriminator(nn.Module):
  """[B, H, W, C] -> convolutions of kernel 4, stride 2, up to `width` channels -> [B, 1]."""

  width: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    depth = stages(x.shape[1:])
    for stage in reversed(range(depth)):
      x = nn.leaky_relu(nn.Conv(self.width >> stage, (4, 4), (2, 2), padding=1)(x), SLOPE)
    return nn.Dense(1)(x.reshape(len(x), -1))


class Peer(NamedTuple):
  """The two players as functions."""

  generate: Callable[[Any, Array], Array]  # (variables, noise) -> examples
  judge: Callable[[Any, Array], Array]  # (variables, examples) -> logits

  @staticmethod
  def optimizer() -> optax.GradientTransformation:
    return optax.adam(RATE, *BETAS)


class State(NamedTuple):
  generator: Any
  discriminator: Any
  generator_moments: Any
  discriminator_moments: Any


def modules(fields: Mapping[str, Any], image: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
  """(generator, discriminator). Raises `Absent` for a model that this peer does not have."""
  sizes = fields.get("model_options") or {}
  wide = (sizes.get("generator_width", 128), sizes.get("discriminator_width", 128))
  if fields.get("model", "mlp") == "dcgan":
    return DcganGenerator(wide[0], image), DcganDiscriminator(wide[1])
  if fields.get("model", "mlp") != "mlp" or image:
    raise Absent(f"no plain Flax {fields.get('model', 'mlp')} for such data was written")
  depth = sizes.get("depth", 2)
  leaky = functools.partial(nn.leaky_relu, negative_slope=SLOPE)
  return Mlp(wide[0], depth, 2, nn.relu), Mlp(wide[1], depth, 1, leaky)


def peer(generator: nn.Module, discriminator: nn.Module) -> Peer:
  def judge(variables: Any, x: Array) -> Array:
    logits: Any = discriminator.apply(variables, x)
    return logits[:, 0]

  generate: Any = generator.apply
  return Peer(generate, judge)


def start(generator: nn.Module, discriminator: nn.Module, noise: Array, real: Array, key: Array) -> State:
  """New networks and moments."""
  g, d = generator.init(jax.random.fold_in(key, 0), noise), discriminator.init(jax.random.fold_in(key, 1), real)
  moments = Peer.optimizer().init
  return State(g, d, moments(g), moments(d))


def step(peer: Peer, state: State, real: Array, noises: tuple[Array, Array]) -> tuple[State, tuple[Array, Array]]:
  """An update of the discriminator, then one of the generator, and the losses before each: non-saturating."""
  g, d, g_moments, d_moments = state

  def of_discriminator(d: Any) -> Array:
    fake = peer.generate(g, noises[0])
    return softplus(-peer.judge(d, real)).mean() + softplus(peer.judge(d, fake)).mean()

  d_loss, slope = jax.value_and_grad(of_discriminator)(d)
  moved, d_moments = peer.optimizer().update(slope, d_moments, d)
  d = optax.apply_updates(d, moved)
  of_generator = lambda g: softplus(-peer.judge(d, peer.generate(g, noises[1]))).mean()  # noqa: E731
  g_loss, slope = jax.value_and_grad(of_generator)(g)
  moved, g_moments = peer.optimizer().update(slope, g_moments, g)
  return State(optax.apply_updates(g, moved), d, g_moments, d_moments), (d_loss, g_loss)


def drawn(peer: Peer, state: State, examples: Array, key: Array, batch: int, latent: int) -> State:
  """A step on examples and noise that are drawn from `key`."""
  keys = jax.random.split(key, 3)
  real = examples[jax.random.randint(keys[0], (batch,), 0, len(examples))]
  real = real / 127.5 - 1 if examples.dtype == jnp.uint8 else real
  noises = (jax.random.normal(keys[1], (batch, latent)), jax.random.normal(keys[2], (batch, latent)))
  return step(peer, state, real, noises)[0]


def prepare(contender: Contender, work: Work, length: int) -> Prepared:
  """`length` steps in one call: 1 is a dispatch a step, more are a `scan`; members are `vmap` inside it."""
  fields = {**work.fields, **contender.fields}
  batch, latent, members = fields["batch_size"], fields["latent_size"], contender.members
  examples, (generator, discriminator) = jnp.asarray(stored(work.image)), modules(fields, work.image)
  played = peer(generator, discriminator)
  one_of_each = jnp.zeros((1, latent)), jnp.zeros((1, *examples.shape[1:]))
  keys = jax.random.split(jax.random.key(0), members)
  state = jax.jit(jax.vmap(lambda key: start(generator, discriminator, *one_of_each, key)))(keys)
  if members > 1 and members % len(jax.devices()) == 0:
    divided = NamedSharding(Mesh(np.array(jax.devices()), ("members",)), PartitionSpec("members"))
    state, keys = jax.device_put(state, divided), jax.device_put(keys, divided)
  single = members == 1
  if single:
    state, keys = jax.tree.map(lambda x: x[0], (state, keys))
  one = lambda s, key: drawn(played, s, examples, key, batch, latent)  # noqa: E731
  all_members = one if single else jax.vmap(one)
  folded = lambda keys, n: jax.random.fold_in(keys, n) if single else jax.vmap(jax.random.fold_in, (0, None))(keys, n)  # noqa: E731

  @functools.partial(jax.jit, donate_argnums=0)
  def advance(state: State, first: Array) -> State:
    if length == 1:
      return all_members(state, folded(keys, first))
    numbers = first + jnp.arange(length, dtype=jnp.int32)
    return lax.scan(lambda s, n: (all_members(s, folded(keys, n)), None), state, numbers)[0]

  held, done = [state], [0]

  def clock(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
      held[0] = advance(held[0], np.int32(done[0]))
      done[0] += length
    jax.block_until_ready(held[0])
    return time.perf_counter() - began

  return Prepared(clock, length, members)


MAKERS = {
  "flax_step": lambda contender, work: prepare(contender, work, 1),
  "flax_scan": lambda contender, work: prepare(contender, work, work.windows * work.length),
  "flax_population": lambda contender, work: prepare(contender, work, work.windows * work.length),
}
