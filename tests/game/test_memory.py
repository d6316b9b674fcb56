"""What players remember: running statistics and singular vectors move with their own player, and with nobody else."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game
from gan_jax.core.types import Batches, Data, Output
from gan_jax.data.dataset import Dataset, decode_bytes
from gan_jax.game.batches import draw, resident_batch
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_step
from gan_jax.models.players import from_linen
from tests.game.test_step import hypers_of, spec_of
from tests.support.records import fitted
from tests.support.steps import compiled_step, nothing

MOMENTUM = 0.9


class Generator(nn.Module):
  """Noise, normalised by its batch, through one linear map."""

  @nn.compact
  def __call__(self, noise, labels, train: bool):
    return nn.Dense(3)(nn.BatchNorm(not train, momentum=MOMENTUM, name="norm")(noise))


class Discriminator(nn.Module):
  """Batch normalisation of the examples, a spectrally normalised layer, a logit and two classes."""

  @nn.compact
  def __call__(self, images, labels, train: bool):
    x = nn.BatchNorm(not train, momentum=MOMENTUM, name="norm")(images)
    x = jnp.tanh(nn.SpectralNorm(nn.Dense(5), name="bounded")(x, update_stats=train))
    return Output(nn.Dense(1)(x)[:, 0], x, nn.Dense(2, name="classes")(x))


@functools.cache
def compiled(spec):
  """(game, data, its step, what begins it) of the two, with labels of two classes and uint8 examples."""
  stored = np.random.default_rng(0).integers(0, 256, (20, 3)).astype(np.uint8)
  data = Data(jnp.asarray(stored), jnp.arange(20, dtype=jnp.int32) % 2)
  dataset = Dataset(data, decode_bytes, (3,), 2, "points")
  generator, discriminator = from_linen(Generator(), (2,)), from_linen(Discriminator(), (3,), discriminator=True)
  played = game.assemble(spec, dataset, generator, discriminator)
  assert played.couples_batch
  return played, data, compiled_step(played, nothing), jax.jit(lambda h: initial_state(h, played))


def case(**fields):
  """(game, hypers, step, data, state); games of one spec share a step."""
  traced = {name: fields.pop(name) for name in ("head_start", "ema_decay", "generator_rate") if name in fields}
  spec = spec_of(batch_size=8, latent_size=2, **fields)
  played, data, step, begin = compiled(spec)
  h = fitted(hypers_of(**traced), spec)
  return played, h, step, data, begin(h)


def mean_of(memory):
  return np.asarray(memory["batch_stats"]["norm"]["mean"])


def test_running_statistics_follow_the_batches_of_the_own_updates_alone():
  """Three discriminator updates a step: the generator's average moves once, by its own noise; the other's six times."""
  played, h, step, data, state = case(n_critic=3)
  make = jax.jit(lambda s, noise: played.generator.apply(s.gen_params, s.memory.generator, noise, None, True)[0])
  ours, theirs = np.zeros(2), np.zeros(3)
  for _ in range(3):
    before, (state, _) = state, step(h, state, data)
    noise = resident_batch(played, h, before.step, data, "generator", 0).noise
    ours = MOMENTUM * ours + (1 - MOMENTUM) * np.asarray(noise).mean(axis=0)
    for index in range(3):
      batch = resident_batch(played, h, before.step, data, "discriminator", index)
      for seen in (batch.real, make(before, batch.noise)):
        theirs = MOMENTUM * theirs + (1 - MOMENTUM) * np.asarray(seen).mean(axis=0)
    np.testing.assert_allclose(mean_of(state.memory.generator), ours, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean_of(state.memory.discriminator), theirs, rtol=1e-5, atol=1e-6)


def test_evaluation_uses_the_running_statistics_and_moves_nothing():
  played, h, step, data, state = case()
  state, _ = step(h, state, data)
  noise, memory = jax.random.normal(jax.random.key(1), (6, 2)), state.memory.generator
  whole, kept = played.generator.apply(state.gen_params, memory, noise, None, False)
  alone, _ = played.generator.apply(state.gen_params, memory, noise[:1], None, False)
  np.testing.assert_allclose(whole[:1], alone, rtol=1e-6)
  assert all(a is b for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(memory), strict=True))
  trained, moved = played.generator.apply(state.gen_params, memory, noise, None, True)
  assert np.abs(trained - whole).max() > 1e-3
  assert not np.array_equal(mean_of(moved), mean_of(memory))


def test_the_head_start_and_divergence_keep_the_memory():
  _, h, step, data, state = case(head_start=2)
  first, _ = step(h, state, data)
  assert not mean_of(first.memory.generator).any()
  assert mean_of(first.memory.discriminator).any()
  broken = first._replace(disc_params=jax.tree.map(lambda x: x * jnp.nan, first.disc_params))
  after, _ = step(h, broken, data)
  assert int(after.diverged_at) == 1
  np.testing.assert_array_equal(mean_of(after.memory.discriminator), mean_of(first.memory.discriminator))
  third, _ = step(h, step(h, first, data)[0], data)
  assert mean_of(third.memory.generator).any()


def test_the_average_has_a_memory_of_its_own():
  """At the first update the average is the generator; from then on its statistics lag as its weights do."""
  _, h, step, data, state = case(ema_decay=0.99)
  state, _ = step(h, state, data)
  np.testing.assert_array_equal(mean_of(state.memory.average), mean_of(state.memory.generator))
  before = mean_of(state.memory.average)
  state, _ = step(h, state, data)
  decay = 2.0 ** (-1 / 0.05)  # of the ramp after one update
  expected = decay * before + (1 - decay) * mean_of(state.memory.generator)
  np.testing.assert_allclose(mean_of(state.memory.average), expected, rtol=1e-5)


def test_a_spectrally_normalised_layer_keeps_up_with_its_weights():
  """Its power iteration is part of the discriminator's memory, and its estimate is NumPy's largest singular value."""
  _, h, step, data, state = case(generator_rate=0.0)
  for _ in range(60):
    state, _ = step(h, state, data)
  kernel = np.asarray(state.disc_params["Dense_0"]["kernel"])
  stats = {"/".join(map(str, k)): v for k, v in flattened(state.memory.discriminator["batch_stats"]["bounded"])}
  (sigma,) = [float(v) for name, v in stats.items() if name.endswith("sigma")]
  assert sigma == pytest.approx(np.linalg.norm(kernel, 2), rel=0.02)


def flattened(tree):
  found = jax.tree_util.tree_leaves_with_path(tree)
  return [(tuple(getattr(k, "key", k) for k in path), leaf) for path, leaf in found]


def test_a_second_head_is_carried_and_trained_by_nothing():
  """Classes and features come with the logits; a loss on logits alone gives the other head no gradient."""
  played, h, step, data, state = case()
  after, _ = step(h, state, data)
  np.testing.assert_array_equal(after.disc_params["classes"]["kernel"], state.disc_params["classes"]["kernel"])
  output, _ = played.discriminator.apply(state.disc_params, state.memory.discriminator, jnp.ones((4, 3)), None, True)
  assert (output.logits.shape, output.features.shape, output.classes.shape) == ((4,), (4, 5), (4, 2))
  head = state.disc_params["Dense_0"] if output.features.shape[1] == 1 else state.disc_params["Dense_1"]
  np.testing.assert_allclose(output.logits, output.features @ head["kernel"][:, 0] + head["bias"][0], rtol=1e-5)


@pytest.mark.parametrize(
  "fields", [{"n_critic": 2, "hold_out": 4}, {"order": "simultaneous", "method": "extragradient"}]
)
def test_batches_that_a_host_brings_are_those_on_the_device(fields):
  """Picked by NumPy out of an array that the device never sees whole: the same examples, so the same step."""
  played, h, step, data, state = case(**fields)
  streamed = jax.jit(lambda *given: build_step(played)(*given)[0])
  images, labels = np.asarray(data.images), np.asarray(data.labels)
  numbers = Data(jnp.arange(20), jnp.arange(20))  # whose "images" are their own indices
  other = state
  for _ in range(4):
    chosen = jax.tree.map(np.asarray, draw(played.spec, h.seed, other.step, numbers))
    held_out = chosen.held_out and Data(images[chosen.held_out.images], labels[chosen.held_out.labels])
    other = streamed(h, other, Batches(images[chosen.images], labels[chosen.labels], held_out))
    state, _ = step(h, state, data)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), state, other)
