"""Functions from outside as entries of every registry: what they may take, what they may return, what is refused."""

import contextlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, losses, metrics, penalties, settings
from gan_jax.core.errors import BadInput
from gan_jax.game import outside, registries, rules
from gan_jax.runner.grouping import spec_of
from gan_jax.settings import sweeps
from gan_jax.settings.outside import named

CODE = '''
import jax, jax.numpy as jnp, numpy as np, optax
import flax.linen as nn
from gan_jax.core.types import Loss
from gan_jax.models import players
from gan_jax.penalties import of_critic
from gan_jax.probes import probe
from gan_jax.data import from_arrays

class Generator(nn.Module):
  shape: tuple
  width: int
  @nn.compact
  def __call__(self, noise):
    x = nn.relu(nn.Dense(self.width)(noise))
    return jnp.tanh(nn.Dense(self.shape[0] * self.shape[1] * self.shape[2])(x)).reshape(len(x), *self.shape)

class Discriminator(nn.Module):
  width: int
  norm: bool
  @nn.compact
  def __call__(self, images, train: bool):
    x = nn.Dense(self.width)(images.reshape(len(images), -1))
    x = nn.BatchNorm(use_running_average=not train)(x) if self.norm else x
    return nn.Dense(1)(nn.leaky_relu(x))

def net(image_shape, latent_size, *, width: int = 8, norm: bool = True):
  """Two layers each."""
  return (
    players.from_linen(Generator(image_shape, width), (latent_size,)),
    players.from_linen(Discriminator(width, norm), image_shape, discriminator=True),
  )

def images(*, count: int = 300):
  """Stripes."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (count, 12, 10, 3), np.uint8), np.arange(count) % 3

def soft(*, margin=1.0):
  """A hinge without its corner."""
  return Loss(
    lambda real, fake: jax.nn.softplus(margin - real) + jax.nn.softplus(margin + fake),
    lambda real, fake: jax.nn.softplus(-fake),
  )

def slope(critic, real, fake, key, *, power: float = 2.0):
  """|grad D|^power at fakes."""
  g = jax.grad(lambda x: critic(x).sum())(fake)
  return (g ** 2).sum((1, 2, 3)) ** (power / 2)

@of_critic(0.25)
def decorated(critic, real, fake, key):
  """The same at reals, its weight said."""
  return slope(critic, fake, real, key)

def size(params):
  """|w|^2."""
  return sum((x ** 2).sum() for x in jax.tree.leaves(params))

def sign(rate, *, beta1: float = 0.9):
  """Signs of momentum."""
  return optax.chain(optax.trace(beta1), optax.scale_by_sign(), optax.scale_by_learning_rate(rate))

def brightness(samples, dataset):
  """mean pixel of the samples"""
  return {"samples/brightness": samples.mean()}

@probe({"mine/spread": "standard deviation of the real logits"}, group="spread")
def spread(trace):
  return {"mine/spread": trace.generator.real_logits.std()}
'''


@pytest.fixture
def folder(tmp_path):
  (tmp_path / "mine.py").write_text(CODE)
  with untouched():
    yield tmp_path


@contextlib.contextmanager
def untouched():
  """Around a test: what it enters into the registries is taken out again."""
  before = {name: set(registry) for name, registry in registries.REGISTRIES.items()}
  yield
  for name, registry in registries.REGISTRIES.items():
    new = set(registry) - before[name]
    assert all(".py:" in entry for entry in new), "a file entered a name of its own"
    for entry in new:
      del registry[entry]


def write(folder, text):
  (folder / "mine.py").write_text(CODE + text)


def entered(folder, **fields):
  """The full config with its outside code entered."""
  config = settings.resolve({"dataset": "mine.py:images"}, fields)
  outside.enter([config], folder)
  return game.complete(config)


def test_every_kind_is_entered_with_its_options(folder):
  config = entered(
    folder,
    model="mine.py:net",
    loss="matched_gain(mine.py:soft)",
    penalty="mine.py:slope + mine.py:decorated",
    penalty_weight=1.0,
    generator_penalty="mine.py:size",
    optimizer="mine.py:sign",
    metrics="mine.py:brightness",
    probes="mine.py:spread",
    lens="mine.py:soft",
    **{"model_options.width": 16, "penalty_options.mine.py:slope.power": 1.0, "loss_options.margin": 0.5},
  )
  assert config["model_options"] == {"width": 16, "norm": True}
  assert config["loss_options"] == {"margin": 0.5}
  assert config["penalty_options"] == {"mine.py:slope": {"power": 1.0}}
  assert config["optimizer_options"] == {"beta1": 0.9}
  assert config["dataset_options"] == {"count": 300}
  assert len(named(config)) == 10
  slope, decorated = penalties.of_discriminator(config["penalty"])
  assert (slope.kind, slope.default_weight) == ("critic", None)
  assert (decorated.kind, decorated.default_weight) == ("critic", 0.25)
  with pytest.raises(BadInput, match=r"model 'mine.py:net'.*'widht'; did you mean 'width'"):
    entered(folder, model="mine.py:net", **{"model_options.widht": 3})


def test_a_loss_from_outside_is_what_its_function_says(folder):
  entered(folder, loss="mine.py:soft")
  real, fake = jnp.array([0.3, -2.0]), jnp.array([1.0, -0.5])
  loss = losses.get("mine.py:soft", margin=0.5)
  np.testing.assert_allclose(
    loss.discriminator(real, fake), np.log1p(np.exp(0.5 - real)) + np.log1p(np.exp(0.5 + fake)), rtol=1e-6
  )
  cooled = losses.get("temperature(mine.py:soft)", temperature=2.0)
  np.testing.assert_allclose(cooled.generator(real, fake), np.log1p(np.exp(-fake / 2)), rtol=1e-6)
  with pytest.raises(ValueError, match=r"expected shape \[B\]"):
    loss.generator(real[:, None], fake[:, None])


def test_a_dataset_of_arrays(folder):
  entered(folder)
  dataset = data.load("mine.py:images", count=30)
  assert (dataset.image_shape, dataset.num_classes, dataset.kind) == ((12, 10, 3), 3, "images")
  assert len(dataset.data.images) == 30
  raw = np.random.default_rng(0).integers(0, 256, (30, 12, 10, 3), np.uint8)
  np.testing.assert_allclose(dataset.decode(dataset.data.images), raw / 127.5 - 1, atol=1e-6)


def test_metric_of_samples(folder):
  config = entered(folder, metrics="mine.py:brightness")
  quality = metrics.build(data.load("mine.py:images"), folder, config["metrics"])
  assert quality.explanations == {"samples/brightness": "mean pixel of the samples"}
  assert metrics.ranks(data.load("mine.py:images"), config["metrics"], {}) == ("samples/brightness",)
  draw = lambda indices: jnp.broadcast_to(indices[:, None, None, None] / 100.0, (len(indices), 12, 10, 3))  # noqa: E731
  found = quality.finish(jax.device_get(quality.measure(draw, 101, False)))
  assert found["samples/brightness"] == pytest.approx(0.5, rel=1e-5)


REFUSED = {
  "model: no such option protocol": (
    {"model": "mine.py:bad"},
    "def bad(image_shape, depth): pass",
    "model 'mine.py:bad' expected a function of .*depth would be options and have no default",
  ),
  "model: raises": (
    {"model": "mine.py:bad"},
    "def bad(image_shape):\n  return 1 / 0",
    r"model 'mine.py:bad' cannot be built .*ZeroDivisionError.*mine.py, line \d+\)",
  ),
  "model: returns": (
    {"model": "mine.py:bad"},
    "def bad(): pass",
    r"'mine.py:bad' expected to return \(generator, discr",
  ),
  "model: swapped": (
    {"model": "mine.py:bad"},
    "def bad(image_shape, latent_size):\n  return net(image_shape, latent_size)[::-1]",
    "generator of model 'mine.py:bad'",
  ),
  "dataset: float without a span": (
    {"dataset": "mine.py:bad"},
    "def bad(): return images()[0] / 255",
    r"float images expected span=\(black, white\).*got none: their values are from 0 to 1",
  ),
  "dataset: no channels": (
    {"dataset": "mine.py:bad"},
    "def bad(): return images()[0][..., 0]",
    r"expected uint8 or floats \[N, H, W, C\].*got uint8 of shape \[300, 12, 10\]",
  ),
  "dataset: labels": (
    {"dataset": "mine.py:bad"},
    "def bad(): return images()[0], np.arange(7)",
    r"labels expected one whole number for each .*got int64 of shape \[7\]",
  ),
  "dataset: nothing": (
    {"dataset": "mine.py:bad"},
    "def bad(): pass",
    "'mine.py:bad' expected to return images .*got NoneType",
  ),
  "dataset: outside its span": (
    {"dataset": "mine.py:bad"},
    "def bad(): return from_arrays(images()[0] / 100, span=(0, 1))",
    r"'mine.py:bad' expected images in \[-1, 1\] after decoding, got values from -1 to 4.1",
  ),
  "loss: returns": (
    {"loss": "mine.py:bad"},
    "def bad(): return 3.0",
    "loss 'mine.py:bad' expected to return a Loss, got float",
  ),
  "loss: text as an option": (
    {"loss": "mine.py:bad"},
    "def bad(*, kind='a'): pass",
    "loss 'mine.py:bad' expected options with defaults that are numbers",
  ),
  "loss: raises": (
    {"loss": "matched_gain(mine.py:bad)"},
    "from gan_jax.losses import Loss\n\ndef bad(): return Loss(lambda r, f: f, lambda r, f: f.reshape(17))",
    r"loss '.*mine.py:bad\)' of the generator cannot be computed of logits \[64\]: .*\(.*mine.py, line \d+\)",
  ),
  "penalty: another signature": (
    {"penalty": "mine.py:bad"},
    "def bad(discriminator, images): pass",
    r"penalty 'mine.py:bad' expected a function of \(critic, real, fake, key\) or .*got one of \(discriminator, images\)",
  ),
  "penalty: a model": ({"penalty": "mine.py:net"}, "", "penalty 'mine.py:net' expected a function of"),
  "decorated as another": (
    {"probes": "mine.py:decorated"},
    "",
    "'mine.py:decorated' expected a group of probes, got a function decorated as a penalty",
  ),
  "a name of ours": (
    {"penalty": "mine.py:r1"},
    "@of_critic(1.0)\ndef r1(critic, real, fake, key): pass",
    "mine.py, which a config names, cannot be run: the penalty 'r1' is registered twice",
  ),
  "probe: bare": (
    {"probes": "mine.py:bad"},
    "def bad(trace): pass",
    "probe 'mine.py:bad' expected a function decorated with",
  ),
  "metric: returns": (
    {"metrics": "mine.py:bad"},
    "def bad(samples): return samples.mean()",
    r"metric 'mine.py:bad' expected to return \{column: number\}",
  ),
  "optimizer: returns": (
    {"optimizer": "mine.py:bad"},
    "def bad(rate): return rate",
    "optimizer 'mine.py:bad' expected to return an optax.GradientTransformation, got float",
  ),
  "optimizer: no rate": (
    {"optimizer": "mine.py:bad"},
    "def bad(lr): pass",
    "optimizer 'mine.py:bad' expected a function of \\(rate",
  ),
}


@pytest.mark.parametrize(("fields", "text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_as_its_field_needs_is_refused_in_one_sentence(folder, fields, text, message):
  write(folder, text)

  def use():
    config = entered(folder, **fields)
    dataset = data.load(config["dataset"])
    registries.REGISTRIES["model"].get(config["model"])((12, 10, 3), 3, 32, False)
    rules.check(spec_of(config, (config["loss"],)))
    registries.REGISTRIES["optimizer"].get(config["optimizer"])(0.1)
    metrics.ready(dataset, config["metrics"], {})  # a dry run does no more

  with pytest.raises(BadInput, match=message) as caught:
    use()
  assert "\n" not in str(caught.value)


def test_a_changed_file_is_taken_anew_in_the_same_process(folder):
  entered(folder, penalty="mine.py:decorated")
  (folder / "mine.py").write_text(CODE.replace("of_critic(0.25)", "of_critic(4.0)"))
  entered(folder, penalty="mine.py:decorated")
  assert penalties.of_discriminator("mine.py:decorated")[0].default_weight == 4.0


def test_the_examples_of_the_settings_readme_are_entered_and_can_be_built(tmp_path):
  with untouched():
    enter_and_build_examples(tmp_path)


def enter_and_build_examples(tmp_path):
  blocks = re.findall(r"```python\n(.*?)```", (Path(settings.__file__).parent / "README.md").read_text(), re.DOTALL)
  for name, block in zip(("draws.py", "my_models.py", "mine.py"), blocks, strict=True):
    (tmp_path / name).write_text(block)
  text = "def get_config():\n  return {'penalty': 'r1'}\n\n\n" + (tmp_path / "draws.py").read_text()
  (tmp_path / "draws.py").write_text(text)
  _, drawn = sweeps.load(str(tmp_path / "draws.py"), [], False, game.registered)
  assert len(drawn) == 2 * 16 * 2
  text = {"penalty": "mine.py:drift", "metrics": "images + mine.py:brightness", "probes": "mine.py:spread"}
  text |= {"model": "my_models.py:small", "dataset": "my_models.py:noise_images"}
  config = entered(tmp_path, **text, loss="mine.py:twice", penalty_weight=0.01, optimizer="mine.py:lion")
  assert config["metrics"] == "images + mine.py:brightness"
  dataset = data.load("my_models.py:noise_images", count=120)
  generator, discriminator = registries.REGISTRIES["model"].get("my_models.py:small")((48, 64, 3), 1, 8, False, width=4)
  params, memory = generator.init(jax.random.key(0))
  images, _ = generator.apply(params, memory, jnp.ones((2, 8)), jnp.zeros(2, jnp.int32), True)
  assert dataset.image_shape == images.shape[1:] == (48, 64, 3)
  params, memory = discriminator.init(jax.random.key(0))
  assert discriminator.apply(params, memory, images, jnp.zeros(2, jnp.int32), True)[0].logits.shape == (2,)
  one, three = (losses.get("mine.py:twice", factor=f).generator(jnp.ones(1), jnp.ones(1)) for f in (1.0, 3.0))
  assert jnp.allclose(three, 3 * one)
